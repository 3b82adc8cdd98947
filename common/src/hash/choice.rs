//! Which of the ways to hash is the fastest on this processor. Flags of a processor do not say it: four
//! streams of SHA instructions beat 16 lanes of AVX-512 on a Zen 4 and lose to them on a Zen 5.

use std::time::{Duration, Instant};

use super::{Hash, Implementation};
use crate::limits::BLOCK_LEN;

/// Ways that are tried: the two at the head of the list are within a factor of two wherever they were
/// measured, and all that follow were slower everywhere.
const CANDIDATES: usize = 2;
/// Blocks hashed in one try: 256 KiB, about 0.1 ms, and a message for each of the most lanes there are.
const BLOCKS: usize = 16;
/// Tries of each. The shortest counts: whatever else runs on the machine only adds to a time.
const TRIES: usize = 5;
/// A way must be faster by an eighth to be taken before one that the list names first, so that the choice
/// is the same at every start where two are alike.
const BY: u32 = 8;

/// The fastest of `ways`, which are in the order in which they are expected to be fast. Takes about
/// a millisecond where there are two candidates, and nothing otherwise.
///
/// What has no lanes ("sha2", the last of the list) is not tried: it never wins.
pub(super) fn fastest(ways: Vec<Implementation>) -> Option<Implementation> {
    let (last, lanes) = ways.split_last()?;
    let candidates = lanes.get(..CANDIDATES).unwrap_or(lanes);
    if candidates.len() < CANDIDATES {
        return Some(candidates.first().unwrap_or(last).clone());
    }
    let block = [0x5a; BLOCK_LEN as usize];
    let blocks = [block.as_slice(); BLOCKS];
    let mut out = [Hash::ZERO; BLOCKS];
    let at = choose(candidates.len(), |way| {
        let begun = Instant::now();
        if let Some(way) = candidates.get(way) {
            way.hash_blocks(&blocks, &mut out);
        }
        begun.elapsed()
    });
    candidates.get(at).cloned()
}

/// The number of the fastest of so many, each tried in turns by `time`.
fn choose(many: usize, mut time: impl FnMut(usize) -> Duration) -> usize {
    let mut least = vec![Duration::MAX; many];
    for _ in 0..TRIES {
        for (way, least) in least.iter_mut().enumerate() {
            *least = time(way).min(*least);
        }
    }
    let mut best = (0, Duration::MAX);
    for (way, least) in least.into_iter().enumerate() {
        if least < best.1 - best.1 / BY {
            best = (way, least);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> usize {
        choose(times.len(), |way| Duration::from_micros(times[way]))
    }

    #[test]
    fn the_fastest_is_taken_and_among_equals_the_first() {
        assert_eq!(of(&[300, 200, 900]), 1);
        assert_eq!(of(&[200, 300]), 0);
        assert_eq!(of(&[205, 200]), 0, "too little to tell");
        assert_eq!(of(&[200]), 0);
    }

    #[test]
    fn a_try_that_something_else_held_up_does_not_count() {
        let mut calls = 0;
        let best = choose(2, |way| {
            calls += 1;
            // The very first try also waits for the processor to wake its wide lanes.
            Duration::from_micros(if calls == 1 { 9_000 } else { [100, 300][way] })
        });
        assert_eq!((best, calls), (0, 2 * TRIES));
    }

    #[test]
    fn one_of_those_that_there_are_is_taken() {
        let names: Vec<_> = Implementation::available().iter().map(Implementation::name).collect();
        let best = fastest(Implementation::available()).unwrap();
        assert!(names.contains(&best.name()));
        assert!(fastest(Vec::new()).is_none());
    }
}
