//! Where else a peer is, and who is asked to dial whom, or to meet at the relay.

use std::net::{IpAddr, SocketAddr};

use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use common::relay::Token;
use common::wire::tracker::{Reply, Source};

use super::asking::Wish;
use super::locations::addresses;
use super::peer::Peer;
use super::{Index, SessionId};

impl Index {
    /// A connected peer has shown that it is at an address of the other of IPv4 and IPv6 too. Returns how many entries
    /// that takes; `None` if it does not count: the peer is not connected, was seen in the same family, or may not come
    /// from there.
    pub fn seen_also(&mut self, key: PeerId, ip: IpAddr) -> Option<usize> {
        self.check_ban(key, AddrGroup::of(ip)).ok()?;
        let peer = *self.by_key.get(&key)?;
        let owner = self.peers.get_mut(peer)?;
        let session = self.sessions.get_mut(&owner.session()?)?;
        if owner.endpoint.observed.is_ipv4() == ip.is_ipv4() {
            return None;
        }
        session.other = Some(ip);
        let news = owner.endpoint.other.replace(ip) != Some(ip);
        Some(if news { self.tell_of(peer) } else { 0 })
    }

    /// Whether a peer is connected.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        let peer = self.by_key.get(peer).and_then(|peer| self.peers.get(*peer));
        peer.is_some_and(|peer| peer.session().is_some())
    }

    /// What a peer calls itself, if it is known.
    pub fn nick_of(&self, peer: &PeerId) -> Option<&str> {
        let peer = self.by_key.get(peer).and_then(|peer| self.peers.get(*peer))?;
        Some(&peer.nick)
    }

    /// A peer has other addresses in its own network. Returns how many entries that takes.
    pub fn has_moved(&mut self, session: SessionId, local: Vec<SocketAddr>) -> usize {
        let Some(peer) = self.session_peer(session) else { return 0 };
        let Some(owner) = self.peers.get_mut(peer) else { return 0 };
        let before = named_outside(&owner.endpoint.local, owner.endpoint.observed);
        let news = owner.endpoint.local != local;
        owner.endpoint.local = local;
        let named = named_outside(&owner.endpoint.local, owner.endpoint.observed);
        owner.endpoint.outside = owner.endpoint.outside.filter(|port| named == Some(*port));
        if let Some(session) = self.sessions.get_mut(&session).filter(|_| named != before) {
            // There nobody has looked.
            session.reached = None;
        }
        if news { self.tell_of(peer) } else { 0 }
    }

    /// Whether a peer was reached where it is seen, at `port`: if it is not the one where it listens but one that it named
    /// there, that is where others are sent from now on. Returns how many entries that takes.
    pub fn was_reached(&mut self, session: SessionId, port: u16, reached: bool) -> usize {
        let Some(session) = self.sessions.get_mut(&session) else { return 0 };
        session.reached = Some(reached);
        let peer = session.peer;
        let Some(owner) = self.peers.get_mut(peer) else { return 0 };
        let endpoint = &mut owner.endpoint;
        let named = named_outside(&endpoint.local, endpoint.observed);
        let is_other = port != endpoint.port && named == Some(port);
        let outside = (reached && is_other).then_some(port);
        let news = std::mem::replace(&mut endpoint.outside, outside) != outside;
        if news { self.tell_of(peer) } else { 0 }
    }

    /// Those who know a peer as a source are to be told where it is.
    fn tell_of(&mut self, peer: u32) -> usize {
        let Some(owner) = self.peers.get_mut(peer).filter(|owner| owner.is_here()) else {
            return 0;
        };
        owner.rules.tell();
        self.begin_pass(peer);
        let touched = self.peers.get(peer).map_or(0, Peer::to_go_through);
        self.work_on(peer, self.limits.slice);
        touched
    }

    /// A peer cannot reach `source`, of which it was told for a content, and asks to be dialled by it. Says which session
    /// is to be woken for that; `None` if there is nothing to ask: only a source is asked, by somebody who watches the
    /// sources of the content or has just asked for them. It gets no other address than those where the tracker sees who asks, and to
    /// neighbours their local ones: nobody can have others dial a third party.
    pub fn ask_to_dial(
        &mut self,
        now_ms: u64,
        session: SessionId,
        id: ContentId,
        source: PeerId,
    ) -> Option<SessionId> {
        let Asked { who, group, listens, target } = self.may_ask(session, &id, &source)?;
        let asked = self.sessions.get_mut(&target)?;
        (listens && asked.asking.add(now_ms, id, (who, group), Wish::Dial)).then_some(target)
    }

    /// Whether a peer may be connected to that source by a relay, for the same reasons.
    pub fn may_relay(&self, session: SessionId, id: ContentId, source: PeerId) -> bool {
        self.may_ask(session, &id, &source).is_some()
    }

    /// The same, of which the source is told with its token. Says which session is to be woken, and the name of the
    /// source.
    pub fn ask_to_relay(
        &mut self,
        now_ms: u64,
        session: SessionId,
        id: ContentId,
        (source, token): (PeerId, Token),
    ) -> Option<(SessionId, String)> {
        let Asked { who, group, target, .. } = self.may_ask(session, &id, &source)?;
        let asked = self.sessions.get_mut(&target)?;
        let added = asked.asking.add(now_ms, id, (who, group), Wish::Relay(token));
        let owner = self.by_key.get(&source).and_then(|owner| self.peers.get(*owner));
        let nick = owner.map_or_else(String::new, |owner| owner.nick.clone());
        added.then_some((target, nick))
    }

    pub(super) fn may_ask(
        &self,
        session: SessionId,
        id: &ContentId,
        source: &PeerId,
    ) -> Option<Asked> {
        let viewer = self.sessions.get(&session)?;
        let asks = self.peers.get(viewer.peer).filter(|asks| asks.is_here())?;
        let file = self.row_of(id)?;
        let (owner, _) = self.member(*self.by_key.get(source)?, file)?;
        let may = asks.id != *source && viewer.seeks(id);
        let target = owner.session().filter(|_| may)?;
        let (listens, group) = (asks.endpoint.port != 0, AddrGroup::of(viewer.observed));
        Some(Asked { who: asks.id, group, listens, target })
    }

    /// The next who asks the peer of a session for something.
    pub(super) fn next_asking(&mut self, session: SessionId) -> Option<Reply> {
        loop {
            let asked = self.sessions.get_mut(&session)?;
            // Both calls begin with what is said first.
            let (id, who, wish) = asked.calls.next().or_else(|| asked.asking.next())?;
            let word = match wish {
                Wish::Dial => self.dial(session, id, who),
                Wish::Relay(token) => self.asker(who).map(|asks| {
                    let nick = asks.nick.clone();
                    Reply::Relay { id, peer: (who, nick), token, dials: false }
                }),
                Wish::Punch => self.punch(session, id, who),
            };
            // Who asked may be gone meanwhile.
            if word.is_some() {
                return word;
            }
        }
    }

    fn dial(&self, session: SessionId, id: ContentId, who: PeerId) -> Option<Reply> {
        let (viewer, asks) = (self.viewer(session)?, self.asker(who)?);
        let addrs = addresses(viewer, &asks.endpoint);
        let who = Source { peer: who, nick: asks.nick.clone(), addrs, have: 0, set: None };
        Some(Reply::Dial { id, who })
    }

    /// Who asked, if it is still there.
    pub(super) fn asker(&self, who: PeerId) -> Option<&Peer> {
        self.peers.get(*self.by_key.get(&who)?).filter(|asks| asks.is_here())
    }
}

/// The port at which a peer says that its router lets others in: the one that it names at the very address of IPv4 where
/// it is seen, first. Any other address may be a third party's. Over IPv6 routers do not translate.
pub fn named_outside(local: &[SocketAddr], observed: IpAddr) -> Option<u16> {
    let is_there = |addr: &&SocketAddr| addr.ip().to_canonical() == observed && addr.port() != 0;
    local.iter().find(is_there).filter(|_| observed.is_ipv4()).map(SocketAddr::port)
}

/// A question that may be asked.
pub(super) struct Asked {
    pub(super) who: PeerId,
    pub(super) group: AddrGroup,
    /// Whether who asks can be dialled at all.
    listens: bool,
    /// The session of whom is asked.
    pub(super) target: SessionId,
}
