//! A disk that hangs, and what goes on beside it. Looks at it are held in [`Hang`], which stands for a
//! network mount whose server does not answer.

mod again;
mod answers;
mod folders;
mod free_space;
mod orphans;
mod verify;
mod volumes;
mod write_queue;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use common::id::ContentId;
use tokio::sync::watch;

use super::Probe;
use super::changed::CHECK_EVERY;
use super::orphans::FIRST_AFTER;
use super::start::start_with;
use crate::api::command::{Command, CommandError, Download, Reply, Selection};
use crate::api::config::EngineConfig;
use crate::api::handle::{EngineHandle, Stop};
use crate::api::snapshot::{Snapshot, Transfer, TransferState};
use crate::disk::Space;

/// Longest any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that hangs.
struct Hang {
    dir: Mutex<Option<PathBuf>>,
    /// What is a volume of its own: where it hung last.
    volume: Mutex<Option<PathBuf>>,
    /// How often shares are looked at.
    every: Duration,
    freed: Condvar,
    /// Bytes that are said to be free, if not as many as there are.
    space: Mutex<Option<u64>>,
    /// How long a peer runs before it looks for old parts.
    orphans_after: Mutex<Duration>,
    /// Looks that hung.
    held: watch::Sender<usize>,
    /// Whether hashing waits, and what was read again.
    holds: AtomicBool,
    /// What has waited so.
    waited: watch::Sender<usize>,
}

impl Hang {
    fn new() -> Arc<Self> {
        Self::looking_every(CHECK_EVERY)
    }

    fn looking_every(every: Duration) -> Arc<Self> {
        let (dir, volume) = (Mutex::default(), Mutex::default());
        let (freed, held) = (Condvar::new(), watch::channel(0).0);
        let (space, orphans_after) = (Mutex::default(), Mutex::new(FIRST_AFTER));
        let (holds, waited) = (AtomicBool::new(false), watch::channel(0).0);
        Arc::new(Self { dir, volume, every, freed, space, orphans_after, held, holds, waited })
    }

    /// From now on looks at what is in `dir` hang.
    fn hang(&self, dir: &Path) {
        *self.volume.lock().unwrap() = Some(dir.to_path_buf());
        *self.dir.lock().unwrap() = Some(dir.to_path_buf());
    }

    /// From now on nothing is hashed, and what was read again is not told.
    fn hold(&self) {
        self.waited.send_replace(0);
        self.holds.store(true, Ordering::SeqCst);
    }

    fn wait(&self) {
        if self.holds.load(Ordering::SeqCst) {
            self.waited.send_modify(|waited| *waited += 1);
        }
        while self.holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Until so much waits to be hashed or told.
    async fn until_waiting(&self, count: usize) {
        let mut waited = self.waited.subscribe();
        let enough = waited.wait_for(|waited| *waited >= count);
        tokio::time::timeout(PATIENCE, enough).await.expect("nothing is hashed").unwrap();
    }

    fn free(&self) {
        self.holds.store(false, Ordering::SeqCst);
        *self.dir.lock().unwrap() = None;
        self.freed.notify_all();
    }

    async fn until_held(&self, looks: usize) {
        let mut held = self.held.subscribe();
        let enough = held.wait_for(|held| *held >= looks);
        tokio::time::timeout(PATIENCE, enough).await.expect("nobody looks").unwrap();
    }
}

impl Probe for Hang {
    fn volume(&self, path: &Path) -> Option<u64> {
        let volume = self.volume.lock().unwrap();
        volume.as_ref().filter(|volume| path.starts_with(volume)).map(|_| u64::MAX)
    }

    fn check_every(&self) -> Duration {
        self.every
    }

    fn hashing(&self, _: &Path) {
        self.wait();
    }

    fn compared(&self, _: &Path) {
        self.wait();
    }

    fn states_leave(&self) -> u64 {
        1
    }

    fn orphans_after(&self) -> Duration {
        *self.orphans_after.lock().unwrap()
    }

