//! Who has what, in the place of map and sources.

pub(crate) mod geometry;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
