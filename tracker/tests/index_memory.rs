//! S5: what the index says that it takes is what it takes, within a factor that a bound in bytes can live
//! with. Alone in its program: it looks at the memory of the whole process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod support;

use std::net::IpAddr;

use common::id::PeerId;
use common::wire::tracker::FileMeta;
use support::{digest, file};
use tracker::index::{Arrival, Index, Limits};
use tracker::store::{MetaStore as _, RedbStore};

/// Resident memory in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn s5_bytes_counted_are_bytes_taken() {
    for (length, count) in [(40, 30_000), (240, 30_000)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let mut store = RedbStore::open(&path).unwrap();
        let mut stored = Vec::new();
        let before = resident();
        let mut index = Index::new(Limits::default());
        let ip = IpAddr::from([192, 0, 2, 1]);
        let peer = PeerId::from_bytes([1; 32]);
        let (nick, local, digest) = (String::new(), vec![], digest(&[]));
        let arrival = Arrival { peer, nick, observed: ip, via: ip, port: 7, local, digest };
        let session = index.arrive(0, arrival).unwrap().session;
        for part in 0..count / 100 {
            let files: Vec<FileMeta> =
                (0..100).map(|n| file(&format!("{:0>length$}", part * 100 + n), 1)).collect();
            index.register(0, session, &files, false, false).unwrap();
            let changes = index.take_changes();
            // One part in ten is stored: enough to know what a row takes of the disk.
            if part % 10 == 0 {
                stored.push(changes);
            }
        }
        index.tick(0);
        let (taken, counted) = (resident().saturating_sub(before), index.taken().bytes);
        let ratio = taken as f64 / counted as f64;
        println!(
            "{count} rows, names of {length}: {taken} bytes taken, {counted} counted, {ratio:.2}"
        );
        drop(index);
        for changes in stored {
            store.apply(&changes).unwrap();
        }
        drop(store);
        let disk = std::fs::metadata(&path).unwrap().len();
        println!("{} rows stored take {disk} bytes of the disk", count / 10);
        assert!(disk < counted / 10, "{disk} on disk, {counted} counted");
        // Names as plain as these take little room in the lists by which they are found.
        assert!((0.3..=1.3).contains(&ratio), "{taken} taken, {counted} counted");
    }
}
