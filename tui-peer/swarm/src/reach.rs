//! Peers that cannot be reached as usual. They dial, if we ask; we dial, if they do. Connections through the tracker are
//! opened where nothing else helps, asked for what nobody else has, and given up for any direct one.

use std::net::SocketAddr;
use std::time::Duration;

use common::id::{ContentId, PeerId};

use super::conn::Conn;
use super::content::Content;
use super::event::{ConnId, Output, Route};
use super::link::Link;
use super::node::{Cx, Node};
use super::time::Time;

/// Dials at a time that others asked for: a crowd that does not answer must not keep us from dialling ourselves.
const MAX_ASKED: usize = 8;

/// Who has given nothing for so long does not count as a source: another is looked for.
const GIVES: Duration = Duration::from_secs(10);
/// Bytes a second from sources that are reached directly, at which the tracker is spared: half of what a relay brings.
const ENOUGH: f64 = 1e6;

impl Node {
    fn greeted_conn(&self, peer: &PeerId) -> Option<&Conn> {
        self.peers.greeted.get(peer).and_then(|at| self.conns.get(at))
    }

    /// Whether a peer is connected, and not through the tracker only, nor over a path that seems broken: in these cases a
    /// better way is tried from time to time.
    pub(super) fn is_direct(&self, peer: &PeerId, now: Time) -> bool {
        let conn = self.greeted_conn(peer).filter(|conn| conn.route == Route::Direct);
        conn.is_some_and(|conn| !conn.is_silent(now, self.limit_delay()))
    }

    /// Whether a peer is connected, and its path seems broken.
    pub fn is_silent(&self, peer: &PeerId, now: Time) -> bool {
        self.greeted_conn(peer).is_some_and(|conn| conn.is_silent(now, self.limit_delay()))
    }

    /// Whether nobody could want another way to a peer: who asks us for one has waited, and says so by that.
    fn is_well_reached(&self, peer: &PeerId, now: Time) -> bool {
        let stands = |conn: &Conn| !conn.is_silent_to_others(now);
        self.is_direct(peer, now) && self.greeted_conn(peer).is_some_and(stands)
    }

    /// Whether a content lacks something that nobody gives who is connected. A pass over its chunks.
    pub fn is_short_of_sources(&self, id: &ContentId, now: Time) -> bool {
        let Some(content) = self.contents.get(id).filter(|content| content.is_active()) else {
            return false;
        };
        // Who is new has had no chance to give anything.
        let gives = |link: &&Link| {
            let since = link.delivered.unwrap_or(link.since).max(link.since);
            link.is_open() && now.since(since) < GIVES
        };
        let ours = self.limit_delay();
        let hears = |at: &ConnId| self.conns.get(at).is_some_and(|conn| !conn.is_silent(now, ours));
        let heard = content.links.iter().filter(|(at, _)| hears(at)).map(|(_, link)| link);
        let givers: Vec<&Link> = heard.filter(gives).collect();
        let Some(body) = &content.body else { return givers.is_empty() };
        let missing = |chunk: &u32| body.wanted.contains(*chunk) && !body.have.contains(*chunk);
        let given = |chunk: u32| givers.iter().any(|link| link.has.contains(chunk));
        (0..body.layout.chunks()).filter(missing).any(|chunk| !given(chunk))
    }

    /// Dials a peer that asks for it, if it may want something of ours and there is room. Such dials have places of their
    /// own, few, and take nothing that our own dials wait for.
    pub(super) fn dial_asked(
        &mut self,
        cx: &mut Cx<'_>,
        id: ContentId,
        peer: PeerId,
        addrs: &[SocketAddr],
    ) {
        let known = peer != self.me && self.contents.contains_key(&id);
        let there = self.is_well_reached(&peer, cx.now)
            || self.peers.reached.contains_key(&peer)
            || self.dialer.is_dialing(&peer);
        let dialing = self.dialer.dialing() + self.peers.reached.len();
        let room = self.places() < self.cfg.max_conns
            && dialing < self.cfg.max_dialing
            && self.dialer.asked() < MAX_ASKED
            && !self.dialer.rate.short;
        // That it could not be reached before says nothing: it may listen now where it is reached.
        if !known || there || !room || self.dialer.is_banned(&peer, cx.now) {
            return;
        }
        let (rate, near) = (&mut self.dialer.rate, &self.near);
        rate.refill(cx.now);
        let addrs = rate.take(peer, addrs, near);
        // What was held back here is not what our own dials wait for.
        rate.short = false;
        if !addrs.is_empty() {
            self.dialer.started_for(peer);
            cx.out.push(Output::Dial { peer, addrs });
        }
    }

    /// Calls a peer that calls us at the same time, under the conditions of a dial that it asks for. What that takes of
    /// the rate of dials comes back with time alone: nothing tells what became of it.
    pub(super) fn punch_asked(
        &mut self,
        cx: &mut Cx<'_>,
        id: ContentId,
        peer: PeerId,
        (addrs, wait): (&[SocketAddr], Duration),
    ) {
        let coming = self.peers.reached.get(&peer).and_then(|at| self.conns.get(at));
        let there = self.is_well_reached(&peer, cx.now)
            || coming.is_some_and(|conn| conn.route == Route::Direct);
        let may = peer != self.me
            && self.contents.contains_key(&id)
            && self.places() < self.cfg.max_conns
            && !self.dialer.is_banned(&peer, cx.now);
        if !may || there {
            return;
        }
        let (rate, near) = (&mut self.dialer.rate, &self.near);
        rate.refill(cx.now);
        let addrs = rate.spend(addrs, near);
        if !addrs.is_empty() {
            cx.out.push(Output::Punch { peer, addrs, wait });
        }
    }

    /// Whether a connection may be asked to go through the tracker with a peer, for a content: what is wanted there.
    pub fn may_meet(&self, id: &ContentId, peer: &PeerId, now: Time) -> bool {
        let dialing = self.dialer.dialing() + self.peers.reached.len();
        *peer != self.me
            && self.contents.contains_key(id)
            && self.greeted_conn(peer).is_none_or(|conn| {
                // What was here is of no use any more.
                conn.is_silent(now, self.limit_delay()) || conn.is_silent_to_others(now)
            })
            && self.places() < self.cfg.max_conns
            && dialing < self.cfg.max_dialing
    }

    /// Those who are asked instead of a connection through the tracker, for what they have: sources that are reached
    /// directly, if together they bring as much as is worth it. None for any other connection.
    pub(super) fn direct_instead(&self, now: Time, at: ConnId, content: &Content) -> Vec<ConnId> {
        if self.conns.get(&at).is_none_or(|conn| conn.route == Route::Direct) {
            return Vec::new();
        }
        let brings = |at: &ConnId, link: &Link| {
            let conn = self.conns.get(at).filter(|conn| conn.route == Route::Direct)?;
            (conn.snubbed_until.is_none() && link.is_open()).then(|| link.down.get(now))
        };
        let direct = content.links.iter().filter_map(|(at, link)| Some((*at, brings(at, link)?)));
        let (direct, rates): (Vec<ConnId>, Vec<f64>) = direct.unzip();
        if rates.iter().sum::<f64>() >= ENOUGH { direct } else { Vec::new() }
    }
}
