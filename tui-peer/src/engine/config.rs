//! What the engine needs to know before it starts, and why it may not.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use common::join::JoinString;

/// Downloads that run at once unless configured otherwise; more wait in the queue.
pub const DEFAULT_ACTIVE: usize = 5;

/// Everything that does not change while the engine runs (limits and network can, by command).
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where identity, library and settings are kept. One engine per folder at a time.
    pub state_dir: PathBuf,
    /// Where downloads go.
    pub downloads: PathBuf,
    /// Where to listen; port 0 is any free port.
    pub listen: SocketAddr,
    /// Our name for others; may be empty.
    pub nick: String,
    /// The network to join; `None` joins the one remembered in the state folder, if `remember`.
    pub join: Option<JoinString>,
    /// Whether to remember the network for the next start, and to use the remembered one.
    pub remember: bool,
    /// Payload sent per second; `None` is no limit.
    pub up: Option<u64>,
    /// Payload received per second; `None` is no limit.
    pub down: Option<u64>,
    /// Downloads that run at once.
    pub max_active: usize,
    /// Seed of the engine's randomness; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl EngineConfig {
    /// A configuration with defaults for everything but the two folders.
    pub fn new(state_dir: PathBuf, downloads: PathBuf) -> Self {
        Self {
            state_dir,
            downloads,
            listen: SocketAddr::from(([0, 0, 0, 0], 7421)),
            nick: String::new(),
            join: None,
            remember: false,
            up: None,
            down: None,
            max_active: DEFAULT_ACTIVE,
            seed: None,
        }
    }
}

/// Why the engine did not start: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error(
        "{addr} is in use by another program; choose another address with --listen, or port 0 for any free one"
    )]
    PortInUse {
        /// Where.
        addr: SocketAddr,
    },
    /// Cannot listen there for another reason.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another engine uses the state folder.
    #[error(
        "{dir} is in use by another tui-peer; stop it, or give this one another folder with --state"
    )]
    Locked {
        /// Which folder.
        dir: String,
    },
    /// A folder cannot be made or written.
    #[error("cannot use {dir}: {source}; check its permissions or choose another folder")]
    Folder {
        /// Which.
        dir: String,
        /// Why.
        source: io::Error,
    },
    /// The identity or the library cannot be read.
    #[error("{0}")]
    State(String),
}
