//! The pane of the chunk map.

pub mod geometry;
