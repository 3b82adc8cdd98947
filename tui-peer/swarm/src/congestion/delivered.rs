//! What arrives at the other ends of all connections, from reports that come when they come.

use std::time::Duration;

use crate::time::Time;

/// Length of a tick in microseconds.
pub(super) const TICK_MICROS: u64 = 200_000;
/// Ticks that are remembered.
const TICKS: u64 = 12;
/// A rate is taken over so many of them, so that one that rises shows at once,
const SHORT: u64 = 3;
/// or so many, so that one whose reports come in lumps does not seem lower than it is.
const LONG: u64 = 8;
/// The last is left out: not everybody has reported what arrived in it.
const LATE: u64 = 1;

/// Bytes by tick.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivered {
    /// At the number of the tick modulo their count.
    bytes: [f64; TICKS as usize],
    tick: u64,
    /// The first tick of those in which something arrived all the time.
    begun: u64,
}

/// The tick of a moment.
pub(super) fn tick_of(now: Time) -> u64 {
    now.as_micros() / TICK_MICROS
}

impl Delivered {
    /// So many bytes arrived in the time before now: some now and then, nobody knows when.
    pub(super) fn add(&mut self, now: Time, gap: Duration, bytes: u64) {
        self.roll(tick_of(now));
        let first = tick_of(now - gap);
        let all = self.tick.saturating_sub(first) + 1;
        for tick in first.max((self.tick + 1).saturating_sub(TICKS))..=self.tick {
            *self.at(tick) += bytes as f64 / all as f64;
        }
    }

    /// Bytes per second.
    pub(super) fn rate(&mut self, now: Time) -> f64 {
        self.roll(tick_of(now));
        let end = self.tick.saturating_sub(LATE);
        let mut over = |ticks: u64| {
            let first = end.saturating_sub(ticks).max(self.begun).min(end.saturating_sub(1));
            let sum: f64 = (first..end).map(|tick| *self.at(tick)).sum();
            sum * 1e6 / ((end - first).max(1) * TICK_MICROS) as f64
        };
        over(SHORT).max(over(LONG))
    }

    fn at(&mut self, tick: u64) -> &mut f64 {
        // In range: it is modulo their count.
        &mut self.bytes[(tick % TICKS) as usize]
    }

    fn roll(&mut self, tick: u64) {
        let passed = tick.saturating_sub(self.tick);
        self.tick = self.tick.max(tick);
        if passed >= TICKS {
            self.begun = self.tick;
        }
        for old in 0..passed.min(TICKS) {
            *self.at(self.tick - old) = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_in_lumps_make_the_rate_they_stand_for() {
        let mut delivered = Delivered::default();
        let at = |ms: u64| Time::from_micros(5_000_000 + ms * 1000);
        // Eight connections, each of which tells every 800 ms what it carried since: 1 MB/s.
        for n in 0..100 {
            delivered.add(at(n * 100), Duration::from_millis(800), 100_000);
        }
        let rate = delivered.rate(at(10_000));
        assert!((700_000.0..1_100_000.0).contains(&rate), "{rate}");
        assert!(delivered.rate(at(11_400)) < rate / 2.0);
        assert_eq!(delivered.rate(at(60_000)), 0.0);
        // From the beginning on.
        for n in 0..20 {
            delivered.add(at(70_000 + n * 20), Duration::from_millis(20), 20_000);
        }
        assert_eq!(delivered.rate(at(70_400)), 1e6);
        delivered.add(at(70_400), Duration::from_secs(1_000_000), u64::MAX);
    }
}
