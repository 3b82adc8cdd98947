//! The tracker's two clocks, read only here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 that never jump: the wall clock at start, and a monotonic clock from then on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    wall_at_start: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), wall_at_start: millis(since_epoch()) }
    }

    /// For intervals and for what is remembered.
    pub(crate) fn now_ms(&self) -> u64 {
        self.wall_at_start.saturating_add(millis(self.started.elapsed()))
    }

    /// The wall clock as it is now: for memberships, which others check against theirs.
    pub(crate) fn wall_ms() -> u64 {
        millis(since_epoch())
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
