//! The pane of the lists.

pub(crate) mod columns;
pub(crate) mod geometry;
