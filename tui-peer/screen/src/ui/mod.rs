//! What everything that is drawn is made of.

pub(crate) mod dialog;
pub(crate) mod input;
pub(crate) mod paint;
pub(crate) mod text;
