//! Who is to call whom at the same moment, where neither reaches the other (RFC 5128, 3.4).

use std::net::{IpAddr, SocketAddr};

use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use common::wire::tracker::{Reply, Source};

use super::asking::Wish;
use super::locations::is_private;
use super::peer::Endpoint;
use super::reach::Asked;
use super::session::Session;
use super::{Index, SessionId};

/// From the word of the tracker until both call: twice the way to most peers, so that the nearer one can wait for the
/// other. Who is farther away calls at once, and its router keeps the way open for longer than that.
const WAIT_MS: u16 = 100;

impl Index {
    /// The connection of a session comes from `port`, where its peer listens too, and it understands being asked to
    /// call; `None` if it does not.
    pub fn may_punch(&mut self, session: SessionId, port: Option<u16>) {
        if let Some(session) = self.sessions.get_mut(&session) {
            // At another port nobody has looked.
            (session.punches_from, session.reached) = (port, None);
        }
    }

    /// A peer and a source of which it was told, for the same reasons as in [`ask_to_dial`](Self::ask_to_dial), are to
    /// call each other, if that may be of use. Says which session is to be woken beside the one that asks. Both get no
    /// other addresses than those from which the other's own connections come.
    pub fn ask_to_punch(
        &mut self,
        now_ms: u64,
        session: SessionId,
        id: ContentId,
        source: PeerId,
    ) -> Option<SessionId> {
        let Asked { who, group, target, .. } = self.may_ask(session, &id, &source)?;
        // Each has somewhere to call.
        self.openings(session, target)?;
        self.openings(target, session)?;
        let of_source = AddrGroup::of(self.sessions.get(&target)?.observed);
        let both = [(target, (who, group)), (session, (source, of_source))];
        for (at, who) in both {
            if !self.sessions.get_mut(&at)?.calls.has_room_for(now_ms, who, Wish::Punch) {
                return None;
            }
        }
        for (at, who) in both {
            self.sessions.get_mut(&at)?.calls.add(now_ms, id, who, Wish::Punch);
        }
        Some(target)
    }

    /// The word to one session that it and `who` are to call each other; `None` if that makes no sense any more.
    pub(super) fn punch(&self, to: SessionId, id: ContentId, who: PeerId) -> Option<Reply> {
        let other = self.asker(who)?;
        let addrs = self.openings(to, other.session()?)?;
        let who = Source { peer: who, nick: other.nick.clone(), addrs, have: 0, set: None };
        Some(Reply::Punch { id, who, wait_ms: WAIT_MS })
    }

    /// Where `of` lets in whom it calls, for `to`; `None` if nowhere.
    fn openings(&self, to: SessionId, of: SessionId) -> Option<Vec<SocketAddr>> {
        let at = |session: SessionId| {
            let session = self.sessions.get(&session)?;
            Some((session, &self.peers.get(session.peer)?.endpoint))
        };
        Some(openings(at(to)?, at(of)?)).filter(|addrs| !addrs.is_empty())
    }
}

/// Where the second of two lets in whom it calls, if the first can call it there: at the address that its connection to
/// the tracker has outside, and over IPv6, where routers filter and do not translate, at its own. None if one of them can
/// be reached anyway, or both are behind one router.
fn openings(to: (&Session, &Endpoint), of: (&Session, &Endpoint)) -> Vec<SocketAddr> {
    let (Some(_), Some(port)) = (to.0.punches_from, of.0.punches_from) else { return Vec::new() };
    let (mine, theirs) = (to.0.observed, of.0.observed);
    // Who is on the tracker's machine is seen where others find nobody.
    let apart = mine.is_loopback() != theirs.is_loopback();
    if apart || is_open(to) || is_open(of) {
        return Vec::new();
    }
    let is_v6 = |(session, _): (&Session, &Endpoint)| {
        [Some(session.observed), session.other].into_iter().flatten().any(|ip| ip.is_ipv6())
    };
    let seen = (mine.is_ipv4() == theirs.is_ipv4() || is_v6(to)).then_some((theirs, port));
    // Its IPv4 address alone may be seen beside: which port it has outside is not known there.
    let beside = of.0.other.filter(IpAddr::is_ipv6).filter(|_| is_v6(to));
    let beside = beside.map(|ip| (ip, of.1.port));
    // Behind one router, or in one network, they need no call; there may be one over IPv6 all the same, where many homes
    // share an address of IPv4.
    let here = [Some(mine), to.0.other].map(|ip| ip.map(AddrGroup::of));
    let usable = |(ip, _): &(IpAddr, u16)| {
        (ip.is_ipv4() == mine.is_ipv4() || ip.is_ipv6())
            && !here.contains(&Some(AddrGroup::of(*ip)))
    };
    [seen, beside].into_iter().flatten().filter(usable).map(SocketAddr::from).collect()
}

/// Whether a peer is certainly reached by all: it was, and has the address itself at which it is seen. A router in between
/// may have let in the tracker alone, because the peer had called that. Who names the address of its router, which has
/// mapped a port, has private ones beside it; so have some that need no call, and a call too many costs nothing.
fn is_open((session, endpoint): (&Session, &Endpoint)) -> bool {
    let mut local = endpoint.local.iter().map(|addr| addr.ip().to_canonical());
    let own = local.clone().any(|ip| ip == session.observed);
    let routed = session.observed.is_ipv4() && local.any(|ip| ip.is_ipv4() && is_private(ip));
    session.reached == Some(true) && own && (!routed || is_private(session.observed))
}
