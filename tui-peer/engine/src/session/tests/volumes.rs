//! Shares on volumes that hang, come and go.

use std::fs;

use super::*;
use crate::api::event::What;
use crate::library::{Library, hash_path};

/// Files in a folder of their own, each to be a share; last changed long enough ago that the disk can be
/// believed that they have not changed since.
fn files(dir: &Path, n: usize) -> Vec<PathBuf> {
    fs::create_dir_all(dir).unwrap();
    let dir = dir.canonicalize().unwrap();
    let file = |n| {
        let path = dir.join(format!("{n}.txt"));
        fs::write(&path, format!("file {n} of {}", dir.display())).unwrap();
        let opened = fs::File::options().write(true).open(&path).unwrap();
        opened.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        path
    };
    (0..n).map(file).collect()
}

fn sharing(snapshot: &Snapshot, path: &Path) -> bool {
    let transfers = snapshot.transfers.iter();
    transfers.clone().any(|t| t.path == path && t.state == TransferState::Sharing)
}

async fn share_all(engine: &EngineHandle, paths: &[PathBuf]) {
    for path in paths {
        ok(engine, Command::Share { path: path.clone(), name: None }).await;
    }
    until(engine, "all are shared", |s| paths.iter().all(|path| sharing(s, path))).await;
}

