//! Several trackers with one key: real ones, and such as do what a test says.

use std::time::Instant;

use common::tracker_hosts::Listed;
use tokio::net::TcpListener;
use tracker::Tracker;

use super::fake::Fake;
use super::real::{Running, counts};
use super::*;

/// Two trackers of one network, which say in which order they are to be looked for.
struct Pair {
    dirs: [tempfile::TempDir; 2],
    ports: [u16; 2],
    first: Running,
    second: Running,
    /// Names both.
    join: JoinString,
}

impl Pair {
    async fn start() -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        // The second has what an import brings: the key.
        drop(Identity::load_or_create(&dirs[0].path().join("tracker.key")).unwrap());
        std::fs::copy(dirs[0].path().join("tracker.key"), dirs[1].path().join("tracker.key"))
            .unwrap();
        let free = [free_port().await, free_port().await];
        let first = Running::start_with(dirs[0].path(), free[0], |t| tell(t, free)).await;
        let second = Running::start_with(dirs[1].path(), free[1], |t| tell(t, free)).await;
        assert_eq!(first.join.tracker(), second.join.tracker());
        let join = first.join.clone().with_standbys([("127.0.0.1", free[1])]);
        Self { dirs, ports: free, first, second, join }
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

fn tell(tracker: &Tracker, ports: [u16; 2]) {
    let hosts = ports.map(|port| ("127.0.0.1".to_owned(), port));
    tracker.tell_hosts(Listed::Trackers, &hosts).unwrap();
}

/// Its place, once the next tracker let it in.
async fn arrived(events: &mut Events) -> u32 {
    let place = events.place().await.unwrap();
    events.on().await;
    assert_eq!(place.of, 2);
    place.place
}

#[tokio::test]
async fn b1_all_go_to_the_standby_within_ten_seconds_and_no_registration_is_lost() {
    let pair = Pair::start().await;
    // One knows both trackers, the other learns of the second; both wait as long as in earnest.
    let (one, mut events_one) = join(1, &pair.join);
    let (two, mut events_two) = join(2, &pair.first.join);
    let meta = file("Film.mkv", 1_000_000);
    one.set_share(meta.clone());
    events_one.registered().await;
    events_two.catalogue(|c| counts(c) == Some((1, 1))).await;
    two.set_partial(id(&meta), some_of(&meta, &[1]));
    events_two.catalogue(|c| counts(c) == Some((2, 1))).await;

    let killed = Instant::now();
    pair.first.kill().await;
    assert_eq!(arrived(&mut events_one).await, 2);
    assert_eq!(arrived(&mut events_two).await, 2);
    let took = killed.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(10), "{took:?}");
    // The second had no records: both said all again.
    assert_eq!(events_one.registered().await, [id(&meta)].into());
    events_two.catalogue(|c| counts(c) == Some((2, 1))).await;
    pair.second.stop().await;
}

#[tokio::test]
async fn b1_when_the_first_is_back_all_return_and_nobody_is_told_of_a_loss() {
    let mut pair = Pair::start().await;
    let mut all: Vec<(Announcer, Events)> = Vec::new();
    for n in 1..=8 {
        // Some came with one host, some with the other, some with both.
        let known = [&pair.join, &pair.first.join, &pair.second.join][usize::from(n % 3)];
        let (peer, mut events) = join_with(n, known, soon());
        peer.set_share(file(&format!("file {n}"), 1000));
        while arrived(&mut events).await != 1 {}
        events.registered().await;
        all.push((peer, events));
    }
    pair.first.kill().await;
    for (_, events) in &mut all {
        while arrived(events).await != 2 {}
    }
    let ports = pair.ports;
    pair.first = Running::start_with(pair.dirs[0].path(), ports[0], |t| tell(t, ports)).await;
    for (_, events) in &mut all {
        let lost = std::cell::Cell::new(false);
        let back = |event| match event {
            TrackerEvent::State(NetState::Lost { .. }) => {
                lost.set(true);
                None
            }
            TrackerEvent::At(Some(at)) => (at.place == 1).then_some(()),
            _ => None,
        };
        events.until(back).await;
        assert!(!lost.get(), "it went from one to the other");
    }
    // Whoever is in the one sees the files of all.
    let (_, events) = &mut all[0];
    events
        .catalogue(|c| c.whole && c.rows.len() == 8 && c.rows.iter().all(|r| r.sources == 1))
        .await;
    pair.first.stop().await;
    pair.second.stop().await;
}

#[tokio::test]
async fn b1_a_first_that_accepts_and_says_nothing_is_out_of_reach() {
    let pair = Pair::start().await;
    pair.first.kill().await;
    // What comes waits to be accepted, as at a process that is stopped.
    let hung = TcpListener::bind(("127.0.0.1", pair.ports[0])).await.unwrap();
    let (_one, mut events) = join_with(1, &pair.join, soon());
    assert_eq!(arrived(&mut events).await, 2);
    // It is looked for, and not waited for: nothing is lost meanwhile.
    for _ in 0..3 {
        let (looked, _) = timeout(PATIENCE, hung.accept()).await.unwrap().unwrap();
        drop(looked);
    }
    let mut events = events.0;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, TrackerEvent::State(_)), "{event:?}");
    }
    pair.second.stop().await;
}

#[tokio::test]
async fn b1_both_gone_and_one_back() {
    let pair = Pair::start().await;
    let (one, mut events) = join_with(1, &pair.join, soon());
    assert_eq!(arrived(&mut events).await, 1);
    let meta = file("a", 1000);
    one.set_share(meta.clone());
    events.registered().await;
    let (first, second) = (pair.first, pair.second);
    first.kill().await;
    second.kill().await;
    events.lost().await;
    // The one that stands by.
    let ports = pair.ports;
    let second = Running::start_with(pair.dirs[1].path(), ports[1], |t| tell(t, ports)).await;
    assert_eq!(arrived(&mut events).await, 2);
    assert_eq!(events.registered().await, [id(&meta)].into());
    second.kill().await;
    events.lost().await;
    let first = Running::start_with(pair.dirs[0].path(), ports[0], |t| tell(t, ports)).await;
    assert_eq!(arrived(&mut events).await, 1);
    first.stop().await;
}

#[tokio::test]
async fn b1_a_standby_with_another_key_is_refused() {
    let first = Fake::new().await;
    let dir = tempfile::tempdir().unwrap();
    let strange = Running::start(dir.path(), None).await;
    let both = first.join().with_standbys([("127.0.0.1", strange.join.port())]);
    let (_one, mut events) = join_with(1, &both, soon());
    drop(first.welcome(1, true).await);
    assert_eq!(arrived(&mut events).await, 1);
    // The first hangs up on it from now on.
    let refuses = async {
        loop {
            drop(first.accept_tcp().await);
        }
    };
    let refused = async {
        loop {
            let why = events.lost().await;
            if why.contains("not the one of the join string") {
                break why;
            }
        }
    };
    let why = tokio::select! {
        why = refused => why,
        () = refuses => unreachable!(),
    };
    assert!(why.contains(&format!("127.0.0.1:{}", strange.join.port())), "{why}");
    // And the first is still looked for.
    let (conn, place) = tokio::join!(first.welcome(2, true), arrived(&mut events));
    assert_eq!(place, 1);
    drop(conn);
    strange.stop().await;
}
