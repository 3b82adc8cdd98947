//! What the announcer does when the tracker behaves.

use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::identity::Identity;
use common::join::Secret;
use common::tracker_hosts::{Listed, TrackerHosts};
use common::wire::Code;
use common::wire::tracker::{Counts, Hello, Reply, Request, Welcome, share_digest};

use super::fake::{Fake, row, source, welcome};
use super::*;

#[tokio::test]
async fn connects_registers_and_is_told_so() {
    let fake = Fake::new().await;
    let secret: Secret = "correct horse battery".parse().unwrap();
    let (announcer, mut events) = join(1, &fake.join_as(&identity(200), Some(secret.clone())));
    let meta = file("a.iso", 100_000);
    announcer.set_share(meta.clone());
    assert!(matches!(events.next().await, TrackerEvent::State(NetState::Connecting)));

    let mut conn = fake.accept().await;
    let Hello { nick, port, proof, digest, .. } = conn.hello.clone();
    assert_eq!((nick.as_str(), port), ("peer 1", 7001));
    assert_eq!(digest, share_digest([(id(&meta), "a.iso")]));
    assert!(secret.verify("peer", &conn.exporter, proof.unwrap().as_bytes()));
    conn.send(&Reply::Welcome(welcome(1, false))).await;
    let TrackerEvent::Welcomed(Welcomed { membership, observed, tracker, new_epoch, time, .. }) =
        events.next().await
    else {
        panic!("no welcome");
    };
    assert_eq!((membership, new_epoch), (vec![1, 2, 3], true));
    assert_eq!(time.unix_ms, 1_700_000_000_000);
    assert!(time.at.elapsed() < PATIENCE);
    assert!(observed.to_string() == "198.51.100.4:5555" && tracker.ip().is_loopback());
    events.on().await;

    let (_, request) = conn.serve_until(|r| matches!(r, Request::Register { .. })).await;
    let Request::Register { q, files, more, full } = request else { unreachable!() };
    assert_eq!((files, more, full), (vec![meta.clone()], false, true));
    conn.send(&Reply::Done { q }).await;
    assert_eq!(events.registered().await, [id(&meta)].into());

    announcer.remove_share(id(&meta));
    let (_, request) = conn.serve_until(|r| matches!(r, Request::Unregister { .. })).await;
    let Request::Unregister { ids, .. } = request else { unreachable!() };
    assert_eq!(ids, [id(&meta)]);
}

#[tokio::test]
async fn what_a_download_waits_for_is_asked_together_with_the_hello() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let meta = file("a", 1);
    announcer.watch([id(&meta)].into());
    announcer.locate(id(&meta));
    let mut conn = fake.accept().await;
    // They are here though nothing was answered yet.
    let Request::FileLocations { q, .. } = conn.receive().await else { panic!("no locate") };
    let Request::Watch { q: watch, catalogue: false, .. } = conn.receive().await else {
        panic!("no watch");
    };
    let catalogue = conn.receive().await;
    assert!(matches!(catalogue, Request::Watch { catalogue: true, .. }));
    let list = conn.receive().await;
    assert!(matches!(list, Request::FileList { .. }));
    conn.send(&Reply::Welcome(welcome(1, true))).await;
    let sources = vec![source(2)];
    let (id, meta) = (id(&meta), Some(meta));
    conn.send(&Reply::Locations { q, id, meta, sources, complete: 1, partial: 0 }).await;
    conn.send(&Reply::Done { q: watch }).await;
    conn.answer(&catalogue, &[]).await;
    conn.answer(&list, &[]).await;
    let found = |event| match event {
        TrackerEvent::Sources { sources, whole: true, .. } => Some(sources.len()),
        _ => None,
    };
    assert_eq!(events.until(found).await, 1);
    events.catalogue(|catalogue| catalogue.whole).await;
    // Nothing of it twice.
    let (before, _) = conn.serve_until(|r| matches!(r, Request::Ping { .. })).await;
    assert_eq!(before, []);
}

