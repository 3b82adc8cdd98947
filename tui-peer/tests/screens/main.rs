//! Screens.
mod testkit;