    fn space(&self, _: &Path) -> Option<Space> {
        self.space.lock().unwrap().map(|free| Space { free, size: 1 << 40 })
    }

    fn before(&self, path: &Path) {
        let mut dir = self.dir.lock().unwrap();
        let hangs = |dir: &Option<PathBuf>| dir.as_ref().is_some_and(|dir| path.starts_with(dir));
        if hangs(&dir) {
            self.held.send_modify(|held| *held += 1);
        }
        while hangs(&dir) {
            dir = self.freed.wait(dir).unwrap();
        }
    }
}

/// Whatever the test does, nothing hangs after it.
struct Free(Arc<Hang>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.free();
    }
}

fn config(dir: &Path, name: &str) -> EngineConfig {
    let dir = dir.join(name);
    let mut config = EngineConfig::new(dir.join("state"), dir.join("d"));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.keep_free = Some(0);
    config
}

async fn peer(config: EngineConfig, hang: &Arc<Hang>) -> EngineHandle {
    start_with(config, hang.clone()).await.unwrap()
}

/// A network with a peer that shares files of these sizes.
async fn seed<const N: usize>(temp: &Path, sizes: [usize; N]) -> (EngineHandle, [ContentId; N]) {
    let seed = peer(config(temp, "seed"), &Hang::new()).await;
    seed.call(Command::Host).await.unwrap();
    let mut ids = [ContentId::from_bytes([0; 32]); N];
    for (id, size) in ids.iter_mut().zip(sizes) {
        *id = share(&seed, &file(temp, size)).await;
    }
    (seed, ids)
}

/// A peer in the network of `seed` that knows of all its files.
async fn joined(temp: &Path, seed: &EngineHandle, hang: &Arc<Hang>) -> EngineHandle {
    let mut config = config(temp, "peer");
    let Ok(Reply::Hosting(join)) = seed.call(Command::Host).await else { panic!("no tracker") };
    config.join = Some(join);
    let peer = peer(config, hang).await;
    let all = seed.snapshot().transfers.len();
    until(&peer, "the catalogue", |s| s.catalogue.rows.len() == all).await;
    peer
}

fn file(temp: &Path, size: usize) -> PathBuf {
    let path = temp.canonicalize().unwrap().join(format!("{size}.bin"));
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(size as u64).fill(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn until(engine: &EngineHandle, what: &str, holds: impl FnMut(&Snapshot) -> bool) {
    let (mut snapshots, mut holds) = (engine.snapshots(), holds);
    let wait = snapshots.wait_for(|snapshot| holds(snapshot));
    let waited = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(waited, "never: {what}; transfers: {:#?}", engine.snapshot().transfers);
}

async fn share(engine: &EngineHandle, path: &Path) -> ContentId {
    ok(engine, Command::Share { path: path.to_path_buf(), name: None }).await;
    let is = |t: &&Transfer| t.path == *path && t.state == TransferState::Sharing;
    until(engine, "it is shared", |s| s.transfers.iter().any(|t| is(&t))).await;
    engine.snapshot().transfers.iter().find(is).unwrap().id
}

fn request(id: ContentId, dir: Option<&Path>) -> Command {
    let dir = dir.map(Path::to_path_buf);
    Command::Download(Download { id, name: None, dir, files: Selection::All })
}

async fn ok(engine: &EngineHandle, command: Command) {
    let answer = tokio::time::timeout(PATIENCE, engine.call(command.clone())).await;
    assert!(matches!(answer, Ok(Ok(Reply::Accepted))), "{command:?}: {answer:?}");
}

type Answer = Result<Reply, CommandError>;

/// A command whose answer takes its time.
fn call(engine: &EngineHandle, command: Command) -> tokio::task::JoinHandle<Answer> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.call(command).await })
}

fn state(snapshot: &Snapshot, id: ContentId) -> Option<TransferState> {
    let found = snapshot.transfers.iter().find(|t| t.id == id);
    found.map(|t| t.state.clone())
}

