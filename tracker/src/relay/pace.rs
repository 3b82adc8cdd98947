//! So many bytes a second, in the order in which they were asked for.

use std::sync::Mutex;
use std::time::Duration;

use common::lock::Unpoisoned as _;
use common::numbers::saturate;
use tokio::time::{Instant, sleep_until};

/// What may go at once after a rest: a quarter of a second's bytes.
const BURST: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_s: u64,
    /// When the next byte may go.
    next: Mutex<Instant>,
}

impl Pace {
    /// A rate of nothing counts as one byte a second.
    pub(super) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: bytes_per_s.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Returns when so many bytes may go.
    pub(super) async fn take(&self, bytes: usize) {
        let at = self.reserve(Instant::now(), bytes);
        if let Some(at) = at {
            sleep_until(at).await;
        }
    }

    /// How long it takes until what is taken already has gone.
    pub(super) fn debt(&self) -> Duration {
        self.next.lock().unpoisoned().saturating_duration_since(Instant::now())
    }

    /// When they may go; `None` for now.
    fn reserve(&self, now: Instant, bytes: usize) -> Option<Instant> {
        let bytes = saturate::<u64>(bytes);
        let nanos = bytes.saturating_mul(1_000_000_000) / self.bytes_per_s;
        let mut next = self.next.lock().unpoisoned();
        let at = now.checked_sub(BURST).map_or(*next, |rested| rested.max(*next));
        *next = at + Duration::from_nanos(nanos);
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_time() {
        let pace = Pace::new(1_000_000);
        let begin = Instant::now() + Duration::from_secs(10);
        let taken = |at: Instant| {
            let wait = pace.reserve(at, 10_000);
            wait.map_or(Duration::ZERO, |until| until - at)
        };
        // A quarter of a second's bytes, and the one that reaches its end.
        let at_once = (0..100).take_while(|_| taken(begin).is_zero()).count();
        assert_eq!(at_once, 26);
        // Each of the next waits ten milliseconds longer.
        let waits = [taken(begin), taken(begin)];
        assert_eq!(waits[1] - waits[0], Duration::from_millis(10));
        assert!(taken(begin + Duration::from_secs(5)).is_zero());
    }
}
