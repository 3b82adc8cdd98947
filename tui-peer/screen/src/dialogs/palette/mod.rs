//! All commands, found by typing.

pub(crate) mod queries;
pub(crate) mod update;
pub(crate) mod view;
