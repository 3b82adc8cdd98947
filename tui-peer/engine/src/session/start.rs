//! From a configuration to a running session.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime};

use common::channel::Channel;
use common::identity::{Identity, IdentityError};
use common::names::show;
use common::net::Links;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::background::Background;
use super::checks::Checks;
use super::clock::{Clocks, system_up};
use super::contents::Contents;
use super::core::Core;
use super::folders::Folders;
use super::helpers::threads;
use super::network::Net;
use super::preferences::Preferences;
use super::publisher::Publisher;
use super::sharing::Sharing;
use super::storage::Storage;
use super::whereabouts::Whereabouts;
use super::write_queue::WriteQueue;
use super::{Counters, DONE_QUEUE, NoProbe, Probe, Queues, Session};
use crate::admission::Gate;
use crate::api::config::{EngineConfig, OnStart, StartError};
use crate::api::event::{Level, Target};
use crate::api::handle::{self, EngineHandle};
use crate::api::snapshot::{Me, NetState, Snapshot};
use crate::conn::{ConnEvent, Ours, Traffic, listen};
use crate::disk::{BufPool, Disk, DiskEvent};
use crate::library::{Library, LibraryError, Loaded, Opener, plain_opener};
use crate::limiter::Limiter;
use swarm::event::Input;
use swarm::{Node, NodeConfig};

/// Bytes of payload in memory at most: received and not yet written, or read and not yet sent. Enough
/// for a fast link's delay, little enough that the whole peer stays under 150 MB (THREATS.md adds it up).
const BUFFER_BUDGET: usize = 72 * 1024 * 1024;
/// Bytes of payload requested and not yet written. A frame of an odd length takes up to 4/3 of what it carries: so
/// that all that was requested has room, serving finds some beside it, and a full budget can never stand still.
const REQUEST_BUDGET: u64 = 48 * 1024 * 1024;
const _: () = assert!(REQUEST_BUDGET / 3 * 4 < BUFFER_BUDGET as u64);
/// Events of connections waiting for the session.
const CONN_QUEUE: usize = 4096;
/// Results of disk workers waiting for the session.
const DISK_QUEUE: usize = 1024;

/// Opens the state folder, binds the port, and starts the session's task.
pub(crate) async fn start(config: EngineConfig) -> Result<EngineHandle, StartError> {
    start_with(config, Arc::new(NoProbe)).await
}

/// The same with something between it and the user's paths.
pub(super) async fn start_with(
    config: EngineConfig,
    probe: Arc<dyn Probe>,
) -> Result<EngineHandle, StartError> {
    start_on(config, probe, plain_opener()).await
}

/// The same with something between the library and its file.
pub(super) async fn start_on(
    config: EngineConfig,
    probe: Arc<dyn Probe>,
    opener: Opener,
) -> Result<EngineHandle, StartError> {
    let (library, Remembered { shared, loaded }) = open_library(&config, opener)?;
    if let Some(bytes) = probe.library_keeps() {
        library.keep(bytes);
    }
    make_folder(&config.downloads)?;
    let identity = identity(&config.state_dir)?;
    let me = identity.peer_id();
    let channel = Channel::new(&identity).map_err(|e| StartError::State(e.to_string()))?;
    let addr = config.listen;
    let (listener, fallback) = bind(addr, config.port_fallback.unwrap_or(false))?;
    // Where it cannot be shared, connections to the tracker come from any other.
    let shared_port = common::net::share_port(&listener).is_ok();
    let listening = listener.local_addr().map_err(|source| StartError::Listen { addr, source })?;

    let (conn_tx, conns) = mpsc::channel(CONN_QUEUE);
    let (disk_tx, disk_rx) = mpsc::channel(DISK_QUEUE);
    let (done_tx, done) = mpsc::channel(DONE_QUEUE);
    let ours = ours(&config, channel, listening.port(), disk_tx, conn_tx);
    let seed = config.seed.unwrap_or_else(|| fastrand::u64(..));
    let node = Node::new(NodeConfig { budget: REQUEST_BUDGET, ..NodeConfig::default() }, me, seed);
    let (handle, parts) = handle::channel(Snapshot::first(Me {
        peer: me,
        nick: show(&config.nick),
        listen: listening,
        downloads: config.downloads.clone(),
        disk_free: None,
        serving: true,
    }));
    let accepting = tokio::spawn(listen(listener, ours.clone()));

    let now = Instant::now();
    let (folders, stale) = Folders::load(&loaded.settings, &shared);
    let mut session = Session {
        core: Core::new(node, me),
        background: Background::new(probe, done_tx),
        publisher: Publisher::new(parts.events, parts.snapshots),
        write_queue: WriteQueue::new(library),
        net: Net::new(identity, (listening, shared_port), Whereabouts::load(&loaded.settings, now)),
        ours,
        conns: BTreeMap::new(),
        contents: Contents::default(),
        folders,
        sharing: Sharing::default(),
        checks: Checks::new(now),
        storage: Storage::load(&loaded.settings, now),
        preferences: Preferences::load(&loaded.settings, now),
        counters: Counters::default(),
        clocks: Clocks::new(now, SystemTime::now(), system_up()),
        housekept: now,
        stopping: None,
        config,
    };
    if let Some(text) = fallback {
        session.log(Level::Warn, Target::Net, text);
    }
    session.hear_folders();
    if stale {
        session.write_watched();
    }
    session.begin_run(Remembered { shared, loaded });
    let queues = Queues { commands: parts.commands, stop: parts.stop, conns, disk: disk_rx, done };
    tokio::spawn(async move {
        session.run(queues).await;
        accepting.abort();
    });
    Ok(handle)
}

