//! What the lists show: their order, who is in the network, whose files are.

pub(crate) mod crowd;
pub(crate) mod held;
pub(crate) mod index;
pub(crate) mod inside;
pub(crate) mod owned;
pub(crate) mod peer;
pub(crate) mod recall;
pub(crate) mod roll;
