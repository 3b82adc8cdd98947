//! The async shell: executes what [`crate::swarm`] decides, and what the user asks for.
//!
//! The engine does not know who is looking. A front end holds an [`handle::EngineHandle`]: bounded
//! [`command::Command`]s in, a `watch` of an immutable [`snapshot::Snapshot`] out, plus a bounded stream
//! of [`event::Event`]s for the log.

pub mod command;
pub mod config;
// mod conn;
pub mod disk;
pub mod event;
// mod gate;
pub mod handle;
pub mod library;
// mod limiter;
pub mod snapshot;

use config::{EngineConfig, StartError};
use handle::EngineHandle;

/// Starts an engine: opens the state folder, binds the port, restores shares and downloads, joins the
/// network, and from then on runs by itself.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub async fn start(config: EngineConfig) -> Result<EngineHandle, StartError> {
    Err(StartError::State(format!("not built yet: {}", config.nick)))
}
