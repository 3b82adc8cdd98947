//! What can be measured.

pub(crate) mod catalogue;
pub(crate) mod chunks;
pub(crate) mod connect;
pub(crate) mod half_open;
pub(crate) mod inside;
pub(crate) mod register;
pub(crate) mod slow;
pub(crate) mod storm;
pub(crate) mod swarm;
