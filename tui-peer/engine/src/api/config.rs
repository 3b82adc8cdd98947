//! What the engine needs to know before it starts, and why it may not.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use common::id::PeerId;
use common::join::{JoinString, Secret};
use common::near::Discoverable;

/// Downloads that run at once unless configured otherwise; more wait in the queue.
pub const DEFAULT_ACTIVE: usize = 5;

/// Free space that downloads leave on their volume unless configured otherwise, in bytes ...
pub const DEFAULT_KEEP_FREE: u64 = 1 << 30;
/// ... or this part of the volume (one in so many), whichever is less.
pub const DEFAULT_KEEP_PART: u64 = 100;

/// What a start does with the network and the downloads of the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStart {
    /// Join the network and go on.
    #[default]
    Resume,
    /// Stay out of the network until the front end has asked the user
    /// ([`super::snapshot::Network::asking`]); [`super::command::Command::Rejoin`] goes on.
    Ask,
    /// Stay out of the network until [`super::command::Command::Rejoin`].
    StayOff,
}

/// In which networks the tracker may know the names of the files inside our folders, so that others find a folder by
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamesInside {
    /// In those that have a secret: elsewhere anybody may ask the tracker.
    #[default]
    Secret,
    /// In all.
    Always,
    /// In none.
    Never,
}

impl NamesInside {
    /// Whether the tracker of a network, with a secret or without, may know them.
    pub fn allows(self, has_secret: bool) -> bool {
        match self {
            Self::Secret => has_secret,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl FromStr for NamesInside {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "secret" => Ok(Self::Secret),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(()),
        }
    }
}

/// When a source is given more than one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExtraPolicy {
    /// Not to a source that is nearer than this: there no window is too small.
    pub least_rtt: Duration,
    /// Not before it sends so many bytes in a round trip: less than what any common system lets be under way (2.7 MB), and
    /// more than a line of 100 Mbit/s carries in 100 ms (1.3 MB, in bursts 1.6): a trial costs such a transfer 0.7 s.
    pub least_window: u64,
    /// Not before so many spans of two round trips have brought no more than the one before.
    pub steady: u32,
    /// They stay if all together carry so many times more than one.
    pub least_gain: f64,
}

impl Default for ExtraPolicy {
    fn default() -> Self {
        Self {
            least_rtt: Duration::from_millis(20),
            least_window: 2 << 20,
            steady: 2,
            least_gain: 1.15,
        }
    }
}

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
    /// [`super::command::Command::Host`] comes at once: the remembered network is not joined before.
    pub will_host: bool,
    /// A tracker that is run here lets in only who knows this, and its join string names all addresses of
    /// this machine; `None` lets in everybody.
    pub host_secret: Option<Secret>,
    /// When a tracker that is run here announces itself in the local network.
    pub discoverable: Discoverable,
    /// Whose downloads these are, in their journals; `None` is our own key. An engine with a key for one
    /// run only takes up what an earlier one of the same user left.
    pub owner: Option<PeerId>,
    /// In which networks the tracker may know the names of the files inside our folders.
    pub names_inside: NamesInside,
    /// Whether the router of this network is asked to let others in, when they do not reach us.
    pub portmap: bool,
    /// Payload sent per second; `None` is no limit.
    pub up: Option<u64>,
    /// Whether uploads to peers beyond our own links and private networks are held so that the line they take stays
    /// free; where the system does not tell how connections fare (it is Linux that does), they are not.
    pub auto_limit: bool,
    /// Payload received per second; `None` is no limit.
    pub down: Option<u64>,
    /// Downloads that run at once.
    pub max_active: usize,
    /// Downloads pause while less than so many bytes are free on their volume; `None` is
    /// [`DEFAULT_KEEP_FREE`] or one in [`DEFAULT_KEEP_PART`] of the volume, whichever is less.
    pub keep_free: Option<u64>,
    /// Whether folders that are shared from now on are watched: what comes into them is shared without asking.
    pub watch: bool,
    /// What to do with the network and the downloads of the last run.
    pub on_start: OnStart,
    /// Whether to take the next free port if the wanted one is in use; `None` leaves it to the front
    /// end ([`super::start`] itself does not).
    pub port_fallback: Option<bool>,
    /// When a source is given more than one connection; only tests want it otherwise.
    pub extra: ExtraPolicy,
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
            will_host: false,
            host_secret: None,
            discoverable: Discoverable::Off,
            owner: None,
            names_inside: NamesInside::default(),
            portmap: false,
            up: None,
            auto_limit: false,
            down: None,
            max_active: DEFAULT_ACTIVE,
            keep_free: None,
            watch: false,
            on_start: OnStart::default(),
            port_fallback: None,
            extra: ExtraPolicy::default(),
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
