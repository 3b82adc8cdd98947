//! The async shell around the pure crate [`swarm`]: executes what that decides, and what the user asks for.
//!
//! The engine does not know who is looking. A front end uses [`api`] and nothing else: it holds an
//! [`api::handle::EngineHandle`], with bounded [`api::command::Command`]s in, a `watch` of an immutable
//! [`api::snapshot::Snapshot`] out, plus a bounded stream of [`api::event::Event`]s for the log.
//!
//! - `session`: the one task that owns the core and everything the user has; executes its outputs.
//! - `conn`: dialling, listening, one reader and one writer task per peer; `gate`: who may talk to us;
//!   `limiter`: token buckets.
//! - `disk`: buffers, worker threads, journal and `.part` files; `library`: what is shared and remembered.
//! - `meter`: rates as people read them; `torrent`: what is shared, for programs that speak BitTorrent v2.
//! - `announcer`: the tracker client; `tracker_clock`: what its clock says; `host`: a tracker inside this process.

mod admission;
mod announcer;
pub mod api;
mod conn;
mod disk;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod library;
mod limiter;
mod meter;
mod portmap;
mod priority;
mod session;
#[doc(hidden)]
pub mod testing;
mod torrent;
mod tracker_clock;
