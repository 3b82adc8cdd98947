//! The full-screen app.
//!
//! Elm's shape: [`model`] is everything the screen shows, [`msg`] what can happen and what is wanted
//! done, [`update`] the only place where the model changes, [`view`] the model on the screen. [`run`] and
//! [`term`] are the only parts that touch a terminal, a clock or the engine.

mod action;
mod field;
mod filter;
mod format;
mod heatmap;
mod keymap;
mod layout;
mod model;
mod msg;
mod run;
mod term;
mod theme;
mod update;
mod verdict;
mod view;
mod words;

pub use run::run;
