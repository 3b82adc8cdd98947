//! Screens that take all the room, each in a folder of its own.

pub(crate) mod help;
pub(crate) mod settings;
pub(crate) mod welcome;
