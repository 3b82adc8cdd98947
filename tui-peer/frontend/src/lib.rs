//! What all front ends of the peer share, with a screen or without.
//!
//! - [`act`]: what a running peer can be told, by the shell, line by line or on the screen; [`find`]: what names mean.
//! - [`filter`]: the language in which files are searched for, in the app and by `ls`; [`members`]: who is in the
//!   network, and whose its files are.
//! - [`mod@format`]: numbers and names as people read them; [`json`]: names and paths as programs do; [`exit`]: codes.
//! - [`logfile`]: what is written down.

pub mod act;
pub mod exit;
pub mod filter;
pub mod find;
pub mod format;
pub mod inside;
pub mod json;
pub mod logfile;
pub mod members;
