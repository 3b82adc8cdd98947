//! How long the client of the tracker waits.

use std::time::Duration;

use super::order::Waits;

/// How long a tracker may be silent where it should not be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Time for the answer to a ping.
    pub(super) pong: Duration,
    /// Time for the tracker to take what we write.
    pub(super) write: Duration,
    /// How often we look whether our own addresses are others: with the time to tell it, a new one is known to the network
    /// within ten seconds.
    pub(super) look: Duration,
    /// When the connection is made anew, once, that could not come from the port we listen on: longer than the system
    /// keeps the ends of an earlier one (`TIME_WAIT`, 60 s).
    pub(super) again: Duration,
    /// When one of several trackers is given up for another, and looked for again.
    pub(super) trackers: Waits,
    /// How long a pause between two connections really takes: tests let time fly.
    pub(super) pause: fn(Duration) -> Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            pong: Duration::from_secs(10),
            write: Duration::from_secs(20),
            look: Duration::from_secs(5),
            again: Duration::from_secs(90),
            trackers: Waits::default(),
            pause: |pause| pause,
        }
    }
}