#[tokio::test]
async fn after_a_refusal_hello_goes_alone() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.accept().await;
    let text = "no".to_owned();
    conn.send(&Reply::Error { q: 0, code: Code::Auth, text, retry_ms: 0 }).await;
    events.rejected().await;
    drop(conn);
    for alone in [true, false] {
        announcer.announce_now();
        let mut conn = fake.welcome(1, true).await;
        // The ping is the first that is sent after a welcome.
        let first = conn.receive().await;
        assert_eq!(matches!(first, Request::Ping { .. }), alone, "{first:?}");
        drop(conn);
        events.lost().await;
    }
}

#[tokio::test]
async fn a_reconnect_with_a_matching_digest_registers_nothing() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let meta = file("a", 1);
    announcer.set_share(meta.clone());
    let mut conn = fake.welcome(1, false).await;
    let (_, register) = conn.serve_until(|r| matches!(r, Request::Register { .. })).await;
    conn.answer(&register, &[]).await;
    events.registered().await;
    drop(conn);
    let lost = events.state(|state| matches!(state, NetState::Lost { .. })).await;
    let NetState::Lost { since, retry_at, .. } = lost else { unreachable!() };
    assert!(retry_at - since <= Duration::from_secs(1), "the first retry comes soon");

    let mut conn = fake.welcome(1, true).await;
    let new_epoch = events
        .until(|event| match event {
            TrackerEvent::Welcomed(Welcomed { new_epoch, .. }) => Some(new_epoch),
            _ => None,
        })
        .await;
    assert!(!new_epoch);
    assert_eq!(events.registered().await, [id(&meta)].into());
    // Registrations would go out before this.
    announcer.locate(id(&file("b", 1)));
    let (before, _) = conn.serve_until(|r| matches!(r, Request::FileLocations { .. })).await;
    assert!(!before.iter().any(|r| matches!(r, Request::Register { .. })), "{before:?}");
    assert!(before.iter().any(|r| matches!(r, Request::Watch { catalogue: true, .. })));
}

#[tokio::test]
async fn a_new_epoch_is_told_everything_again() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let (shared, part) = (file("a", 1), file("b", 1_000_000));
    announcer.set_share(shared.clone());
    announcer.set_partial(id(&part), some_of(&part, &[1]));
    announcer.watch([id(&part)].into());
    let mut seen = Vec::new();
    for epoch in 1..=2 {
        let mut conn = fake.welcome(epoch, false).await;
        let new_epoch = events
            .until(|event| match event {
                TrackerEvent::Welcomed(Welcomed { new_epoch, .. }) => Some(new_epoch),
                _ => None,
            })
            .await;
        assert!(new_epoch);
        let (before, last) = conn.serve_until(|r| matches!(r, Request::ChunkRegister { .. })).await;
        let registered = before.iter().any(|r| {
            matches!(r, Request::Register { files, full: true, .. } if *files == [shared.clone()])
        });
        let watched =
            before.iter().any(|r| matches!(r, Request::Watch { ids, .. } if *ids == [id(&part)]));
        let located = before
            .iter()
            .any(|r| matches!(r, Request::FileLocations { id: at, .. } if *at == id(&part)));
        let listed = before.iter().any(|r| matches!(r, Request::FileList { .. }));
        assert!(registered && watched && located && listed, "{before:?}");
        let Request::ChunkRegister { files } = last else { unreachable!() };
        assert!(files[0].full);
        seen.push((files[0].total, files[0].chunks));
    }
    assert_eq!(seen, [(1, part.chunks); 2]);
}

#[tokio::test]
async fn progress_goes_out_as_deltas_and_in_full_when_asked_for() {
    let fake = Fake::new().await;
    let (announcer, _events) = join(1, &fake.join());
    let part = file("b", 1_000_000);
    announcer.set_partial(id(&part), ChunkSet::empty(part.chunks));
    let mut conn = fake.welcome(1, true).await;
    let is_progress = |r: &Request| matches!(r, Request::ChunkRegister { .. });
    let (_, first) = conn.serve_until(is_progress).await;
    assert!(matches!(first, Request::ChunkRegister { files } if files[0].full));
    announcer.add_chunks(id(&part), &[1, 2]);
    let (_, delta) = conn.serve_until(is_progress).await;
    let Request::ChunkRegister { files } = delta else { unreachable!() };
    let set = ChunkSet::decode(part.chunks, &files[0].set).unwrap();
    assert_eq!((files[0].full, files[0].total, set), (false, 2, some_of(&part, &[1, 2])));
    conn.send(&Reply::Resend { ids: vec![id(&part)] }).await;
    let (_, full) = conn.serve_until(is_progress).await;
    assert!(
        matches!(full, Request::ChunkRegister { files } if files[0].full && files[0].total == 2)
    );
}

