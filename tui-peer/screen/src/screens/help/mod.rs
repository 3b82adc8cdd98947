//! Help.

pub(crate) mod geometry;
pub(crate) mod text;
pub(crate) mod update;
pub(crate) mod view;
