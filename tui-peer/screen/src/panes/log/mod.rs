//! The log.

pub(crate) mod geometry;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