#[tokio::test]
async fn a_catalogue_whose_watch_was_refused_for_now_is_listed_again() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = join(1, &fake.join());
    let rows: Vec<_> = ["a", "b"].map(|name| row(file(name, 1))).into();
    let mut conn = fake.welcome(1, true).await;
    let is_watch = |r: &Request| matches!(r, Request::Watch { catalogue: true, .. });
    let is_list = |r: &Request| matches!(r, Request::FileList { .. });
    let (_, watch) = conn.serve_until(is_watch).await;
    let Request::Watch { q, .. } = watch else { unreachable!() };
    let busy = Reply::Error { q, code: Code::Rate, text: "slow down".into(), retry_ms: 1 };
    conn.send(&busy).await;
    // Whatever is new from here to the next watch nobody tells: `b` is.
    let (mut seen, list) = conn.serve_until(is_list).await;
    conn.answer(&list, &rows[..1]).await;
    let (more, list) = conn.serve_until(is_list).await;
    seen.extend(more);
    assert!(seen.iter().any(is_watch), "{seen:?}");
    assert!(matches!(&list, Request::FileList { cursor, .. } if cursor.is_empty()), "{list:?}");
    conn.answer(&list, &rows).await;
    let all = events.catalogue(|catalogue| catalogue.whole && catalogue.rows.len() == 2).await;
    assert_eq!(names(&all), ["a", "b"]);
}

#[tokio::test]
async fn the_catalogue_comes_in_pages_and_changes_by_deltas() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = join(1, &fake.join());
    let rows: Vec<_> = ["b", "A", "c", "d"].map(|name| row(file(name, 1))).into();
    let mut conn = fake.welcome(1, true).await;
    let is_list = |r: &Request| matches!(r, Request::FileList { .. });
    let (before, list) = conn.serve_until(is_list).await;
    assert!(before.iter().any(|r| matches!(r, Request::Watch { catalogue: true, .. })));
    let Request::FileList { q, cursor, .. } = list else { unreachable!() };
    assert!(cursor.is_empty());
    let page = Reply::Files { q, rows: rows[..2].to_vec(), total: 3, cursor: b"next".to_vec() };
    conn.send(&page).await;
    let (_, list) = conn.serve_until(is_list).await;
    let Request::FileList { q, cursor, .. } = list else { unreachable!() };
    assert_eq!(cursor, b"next");
    // The tracker may be busy for a moment.
    let busy = Reply::Error { q, code: Code::Rate, text: "slow down".into(), retry_ms: 1 };
    conn.send(&busy).await;
    let (_, list) = conn.serve_until(is_list).await;
    let Request::FileList { q, cursor, .. } = list else { unreachable!() };
    assert_eq!(cursor, b"next");
    conn.send(&Reply::Files { q, rows: rows[2..3].to_vec(), total: 3, cursor: vec![] }).await;
    let first = events.catalogue(|catalogue| catalogue.whole).await;
    assert_eq!(names(&first), ["A", "b", "c"]);

    let removes = vec![id(&rows[0].meta)];
    let upserts = rows[3..].to_vec();
    let counts =
        vec![Counts::new(&id(&rows[2].meta), 400, 300), Counts::new(&id(&rows[0].meta), 9, 9)];
    conn.send(&Reply::CatalogueDelta { upserts, removes, resync: false, counts }).await;
    let second = events.catalogue(|_| true).await;
    assert_eq!(names(&second), ["A", "c", "d"]);
    assert!(second.version > first.version && second.whole);
    let counted = second.rows.iter().find(|row| &*row.name == "c").unwrap();
    assert_eq!((counted.sources, counted.complete), (400, 300));

    let (upserts, removes, counts) = (vec![], vec![], vec![]);
    conn.send(&Reply::CatalogueDelta { upserts, removes, resync: true, counts }).await;
    let (_, list) = conn.serve_until(is_list).await;
    conn.answer(&list, &rows[..1]).await;
    let third = events.catalogue(|catalogue| catalogue.whole).await;
    assert_eq!(names(&third), ["b"]);

    // A new connection keeps what was known until the new list is there.
    drop(conn);
    let mut conn = fake.welcome(2, true).await;
    let (_, list) = conn.serve_until(is_list).await;
    conn.answer(&list, &rows[1..2]).await;
    let fourth = events.catalogue(|catalogue| catalogue.whole).await;
    assert_eq!(names(&fourth), ["A"]);
    assert!(fourth.version > third.version);
}

