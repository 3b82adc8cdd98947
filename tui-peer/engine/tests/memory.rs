//! H3: what one of very many shares that nobody fetches takes in memory: in the session, in the core and in snapshots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use engine::api::command::Command;
use engine::api::config::EngineConfig;
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{Snapshot, TransferState};
use engine::api::start;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Fills hash tables of 4096 places as far as they go.
const SHARES: usize = 3_500;
/// Bytes an idle share may take, the library's pages in memory included. 50,000 of them are 140 MB; the rest of the
/// 250 MB that a peer with them may have is what any peer takes, and what the tracker tells of them.
const IDLE: usize = 2_800;
/// The same at the peak of a start that looks at all of them, what is being looked at included.
const START: usize = 3_300;
/// Longest a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

async fn engine(dir: &Path) -> EngineHandle {
    let mut config = EngineConfig::new(dir.join("state"), dir.join("downloads"));
    config.listen = ([127, 0, 0, 1], 0).into();
    start(config).await.unwrap()
}

/// Waits until all are shared, and says what that takes for each: now, and at the most meanwhile.
async fn shared(engine: &EngineHandle, before: usize) -> (usize, usize) {
    let sharing = |snapshot: &Snapshot| {
        let there = snapshot.transfers.iter().filter(|row| row.state == TransferState::Sharing);
        there.count() == SHARES && snapshot.transfers.len() == SHARES
    };
    let mut snapshots = engine.snapshots();
    let wait = async {
        while !sharing(&snapshots.borrow_and_update()) {
            snapshots.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("all are shared");
    let of_each = |bytes: usize| bytes.saturating_sub(before) / SHARES;
    (of_each(ALLOCATED.current_usage()), of_each(ALLOCATED.peak_usage()))
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_an_idle_share_takes_at_most_2800_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("files");
    fs::create_dir(&dir).unwrap();
    for n in 0..SHARES {
        fs::write(dir.join(format!("file-{n:05}.txt")), n.to_le_bytes()).unwrap();
    }
    let first = engine(temp.path()).await;
    let before = ALLOCATED.current_usage();
    for n in 0..SHARES {
        let path = dir.join(format!("file-{n:05}.txt"));
        first.call(Command::Offer { path }).await.unwrap();
    }
    let (idle, _) = shared(&first, before).await;
    first.stop(Stop::Gracefully);
    first.stopped().await;
    drop(first);

    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let second = engine(temp.path()).await;
    let (again, most) = shared(&second, before).await;
    println!("bytes of a share: {idle}; after a restart {again}, at the most {most}");
    assert!(idle <= IDLE, "{idle} bytes for each share");
    assert!(most <= START, "{most} bytes for each share at the peak of a start");
}
