//! The tracker's two clocks, read only here.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use common::clock::{millis, unix_ms};
use common::membership::CLOCK_GAP_SECS;

/// Where the time of day comes from: the system, or a test.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    /// A clock that says what `read` says.
    pub fn new(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    fn now_ms(&self) -> u64 {
        unix_ms((self.0)())
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

/// Milliseconds since 1970 that never jump: the wall clock at start, and a monotonic clock from then on.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    started: Instant,
    wall_at_start: u64,
    wall: WallClock,
}

impl Clock {
    pub(crate) fn start(wall: WallClock) -> Self {
        Self { started: Instant::now(), wall_at_start: wall.now_ms(), wall }
    }

    /// For intervals and for what is remembered.
    pub(crate) fn now_ms(&self) -> u64 {
        self.wall_at_start.saturating_add(millis(self.started.elapsed()))
    }

    /// The wall clock as it is now: for memberships, and for peers to judge them by.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.wall.now_ms()
    }
}

/// Notices that the wall clock left the monotonic one: it was set, the machine slept, or many small
/// corrections added up.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    /// How far the wall clock was ahead when everybody was told the time, in milliseconds.
    told: i64,
}

impl Drift {
    /// Looks at both clocks; returns by how many seconds the wall clock went ahead since everybody was told
    /// the time, if that is more than [`CLOCK_GAP_SECS`]: everybody has to be told again.
    pub(crate) fn look(&mut self, monotonic_ms: u64, wall_ms: u64) -> Option<i64> {
        let ahead = i128::from(wall_ms) - i128::from(monotonic_ms);
        let ahead = i64::try_from(ahead).unwrap_or(if ahead > 0 { i64::MAX } else { i64::MIN });
        let moved = ahead.saturating_sub(self.told) / 1000;
        (moved.unsigned_abs() > CLOCK_GAP_SECS).then(|| {
            self.told = ahead;
            moved
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn f4_a_wall_clock_that_leaves_the_monotonic_one_is_noticed_once() {
        let start = 50 * DAY_MS;
        let mut drift = Drift::default();
        assert_eq!(drift.look(start, start), None);
        assert_eq!(drift.look(start + 1000, start + 121_000), None, "two minutes are not worth it");
        assert_eq!(drift.look(start, start + 40 * DAY_MS), Some(40 * 86_400));
        assert_eq!(drift.look(start + 1000, start + 1000 + 40 * DAY_MS), None, "told once");
        assert_eq!(drift.look(start, start - 40 * DAY_MS), Some(-80 * 86_400));
        assert!(drift.look(0, u64::MAX).is_some() && drift.look(u64::MAX, 0).is_some());
    }

    #[test]
    fn f4_small_corrections_add_up() {
        let mut drift = Drift::default();
        let told = (0..=1000).filter(|n| drift.look(0, n * 1000).is_some()).count();
        assert_eq!(told, 8, "every 121 s");
    }
}
