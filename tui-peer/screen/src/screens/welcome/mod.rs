//! The screen without a network.

pub(crate) mod queries;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