#[tokio::test]
async fn sources_of_watched_contents_are_pushed() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let (watched, other) = (file("a", 1), file("b", 1));
    announcer.watch([id(&watched)].into());
    let mut conn = fake.welcome(1, true).await;
    let (_, locate) = conn.serve_until(|r| matches!(r, Request::FileLocations { .. })).await;
    let Request::FileLocations { q, .. } = locate else { unreachable!() };
    conn.send(&Reply::Locations {
        q,
        id: id(&watched),
        meta: Some(watched.clone()),
        sources: vec![source(1), source(2)],
        complete: 2,
        partial: 1,
    })
    .await;
    let is_sources = |event| match event {
        TrackerEvent::Sources { id, meta, sources, complete, partial, whole } => {
            Some((id, meta, sources, (complete, partial, whole)))
        }
        _ => None,
    };
    let (at, meta, sources, counts) = events.until(is_sources).await;
    assert_eq!((at, meta, counts), (id(&watched), Some(watched.clone()), (2, 1, true)));
    assert_eq!(sources.len(), 1, "without ourselves");
    assert_eq!(sources[0].addrs, ["203.0.113.7:7421".parse().unwrap()]);

    let delta = |meta: &FileMeta, joins, leaves| Reply::SourceDelta { id: id(meta), joins, leaves };
    conn.send(&delta(&other, vec![source(3)], vec![])).await;
    let gone = identity(2).peer_id();
    conn.send(&delta(&watched, vec![source(4)], vec![gone])).await;
    let left = events
        .until(|event| match event {
            TrackerEvent::SourcesLeft { id, peers } => Some((id, peers)),
            TrackerEvent::Sources { id: at, .. } => panic!("{at:?} is not watched, or too early"),
            _ => None,
        })
        .await;
    assert_eq!(left, (id(&watched), vec![gone]));
    let (at, _, sources, counts) = events.until(is_sources).await;
    assert_eq!((at, counts.2, sources[0].nick.as_str()), (id(&watched), false, "peer 4"));
}

#[tokio::test]
async fn a_wrong_key_is_a_rejection_in_plain_words() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = join(1, &fake.join_as(&identity(99), None));
    let accepting = tokio::spawn(async move {
        let stream = fake.accept_tcp().await;
        let channel = common::channel::Channel::new(&identity(200)).unwrap();
        assert!(channel.accept(stream, common::channel::Purpose::Tracker).await.is_err());
    });
    let why = events.rejected().await;
    assert!(why.contains("join string") && why.contains("in between"), "{why}");
    accepting.await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_is_a_rejection_and_is_tried_again_on_request() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.accept().await;
    let text = "this network needs a secret".to_owned();
    conn.send(&Reply::Error { q: 0, code: Code::Auth, text, retry_ms: 0 }).await;
    let why = events.rejected().await;
    assert!(why.contains("wrong or missing secret"), "{why}");
    // Otherwise a minute would pass.
    announcer.announce_now();
    fake.welcome(1, true).await;
    events.on().await;
}

#[tokio::test]
async fn an_unreachable_tracker_is_lost_since_the_first_failure() {
    let fake = Fake::new().await;
    let nobody = fake.join();
    drop(fake);
    let (announcer, mut events) = join(1, &nobody);
    let mut since_all = Vec::new();
    for _ in 0..2 {
        let lost = events.state(|state| matches!(state, NetState::Lost { .. })).await;
        let NetState::Lost { since, why, .. } = lost else { unreachable!() };
        assert!(why.contains("cannot reach 127.0.0.1"), "{why}");
        since_all.push(since);
        announcer.announce_now();
    }
    assert_eq!(since_all[0], since_all[1]);
}

