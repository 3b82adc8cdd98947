//! Connections end.

use std::collections::{BTreeMap, BTreeSet};

use common::id::{ContentId, PeerId};
use common::wire::Code;

use super::conn::{Asked, Conn};
use super::event::{ConnId, Output, Route};
use super::node::{Cx, Node};

/// How a connection ended, for whether and when its peer is dialled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was up.
    Itself,
    /// Its HELLO did not pass; `permanent`: another try makes no sense.
    Refused { permanent: bool },
    /// There is another one.
    Spare,
}

impl Conn {
    /// How it ends. Every version says HELLO before it reads ours: who says nothing else has refused it.
    pub(super) fn ended(&self) -> Ended {
        let refused = self.dialed && self.heard == self.since && self.handles.is_empty();
        match !self.greeted || refused {
            true => Ended::Refused { permanent: false },
            false => Ended::Itself,
        }
    }
}

impl Node {
    /// Ends a connection from our side.
    pub(super) fn close(&mut self, cx: &mut Cx<'_>, at: ConnId, code: Code, why: &str) {
        self.close_for(cx, at, code, why, false);
    }

    /// The same. If the reason is ours, what the peer leaves half answered is not its doing.
    pub(super) fn close_for(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        code: Code,
        why: &str,
        ours: bool,
    ) {
        if self.conns.contains_key(&at) {
            cx.out.push(Output::Disconnect { conn: at, code, text: why.to_owned() });
            if ours {
                self.parted(cx, at, Ended::Itself);
            } else {
                self.disconnected(cx, at);
            }
        }
    }

    pub(super) fn disconnected(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get(&at) else { return };
        // What a relay cuts off, for a better way or at its own end, is not the peer's doing.
        let blamed = conn.route == Route::Direct;
        let got: u64 = conn.requests.values().map(Asked::got).sum();
        let (peer, wasted) = (conn.peer, if blamed { got } else { 0 });
        let ended = conn.ended();
        self.note_waste(cx, at, peer, wasted);
        self.parted(cx, at, ended);
    }

    /// A request of ours ended at the source's word, or with its connection, when some of it had arrived.
    pub(super) fn note_waste(&mut self, cx: &Cx<'_>, at: ConnId, peer: PeerId, wasted: u64) {
        if wasted == 0 {
            return;
        }
        let others = self.conns.values().filter(|conn| conn.id != at);
        let rate: f64 = others.map(|conn| conn.down.get(cx.now)).sum();
        let rest = self.conduct.wasted(peer, wasted, rate, cx.now);
        if let (Some(until), Some(conn)) = (rest, self.conns.get_mut(&at)) {
            conn.rests_until = until;
        }
    }

    pub(super) fn parted(&mut self, cx: &mut Cx<'_>, at: ConnId, ended: Ended) {
        let Some(conn) = self.conns.remove(&at) else { return };
        for table in [&mut self.peers.greeted, &mut self.peers.reached] {
            if table.get(&conn.peer) == Some(&at) {
                table.remove(&conn.peer);
            }
        }
        match ended {
            Ended::Itself => {
                let lived = cx.now.since(conn.since);
                self.dialer.ended(conn.peer, lived, cx.now, &mut self.rng);
            }
            Ended::Refused { permanent } => {
                self.dialer.failed(conn.peer, permanent, cx.now, &mut self.rng);
            }
            Ended::Spare => {}
        }
        if !self.dialer.is_banned(&conn.peer, cx.now) {
            self.conduct.left(&conn, cx.now);
        }
        let mut requeued: BTreeMap<ContentId, u32> = BTreeMap::new();
        let mut lists = BTreeSet::new();
        for (rid, asked) in &conn.requests {
            self.undo(cx, at, *rid, asked);
            match asked {
                Asked::Chunk { id, .. } | Asked::Any { id, .. } => {
                    *requeued.entry(*id).or_default() += 1;
                }
                Asked::Meta { id, .. } => _ = lists.insert(*id),
                Asked::Hashes { .. } => {}
            }
        }
        let ids: BTreeSet<ContentId> = conn.handles.values().copied().collect();
        for id in ids {
            self.unlink(cx, at, id, conn.peer, requeued.get(&id).copied().unwrap_or(0));
        }
        // Of what was not open yet too.
        lists.into_iter().for_each(|id| self.fetch_manifest(cx, id));
        self.fill_all(cx);
        self.fill_slots(cx);
        self.pump(cx);
    }
}
