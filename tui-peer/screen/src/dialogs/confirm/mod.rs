//! Questions before something is lost.

pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod view;
