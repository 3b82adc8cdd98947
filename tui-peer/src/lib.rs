//! Shoal's peer: everything the `tui-peer` program does.
//!
//! In reading order:
//!
//! - [`swarm`]: PURE. Who is asked for what, who is served, who is believed. Events in, effects out.
//! - [`engine`]: the async shell around it: connections, disk, shares, the tracker.
//! - `tui`: the full-screen terminal app (feature `tui`).
//!
//! Arrows point one way: front ends use [`engine::handle`], [`engine::command`], [`engine::event`] and
//! [`engine::snapshot`] and nothing else of the engine; the engine knows no front end; `swarm` knows
//! only `common`. `tests/tidy.rs` holds this.

pub mod engine;
pub mod swarm;
#[cfg(feature = "tui")]
pub mod tui;
