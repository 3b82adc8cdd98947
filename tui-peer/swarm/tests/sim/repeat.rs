//! Nothing but the seed decides.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use super::config;
use super::links::Weather;
use super::network::Network;
use super::payload::Payload;
use super::spec::{MIB, Manner, Spec, UNIT, dying, mixed};

/// Hash maps are seeded anew for every map, also within one process: an order of theirs that decides
/// something shows here.
#[test]
fn the_same_seed_gives_the_same_swarm() {
    let mut specs = dying(mixed(20), 3.0);
    specs.push(Spec { manner: Manner::Liar(10), ..Spec::new(UNIT, UNIT, true) });
    specs.push(Spec { manner: Manner::StopsAfter(2_000_000), ..Spec::new(UNIT, UNIT, true) });
    let weather = Weather { jitter: Duration::from_millis(5), lost: 500, stalls: 30.0 };
    let run = |seed: u64| {
        let payload = Payload::folder(&[MIB, 3, 2 * MIB, 70_000, 5 * MIB]);
        let mut network = Network::new(payload, &specs, &config(), seed).with_weather(weather);
        network.trace = Some(DefaultHasher::new());
        let outcome = network.run(Duration::from_secs(120));
        assert_eq!(outcome.unfinished, 0, "{:?}", outcome.stuck);
        network.trace.unwrap().finish()
    };
    for seed in 0..4 {
        let first = run(seed);
        assert_eq!(first, run(seed), "seed {seed}: another run");
        assert_ne!(first, run(seed + 100), "the seed decides nothing");
    }
}
