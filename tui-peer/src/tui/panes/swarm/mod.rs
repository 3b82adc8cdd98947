//! Who has what, in the place of map and sources.

pub(crate) mod geometry;
