//! How long the announcer stays away from a tracker that comes and goes. Time flies: pauses are computed and
//! told, and are over at once.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::wire::tracker::{Reply, Request, Welcome};

use super::fake::{Fake, welcome};
use super::*;

/// A little more than the longest wait is what a computer needs to tell it.
const LONGEST: Duration = Duration::from_secs(15);

fn hasty(n: u8, fake: &Fake) -> (Announcer, Events) {
    let patience = Patience { pause: |_| Duration::ZERO, ..Patience::default() };
    join_with(n, &fake.join(), patience)
}

/// The pause after the next loss.
async fn pause(events: &mut Events) -> Duration {
    match events.state(|state| matches!(state, NetState::Lost { .. })).await {
        NetState::Lost { retry_at, .. } => retry_at.saturating_duration_since(Instant::now()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn f8_a_tracker_that_crashes_again_and_again_is_back_for_all_within_a_second() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = hasty(1, &fake);
    for epoch in 0..12 {
        drop(fake.welcome(epoch, true).await);
        let pause = pause(&mut events).await;
        assert!(pause <= Duration::from_secs(1), "run {epoch}: {pause:?}");
    }
}

#[tokio::test]
async fn f8_no_wait_is_longer_than_fifteen_seconds() {
    let fake = Fake::new().await;
    let (_announcer, mut events) = hasty(1, &fake);
    let mut longest = Duration::ZERO;
    // It ends before it answers; then it lets us in and hangs up, always in the same run.
    for _ in 0..12 {
        drop(fake.accept_tcp().await);
        longest = longest.max(pause(&mut events).await);
    }
    for _ in 0..12 {
        drop(fake.welcome(7, true).await);
        longest = longest.max(pause(&mut events).await);
    }
    assert!(longest > LONGEST / 2 && longest <= LONGEST, "{longest:?}");
    // Mended.
    drop(fake.welcome(8, true).await);
    assert!(pause(&mut events).await <= Duration::from_secs(1));
}

#[tokio::test]
async fn f8_a_crowd_comes_back_over_the_spread_that_was_announced() {
    for (spread_ms, most) in [(40_000, 40), (u32::MAX, 60)] {
        let fake = Fake::new().await;
        let (_announcer, mut events) = hasty(1, &fake);
        let mut longest = Duration::ZERO;
        for epoch in 0..20 {
            let mut conn = fake.accept().await;
            let spread = Welcome { spread_ms: Some(spread_ms), ..welcome(epoch, true) };
            conn.send(&Reply::Welcome(spread)).await;
            drop(conn);
            longest = longest.max(pause(&mut events).await);
        }
        let most = Duration::from_secs(most);
        assert!(longest > most / 2 && longest <= most, "{longest:?} of {most:?}");
    }
}

#[tokio::test]
async fn an_address_that_changes_is_told_and_nothing_is_lost_by_it() {
    let fake = Fake::new().await;
    let addr = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let own = Arc::new(Mutex::new(vec![addr("10.0.0.5:7001"), addr("[2001:db8::5]:7001")]));
    let asked = Arc::clone(&own);
    let config = AnnouncerConfig {
        shared_port: false,
        local: OwnAddresses::new(move || asked.lock().unwrap().clone()),
        ..config(1, &fake.join())
    };
    let patience = Patience { look: Duration::from_millis(1), ..Patience::default() };
    let (_announcer, events) = start_with(config, fastrand::Rng::with_seed(1), patience);
    let mut events = Events(events);
    let mut conn = fake.accept().await;
    assert_eq!(conn.hello.local, *own.lock().unwrap());
    let welcome = Welcome { other_family: Some(Vec::new()), ..welcome(1, true) };
    conn.send(&Reply::Welcome(welcome)).await;
    events.state(|state| *state == NetState::On).await;
    *own.lock().unwrap() = vec![addr("192.168.7.5:7001")];
    let is_told = |request: &Request| matches!(request, Request::Addresses { .. });
    let (_, told) = conn.serve_until(is_told).await;
    assert_eq!(told, Request::Addresses { local: vec![addr("192.168.7.5:7001")] });
}
