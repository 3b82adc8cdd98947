//! What is known of each connection that shares the uplink.

use std::time::Duration;

use crate::time::Time;

/// Fewer bytes say nothing: a lone packet waits for its own acknowledgement (40 ms), not in a queue.
const BULK: u64 = 4 * 1024;
/// What a connection carries is smoothed over this time.
const SMOOTH: Duration = Duration::from_millis(300);
/// It counts for this time after a report, and twice the time between the last two.
const COUNTS: Duration = Duration::from_millis(400);

/// What TCP tells of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Its round trip now, smoothed.
    pub rtt: Duration,
    /// Its shortest so far.
    pub least_rtt: Duration,
    /// Bytes that arrived at the other end since it began.
    pub acked: u64,
    /// How long payload for anybody has waited for the limit, all such times together.
    pub waited: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its shortest round trip,
    least: Duration,
    /// and how much shorter it would be if nothing waited anywhere, as far as is known.
    queue: Duration,
    acked: u64,
    at: Time,
    /// Between its last two reports; zero after the first.
    gap: Duration,
    /// Bytes per second that arrive.
    rate: f64,
}

impl Known {
    /// The first report of a connection that came while there was a queue of so long: its shortest round trip so far
    /// has passed through that.
    pub(super) fn new(now: Time, sample: Sample, queue: Duration) -> Self {
        Self {
            least: sample.least_rtt,
            queue: queue.min(sample.least_rtt / 2),
            acked: sample.acked,
            at: now,
            gap: Duration::ZERO,
            rate: 0.0,
        }
    }

    /// The next report; says how many bytes arrived since the last, how long ago that was, and how much longer a round
    /// trip takes than it could. Nothing while that is too few.
    pub(super) fn report(
        &mut self,
        now: Time,
        sample: Sample,
    ) -> Option<(u64, Duration, Duration)> {
        let (bytes, gap) = (sample.acked.saturating_sub(self.acked), self.age(now));
        if bytes < BULK {
            return None;
        }
        let seconds = gap.as_secs_f64().max(1e-3);
        let rate = bytes as f64 / seconds;
        let weight = 1.0 - (-seconds / SMOOTH.as_secs_f64()).exp();
        self.rate = if self.gap.is_zero() { rate } else { self.rate + (rate - self.rate) * weight };
        self.least = self.least.min(sample.least_rtt);
        let base = self.least.saturating_sub(self.queue);
        (self.acked, self.at, self.gap) = (sample.acked, now, gap);
        Some((bytes, gap, sample.rtt.saturating_sub(base)))
    }

    /// The queue has gone meanwhile, or there was none.
    pub(super) fn passed_no_queue(&mut self) {
        self.queue = Duration::ZERO;
    }

    /// Bytes per second that arrive at its other end.
    pub(super) fn rate(&self, now: Time) -> f64 {
        let counts = self.age(now) <= COUNTS + self.gap * 2;
        if counts { self.rate } else { 0.0 }
    }

    /// How long ago it reported last.
    pub(super) fn age(&self, now: Time) -> Duration {
        now.since(self.at)
    }
}