#[tokio::test]
async fn goaway_is_honoured() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    conn.send(&Reply::Goaway { delay_ms: 40_000 }).await;
    let lost = events.state(|state| matches!(state, NetState::Lost { .. })).await;
    let NetState::Lost { since, retry_at, .. } = lost else { unreachable!() };
    assert!((40..=42).contains(&(retry_at - since).as_secs()));
}

#[tokio::test]
async fn a_full_tracker_is_lost_not_rejected() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.accept().await;
    let busy = Reply::Error { q: 0, code: Code::Busy, text: "full".into(), retry_ms: 40_000 };
    conn.send(&busy).await;
    let lost = events.state(|state| matches!(state, NetState::Lost { .. })).await;
    let NetState::Lost { since, retry_at, why } = lost else { unreachable!() };
    assert!(why.contains("full") && (retry_at - since).as_secs() >= 40, "{why}");
}

#[tokio::test]
async fn a_renewed_membership_is_passed_on() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    let renewed = Welcome { membership: vec![9], ..welcome(1, true) };
    conn.send(&Reply::Welcome(renewed)).await;
    let membership = events
        .until(|event| match event {
            TrackerEvent::Welcomed(Welcomed { membership, new_epoch: false, .. }) => {
                Some(membership)
            }
            _ => None,
        })
        .await;
    assert_eq!(membership, [9]);
}

#[tokio::test]
async fn leaving_is_said_and_ends_the_task() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    let leaving = tokio::spawn(announcer.leave());
    let (_, leave) = conn.serve_until(|r| matches!(r, Request::Leave { .. })).await;
    conn.answer(&leave, &[]).await;
    assert_eq!(conn.try_receive().await, None);
    leaving.await.unwrap();
    assert!(timeout(PATIENCE, async { while events.0.recv().await.is_some() {} }).await.is_ok());
}

#[tokio::test]
async fn closing_says_nothing() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    announcer.close().await;
    while let Some(request) = conn.try_receive().await {
        assert!(!matches!(request, Request::Leave { .. }));
    }
}

#[tokio::test]
async fn announcing_now_pings_an_open_connection() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    // How long the hello took comes before it.
    events.on().await;
    for _ in 0..2 {
        let (_, ping) = conn.serve_until(|r| matches!(r, Request::Ping { .. })).await;
        conn.answer(&ping, &[]).await;
        let latency = |event| matches!(event, TrackerEvent::Latency(_)).then_some(());
        events.until(latency).await;
        announcer.announce_now();
    }
}

#[tokio::test]
async fn of_lists_of_hosts_the_newest_of_the_own_tracker_counts_once_a_connection() {
    let fake = Fake::new().await;
    let patience = Patience { pause: |_| Duration::ZERO, ..Patience::default() };
    let (_announcer, mut events) = join_with(1, &fake.join(), patience);
    let own = identity(200);
    let list = |by: &Identity, serial| {
        let signed = TrackerHosts::issue(
            by,
            serial,
            Listed::Addresses,
            &[(format!("host{serial}.lab"), 7420)],
        );
        Reply::Welcome(Welcome { hosts: Some(signed), now_ms: 1_000_000, ..welcome(1, true) })
    };
    let told = |event: TrackerEvent| match event {
        TrackerEvent::Hosts { newer, .. } => newer.map(Some),
        // It would have come before this.
        TrackerEvent::State(NetState::On) => Some(None),
        _ => None,
    };
    // Of another key; the first; a lower one; the same; the next; one of a clock that is years ahead, and after that one
    // of a clock that is right.
    for (by, serial, counts) in [
        (&identity(7), 9, false),
        (&own, 5, true),
        (&own, 4, false),
        (&own, 5, false),
        (&own, 6, true),
        (&own, 4_000_000_000, true),
        (&own, 7, true),
    ] {
        let mut conn = fake.accept().await;
        conn.send(&list(by, serial)).await;
        assert_eq!(events.until(told).await.is_some(), counts, "{serial}");
        if counts {
            events.on().await;
        }
        // A renewed welcome brings no list.
        conn.send(&list(&own, serial + 1)).await;
        drop(conn);
        let silent = events.until(|event| match event {
            TrackerEvent::Hosts { .. } => Some(false),
            TrackerEvent::State(NetState::Lost { .. }) => Some(true),
            _ => None,
        });
        assert!(silent.await, "{serial}");
    }
}
