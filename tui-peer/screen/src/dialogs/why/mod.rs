//! Lines to read.

pub(crate) mod view;
