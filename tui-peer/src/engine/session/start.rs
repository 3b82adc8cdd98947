//! From a configuration to a running session.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime};

use common::channel::Channel;
use common::identity::{Identity, IdentityError};
use common::names::show;
use common::net::Links;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::clock::{Clocks, Gap, system_up};
use super::helpers::threads;
use super::kept::Keeping;
use super::network::Net;
use super::orphans::Orphans;
use super::remembered::remembered;
use super::whereabouts::Whereabouts;
use super::{DONE_QUEUE, NoProbe, Probe, Queues, SNAPSHOT_EVERY, Session, Totals};
use crate::engine::config::{EngineConfig, OnStart, StartError};
use crate::engine::conn::{Ours, Traffic, listen};
use crate::engine::disk::{BufPool, Disk};
use crate::engine::event::{Level, Target};
use crate::engine::figures::Errors;
use crate::engine::gate::Gate;
use crate::engine::handle::{self, EngineHandle};
use crate::engine::library::{Library, LibraryError, Opener, plain_opener};
use crate::engine::limiter::Limiter;
use crate::engine::snapshot::{Look, Me, Snapshot};
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
pub(in crate::engine) async fn start(config: EngineConfig) -> Result<EngineHandle, StartError> {
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
    let opened = Library::open_unread(&config.state_dir, opener);
    let opened = opened.and_then(|library| library.load_paths().map(|loaded| (library, loaded)));
    let (library, (shared, loaded)) = opened.map_err(|error| match error {
        LibraryError::Locked(path) => StartError::Locked { dir: path.display().to_string() },
        LibraryError::Io { path, source } => {
            StartError::Folder { dir: path.display().to_string(), source }
        }
        other => StartError::State(other.to_string()),
    })?;
    if let Some(bytes) = probe.library_keeps() {
        library.keep(bytes);
    }
    make_folder(&config.downloads)?;
    let identity = identity(&config.state_dir)?;
    let me = identity.peer_id();
    let channel = Channel::new(&identity).map_err(|e| StartError::State(e.to_string()))?;
    let addr = config.listen;
    let (listener, fallback) = bind(addr, config.port_fallback.unwrap_or(false)).await?;
    let listening = listener.local_addr().map_err(|source| StartError::Listen { addr, source })?;

    let (conn_tx, conns) = mpsc::channel(CONN_QUEUE);
    let (disk_tx, disk_rx) = mpsc::channel(DISK_QUEUE);
    let (done_tx, done) = mpsc::channel(DONE_QUEUE);
    let pool = BufPool::new(BUFFER_BUDGET);
    let disk = Disk::start(threads(), pool.clone(), disk_tx);
    let ours = Ours {
        channel,
        gate: Gate::new(),
        port: listening.port(),
        agent: concat!("shoal/", env!("CARGO_PKG_VERSION")).into(),
        pool,
        disk: disk.clone(),
        up: Arc::new(Limiter::new(config.up)),
        down: Arc::new(Limiter::new(config.down)),
        events: conn_tx,
        links: Arc::new(Links::new()),
        queued: Arc::default(),
        traffic: Arc::new(Traffic::default()),
        next: Arc::new(AtomicU64::new(1)),
    };
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

    let (folders, stale) = super::folders::Folders::load(&loaded.settings, &shared);
    let mut session = Session {
        identity: Arc::new(identity),
        me,
        listen: listening,
        began: Instant::now(),
        node,
        effects: VecDeque::new(),
        executing: false,
        conns: BTreeMap::new(),
        contents: Default::default(),
        order: Vec::new(),
        jobs: Default::default(),
        share_paths: Default::default(),
        telling: Default::default(),
        next_job: 0,
        net: Net::new(),
        nicks: HashMap::new(),
        disk,
        ours,
        library: Arc::new(library),
        done_tx,
        events: parts.events,
        snapshots: parts.snapshots,
        focus: None,
        look: Look::default(),
        lens: None,
        meters: Default::default(),
        serving: true,
        totals: Totals::default(),
        errors: Errors::default(),
        stopping: None,
        dirty: true,
        published: Instant::now(),
        snapshot_pause: SNAPSHOT_EVERY,
        housekept: Instant::now(),
        rooms: Default::default(),
        orphans: Orphans::load(&loaded.settings, Instant::now()),
        moves: super::moves::Moves::load(&loaded.settings),
        copies: Default::default(),
        sought: Default::default(),
        deleting: Vec::new(),
        chosen: Vec::new(),
        probe,
        helpers: Default::default(),
        volumes: Default::default(),
        clocks: Clocks::new(Instant::now(), SystemTime::now(), system_up()),
        gap: Gap::default(),
        removed: VecDeque::new(),
        bans: Vec::new(),
        keeping: Keeping::load(&loaded.settings, Instant::now()),
        whereabouts: Whereabouts::load(&loaded.settings, Instant::now()),
        ledger: Default::default(),
        asked: Default::default(),
        looks: super::altered::Looks::new(Instant::now()),
        folders,
        failing: Default::default(),
        failures: Default::default(),
        asking: false,
        config,
    };
    if let Some(text) = fallback {
        session.say(Level::Warn, Target::Net, text);
    }
    session.hear_folders();
    if stale {
        session.write_watched();
    }
    session.restore_bans();
    session.feed(Input::UpLimit(session.config.up));
    session.feed(Input::DownLimit(session.config.down));
    let mut join = session.config.join.clone();
    if join.is_none() && session.config.remember && !session.config.will_host {
        match remembered(&session.config.state_dir) {
            Ok(found) => join = found,
            Err(unusable) => session.miss_network(&unusable),
        }
    }
    match (join, session.config.on_start) {
        (Some(join), OnStart::Resume) => session.join(join),
        (Some(join), wish) => session.stay_off(join, wish == OnStart::Ask),
        (None, _) => {}
    }
    session.restore_shares(shared);
    session.restore_downloads(loaded.downloads);
    session.restore_removals(loaded.doomed);
    session.look_at_rooms();
    session.publish();
    let queues = Queues { commands: parts.commands, stop: parts.stop, conns, disk: disk_rx, done };
    tokio::spawn(async move {
        session.run(queues).await;
        accepting.abort();
    });
    Ok(handle)
}

/// Ports tried after the wanted one before the system chooses one.
const NEXT_PORTS: u16 = 20;

/// Listens on `addr`; if that is in use and `fallback`, on the next port that is free. Says so then.
async fn bind(
    addr: SocketAddr,
    fallback: bool,
) -> Result<(TcpListener, Option<String>), StartError> {
    let in_use = match TcpListener::bind(addr).await {
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
        if let Ok(listener) = TcpListener::bind(other).await {
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
