//! The files of a folder, to be chosen.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
