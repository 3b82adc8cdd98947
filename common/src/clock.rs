//! Times as whole numbers. Nothing here reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::numbers::saturate;

/// Whole milliseconds; `u64::MAX` after 584 million years.
pub fn millis(duration: Duration) -> u64 {
    saturate::<u64>(duration.as_millis())
}

/// Whole seconds since 1970, by a clock that shows `wall`; 0 before.
pub fn unix_secs(wall: SystemTime) -> u64 {
    wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970, by a clock that shows `wall`; 0 before.
pub fn unix_ms(wall: SystemTime) -> u64 {
    wall.duration_since(UNIX_EPOCH).map_or(0, millis)
}
