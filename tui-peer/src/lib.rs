//! Shoal's peer: everything the `tui-peer` program does.
//!
//! In reading order:
//!
//! - [`args`]: what the user typed; the crate [`settings`]: what that, the environment and the configuration file say.
//! - [`act`]: what a running peer can be told, by the shell, line by line or on the screen; [`find`]: what names mean.
//! - [`engine`]: the crate of that name, as far as it may be known here: its `api`.
//! - [`logfile`]: what is written down.
//! - `scratch`: folders of one run, for what nothing is to be remembered of.
//! - `hand_over`: what goes on in the background.
//! - `leave`: the second signal ends the program, whatever hangs.
//! - [`mod@format`]: numbers and names as people read them, on the screen and in the shell.
//! - [`filter`]: the language in which files are searched for, in the app and by `ls`.
//! - [`members`]: who is in the network, and whose its files are.
//! - [`hooks`]: programs of the user's that run when a download is done or something failed.
//! - [`metrics`]: numbers and health over HTTP, for machines that watch.
//! - [`headless`]: the peer without a screen; [`demo`]: a whole network on one machine.
//! - `tui`: the full-screen app, `line_mode`: lines and numbered questions instead (feature `tui`).
//! - `app`: which of them runs.
//!
//! Arrows point one way: the engine is a crate of its own and knows none of this; its `api` is all it shows.

pub mod act;
mod app;
pub mod args;
pub mod control;
pub mod demo;
pub mod filter;
pub mod find;
pub mod format;
#[doc(hidden)]
pub mod fuzzing;
mod hand_over;
pub mod headless;
pub mod hooks;
mod json;
mod leave;
#[cfg(feature = "tui")]
pub mod line_mode;
pub mod logfile;
pub mod members;
pub mod metrics;
mod scratch;
#[cfg(feature = "tui")]
mod screen;
#[cfg(feature = "tui")]
pub mod tui;

pub use app::run;

/// All that may be known of the engine.
pub mod engine {
    pub use ::engine::api::*;
}
