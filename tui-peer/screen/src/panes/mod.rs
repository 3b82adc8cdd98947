//! The panes, each in a folder of its own.

pub mod chunks;
pub(crate) mod details;
pub(crate) mod files;
pub(crate) mod graph;
pub(crate) mod holders;
pub(crate) mod log;
pub(crate) mod sources;
pub(crate) mod transfers;
