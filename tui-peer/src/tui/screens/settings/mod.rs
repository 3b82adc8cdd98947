//! The settings screen.

pub(crate) mod geometry;
