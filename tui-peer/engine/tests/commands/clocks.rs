//! Clocks that are wrong, and clocks that are set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use engine::api::event::{Level, What};
use engine::api::snapshot::TransferState;

use super::clock::set_by;
use super::net::{Net, download, is, share, until};

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_tracker_with_another_clock_cuts_nobody_and_is_told() {
    for ahead in [15 * 60, -2 * 86_400] {
        let net = Net::start_with(set_by(&Arc::new(AtomicI64::new(ahead)))).await;
        let (seed, peer, [id]) = net.offered([&net.file("a", 300_000)]).await;
        let mut events = peer.record();
        download(&peer, id).await;
        until(&peer, "all of it", |s| is(s, id, &TransferState::Sharing)).await;
        for engine in [&seed, &peer] {
            let told = |secs: i64| secs.abs_diff(ahead) <= 5;
            until(engine, "the clocks", |s| s.network.clock_ahead_s.is_some_and(told)).await;
        }
        let warned = async {
            loop {
                let event = events.recv().await.unwrap();
                if let What::Failed { code: "clock", hint, .. } = event.what {
                    return (event.level, event.text, hint);
                }
            }
        };
        let (level, text, hint) =
            tokio::time::timeout(Duration::from_secs(60), warned).await.unwrap();
        assert_eq!(level, Level::Warn);
        assert!(text.contains("15 min ahead") || text.contains("2 days behind"), "{text}");
        assert!(hint.contains("set"), "{hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_jump_of_the_trackers_clock_by_forty_days_stops_nothing() {
    for jump in [40 * 86_400, -40 * 86_400] {
        let ahead = Arc::new(AtomicI64::new(0));
        let net = Net::start_with(set_by(&ahead)).await;
        let files = [net.file("a", 300_000), net.file("b", 300_001)];
        let (_seed, peer, [first, second]) = net.offered([&files[0], &files[1]]).await;
        ahead.store(jump, Ordering::Relaxed);
        // Who comes now has a membership of another time than those who are there.
        let late = net.peer("late").await;
        until(&late, "the catalogue", |s| s.catalogue.rows.len() == 2).await;
        download(&late, first).await;
        until(&late, "from who was there", |s| is(s, first, &TransferState::Sharing)).await;
        download(&peer, second).await;
        until(&peer, "among those who were there", |s| is(s, second, &TransferState::Sharing))
            .await;
        let third = share(&late, &net.file("c", 300_002)).await;
        until(&peer, "it is offered", |s| s.catalogue.rows.iter().any(|r| r.id == third)).await;
        download(&peer, third).await;
        until(&peer, "from who came late", |s| is(s, third, &TransferState::Sharing)).await;
        let told = |secs: i64| secs.abs_diff(jump) <= 5;
        until(&peer, "the clocks", |s| s.network.clock_ahead_s.is_some_and(told)).await;
    }
}
