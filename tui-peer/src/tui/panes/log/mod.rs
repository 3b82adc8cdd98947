//! The log.

pub(crate) mod geometry;
