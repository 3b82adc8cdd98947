//! The async shell: executes what [`swarm`] decides, and what the user asks for.
//!
//! The engine does not know who is looking. A front end holds an [`handle::EngineHandle`]: bounded
//! [`command::Command`]s in, a `watch` of an immutable [`snapshot::Snapshot`] out, plus a bounded stream
//! of [`event::Event`]s for the log.
//!
//! - `session`: the one task that owns the core and everything the user has; executes its outputs.
//! - `conn`: dialling, listening, one reader and one writer task per peer; `gate`: who may talk to us;
//!   `limiter`: token buckets; `replay`: events nobody has heard yet.
//! - `disk`: buffers, worker threads, journal and `.part` files; [`library`]: what is shared and
//!   remembered.
//! - [`chunks`]: how every chunk stands, shared page by page; `meter`: rates as people read them;
//!   [`why`]: why something is slow; [`figures`]: numbers for machines that watch.
//! - `announcer`: the tracker client; `host`: a tracker inside this process.

mod announcer;
pub mod chunks;
pub mod command;
pub mod config;
mod conn;
pub mod disk;
pub mod event;
pub mod figures;
mod gate;
pub mod handle;
mod host;
pub mod library;
mod limiter;
mod meter;
mod plain;
mod priority;
mod replay;
mod session;
pub mod snapshot;
mod tracker_clock;
pub mod why;

use std::path::Path;

use common::join::JoinString;
use config::{EngineConfig, StartError};
use handle::EngineHandle;

/// The network that an engine on this state folder would join by itself, with its secret; nothing is
/// changed there.
pub fn known_network(state_dir: &Path) -> Option<JoinString> {
    session::known(state_dir)
}

/// Starts an engine: opens the state folder, binds the port, restores shares and downloads, joins the
/// network, and from then on runs by itself.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub async fn start(config: EngineConfig) -> Result<EngineHandle, StartError> {
    session::start(config).await
}
