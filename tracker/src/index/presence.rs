//! Coming, going and being forgotten.

use std::net::{IpAddr, SocketAddr};

use common::id::{Hash, PeerId};
use common::net::AddrGroup;
use common::wire::tracker::share_digest;

use super::peer::{Endpoint, Have, Peer, Presence};
use super::quota::minute;
use super::session::Session;
use super::usage::PEER_BYTES;
use super::{Index, Refusal, SessionId, replaced};
use crate::record::{Change, PeerRecord};

/// A peer that has been admitted.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its key, proved by the channel.
    pub peer: PeerId,
    /// What it calls itself.
    pub nick: String,
    /// Its address as the tracker sees it.
    pub observed: IpAddr,
    /// The tracker's address as the peer sees it.
    pub via: IpAddr,
    /// The port it listens on; 0 if it does not.
    pub port: u16,
    /// Its addresses in its own network.
    pub local: Vec<SocketAddr>,
    /// Digest of its shares.
    pub digest: Hash,
}

/// What became of a hello on a connection that had said one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Whether the shares are known already.
    pub share_ok: bool,
    /// Entries that it took to find out, and to make them count.
    pub touched: usize,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Names the connection from now on.
    pub session: SessionId,
    /// Whether the shares are known already.
    pub share_ok: bool,
    /// Entries that it took to find out, and to make them count: the work it was.
    pub touched: usize,
    /// The connection of the same peer that this one replaces; it must be closed.
    pub replaced: Option<SessionId>,
}

impl Index {
    /// A peer connects. What it had shared counts again at once if the digest matches.
    ///
    /// # Errors
    /// [`Refusal`] for who is banned or just being forgotten, and for a new key when the tracker knows too
    /// many peers, in all or of that address group.
    pub fn arrive(&mut self, now_ms: u64, arrival: Arrival) -> Result<Arrived, Refusal> {
        let group = AddrGroup::of(arrival.observed);
        self.check_ban(arrival.peer, group)?;
        self.check_forgetting(arrival.peer)?;
        if !self.by_key.contains_key(&arrival.peer) {
            self.check_new_key(now_ms, group)?;
        }
        let peer = self.peer_or_new(&arrival, now_ms);
        let replaced = self.peers.get(peer).and_then(Peer::session);
        if let Some(old) = replaced {
            self.end_watches(old);
            self.sessions.remove(&old);
        }
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.sessions.insert(session, Session::new(peer, arrival.via, arrival.observed));
        let Settled { share_ok, touched } = self.settle(peer, session, arrival, now_ms);
        Ok(Arrived { session, share_ok, touched, replaced })
    }

