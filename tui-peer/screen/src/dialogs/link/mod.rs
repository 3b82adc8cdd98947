//! A link, or a join string.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
