//! The file picker.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
