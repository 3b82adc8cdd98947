//! A clock that can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tracker::WallClock;

/// The system's clock, and so many seconds more.
pub(crate) fn set_by(ahead: &Arc<AtomicI64>) -> WallClock {
    let ahead = Arc::clone(ahead);
    WallClock::new(move || {
        let secs = ahead.load(Ordering::Relaxed);
        let by = Duration::from_secs(secs.unsigned_abs());
        let now = SystemTime::now();
        if secs < 0 { now - by } else { now + by }
    })
}
