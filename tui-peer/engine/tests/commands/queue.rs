//! Order, priorities, limits, removal and the list of what is finished.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use engine::api::command::{Command, Priority, Reorder};
use engine::api::event::{Event, Level, What};
use engine::api::handle::EngineHandle;
use engine::api::snapshot::{Look, Snapshot, TransferState};

use super::net::{
    Net, download, is, ok, refused, share, start_again, state, stop, transfer, until,
};

fn line(snap: &Snapshot) -> Vec<String> {
    let mut rows: Vec<_> = snap.transfers.iter().filter(|t| t.downloaded).collect();
    rows.sort_by_key(|t| t.plan.order);
    rows.iter().map(|t| t.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_has_an_order_that_the_user_changes_and_a_restart_keeps() {
    let net = Net::start().await;
    let seed = net.peer("seed").await;
    // So slow that nothing finishes while the test looks.
    ok(&seed, Command::Limits { up: Some(16 << 10), down: None }).await;
    let mut ids = Vec::new();
    for n in 1..=4usize {
        ids.push(share(&seed, &net.file(&format!("f{n}"), 3_000_000 + n)).await);
    }
    let mut config = net.config("peer");
    config.max_active = 1;
    let peer = engine::api::start(config.clone()).await.unwrap();
    until(&peer, "the catalogue", |s| s.catalogue.rows.len() == 4).await;
    for id in &ids {
        download(&peer, *id).await;
    }
    until(&peer, "one runs", |s| is(s, ids[0], &TransferState::Getting)).await;
    let snap = peer.snapshot();
    assert_eq!(line(&snap), ["f1", "f2", "f3", "f4"]);
    assert_eq!(transfer(&snap, ids[1]).unwrap().plan.place, Some(1));
    assert_eq!(transfer(&snap, ids[3]).unwrap().plan.place, Some(3));
    assert!(transfer(&snap, ids[1]).unwrap().plan.why.contains("1 run"), "says why it waits");

    ok(&peer, Command::Reorder { id: ids[3], to: Reorder::Up }).await;
    until(&peer, "moved", |s| line(s) == ["f1", "f2", "f4", "f3"]).await;
    ok(&peer, Command::Prioritize { id: ids[2], priority: Priority::First }).await;
    until(&peer, "the most important runs", |s| {
        line(s) == ["f3", "f1", "f2", "f4"]
            && is(s, ids[0], &TransferState::Queued)
            && is(s, ids[2], &TransferState::Getting)
    })
    .await;
    let why = refused(&peer, Command::Reorder { id: ids[0], to: Reorder::Up }).await;
    assert!(why.contains("priority"), "{why}");
    let why = refused(&peer, Command::Reorder { id: ids[3], to: Reorder::Down }).await;
    assert!(why.contains("last"), "{why}");

    stop(peer).await;
    let peer = start_again(config).await;
    until(&peer, "as it was", |s| {
        line(s) == ["f3", "f1", "f2", "f4"] && is(s, ids[2], &TransferState::Getting)
    })
    .await;
    assert_eq!(transfer(&peer.snapshot(), ids[2]).unwrap().plan.priority, Priority::First);
    // What rests makes room for the next.
    ok(&peer, Command::Pause { id: ids[2] }).await;
    until(&peer, "the next runs", |s| is(s, ids[0], &TransferState::Getting)).await;
    ok(&seed, Command::Limits { up: None, down: None }).await;
    for id in [ids[0], ids[1], ids[3]] {
        until(&peer, "all but the paused one", |s| is(s, id, &TransferState::Sharing)).await;
    }
    assert!(is(&peer.snapshot(), ids[2], &TransferState::Paused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_more_important_download_gets_more() {
    let net = Net::start().await;
    let (a, b) = (net.file("a", 24_000_000), net.file("b", 24_000_001));
    let (seed, peer, [a, b]) = net.offered([&a, &b]).await;
    ok(&seed, Command::Limits { up: Some(4 << 20), down: None }).await;
    for id in [a, b] {
        download(&peer, id).await;
    }
    ok(&peer, Command::Prioritize { id: a, priority: Priority::Low }).await;
    ok(&peer, Command::Prioritize { id: b, priority: Priority::High }).await;
    until(&peer, "the important one is done", |s| is(s, b, &TransferState::Sharing)).await;
    let snap = peer.snapshot();
    let low = transfer(&snap, a).unwrap();
    assert!(low.done < low.size / 2, "{} of {}", low.done, low.size);
    ok(&seed, Command::Limits { up: None, down: None }).await;
    until(&peer, "both are done", |s| is(s, a, &TransferState::Sharing)).await;
}

async fn rate_of(peer: &EngineHandle, id: common::id::ContentId) -> f64 {
    let done = |peer: &EngineHandle| transfer(&peer.snapshot(), id).map_or(0, |t| t.done);
    until(peer, "it has begun", |s| transfer(s, id).is_some_and(|t| t.done > 500_000)).await;
    let (from, since) = (done(peer), Instant::now());
    until(peer, "it goes on", |s| transfer(s, id).is_some_and(|t| t.done > from + 3_000_000)).await;
    (done(peer) - from) as f64 / since.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_download_and_one_upload_have_limits_of_their_own() {
    let net = Net::start().await;
    let (a, b) = (net.file("a", 12_000_000), net.file("b", 12_000_001));
    let (seed, peer, [a, b]) = net.offered([&a, &b]).await;
    download(&peer, a).await;
    ok(&peer, Command::LimitOne { id: a, up: None, down: Some(1 << 20) }).await;
    let rate = rate_of(&peer, a).await;
    assert!((0.7e6..1.5e6).contains(&rate), "{rate}");
    // Another comes past it at full speed, over the same connection.
    download(&peer, b).await;
    until(&peer, "the other is done", |s| is(s, b, &TransferState::Sharing)).await;
    assert!(is(&peer.snapshot(), a, &TransferState::Getting));
    ok(&peer, Command::LimitOne { id: a, up: None, down: None }).await;
    until(&peer, "done", |s| is(s, a, &TransferState::Sharing)).await;

    let other = net.peer("other").await;
    stop(peer).await;
    ok(&seed, Command::LimitOne { id: a, up: Some(1 << 20), down: None }).await;
    until(&other, "the catalogue", |s| s.catalogue.rows.len() == 2).await;
    download(&other, a).await;
    let rate = rate_of(&other, a).await;
    assert!((0.7e6..1.5e6).contains(&rate), "{rate}");
    download(&other, b).await;
    until(&other, "the unlimited one is done", |s| is(s, b, &TransferState::Sharing)).await;
    assert!(is(&other.snapshot(), a, &TransferState::Getting), "{:?}", state(&other.snapshot(), a));
    let why = refused(&seed, Command::LimitOne { id: a, up: Some(0), down: None }).await;
    assert!(why.contains("pause"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_come_in_order_if_that_is_wished() {
    let net = Net::start().await;
    let (seed, peer, [id]) = net.offered([&net.file("film", 8_000_000)]).await;
    ok(&seed, Command::Limits { up: Some(1 << 20), down: None }).await;
    ok(&peer, Command::Limits { up: None, down: Some(1 << 20) }).await;
    download(&peer, id).await;
    ok(&peer, Command::Sequential { id, on: true }).await;
    ok(&peer, Command::Focus { id: Some(id), look: Look::default() }).await;
    until(&peer, "half of it", |s| transfer(s, id).is_some_and(|t| t.have * 2 > t.chunks)).await;
    let snap = peer.snapshot();
    let chunks = snap.focus.as_ref().unwrap().chunks.clone();
    let have = |n: &usize| chunks.state(*n) == Some(engine::api::snapshot::ChunkState::Have);
    let first_gap = (0..chunks.len()).find(|n| !have(n)).unwrap();
    let beyond = (first_gap..chunks.len()).filter(have).count();
    // What was asked before the request, and what is asked ahead of the first gap.
    assert!(beyond <= 16 && first_gap > chunks.len() / 4, "{first_gap} {beyond}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_can_be_taken_back_with_what_was_fetched() {
    let net = Net::start().await;
    let (_seed, peer, id) = net.begun(&net.file("a", 6_000_000), 1_000_000).await;
    ok(&peer, Command::Prioritize { id, priority: Priority::High }).await;
    ok(&peer, Command::Remove { id, delete_partial: true }).await;
    until(&peer, "gone", |s| transfer(s, id).is_none()).await;
    ok(&peer, Command::Restore { id }).await;
    until(&peer, "back with its data", |s| {
        transfer(s, id).is_some_and(|t| t.done > 1_000_000 && t.plan.priority == Priority::High)
    })
    .await;
    ok(&peer, Command::Remove { id, delete_partial: true }).await;
    let parts = || {
        let dir = std::fs::read_dir(net.temp.path().join("peer/d")).unwrap();
        dir.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(".part")).count()
    };
    assert_eq!(parts(), 1, "not yet");
    let begun = Instant::now();
    while parts() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "deleted when it is too late");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let why = refused(&peer, Command::Restore { id }).await;
    assert!(why.contains("too late"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_paused_and_resumed_while_it_is_opened_does_not_stand_in_its_own_way() {
    let net = Net::start().await;
    let seed = net.peer("seed").await;
    let peer = net.peer("peer").await;
    for n in 0..8 {
        let id = share(&seed, &net.file(&n.to_string(), 100_000 + n)).await;
        until(&peer, "the catalogue", |s| s.catalogue.rows.iter().any(|r| r.id == id)).await;
        let mut events = peer.events();
        download(&peer, id).await;
        ok(&peer, Command::Pause { id }).await;
        ok(&peer, Command::Resume { id }).await;
        loop {
            match events.recv().await.unwrap() {
                Event { what: What::Done { id: done, .. }, .. } if done == id => break,
                event => assert!(event.level != Level::Error, "{event:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_turns_out_to_be_here_already_ends_and_leaves_nothing_behind() {
    let net = Net::start().await;
    let path = net.file("a", 6_000_000);
    let (_seed, peer, id) = net.begun(&path, 0).await;
    assert_eq!(share(&peer, &path).await, id);
    stop(peer).await;
    let peer = start_again(net.config("peer")).await;
    until(&peer, "it is a share", |s| is(s, id, &TransferState::Sharing)).await;
    assert!(!transfer(&peer.snapshot(), id).unwrap().downloaded);
    let left = std::fs::read_dir(net.temp.path().join("peer/d")).unwrap();
    assert_eq!(left.map(|e| e.unwrap().file_name()).collect::<Vec<_>>(), Vec::<OsString>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_download_that_was_not_opened_since_the_start_leaves_nothing_behind() {
    let net = Net::start().await;
    let (_seed, peer, id) = net.begun(&net.file("a", 6_000_000), 0).await;
    ok(&peer, Command::Pause { id }).await;
    stop(peer).await;
    let left = || std::fs::read_dir(net.temp.path().join("peer/d")).unwrap().count();
    assert_eq!(left(), 2, "part and journal");
    let peer = start_again(net.config("peer")).await;
    until(&peer, "it rests", |s| is(s, id, &TransferState::Paused)).await;
    ok(&peer, Command::Remove { id, delete_partial: true }).await;
    stop(peer).await;
    // The end of the engine is told before its last work is done.
    drop(start_again(net.config("peer")).await);
    assert_eq!(left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_downloads_leave_the_list_and_go_on_being_shared() {
    let net = Net::start().await;
    let (a, b) = (net.file("a", 100_000), net.file("b", 100_001));
    let (_seed, peer, [a, b]) = net.offered([&a, &b]).await;
    for id in [a, b] {
        download(&peer, id).await;
        until(&peer, "done", |s| is(s, id, &TransferState::Sharing)).await;
    }
    let cleared = |s: &Snapshot, id| transfer(s, id).is_some_and(|t| t.plan.cleared);
    assert!(!cleared(&peer.snapshot(), a));
    ok(&peer, Command::Remove { id: a, delete_partial: true }).await;
    until(&peer, "one is cleared", |s| cleared(s, a) && !cleared(s, b)).await;
    ok(&peer, Command::Restore { id: a }).await;
    until(&peer, "and back", |s| !cleared(s, a)).await;
    ok(&peer, Command::ClearFinished).await;
    until(&peer, "both are cleared", |s| cleared(s, a) && cleared(s, b)).await;
    stop(peer).await;
    let peer = start_again(net.config("peer")).await;
    until(&peer, "still cleared and shared", |s| {
        [a, b].iter().all(|id| cleared(s, *id) && is(s, *id, &TransferState::Sharing))
    })
    .await;
}

/// Runs until it is killed: nothing that belongs to a good end is done.
async fn killed<Out: Send + 'static>(work: impl Future<Output = Out> + Send + 'static) -> Out {
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let out = runtime.block_on(work);
        runtime.shutdown_background();
        out
    });
    tokio::task::spawn_blocking(move || run.join().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_with_its_data_that_was_killed_before_it_was_done_is_done_after_the_restart() {
    let net = Net::start().await;
    let (_seed, peer, [a, b]) =
        net.offered([&net.file("a", 6_000_000), &net.file("b", 7_000_000)]).await;
    stop(peer).await;
    let names = || -> Vec<String> {
        let dir = std::fs::read_dir(net.temp.path().join("peer/d")).unwrap();
        dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (config, other) = (net.config("peer"), net.file("c", 10));
    killed(async move {
        let peer = start_again(config.clone()).await;
        ok(&peer, Command::Limits { up: None, down: Some(1 << 20) }).await;
        for id in [a, b] {
            until(&peer, "the catalogue", |s| s.catalogue.rows.iter().any(|r| r.id == id)).await;
            download(&peer, id).await;
            until(&peer, "some of it", |s| transfer(s, id).is_some_and(|t| t.done > 0)).await;
            ok(&peer, Command::Remove { id, delete_partial: true }).await;
        }
        // One of the two is wanted after all.
        ok(&peer, Command::Restore { id: b }).await;
        ok(&peer, Command::Pause { id: b }).await;
        // Before it hashes, all that was decided is on disk.
        share(&peer, &other).await;
    })
    .await;
    assert_eq!(names().len(), 4, "two parts and two journals");
    let peer = start_again(net.config("peer")).await;
    until(&peer, "the other one is back", |s| transfer(s, b).is_some()).await;
    assert!(transfer(&peer.snapshot(), a).is_none());
    stop(peer).await;
    drop(start_again(net.config("peer")).await);
    let left = names();
    assert!(left.len() == 2 && left.iter().all(|name| name.starts_with(".b.")), "{left:?}");
}
