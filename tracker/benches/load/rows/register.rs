use std::time::Instant;

use crate::crowd::{gather, percentile};
use crate::peer::file;
use crate::program::Setup;
use crate::table::{Goal, Table};

/// Contents of one peer: one may register 100,000.
const OF_ONE: u64 = 50_000;
/// The small catalogue that the large one is compared with.
const SMALL: u64 = 5_000;

pub(crate) async fn run(setup: &Setup, table: &mut Table, files: u64) {
    let mut small = 0.0;
    for total in [SMALL, files] {
        let tracker = setup.start();
        let peers = total.div_ceil(OF_ONE).max(4);
        let crowd = gather(&tracker.join, 0..u32::try_from(peers).unwrap()).await;
        let lists: Vec<Vec<_>> = (0..peers)
            .map(|n| {
                (n * total / peers..(n + 1) * total / peers).map(|n| file(n, 1 << 20)).collect()
            })
            .collect();
        let (before, began) = (tracker.sample(), Instant::now());
        let mut tasks = Vec::new();
        for (mut peer, files) in crowd.into_iter().zip(lists) {
            tasks.push(tokio::spawn(async move {
                peer.register(&files).await;
                peer
            }));
        }
        let mut peers = Vec::new();
        for task in tasks {
            peers.push(task.await.unwrap());
        }
        let seconds = began.elapsed().as_secs_f64();
        let after = tracker.sample();
        let cpu = after.cpu(&before) / total as f64 * 1e6;
        let goal = if total == files { Goal::AtLeast(30_000.0) } else { Goal::None };
        table.add(format!("{total} registered, on disk"), "/s", goal, total as f64 / seconds);
        table.add(format!("{total} registered: CPU"), "us each", Goal::None, cpu);
        if total == SMALL {
            small = cpu;
        } else {
            table.add(
                format!("CPU of one in {total} and in {SMALL}"),
                "times",
                Goal::AtMost(1.5),
                cpu / small,
            );
        }
        let mut waits = Vec::new();
        for n in 0..50 {
            let began = Instant::now();
            peers[0].register(&[file(900_000_000 + n, 1)]).await;
            waits.push(began.elapsed());
        }
        table.add(
            format!("one more after {total}, p99"),
            "ms",
            Goal::AtMost(50.0),
            percentile(&mut waits, 0.99) * 1e3,
        );
    }
}
