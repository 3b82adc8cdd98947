//! S1: whatever one source sends, a download takes at most 1.2 x its time without that source.
//! `cargo test --release -p swarm --test sim -- --ignored --nocapture s1_table`

use std::time::Duration;

use common::wire::Code;
use swarm::NodeConfig;

use super::config;
use super::network::Network;
use super::outcome::Outcome;
use super::payload::Payload;
use super::spec::{MIB, Manner, Spec, UNIT};

/// A mobile link, in bytes per second.
const MOBILE: f64 = 16_384.0;
/// Four times as much.
const SLOW: f64 = 65_536.0;
/// What a source may cost.
const LIMIT: f64 = 1.2;

/// What is fetched: chunks of this length, so many of them, within this budget.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    chunk: u64,
    chunks: u32,
    budget: u64,
}

const KIB_64: Load = Load { name: "64 KiB", chunk: MIB / 16, chunks: 2048, budget: 64 * MIB };
const ONE: Load = Load { name: "1 MiB", chunk: MIB, chunks: 256, budget: 64 * MIB };
const FOUR: Load = Load { name: "4 MiB", chunk: 4 * MIB, chunks: 128, budget: 64 * MIB };
/// A chunk is a quarter of the budget, as one of 16 MiB is. Contents that have those are of 8 TiB and more, with
/// a million hashes.
const QUARTER: Load = Load { name: "a quarter", chunk: 4 * MIB, chunks: 128, budget: 16 * MIB };

impl Load {
    /// As many chunks as sources together send in a minute or two.
    fn of(self, honest: &[Spec]) -> Self {
        let rate: f64 = honest.iter().map(|spec| spec.up).sum();
        // But some of each source at least.
        let chunks = (rate * 120.0 / self.chunk as f64) as u32;
        Self { chunks: chunks.clamp(honest.len() as u32 * 12, self.chunks), ..self }
    }

    /// One peer fetches from these sources; the outcome after `limit` seconds at the latest.
    fn fetch(self, sources: &[Spec], limit: f64, seed: u64) -> Outcome {
        let payload = Payload::file(self.chunk * 2048).first(self.chunks);
        assert_eq!(u64::from(payload.layout.chunk_len()), self.chunk);
        let mut specs = vec![Spec::new(UNIT, UNIT * 1000.0, false)];
        specs.extend_from_slice(sources);
        let cfg = NodeConfig { budget: self.budget, ..config() };
        Network::new(payload, &specs, &cfg, seed).run(Duration::from_secs_f64(limit))
    }

    /// Seconds that honest sources need alone.
    fn alone(self, honest: &[Spec]) -> f64 {
        let rate: f64 = honest.iter().map(|spec| spec.up).sum();
        let least = f64::from(self.chunks) * self.chunk as f64 / rate;
        let outcome = self.fetch(honest, least * 3.0 + 10.0, 1);
        assert_eq!(outcome.unfinished, 0, "alone: {:?}", outcome.stuck);
        outcome.last()
    }

    /// Seconds that they need beside another source, as a multiple of `alone`; infinitely many after five times.
    fn beside(self, honest: &[Spec], other: &Spec, alone: f64, seed: u64) -> f64 {
        let sources = [honest, std::slice::from_ref(other)].concat();
        let outcome = self.fetch(&sources, alone * 5.0, seed);
        if outcome.unfinished > 0 { f64::INFINITY } else { outcome.last() / alone }
    }
}

fn honest(n: usize, up: f64) -> Vec<Spec> {
    vec![Spec::new(up, UNIT, true); n]
}

/// Every kind of source that was thought of.
fn others() -> Vec<(&'static str, Spec)> {
    let liar = |manner| Spec { manner, ..Spec::new(UNIT, UNIT, true) };
    vec![
        ("one-byte frames", liar(Manner::Crumbs)),
        ("nine tenths of each chunk", liar(Manner::NineTenths)),
        ("breaks off", liar(Manner::BreaksOff)),
        ("hangs up", liar(Manner::HangsUp)),
        ("trickles", liar(Manner::TricklesAfter(0))),
        ("trickles after 20 MiB", liar(Manner::TricklesAfter(20 * MIB))),
        ("trickles after 64 MiB", liar(Manner::TricklesAfter(64 * MIB))),
        ("holds back 64 KiB of each", liar(Manner::TricklesAtEnd(64 << 10))),
        ("holds back 16 KiB of each", liar(Manner::TricklesAtEnd(16 << 10))),
        ("stops after 5 MB", liar(Manner::StopsAfter(5_000_000))),
        ("never answers", liar(Manner::Mute)),
        ("HAVE and nothing", liar(Manner::Silent)),
        ("refuses: gone", liar(Manner::Refuses(Code::Gone))),
        ("refuses: busy", liar(Manner::Refuses(Code::Busy))),
        ("refuses: choked", liar(Manner::Refuses(Code::Choked))),
        ("slow and honest, 64 kB/s", Spec::new(SLOW, UNIT, true)),
        ("slow and honest, 16 kB/s", Spec::new(MOBILE, UNIT, true)),
        ("alters every third chunk", liar(Manner::Liar(3))),
    ]
}

/// Honest sources by number and rate.
const HONEST: [(usize, f64); 4] = [(1, UNIT), (3, UNIT), (1, SLOW), (3, SLOW)];

fn try_all(loads: &[Load], honests: &[(usize, f64)], seeds: std::ops::Range<u64>) {
    let mut over = Vec::new();
    for (load, (n, up)) in loads.iter().flat_map(|load| honests.iter().map(move |h| (load, *h))) {
        let honest = honest(n, up);
        let load = load.of(&honest);
        let alone = load.alone(&honest);
        let what = format!("{} x {}, {n} of {:.0} kB/s", load.chunks, load.name, up / 1e3);
        println!("{what}: {alone:.1} s alone");
        for (name, other) in others() {
            let times = seeds.clone().map(|seed| load.beside(&honest, &other, alone, seed));
            let worst = times.fold(0.0, f64::max);
            println!("    {name:<28}{worst:>6.2}{}", if worst > LIMIT { "  OVER" } else { "" });
            if worst > LIMIT {
                over.push(format!("{what} beside one that {name}: {worst:.2} x"));
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}

#[test]
#[ignore = "prints the table of S1; minutes in a debug build"]
fn s1_table_of_what_one_source_costs() {
    try_all(&[KIB_64, ONE, FOUR, QUARTER], &HONEST, 1..2);
}

/// Some of it: where most kinds were over the limit.
#[test]
fn s1_whatever_one_source_sends_a_download_takes_at_most_a_fifth_longer() {
    try_all(&[FOUR, QUARTER], &[(3, UNIT)], 1..2);
}
