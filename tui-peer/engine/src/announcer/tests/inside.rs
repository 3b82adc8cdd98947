//! A5: names of the files inside folders, told and looked for.

use common::inside::pack_manifest;
use common::manifest::{Entry, EntryKind, Manifest};
use common::wire::tracker::{FoundRow, Reply, Request, Welcome};
use tokio::sync::oneshot;

use super::fake::{Fake, row, welcome};
use super::real::Running;
use super::*;
use crate::announcer::Ask;
use crate::api::command::Reply as Answer;
use crate::api::snapshot::Found;

/// A folder of these files, and its list of them.
fn folder(paths: &[&str]) -> (FileMeta, Vec<u8>) {
    let entry = |path: &&str| Entry {
        path: path.split('/').map(str::to_owned).collect(),
        kind: EntryKind::File,
        size: 1,
        root: sha256_concat(&[path.as_bytes()]),
        exec: false,
        mtime: 0,
    };
    let manifest = Manifest::build("photos", paths.iter().map(entry).collect()).unwrap();
    let bytes = manifest.bytes().to_vec();
    let chunks = u32::try_from(paths.len()).unwrap();
    let descriptor = Manifest::descriptor_of(&bytes);
    let total = paths.len() as u64;
    (FileMeta { descriptor, name: "photos".into(), total, chunks }, bytes)
}

async fn wanted(events: &mut Events) -> ContentId {
    events
        .until(|event| match event {
            TrackerEvent::InsideWanted { id } => Some(id),
            _ => None,
        })
        .await
}

async fn found(announcer: &Announcer, query: &str) -> Found {
    let (tx, rx) = oneshot::channel();
    announcer.ask(Ask::Find { query: query.to_owned() }, tx);
    match timeout(PATIENCE, rx).await.expect("in time").expect("an answer") {
        Ok(Answer::Found(found)) => found,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a5_a_tracker_of_the_version_before_is_told_nothing_of_what_is_inside() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    announcer.set_share(folder(&["a"]).0);
    let mut conn = fake.accept().await;
    let older = Welcome { looks_inside: false, ..welcome(1, true) };
    conn.send(&Reply::Welcome(older)).await;
    events.on().await;
    let second = folder(&["b"]).0;
    announcer.set_share(second.clone());
    let (mut before, register) = conn.serve_until(|r| matches!(r, Request::Register { .. })).await;
    conn.answer(&register, &[]).await;
    events.until(|event| matches!(event, TrackerEvent::Registered { .. }).then_some(())).await;
    // What is told last would have been told before the second of these.
    for _ in 0..2 {
        announcer.locate(id(&second));
        let located = conn.serve_until(|r| matches!(r, Request::FileLocations { .. })).await;
        before.extend(located.0);
        conn.answer(&located.1, &[]).await;
        events.until(|event| matches!(event, TrackerEvent::Sources { .. }).then_some(())).await;
    }
    assert!(!before.iter().any(|r| r.kind() > 0x10), "{before:?}");
    announcer.leave().await;
}

#[tokio::test]
async fn a5_what_a_tracker_says_of_files_inside_is_made_safe() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    let asking = found(&announcer, "x");
    let answering = async {
        let (_, asked) = conn.serve_until(|r| matches!(r, Request::Find { .. })).await;
        let Request::Find { q, .. } = asked else { panic!("{asked:?}") };
        let paths = vec!["a/\u{1b}[2J\u{202e}b".to_owned()];
        let rows = vec![FoundRow { row: row(folder(&["a"]).0), paths, files: 9 }];
        conn.send(&Reply::Found { q, rows, more: true }).await;
    };
    let (Found { rows, more }, ()) = tokio::join!(asking, answering);
    assert_eq!(
        (rows[0].paths[0].as_str(), rows[0].files, more),
        ("a/\\u{1b}[2J\\u{202e}b", 9, true)
    );
    announcer.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_names_are_told_to_the_real_tracker_and_found_there_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let tracker = Running::start(dir.path(), None).await;
    let (one, mut events) = join(1, &tracker.join);
    let (meta, bytes) = folder(&["2024/sunset.jpg", "2024/sunrise.jpg"]);
    one.set_share(meta.clone());
    assert_eq!(wanted(&mut events).await, id(&meta));
    one.tell_inside(id(&meta), pack_manifest(&bytes).ok());
    let (two, mut events_two) = join(2, &tracker.join);
    events_two.on().await;
    let until = |some: bool| {
        let two = &two;
        let search = async move {
            loop {
                let found = found(two, "sunset").await;
                if found.rows.is_empty() != some {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        };
        async { timeout(PATIENCE, search).await.expect("in time") }
    };
    let all = until(true).await;
    assert_eq!((&*all.rows[0].row.name, &all.rows[0].paths[0][..]), ("photos", "2024/sunset.jpg"));
    // It is not wanted a second time, after a restart either.
    one.leave().await;
    let join_string = tracker.stop().await;
    let tracker = Running::start(dir.path(), Some(&join_string)).await;
    let all_again = until(true).await;
    assert_eq!(all_again.rows[0].paths, all.rows[0].paths);
    // The same peer, whose user has thought better of it.
    let config = AnnouncerConfig { names_inside: false, ..config(1, &tracker.join) };
    let (one, events) = start_with(config, fastrand::Rng::with_seed(1), Patience::default());
    let mut events = Events(events);
    one.set_share(meta.clone());
    assert_eq!(events.registered().await, [id(&meta)].into());
    assert_eq!(until(false).await.rows, []);
    one.leave().await;
    two.leave().await;
    tracker.stop().await;
}
