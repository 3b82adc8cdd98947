//! A flow that keeps to a rate.

use super::time::Time;

/// What a limited flow may catch up after a pause, as the time in which it would have flowed. Longer
/// than any tick or disk sync takes, so that these never cost speed.
const CATCH_UP: f64 = 1.0;

/// Paces requests so that payload comes in at a rate: a token bucket from which requests are paid when
/// they are answered, and which counts what is under way as spent. Exact over time whatever the size
/// of a chunk, since it may go into debt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    rate: u64,
    tokens: f64,
    filled: Time,
}

impl Pace {
    pub(super) fn new(rate: u64, now: Time) -> Self {
        Self { rate, tokens: 0.0, filled: now }
    }

    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    fn fill(&mut self, now: Time, outstanding: u64) {
        let rate = self.rate as f64;
        let earned = now.since(self.filled).as_secs_f64() * rate;
        // What is asked for and not here yet is not saved up: it is on its way.
        self.tokens = (self.tokens + earned).min(rate * CATCH_UP + outstanding as f64);
        self.filled = now;
    }

    /// Payload came in, of `outstanding` bytes asked for.
    pub(super) fn spend(&mut self, now: Time, bytes: u64, outstanding: u64) {
        self.fill(now, outstanding);
        self.tokens -= bytes as f64;
    }

    /// Whether one more chunk may be asked for.
    pub(super) fn allows(&self, now: Time, outstanding: u64) -> bool {
        let mut then = *self;
        then.fill(now, outstanding);
        then.tokens > outstanding as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Virtual time: a source that answers after `delay`, ticks every 100 ms, one chunk per request.
    fn flow(rate: u64, chunk: u64, delay: Duration) -> f64 {
        let step = Duration::from_millis(1);
        let mut pace = Pace::new(rate, Time::ZERO);
        let mut coming: std::collections::VecDeque<Time> = Default::default();
        let (mut now, mut outstanding, mut got) = (Time::ZERO, 0u64, 0u64);
        // Long enough for many chunks at every rate.
        let seconds = (200.0 * chunk as f64 / rate as f64).clamp(20.0, 20_000.0);
        let step = step.max(Duration::from_secs_f64(seconds / 400_000.0));
        let end = Time::ZERO + Duration::from_secs_f64(seconds);
        while now < end {
            now = now + step;
            while coming.front().is_some_and(|due| *due <= now) {
                coming.pop_front();
                pace.spend(now, chunk, outstanding);
                outstanding -= chunk;
                got += chunk;
            }
            while pace.allows(now, outstanding) {
                outstanding += chunk;
                coming.push_back(now + delay);
            }
        }
        got as f64 / seconds / rate as f64
    }

    #[test]
    fn a_paced_download_is_exact_from_16_kib_to_1_gib_per_second() {
        for rate in [16 << 10, 100 << 10, 1 << 20, 64 << 20, 1 << 30] {
            for chunk in [64 << 10, 4 << 20] {
                for delay in [1, 80] {
                    let share = flow(rate, chunk, Duration::from_millis(delay));
                    assert!((0.98..1.02).contains(&share), "{rate} {chunk} {delay}: {share}");
                }
            }
        }
    }

    #[test]
    fn a_rest_earns_no_more_than_the_catch_up() {
        let mut pace = Pace::new(1000, Time::ZERO);
        let later = Time::ZERO + Duration::from_secs(3600);
        pace.spend(later, 900, 0);
        assert!(pace.allows(later, 0));
        pace.spend(later, 200, 0);
        assert!(!pace.allows(later, 0));
    }
}
