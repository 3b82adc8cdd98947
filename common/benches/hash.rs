//! How fast each way to hash many blocks is on this machine, beside `sha2` one after the other.
//! `cargo bench -p shoal-common --bench hash`
//!
//! CPU time of this thread, the best of several turns, the ways taking turns: other programs on the
//! machine then disturb all of them alike.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::hint::black_box;

use common::hash::{Implementation, sha256};
use common::id::Hash;
use rustix::time::{ClockId, clock_gettime};

const TURNS: usize = 15;
/// Hashed per turn: 8 MiB at least, so that the clock does not matter.
const PER_TURN: usize = 8 << 20;

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let ways = Implementation::available();
    println!("used by default: {}\n", Implementation::best().name());
    print!("{:<28}{:>11}", "GB/s of one core (x sha2)", "sha2 alone");
    for way in &ways {
        print!("{:>23}", way.name());
    }
    println!();
    for (what, len, many) in [
        ("16 blocks of 16 KiB", 16 << 10, 16),
        ("64 blocks of 16 KiB", 16 << 10, 64),
        ("12 blocks of 16 KiB", 16 << 10, 12),
        ("8 blocks of 16 KiB", 16 << 10, 8),
        ("4 blocks of 16 KiB", 16 << 10, 4),
        ("2 blocks of 16 KiB", 16 << 10, 2),
        ("1 block of 16 KiB", 16 << 10, 1),
        ("64 files of 1000 bytes", 1000, 64),
        ("1024 tree nodes (64 bytes)", 64, 1024),
    ] {
        let data = vec![7u8; len * many];
        let blocks: Vec<&[u8]> = data.chunks(len).collect();
        let rounds = PER_TURN.div_ceil(data.len());
        let mut out = vec![Hash::ZERO; many];
        let mut best = vec![f64::INFINITY; ways.len() + 1];
        for _ in 0..TURNS {
            for (n, best) in best.iter_mut().enumerate() {
                let begun = cpu();
                for _ in 0..rounds {
                    match n.checked_sub(1) {
                        Some(n) => ways[n].hash_blocks(black_box(&blocks), &mut out),
                        None => {
                            for (out, block) in out.iter_mut().zip(black_box(&blocks)) {
                                *out = sha256(block);
                            }
                        }
                    }
                    black_box(&out);
                }
                *best = best.min(cpu() - begun);
            }
        }
        let rate = |time: f64| (rounds * data.len()) as f64 / 1e9 / time;
        print!("{what:<28}{:>11.2}", rate(best[0]));
        for time in &best[1..] {
            print!("{:>14.2}  (x {:.2})", rate(*time), best[0] / time);
        }
        println!();
    }
}
