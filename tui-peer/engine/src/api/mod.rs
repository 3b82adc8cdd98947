//! All that a front end may know of the engine.
//!
//! - [`handle`]: the way in and out; [`command`]: what can be asked of the engine, and what it answers.
//! - [`event`]: what happened; `event_replay`: events nobody has heard yet.
//! - [`snapshot`]: how everything stands; [`chunk_states`]: how every chunk stands, shared page by page; [`cause`]: why
//!   something is slow; [`figures`]: numbers for machines that watch.
//! - [`config`]: what an engine is started with; [`pattern`]: which files of a folder are meant.
//! - [`library`]: for `share`, `hash` and `verify`, which need no engine.
//! - `serde_with`: how all that crosses to another process.

pub mod cause;
pub mod chunk_states;
pub mod command;
pub mod config;
pub mod event;
pub(crate) mod event_replay;
pub mod figures;
pub mod handle;
pub mod pattern;
pub(crate) mod serde_with;
pub mod snapshot;

use std::path::Path;

use common::join::JoinString;
use config::{EngineConfig, StartError};
use handle::EngineHandle;

/// What is shared and remembered, without an engine. Blocking code: call it from threads that may wait for a disk.
pub mod library {
    pub use crate::library::{
        Compared, Library, LibraryError, MAX_WATCHED, Prepared, Progress, ShareError, ShareRecord,
        WATCHED_KEY, compare, hash_path, hash_watched, too_many_watched, watched, watched_text,
    };
    pub use crate::session::{describe_prepared, describe_share};
}

/// Counts up when a command, a choice within one, or an event is added that an earlier version cannot read
/// ([`command::Command::since`], [`event::Event::for_older`]).
pub const KNOWS: u16 = 5;

/// The network that an engine on this state folder would join by itself, with its secret; nothing is
/// changed there.
pub fn known_network(state_dir: &Path) -> Option<JoinString> {
    crate::session::known(state_dir)
}

/// Starts an engine: opens the state folder, binds the port, restores shares and downloads, joins the
/// network, and from then on runs by itself.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub async fn start(config: EngineConfig) -> Result<EngineHandle, StartError> {
    crate::session::start(config).await
}
