//! Sharing a path, or choosing where to download to.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
