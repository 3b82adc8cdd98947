//! When what was asked of a source is expected to be here.

use std::time::Duration;

use common::id::ContentId;

use super::conn::{Asked, Conn};
use super::time::Time;

/// What has stood still is expected to take so many times longer than it has already.
const SILENCE: f64 = 4.0;

impl Conn {
    /// Seconds until a request for a chunk is expected to be complete, of chunks that usually have `usual` bytes; `ours` is
    /// how long our own limit may keep an answer from us. Silence longer than usual counts against the source. None for
    /// other requests.
    pub(super) fn eta(&self, now: Time, ours: Duration, asked: &Asked, usual: u64) -> Option<f64> {
        let Asked::Chunk { len, got, moved, .. } = asked else { return None };
        if *got == 0 {
            return Some(self.eta_of_waiting(now, usual));
        }
        let still = self.stands_still(now, ours, asked);
        let still = if still { now.since(*moved).as_secs_f64() * SILENCE } else { 0.0 };
        let speed = if self.is_overdue(now, ours) {
            // What it did before says nothing any more, and neither does its last frame.
            f64::from(*got) / now.since(self.pace.1).as_secs_f64()
        } else {
            self.speed(now, usual).max(self.down.get(now))
        };
        Some(self.flowing(now, u64::from(len - got), speed, 0.0).max(still))
    }

    /// The same of any request that it has not begun.
    pub(super) fn eta_of_waiting(&self, now: Time, usual: u64) -> f64 {
        self.flowing(now, self.outstanding, self.speed(now, usual), self.round(usual))
    }

    /// Seconds until `ahead` bytes are here at `speed` bytes a second; after `usual_quiet` seconds without any it is late.
    fn flowing(&self, now: Time, ahead: u64, speed: f64, usual_quiet: f64) -> f64 {
        let quiet = now.since(self.progress).as_secs_f64();
        if speed < 1.0 {
            return quiet * SILENCE;
        }
        let over = (quiet - usual_quiet).max(0.0);
        (ahead as f64 / speed - quiet.min(usual_quiet)).max(0.0) + over
    }

    /// The chunks of a content that are expected from it later than in so many seconds.
    pub(super) fn chunks_later_than(
        &self,
        seconds: f64,
        now: Time,
        ours: Duration,
        id: ContentId,
        usual: u64,
    ) -> impl Iterator<Item = u32> {
        // The same of all that it has not begun.
        let waiting = !self.requests.is_empty() && self.eta_of_waiting(now, usual) > seconds;
        self.requests.values().filter_map(move |asked| {
            let Asked::Chunk { id: of, chunk, got, .. } = asked else { return None };
            let late = || match got {
                0 => waiting,
                _ => self.eta(now, ours, asked, usual).is_some_and(|eta| eta > seconds),
            };
            (*of == id && late()).then_some(*chunk)
        })
    }
}
