use std::time::Duration;

use common::wire::tracker::Request;

use crate::crowd::{gather, hold};
use crate::peer::{Progress, file};
use crate::program::Setup;
use crate::table::{Goal, Table};

/// Peers ping after this much silence.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How long after the last one came the tracker still tells all how many they are: its rounds are a millisecond a peer
/// apart, and there may be two to come.
fn settled(peers: u32) -> Duration {
    Duration::from_secs(2) + Duration::from_millis(2 * u64::from(peers))
}

pub(crate) async fn run(setup: &Setup, table: &mut Table, peers: u32, seconds: u64) {
    let (tracker, time) = (setup.start(), Duration::from_secs(seconds));
    let files: Vec<_> = (0..100).map(|n| file(n, 128 << 20)).collect();
    let mut seed = gather(&tracker.join, 1_000_000..1_000_001).await.pop().expect("let in");
    seed.register(&files).await;
    let _seed = seed.drain();
    let empty = tracker.sample();
    let crowd = gather(&tracker.join, 0..peers).await;
    let there = tracker.sample();
    let came = crowd.len() as f64;
    table.add(
        format!("{peers} connect: not let in"),
        "peers",
        Goal::AtMost(0.0),
        f64::from(peers) - came,
    );
    table.add("a connection: CPU", "us", Goal::AtMost(350.0), there.cpu(&empty) / came * 1e6);
    let mut writers: Vec<_> = crowd.into_iter().map(|peer| peer.drain().0).collect();
    tokio::time::sleep(settled(peers)).await;
    let before = tracker.sample();
    table.add(
        "a connection: memory",
        "KB",
        Goal::AtMost(12.0),
        (before.rss - empty.rss) / came / 1e3,
    );
    hold(&mut writers, time, HEARTBEAT, |_| Request::Ping { q: 1 }).await;
    let after = tracker.sample();
    let of_10k = 10_000.0 / came;
    table.add("10k at rest", "% of a core", Goal::AtMost(1.0), after.percent(&before) * of_10k);
    let mut progress: Vec<_> =
        (0..writers.len()).map(|n| Progress::new(&files[n % files.len()], 0)).collect();
    let before = (tracker.sample(), tracker.metric("chunk_updates_total"));
    hold(&mut writers, time, Duration::from_secs(1), |n| progress[n].step(4)).await;
    let after = tracker.sample();
    let frames = tracker.metric("chunk_updates_total") - before.1;
    let share = frames / after.seconds(&before.0) / 10_000.0;
    let percent = after.percent(&before.0) / share;
    table.add("10k at one message a second", "% of a core", Goal::AtMost(12.0), percent);
    table.add("the same: messages", "/s", Goal::None, share * 10_000.0);
    let after = tracker.sample();
    table.add("a busy connection: memory", "KB", Goal::None, (after.rss - empty.rss) / came / 1e3);
}
