//! The table of scenarios with their limits.
//! `cargo test --release -p swarm --test sim -- --ignored --nocapture table`
//! prints and holds all of it; `SIM=<part of a name>` prints some of it, `SIM_SEEDS=<n>` with more seeds.

use super::run;
use super::spec::{MIB, Spec, UNIT, bound, crowd, dying, equal, mixed};

/// A swarm and what it must reach with every seed.
struct Scenario {
    name: &'static str,
    size: u64,
    specs: Vec<Spec>,
    /// Last completion over the fluid bound.
    last: f64,
    /// Copies the seed sends until all are done.
    copies: f64,
    /// Bytes received in vain, of all received.
    waste: f64,
}

fn scenario(name: &'static str, mib: u64, specs: Vec<Spec>, last: f64) -> Scenario {
    Scenario { name, size: mib * MIB, specs, last, copies: 1.10, waste: 0.005 }
}

fn scenarios() -> Vec<Scenario> {
    let slow = |s: Scenario| Scenario { copies: 1.25, ..s };
    vec![
        scenario("16 equal, wide downlinks, K=256", 16, crowd(16, UNIT, UNIT * 100.0), 1.10),
        scenario("16 equal, wide downlinks, K=1024", 64, crowd(16, UNIT, UNIT * 100.0), 1.10),
        scenario("16 equal, symmetric, K=256", 16, crowd(16, UNIT, UNIT), 1.15),
        scenario("16 equal, symmetric, K=1024", 64, crowd(16, UNIT, UNIT), 1.15),
        scenario("16 equal, symmetric, K=2048", 128, crowd(16, UNIT, UNIT), 1.15),
        scenario("16 equal, wide, K=256, 1 MB/s", 16, equal(16, UNIT / 10.0, 100.0), 1.10),
        scenario("16 equal, symmetric, K=256, 1 MB/s", 16, equal(16, UNIT / 10.0, 1.0), 1.15),
        scenario("16 equal, symmetric, K=256, 0.1 MB/s", 16, equal(16, UNIT / 100.0, 1.0), 1.15),
        scenario("32 mixed uplinks, K=1024", 64, mixed(32), 1.20),
        scenario("32 mixed uplinks, K=2048", 128, mixed(32), 1.20),
        scenario("64 equal, symmetric, K=2048", 128, crowd(64, UNIT, UNIT), 1.20),
        scenario("8 equal, symmetric, 1 GiB", 1024, crowd(8, UNIT, UNIT), 1.10),
        slow(scenario(
            "30, a tenth dies, K=1024",
            64,
            dying(crowd(30, UNIT, UNIT * 4.0), 5.0),
            1.25,
        )),
    ]
}

#[test]
#[ignore = "prints the table of scenarios; minutes in a debug build"]
fn table() {
    let only = std::env::var("SIM").unwrap_or_default();
    let seeds = super::seeds(3);
    println!(
        "{:<40}{:>7}{:>7}{:>7}{:>8}{:>8}{:>8}{:>6}{:>7}",
        "worst of seeds", "last", "limit", "mean", "copies", "waste", "msg/ch", "fair", "hashes"
    );
    let mut missed = Vec::new();
    for s in scenarios().into_iter().filter(|s| s.name.contains(&only)) {
        let runs: Vec<_> = (0..seeds).map(|seed| run(s.size, &s.specs, seed)).collect();
        let most = |of: &dyn Fn(&super::Outcome) -> f64| {
            runs.iter().map(|(outcome, _)| of(outcome)).fold(0.0, f64::max)
        };
        let last = runs.iter().map(|r| r.1).fold(0.0, f64::max);
        let least = bound(s.size, &s.specs);
        let (copies, waste) = (most(&|o| o.seed_copies), most(&|o| o.waste));
        let fair = runs.iter().map(|(o, _)| o.fairness).fold(1.0, f64::min);
        let kept = last <= s.last && copies <= s.copies && waste <= s.waste;
        println!(
            "{:<40}{last:>7.3}{:>7.2}{:>7.3}{copies:>8.3}{:>7.2}%{:>8.1}{fair:>6.2}{:>6.0}%{}",
            s.name,
            s.last,
            most(&|o| o.mean() / least),
            waste * 100.0,
            most(&|o| o.messages),
            most(&|o| o.seed_hashes) * 100.0,
            if kept { "" } else { "  MISSED" }
        );
        if !kept {
            missed.push(s.name);
        }
    }
    assert!(missed.is_empty(), "beyond their limits: {missed:?}");
}

/// The scenarios that take seconds without optimisation, each with one seed.
#[test]
fn small_crowds_keep_to_their_limits() {
    for s in scenarios().into_iter().filter(|s| s.size <= 16 * MIB) {
        let (outcome, last) = run(s.size, &s.specs, 1);
        assert!(last <= s.last, "{}: last at {last:.3}", s.name);
        assert!(outcome.seed_copies <= s.copies, "{}: {} copies", s.name, outcome.seed_copies);
        assert!(outcome.waste <= s.waste, "{}: waste {}", s.name, outcome.waste);
        assert!(outcome.mean() >= 0.9 * outcome.last(), "{}: not together", s.name);
    }
}

/// Copies over time in the scenarios that `SIM` names.
#[test]
#[ignore = "prints what happens over time"]
fn timeline() {
    let only = std::env::var("SIM").unwrap_or_else(|_| "wide downlinks, K=256".to_owned());
    for s in scenarios().into_iter().filter(|s| s.name.contains(&only)) {
        println!("{}", s.name);
        super::network(s.size, &s.specs, 0).print_timeline(bound(s.size, &s.specs), 20);
    }
}