fn is_here(id: ContentId) -> impl Fn(&Snapshot) -> bool {
    move |s| state(s, id) == Some(TransferState::Sharing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_folder_that_hangs_holds_up_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [first, second]) = seed(temp.path(), [300_000, 300_001]).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let slow = temp.path().join("peer/d");
    hang.hang(&slow);
    let peer = joined(temp.path(), &seed, &hang).await;
    ok(&peer, request(first, None)).await;
    // How much is free there, and what of the download is there already.
    hang.until_held(2).await;
    until(&peer, "it is looked for", |s| state(s, first) == Some(TransferState::Checking)).await;
    assert_eq!(peer.snapshot().me.disk_free, None);

    ok(&peer, Command::Limits { up: None, down: Some(8 << 20) }).await;
    ok(&peer, request(second, Some(&temp.path().join("fast")))).await;
    until(&peer, "the other one", is_here(second)).await;
    assert_eq!(std::fs::read(temp.path().join("fast/300001.bin")).unwrap().len(), 300_001);
    let third = share(&peer, &file(temp.path(), 300_002)).await;
    until(&seed, "it serves", |s| s.catalogue.rows.iter().any(|row| row.id == third)).await;
    ok(&seed, request(third, None)).await;
    until(&seed, "from it", is_here(third)).await;
    ok(&peer, Command::Pause { id: first }).await;
    ok(&peer, Command::Resume { id: first }).await;
    until(&peer, "it is looked for still", |s| state(s, first) == Some(TransferState::Checking))
        .await;
    assert_eq!(*hang.held.borrow(), 2, "nobody looks again while a look is out");

    hang.free();
    until(&peer, "it goes on", is_here(first)).await;
    until(&peer, "what is free", |s| s.me.disk_free.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_begun_anew_elsewhere_stays_there_when_its_first_folder_answers() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [4_000_000]).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = joined(temp.path(), &seed, &hang).await;
    ok(&peer, Command::Limits { up: None, down: Some(1 << 20) }).await;
    let (slow, fast) = (temp.path().join("slow"), temp.path().join("fast"));
    std::fs::create_dir(&slow).unwrap();
    hang.hang(&slow);
    ok(&peer, request(id, Some(&slow))).await;
    hang.until_held(1).await;
    ok(&peer, Command::Remove { id, delete_partial: true }).await;
    ok(&peer, request(id, Some(&fast))).await;
    until(&peer, "it is open", |s| state(s, id) == Some(TransferState::Getting)).await;
    hang.free();
    until(&peer, "all of it", is_here(id)).await;
    assert!(fast.join("4000000.bin").exists());
    peer.stop(Stop::Gracefully);
    peer.stopped().await;
    // The empty part goes beside all that.
    let gone = tokio::task::spawn_blocking(move || {
        let end = Instant::now() + PATIENCE;
        while std::fs::read_dir(&slow).unwrap().count() > 0 {
            assert!(Instant::now() < end, "something is left there");
            std::thread::yield_now();
        }
    });
    gone.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_though_its_journal_and_its_free_space_hang() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [4_000_000]).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = joined(temp.path(), &seed, &hang).await;
    let dir = temp.path().join("other");
    ok(&peer, Command::Limits { up: None, down: Some(1 << 20) }).await;
    ok(&peer, request(id, Some(&dir))).await;
    until(&peer, "it is open", |s| state(s, id) == Some(TransferState::Getting)).await;
    hang.hang(&dir);
    hang.until_held(1).await;
    until(&peer, "all of it", is_here(id)).await;
    let there = std::fs::read(dir.join("4000000.bin")).unwrap();
    assert_eq!(there, std::fs::read(temp.path().join("4000000.bin")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unshared_while_it_is_looked_for_stays_unshared() {
    let temp = tempfile::tempdir().unwrap();
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = peer(config(temp.path(), "peer"), &hang).await;
    let path = file(temp.path(), 1000);
    let again = Command::Share { path: path.clone(), name: None };
    let id = share(&peer, &path).await;
    hang.hang(&path);
    let first = call(&peer, again.clone());
    hang.until_held(1).await;
    // Others are shared meanwhile.
    share(&peer, &file(temp.path(), 1001)).await;
    ok(&peer, Command::Unshare { id }).await;
    hang.free();
    assert!(matches!(first.await.unwrap(), Ok(Reply::Accepted)));
    // What was shared next was asked for later.
    share(&peer, &file(temp.path(), 1002)).await;
    assert_eq!(state(&peer.snapshot(), id), None);
    assert!(peer.snapshot().transfers.iter().all(|t| t.path != path));

    // The other way round it is shared.
    hang.hang(&path);
    let first = call(&peer, again.clone());
    hang.until_held(2).await;
    ok(&peer, Command::Limits { up: None, down: None }).await;
    let second = call(&peer, again);
    hang.free();
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    until(&peer, "it is shared", is_here(id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_share_that_is_unshared_while_it_is_looked_at_does_not_come_back() {
    let temp = tempfile::tempdir().unwrap();
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = peer(config(temp.path(), "peer"), &hang).await;
    let path = file(temp.path(), 1000);
    let id = share(&peer, &path).await;
    std::fs::write(&path, "something else").unwrap();
    hang.hang(&path);
    ok(&peer, Command::Verify { id }).await;
    hang.until_held(1).await;
    until(&peer, "it is doubted", |s| state(s, id) == Some(TransferState::Checking)).await;
    share(&peer, &file(temp.path(), 1001)).await;
    ok(&peer, Command::Unshare { id }).await;
    hang.free();
    share(&peer, &file(temp.path(), 1002)).await;
    assert!(peer.snapshot().transfers.iter().all(|t| t.path != path));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_chosen_last_is_used_however_long_an_earlier_one_hangs() {
    let temp = tempfile::tempdir().unwrap();
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = peer(config(temp.path(), "peer"), &hang).await;
    let (slow, fast) = (temp.path().join("slow"), temp.path().join("fast"));
    hang.hang(&slow);
    let first = call(&peer, Command::Downloads { dir: slow.clone() });
    hang.until_held(1).await;
    assert_eq!(peer.snapshot().me.downloads, temp.path().join("peer/d"));
    ok(&peer, Command::Downloads { dir: fast.clone() }).await;
    until(&peer, "the later one", |s| s.me.downloads == fast).await;
    hang.free();
    assert!(matches!(first.await.unwrap(), Ok(Reply::Accepted)));
    ok(&peer, Command::Limits { up: None, down: Some(1 << 20) }).await;
    until(&peer, "the limit", |s| s.uploads.down_limit == Some(1 << 20)).await;
    assert_eq!(peer.snapshot().me.downloads, fast);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_downloaded_while_its_folder_is_looked_at_goes_there_or_where_it_went() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [first, second]) = seed(temp.path(), [300_000, 300_001]).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = joined(temp.path(), &seed, &hang).await;
    let good = temp.path().join("good");
    hang.hang(&good);
    let chosen = call(&peer, Command::Downloads { dir: good.clone() });
    hang.until_held(1).await;
    ok(&peer, request(first, None)).await;
    until(&peer, "it waits", |s| state(s, first) == Some(TransferState::Checking)).await;
    hang.free();
    assert!(chosen.await.unwrap().is_ok());
    until(&peer, "the first", is_here(first)).await;
    assert!(good.join("300000.bin").exists());

    let bad = temp.path().join("300000.bin/below");
    hang.hang(&bad);
    let chosen = call(&peer, Command::Downloads { dir: bad });
    hang.until_held(2).await;
    ok(&peer, request(second, None)).await;
    until(&peer, "it waits", |s| state(s, second) == Some(TransferState::Checking)).await;
    hang.free();
    assert!(chosen.await.unwrap().unwrap_err().message.contains("downloads go where they went"));
    until(&peer, "the second", is_here(second)).await;
    assert!(good.join("300001.bin").exists());
}
