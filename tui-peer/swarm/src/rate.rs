//! Rolling byte rates.

use std::time::Duration;

use super::time::Time;

/// Length of a window. A rate is the larger of the last full window and the running one, so that it
/// rises at once and does not collapse at a window's start (protocol.md 6).
const WINDOW: Duration = Duration::from_secs(2);

/// Bytes per second over the last few seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    start: Time,
    current: u64,
    last: u64,
    pub(super) total: u64,
}

impl Rate {
    pub(super) fn add(&mut self, now: Time, bytes: u64) {
        self.roll(now);
        self.current += bytes;
        self.total += bytes;
    }

    /// Bytes per second.
    pub(super) fn get(&self, now: Time) -> f64 {
        let mut copy = *self;
        copy.roll(now);
        let running = now.since(copy.start).as_secs_f64();
        let last = copy.last as f64 / WINDOW.as_secs_f64();
        // The running window counts once there is enough of it to mean something.
        let current = if running > 0.1 { copy.current as f64 / running.max(0.25) } else { 0.0 };
        last.max(current)
    }

    /// Forgets how fast it was; not how much.
    pub(super) fn reset(&mut self) {
        (self.current, self.last) = (0, 0);
    }

    fn roll(&mut self, now: Time) {
        let passed = now.since(self.start);
        if passed >= WINDOW {
            self.last = if passed >= WINDOW * 2 { 0 } else { self.current };
            self.current = 0;
            self.start = if passed >= WINDOW * 2 { now } else { self.start + WINDOW };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured_and_fades_when_it_ends() {
        let mut rate = Rate::default();
        let at = |ms: u64| Time::from_micros(1_000_000 + ms * 1000);
        for ms in (0..6000).step_by(10) {
            rate.add(at(ms), 1000);
        }
        let measured = rate.get(at(6000));
        assert!((80_000.0..130_000.0).contains(&measured), "{measured}");
        assert!(rate.get(at(8100)) <= 100_000.0);
        assert_eq!(rate.get(at(11_000)), 0.0);
        assert_eq!(rate.total, 600_000);
    }
}
