use std::time::Duration;

use common::wire::tracker::{Request, Sort};

use crate::crowd::gather;
use crate::peer::{Peer, digest, file};
use crate::program::Setup;
use crate::table::{Goal, Table};

const PEERS: u32 = 500;
/// Contents of one that comes and goes, so that there is always something to tell.
const FILES: u64 = 50_000;
const OWNER: u32 = 2_000_000;

pub(crate) async fn run(setup: &Setup, table: &mut Table, seconds: u64) {
    let tracker = setup.start();
    let files: Vec<_> = (0..FILES).map(|n| file(n, 1 << 20)).collect();
    let mut owner = Peer::connect(&tracker.join, OWNER, digest(&files)).await;
    owner.as_mut().expect("let in").register(&files).await;
    let mut deaf = gather(&tracker.join, 0..PEERS).await;
    for peer in &mut deaf {
        peer.watch(true, Vec::new()).await;
    }
    let calm = tracker.sample();
    for peer in &mut deaf {
        for q in 0..40 {
            let (query, cursor) = (String::new(), Vec::new());
            let ask = Request::FileList { q, query, cursor, limit: 500, sort: Sort::Name };
            let _ = tokio::time::timeout(Duration::from_millis(50), peer.send(&ask)).await;
        }
    }
    let (mut most, mut kernel) = (0.0f64, 0.0f64);
    let mut came = 0;
    for second in 0..seconds {
        // Coming and going touches every row.
        match owner.take() {
            Some(_) => {}
            None => owner = Peer::connect(&tracker.join, OWNER, digest(&files)).await,
        }
        came += u32::from(owner.is_some());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let unsent = tracker.unsent_in_kernel() / f64::from(PEERS);
        let held = (tracker.sample().rss - calm.rss) / f64::from(PEERS);
        if held + unsent > most + kernel {
            (most, kernel) = (held, unsent);
        }
        if second == seconds / 2 {
            let honest = Peer::connect(&tracker.join, 3_000_000, digest(&[])).await;
            assert!(honest.is_some(), "an honest peer is served beside them");
        }
    }
    table.add("who does not read: of the process", "MB", Goal::None, most / 1e6);
    table.add("who does not read: of the system", "MB", Goal::None, kernel / 1e6);
    table.add("who does not read: both", "MB", Goal::AtMost(0.5), (most + kernel) / 1e6);
    table.add("50,000 contents came", "times", Goal::None, came.into());
    drop(deaf);
}
