//! Swarms of real cores on virtual time. Every run is repeatable from its seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod links;
mod matter;
mod network;
mod outcome;
mod scenarios;
mod shell;
mod spec;
mod table;

use std::time::Duration;

use matter::Matter;
use network::Network;
use outcome::Outcome;
use spec::{Spec, bound};
use tui_peer::swarm::NodeConfig;

fn network(size: u64, specs: &[Spec], seed: u64) -> Network {
    Network::new(Matter::file(size), specs, &NodeConfig::default(), seed)
}

/// A swarm to its end; the outcome, and the last completion over the fluid bound.
fn run(size: u64, specs: &[Spec], seed: u64) -> (Outcome, f64) {
    finish(network(size, specs, seed), bound(size, specs), seed)
}

/// A network to its end, which must come.
fn finish(mut network: Network, bound: f64, seed: u64) -> (Outcome, f64) {
    let limit = Duration::from_secs_f64(bound * 20.0 + 120.0);
    let outcome = network.run(limit);
    let stuck = outcome.stuck.join("\n");
    assert_eq!(outcome.unfinished, 0, "seed {seed}: somebody never finished: {stuck}");
    let last = outcome.last();
    (outcome, last / bound)
}
