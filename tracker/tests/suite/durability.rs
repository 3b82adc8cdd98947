//! Nothing acknowledged is lost, and nothing known is asked for again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Client, Running, Who, file, id, progress, quick};
use common::join::JoinString;
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Request, Sort};
use tracker::record::{Change, Saved};
use tracker::store::{MemoryStore, MetaStore, StoreError};
use tracker::{Config, Timing, Tracker};

fn on_disk(dir: &Path) -> Config {
    Config { state_dir: Some(dir.to_owned()), ..quick() }
}

#[tokio::test]
async fn a_restart_keeps_key_rows_names_and_shares() {
    let dir = tempfile::tempdir().unwrap();
    let shares = [file("a", 1000), file("b", 2_000_000)];
    let tracker = Running::start(on_disk(dir.path())).await;
    let key = tracker.join.tracker();
    let (mut peer, before) = Client::connect(&tracker.join, &Who::new(1)).await;
    peer.must_register(&shares).await;
    tracker.stop().await;

    let tracker = Running::start(on_disk(dir.path())).await;
    assert_eq!(tracker.join.tracker(), key);
    let (mut other, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let rows = other.list("", Sort::Name).await;
    assert_eq!(
        rows.iter().map(|row| &row.meta).collect::<Vec<_>>(),
        shares.iter().collect::<Vec<_>>()
    );
    assert!(rows.iter().all(|row| (row.sources, row.complete) == (0, 0)), "nobody is there yet");

    let (_peer, after) = Client::connect(&tracker.join, &Who::sharing(1, &shares)).await;
    assert!(after.share_ok, "the digest says it all");
    assert_ne!(before.epoch, after.epoch);
    assert!(other.list("", Sort::Name).await.iter().all(|row| row.complete == 1));
    tracker.stop().await;
}

#[tokio::test]
async fn a_wrong_digest_is_noticed() {
    let tracker = Running::start(quick()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let shares = [file("a", 1000)];
    peer.must_register(&shares).await;
    drop(peer);
    let (mut peer, welcome) = Client::connect(&tracker.join, &Who::new(1)).await;
    assert!(!welcome.share_ok);
    // What it had registered does not count until it says so again.
    assert_eq!(peer.list("", Sort::Name).await[0].sources, 0);
    tracker.stop().await;
}

/// The real program on a state folder.
struct Program {
    child: Child,
    join: JoinString,
}

impl Program {
    fn start(dir: &Path) -> Self {
        Self::launch(Command::new(env!("CARGO_BIN_EXE_tracker")), dir)
    }

    /// As a process to which a file-size limit is an error like a full disk, not a deadly signal.
    fn start_limitable(dir: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tracker")]);
        Self::launch(shell, dir)
    }

    /// Lets no file of the process grow beyond `bytes`.
    fn limit_files(&self, bytes: Option<u64>) {
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap());
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    }

    fn launch(mut command: Command, dir: &Path) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--json", "--state"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "ready");
        Self { child, join: ready["join"].as_str().unwrap().parse().unwrap() }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_loses_no_acknowledged_registration() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<FileMeta> = Vec::new();
    for round in 0u8..4 {
        let program = Program::start(dir.path());
        let stop = Arc::new(AtomicBool::new(false));
        let (progress, mut acks) = tokio::sync::mpsc::channel(1024);
        let mut writers = Vec::new();
        for n in 0..3u8 {
            let (join, stop, progress) =
                (program.join.clone(), Arc::clone(&stop), progress.clone());
            writers.push(tokio::spawn(async move {
                let (mut peer, _) = Client::connect(&join, &Who::new(round * 3 + n + 1)).await;
                let mut done = Vec::new();
                for batch in 0u32.. {
                    let files: Vec<_> =
                        (0..20).map(|i| file(&format!("{round} {n} {batch} {i}"), 100)).collect();
                    let q = peer.q();
                    let request =
                        Request::Register { q, files: files.clone(), more: false, full: false };
                    peer.send(&request).await;
                    match peer.next().await {
                        Some(Reply::Done { q: to }) if to == q => done.extend(files),
                        Some(other) => panic!("{other:?}"),
                        None => return done,
                    }
                    let _ = progress.send(()).await;
                    if stop.load(Ordering::Relaxed) {
                        // The tracker is being killed: see what still comes.
                        continue;
                    }
                }
                done
            }));
        }
        drop(progress);
        for _ in 0..10 * (round + 1) {
            acks.recv().await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let drain = tokio::spawn(async move { while acks.recv().await.is_some() {} });
        program.kill();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        drain.await.unwrap();
    }
    let program = Program::start(dir.path());
    let (mut peer, _) = Client::connect(&program.join, &Who::new(99)).await;
    let known: std::collections::HashSet<_> =
        peer.list("", Sort::Name).await.into_iter().map(|row| row.meta.name).collect();
    assert!(acknowledged.len() >= 4 * 10 * 20, "{}", acknowledged.len());
    let lost: Vec<_> = acknowledged.iter().filter(|meta| !known.contains(&meta.name)).collect();
    assert!(lost.is_empty(), "{} of {} lost", lost.len(), acknowledged.len());
}

/// A disk that can be full.
struct Faulty {
    store: MemoryStore,
    full: Arc<AtomicBool>,
}

impl MetaStore for Faulty {
    fn load(&mut self) -> Result<Saved, StoreError> {
        self.store.load()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) && !changes.is_empty() {
            let why = "No space left on device".to_owned();
            return Err(StoreError::Io {
                path: "disk".into(),
                kind: std::io::ErrorKind::StorageFull,
                why,
            });
        }
        self.store.apply(changes)
    }
}

#[tokio::test]
async fn a_full_disk_refuses_registrations_and_serves_the_rest() {
    let full = Arc::new(AtomicBool::new(false));
    let store = Faulty { store: MemoryStore::default(), full: Arc::clone(&full) };
    let tracker = Running::serve(Tracker::open_with(quick(), Box::new(store)).unwrap()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    peer.must_register(&[file("before", 1)]).await;
    full.store(true, Ordering::SeqCst);
    let during = file("during", 1);
    for _ in 0..2 {
        // The second time changes nothing in memory; it is not on disk all the same.
        match peer.register(std::slice::from_ref(&during)).await {
            Reply::Error { code: Code::LocalIo, text, retry_ms, .. } => {
                assert!(text.contains("No space left"), "{text}");
                assert!(retry_ms > 0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(peer.names("before").await == ["before"], "reads go on");
    full.store(false, Ordering::SeqCst);
    peer.must_register(&[during]).await;
    tracker.stop().await;
}

#[tokio::test]
async fn the_program_survives_a_full_disk_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start_limitable(dir.path());
    let store = dir.path().join("tracker.redb");
    let (mut peer, _) = Client::connect(&program.join, &Who::new(1)).await;
    program.limit_files(Some(std::fs::metadata(&store).unwrap().len()));
    let batch = |n: u32| (0..256).map(|i| file(&format!("{n} {i}"), 1)).collect::<Vec<_>>();
    let mut acknowledged = 0;
    // 256 records of some 200 bytes each, until the file would have to grow.
    let refused = loop {
        match peer.register(&batch(acknowledged)).await {
            Reply::Done { .. } => acknowledged += 1,
            Reply::Error { code: Code::LocalIo, text, .. } => break text,
            other => panic!("{other:?}"),
        }
    };
    assert!(acknowledged > 0 && refused.contains("tracker.redb"), "{acknowledged} {refused}");
    assert!(peer.names("0 17").await.contains(&"0 17".to_owned()), "reads go on");
    program.limit_files(None);
    peer.must_register(&batch(acknowledged)).await;
    program.kill();
    let program = Program::start(dir.path());
    let (mut peer, _) = Client::connect(&program.join, &Who::new(2)).await;
    assert_eq!(peer.names("").await.len(), 256 * (acknowledged as usize + 1));
}

/// A store whose disk hangs while that is set.
#[derive(Debug, Default)]
struct Hung {
    store: MemoryStore,
    hangs: Arc<AtomicBool>,
}

impl MetaStore for Hung {
    fn load(&mut self) -> Result<Saved, StoreError> {
        self.store.load()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        while self.hangs.load(Ordering::SeqCst) {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        self.store.apply(changes)
    }
}

#[tokio::test]
async fn progress_does_not_visit_the_store() {
    let hangs = Arc::new(AtomicBool::new(false));
    let store = Hung { hangs: Arc::clone(&hangs), ..Hung::default() };
    let tracker = Running::serve(Tracker::open_with(quick(), Box::new(store)).unwrap()).await;
    let big = file("big", 100 * 65536);
    let mut peers = Vec::new();
    for n in 1..=6 {
        peers.push(Client::connect(&tracker.join, &Who::new(n)).await.0);
    }
    peers[0].must_register(std::slice::from_ref(&big)).await;
    hangs.store(true, Ordering::SeqCst);
    // What has to be stored of who goes waits, and nobody for it.
    drop(peers.pop());
    // More than fit into the queue to the store.
    for peer in &mut peers[1..] {
        for chunk in 0..90 {
            peer.chunks(vec![progress(&big, &[chunk], chunk + 1, chunk == 0)]).await;
        }
        peer.sync().await;
    }
    hangs.store(false, Ordering::SeqCst);
    let located = peers[0].locations(id(&big), 50).await;
    assert_eq!((located.complete, located.partial), (1, 4));
    tracker.stop().await;
}

#[tokio::test]
async fn who_could_not_be_read_for_long_is_not_taken_for_silent() {
    let hangs = Arc::new(AtomicBool::new(false));
    let store = Hung { hangs: Arc::clone(&hangs), ..Hung::default() };
    // The last chance is a part of it, and has to outlast what a busy machine makes everybody wait.
    let silence = std::time::Duration::from_secs(3);
    let timing = Timing { silence, ..quick().timing };
    let config = Config { timing, ..quick() };
    let tracker = Running::serve(Tracker::open_with(config, Box::new(store)).unwrap()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    hangs.store(true, Ordering::SeqCst);
    // As many as may wait for the disk, and pings behind them.
    let registers: Vec<u32> = (0..8).map(|_| peer.q()).collect();
    for q in &registers {
        let files = vec![file(&q.to_string(), 1)];
        peer.send(&Request::Register { q: *q, files, more: false, full: false }).await;
    }
    let pings: Vec<u32> = (0..3).map(|_| peer.q()).collect();
    for q in &pings {
        peer.send(&Request::Ping { q: *q }).await;
    }
    // The disk hangs for longer than anybody may be silent.
    tokio::time::sleep(2 * silence).await;
    hangs.store(false, Ordering::SeqCst);
    for q in registers {
        assert_eq!(peer.answer(q).await, Reply::Done { q });
    }
    for q in pings {
        assert_eq!(peer.answer(q).await, Reply::Pong { q });
    }
    tracker.stop().await;
}

#[tokio::test]
async fn threads_for_peers_end_with_the_tracker_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config { workers: 2, ..on_disk(dir.path()) };
    let tracker = Running::start(config()).await;
    let mut peers = Vec::new();
    for n in 1..=4u8 {
        let (mut peer, _) = Client::connect(&tracker.join, &Who::new(n)).await;
        peer.must_register(&[file(&n.to_string(), 1)]).await;
        peers.push(peer);
    }
    // On two threads, and all of them told.
    assert_eq!(peers[3].names("").await, ["1", "2", "3", "4"]);
    tracker.stop().await;
    for peer in &mut peers {
        while let Some(reply) = peer.next().await {
            assert!(!matches!(reply, Reply::Error { .. }), "{reply:?}");
        }
    }
    // The store was closed: it can be opened again, and has everything.
    let tracker = Running::start(config()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(9)).await;
    assert_eq!(peer.names("").await, ["1", "2", "3", "4"]);
    tracker.stop().await;
}
