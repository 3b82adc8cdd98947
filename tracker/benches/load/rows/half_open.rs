use std::time::{Duration, Instant};

use crate::crowd::percentile;
use crate::peer::{Peer, digest, tcp};
use crate::program::Setup;
use crate::table::{Goal, Table};

/// Connections that say nothing.
const SILENT: u32 = 5_000;
/// New ones of them in a second, while honest peers come.
const FLOOD: u32 = 500;
/// Honest peers.
const HONEST: u32 = 100;

pub(crate) async fn run(setup: &Setup, table: &mut Table) {
    let tracker = setup.start();
    let before = tracker.sample();
    let mut silent = Vec::new();
    for n in 0..SILENT {
        silent.extend(tcp(&tracker.join, 100_000 + n).await);
    }
    let held = tracker.sample();
    table.add(
        "a silent connection: memory",
        "KB",
        Goal::AtMost(3.0),
        (held.rss - before.rss) / f64::from(SILENT) / 1e3,
    );
    let join = tracker.join.clone();
    let flood = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / FLOOD);
        for n in 0.. {
            ticks.tick().await;
            let at = (n % SILENT) as usize;
            let new = tcp(&join, 200_000 + n % 50_000).await;
            if let (Some(place), Some(new)) = (silent.get_mut(at), new) {
                *place = new;
            }
        }
    });
    let mut waits = Vec::new();
    for n in 0..HONEST {
        let began = Instant::now();
        if Peer::connect(&tracker.join, n, digest(&[])).await.is_some() {
            waits.push(began.elapsed());
        }
    }
    flood.abort();
    let lost = f64::from(HONEST) - waits.len() as f64;
    table.add("honest peers beside them: not let in", "of 100", Goal::AtMost(0.0), lost);
    table.add(
        "honest peers beside them, p99",
        "ms",
        Goal::None,
        percentile(&mut waits, 0.99) * 1e3,
    );
}
