//! A tracker and peers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::id::ContentId;
use common::join::JoinString;
use engine::api::command::{Command, CommandErrorKind, Download, Reply, Selection};
use engine::api::config::EngineConfig;
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{Snapshot, Transfer, TransferState};
use engine::api::start;
use tokio::net::TcpListener;

/// Longest any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Net {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) join: JoinString,
}

impl Net {
    pub(crate) async fn start() -> Self {
        Self::start_with(tracker::WallClock::default()).await
    }

    /// With a tracker that has this clock.
    pub(crate) async fn start_with(wall: tracker::WallClock) -> Self {
        Self::serve(tracker::Config { wall, ..tracker::Config::default() }).await
    }

    /// With a tracker that keeps its state there.
    pub(crate) async fn start_in(dir: &Path) -> Self {
        let state_dir = Some(dir.to_path_buf());
        Self::serve(tracker::Config { state_dir, ..tracker::Config::default() }).await
    }

    async fn serve(config: tracker::Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tracker = tracker::Tracker::open(config).unwrap();
        let join = tracker.join_string("127.0.0.1", port).unwrap();
        tokio::spawn(tracker.run(listener, std::future::pending()));
        Self { temp: tempfile::tempdir().unwrap(), join }
    }

    pub(crate) fn config(&self, name: &str) -> EngineConfig {
        let dir = self.temp.path().join(name);
        let mut config = EngineConfig::new(dir.join("state"), dir.join("d"));
        config.listen = ([127, 0, 0, 1], 0).into();
        config.nick = name.to_owned();
        config.join = Some(self.join.clone());
        config.keep_free = Some(0);
        config
    }

    pub(crate) async fn peer(&self, name: &str) -> EngineHandle {
        start(self.config(name)).await.unwrap()
    }

    /// `seed` shares all of `paths`, and `peer` sees them.
    pub(crate) async fn offered<const N: usize>(
        &self,
        paths: [&Path; N],
    ) -> (EngineHandle, EngineHandle, [ContentId; N]) {
        let seed = self.peer("seed").await;
        let mut ids = [ContentId::from_bytes([0; 32]); N];
        for (id, path) in ids.iter_mut().zip(paths) {
            *id = share(&seed, path).await;
        }
        let peer = self.peer("peer").await;
        until(&peer, "the catalogue", |s| {
            s.catalogue.rows.iter().filter(|row| row.sources == 1).count() == N
        })
        .await;
        (seed, peer, ids)
    }

    /// As [`Self::offered`], and `peer` has fetched more than `least` bytes of it at 1 MiB/s, which goes
    /// on.
    pub(crate) async fn begun(
        &self,
        path: &Path,
        least: u64,
    ) -> (EngineHandle, EngineHandle, ContentId) {
        let (seed, peer, [id]) = self.offered([path]).await;
        ok(&seed, Command::Limits { up: Some(1 << 20), down: None }).await;
        download(&peer, id).await;
        until(&peer, "some of it", |s| transfer(s, id).is_some_and(|t| t.done > least)).await;
        (seed, peer, id)
    }

    /// A folder of files with these paths and sizes.
    pub(crate) fn folder(&self, files: &[(&str, usize)]) -> PathBuf {
        for (name, size) in files {
            self.file(&format!("folder/{name}"), *size);
        }
        self.temp.path().join("files/folder")
    }

    /// A file of repeatable bytes.
    pub(crate) fn file(&self, name: &str, size: usize) -> PathBuf {
        let path = self.temp.path().join("files").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(size as u64).fill(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) async fn until(engine: &EngineHandle, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let mut snapshots = engine.snapshots();
    let wait = async {
        while !holds(&snapshots.borrow_and_update()) {
            snapshots.changed().await.unwrap();
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        let snap = engine.snapshot();
        panic!("never: {what}; transfers: {:#?}", snap.transfers);
    }
}

/// Shares a file; its id once others can find it.
pub(crate) async fn share(engine: &EngineHandle, path: &Path) -> ContentId {
    engine.call(Command::Share { path: path.to_path_buf(), name: None }).await.unwrap();
    let is = |t: &Transfer| t.path == *path && t.state == TransferState::Sharing;
    until(engine, "it is shared", |s| s.transfers.iter().any(is)).await;
    engine.snapshot().transfers.iter().find(|t| is(t)).unwrap().id
}

pub(crate) async fn download(engine: &EngineHandle, id: ContentId) {
    pick(engine, id, Selection::All).await;
}

pub(crate) async fn pick(engine: &EngineHandle, id: ContentId, files: Selection) {
    let request = Download { id, name: None, dir: None, files };
    engine.call(Command::Download(request)).await.unwrap();
}

pub(crate) async fn ok(engine: &EngineHandle, command: Command) {
    assert!(matches!(engine.call(command).await, Ok(Reply::Accepted)));
}

/// The message with which a senseless command is refused.
pub(crate) async fn refused(engine: &EngineHandle, command: Command) -> String {
    let error = engine.call(command.clone()).await.expect_err(&format!("{command:?}"));
    assert!(matches!(error.kind, CommandErrorKind::Invalid | CommandErrorKind::NotFound));
    error.message
}

pub(crate) fn transfer(snap: &Snapshot, id: ContentId) -> Option<&Transfer> {
    snap.transfers.iter().find(|t| t.id == id)
}

pub(crate) fn state(snap: &Snapshot, id: ContentId) -> Option<&TransferState> {
    transfer(snap, id).map(|t| &t.state)
}

pub(crate) fn is(snap: &Snapshot, id: ContentId, wanted: &TransferState) -> bool {
    state(snap, id) == Some(wanted)
}

pub(crate) async fn stop(engine: EngineHandle) {
    engine.stop(Stop::Gracefully);
    engine.stopped().await;
}

/// Starts an engine in the folder of one that is just ending.
pub(crate) async fn start_again(config: EngineConfig) -> EngineHandle {
    let begun = std::time::Instant::now();
    loop {
        match start(config.clone()).await {
            Ok(engine) => return engine,
            Err(error) if begun.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