    /// A connected peer says hello again: to come back after leaving, or with another address or nick. One that
    /// says the same again changes nothing, and is told to nobody.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn arrive_again(
        &mut self,
        now_ms: u64,
        session: SessionId,
        arrival: Arrival,
    ) -> Result<Settled, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        Ok(self.settle(peer, session, arrival, now_ms))
    }

    /// The connection is gone. The peer is kept for a while, but not handed out.
    pub fn depart(&mut self, now_ms: u64, session: SessionId) {
        self.end_watches(session);
        let Some(Session { peer, .. }) = self.sessions.remove(&session) else { return };
        let Some(owner) = self.peers.get_mut(peer) else { return };
        owner.last_seen = now_ms / 1000;
        owner.listing = None;
        if owner.shares > 0 {
            self.changes.push(Change::Peer(owner.id, owner.record()));
        }
        if owner.is_here() {
            let until = now_ms.saturating_add(self.limits.grace_ms);
            owner.presence = Presence::Grace(until);
            self.grace.add(until, peer);
            self.withdraw(peer);
        } else {
            self.retire(peer);
        }
    }

    /// The peer leaves the network on purpose: it is no source any more, at once. Its registrations stay
    /// remembered, so that it can come back without naming them again. Returns how many entries were touched.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn leave(&mut self, session: SessionId) -> Result<usize, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        if matches!(self.peers.get(peer).map(|owner| owner.presence), Some(Presence::Left(_))) {
            return Ok(0);
        }
        let touched = self.peers.get(peer).map_or(0, |owner| owner.files.len());
        self.withdraw(peer);
        self.forget_soft_state(peer);
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.presence = Presence::Left(session);
            owner.listing = None;
        }
        Ok(touched)
    }

    /// Who asks, if its session is current; a peer that had left is back with its first registration.
    pub(super) fn come_back(&mut self, session: SessionId) -> Result<u32, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        let owner = self.peers.get_mut(peer).ok_or_else(replaced)?;
        owner.presence = Presence::Here(session);
        Ok(peer)
    }

    /// Removes lost peers whose grace is over, and goes on forgetting those away for too long.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some(due) = self.grace.take_due(now_ms) {
            for peer in due {
                let presence = self.peers.get(peer).map(|owner| owner.presence);
                if matches!(presence, Some(Presence::Grace(until)) if until <= now_ms) {
                    self.retire(peer);
                }
            }
        }
        self.expire_absent(now_ms);
    }

    fn peer_or_new(&mut self, arrival: &Arrival, now_ms: u64) -> u32 {
        if let Some(peer) = self.by_key.get(&arrival.peer) {
            return *peer;
        }
        let group = AddrGroup::of(arrival.observed);
        let (nick, last_seen) = (arrival.nick.clone(), now_ms / 1000);
        let record = PeerRecord { nick, last_seen, group: Some(group) };
        let peer = self.peers.insert(Peer::new(arrival.peer, record));
        self.by_key.insert(arrival.peer, peer);
        self.usage.add_peer(Some(group), PEER_BYTES);
        self.usage.note_fresh_key(group, minute(now_ms));
        peer
    }

    /// Makes a peer present with what is known of it. What is so already is left alone: a peer with a hundred
    /// thousand shares costs no more than any other when it says the same again.
    fn settle(&mut self, peer: u32, session: SessionId, arrival: Arrival, now_ms: u64) -> Settled {
        let (digest, mut touched) = self.known_digest(peer);
        let share_ok = digest == Some(arrival.digest);
        let group_before = self.peers.get(peer).and_then(|owner| owner.group);
        self.move_to(peer, AddrGroup::of(arrival.observed));
        let Some(owner) = self.peers.get_mut(peer) else { return Settled { share_ok, touched } };
        let was_here = owner.is_here();
        let endpoint =
            Endpoint { observed: arrival.observed, port: arrival.port, local: arrival.local };
        let looks_new = owner.endpoint != endpoint || owner.nick != arrival.nick;
        owner.presence = Presence::Here(session);
        owner.endpoint = endpoint;
        owner.last_seen = now_ms / 1000;
        owner.listing = None;
        let changed = owner.nick != arrival.nick || owner.group != group_before;
        owner.nick = arrival.nick;
        if changed && owner.shares > 0 {
            self.changes.push(Change::Peer(owner.id, owner.record()));
        }
        if was_here && owner.settled && share_ok && !looks_new {
            return Settled { share_ok, touched };
        }
        let entries = self.entries_of(peer);
        touched = touched.saturating_add(entries.len());
        for (file, shared) in entries {
            let have = if share_ok { Have::All } else { Have::Nothing };
            if shared && !self.has(peer, file, &have) {
                self.set_have(peer, file, have);
            } else if !looks_new || !self.tell_anew(peer, file) {
                self.enter_swarm(peer, file);
            }
        }
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.settled = share_ok;
        }
        Settled { share_ok, touched }
    }

    fn has(&self, peer: u32, file: u32, have: &Have) -> bool {
        let entry = self.peers.get(peer).and_then(|owner| owner.files.get(&file));
        entry.is_some_and(|entry| entry.have.is(have))
    }

    /// The digest of a peer's shares, and how many shares it took to make it.
    fn known_digest(&mut self, peer: u32) -> (Option<Hash>, usize) {
        let Some(owner) = self.peers.get_mut(peer) else { return (None, 0) };
        if owner.digest.is_some() {
            return (owner.digest, 0);
        }
        let shares = owner.files.iter().filter_map(|(file, entry)| {
            Some((self.files.get(*file)?.id, &*entry.share.as_ref()?.name))
        });
        owner.digest = Some(share_digest(shares));
        (owner.digest, owner.shares)
    }

    /// Takes a peer out of all its swarms.
    pub(super) fn withdraw(&mut self, peer: u32) {
        for (file, _) in self.entries_of(peer) {
            self.leave_swarm(peer, file);
        }
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.settled = false;
        }
    }

    /// Handles of a peer's contents, and whether each is registered.
    pub(super) fn entries_of(&self, peer: u32) -> Vec<(u32, bool)> {
        let Some(owner) = self.peers.get(peer) else { return Vec::new() };
        owner.files.iter().map(|(file, entry)| (*file, entry.share.is_some())).collect()
    }
}
