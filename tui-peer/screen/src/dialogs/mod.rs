//! What is asked in front of the panes, each dialog in a folder of its own.

pub(crate) mod confirm;
pub(crate) mod contents;
pub(crate) mod link;
pub(crate) mod palette;
pub(crate) mod picker;
pub(crate) mod picks;
pub(crate) mod share;
pub(crate) mod sort;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
pub(crate) mod why;