async fn stop(engine: EngineHandle) {
    engine.stop(Stop::Now);
    tokio::time::timeout(PATIENCE, engine.stopped()).await.expect("it does not stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_one_hung_share_holds_up_no_other_at_the_start_nor_later() {
    let temp = tempfile::tempdir().unwrap();
    let (slow, fast) = (temp.path().join("slow"), temp.path().join("fast"));
    let (on_slow, on_fast) = (files(&slow, 100), files(&fast, 3));
    let hang = Hang::looking_every(Duration::from_millis(50));
    let first = peer(config(temp.path(), "peer"), &hang).await;
    share_all(&first, &on_slow).await;
    share_all(&first, &on_fast).await;
    stop(first).await;

    let _free = Free(hang.clone());
    let slow = slow.canonicalize().unwrap();
    hang.hang(&slow);
    let again = peer(config(temp.path(), "peer"), &hang).await;
    let fast_are_there = |s: &Snapshot| on_fast.iter().all(|path| sharing(s, path));
    until(&again, "those that do not hang", fast_are_there).await;
    hang.until_held(1).await;
    // A hundred wishes on the hung one, then one elsewhere.
    let asked: Vec<_> = on_slow
        .iter()
        .map(|path| call(&again, Command::Share { path: path.clone(), name: None }))
        .collect();
    let other = file(temp.path(), 1000);
    share(&again, &other).await;
    // The others are still watched.
    fs::write(&on_fast[0], "something else, of another length").unwrap();
    let changed = |s: &Snapshot| {
        let new = s.transfers.iter().find(|t| t.path == on_fast[0]);
        new.is_some_and(|t| t.state == TransferState::Sharing && t.size == 33)
    };
    until(&again, "the change is seen", changed).await;
    hang.free();
    for answer in asked {
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
    until(&again, "those that hung", |s| on_slow.iter().all(|path| sharing(s, path))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_peer_stops_though_a_disk_hangs() {
    let temp = tempfile::tempdir().unwrap();
    let slow = temp.path().join("slow");
    let on_slow = files(&slow, 1);
    let hang = Hang::new();
    let peer = peer(config(temp.path(), "peer"), &hang).await;
    let _free = Free(hang.clone());
    hang.hang(&slow.canonicalize().unwrap());
    let asked = call(&peer, Command::Share { path: on_slow[0].clone(), name: None });
    hang.until_held(1).await;
    stop(peer).await;
    assert!(asked.await.unwrap().is_err(), "it has an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_thousand_share_requests_take_few_threads_and_each_has_its_answer() {
    let temp = tempfile::tempdir().unwrap();
    let paths = files(&temp.path().join("many"), 1000);
    let peer = peer(config(temp.path(), "peer"), &Hang::new()).await;
    let begun = threads();
    let asked: Vec<_> = paths
        .iter()
        .map(|path| call(&peer, Command::Share { path: path.clone(), name: None }))
        .collect();
    let mut most = 0;
    for answer in asked {
        assert!(matches!(answer.await.unwrap(), Ok(Reply::Accepted)));
        most = most.max(threads());
    }
    until(&peer, "all are shared", |s| {
        most = most.max(threads());
        s.transfers.len() == 1000 && s.transfers.iter().all(|t| t.state == TransferState::Sharing)
    })
    .await;
    // Others run tests beside this one: the bound is far below the 489 that were.
    assert!(most < begun + 100, "{begun} threads, then {most}");
}

/// Threads of this process; one where that cannot be told.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Waits for what a peer says of this share.
async fn hears(events: &mut crate::api::handle::Events, text: &str) -> Vec<What> {
    let mut heard = Vec::new();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect(text).unwrap();
        heard.push(event.what);
        if event.text.contains(text) {
            return heard;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_a_share_whose_volume_blinks_is_served_again_by_itself_without_hashing() {
    let temp = tempfile::tempdir().unwrap();
    let temp_path = temp.path().canonicalize().unwrap();
    let (mount, away) = (temp_path.join("mount"), temp_path.join("away"));
    let hang = Hang::looking_every(Duration::from_millis(50));
    let peer = peer(config(temp.path(), "peer"), &hang).await;
    let file = files(&mount, 3).remove(0);
    let ids = [share(&peer, &file).await, share(&peer, &mount).await];
    let mut events = peer.live_events();
    let here = |s: &Snapshot| ids.iter().all(|id| is_here(*id)(s));

    // As where a volume is not mounted any more: nothing, then an empty folder.
    for leave_empty in [false, true] {
        fs::rename(&mount, &away).unwrap();
        if leave_empty {
            fs::create_dir(&mount).unwrap();
        }
        let gone = |s: &Snapshot| {
            ids.iter().all(|id| matches!(state(s, *id), Some(TransferState::Changed)))
        };
        until(&peer, "it is missed", gone).await;
        if leave_empty {
            fs::remove_dir(&mount).unwrap();
        }
        fs::rename(&away, &mount).unwrap();
        until(&peer, "it is back", here).await;
    }
    ok(&peer, Command::Serve { on: true }).await;
    let heard = hears(&mut events, "serving others again").await;
    assert!(!heard.iter().any(|what| matches!(what, What::Hashed { .. })), "{heard:?}");

    // Back, but not what it was.
    fs::rename(&mount, &away).unwrap();
    hears(&mut events, "vanished").await;
    fs::write(away.join("0.txt"), "something else").unwrap();
    fs::rename(&away, &mount).unwrap();
    hears(&mut events, "is back, but changed").await;
    until(&peer, "the new one", |s| sharing(s, &file) && !here(s)).await;
}

/// Damaged and away at the start, then back: it can be verified, and is served once it is right.
#[tokio::test(flavor = "multi_thread")]
async fn b13_a_damaged_share_whose_volume_comes_back_is_damaged_and_no_longer_gone() {
    let temp = tempfile::tempdir().unwrap();
    let temp_path = temp.path().canonicalize().unwrap();
    let (mount, away) = (temp_path.join("mount"), temp_path.join("away"));
    let path = files(&mount, 1).remove(0);
    let config = config(temp.path(), "peer");
    let prepared = hash_path(&path, 1).unwrap();
    let id = prepared.id;
    {
        let (library, _) = Library::open(&config.state_dir).unwrap();
        library.put_share(&prepared.record(false).doubted(0..1), &prepared).unwrap();
    }
    fs::rename(&mount, &away).unwrap();
    let why = |s: &Snapshot| {
        let row = s.transfers.iter().find(|t| t.id == id && t.state == TransferState::Changed);
        row.map(|row| row.plan.why.clone())
    };
    let peer = peer(config, &Hang::looking_every(Duration::from_millis(50))).await;
    until(&peer, "it is gone", |s| why(s).is_some_and(|why| why.contains("is gone"))).await;
    fs::rename(&away, &mount).unwrap();
    until(&peer, "it is damaged", |s| why(s).is_some_and(|why| why.contains("damaged"))).await;
    ok(&peer, Command::Verify { id }).await;
    until(&peer, "it is right", is_here(id)).await;
}
