//! The settings screen.

pub(crate) mod geometry;
pub(crate) mod queries;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
