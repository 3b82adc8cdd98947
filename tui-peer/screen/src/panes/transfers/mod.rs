//! The downloads, where there is room for them all the time.

pub(crate) mod geometry;
pub(crate) mod view;
