//! Real engines and a real tracker in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "network/early.rs"]
mod early;
#[path = "network/extra.rs"]
mod extra;
#[path = "network/invited.rs"]
mod invited;
#[path = "network/reach.rs"]
mod reach;
#[path = "network/standby.rs"]
mod standby;

use std::path::Path;
use std::time::Duration;

use common::join::JoinString;
use engine::api::command::{Command, Download, Selection};
use engine::api::config::EngineConfig;
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{Look, NetState, Snapshot, StripRequest, TransferState};
use engine::api::start;
use tokio::net::TcpListener;

/// Longest any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn tracker() -> JoinString {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tracker = tracker::Tracker::open(tracker::Config::default()).unwrap();
    let join = tracker.join_string("127.0.0.1", port).unwrap();
    tokio::spawn(tracker.run(listener, std::future::pending()));
    join
}

async fn peer(dir: &Path, name: &str, join: &JoinString) -> EngineHandle {
    start(config(dir, name, join)).await.unwrap()
}

fn config(dir: &Path, name: &str, join: &JoinString) -> EngineConfig {
    let mut config = EngineConfig::new(dir.join(name).join("state"), dir.join(name).join("d"));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.nick = name.to_owned();
    config.join = Some(join.clone());
    config
}

async fn until(engine: &EngineHandle, what: &str, holds: impl Fn(&Snapshot) -> bool) {
    let mut snapshots = engine.snapshots();
    let wait = async {
        while !holds(&snapshots.borrow_and_update()) {
            snapshots.changed().await.unwrap();
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("never: {what}; catalogue: {:?}", engine.snapshot().catalogue.rows);
    }
}

fn sources(snapshot: &Snapshot, name: &str) -> Option<u32> {
    snapshot.catalogue.rows.iter().find(|row| &*row.name == name).map(|row| row.sources)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watching_peer_sees_files_and_sources_come_and_go() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let watcher = peer(temp.path(), "watcher", &join).await;
    until(&watcher, "the catalogue is whole", |s| s.catalogue.whole).await;
    let mut sharers = Vec::new();
    for n in 1..=3u32 {
        let sharer = peer(temp.path(), &format!("p{n}"), &join).await;
        for name in ["same", &format!("own{n}")] {
            let path = temp.path().join(format!("{n}")).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name.repeat(800_000)).unwrap();
            sharer.call(Command::Share { path, name: None }).await.unwrap();
        }
        sharers.push(sharer);
        until(&watcher, "one more source", |s| sources(s, "same") == Some(n)).await;
        until(&watcher, "one more file", |s| s.catalogue.rows.len() as u32 == n + 1).await;
        // Looking at one file must not stop the others from being told.
        let id = watcher.snapshot().catalogue.rows.first().map(|row| row.id);
        watcher.call(Command::Focus { id, look: Look::default() }).await.unwrap();
    }
    let gone = sharers.remove(0);
    gone.stop(Stop::Gracefully);
    gone.stopped().await;
    until(&watcher, "one source fewer", |s| sources(s, "same") == Some(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_joins_amid_registrations_ends_up_seeing_all() {
    let temp = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let dir = temp.path().join(format!("{round}"));
        let join = tracker().await;
        let mut sharers = Vec::new();
        for n in 1..=4u32 {
            let sharer = peer(&dir, &format!("p{n}"), &join).await;
            for name in ["same", &format!("own{n}")] {
                let path = dir.join(format!("{n}")).join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, name.repeat(800_000)).unwrap();
                sharer.call(Command::Share { path, name: None }).await.unwrap();
            }
            sharers.push(sharer);
        }
        let watcher = peer(&dir, "watcher", &join).await;
        until(&watcher, "all sources", |s| sources(s, "same") == Some(4)).await;
        until(&watcher, "all files", |s| s.catalogue.rows.len() == 5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_download_folder_can_be_changed_and_an_unusable_one_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let engine = peer(temp.path(), "p", &join).await;
    let dir = temp.path().join("other/folder");
    engine.call(Command::Downloads { dir: dir.clone() }).await.unwrap();
    until(&engine, "the new folder", |s| s.me.downloads == dir).await;
    assert!(dir.is_dir(), "it is made");
    let file = temp.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = engine.call(Command::Downloads { dir: file.join("below") }).await.unwrap_err();
    assert!(error.message.contains("cannot use"), "{}", error.message);
    assert_eq!(engine.snapshot().me.downloads, dir, "the old one stays");
    engine.stop(Stop::Now);
    engine.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h7_a_network_left_for_another_is_lost_not_never_reached() {
    let temp = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tracker = tracker::Tracker::open(tracker::Config::default()).unwrap();
    let first = tracker.join_string("127.0.0.1", port).unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(tracker.run(listener, async { drop(ended.await) }));
    let second = self::tracker().await;
    let config = EngineConfig { remember: true, ..config(temp.path(), "p", &first) };
    let engine = start(config).await.unwrap();
    let on = |s: &Snapshot| s.network.state == NetState::On;
    until(&engine, "in the first", on).await;
    let remembered = temp.path().join("p").join("state").join("network.join");
    let known = || std::fs::read_to_string(&remembered).unwrap().trim().to_owned();
    assert_eq!(known(), first.to_string());
    for join in [&second, &first, &second] {
        engine.call(Command::Join { join: join.clone() }).await.unwrap();
        let there = |s: &Snapshot| on(s) && s.network.tracker == join.address();
        until(&engine, "in the other", there).await;
        assert_eq!(known(), join.to_string(), "the next start is in the one joined last");
    }
    end.send(()).unwrap();
    running.await.unwrap();
    engine.call(Command::Join { join: first.clone() }).await.unwrap();
    until(&engine, "the first is gone", |s| matches!(s.network.state, NetState::Lost { .. })).await;
    assert!(engine.snapshot().network.met, "it was reached, whichever is remembered");
    assert_eq!(known(), second.to_string());
    engine.stop(Stop::Now);
    engine.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_what_and_who_sent_it_is_said_to_who_asks() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let mut sharers = Vec::new();
    for n in 1..=2 {
        let sharer = peer(temp.path(), &format!("p{n}"), &join).await;
        let path = temp.path().join(format!("{n}")).join("same");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "same".repeat(800_000)).unwrap();
        sharer.call(Command::Share { path, name: None }).await.unwrap();
        sharers.push(sharer);
    }
    let fetcher = peer(temp.path(), "fetcher", &join).await;
    until(&fetcher, "both sources", |s| sources(s, "same") == Some(2)).await;
    let id = fetcher.snapshot().catalogue.rows.first().map(|row| row.id);
    fetcher.call(Command::Focus { id, look: Look::default() }).await.unwrap();
    let plain =
        |s: &Snapshot| s.focus.as_ref().is_some_and(|f| f.holders.is_none() && f.sent.is_none());
    until(&fetcher, "details without more", plain).await;
    let request = StripRequest { first: 0, rows: 5, buckets: 4 };
    let look = Look { holders: Some(request), senders: Some(6) };
    fetcher.call(Command::Focus { id, look }).await.unwrap();
    let all = |s: &Snapshot| {
        let holders = s.focus.as_ref().and_then(|focus| focus.holders.as_ref());
        holders.is_some_and(|h| {
            h.copies == [2; 4] && h.rows.len() == 2 && h.rows.iter().all(|row| row.levels == [8; 4])
        })
    };
    until(&fetcher, "who has what", all).await;
    fetcher.call(Command::Limits { up: None, down: Some(2 << 20) }).await.unwrap();
    let request = Download { id: id.unwrap(), name: None, dir: None, files: Selection::All };
    fetcher.call(Command::Download(request)).await.unwrap();
    let done = |s: &Snapshot| s.transfers.iter().any(|t| t.state == TransferState::Sharing);
    until(&fetcher, "it is here", done).await;
    let sent = |s: &Snapshot| {
        let focus = s.focus.as_ref();
        focus.and_then(|focus| focus.sent.as_ref()).is_some_and(|sent| {
            let n: u32 = sent.peers.iter().map(|(_, n)| n).sum();
            n > 0 && (n + sent.others + sent.before) as usize == focus.map_or(0, |f| f.chunks.len())
        })
    };
    until(&fetcher, "who sent it", sent).await;
}

/// Every exit with an open connection took 300 ms: as long as BYE may take to go out.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_an_open_connection_stops_when_it_has_said_goodbye() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let sharer = peer(temp.path(), "sharer", &join).await;
    let path = temp.path().join("small");
    std::fs::write(&path, "x".repeat(1000)).unwrap();
    sharer.call(Command::Share { path, name: None }).await.unwrap();
    let mut took = Vec::new();
    // The best of some: others may use the machine. It never took less than the whole 300 ms.
    for n in 0..10 {
        let fetcher = peer(temp.path(), &format!("f{n}"), &join).await;
        until(&fetcher, "the source", |s| sources(s, "small") > Some(0)).await;
        let id = fetcher.snapshot().catalogue.rows.first().unwrap().id;
        let request = Download { id, name: None, dir: None, files: Selection::All };
        fetcher.call(Command::Download(request)).await.unwrap();
        let done = |s: &Snapshot| s.transfers.iter().any(|t| t.state == TransferState::Sharing);
        until(&fetcher, "it is here", done).await;
        assert!(!fetcher.snapshot().peers.is_empty(), "connected");
        let began = std::time::Instant::now();
        fetcher.stop(Stop::Gracefully);
        fetcher.stopped().await;
        took.push(began.elapsed());
        if took.last() < Some(&Duration::from_millis(300)) {
            return;
        }
    }
    panic!("always waited: {took:?}");
}
