//! Shoal's peer: everything the `tui-peer` program does.
//!
//! In reading order:
//!
//! - [`args`]: what the user typed; the crate [`settings`]: what that, the environment and the configuration file say.
//! - the crate [`engine`], of which only its `api` shows; the crate [`frontend`]: what all front ends share.
//! - `scratch`: folders of one run, for what nothing is to be remembered of.
//! - `hand_over`: what goes on in the background.
//! - `leave`: the second signal ends the program, whatever hangs.
//! - [`hooks`]: programs of the user's that run when a download is done or something failed.
//! - [`metrics`]: numbers and health over HTTP, for machines that watch.
//! - [`headless`]: the peer without a screen; [`demo`]: a whole network on one machine.
//! - the crate `screen`: the full-screen app; the module of that name: what is around it; `line_mode`: lines and
//!   numbered questions instead (feature `tui`).
//! - `app`: which of them runs.
//!
//! Arrows point one way: none of those crates knows this one.

mod app;
pub mod args;
pub mod control;
pub mod demo;
#[doc(hidden)]
pub mod fuzzing;
mod hand_over;
pub mod headless;
pub mod hooks;
mod leave;
#[cfg(feature = "tui")]
pub mod line_mode;
pub mod metrics;
mod scratch;
#[cfg(feature = "tui")]
mod screen;

pub use app::run;
