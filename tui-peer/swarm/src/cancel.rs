//! How a request of ours ends without data.

use std::collections::BTreeSet;
use std::time::Duration;

use common::id::ContentId;
use common::wire::Code;
use common::wire::peer::{PeerMsg, Run};

use super::answers::RATE_WAIT;
use super::conn::Asked;
use super::event::{ConnId, Output};
use super::hashes::HASHLESS;
use super::node::{Cx, Node};

/// Cancelled requests of a connection whose end has not been said, at most.
const MAX_CANCELLED: usize = 1024;

/// A source that is busy is asked again after this, and each time after twice as long…
const BUSY_REST: Duration = Duration::from_secs(1);
/// …but so often doubled at most: half a minute.
const BUSY_MOST: u32 = 5;

impl Node {
    /// A request of ours is no longer needed.
    pub(super) fn cancel(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) {
        let Some(asked) = self.take_back(cx, at, rid) else { return };
        // Not so where the source refuses: it would be asked and refuse again at once, for ever.
        self.has_room(at);
        if !matches!(asked, Asked::Hashes { .. }) {
            cx.send(at, PeerMsg::Cancel { rid });
        }
        self.expect_late(cx, at, rid, asked);
    }

    /// Answers to this request may still come.
    pub(super) fn expect_late(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, asked: Asked) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.cancelled.insert(rid, asked);
        if conn.cancelled.len() > MAX_CANCELLED {
            self.close(cx, at, Code::Protocol, "never ends its requests");
        }
    }

    /// Forgets a request of ours, if there is one; what it reserved is free again.
    pub(super) fn take_back(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) -> Option<Asked> {
        let asked = self.conns.get_mut(&at)?.requests.remove(&rid)?;
        let freed = self.undo(cx, at, rid, &asked);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.recalled.remove(&rid);
            conn.outstanding = conn.outstanding.saturating_sub(freed.saturating_sub(asked.got()));
        }
        Some(asked)
    }

    /// Takes back what a request of ours reserved; says how many bytes that were.
    pub(super) fn undo(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, asked: &Asked) -> u64 {
        match asked {
            Asked::Chunk { id, chunk, len, got, .. } => {
                if *got > 0 {
                    let wasted = u64::from(*got);
                    cx.out.push(Output::Discard { conn: at, rid, wasted });
                }
                self.free(id, u64::from(*len));
                // What has come was its turn, though it is thrown away.
                self.refund_turn(at, *id, u64::from(len.saturating_sub(*got)));
                if let Some(body) = self.body_mut(id)
                    && let Some(flight) = body.flights.get_mut(chunk)
                {
                    flight.asked.retain(|by| *by != (at, rid));
                    if flight.asked.is_empty() && flight.verifying.is_none() {
                        body.release(*chunk);
                    }
                }
                u64::from(*len)
            }
            Asked::Any { id, len } => {
                self.free(id, u64::from(*len));
                self.refund_turn(at, *id, u64::from(*len));
                u64::from(*len)
            }
            Asked::Meta { id, got, .. } => {
                if *got > 0 {
                    cx.out.push(Output::Discard { conn: at, rid, wasted: u64::from(*got) });
                }
                if let Some(content) = self.contents.get_mut(id)
                    && content.manifest.as_ref().is_some_and(|fetch| fetch.has(at, rid))
                {
                    content.manifest = None;
                }
                0
            }
            Asked::Hashes { id, file, range, early, .. } => {
                if let Some(body) = self.body_mut(id).filter(|_| !early) {
                    body.hash_asked.remove(&(*file, range.index));
                    body.hash_todo.push_back((*file, *range));
                }
                0
            }
        }
    }

    /// Nothing more comes of these, and nobody is to blame: they are asked again.
    pub(super) fn lost(&mut self, cx: &mut Cx<'_>, at: ConnId, rids: &[u32]) {
        let mut ids = BTreeSet::new();
        for rid in rids {
            if let Some(conn) = self.conns.get_mut(&at) {
                conn.cancelled.remove(rid);
            }
            ids.extend(self.take_back(cx, at, *rid).map(|asked| asked.id()));
        }
        self.has_room(at);
        ids.into_iter().for_each(|id| self.fill(cx, id));
    }

    /// Cancels the requests of which this is so.
    pub(super) fn cancel_requests(&mut self, cx: &mut Cx<'_>, of: impl Fn(&Asked) -> bool) {
        let mut all = Vec::new();
        for conn in self.conns.values() {
            all.extend(
                conn.requests.iter().filter(|(_, asked)| of(asked)).map(|(rid, _)| (conn.id, *rid)),
            );
        }
        for (at, rid) in all {
            self.cancel(cx, at, rid);
        }
    }

    pub(super) fn on_reject(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if conn.cancelled.remove(&rid).is_some() {
            return;
        }
        let recalled_for = conn.recalled.get(&rid).copied();
        let peer = conn.peer;
        let Some(asked) = self.take_back(cx, at, rid) else { return };
        self.note_waste(cx, at, peer, asked.got());
        match (&asked, code) {
            (Asked::Chunk { id, .. } | Asked::Any { id, .. }, Code::Busy) => {
                self.let_rest(cx, at);
                self.fill(cx, *id);
            }
            (Asked::Any { id, .. }, _) => {
                // It has nothing for us beyond what is on its way: ordinary requests take over.
                if let Some(link) = self.contents.get_mut(id).and_then(|c| c.links.get_mut(&at)) {
                    link.barren = code != Code::Choked;
                }
                self.fill(cx, *id);
            }
            (Asked::Chunk { id, .. }, Code::Cancelled) => {
                if let Some(idle) = recalled_for {
                    self.fill_link(cx, idle, *id);
                }
            }
            (Asked::Chunk { .. }, Code::Choked) => {}
            // A failing disk is no lie, and this chunk is not asked for again.
            (Asked::Chunk { id, chunk, .. }, Code::LocalIo) => {
                self.withdrawn(cx, at, *id, *chunk);
                self.fill(cx, *id);
            }
            (Asked::Chunk { id, chunk, .. }, _) => {
                if self.withdrawn(cx, at, *id, *chunk) {
                    self.count_reject(cx, at);
                }
                self.fill(cx, *id);
            }
            // Busy, not without them: it is asked again when it said, others at once.
            (Asked::Hashes { id, .. } | Asked::Meta { id, .. }, Code::Rate) => {
                if let Some(conn) = self.conns.get_mut(&at) {
                    conn.ask_after = cx.now + RATE_WAIT;
                }
                self.fetch_manifest(cx, *id);
                self.fill(cx, *id);
            }
            (Asked::Hashes { id, .. }, _) => {
                if let Some(link) = self.contents.get_mut(id).and_then(|c| c.links.get_mut(&at)) {
                    link.hashless_until = cx.now + HASHLESS;
                }
                self.fill(cx, *id);
            }
            // What was asked for before it was open is no fault of the peer's.
            (Asked::Meta { id, .. }, _) => {
                if self.contents.get(id).is_some_and(|content| content.links.contains_key(&at)) {
                    self.count_reject(cx, at);
                }
            }
        }
    }

    /// A source does not serve what it advertised, which then counts as not advertised; `false` if it
    /// has said so itself meanwhile.
    fn withdrawn(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, chunk: u32) -> bool {
        let link = self.contents.get(&id).and_then(|c| c.links.get(&at));
        let handle = link.filter(|link| link.has.contains(chunk)).map(|l| l.handle);
        if let Some(handle) = handle {
            let runs = [Run { start: chunk, len: 1 }];
            self.on_dont_have(cx, at, handle, &runs);
        }
        handle.is_some()
    }

    /// A source cannot serve just now: it is asked again later, each time later than before, until it
    /// serves. That is no fault; what it is asked for others may have.
    fn let_rest(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let (until, times) = conn.busy.unwrap_or((cx.now, 0));
        if until > cx.now {
            // Of what was asked before it said so for the first time.
            return;
        }
        conn.busy = Some((cx.now + BUSY_REST * (1 << times.min(BUSY_MOST)), times + 1));
    }

    fn count_reject(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.rejects = conn.rejects.saturating_add(1);
        if conn.rejects >= self.cfg.max_rejects {
            let (code, time) = (Code::BadData, self.cfg.ban_rude);
            self.ban_and_close(cx, at, code, "does not serve what it advertises", time);
        }
    }
}
