//! Forgetting who is gone: in slices, so that nobody waits while a hundred thousand rows go.

use common::id::PeerId;
use common::wire::Code;

use super::peer::{Have, Peer, Presence};
use super::{Index, Refusal};
use crate::record::Change;

/// Entries dropped at a time: 2 us each, so some 2 ms.
pub const FORGET_SLICE: usize = 1000;

/// When to come back, in milliseconds, for a peer that is just being forgotten: 2 s are some twenty ticks, in which
/// the shares of an ordinary peer are gone.
const FORGETTING_RETRY_MS: u32 = 2_000;

/// What is to be dropped of a peer that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// All, and the peer with it. Until then it is not let in.
    All,
    /// Contents that no other address group ever had.
    Lone,
}

impl Index {
    /// Drops some of what is to be forgotten; false when nothing is left to do. [`Index::tick`] does the
    /// same.
    pub fn forget_some(&mut self) -> bool {
        let mut left = FORGET_SLICE;
        while left > 0
            && let Some((peer, what)) = self.forgetting.first().copied()
        {
            let entries = self.to_forget(peer, what);
            let now = entries.len().min(left);
            for file in entries.iter().take(now) {
                self.drop_entry(peer, *file);
            }
            if now == entries.len() {
                self.forgotten(peer, what);
            }
            // One that has nothing costs something too.
            left -= now.clamp(1, left);
        }
        !self.forgetting.is_empty()
    }

    /// Contents that a peer is to have nothing to do with any more, in order.
    fn to_forget(&self, peer: u32, what: What) -> Vec<u32> {
        let Some(owner) = self.peers.get(peer) else { return Vec::new() };
        let mut entries: Vec<u32> = match what {
            What::All => owner.files.keys().copied().collect(),
            What::Lone if owner.presence == Presence::Away => {
                let is_lone = |file: &u32| self.files.get(*file).is_some_and(|row| row.lone);
                owner.files.keys().copied().filter(is_lone).collect()
            }
            // It came back.
            What::Lone => Vec::new(),
        };
        entries.sort_unstable();
        entries
    }

    fn forgotten(&mut self, peer: u32, what: What) {
        self.forgetting.remove(&(peer, what));
        let is_empty = |owner: &Peer| owner.presence == Presence::Away && owner.files.is_empty();
        if self.peers.get(peer).is_some_and(is_empty) {
            self.remove_peer(peer);
        }
    }

    /// A peer that is away is forgotten bit by bit; until then it is not let in.
    pub(super) fn begin_forgetting(&mut self, peer: u32) {
        self.forgetting.remove(&(peer, What::Lone));
        self.forgetting.insert((peer, What::All));
    }

    /// Refuses a peer that is just being forgotten: what it says now would be forgotten too.
    pub(super) fn check_forgetting(&self, key: PeerId) -> Result<(), Refusal> {
        let peer = self.by_key.get(&key);
        if peer.is_some_and(|peer| self.forgetting.contains(&(*peer, What::All))) {
            let text = "this tracker is just forgetting you; come back in a moment";
            return Err(Refusal::new(Code::Busy, text).retry_in(FORGETTING_RETRY_MS));
        }
        Ok(())
    }

    /// A peer is gone. What it registered is remembered.
    pub(super) fn retire(&mut self, peer: u32) {
        self.forget_soft_state(peer);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        owner.presence = Presence::Away;
        if owner.shares > 0 {
            let due = owner.due(self.limits.lone_ms.min(self.limits.forget_ms));
            self.plan_forgetting(peer, due);
        } else {
            self.remove_peer(peer);
        }
    }

    /// Remembers to look at an absent peer when it may be forgotten, in part or all.
    pub(super) fn plan_forgetting(&mut self, peer: u32, at_ms: u64) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        if owner.forget_at.is_none_or(|planned| at_ms < planned) {
            owner.forget_at = Some(at_ms);
            self.forget.add(at_ms, peer);
        }
    }

    /// Begins to forget those away for too long, and goes on with what was begun.
    pub(super) fn expire_absent(&mut self, now_ms: u64) {
        while let Some(due) = self.forget.take_due(now_ms) {
            for peer in due {
                self.forget_if_due(now_ms, peer);
            }
        }
        self.forget_some();
    }

    fn forget_if_due(&mut self, now_ms: u64, peer: u32) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        // A reminder for somebody else, or one that an earlier one has replaced.
        if owner.forget_at.is_none_or(|planned| planned > now_ms) {
            return;
        }
        owner.forget_at = None;
        if owner.presence != Presence::Away {
            return;
        }
        let lone = owner.due(self.limits.lone_ms);
        let all = owner.due(self.limits.forget_ms).max(self.forget_all_from);
        if is_over(all, now_ms) {
            self.begin_forgetting(peer);
        } else if is_over(lone, now_ms) {
            self.forgetting.insert((peer, What::Lone));
            self.plan_forgetting(peer, all);
        } else {
            self.plan_forgetting(peer, lone.min(all));
        }
    }

    /// Forgets what a peer said it has, but not what it registered.
    pub(super) fn forget_soft_state(&mut self, peer: u32) {
        for (file, shared) in self.entries_of(peer) {
            if shared {
                self.set_have(peer, file, Have::Nothing);
            } else {
                self.drop_entry(peer, file);
            }
        }
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.settled = false;
        }
    }

    pub(super) fn remove_peer(&mut self, peer: u32) {
        if let Some(owner) = self.peers.remove(peer) {
            self.by_key.remove(&owner.id);
            self.usage.remove_peer(owner.group, owner.bytes);
            self.forgetting.remove(&(peer, What::All));
            self.forgetting.remove(&(peer, What::Lone));
            self.changes.push(Change::PeerGone(owner.id));
        }
    }
}

impl Peer {
    /// When it will have been away for so long, in milliseconds.
    pub(super) fn due(&self, keep_ms: u64) -> u64 {
        self.last_seen.saturating_mul(1000).saturating_add(keep_ms)
    }
}

/// Whether the second of `due_ms` is over. Reminders come then, and one that comes by chance earlier in
/// that second must not do more.
fn is_over(due_ms: u64, now_ms: u64) -> bool {
    due_ms / 1000 < now_ms / 1000
}
