//! Bans, names waited for, and the limits of one content.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
