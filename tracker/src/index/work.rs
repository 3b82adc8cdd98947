//! What takes long is done in steps: a peer with a hundred thousand shares comes, goes and is forgotten while others
//! get their answers in between.
//!
//! What others see of a peer changes at once: one that is gone or just coming is handed out to nobody, and of one whose
//! digest was wrong nothing is told. Then its entries are gone through, [`Limits::slice`](super::Limits::slice) at a
//! time. Until an entry's turn comes the counts of its row may still have the peer in them, names and rows
//! that only it holds are still there, and all that still counts against the quotas. Whatever is asked about one
//! entry has it catch up first (`rules.rs`), so that it ends as if all had been done at once. Only what belongs to the
//! row, such as when it was first seen and which of its names comes first, may be of a peer that was just going.

use std::ops::Bound;

use super::peer::{Peer, Presence};
use super::steps::{Pass, What};
use super::{Index, SessionId};

/// Entries gone through at a time: 1 to 2 us each, so some 1 ms; up to 8 us where a row goes with them, whose names are
/// taken out of the lists.
pub const WORK_SLICE: usize = 500;

/// What one step did.
#[derive(Debug, Default)]
pub struct Worked {
    /// Sessions for which [`Index::poll`] has something.
    pub readers: Vec<SessionId>,
    /// Entries and peers that were looked at, whether anything was done to them or not.
    pub looked: usize,
    /// Whether there is more to do now.
    pub more: bool,
}

impl Index {
    /// Goes on with what is under way, and looks at most at `budget` entries.
    pub fn work(&mut self, now_ms: u64, budget: usize) -> Worked {
        let mut left = budget;
        left -= self.expire(now_ms, left);
        // Half of it first: whoever waits for an answer to its hello is not to wait for all who have left.
        left -= self.compare_some(left.div_ceil(2));
        left -= self.enter_names(left.div_ceil(4));
        while left > 0
            && let Some(peer) = self.next_task()
        {
            // One that has nothing costs something too.
            left -= self.work_on(peer, left).clamp(1, left);
        }
        left -= self.compare_some(left);
        left -= self.enter_names(left);
        let readers = self.publish_some();
        let more = self.is_busy() || self.grace.is_due(now_ms) || self.forget.is_due(now_ms);
        Worked { readers, looked: budget - left, more }
    }

    /// Whether something is under way.
    pub fn is_busy(&self) -> bool {
        !self.tasks.is_empty()
            || !self.claims.is_empty()
            || self.inside.is_busy()
            || self.is_publishing()
    }

    /// Whether the entries of a session's peer have still to be gone through, or its digest to be compared.
    pub fn is_settling(&self, session: SessionId) -> bool {
        let peer = self.session_peer(session).and_then(|peer| self.peers.get(peer));
        peer.is_some_and(|owner| owner.claim.is_some() || owner.pass.is_some())
    }

    /// Something happened to all entries of a peer: it has them gone through, and does at once what one step may.
    pub(super) fn go_through(&mut self, peer: u32) {
        self.begin_pass(peer);
        self.work_on(peer, self.limits.slice);
    }

    /// Something happened to all entries of a peer: has them gone through from the start.
    pub(super) fn begin_pass(&mut self, peer: u32) {
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.pass = Some(Pass::default());
            self.tasks.insert(peer);
        }
    }

    /// Peers take turns.
    fn next_task(&mut self) -> Option<u32> {
        let behind = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.tasks.range((behind, Bound::Unbounded)).next();
        self.turn = next.or_else(|| self.tasks.first()).copied();
        self.turn
    }

    /// Looks at most at so many entries of one peer; returns at how many.
    pub(super) fn work_on(&mut self, peer: u32, most: usize) -> usize {
        let mut looked = 0;
        while looked < most {
            let left = most - looked;
            let Some(owner) = self.peers.get(peer) else { break };
            let forget = owner.forget.map(|forget| forget.what);
            looked += match (forget, owner.pass) {
                (Some(What::All), _) => self.forget_all_of(peer, left),
                (_, Some(pass)) => self.pass(peer, pass, left),
                (Some(What::Lone), None) => self.forget_lone_of(peer, left),
                (None, None) => break,
            };
        }
        let is_idle = |owner: &Peer| owner.forget.is_none() && owner.pass.is_none();
        if self.peers.get(peer).is_none_or(is_idle) {
            self.tasks.remove(&peer);
            let is_empty =
                |owner: &Peer| owner.presence == Presence::Away && owner.files.is_empty();
            if self.peers.get(peer).is_some_and(is_empty) {
                self.remove_peer(peer);
            }
        }
        looked
    }

    fn pass(&mut self, peer: u32, Pass { after }: Pass, most: usize) -> usize {
        let Some(owner) = self.peers.get(peer) else { return 0 };
        let files = owner.files_behind(after, most);
        for file in &files {
            self.catch_up(peer, *file);
        }
        if let Some(owner) = self.peers.get_mut(peer) {
            let after = files.last().copied();
            owner.pass = (files.len() == most).then_some(Pass { after });
        }
        files.len()
    }
}
