//! Rolling byte rates.

use std::time::Duration;

use super::time::Time;

/// Length of a window. A rate is the larger of the last full window and the running one, so that it
/// rises at once and does not collapse at a window's start.
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

/// What came in the last round trip says nothing any more after so much silence, or two round trips if that is longer:
/// a source that stopped must not be asked for as much at once when it comes back.
const SILENCE: Duration = Duration::from_millis(200);

/// Bytes per round trip. A rate over two seconds lags behind a connection that gathers speed, which doubles with
/// every round trip.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    start: Time,
    /// When something last came.
    moved: Time,
    current: u64,
    last: u64,
}

impl Round {
    pub(super) fn add(&mut self, now: Time, bytes: u64, rtt: Duration) {
        let passed = now.since(self.start);
        if passed >= rtt {
            self.last = if passed >= rtt * 2 { 0 } else { self.current };
            (self.start, self.current) = (now, 0);
        }
        self.moved = now;
        self.current += bytes;
    }

    /// What came in the last whole round trip, or in the running one if that is more already.
    pub(super) fn get(&self, now: Time, rtt: Duration) -> u64 {
        let silent = now.since(self.moved) > SILENCE.max(rtt * 2);
        if silent { 0 } else { self.last.max(self.current) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_tells_of_speed_that_is_being_gathered() {
        let at = |ms: u64| Time::from_micros(1_000_000 + ms * 1000);
        let (mut round, mut rate) = (Round::default(), Rate::default());
        let rtt = Duration::from_millis(300);
        // Ten frames in every round trip, and twice as many bytes as in the one before.
        let sent = |ms: u64| 1000 << (ms / 300);
        for ms in (0..3000).step_by(30) {
            round.add(at(ms), sent(ms), rtt);
            rate.add(at(ms), sent(ms));
        }
        let last = 10 * sent(2999);
        let told = round.get(at(2999), rtt);
        assert!(told > last * 4 / 5 && told <= last, "{told} of {last}");
        assert!(rate.get(at(2999)) * 0.3 < last as f64 / 2.0, "that is why");
        // A source that stopped is not asked for as much at once when it comes back.
        assert_eq!((round.get(at(3500), rtt), round.get(at(3600), rtt)), (told, 0));
        // Nor is one that is near, within the time in which a busy machine may look away.
        let near = Duration::from_millis(1);
        assert_eq!((round.get(at(3100), near), round.get(at(3200), near)), (told, 0));
        // One frame after silence is no round trip's worth.
        round.add(at(9000), 5, rtt);
        assert_eq!(round.get(at(9000), rtt), 5);
    }

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
