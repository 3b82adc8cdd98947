use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::join::JoinString;
use common::limits::MAX_TRACKER_FRAME;
use common::wire::tracker::Request;
use tokio::sync::Semaphore;

use crate::crowd::percentile;
use crate::peer::{Peer, digest};
use crate::program::Setup;
use crate::table::{Goal, Table};

/// As in `announcer/backoff.rs` of tui-peer: the first wait, the longest, and what counts as a good connection.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);
const LASTED: Duration = Duration::from_secs(20);
const SPREAD_TRIES: u32 = 2;
/// Given up after this.
const PATIENCE: Duration = Duration::from_secs(90);

/// What all peers have done.
#[derive(Default)]
struct Tally {
    up: AtomicU32,
    dials: AtomicU64,
    /// When each was welcome again.
    back: Mutex<Vec<Instant>>,
}

pub(crate) async fn run(setup: &Setup, table: &mut Table, peers: u32) {
    for (kind, spreads) in [("storm", true), ("storm of peers that do not spread", false)] {
        let mut tracker = setup.start();
        let tally = Arc::new(Tally::default());
        let places = Arc::new(Semaphore::new(64));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..peers {
            let (join, tally, places) =
                (tracker.join.clone(), Arc::clone(&tally), Arc::clone(&places));
            tasks.spawn(async move { live(n, join, spreads, &places, &tally).await });
        }
        let began = Instant::now();
        while tally.up.load(Ordering::Relaxed) < peers && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Only then was it a good connection.
        tokio::time::sleep(LASTED + Duration::from_secs(1)).await;
        tally.dials.store(0, Ordering::Relaxed);
        tally.back.lock().unwrap().clear();
        let killed = Instant::now();
        tracker.kill();
        let tracker = tracker.again();
        let before = tracker.sample();
        let back = || tally.back.lock().unwrap().len();
        while back() < peers as usize && killed.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let after = tracker.sample();
        let mut times: Vec<_> = tally.back.lock().unwrap().iter().map(|at| *at - killed).collect();
        let came = times.len() as f64;
        let goal = |most| if spreads { Goal::AtMost(most) } else { Goal::None };
        table.add(format!("{kind}: not back"), "peers", goal(0.0), f64::from(peers) - came);
        table.add(format!("{kind}: half are back"), "s", Goal::None, percentile(&mut times, 0.5));
        table.add(format!("{kind}: all are back"), "s", goal(6.0), percentile(&mut times, 1.0));
        let dials = tally.dials.load(Ordering::Relaxed) as f64;
        table.add(format!("{kind}: dials"), "a peer", goal(1.1), dials / came);
        table.add(
            format!("{kind}: CPU"),
            "us a peer",
            goal(350.0),
            after.cpu(&before) / came * 1e6,
        );
        tasks.shutdown().await;
    }
}

/// One peer: dials, stays until the connection breaks, waits longer and longer.
async fn live(n: u32, join: JoinString, spreads: bool, places: &Semaphore, tally: &Tally) {
    let mut rng = fastrand::Rng::with_seed(n.into());
    let mut orderly = places.acquire().await.ok();
    let (mut failures, mut spread) = (0u32, Duration::ZERO);
    loop {
        tally.dials.fetch_add(1, Ordering::Relaxed);
        let mut lived = Duration::ZERO;
        if let Some(mut peer) = Peer::connect(&join, n, digest(&[])).await {
            let since = Instant::now();
            tally.back.lock().unwrap().push(since);
            tally.up.fetch_add(1, Ordering::Relaxed);
            orderly = None;
            spread = stay(&mut peer, spreads).await;
            tally.up.fetch_sub(1, Ordering::Relaxed);
            lived = since.elapsed();
        }
        if lived >= LASTED {
            failures = 0;
        }
        let doubled = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST.max(spread));
        let wait = if failures < SPREAD_TRIES && spread > doubled {
            FIRST / 2 + (spread - FIRST / 2).mul_f64(rng.f64())
        } else {
            doubled.mul_f64(0.5 + rng.f64() / 2.0)
        };
        failures += 1;
        if orderly.is_none() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Until the connection breaks; over which time it was told last to come back.
async fn stay(peer: &mut Peer, spreads: bool) -> Duration {
    let told = |spread_ms: Option<u32>| {
        Duration::from_millis(spread_ms.unwrap_or(0).into()).mul_f64(f64::from(u8::from(spreads)))
    };
    let mut spread = told(peer.welcome.spread_ms);
    loop {
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let frame = tokio::time::timeout_at(until, peer.reader.read(MAX_TRACKER_FRAME)).await;
            let frame = match frame {
                Err(_) => break,
                Ok(Err(_)) => return spread,
                Ok(Ok(frame)) => frame,
            };
            if let Ok(Some(common::wire::tracker::Reply::Welcome(welcome))) =
                common::wire::tracker::Reply::decode(frame.kind, &frame.body)
            {
                spread = told(welcome.spread_ms);
            }
        }
        peer.send(&Request::Ping { q: 1 }).await;
    }
}
