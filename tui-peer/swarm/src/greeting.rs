//! How a connection comes in. One that a peer made has said HELLO before it is told of. A peer that we dialled is
//! reached first, when it has proven its key: until its HELLO has passed its dial counts as under way, it has no place
//! among the connections and decides nothing about others.

use common::id::PeerId;
use common::wire::Code;

use super::closing::Ended;
use super::conn::Conn;
use super::event::{ConnId, Output, Route};
use super::node::{Cx, Node};
use super::places::{Origin, origin};
use super::time::Time;

/// Why a connection gets no place.
type Refusal = (Code, &'static str);

const BANNED: Refusal = (Code::NotPermitted, "banned for a while");
const DUPLICATE: Refusal = (Code::Duplicate, "another connection is open");

impl Node {
    /// A connection to a peer whose HELLO has passed.
    pub(super) fn connected(&mut self, cx: &mut Cx<'_>, mut conn: Conn) {
        conn.rests_until = self.conduct.rests_until(&conn.peer);
        let (at, peer) = (conn.id, conn.peer);
        if conn.route == Route::Direct {
            self.dialer.connected(&peer);
            if conn.dialed {
                self.dialer.rate.ended(&peer, true);
            }
        }
        let place = self.make_place(cx, peer, (conn.dialed, conn.route), origin(&conn, cx.now));
        if let Err((code, why)) = place {
            if conn.dialed && code == Code::Busy {
                // Or it would be dialled again at once.
                self.dialer.failed(peer, false, cx.now, &mut self.rng);
            }
            return refuse(cx, at, (code, why));
        }
        self.peers.greeted.insert(peer, at);
        self.conns.insert(at, conn);
        self.ping(cx, at);
        self.open_wanted(cx, at);
        self.timers.tick_by(cx.now + super::tick::BUSY);
    }

    /// A peer that we dialled has proven its key: what is asked first may go along with our HELLO.
    pub(super) fn reached(&mut self, cx: &mut Cx<'_>, mut conn: Conn) {
        (conn.greeted, conn.max_queued) = (false, 0);
        conn.rests_until = self.conduct.rests_until(&conn.peer);
        let (at, peer) = (conn.id, conn.peer);
        // A dial may go on beside a connection through the tracker.
        if conn.route == Route::Direct {
            self.dialer.connected(&peer);
            self.dialer.rate.ended(&peer, true);
        }
        if self.dialer.is_banned(&peer, cx.now) {
            return refuse(cx, at, BANNED);
        }
        if let Some(old) = self.peers.reached.get(&peer).copied() {
            let was = self.conns.get(&old).map(|old| old.route);
            if was == Some(Route::Direct) && conn.route == Route::Relayed {
                return refuse(cx, at, DUPLICATE);
            }
            // Of two that we made, a dial and a call, say, the other end gives up the older one too.
            refuse(cx, old, DUPLICATE);
            self.parted(cx, old, Ended::Spare);
        }
        // Who refuses a HELLO with more behind it that it has not read may not get its reason through: after a dial
        // that came to nothing HELLO goes alone. Nor is anything asked of one that may find no place.
        let alone = self.dialer.was_refused(&peer)
            || self.peers.greeted.contains_key(&peer)
            || self.places() >= self.cfg.max_conns;
        self.peers.reached.insert(peer, at);
        self.conns.insert(at, conn);
        if !alone {
            self.ping(cx, at);
            self.ask_early(cx, at);
        }
        self.timers.tick_by(cx.now + super::tick::BUSY);
    }

    /// The HELLO of a peer that was reached has passed: it is a connection like any other from now on, or none.
    pub(super) fn greeted(&mut self, cx: &mut Cx<'_>, at: ConnId, max_queued: u32) {
        let Some(conn) = self.conns.get(&at).filter(|conn| !conn.greeted) else { return };
        let (peer, way, from) = (conn.peer, (true, conn.route), origin(conn, cx.now));
        if let Err(refusal) = self.make_place(cx, peer, way, from) {
            refuse(cx, at, refusal);
            let duplicate = refusal.0 == Code::Duplicate;
            let ended = if duplicate { Ended::Spare } else { Ended::Refused { permanent: false } };
            return self.parted(cx, at, ended);
        }
        self.peers.reached.remove(&peer);
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.greet(cx.now, max_queued);
        let pinged = conn.ping.is_some();
        self.peers.greeted.insert(peer, at);
        if !pinged {
            self.ping(cx, at);
        }
        self.open_wanted(cx, at);
    }

    /// The HELLO of a peer that was reached did not pass, or did not come.
    pub(super) fn refused(&mut self, cx: &mut Cx<'_>, at: ConnId, permanent: bool) {
        match self.conns.get(&at).is_some_and(|conn| !conn.greeted) {
            true => self.parted(cx, at, Ended::Refused { permanent }),
            false => self.disconnected(cx, at),
        }
    }

    /// Makes a place for a peer that has passed its HELLO, at the cost of another connection if need be.
    ///
    /// # Errors
    /// Why it gets none.
    fn make_place(
        &mut self,
        cx: &mut Cx<'_>,
        peer: PeerId,
        (dialed, route): (bool, Route),
        from: Origin,
    ) -> Result<(), Refusal> {
        if self.dialer.is_banned(&peer, cx.now) {
            return Err(BANNED);
        }
        if let Some(old) = self.peers.greeted.get(&peer).and_then(|old| self.conns.get(old)) {
            // Both ends keep a direct connection rather than a relayed one; of two alike the one dialled by the
            // smaller key; of two dialled by the same side, the newer (the older is dead, or its owner would not
            // dial again).
            let dialer = |dialed| if dialed { self.me } else { peer };
            // One over which nothing comes gives way to any: who has waited for it comes over another path, or has us
            // come. (Two that dial each other without need are younger than that.)
            let broken =
                old.is_silent(cx.now, self.limit_delay()) || old.is_silent_to_others(cx.now);
            let keeps = match (old.route, route) {
                _ if broken => false,
                (Route::Direct, Route::Relayed) => true,
                (Route::Relayed, Route::Direct) => false,
                _ => dialer(old.dialed) < dialer(dialed),
            };
            if keeps {
                return Err(DUPLICATE);
            }
            // Both dialled each other, or there is a better way now, or the path was cut; a peer that dials anew for no
            // such reason leaves its own requests half answered.
            let crossed = broken || dialed || old.dialed || old.route != route;
            let (loser, (code, why)) = (old.id, DUPLICATE);
            self.close_for(cx, loser, code, why, crossed);
        }
        if self.places() >= self.cfg.max_conns
            && let Some(loser) = self.crowded_conn(from, cx.now)
        {
            self.close_for(cx, loser, Code::Busy, "room is needed for others", true);
        }
        if self.places() >= self.cfg.max_conns {
            return Err((Code::Busy, "too many connections"));
        }
        Ok(())
    }
}

impl Conn {
    /// Its HELLO has passed: what it was asked before counts from here.
    fn greet(&mut self, now: Time, max_queued: u32) {
        (self.greeted, self.max_queued) = (true, u64::from(max_queued));
        (self.since, self.heard, self.progress, self.idle_since) = (now, now, now, now);
        self.pace.1 = now;
        self.opening.values_mut().for_each(|(_, since)| *since = now);
        self.requests.values_mut().for_each(|asked| asked.begin(now));
    }
}

fn refuse(cx: &mut Cx<'_>, at: ConnId, (code, why): Refusal) {
    cx.out.push(Output::Disconnect { conn: at, code, text: why.to_owned() });
}
