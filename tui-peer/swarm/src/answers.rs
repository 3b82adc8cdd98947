//! Questions that are answered at once, however long the line for payload is: who needs hashes has to have
//! them before anything else. A question is a few bytes and its answer may be 32 KiB, so answers have
//! limits: of each connection in number and bytes, and of all together in bytes. What is beyond is refused
//! with REJECT(rate), and asked again after [`RATE_WAIT`].

use std::time::Duration;

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

    /// Whether somebody may have another answer: `own` bytes were answered to it lately, and so many to each of
    /// all connections.
    pub(super) fn is_fair(
        &mut self,
        now: Time,
        own: u64,
        lately: impl Iterator<Item = u64>,
    ) -> bool {
        let ahead = self.ahead(now);
        ahead < AHEAD || ahead < most_ahead(own, lately)
    }

    /// An answer of so many bytes goes out.
    pub(super) fn count(&mut self, bytes: u64) {
        self.ahead += bytes as f64;
    }

    /// Seconds by which answers are ahead of their rate.
    fn ahead(&mut self, now: Time) -> f64 {
        let passed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.ahead = (self.ahead - passed * self.rate).max(0.0);
        self.ahead / self.rate
    }
}

/// How far ahead of their rate answers may be for one who had so many bytes to have another.
fn most_ahead(own: u64, lately: impl Iterator<Item = u64>) -> f64 {
    if own == 0 {
        return AHEAD_FOR_NEW;
    }
    let asked = lately.filter(|bytes| *bytes > 0);
    let (all, askers) = asked.fold((0u64, 0u64), |(all, askers), bytes| (all + bytes, askers + 1));
    if own <= all / askers.max(1) { AHEAD_FOR_MODEST } else { AHEAD }
}

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Answered,
    Refused,
    /// Who asks so much only wants to make work.
    Flood,
}

/// What a connection asks beside payload.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Questions {
    /// The running period: its start, questions, and bytes of their answers.
    since: Time,
    count: u32,
    bytes: u64,
    /// Bytes of answers in the last minute or so.
    lately: u64,
}

impl Questions {
    /// Bytes of answers in the last minute or so.
    pub(super) fn lately(&self) -> u64 {
        self.lately
    }

    /// What happened lately counts half from now on.
    pub(super) fn halve(&mut self) {
        self.lately /= 2;
    }

    /// Counts a question whose answer is of so many bytes. `fair`: as far as all others are concerned it may be
    /// answered.
    pub(super) fn ask(&mut self, now: Time, bytes: u64, fair: bool) -> Verdict {
        if now.since(self.since) >= RATE_WAIT {
            (self.since, self.count, self.bytes) = (now, 0, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count > MOST * FLOOD {
            return Verdict::Flood;
        }
        // The first answer of a period may be of any length.
        let within = self.bytes == 0 || self.bytes + bytes <= MOST_BYTES;
        if self.count > MOST || !within || !fair {
            return Verdict::Refused;
        }
        self.bytes += bytes;
        self.lately += bytes;
        Verdict::Answered
    }
}