/// What the library has of earlier runs.
struct Remembered {
    /// Where shares lie.
    shared: Vec<PathBuf>,
    loaded: Loaded,
}

fn open_library(
    config: &EngineConfig,
    opener: Opener,
) -> Result<(Library, Remembered), StartError> {
    let opened = Library::open_unread(&config.state_dir, opener);
    let opened = opened.and_then(|library| library.load_paths().map(|loaded| (library, loaded)));
    let (library, (shared, loaded)) = opened.map_err(|error| match error {
        LibraryError::Locked(path) => StartError::Locked { dir: path.display().to_string() },
        LibraryError::Io { path, source } => {
            StartError::Folder { dir: path.display().to_string(), source }
        }
        other => StartError::State(other.to_string()),
    })?;
    Ok((library, Remembered { shared, loaded }))
}

/// What all connections share.
fn ours(
    config: &EngineConfig,
    channel: Channel,
    port: u16,
    disk_tx: mpsc::Sender<DiskEvent>,
    events: mpsc::Sender<ConnEvent>,
) -> Ours {
    let pool = BufPool::new(BUFFER_BUDGET);
    let links = Arc::new(Links::new());
    let traffic = match config.auto_limit {
        true => Traffic::watched(links.clone()),
        false => Traffic::default(),
    };
    Ours {
        channel,
        gate: Gate::new(),
        port,
        agent: concat!("shoal/", env!("CARGO_PKG_VERSION")).into(),
        disk: Disk::start(threads(), pool.clone(), disk_tx),
        pool,
        up: Arc::new(Limiter::new(config.up)),
        down: Arc::new(Limiter::new(config.down)),
        events,
        links,
        queued: Arc::default(),
        traffic: Arc::new(traffic),
        next: Arc::new(AtomicU64::new(1)),
    }
}

impl Session {
    /// Takes up again what was remembered: the network, shares and downloads.
    fn begin_run(&mut self, remembered: Remembered) {
        let Remembered { shared, loaded } = remembered;
        self.restore_bans();
        self.feed(Input::UpLimit(self.config.up));
        self.feed(Input::DownLimit(self.config.down));
        let mut join = self.config.join.clone();
        if join.is_none() && self.config.remember && !self.config.will_host {
            match super::remembered::remembered(&self.config.state_dir) {
                Ok(found) => join = found,
                Err(unusable) => self.miss_network(&unusable),
            }
        }
        match (join, self.config.on_start) {
            (Some(join), OnStart::Resume) => self.join(join),
            (Some(join), request) => self.stay_off(join, request == OnStart::Ask),
            // Whoever asks before that command has come is not told that there is no network.
            (None, _) if self.config.will_host => self.net.state = NetState::Connecting,
            (None, _) => {}
        }
        self.restore_shares(shared);
        self.restore_downloads(loaded.downloads);
        self.restore_removals(loaded.tombstones);
        self.check_free_space();
        self.publish();
    }
}

/// Ports tried after the wanted one before the system chooses one.
const NEXT_PORTS: u16 = 20;

/// Listens on `addr`; if that is in use and `fallback`, on the next port that is free. Says so then.
fn bind(addr: SocketAddr, fallback: bool) -> Result<(TcpListener, Option<String>), StartError> {
    let in_use = match common::net::listen(addr) {
        Ok(listener) => return Ok((listener, None)),
        Err(error) => error,
    };
    if in_use.kind() != io::ErrorKind::AddrInUse {
        return Err(StartError::Listen { addr, source: in_use });
    }
    if !fallback {
        return Err(StartError::PortInUse { addr });
    }
    let next = (1..=NEXT_PORTS).filter_map(|n| addr.port().checked_add(n));
    for port in next.chain([0]) {
        let mut other = addr;
        other.set_port(port);
        if let Ok(listener) = common::net::listen(other) {
            let port = listener.local_addr().map_or(port, |addr| addr.port());
            let text = format!(
                "port {} is in use by another program: listening on {port} instead",
                addr.port()
            );
            return Ok((listener, Some(text)));
        }
    }
    Err(StartError::PortInUse { addr })
}

fn make_folder(dir: &Path) -> Result<(), StartError> {
    fs::create_dir_all(dir)
        .map_err(|source| StartError::Folder { dir: dir.display().to_string(), source })
}

fn identity(state_dir: &Path) -> Result<Identity, StartError> {
    let path = state_dir.join("identity.key");
    Identity::load_or_create(&path).map_err(|error| match error {
        IdentityError::Io { source, .. } => {
            StartError::Folder { dir: path.display().to_string(), source }
        }
        other => StartError::State(other.to_string()),
    })
}
