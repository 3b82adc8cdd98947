//! Swarms of real cores on virtual time. Every run is repeatable from its seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod network;
mod scenarios;

use std::time::Duration;

use network::{Network, Outcome, Spec, bound};
use tui_peer::swarm::NodeConfig;

/// A mebibyte.
const MIB: u64 = 1 << 20;
/// One link unit: 10 MB/s.
const UNIT: f64 = 10e6;

/// A swarm to its end; the outcome, and the last completion over the fluid bound.
fn run(size: u64, specs: &[Spec], seed: u64) -> (Outcome, f64) {
    let delay = Duration::from_millis(2);
    let limit = Duration::from_secs_f64(bound(size, specs) * 20.0 + 120.0);
    let outcome = Network::new(size, specs, delay, &NodeConfig::default(), seed).run(limit);
    let stuck = outcome.stuck.join("\n");
    assert_eq!(outcome.unfinished, 0, "seed {seed}: somebody never finished: {stuck}");
    let last = outcome.times.iter().copied().fold(0.0, f64::max);
    (outcome, last / bound(size, specs))
}

/// A seed of one unit and `n` leechers.
fn crowd(n: usize, up: f64, down: f64) -> Vec<Spec> {
    let mut specs = vec![Spec::new(UNIT, f64::MAX / 4.0, true)];
    specs.extend((0..n).map(|_| Spec::new(up, down, false)));
    specs
}

/// A seed and `n` leechers of `rate`, downlinks so many times wider.
fn equal(n: usize, rate: f64, wider: f64) -> Vec<Spec> {
    let mut specs = vec![Spec::new(rate, f64::MAX / 4.0, true)];
    specs.extend((0..n).map(|_| Spec::new(rate, rate * wider, false)));
    specs
}

/// Leechers whose uplinks are a quarter, one, one and two units, and whose downlinks are twice that,
/// but at least two units.
fn mixed(n: usize) -> Vec<Spec> {
    let mut specs = crowd(0, UNIT, UNIT);
    let ups = [0.25, 1.0, 1.0, 2.0];
    specs.extend((0..n).map(|i| {
        let up = ups[i % 4] * UNIT;
        Spec::new(up, 2.0 * up.max(UNIT), false)
    }));
    specs
}

/// The table of scenarios: `cargo test -p tui-peer --test sim -- --ignored --nocapture table`.
#[test]
#[ignore = "prints the table of scenarios; minutes in a debug build"]
fn table() {
    println!("{:<44}{:>8}{:>8}{:>8}{:>8}", "scenario", "last", "mean", "copies", "waste");
    let scenarios: Vec<(&str, u64, Vec<Spec>)> = vec![
        ("16 equal, wide downlinks, K=256", 16 * MIB, crowd(16, UNIT, UNIT * 100.0)),
        ("16 equal, wide downlinks, K=1024", 64 * MIB, crowd(16, UNIT, UNIT * 100.0)),
        ("16 equal, symmetric, K=256", 16 * MIB, crowd(16, UNIT, UNIT)),
        ("16 equal, symmetric, K=1024", 64 * MIB, crowd(16, UNIT, UNIT)),
        ("16 equal, symmetric, K=2048", 128 * MIB, crowd(16, UNIT, UNIT)),
        ("16 equal, wide, K=256, links of 1 MB/s", 16 * MIB, equal(16, UNIT / 10.0, 100.0)),
        ("16 equal, symmetric, K=256, 1 MB/s", 16 * MIB, equal(16, UNIT / 10.0, 1.0)),
        ("16 equal, symmetric, K=256, 0.1 MB/s", 16 * MIB, equal(16, UNIT / 100.0, 1.0)),
        ("32 mixed uplinks, K=1024", 64 * MIB, mixed(32)),
        ("32 mixed uplinks, K=2048", 128 * MIB, mixed(32)),
        ("64 equal, symmetric, K=2048", 128 * MIB, crowd(64, UNIT, UNIT)),
        ("8 equal, symmetric, 1 GiB", 1024 * MIB, crowd(8, UNIT, UNIT)),
    ];
    for (name, size, specs) in scenarios {
        let runs: Vec<(Outcome, f64)> = (0..3).map(|seed| run(size, &specs, seed)).collect();
        let n = runs.len() as f64;
        let last = runs.iter().map(|r| r.1).fold(0.0, f64::max);
        let bound = bound(size, &specs);
        let mean = runs
            .iter()
            .map(|r| r.0.times.iter().sum::<f64>() / r.0.times.len() as f64 / bound)
            .sum::<f64>()
            / n;
        let copies = runs.iter().map(|r| r.0.seed_copies).sum::<f64>() / n;
        let waste = runs.iter().map(|r| r.0.waste).sum::<f64>() / n;
        println!("{name:<44}{last:>8.3}{mean:>8.3}{copies:>8.3}{:>7.2}%", waste * 100.0);
    }
}
