//! The order of a list.

pub(crate) mod update;
pub(crate) mod view;
