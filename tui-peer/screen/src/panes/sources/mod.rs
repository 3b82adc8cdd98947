//! The sources of the selected file.

pub(crate) mod view;
