//! Several trackers with one key: real ones, and such as do what a test says.

use std::time::Instant;

use common::channel::{Channel, Purpose};
use common::tracker_hosts::{Listed, TrackerHosts};
use common::wire::Code;
use common::wire::tracker::{Reply, Request};
use tokio::net::TcpListener;
use tracker::Tracker;

use super::super::connect::find;
use super::super::hosts::remembered;
use super::super::order::Waits;
use super::fake::{Conn, Fake, welcome};
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
async fn b1_who_came_by_another_name_finds_that_it_is_at_the_first_and_loses_nothing() {
    let (dir, other) = (tempfile::tempdir().unwrap(), free_port().await);
    let port = free_port().await;
    // The list has a name, the join string a number.
    let hosts = [("localhost".to_owned(), port), ("127.0.0.1".to_owned(), other)];
    let tell = |tracker: &Tracker| tracker.tell_hosts(Listed::Trackers, &hosts).unwrap();
    let first = Running::start_with(dir.path(), port, tell).await;
    let (one, mut events) = join_with(1, &first.join, soon());
    let meta = file("Film.mkv", 1_000_000);
    one.set_share(meta.clone());
    let known = |event| match event {
        TrackerEvent::State(NetState::Lost { why, .. }) => panic!("lost: {why}"),
        TrackerEvent::At(Some(at)) => (at.place == 1).then_some(at),
        _ => None,
    };
    let at = events.until(known).await;
    assert_eq!((at.address, at.back_to), (format!("localhost:{port}"), None));
    // It is the same connection still.
    one.remove_share(id(&meta));
    events.catalogue(|c| c.whole && c.rows.is_empty()).await;
    first.stop().await;
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

/// Two trackers that do what a test says, and a peer that is let in by the second, the first being away.
async fn at_the_second() -> (Fake, Conn, Announcer, Events) {
    let (first, second) = (Fake::new().await, Fake::new().await);
    let both = first.join().with_standbys([("127.0.0.1", second.join().port())]);
    let waits = Waits { away: Duration::from_secs(2), look: Duration::from_millis(200) };
    let (one, mut events) = join_with(1, &both, Patience { trackers: waits, ..soon() });
    let refuses = async {
        loop {
            drop(first.accept_tcp().await);
        }
    };
    let conn = tokio::select! {
        conn = second.welcome(1, true) => conn,
        () = refuses => unreachable!(),
    };
    assert_eq!(arrived(&mut events).await, 2);
    (first, conn, one, events)
}

#[tokio::test]
async fn b1_a_first_that_does_not_let_us_in_is_no_reason_to_leave_the_standby() {
    let (first, mut conn, one, mut events) = at_the_second().await;
    let auth = Reply::Error { q: 0, code: Code::Auth, text: "no".to_owned(), retry_ms: 0 };
    for said in [Some(auth), Some(Reply::Goaway { delay_ms: 50 }), None] {
        let mut greeted = first.accept().await;
        if let Some(said) = &said {
            greeted.send(said).await;
        }
        // What it said is said where the place is shown, and nothing is lost or rejected.
        let why = match events.next().await {
            TrackerEvent::At(Some(at)) => at.vain.unwrap(),
            event => panic!("{event:?}"),
        };
        let wanted = match said {
            Some(Reply::Error { .. }) => "does not let us in",
            Some(_) => "going away",
            None => "does not answer",
        };
        assert!(why.contains(wanted), "{why}");
    }
    // The same connection goes on.
    one.set_share(file("a", 1000));
    conn.serve_until(|request| matches!(request, Request::Register { .. })).await;
}

#[tokio::test]
async fn b1_what_is_shared_while_the_first_lets_us_in_is_registered_there() {
    let (first, conn, one, mut events) = at_the_second().await;
    let mut back = first.accept().await;
    one.set_share(file("a", 1000));
    // It knows what it was told of: nothing.
    back.send(&Reply::Welcome(welcome(1, true))).await;
    assert_eq!(arrived(&mut events).await, 1);
    back.serve_until(|request| matches!(request, Request::Register { .. })).await;
    drop(conn);
}

#[tokio::test]
async fn b1_a_standby_of_the_list_is_found_while_no_name_of_the_join_string_can_be_looked_up() {
    let standby = Fake::new().await;
    let port = standby.join().port();
    let key = standby.join().tracker();
    let join: JoinString = format!("shoal://{key}@no-such-host.invalid:7420").parse().unwrap();
    let signed = TrackerHosts::issue(
        &identity(200),
        1,
        Listed::Trackers,
        &[("no-such-host.invalid".to_owned(), 7420), ("127.0.0.1".to_owned(), port)],
    );
    let list = TrackerHosts::verify(&signed, &key).unwrap();
    let hosts = remembered(&join, Some(&list));
    assert!(!hosts[1].is_named());
    let config = config(1, &join);
    let near = ["127.0.0.1:7420".parse().unwrap()];
    let (found, stream) = tokio::join!(find(&config, &hosts[1], &near), async {
        let channel = Channel::new(&identity(200)).unwrap();
        channel.accept(standby.accept_tcp().await, Purpose::Tracker).await.unwrap()
    });
    assert!(found.is_ok());
    drop(stream);
    // Without knowing where the first was, a tracker's word does not lead into our own machine.
    assert!(find(&config, &hosts[1], &[]).await.is_err());
}
