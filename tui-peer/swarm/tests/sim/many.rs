//! Many downloads at once from one source: as fast as one of as many bytes.

use std::time::Duration;

use super::config;
use super::network::Network;
use super::payload::Payload;
use super::spec::{MIB, Spec, UNIT};

/// Seconds that one peer needs for these files from one source at 100 MB/s, so many at once.
fn seconds(sizes: impl IntoIterator<Item = u64>, active: usize, seed: u64) -> f64 {
    let rate = 10.0 * UNIT;
    let specs = [Spec::new(rate, rate, true), Spec::new(rate, rate, false)];
    let mut payloads = sizes.into_iter().map(Payload::file);
    let first = payloads.next().unwrap();
    let mut network =
        Network::new(first, &specs, &config(), seed).with_more(payloads.collect(), active);
    let outcome = network.run(Duration::from_secs(120));
    assert_eq!(outcome.unfinished, 0, "{:?}", outcome.stuck);
    assert!(outcome.waste <= 0.005, "waste {}", outcome.waste);
    outcome.last()
}

/// Contents kept out by the connection's depth waited for the tick when the one that filled it was done:
/// 50 files of 20 MiB came one every 500 ms.
fn many(active: usize) {
    // Of different lengths, or they were one content.
    let files = (0..50).map(|n| 20 * MIB + n);
    let one = seconds([1000 * MIB], 1, 1);
    for seed in 1..4 {
        let all = seconds(files.clone(), active, seed);
        println!("{active} of 50 at once: {all:.2} s, one file {one:.2} s");
        assert!(one / all >= 0.9, "{active} at once: {all} s, one file {one} s");
    }
}

#[test]
fn many_downloads_from_one_source_are_as_fast_as_one_with_5_active() {
    many(5);
}

#[test]
fn many_downloads_from_one_source_are_as_fast_as_one_with_16_active() {
    many(16);
}

#[test]
fn many_downloads_from_one_source_are_as_fast_as_one_with_50_active() {
    many(50);
}
