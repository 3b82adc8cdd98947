//! Rates over time, below the sources.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
