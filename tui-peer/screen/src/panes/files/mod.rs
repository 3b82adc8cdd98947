//! The pane of the lists.

pub(crate) mod columns;
pub(crate) mod geometry;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
