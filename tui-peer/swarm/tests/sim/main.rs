//! Swarms of real cores on virtual time. Every run is repeatable from its seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests; some of them print tables"
)]

mod ending;
mod liars;
mod links;
mod many;
mod network;
mod outcome;
mod payload;
mod reach;
mod repeat;
mod scenarios;
mod shaped;
mod shell;
mod soak;
mod sockets;
mod spec;
mod start;
mod table;

use std::time::Duration;

use network::Network;
use outcome::Outcome;
use payload::Payload;
use spec::{Spec, bound};
use swarm::NodeConfig;

fn network(size: u64, specs: &[Spec], seed: u64) -> Network {
    Network::new(Payload::file(size), specs, &config(), seed)
}

/// The defaults, but for what `SIM_CFG` says: `slots=8 depth_ms=200`. What changing a number does.
fn config() -> NodeConfig {
    let mut cfg = NodeConfig::default();
    let changes = std::env::var("SIM_CFG").unwrap_or_default();
    for (name, value) in changes.split_whitespace().filter_map(|change| change.split_once('=')) {
        let n: u64 = value.parse().expect("a number");
        let millis = Duration::from_millis(n);
        match name {
            "slots" => cfg.slots = n as usize,
            "depth_ms" => cfg.depth_time = millis,
            "have_ms" => cfg.have_delay = millis,
            "have_each_us" => cfg.have_delay_each = Duration::from_micros(n),
            "choke_ms" => cfg.choke_interval = millis,
            "min_depth" => cfg.min_depth = n,
            "start_depth" => cfg.start_depth = n,
            "pipe" => cfg.pipe = n,
            "links" => cfg.max_links = n as usize,
            "dial" => cfg.dial_target = n as usize,
            "assign" => cfg.assign = n > 0,
            _ => panic!("SIM_CFG: {name} is not known"),
        }
    }
    cfg
}

/// How many seeds a table or a soak goes through: what `SIM_SEEDS` says, or as many as usual.
fn seeds(usual: u64) -> u64 {
    std::env::var("SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
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
