//! Swarms of real cores on virtual time. Every run is repeatable from its seed.

mod network;

use std::time::Duration;

use network::{Manner, Network, Outcome, Spec, bound};
use tui_peer::swarm::NodeConfig;
use tui_peer::swarm::event::Notice;

const MIB: u64 = 1 << 20;
/// One link unit: 10 MB/s.
const UNIT: f64 = 10e6;

fn run(size: u64, specs: &[Spec], seed: u64) -> (Outcome, f64) {
    let delay = Duration::from_millis(2);
    let limit = Duration::from_secs_f64(bound(size, specs) * 20.0 + 120.0);
    let outcome = Network::new(size, specs, delay, &NodeConfig::default(), seed).run(limit);
    assert_eq!(outcome.unfinished, 0, "seed {seed}: somebody never finished");
    let last = outcome.times.iter().copied().fold(0.0, f64::max);
    (outcome, last / bound(size, specs))
}

fn crowd(n: usize, up: f64, down: f64) -> Vec<Spec> {
    let mut specs = vec![Spec::new(UNIT, f64::MAX / 4.0, true)];
    specs.extend((0..n).map(|_| Spec::new(up, down, false)));
    specs
}

#[test]
fn one_source_one_peer_runs_at_line_rate() {
    let specs = crowd(1, UNIT, UNIT);
    for seed in 0..3 {
        let (outcome, ratio) = run(64 * MIB, &specs, seed);
        assert!(ratio <= 1.05, "seed {seed}: {ratio:.3}");
        assert!(outcome.waste <= 0.005, "seed {seed}: waste {}", outcome.waste);
    }
}

#[test]
fn a_crowd_finishes_together() {
    let specs = crowd(16, UNIT, UNIT * 4.0);
    for seed in 0..3 {
        let (outcome, ratio) = run(128 * MIB, &specs, seed);
        assert!(ratio <= 1.25, "seed {seed}: {ratio:.3}");
        assert!(outcome.seed_copies <= 1.3, "seed {seed}: {} copies", outcome.seed_copies);
        assert!(outcome.waste <= 0.01, "seed {seed}: waste {}", outcome.waste);
    }
}

#[test]
fn a_liar_is_banned_and_costs_little() {
    let mut specs = crowd(1, UNIT, UNIT * 10.0);
    specs.extend([Spec::new(UNIT, UNIT, true), Spec::new(UNIT, UNIT, true)]);
    let honest = run(64 * MIB, &specs, 1).0.times[0];
    specs.push(Spec { manner: Manner::Liar(10), ..Spec::new(UNIT, UNIT, true) });
    for seed in 0..5 {
        let (outcome, _) = run(64 * MIB, &specs, seed);
        let banned = |n: &Notice| matches!(n, Notice::Banned { peer, .. } if *peer == network::peer_id(4));
        assert!(outcome.notices.iter().any(banned), "seed {seed}: {:?}", outcome.notices);
        assert!(outcome.times[0] <= honest * 1.2 + 0.5, "seed {seed}: {:?}", outcome.times);
        let innocent = |n: &Notice| matches!(n, Notice::Banned { peer, .. } if *peer != network::peer_id(4));
        assert!(!outcome.notices.iter().any(innocent), "seed {seed}: {:?}", outcome.notices);
    }
}

#[test]
fn sources_that_serve_nothing_or_stop_cost_only_their_share() {
    let mut specs = crowd(1, UNIT, UNIT * 10.0);
    specs.push(Spec::new(UNIT, UNIT, true));
    let honest = run(96 * MIB, &specs, 1).0.times[0];
    specs.push(Spec { manner: Manner::Silent, ..Spec::new(UNIT, UNIT, true) });
    specs.push(Spec { manner: Manner::StopsAfter(5_000_000), ..Spec::new(UNIT, UNIT, true) });
    for seed in 0..5 {
        let (outcome, _) = run(96 * MIB, &specs, seed);
        assert!(outcome.times[0] <= honest * 1.25 + 1.0, "seed {seed}: {:?} vs {honest}", outcome.times);
    }
}

#[test]
fn a_killed_source_is_replaced_at_once() {
    let mut specs = crowd(1, UNIT, UNIT * 10.0);
    specs.push(Spec::new(UNIT, UNIT, true));
    specs.push(Spec { dies: Some(Duration::from_secs(2)), ..Spec::new(2.0 * UNIT, UNIT, true) });
    for seed in 0..5 {
        let (outcome, _) = run(96 * MIB, &specs, seed);
        // Two seconds at four units, the rest at two.
        let ideal = 2.0 + (96.0 * MIB as f64 - 2.0 * 4.0 * UNIT) / (2.0 * UNIT);
        assert!(outcome.times[0] <= ideal * 1.1 + 0.5, "seed {seed}: {:?} vs {ideal}", outcome.times);
    }
}

#[test]
fn a_latecomer_is_served_by_everybody() {
    let mut specs = crowd(4, UNIT, UNIT * 4.0);
    let late = Duration::from_secs(12);
    specs.push(Spec { joins: late, ..Spec::new(UNIT, UNIT * 4.0, false) });
    let (outcome, _) = run(64 * MIB, &specs, 3);
    let own = outcome.times.last().copied().unwrap();
    assert!(own <= 64.0 * MIB as f64 / (4.0 * UNIT) * 1.3 + 0.5, "{own}");
}

#[test]
fn a_tenth_of_the_peers_may_die() {
    let mut specs = crowd(20, UNIT, UNIT * 4.0);
    for (i, spec) in specs.iter_mut().enumerate().skip(1).step_by(10) {
        spec.dies = Some(Duration::from_secs(3 + i as u64));
    }
    run(96 * MIB, &specs, 5);
}

/// The table of scenarios: `cargo test -p tui-peer --test sim -- --ignored --nocapture table`.
#[test]
#[ignore = "prints the table of scenarios; minutes in a debug build"]
fn table() {
    println!("{:<44}{:>8}{:>8}{:>8}{:>8}", "scenario", "last", "mean", "copies", "waste");
    let mixed = |n: usize| {
        let mut specs = crowd(0, UNIT, UNIT);
        let ups = [0.25, 1.0, 1.0, 2.0];
        specs.extend((0..n).map(|i| {
            let up = ups[i % 4] * UNIT;
            Spec::new(up, 2.0 * up.max(UNIT), false)
        }));
        specs
    };
    let scenarios: Vec<(&str, u64, Vec<Spec>)> = vec![
        ("16 equal, wide downlinks, K=1024", 64 * MIB, crowd(16, UNIT, UNIT * 100.0)),
        ("16 equal, symmetric, K=1024", 64 * MIB, crowd(16, UNIT, UNIT)),
        ("16 equal, symmetric, K=2048", 128 * MIB, crowd(16, UNIT, UNIT)),
        ("32 mixed uplinks, K=2048", 128 * MIB, mixed(32)),
        ("64 equal, symmetric, K=2048", 128 * MIB, crowd(64, UNIT, UNIT)),
        ("8 equal, symmetric, 1 GiB", 1024 * MIB, crowd(8, UNIT, UNIT)),
    ];
    for (name, size, specs) in scenarios {
        let runs: Vec<(Outcome, f64)> = (0..2).map(|seed| run(size, &specs, seed)).collect();
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
