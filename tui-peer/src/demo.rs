//! `demo`: a whole small network on this machine, over real sockets: a tracker, a few peers with
//! rate limits and partial copies, sample files made on the spot, and the user's own peer among them.
//! Everything lies in one temporary folder that is gone afterwards.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::id::ContentId;
use common::join::JoinString;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::args::{Demo, exit};
use crate::headless::{self, Output, Service, stop_signal};
use engine::api::command::{Command, Download, Selection};
use engine::api::config::EngineConfig;
use engine::api::handle::{EngineHandle, Stop};
use settings::Table;

/// Sample files: name and MiB. Small enough to be made in a moment, large enough to watch.
const FILES: [(&str, usize); 4] = [
    ("debian-netinst-amd64.iso", 96),
    ("lecture-07-consensus.mkv", 64),
    ("proteins-2026q3.tar.zst", 40),
    ("field-recordings.flac.zip", 24),
];
/// A sample folder: files of these KiB.
const FOLDER: [(&str, usize); 6] = [
    ("rust-docs/index.html", 12),
    ("rust-docs/book/ch01.html", 90),
    ("rust-docs/book/ch02.html", 140),
    ("rust-docs/std/all.json", 2048),
    ("rust-docs/std/search.js", 700),
    ("rust-docs/LICENSE", 10),
];
/// Peers beside the user's own: name, upload bytes per second, which files it holds whole (an index
/// into `FILES`), which it is fetching itself.
const PEERS: [(&str, u64, &[usize], &[usize]); 4] = [
    ("rack7", 3 << 20, &[0, 1, 2], &[]),
    ("maria-laptop", 2 << 20, &[1], &[0]),
    ("build-box", 2 << 20, &[0], &[1, 2]),
    ("attic-nas", 1 << 20, &[3], &[0]),
];
/// The user's own peer.
const OWN: &str = "you";
/// How often it is looked whether the samples' writer has let go.
const LET_GO: Duration = Duration::from_millis(5);
/// When one of the full sources goes away, to be seen leaving.
const LEAVES_AFTER: Duration = Duration::from_secs(25);
/// When it comes back.
const RETURNS_AFTER: Duration = Duration::from_secs(15);

