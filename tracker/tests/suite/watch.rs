//! What watchers are told, over real sockets.

use std::time::Duration;

use crate::support::{Client, Running, Who, file, id, progress, quick};
use common::wire::tracker::{Counts, Reply, Request};
use tokio::time::Instant;
use tracker::{Config, Timing};

#[tokio::test]
async fn a_change_reaches_a_watcher_within_a_second_of_the_default_tick() {
    let tracker = Running::start(Config { timing: Timing::default(), ..quick() }).await;
    let (mut viewer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let a = file("a", 5 * 65536);
    // What is not known yet can be watched too.
    viewer.watch(true, &[id(&a)]).await;
    seed.must_register(std::slice::from_ref(&a)).await;
    let start = Instant::now();
    let (mut row, mut source) = (None, None);
    while row.is_none() || source.is_none() {
        match viewer.push().await {
            Reply::CatalogueDelta { upserts, removes, resync, .. } => {
                assert!(removes.is_empty() && !resync);
                row = upserts.into_iter().next();
            }
            Reply::SourceDelta { id: of, joins, leaves } => {
                assert!(of == id(&a) && leaves.is_empty());
                source = joins.into_iter().next();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!((row.unwrap().complete, source.unwrap().have), (1, a.chunks));
    tracker.stop().await;
}

#[tokio::test]
async fn peers_that_begin_together_hear_of_each_other_without_the_longest_pause() {
    let timing = Timing { tick: Duration::from_secs(3600), ..Timing::default() };
    let tracker = Running::start(Config { timing, ..quick() }).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let a = file("a", 5 * 65536);
    seed.must_register(std::slice::from_ref(&a)).await;
    seed.watch(false, &[id(&a)]).await;
    // More than one round of pushes.
    for n in 2..5 {
        let (mut other, _) = Client::connect(&tracker.join, &Who::new(n)).await;
        other.chunks(vec![progress(&a, &[0], 1, true)]).await;
        loop {
            match seed.push().await {
                Reply::SourceDelta { joins, .. } if joins.iter().any(|s| s.peer == other.me) => {
                    break;
                }
                Reply::SourceDelta { .. } => {}
                reply => panic!("{reply:?}"),
            }
        }
    }
    tracker.stop().await;
}

#[tokio::test]
async fn sources_come_progress_and_go() {
    let tracker = Running::start(quick()).await;
    let (mut viewer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let (mut half, _) = Client::connect(&tracker.join, &Who::new(3)).await;
    let a = file("a", 5 * 65536);
    seed.must_register(std::slice::from_ref(&a)).await;
    // The answer to a question just before counts as told.
    assert_eq!(viewer.locations(id(&a), 50).await.sources.len(), 1);
    viewer.watch(false, &[id(&a)]).await;
    half.chunks(vec![progress(&a, &[2], 1, true)]).await;
    match viewer.push().await {
        Reply::SourceDelta { joins, leaves, .. } => {
            assert_eq!((joins.len(), joins[0].peer, joins[0].have), (1, half.me, 1));
            assert!(leaves.is_empty());
        }
        other => panic!("{other:?}"),
    }
    half.chunks(vec![progress(&a, &[3, 4], 3, false)]).await;
    match viewer.push().await {
        Reply::SourceDelta { joins, .. } => assert_eq!((joins.len(), joins[0].have), (1, 3)),
        other => panic!("{other:?}"),
    }
    drop(half);
    let (me, q) = (seed.me, seed.q());
    match viewer.push().await {
        Reply::SourceDelta { joins, leaves, .. } => assert_eq!((joins.len(), leaves.len()), (0, 1)),
        other => panic!("{other:?}"),
    }
    seed.ask(q, &Request::Unregister { q, ids: vec![id(&a)] }).await;
    match viewer.push().await {
        Reply::SourceDelta { leaves, .. } => assert_eq!(leaves, [me]),
        other => panic!("{other:?}"),
    }
    tracker.stop().await;
}

#[tokio::test]
async fn who_stops_watching_hears_no_more() {
    let tracker = Running::start(quick()).await;
    let (mut viewer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let (mut other, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let a = file("a", 5);
    viewer.watch(true, &[id(&a)]).await;
    other.watch(true, &[id(&a)]).await;
    viewer.send(&Request::Unwatch { catalogue: true, ids: vec![id(&a)] }).await;
    viewer.sync().await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(3)).await;
    seed.must_register(&[a]).await;
    // The other one has heard of it, so the tick is over.
    other.push().await;
    other.push().await;
    viewer.sync().await;
    assert!(viewer.pushes.is_empty(), "{:?}", viewer.pushes);
    tracker.stop().await;
}

#[tokio::test]
async fn a_burst_of_registrations_arrives_whole() {
    let tracker = Running::start(quick()).await;
    let (mut viewer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    viewer.watch(true, &[]).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let all = 20 * 256;
    let start = Instant::now();
    for batch in 0..20 {
        let files = (0..256).map(|n| file(&format!("{batch}/{n}").replace('/', " "), 1)).collect();
        let q = seed.q();
        seed.send(&Request::Register { q, files, more: false, full: false }).await;
    }
    for q in 1..=20 {
        assert_eq!(seed.answer(q).await, Reply::Done { q });
    }
    eprintln!("{all} files registered in {:?}", start.elapsed());
    let mut seen = std::collections::HashSet::new();
    while seen.len() < all {
        match viewer.push().await {
            Reply::CatalogueDelta { upserts, .. } => {
                assert!(upserts.len() <= 500);
                seen.extend(upserts.into_iter().map(|row| row.meta.name));
            }
            other => panic!("{other:?}"),
        }
    }
    tracker.stop().await;
}

#[tokio::test]
async fn chunks_of_a_content_known_too_late_are_asked_for_again() {
    let tracker = Running::start(quick()).await;
    let a = file("a", 5 * 65536);
    let (mut half, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    half.chunks(vec![progress(&a, &[2], 1, true)]).await;
    half.sync().await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    seed.must_register(std::slice::from_ref(&a)).await;
    assert_eq!(half.push().await, Reply::Resend { ids: vec![id(&a)] });
    half.chunks(vec![progress(&a, &[2], 1, true)]).await;
    half.sync().await;
    assert_eq!(seed.locations(id(&a), 9).await.partial, 1);
    tracker.stop().await;
}

/// One says that it understands numbers alone, the other is of before them: both know the same in the end.
#[tokio::test]
async fn who_understands_numbers_is_sent_no_rows_again_and_who_does_not_is() {
    let tracker = Running::start(quick()).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let a = file("a", 5 * 65536);
    let (mut new, _) = Client::connect(&tracker.join, &Who { counts: true, ..Who::new(2) }).await;
    let (mut old, _) = Client::connect(&tracker.join, &Who::new(3)).await;
    for viewer in [&mut new, &mut old] {
        viewer.watch(true, &[]).await;
    }
    seed.must_register(std::slice::from_ref(&a)).await;
    for viewer in [&mut new, &mut old] {
        match viewer.push().await {
            Reply::CatalogueDelta { upserts, counts, .. } => {
                assert_eq!((upserts.len(), upserts[0].sources, counts.len()), (1, 1, 0));
            }
            other => panic!("{other:?}"),
        }
    }
    let (mut second, _) = Client::connect(&tracker.join, &Who::new(4)).await;
    second.chunks(vec![progress(&a, &[0], 1, true)]).await;
    match new.push().await {
        Reply::CatalogueDelta { upserts, counts, .. } => {
            assert_eq!((upserts, counts), (vec![], vec![Counts::new(&id(&a), 2, 1)]));
        }
        other => panic!("{other:?}"),
    }
    match old.push().await {
        Reply::CatalogueDelta { upserts, counts, .. } => {
            assert_eq!((upserts[0].sources, upserts[0].complete, counts), (2, 1, vec![]));
        }
        other => panic!("{other:?}"),
    }
    tracker.stop().await;
}
