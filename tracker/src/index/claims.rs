//! Comparing what a peer says it shares with what is remembered of it: by a digest, which with a hundred thousand shares
//! takes tens of milliseconds to make, and so is made bit by bit.

use std::collections::BTreeMap;

use common::id::{ContentId, Hash};
use common::wire::tracker::{ShareDigest, share_digest};

use super::peer::{Peer, Presence};
use super::steps::Claim;
use super::{Index, SessionId};

/// A digest that is being made: one at a time, since it has a list of all shares of a peer.
#[derive(Debug)]
pub(super) struct Digesting {
    peer: u32,
    /// The last share that was put in order; `None` at the start.
    after: Option<u32>,
    /// Whether all have been.
    in_order: bool,
    /// Shares that are not yet in the digest.
    shares: BTreeMap<ContentId, u32>,
    digest: ShareDigest,
}

impl Index {
    /// Whether the tracker knows what the peer shares, as it said in its last hello; `None` until that is compared
    /// (see [`Index::work`]). Until then the peer must ask for nothing: what it asks for counts as a no.
    pub fn share_ok(&self, session: SessionId) -> Option<bool> {
        self.session_peer(session).and_then(|peer| self.peers.get(peer)?.share_ok)
    }

    /// A hello with this digest is compared, now if that costs little. Returns how many shares that takes.
    pub(super) fn claim(&mut self, peer: u32, digest: Hash) -> usize {
        self.drop_claim(peer);
        let slice = self.limits.slice;
        let Some(owner) = self.peers.get_mut(peer) else { return 0 };
        let shares = if owner.digest.is_none() { owner.shares } else { 0 };
        if owner.digest.is_none() && owner.pass.is_none() && owner.files.len() <= slice {
            let shares = owner.files.iter().filter_map(|(file, entry)| {
                Some((self.files.get(*file)?.id, &*entry.share.as_ref()?.name))
            });
            owner.digest = Some(share_digest(shares));
        }
        if let Some(known) = owner.digest {
            self.judge(peer, known == digest);
        } else {
            self.last_claim += 1;
            let number = self.last_claim;
            (owner.claim, owner.share_ok) = (Some(Claim { digest, number }), None);
            self.claims.insert(number, peer);
        }
        shares
    }

    /// The digest is compared, or nothing waits for that any more.
    pub(super) fn drop_claim(&mut self, peer: u32) {
        if let Some(claim) = self.peers.get_mut(peer).and_then(|owner| owner.claim.take()) {
            self.claims.remove(&claim.number);
        }
    }

    /// What waits for its digest to be compared will not wait: that counts as a no.
    pub(super) fn judge_unheard(&mut self, peer: u32) {
        if self.peers.get(peer).is_some_and(|owner| owner.claim.is_some()) {
            self.judge(peer, false);
        }
    }

    /// What a peer shares has changed.
    pub(super) fn forget_digest(&mut self, peer: u32) {
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.digest = None;
        }
        if self.digesting.as_ref().is_some_and(|digesting| digesting.peer == peer) {
            self.digesting = None;
        }
    }

    /// Makes digests that are waited for, first come first served, and looks at most at so many entries; returns
    /// at how many.
    pub(super) fn compare_some(&mut self, most: usize) -> usize {
        let mut looked = 0;
        while looked < most
            && let Some(peer) = self.claims.first_key_value().map(|(_, peer)| *peer)
        {
            let Some(owner) = self.peers.get(peer) else { break };
            let Some(claim) = owner.claim else { break };
            if let Some(known) = owner.digest {
                self.judge(peer, known == claim.digest);
                looked += 1;
            } else if owner.pass.is_some() {
                // What its shares are is known when its entries have been gone through.
                looked += self.work_on(peer, most - looked).max(1);
            } else {
                looked += self.digest_some(peer, most - looked).max(1);
            }
        }
        looked
    }

    /// Goes on with a peer's digest. Returns how many entries were looked at.
    fn digest_some(&mut self, peer: u32, most: usize) -> usize {
        let mut digesting = match self.digesting.take() {
            Some(digesting) if digesting.peer == peer => digesting,
            _ => Digesting {
                peer,
                after: None,
                in_order: false,
                shares: BTreeMap::new(),
                digest: ShareDigest::default(),
            },
        };
        let Some(owner) = self.peers.get_mut(peer) else { return 0 };
        if !digesting.in_order {
            let files = owner.files_behind(digesting.after, most);
            for file in &files {
                let is_share = owner.files.get(file).is_some_and(|entry| entry.share.is_some());
                if let Some(row) = self.files.get(*file).filter(|_| is_share) {
                    digesting.shares.insert(row.id, *file);
                }
            }
            digesting.after = files.last().copied();
            digesting.in_order = files.len() < most;
            self.digesting = Some(digesting);
            return files.len();
        }
        let mut looked = 0;
        while looked < most {
            let Some((id, file)) = digesting.shares.pop_first() else {
                owner.digest = Some(digesting.digest.finish());
                return looked;
            };
            let share = owner.files.get(&file).and_then(|entry| entry.share.as_ref());
            if let Some(share) = share {
                digesting.digest.add(id, &share.name);
            }
            looked += 1;
        }
        self.digesting = Some(digesting);
        looked
    }

    /// A digest is compared: the peer is here, and its shares count as whole if it was right.
    pub(super) fn judge(&mut self, peer: u32, share_ok: bool) {
        self.drop_claim(peer);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        owner.share_ok = Some(share_ok);
        // One that says the same again changes nothing, and is told to nobody.
        let changes = !(owner.is_here() && owner.settled && share_ok);
        if let Some(session) = owner.session() {
            owner.presence = Presence::Here(session);
        }
        if changes {
            owner.rules.judge(share_ok);
            owner.settled = share_ok;
            self.begin_pass(peer);
        }
        self.enroll(peer);
    }
}

impl Peer {
    /// Entries that have still to be gone through at most, now or when its digest is compared.
    pub(super) fn to_go_through(&self) -> usize {
        if self.pass.is_some() || self.claim.is_some() { self.files.len() } else { 0 }
    }
}