/// Runs until the user quits, with these settings, none of which is saved; returns the exit code.
pub async fn run(request: Demo, table: Table) -> u8 {
    let mut out = Output::new(request.json, 0);
    // Before there is anything to clean up.
    let stopped = stop_signal();
    let root = match Root::new() {
        Ok(root) => root,
        Err(error) => {
            out.note(&format!("tui-peer: demo: cannot make a temporary folder: {error}"));
            return exit::IO;
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let built = tokio::select! {
        built = build(&root.0, stop.clone()) => built,
        code = stopped => {
            // What still writes samples stops at the next block, then the folder goes.
            stop.store(true, Ordering::Relaxed);
            while Arc::strong_count(&stop) > 1 {
                tokio::time::sleep(LET_GO).await;
            }
            return code;
        }
    };
    match built {
        Ok(network) => {
            let code = network.show(&request, table, &mut out).await;
            drop(root);
            code
        }
        Err(why) => {
            out.note(&format!("tui-peer: demo: {why}"));
            exit::OTHER
        }
    }
}

/// The temporary folder; removed on drop.
struct Root(PathBuf);

impl Root {
    fn new() -> io::Result<Self> {
        let name = format!("shoal-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Network {
    root: PathBuf,
    join: JoinString,
    own: EngineHandle,
    peers: Vec<EngineHandle>,
    tracker: oneshot::Sender<()>,
}

async fn build(root: &Path, stop: Arc<AtomicBool>) -> Result<Network, String> {
    let samples = root.join("samples");
    let made = samples.clone();
    tokio::task::spawn_blocking(move || make_samples(&made, &stop))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("cannot write sample files: {error}"))?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let tracker =
        tracker::Tracker::open(tracker::Config::default()).map_err(|error| error.to_string())?;
    let join = tracker.join_string("127.0.0.1", port).map_err(|error| error.to_string())?;
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(tracker.run(listener, async {
        let _ = stopped.await;
    }));
    let mut peers = Vec::new();
    for (i, (nick, up, whole, _)) in PEERS.iter().enumerate() {
        let engine = peer(root, nick, Some(*up), &join).await?;
        for file in *whole {
            if let Some((name, _)) = FILES.get(*file) {
                share(&engine, samples.join(name)).await;
            }
        }
        if i == 0 {
            share(&engine, samples.join("rust-docs")).await;
        }
        peers.push(engine);
    }
    for ((_, _, _, fetching), engine) in PEERS.iter().zip(&peers) {
        for file in *fetching {
            if let Some((name, _)) = FILES.get(*file) {
                fetch(engine, name);
            }
        }
    }
    let own = peer(root, OWN, None, &join).await?;
    Ok(Network { root: root.to_path_buf(), join, own, peers, tracker: stop })
}

/// State and downloads of a peer.
fn folders(root: &Path, nick: &str) -> (PathBuf, PathBuf) {
    (root.join(nick).join("state"), root.join(nick).join("downloads"))
}

async fn peer(
    root: &Path,
    nick: &str,
    up: Option<u64>,
    join: &JoinString,
) -> Result<EngineHandle, String> {
    let (state, downloads) = folders(root, nick);
    let mut config = EngineConfig::new(state, downloads);
    config.listen = ([127, 0, 0, 1], 0).into();
    config.nick = nick.to_owned();
    config.join = Some(join.clone());
    config.up = up;
    engine::api::start(config).await.map_err(|error| error.to_string())
}

async fn share(engine: &EngineHandle, path: PathBuf) {
    // A refusal shows in that peer's log only; the demo goes on with what there is.
    let _ = engine.call(Command::Share { path, name: None }).await;
}

/// Downloads a file by name as soon as the catalogue has it, in the background.
fn fetch(engine: &EngineHandle, name: &'static str) {
    let engine = engine.clone();
    tokio::spawn(async move {
        let mut snapshots = engine.snapshots();
        loop {
            let found = find(&snapshots.borrow_and_update(), name);
            if let Some(id) = found {
                let files = Selection::All;
                let download = Download { id, name: None, dir: None, files };
                let _ = engine.call(Command::Download(download)).await;
                return;
            }
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    });
}

fn find(snapshot: &engine::api::snapshot::Snapshot, name: &str) -> Option<ContentId> {
    let row = snapshot.catalogue.rows.iter().find(|row| &*row.name == name)?;
    (row.sources > 0).then_some(row.id)
}

impl Network {
    async fn show(self, request: &Demo, table: Table, out: &mut Output) -> u8 {
        let Self { root, join, own, peers, tracker } = self;
        fetch(&own, FILES[0].0);
        let drama = tokio::spawn(come_and_go(root.clone(), join, peers.last().cloned()));
        // Its own folders, which are gone at the end, and no configuration file.
        let (state, downloads) = folders(&root, OWN);
        let table = table.for_now(state, downloads, OWN);
        let code = front_end(request, own.clone(), table, out).await;
        drama.abort();
        own.stop(Stop::Now);
        for peer in &peers {
            peer.stop(Stop::Now);
        }
        for peer in &peers {
            peer.stopped().await;
        }
        own.stopped().await;
        let _ = tracker.send(());
        code
    }
}

#[cfg(feature = "tui")]
async fn front_end(request: &Demo, own: EngineHandle, table: Table, out: &mut Output) -> u8 {
    use crate::screen::{After, show};

    if request.headless || request.json {
        return headless::serve(own, Service::default(), out).await;
    }
    match show(own, Vec::new(), false, (0, request.plain), table, out).await {
        // Nothing of a demo is left to go on in the background.
        After::End(code) | After::ServeOn(code, _) => code,
        // Its peer is in a network from the first moment: nothing offers a demo in it.
        After::Demo => exit::OK,
    }
}

#[cfg(not(feature = "tui"))]
async fn front_end(_: &Demo, own: EngineHandle, _: Table, out: &mut Output) -> u8 {
    headless::serve(own, Service::default(), out).await
}

/// The only holder of one file leaves after a while, and comes back: the heatmap shows what that means.
async fn come_and_go(root: PathBuf, join: JoinString, peer_to_leave: Option<EngineHandle>) {
    let Some(leaver) = peer_to_leave else { return };
    loop {
        tokio::time::sleep(LEAVES_AFTER).await;
        if leaver.call(Command::Leave).await.is_err() {
            return;
        }
        tokio::time::sleep(RETURNS_AFTER).await;
        let back = Command::Join { join: join.clone() };
        if leaver.call(back).await.is_err() || !root.exists() {
            return;
        }
    }
}

fn make_samples(dir: &Path, stop: &AtomicBool) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut rng = fastrand::Rng::with_seed(7);
    for (name, mib) in FILES {
        write_random(&dir.join(name), mib << 20, &mut rng, stop)?;
    }
    for (name, kib) in FOLDER {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        write_random(&path, kib << 10, &mut rng, stop)?;
    }
    Ok(())
}

fn write_random(
    path: &Path,
    len: usize,
    rng: &mut fastrand::Rng,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    let mut block = [0u8; 4096];
    for _ in 0..len / block.len() {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        rng.fill(&mut block);
        file.write_all(&block)?;
    }
    file.flush()
}
