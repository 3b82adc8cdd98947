//! Coming, going and being forgotten.

use std::net::{IpAddr, SocketAddr};

use common::id::{Hash, PeerId};
use common::net::AddrGroup;

use super::peer::{Endpoint, Peer, Presence};
use super::quota::minute;
use super::reach::named_outside;
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
    /// Whether the shares are known already; `None` until that is compared (see [`Index::share_ok`]).
    pub share_ok: Option<bool>,
    /// Entries that it takes to find out, and to make them count.
    pub touched: usize,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Names the connection from now on.
    pub session: SessionId,
    /// Whether the shares are known already; `None` until that is compared (see [`Index::share_ok`]).
    pub share_ok: Option<bool>,
    /// Entries that it takes to find out, and to make them count: the work it is.
    pub touched: usize,
    /// The connection of the same peer that this one replaces; it must be closed.
    pub replaced: Option<SessionId>,
}

impl Index {
    /// A peer connects. What it had shared counts again at once if the digest matches.
    ///
    /// # Errors
    /// [`Refusal`] for who is banned, not invited where that is needed, or just being forgotten, and for a new key when the tracker knows too
    /// many peers, in all or of that address group.
    pub fn arrive(&mut self, now_ms: u64, arrival: Arrival) -> Result<Arrived, Refusal> {
        let group = AddrGroup::of(arrival.observed);
        self.check_ban(arrival.peer, group)?;
        self.check_invited(&arrival.peer)?;
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
        self.drop_claim(peer);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        owner.last_seen = now_ms / 1000;
        owner.listing = None;
        if owner.shares > 0 {
            self.changes.push(Change::Peer(owner.id, owner.record()));
        }
        if matches!(owner.presence, Presence::Left(_)) {
            self.retire(peer);
        } else {
            let until = now_ms.saturating_add(self.limits.grace_ms);
            owner.presence = Presence::Grace(until);
            owner.rules.tell();
            owner.settled = false;
            self.grace.add(until, peer);
            self.enroll(peer);
            self.begin_pass(peer);
        }
        self.work_on(peer, self.limits.slice);
    }

    /// The peer leaves the network on purpose: it is no source any more, at once. Its registrations stay
    /// remembered, so that it can come back without naming them again. Returns how many entries that touches.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn leave(&mut self, session: SessionId) -> Result<usize, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        self.drop_claim(peer);
        let owner = self.peers.get_mut(peer).ok_or_else(replaced)?;
        if matches!(owner.presence, Presence::Left(_)) {
            return Ok(0);
        }
        let touched = owner.files.len();
        owner.presence = Presence::Left(session);
        owner.listing = None;
        self.enroll(peer);
        self.forget_soft_state(peer);
        self.work_on(peer, self.limits.slice);
        Ok(touched)
    }

    /// Who asks, if its session is current; a peer that had left is back with its first registration.
    pub(super) fn come_back(&mut self, session: SessionId) -> Result<u32, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        self.judge_unheard(peer);
        let owner = self.peers.get_mut(peer).ok_or_else(replaced)?;
        owner.presence = Presence::Here(session);
        self.enroll(peer);
        Ok(peer)
    }

    /// Removes lost peers whose grace is over, and begins to forget those away for too long. Looks at most at so many
    /// peers; returns at how many.
    pub(super) fn expire(&mut self, now_ms: u64, most: usize) -> usize {
        let mut looked = 0;
        while looked < most
            && let Some(peer) = self.grace.take_due(now_ms)
        {
            looked += 1;
            let presence = self.peers.get(peer).map(|owner| owner.presence);
            if matches!(presence, Some(Presence::Grace(until)) if until <= now_ms) {
                self.retire(peer);
            }
        }
        while looked < most
            && let Some(peer) = self.forget.take_due(now_ms)
        {
            looked += 1;
            self.forget_if_due(now_ms, peer);
        }
        looked
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
        self.usage.add_peer(Some(group), (PEER_BYTES, 0));
        self.usage.note_fresh_key(group, minute(now_ms));
        peer
    }

    /// A peer says hello. What is so already is left alone: one with a hundred thousand shares costs no more than any
    /// other when it says the same again.
    fn settle(&mut self, peer: u32, session: SessionId, arrival: Arrival, now_ms: u64) -> Settled {
        let group_before = self.peers.get(peer).and_then(|owner| owner.group);
        self.move_to(peer, AddrGroup::of(arrival.observed));
        let Some(owner) = self.peers.get_mut(peer) else {
            return Settled { share_ok: None, touched: 0 };
        };
        let was_here = owner.is_here();
        if !was_here && !matches!(owner.presence, Presence::Grace(_)) {
            owner.since = now_ms / 1000;
        }
        // Where it was seen beside there counts until it is shown anew: most come back from where they were.
        let other = owner.endpoint.other.filter(|_| owner.endpoint.observed == arrival.observed);
        let (observed, port, local) = (arrival.observed, arrival.port, arrival.local);
        // So does where it was let in, as long as it names that.
        let outside = owner.endpoint.outside.filter(|outside| {
            owner.endpoint.observed == observed && named_outside(&local, observed) == Some(*outside)
        });
        let endpoint = Endpoint { observed, other, port, local, outside };
        if let Some(session) = self.sessions.get_mut(&session) {
            session.other = other;
        }
        let looks_new = owner.endpoint != endpoint || owner.nick != arrival.nick;
        owner.presence = if was_here { Presence::Here(session) } else { Presence::Coming(session) };
        owner.endpoint = endpoint;
        owner.last_seen = now_ms / 1000;
        owner.listing = None;
        let changed = owner.nick != arrival.nick || owner.group != group_before;
        owner.nick = arrival.nick;
        if changed && owner.shares > 0 {
            self.changes.push(Change::Peer(owner.id, owner.record()));
        }
        if was_here && looks_new {
            owner.rules.tell();
        }
        self.enroll(peer);
        let digested = self.claim(peer, arrival.digest);
        if was_here && looks_new {
            self.begin_pass(peer);
        }
        let touched = self.peers.get(peer).map_or(0, Peer::to_go_through);
        self.work_on(peer, self.limits.slice);
        let share_ok = self.peers.get(peer).and_then(|owner| owner.share_ok);
        Settled { share_ok, touched: touched.saturating_add(digested) }
    }
}
