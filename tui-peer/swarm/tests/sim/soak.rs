//! Thousands of small swarms, each of its own make: folders, bad links, peers that come late, leave, die,
//! lie or say nothing. Whoever is honest and stays gets everything, whatever happens.
//! `SIM_SEEDS=5000 cargo test --release -p swarm --test sim -- --ignored soak`

use std::time::Duration;

use super::finish;
use super::links::Weather;
use super::network::Network;
use super::payload::Payload;
use super::spec::{MIB, Manner, Spec, UNIT, bound};

/// A swarm that this number describes.
fn any(seed: u64) -> (Network, f64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let payload = if rng.bool() {
        Payload::file(rng.u64(1..8 * MIB))
    } else {
        let files: Vec<u64> = (0..rng.usize(1..60)).map(|_| rng.u64(0..200_000)).collect();
        Payload::folder(&files)
    };
    let rates = [0.1, 0.5, 1.0, 4.0];
    let rate = |rng: &mut fastrand::Rng| rates[rng.usize(..rates.len())] * UNIT;
    let seconds = |rng: &mut fastrand::Rng| Duration::from_secs_f64(rng.f64() * 3.0);
    let mut specs = vec![Spec::new(rate(&mut rng), UNIT, true)];
    for _ in 0..rng.usize(1..9) {
        let (up, down) = (rate(&mut rng), rate(&mut rng));
        let mut spec = Spec::new(up, down, rng.u8(..6) == 0);
        match rng.u8(..12) {
            0 => spec.dies = Some(seconds(&mut rng)),
            1 => spec.leaves = Some(seconds(&mut rng)),
            2 | 3 => spec.joins = seconds(&mut rng),
            4 => spec.manner = Manner::Liar(rng.u32(1..20)),
            5 => spec.manner = Manner::Silent,
            6 => spec.manner = Manner::StopsAfter(rng.u64(..MIB)),
            _ => {}
        }
        specs.push(spec);
    }
    let weather = Weather {
        jitter: Duration::from_millis(rng.u64(..30)),
        lost: if rng.bool() { 0 } else { rng.u32(20..400) },
        stalls: if rng.bool() { 0.0 } else { 2.0 + rng.f64() * 10.0 },
    };
    let least = bound(payload.layout.total(), &specs);
    let network = Network::new(payload, &specs, &super::config(), seed).with_weather(weather);
    (network, least)
}

fn soak(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let (network, least) = any(seed);
        // Time enough for a source that says nothing to be found out, twice.
        let (outcome, _) = finish(network, least.min(30.0) + 10.0, seed);
        let liars = outcome.notices.len();
        assert!(outcome.times.iter().all(|time| time.is_finite()), "seed {seed}: {liars}");
    }
}

#[test]
fn some_swarms_of_any_make_finish() {
    soak(0..60);
}

#[test]
#[ignore = "thousands of swarms; minutes"]
fn thousands_of_swarms_of_any_make_finish() {
    let seeds = super::seeds(3000);
    soak(0..seeds);
}

#[test]
fn a_folder_of_many_small_files_reaches_everybody() {
    let sizes: Vec<u64> = (0..600).map(|i| 1000 + i * 37 % 30_000).collect();
    let specs = super::spec::crowd(6, UNIT, UNIT * 4.0);
    let payload = Payload::folder(&sizes);
    let least = bound(payload.layout.total(), &specs);
    let network = Network::new(payload, &specs, &super::config(), 1);
    let (outcome, _) = finish(network, least, 1);
    // Eight and a half megabytes: the manifest, 600 hash-free files, and round trips at the start.
    assert!(outcome.last() <= least * 1.25 + 0.3, "{:?} of {least}", outcome.times);
    assert!(outcome.waste <= 0.02, "waste {}", outcome.waste);
}

#[test]
fn links_that_stall_and_lose_cost_what_they_take_and_little_more() {
    let specs = super::spec::crowd(16, UNIT, UNIT * 4.0);
    let size = 32 * MIB;
    let weather = Weather { jitter: Duration::from_millis(10), lost: 200, stalls: 5.0 };
    for seed in 0..2 {
        let network = super::network(size, &specs, seed).with_weather(weather);
        let (outcome, ratio) = finish(network, bound(size, &specs), seed);
        // Standing still takes a tenth of every uplink.
        assert!(ratio <= 1.45, "seed {seed}: {ratio:.3}");
        assert!(outcome.waste <= 0.02, "seed {seed}: waste {}", outcome.waste);
    }
}
