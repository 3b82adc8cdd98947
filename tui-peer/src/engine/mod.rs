//! The async shell: executes what [`crate::swarm`] decides, and what the user asks for.
//!
//! The engine does not know who is looking. A front end holds an [`handle::EngineHandle`]: bounded
//! [`command::Command`]s in, a `watch` of an immutable [`snapshot::Snapshot`] out, plus a bounded stream
//! of [`event::Event`]s for the log.

pub mod command;
pub mod event;
pub mod handle;
pub mod snapshot;
