//! Requests that wait for an answer: numbered, bounded in number and in time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::id::ContentId;

/// Requests without an answer; more wait, so that a slow tracker is not buried.
const IN_FLIGHT: usize = 8;
/// A tracker that is alive answers within this time: it is far more than the slowest disk takes to
/// commit a batch. After that the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    /// Registers these; `begins` is the one that begins a full list.
    Register {
        ids: Vec<ContentId>,
        begins: bool,
    },
    Unregister(Vec<ContentId>),
    Locate(ContentId),
    /// None for the catalogue.
    Watch(Vec<ContentId>),
    List,
    Members,
    MemberFiles,
    Find,
    /// Of these folders.
    OfferNames(Vec<ContentId>),
    /// Of this folder.
    GiveNames(ContentId),
    Ping,
    Leave,
}

/// What is in flight on one connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last_q: u32,
    pending: HashMap<u32, (Pending, Instant)>,
}

impl Requests {
    /// Whether no answer is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether another request may be sent. Pings and farewells do not ask.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < IN_FLIGHT
    }

    /// Numbers a request. Numbers are not used twice while they wait, and never 0.
    pub(super) fn ask(&mut self, pending: Pending, now: Instant) -> u32 {
        loop {
            self.last_q = self.last_q.wrapping_add(1).max(1);
            if !self.pending.contains_key(&self.last_q) {
                self.pending.insert(self.last_q, (pending, now));
                return self.last_q;
            }
        }
    }

    /// The request that an answer with this number is for, if `is` says that it is such an answer.
    /// Anything else is ignored: numbers nobody used, answers of the wrong kind.
    pub(super) fn answered(
        &mut self,
        q: u32,
        is: impl FnOnce(&Pending) -> bool,
    ) -> Option<Pending> {
        let (pending, _) = self.pending.get(&q)?;
        if !is(pending) {
            return None;
        }
        self.pending.remove(&q).map(|(pending, _)| pending)
    }

    /// When the oldest request has waited too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|(_, asked)| *asked + ANSWER_TIMEOUT).min()
    }

    /// A new connection: nothing that was asked will be answered. Returns it.
    pub(super) fn drain(&mut self) -> Vec<Pending> {
        self.pending.drain().map(|(_, (pending, _))| pending).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_request_and_others_find_none() {
        let now = Instant::now();
        let mut requests = Requests { last_q: u32::MAX - 1, ..Requests::default() };
        let list = requests.ask(Pending::List, now);
        let ping = requests.ask(Pending::Ping, now);
        assert_eq!((list, ping), (u32::MAX, 1));
        assert_eq!(requests.answered(7, |_| true), None);
        assert_eq!(requests.answered(0, |_| true), None);
        assert_eq!(requests.answered(list, |p| *p == Pending::Ping), None, "of the wrong kind");
        assert_eq!(requests.answered(list, |p| *p == Pending::List), Some(Pending::List));
        assert_eq!(requests.answered(list, |_| true), None, "answered already");
        assert_eq!(requests.deadline(), Some(now + ANSWER_TIMEOUT));
        assert_eq!(requests.drain(), [Pending::Ping]);
        assert_eq!(requests.deadline(), None);
    }
}
