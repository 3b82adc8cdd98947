//! What a swarm must withstand, and how fast it must be.

use std::time::Duration;

use swarm::event::Notice;

use super::network::peer_id;
use super::run;
use super::spec::{MIB, Manner, Spec, UNIT, crowd, equal, mixed};

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
    for seed in 0..2 {
        let (outcome, ratio) = run(64 * MIB, &specs, seed);
        assert!(ratio <= 1.10, "seed {seed}: {ratio:.3}");
        assert!(outcome.seed_copies <= 1.10, "seed {seed}: {} copies", outcome.seed_copies);
        assert!(outcome.waste <= 0.005, "seed {seed}: waste {}", outcome.waste);
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
        let banned = |n: &Notice| matches!(n, Notice::Banned { peer, .. } if *peer == peer_id(4));
        assert!(outcome.notices.iter().any(banned), "seed {seed}: {:?}", outcome.notices);
        assert!(outcome.times[0] <= honest * 1.2 + 0.5, "seed {seed}: {:?}", outcome.times);
        let innocent = |n: &Notice| matches!(n, Notice::Banned { peer, .. } if *peer != peer_id(4));
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
        assert!(
            outcome.times[0] <= honest * 1.25 + 1.0,
            "seed {seed}: {:?} vs {honest}",
            outcome.times
        );
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
        assert!(
            outcome.times[0] <= ideal * 1.1 + 0.5,
            "seed {seed}: {:?} vs {ideal}",
            outcome.times
        );
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

#[test]
fn a_symmetric_crowd_keeps_to_the_target() {
    let (outcome, ratio) = run(64 * MIB, &crowd(16, UNIT, UNIT), 1);
    assert!(ratio <= 1.15, "{ratio:.3}");
    assert!(outcome.waste <= 0.005, "waste {}", outcome.waste);
}

#[test]
fn mixed_uplinks_keep_to_the_target() {
    let (outcome, ratio) = run(64 * MIB, &mixed(32), 1);
    assert!(ratio <= 1.20, "{ratio:.3}");
    assert!(outcome.waste <= 0.005, "waste {}", outcome.waste);
}

#[test]
fn a_slow_source_holds_up_nobody() {
    // 64 MiB from a source of one unit; one of a hundredth besides must not make it slower.
    let mut specs = crowd(1, UNIT, UNIT * 10.0);
    let alone = run(64 * MIB, &specs, 1).0.times[0];
    specs.push(Spec::new(UNIT / 100.0, UNIT, true));
    for seed in 0..3 {
        let (outcome, _) = run(64 * MIB, &specs, seed);
        assert!(outcome.times[0] <= alone * 1.02 + 0.3, "{:?} vs {alone}", outcome.times);
    }
}

#[test]
fn sources_of_very_different_rates_add_up() {
    let rates = [1.0, 0.5, 2.0, 0.1];
    let mut specs: Vec<Spec> =
        rates.iter().map(|rate| Spec::new(rate * UNIT, UNIT, true)).collect();
    specs.push(Spec::new(UNIT, UNIT * 10.0, false));
    for seed in 0..3 {
        let (_, ratio) = run(96 * MIB, &specs, seed);
        // The rest is the start and the last chunk of the slowest, of 2.8 s in all.
        assert!(ratio <= 1.07, "seed {seed}: {ratio:.3}");
    }
}

#[test]
fn four_sources_give_four_times_the_rate() {
    let mut specs = vec![Spec::new(2.0 * UNIT, UNIT, true); 4];
    specs.push(Spec::new(UNIT, UNIT * 100.0, false));
    for seed in 0..3 {
        let (_, ratio) = run(256 * MIB, &specs, seed);
        assert!(ratio <= 1.0 / 0.95, "seed {seed}: {ratio:.3}");
    }
}

#[test]
fn a_crowd_whose_links_are_slower_than_any_patience_finishes() {
    // Every chunk is seconds on its way: taking late chunks away from their sources, again and again,
    // once kept all of them from ever arriving.
    for unit in [UNIT / 10.0, UNIT / 100.0] {
        let (_, ratio) = run(16 * MIB, &equal(16, unit, 1.0), 1);
        assert!(ratio <= 2.5, "{unit}: {ratio:.3}");
    }
}

#[test]
fn over_a_long_slow_path_the_link_is_full() {
    let specs = vec![Spec::new(0.02 * UNIT, UNIT, true), Spec::new(0.02 * UNIT, UNIT, false)];
    let (outcome, ratio) = run(8 * MIB, &specs, 1);
    assert!(ratio <= 1.10, "{ratio:.3}");
    let bans = |n: &&Notice| matches!(n, Notice::Banned { .. } | Notice::Snubbed { .. });
    assert_eq!(outcome.notices.iter().filter(bans).count(), 0, "slow is not dead");
}

#[test]
fn complete_sources_do_not_choose_the_same_chunks_for_few_peers() {
    // As fast as loopback, where a choice has been sent before it can be taken back: four sources once
    // sent a third of the content in vain.
    let alone = [(2, 1, 40.0), (3, 1, 40.0), (4, 1, 40.0), (4, 1, 0.2), (8, 1, 10.0)];
    for (sources, peers, rate) in alone.into_iter().chain([
        (2, 3, 40.0),
        (4, 5, 40.0),
        (4, 8, 1.0),
        (2, 8, 40.0),
        (4, 14, 40.0),
        (4, 14, 1.0),
    ]) {
        let mut specs = vec![Spec::new(rate * UNIT, UNIT, true); sources];
        specs.extend(vec![Spec::new(rate * UNIT, UNIT * 1000.0, false); peers]);
        let (outcome, _) = run(256 * MIB, &specs, 1);
        let waste = outcome.waste;
        assert!(waste <= 0.005, "{sources} sources of {rate} units, {peers} peers: {waste}");
    }
}
