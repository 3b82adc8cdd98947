//! Shoal's tracker.

pub mod index;
pub mod record;
