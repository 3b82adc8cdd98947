//! Questions that are answered at once, however long the line for payload is: who needs hashes has to have
//! them before anything else. A question is a few bytes and its answer may be 32 KiB, so answers have
//! limits: of each connection in number and bytes, and of all together in bytes. What is beyond is refused
//! with REJECT(rate), and asked again after [`RATE_WAIT`].

use std::time::Duration;

use super::event::ConnId;
use super::node::{Cx, Node};
use super::time::Time;

/// How long to wait after REJECT(rate): it says no time itself. The period over which answers are counted,
/// in every version: who waits so long stands at the beginning of a new one.
pub(super) const RATE_WAIT: Duration = Duration::from_secs(1);
/// Answers per period and connection. In folders of small files every file has a question of its own.
const MOST: u32 = 1000;
/// Bytes of answers per period and connection: hashes of at least 4 GiB of payload.
const MOST_BYTES: u64 = 2 * 1024 * 1024;
/// A connection that asks so many times more than is answered is not asking.
const FLOOD: u32 = 8;
/// Answers take this part (one in so many) of an upload limit.
const PART: f64 = 4.0;
/// and more of a small one, up to so many bytes per second: answers have to come before their askers give up.
const LEAST_RATE: f64 = 32.0 * 1024.0;
/// But never more than this part (one in so many): payload goes on, whoever asks.
const MOST_PART: f64 = 2.0;
/// Bytes per second for all together where there is no limit.
const FREE_RATE: f64 = 64.0 * 1024.0 * 1024.0;
/// Answers may be ahead of their rate by so many seconds,
const AHEAD: f64 = 1.0;
/// by so many if whoever asks had no more than others lately,
const AHEAD_FOR_MODEST: f64 = 2.0;
/// and by so many if it had nothing: newcomers can do nothing without hashes.
const AHEAD_FOR_NEW: f64 = 4.0;

/// What all answers together came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    /// Bytes per second.
    rate: f64,
    /// Bytes beyond what the rate allowed so far.
    ahead: f64,
    at: Time,
}

impl Default for Answers {
    fn default() -> Self {
        Self { rate: FREE_RATE, ahead: 0.0, at: Time::ZERO }
    }
}

impl Answers {
    /// Keeps to its part of an upload limit.
    pub(super) fn limit(&mut self, up: Option<u64>) {
        let part = |up: f64| (up / PART).max(LEAST_RATE.min(up / MOST_PART));
        self.rate = up.map_or(FREE_RATE, |up| part(up as f64).max(1.0));
        self.ahead = 0.0;
    }

    /// Seconds by which answers are ahead of their rate.
    fn ahead(&mut self, now: Time) -> f64 {
        let passed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.ahead = (self.ahead - passed * self.rate).max(0.0);
        self.ahead / self.rate
    }
}

impl Node {
    /// Whether a question is answered whose answer is of so many bytes; counts it. Who only asks to make work
    /// loses the connection.
    pub(super) fn answers(&mut self, cx: &mut Cx<'_>, at: ConnId, bytes: u64) -> bool {
        let ahead = self.answers.ahead(cx.now);
        let fair = ahead < AHEAD || ahead < self.most_ahead(at);
        let Some(conn) = self.conns.get_mut(&at) else { return false };
        let asked = &mut conn.questions;
        if cx.now.since(asked.since) >= RATE_WAIT {
            *asked = Questions { since: cx.now, ..Questions::default() };
        }
        asked.count = asked.count.saturating_add(1);
        if asked.count > MOST * FLOOD {
            self.fault(cx, at, "asks without end");
            return false;
        }
        // The first answer of a period may be of any length.
        let within = asked.bytes == 0 || asked.bytes + bytes <= MOST_BYTES;
        let answers = asked.count <= MOST && within && fair;
        if answers {
            asked.bytes += bytes;
            conn.answered += bytes;
            self.answers.ahead += bytes as f64;
        }
        answers
    }

    /// How far ahead of their rate answers may be for this one to have another.
    fn most_ahead(&self, at: ConnId) -> f64 {
        let all: u64 = self.conns.values().map(|conn| conn.answered).sum();
        let askers = self.conns.values().filter(|conn| conn.answered > 0).count();
        match self.conns.get(&at).map_or(0, |conn| conn.answered) {
            0 => AHEAD_FOR_NEW,
            own if own <= all / (askers as u64).max(1) => AHEAD_FOR_MODEST,
            _ => AHEAD,
        }
    }
}

/// What a connection asked in the running period.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Questions {
    since: Time,
    count: u32,
    bytes: u64,
}
