//! The end of a download: the last chunks, where large ones come of many sources that are slow.

use super::network::Network;
use super::outcome::Outcome;
use super::payload::Payload;
use super::spec::{MIB, Spec, UNIT, crowd, mixed};
use super::{bound, config, finish};

/// Large enough for chunks of 4 MiB, of which the first few are fetched.
const SIZE: u64 = 8192 * MIB;
const CHUNK: u64 = 4 * MIB;

fn fetch(chunks: u32, specs: &[Spec], seed: u64) -> (Outcome, f64) {
    let payload = Payload::file(SIZE).first(chunks);
    assert_eq!(u64::from(payload.layout.chunk_len()), CHUNK);
    let least = bound(u64::from(chunks) * CHUNK, specs);
    finish(Network::new(payload, specs, &config(), seed), least, seed)
}

/// Each of many equally slow sources left the last chunk to the others.
#[test]
fn s1_the_last_chunk_is_asked_of_somebody_where_all_are_slow() {
    for (n, rate) in [(2, 65_536.0), (8, 65_536.0), (8, UNIT / 8.0), (24, UNIT / 20.0)] {
        let mut specs = vec![Spec::new(UNIT, UNIT * 10.0, false)];
        specs.extend(vec![Spec::new(rate, UNIT, true); n as usize]);
        let chunk = CHUNK as f64 / rate;
        for chunks in [n + 1, 3 * n - 1] {
            let (outcome, _) = fetch(chunks, &specs, 1);
            // Every source sends whole chunks, and the byte budget holds two each of eight sources.
            let least = f64::from(chunks.div_ceil(n.min(8))) * chunk;
            let last = outcome.last();
            println!("{n} links of {rate}, {chunks} chunks: {last:.1} s of {least:.1}");
            assert!(last <= least + 2.0 * chunk, "{n} of {rate}, {chunks}: {last} s of {least}");
        }
    }
}

/// Four of eight never finished. How late the last is says little here: a chunk is a sixty-fourth of all,
/// goes from hand to hand whole, and takes 27 s where 16 share the smallest uplink.
#[test]
fn s1_the_last_chunk_is_asked_of_somebody_in_crowds() {
    for (specs, limit) in [(crowd(8, UNIT, UNIT), 2.5), (mixed(16), 4.0)] {
        for seed in 1..4 {
            let (outcome, ratio) = fetch(64, &specs, seed);
            let (peers, waste) = (specs.len(), outcome.waste);
            println!("{peers} peers: last {ratio:.3}, waste {waste:.4}");
            assert!(ratio <= limit, "{peers} peers, seed {seed}: {ratio}");
            assert!(waste <= 0.03, "{peers} peers, seed {seed}: waste {waste}");
        }
    }
}
