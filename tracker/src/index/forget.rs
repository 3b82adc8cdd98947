//! Forgetting who is gone: in steps, so that nobody waits while a hundred thousand rows go.

use common::id::PeerId;
use common::wire::Code;

use super::peer::{Peer, Presence};
use super::steps::{Forget, What};
use super::{Index, Refusal};
use crate::record::Change;

/// When to come back, in milliseconds, for a peer that is just being forgotten: 2 s are some twenty ticks, in which
/// the shares of an ordinary peer are gone.
const FORGETTING_RETRY_MS: u32 = 2_000;

impl Index {
    /// Drops some of the entries of a peer that is forgotten, and looks at no others. Returns how many there were.
    pub(super) fn forget_all_of(&mut self, peer: u32, most: usize) -> usize {
        let files =
            self.peers.get(peer).map_or_else(Vec::new, |owner| owner.files_behind(None, most));
        for file in &files {
            self.drop_entry(peer, *file);
        }
        if let Some(owner) = self.peers.get_mut(peer).filter(|owner| owner.files.is_empty()) {
            (owner.forget, owner.pass) = (None, None);
        }
        files.len()
    }

    /// Looks at some of the entries of a peer that is away, and drops those that only its address group ever had.
    /// Returns at how many.
    pub(super) fn forget_lone_of(&mut self, peer: u32, most: usize) -> usize {
        let Some(owner) = self.peers.get_mut(peer) else { return 0 };
        let forget = owner.forget.take().filter(|_| owner.presence == Presence::Away);
        // If it came back it keeps what is left.
        let Some(Forget { what, after }) = forget else { return 0 };
        let files = owner.files_behind(after, most);
        if files.len() == most {
            owner.forget = Some(Forget { what, after: files.last().copied() });
        }
        for file in &files {
            if self.files.get(*file).is_some_and(|row| row.lone) {
                self.drop_entry(peer, *file);
            }
        }
        files.len()
    }

    fn begin_forgetting_lone(&mut self, peer: u32) {
        if let Some(owner) = self.peers.get_mut(peer).filter(|owner| owner.forget.is_none()) {
            owner.forget = Some(Forget { what: What::Lone, after: None });
            self.tasks.insert(peer);
        }
    }

    /// A peer that is away is forgotten bit by bit; until then it is not let in.
    pub(super) fn begin_forgetting(&mut self, peer: u32) {
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.forget = Some(Forget { what: What::All, after: None });
            self.tasks.insert(peer);
        }
    }

    /// Whether a key is just being forgotten.
    pub fn is_forgetting(&self, key: PeerId) -> bool {
        let owner = self.by_key.get(&key).and_then(|peer| self.peers.get(*peer));
        owner.and_then(|owner| owner.forget).is_some_and(|forget| forget.what == What::All)
    }

    /// Refuses a peer that is just being forgotten: what it says now would be forgotten too.
    pub(super) fn check_forgetting(&self, key: PeerId) -> Result<(), Refusal> {
        if self.is_forgetting(key) {
            let text = "this tracker is just forgetting you; come back in a moment";
            return Err(Refusal::new(Code::Busy, text).retry_in(FORGETTING_RETRY_MS));
        }
        Ok(())
    }

    /// A peer is gone. What it registered is remembered; one that registered nothing goes when its entries have.
    pub(super) fn retire(&mut self, peer: u32) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let before = std::mem::replace(&mut owner.presence, Presence::Away);
        if owner.shares > 0 {
            let due = owner.due(self.limits.lone_ms.min(self.limits.forget_ms));
            self.plan_forgetting(peer, due);
        }
        self.enroll(peer);
        // Of one that had left before, that was forgotten then.
        if !matches!(before, Presence::Left(_)) {
            self.forget_soft_state(peer);
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

    /// Begins to forget a peer that is away for too long.
    pub(super) fn forget_if_due(&mut self, now_ms: u64, peer: u32) {
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
            self.begin_forgetting_lone(peer);
            self.plan_forgetting(peer, all);
        } else {
            self.plan_forgetting(peer, lone.min(all));
        }
    }

    /// Forgets what a peer said it has, but not what it registered.
    pub(super) fn forget_soft_state(&mut self, peer: u32) {
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.rules.forget_soft_state();
            owner.settled = false;
            self.begin_pass(peer);
        }
    }

    pub(super) fn remove_peer(&mut self, peer: u32) {
        self.drop_claim(peer);
        self.forget_digest(peer);
        self.tasks.remove(&peer);
        if let Some(owner) = self.peers.remove(peer) {
            self.by_key.remove(&owner.id);
            self.usage.remove_peer(owner.group, (owner.bytes, owner.names));
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
