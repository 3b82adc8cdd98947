//! Parts that an earlier run left and no list knows of.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::PeerId;
use common::layout::Layout;
use serde_json::json;

use super::*;
use crate::api::handle::Events;
use crate::disk::{Opened, Partial, PartialSpec, Search};
use crate::library::record::Loaded;
use crate::library::{Library, LibraryError};

/// Looks for old parts at once.
fn searching() -> Arc<Hang> {
    let hang = Hang::new();
    *hang.orphans_after.lock().unwrap() = Duration::ZERO;
    hang
}

async fn stop(engine: EngineHandle) {
    engine.stop(Stop::Gracefully);
    tokio::time::timeout(PATIENCE, engine.stopped()).await.expect("it does not stop");
}

/// The library of a peer that has stopped, as soon as its last work beside has let go of it.
async fn reopened(state: &Path) -> (Library, Loaded) {
    let opened = tokio::time::timeout(PATIENCE, async {
        loop {
            match Library::open(state) {
                Err(LibraryError::Locked(_)) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        }
    });
    opened.await.expect("nobody lets go of it")
}

/// Waits until all of these words are said in one line.
async fn hears(events: &mut Events, words: &[&str]) -> String {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        let text = event.unwrap_or_else(|_| panic!("never: {words:?}")).unwrap().text;
        if words.iter().all(|word| text.contains(word)) {
            return text;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_part_of_a_library_that_was_lost_is_told_and_taken_up_when_it_is_wanted_again() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [3_000_000]).await;
    let first = joined(temp.path(), &seed, &Hang::new()).await;
    ok(&first, Command::Limits { up: None, down: Some(400_000) }).await;
    ok(&first, request(id, None)).await;
    let some = |s: &Snapshot| s.transfers.iter().any(|t| t.id == id && t.have > 0);
    until(&first, "some of it", some).await;
    stop(first).await;
    fs::remove_file(temp.path().join("peer/state/library.redb")).unwrap();

    let again = joined(temp.path(), &seed, &searching()).await;
    let mut events = again.events();
    let told = hears(&mut events, &["in no list any more", ".part"]).await;
    assert!(told.contains(&format!("tui-peer get {id}")), "{told}");
    ok(&again, request(id, None)).await;
    hears(&mut events, &["chunks are here already"]).await;
    until(&again, "all of it", is_here(id)).await;
    let dir = temp.path().join("peer/d");
    let bytes = |path: PathBuf| fs::read(path).unwrap();
    assert!(bytes(dir.join("3000000.bin")) == bytes(temp.path().join("3000000.bin")));
    stop(again).await;
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "and nothing is left of it");
}

/// A part of `owner` in `dir`.
fn leave(dir: &Path, owner: PeerId, size: u64) -> ContentId {
    let layout = Arc::new(Layout::for_file(size).unwrap());
    let descriptor = Descriptor { kind: Kind::File, size, root: sha256(&size.to_le_bytes()) };
    let id = descriptor.id();
    let (name, dir) = (format!("old{size}"), dir.to_path_buf());
    let (keep_free, owner) = (Some(0), Some(owner));
    let spec = PartialSpec { id, descriptor, layout, rel: None, name, dir, keep_free, owner };
    assert!(matches!(Partial::open(spec).unwrap(), Opened::Going { .. }));
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_part_that_nobody_wanted_for_fourteen_days_is_deleted_and_no_other() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), "peer");
    let first = peer(config.clone(), &Hang::new()).await;
    let me = first.snapshot().me.peer;
    let dir = config.downloads.clone();
    // Due; due, but a download; due, but the user left it there; seen once, and the clock has jumped
    // since; somebody else's.
    let [old, download, spared, jumped] =
        [100_001, 100_002, 100_003, 100_004].map(|size| leave(&dir, me, size));
    leave(&dir, PeerId::from_bytes([9; 32]), 100_005);
    ok(&first, request(download, None)).await;
    ok(&first, request(spared, None)).await;
    ok(&first, Command::Remove { id: spared, delete_partial: false }).await;
    stop(first).await;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let (library, loaded) = reopened(&config.state_dir).await;
    let mut noted: serde_json::Value = serde_json::from_str(&loaded.settings["orphans"]).unwrap();
    let (found, _) = Search::open(&dir).unwrap().go_on(&me).unwrap();
    assert_eq!(found.len(), 4);
    for one in &found {
        let (days, counted_ms) =
            if one.id == jumped { (0, now - 40 * DAY_MS) } else { (13, now - 2 * DAY_MS) };
        let unwanted = json!({
            "id": one.id.to_string(), "mark": one.mark, "days": days, "counted_ms": counted_ms
        });
        let path = one.journal.as_os_str().as_bytes();
        noted["waiting"].as_array_mut().unwrap().push(json!([path, unwanted]));
    }
    library.set_setting("orphans", Some(&noted.to_string())).unwrap();
    drop(library);

    let again = peer(config.clone(), &searching()).await;
    let mut events = again.events();
    let deleted = hears(&mut events, &["deleted, "]).await;
    assert!(deleted.contains(&old.short()) && deleted.contains("old100001"), "{deleted}");
    stop(again).await;
    let mut left: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".part"))
        .collect();
    left.sort();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.iter().all(|name| !name.contains("old100001")));
    let (_, loaded) = reopened(&config.state_dir).await;
    let noted: serde_json::Value = serde_json::from_str(&loaded.settings["orphans"]).unwrap();
    let unwanted = noted["waiting"].as_array().unwrap();
    let days: Vec<_> = unwanted.iter().map(|one| (&one[1]["id"], &one[1]["days"])).collect();
    assert_eq!(days, [(&json!(jumped.to_string()), &json!(1))], "a jump counts one day");
}
