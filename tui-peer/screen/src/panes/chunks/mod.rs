//! The pane of the chunk map.

pub mod geometry;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
