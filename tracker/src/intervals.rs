//! How often things happen, by the number of peers: so that telling everybody everything never becomes most of the
//! work.

use std::time::Duration;

use common::numbers::saturate;

/// Least time between two rounds of pushes. Peers that begin together find each other after one.
const MIN_TICK: Duration = Duration::from_millis(100);
/// Interval of CHUNK_REGISTER while few are connected.
pub(crate) const MIN_HAVE_INTERVAL_MS: u32 = 1_000;
/// And at most: sources of a download then still become known within half a minute.
const MAX_HAVE_INTERVAL_MS: u32 = 30_000;
/// Progress messages the tracker wants to get per second; the interval follows from it.
const PROGRESS_PER_S: usize = 2_000;
/// Peers that may come back per second after a restart.
const RETURNS_PER_S: usize = 2_000;

/// Milliseconds over which so many peers should spread when they come back after they lost their
/// connections.
pub(crate) fn spread_ms(peers: usize) -> u32 {
    saturate::<u32>(peers.saturating_mul(1000) / RETURNS_PER_S)
}

/// Least time between two rounds of telling watchers, in a network of so many peers: in the worst case
/// every peer is told something in every round, at some 7 us each. Below one per cent of a
/// core, as long as the longest pause is not reached.
pub(crate) fn tick_pause(peers: usize) -> Duration {
    MIN_TICK.max(Duration::from_millis(saturate::<u64>(peers)))
}

/// Grows with the number of peers, in steps of two so that it seldom changes.
pub(crate) fn have_interval(peers: usize) -> u32 {
    let mut interval = MIN_HAVE_INTERVAL_MS;
    while (interval as usize) * PROGRESS_PER_S < peers.saturating_mul(1000) {
        interval = interval.saturating_mul(2);
        if interval >= MAX_HAVE_INTERVAL_MS {
            return MAX_HAVE_INTERVAL_MS;
        }
    }
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_of_a_small_network_are_told_sooner() {
        assert_eq!(tick_pause(0), MIN_TICK);
        assert_eq!(tick_pause(100), MIN_TICK);
        assert_eq!(tick_pause(300), Duration::from_millis(300));
    }

    #[test]
    fn the_interval_grows_with_the_network() {
        assert_eq!(have_interval(0), 1_000);
        assert_eq!(have_interval(2_000), 1_000);
        assert_eq!(have_interval(2_001), 2_000);
        assert_eq!(have_interval(10_000), 8_000);
        assert_eq!(have_interval(usize::MAX), 30_000);
    }
}
