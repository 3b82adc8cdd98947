//! Rates and times to go as people read them, from counters read now and then. Pure.
//!
//! Not what the swarm decides by: that is its own rolling rate.

use std::time::Duration;

use swarm::time::Time;

/// Half-life of the rate of one peer.
pub(super) const PEER: Duration = Duration::from_secs(3);
/// Half-life of sums: of a content, of everything.
pub(super) const TOTAL: Duration = Duration::from_secs(5);
/// Half-life of the rate that a time to go is computed from.
const ETA: Duration = Duration::from_secs(20);
/// Shortest time between two readings that says something: a slot.
const SLOT: Duration = Duration::from_millis(200);
/// After so long without a byte a rate is none, not a small number.
const EMPTY: Duration = Duration::from_secs(2);
/// A time to go needs so much of data before it.
const ETA_AFTER: Duration = Duration::from_secs(3);
/// After so long without a byte there is no time to go: it has stalled.
const STALLED: Duration = Duration::from_secs(10);
/// A time to go that changed by less than this part of it is not shown anew.
const ETA_STEP: f64 = 0.05;

/// An exponentially weighted average of a byte rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    half_life: f64,
    total: u64,
    at: Time,
    /// Weighted sum of rates, and the sum of the weights: together an average also when young.
    sum: f64,
    weight: f64,
    moved: Time,
}

impl Meter {
    /// A meter of a counter that stands at `total`.
    pub(super) fn new(half_life: Duration, now: Time, total: u64) -> Self {
        let half_life = half_life.as_secs_f64().max(0.001);
        Self { half_life, total, at: now, sum: 0.0, weight: 0.0, moved: now }
    }

    /// The counter stands at `total` now.
    pub(super) fn read(&mut self, now: Time, total: u64) {
        let passed = now.since(self.at);
        if passed < SLOT {
            return;
        }
        let bytes = total.saturating_sub(self.total);
        // A rate that was none begins anew: what comes now is not averaged with the silence.
        if bytes > 0 && now.since(self.moved) > EMPTY + passed {
            (self.sum, self.weight) = (0.0, 0.0);
        }
        let seconds = passed.as_secs_f64();
        let keep = 0.5f64.powf(seconds / self.half_life);
        self.sum = self.sum * keep + bytes as f64 / seconds * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
        if bytes > 0 {
            self.moved = now;
        }
        (self.total, self.at) = (total, now);
    }

    /// Bytes per second; 0 after two empty seconds.
    pub(super) fn get(&self) -> f64 {
        if self.at.since(self.moved) >= EMPTY { 0.0 } else { self.average() }
    }

    fn average(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }

    /// How long nothing has come.
    pub(super) fn quiet(&self, now: Time) -> Duration {
        now.since(self.moved)
    }
}

/// Time to go of one download.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eta {
    meter: Meter,
    /// Since when bytes come without a stall.
    since: Option<Time>,
    shown: Option<u64>,
}

impl Eta {
    /// Of a download whose counter stands at `total`.
    pub(super) fn new(now: Time, total: u64) -> Self {
        Self { meter: Meter::new(ETA, now, total), since: None, shown: None }
    }

    /// The counter stands at `total` now, and `left` bytes are missing.
    pub(super) fn read(&mut self, now: Time, total: u64, left: u64) {
        let before = self.meter.total;
        self.meter.read(now, total);
        if self.meter.quiet(now) >= STALLED {
            (self.since, self.shown) = (None, None);
            return;
        }
        if self.since.is_none() && total > before {
            self.since = Some(now);
        }
        let rate = self.meter.average();
        let young = self.since.is_none_or(|since| now.since(since) < ETA_AFTER);
        if young || rate < 1.0 {
            self.shown = None;
            return;
        }
        let seconds = (left as f64 / rate).ceil();
        let near = |old: f64| (seconds - old).abs() < old * ETA_STEP;
        if !self.shown.is_some_and(|old| near(old as f64)) {
            self.shown = Some(seconds as u64);
        }
    }

    /// Seconds to go, if that can be said.
    pub(super) fn get(&self) -> Option<u64> {
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn a_rate_is_right_at_once_halves_in_its_half_life_and_ends_after_two_seconds() {
        let mut meter = Meter::new(PEER, at(0), 0);
        meter.read(at(250), 250);
        assert!((meter.get() - 1000.0).abs() < 1.0, "no slow start: {}", meter.get());
        let mut total = 250;
        for ms in (500..60_000).step_by(250) {
            total += 250;
            meter.read(at(ms), total);
        }
        assert!((meter.get() - 1000.0).abs() < 1.0);
        let last = 59_750;
        for ms in (250..2000).step_by(250) {
            meter.read(at(last + ms), total);
            assert!(meter.get() > 500.0, "half-life 3 s");
        }
        meter.read(at(last + 2000), total);
        assert_eq!(meter.get(), 0.0);
        meter.read(at(last + 9000), total);
        meter.read(at(last + 9250), total + 500);
        assert!((meter.get() - 2000.0).abs() < 1.0, "silence is not averaged in: {}", meter.get());
    }

    #[test]
    fn a_time_to_go_waits_three_seconds_and_ignores_small_changes() {
        let mut eta = Eta::new(at(0), 0);
        let (mut total, mut seen) = (0u64, Vec::new());
        for ms in (250..10_000u64).step_by(250) {
            total += 25_000;
            eta.read(at(ms), total, 20_000_000 - total);
            seen.push((ms, eta.get()));
        }
        let first = seen.iter().find(|(_, eta)| eta.is_some()).unwrap();
        assert_eq!(first.0, 3250, "three seconds after the first byte");
        let values: std::collections::BTreeSet<_> = seen.iter().filter_map(|(_, e)| *e).collect();
        assert_eq!(values.len(), 1, "less than 5 % is not shown anew: {values:?}");
        eta.read(at(20_000), total, 1);
        assert!(eta.get().is_none(), "stalled");
    }

    proptest! {
        #[test]
        fn never_negative_nor_above_the_fastest_slot(slots in prop::collection::vec(0u64..1_000_000, 1..80)) {
            let mut meter = Meter::new(TOTAL, at(0), 0);
            let mut total = 0;
            let top = slots.iter().copied().max().unwrap() as f64 * 4.0;
            for (i, bytes) in slots.iter().enumerate() {
                total += bytes;
                meter.read(at((i as u64 + 1) * 250), total);
                prop_assert!((0.0..=top + 1.0).contains(&meter.get()));
            }
        }
    }
}
