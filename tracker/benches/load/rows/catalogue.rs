use std::time::{Duration, Instant};

use common::wire::Code;
use common::wire::tracker::{Reply, Request, Sort};

use crate::crowd::{gather, percentile};
use crate::peer::file;
use crate::program::Setup;
use crate::table::{Goal, Table};

/// Contents of one peer.
const OF_ONE: u64 = 100_000;
/// Searches of each kind.
const SEARCHES: usize = 60;

pub(crate) async fn run(setup: &Setup, table: &mut Table, files: u64) {
    let tracker = setup.start();
    let empty = tracker.sample();
    let owners = u32::try_from(files.div_ceil(OF_ONE)).unwrap();
    let mut crowd = gather(&tracker.join, 0..owners + 1).await;
    let mut asker = crowd.pop().expect("let in");
    let mut there = Vec::new();
    for (n, mut owner) in (0u64..).zip(crowd) {
        let list: Vec<_> =
            (n * OF_ONE..((n + 1) * OF_ONE).min(files)).map(|n| file(n, 1 << 20)).collect();
        owner.register(&list).await;
        there.push(owner.drain());
    }
    let full = tracker.sample();
    let of_1m = 1e6 / files as f64;
    table.add(
        "1M contents: memory",
        "MB",
        Goal::AtMost(400.0),
        (full.rss - empty.rss) / 1e6 * of_1m,
    );
    for (what, query, sort) in [
        ("first page by name", "", Sort::Name),
        ("first page, newest", "", Sort::Newest),
        ("a word in many names", "genome", Sort::Name),
        ("two words by size", "album train", Sort::Size),
        ("a word in no name", "nobody", Sort::Sources),
        ("part of a number", "00012345", Sort::Name),
    ] {
        let mut waits = Vec::new();
        while waits.len() < SEARCHES {
            let q = asker.q();
            let (query, cursor) = (query.to_owned(), Vec::new());
            let began = Instant::now();
            match asker.ask(q, &Request::FileList { q, query, cursor, limit: 50, sort }).await {
                Reply::Error { code: Code::Rate, retry_ms, .. } => {
                    tokio::time::sleep(Duration::from_millis(retry_ms.into())).await;
                }
                _ => waits.push(began.elapsed()),
            }
        }
        table.add(
            format!("{what}, p99"),
            "ms",
            Goal::AtMost(5.0),
            percentile(&mut waits, 0.99) * 1e3,
        );
    }
}
