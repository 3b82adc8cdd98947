//! Whom we do not talk to.

use std::time::Duration;

use common::id::PeerId;
use common::wire::Code;

use super::event::{ConnId, Notice};
use super::node::{Cx, Node};
use super::time::Time;

/// A ban without an end.
const FOR_EVER: Time = Time::from_micros(u64::MAX);

impl Node {
    /// The peer broke the protocol.
    pub(super) fn fault(&mut self, cx: &mut Cx<'_>, at: ConnId, why: &'static str) {
        self.ban_and_close(cx, at, Code::Protocol, why, self.cfg.ban_rude);
    }

    /// A peer is banned for what it did.
    pub(super) fn ban_and_close(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        code: Code,
        why: &'static str,
        time: Duration,
    ) {
        if let Some(conn) = self.conns.get(&at) {
            let (peer, group) = (conn.peer, conn.group);
            self.dialer.ban(peer, cx.now + time);
            self.conduct.banned(&peer);
            if let Some(group) = group {
                self.conduct.suspect(group, cx.now);
            }
            cx.notice(Notice::Banned { peer, why, time });
            self.close(cx, at, code, why);
        }
    }

    /// The user wants nothing to do with a peer. Without `time`: for ever.
    pub(super) fn ban_peer(&mut self, cx: &mut Cx<'_>, peer: PeerId, time: Option<Duration>) {
        self.dialer.ban(peer, time.map_or(FOR_EVER, |time| cx.now + time));
        self.conduct.banned(&peer);
        for at in [&self.peers.greeted, &self.peers.reached].map(|table| table.get(&peer).copied())
        {
            let Some(at) = at else { continue };
            if let Some(group) = self.conns.get(&at).and_then(|conn| conn.group) {
                self.conduct.suspect(group, cx.now);
            }
            self.close(cx, at, Code::NotPermitted, "banned");
        }
    }

    pub(super) fn unban(&mut self, peer: &PeerId) {
        self.conduct.pardon(peer);
        self.dialer.unban(peer);
    }
}
