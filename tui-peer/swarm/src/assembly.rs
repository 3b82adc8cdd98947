//! Payload becomes chunks: what arrives must fit its request exactly; the disk's verdict decides who is
//! believed. A chunk comes from one source whole, so a bad one has one sender.

use std::time::Duration;

use common::id::{ContentId, Hash};
use common::limits::MIN_DATA_LEN;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::body::Body;
use super::conn::Asked;
use super::event::{ConnId, Notice, Output, Part};
use super::node::{Cx, Node};
use super::request::note_flight;

/// Nothing is asked for a while after the disk refused a chunk; the shell pauses the content.
const DISK_REST: Duration = Duration::from_secs(1);
/// Chunks of one content that a source may have begun and not finished. It sends them one after the other;
/// only where the content has an upload limit of its own do two take turns, and one more that it began
/// before it had. Who begins many and finishes none would hold as much memory as there is. Over each TCP connection.
const MAX_BEGUN: usize = 4;

const MISFIT: &str = "sent data that does not fit its request";

/// Whether a frame goes on exactly where its request stands, within it, and is no crumb.
fn fits(off: u32, len: u32, got: u32, whole: u32) -> bool {
    let rest = whole.saturating_sub(got);
    off == got && (len == rest || (len < rest && len as usize >= MIN_DATA_LEN))
}

impl Node {
    /// The source says which chunk it chose.
    pub(super) fn on_assign(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, chunk: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if let Some(Asked::Any { id, len }) = conn.cancelled.get(&rid).cloned() {
            let body = self.contents.get(&id).and_then(|content| content.body.as_ref());
            let len = body.map_or(len, |body| body.len(chunk).min(len));
            if len > 0 {
                conn.cancelled.insert(rid, Asked::Chunk { id, chunk, len, got: 0, moved: cx.now });
            }
            return;
        }
        let Some(Asked::Any { id, len }) = conn.requests.get(&rid).cloned() else {
            return self.fault(cx, at, "assigned a chunk nobody asked for");
        };
        let Some(body) = self.contents.get_mut(&id).and_then(|c| c.body.as_mut()) else { return };
        if body.layout.chunk(chunk).is_none() {
            return self.fault(cx, at, "assigned a chunk that does not exist");
        }
        let real = body.len(chunk);
        if !body.lacks(chunk) || body.flights.contains_key(&chunk) {
            // It came (or was asked) from elsewhere meanwhile.
            self.take_back(cx, at, rid);
            cx.send(at, PeerMsg::Cancel { rid });
            return self.expect_late(
                cx,
                at,
                rid,
                Asked::Chunk { id, chunk, len: real, got: 0, moved: cx.now },
            );
        }
        let asked = Asked::Chunk { id, chunk, len: real, got: 0, moved: cx.now };
        conn.requests.insert(rid, asked);
        conn.outstanding = conn.outstanding.saturating_sub(u64::from(len)) + u64::from(real);
        note_flight(body, chunk, at, rid);
        self.free(&id, u64::from(len));
        self.reserve(&id, u64::from(real));
    }

    /// Payload arrived.
    pub(super) fn data(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, off: u32, len: u32) {
        let conn = self.conns.get_mut(&at).filter(|conn| conn.greeted);
        let Some(conn) = conn else { return };
        conn.heard = cx.now;
        if conn.cancelled.contains_key(&rid) {
            return self.late_data(cx, at, rid, off, len);
        }
        conn.progress = cx.now;
        conn.snubbed_until = None;
        conn.busy = None;
        conn.count_down(cx.now, u64::from(len));
        let Some(asked) = conn.requests.get_mut(&rid) else {
            return self.fault(cx, at, "sent data nobody asked for");
        };
        match asked {
            Asked::Chunk { id, chunk, len: whole, got, moved } => {
                if !fits(off, len, *got, *whole) {
                    return self.fault(cx, at, MISFIT);
                }
                let begins = *got == 0;
                (*got, *moved) = (*got + len, cx.now);
                let (id, chunk, whole, done) = (*id, *chunk, *whole, got == whole);
                if begins && !done && conn.begun(&id) > MAX_BEGUN * conn.streams {
                    return self.fault(cx, at, "begins chunks and does not finish them");
                }
                conn.outstanding = conn.outstanding.saturating_sub(u64::from(len));
                self.shaping.spend(cx.now, u64::from(len), self.outstanding);
                if let Some(content) = self.contents.get_mut(&id) {
                    content.spend(cx.now, u64::from(len));
                    content.down.add(cx.now, u64::from(len));
                    if let Some(link) = content.links.get_mut(&at) {
                        link.down.add(cx.now, u64::from(len));
                    }
                }
                if done {
                    self.chunk_arrived(cx, at, rid, id, chunk, whole);
                }
                self.fill_link(cx, at, id);
            }
            Asked::Meta { id, len: whole, got } => {
                if !fits(off, len, *got, *whole) {
                    return self.fault(cx, at, MISFIT);
                }
                *got += len;
                if got == whole {
                    let (id, whole) = (*id, *whole);
                    conn.requests.remove(&rid);
                    // It delivers: no chunk that waits behind a list of files is late for that.
                    conn.pace.1 = cx.now;
                    self.manifest_slice(cx, at, rid, id, whole);
                }
            }
            Asked::Any { .. } => self.fault(cx, at, "sent data before saying of which chunk"),
            Asked::Hashes { .. } => self.fault(cx, at, "sent data instead of hashes"),
        }
    }

    /// Payload of a request we cancelled. Bounded like any other; of any length, for it holds no memory, and
    /// of a content that is gone only the usual length of a chunk is known: the chunk may have been shorter.
    fn late_data(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, off: u32, len: u32) {
        cx.out.push(Output::Discard { conn: at, rid, wasted: u64::from(len) });
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let fits = match conn.cancelled.get_mut(&rid) {
            Some(Asked::Chunk { len: whole, got, .. } | Asked::Meta { len: whole, got, .. }) => {
                let fits = off == *got && len > 0 && len <= whole.saturating_sub(*got);
                *got = if fits { *got + len } else { *got };
                if got == whole {
                    // It was sent before our CANCEL came: there will be no REJECT.
                    conn.cancelled.remove(&rid);
                }
                fits
            }
            _ => false,
        };
        if !fits {
            self.fault(cx, at, MISFIT);
        }
    }

    fn chunk_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        rid: u32,
        id: ContentId,
        chunk: u32,
        len: u32,
    ) {
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.requests.remove(&rid);
            conn.recalled.remove(&rid);
            conn.finished(cx.now, len);
        }
        let discard = Output::Discard { conn: at, rid, wasted: u64::from(len) };
        let verified = self.contents.get_mut(&id).and_then(|content| {
            let body = content.body.as_mut()?;
            let expected = body.hash(chunk);
            let flight = body.flights.get_mut(&chunk)?;
            flight.asked.retain(|by| *by != (at, rid));
            if flight.verifying.is_some() {
                return None;
            }
            let Some(expected) = expected.filter(|_| !body.have.contains(chunk)) else {
                if flight.asked.is_empty() {
                    body.release(chunk);
                }
                return None;
            };
            flight.verifying = Some(at);
            let others = std::mem::take(&mut flight.asked);
            if let Some(link) = content.links.get_mut(&at) {
                link.got += 1;
            }
            Some((expected, others))
        });
        let Some((expected, others)) = verified else {
            self.free(&id, u64::from(len));
            cx.out.push(discard);
            return;
        };
        *self.verifying.entry((id, chunk)).or_default() += u64::from(len);
        let parts = vec![Part { conn: at, rid, off: 0, len }];
        cx.out.push(Output::Verify { id, chunk, expected, parts });
        for (other, rid) in others {
            self.cancel(cx, other, rid);
        }
    }

    pub(super) fn chunk_stored(&mut self, cx: &mut Cx<'_>, id: ContentId, chunk: u32) {
        self.disk_done(id, chunk);
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        if body.layout.chunk(chunk).is_none() {
            return;
        }
        self.live.insert(id);
        let flight = body.flights.get(&chunk);
        let leftover = flight.map(|flight| flight.asked.clone());
        let sender = flight.and_then(|flight| flight.verifying);
        let new = body.store(chunk);
        if let Some(conn) = sender.filter(|_| new).and_then(|at| self.conns.get(&at)) {
            body.senders.note(chunk, conn.peer, body.layout.chunks());
        }
        cx.out.push(Output::Stored { id, chunk });
        if let Some(link) = sender.and_then(|at| content.links.get_mut(&at)) {
            link.delivered = Some(cx.now);
        }
        if let Some(conn) = sender.and_then(|at| self.conns.get_mut(&at)) {
            conn.delivered = true;
        }
        let mut bored = Vec::new();
        for (at, link) in &mut content.links {
            if new && link.has.contains(chunk) && body.wanted.contains(chunk) {
                link.useful = link.useful.saturating_sub(1);
                if link.useful == 0 {
                    bored.push(*at);
                }
            }
        }
        for at in bored {
            self.update_interest(cx, at, id);
        }
        for (at, rid) in leftover.unwrap_or_default() {
            self.cancel(cx, at, rid);
        }
        self.spread_news(cx);
        self.maybe_completed(cx, id);
        self.fill(cx, id);
    }

    pub(super) fn maybe_completed(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let done = content.body.as_ref().is_some_and(Body::is_done);
        if done && !std::mem::replace(&mut content.completed, true) {
            if let Some(body) = content.body.as_mut().filter(|body| !body.stats.is_watched()) {
                body.senders = Default::default();
            }
            cx.out.push(Output::Completed { id });
            // Hashes too, of whoever has not said HELLO: nobody would wait for them.
            self.cancel_requests(cx, |asked| asked.id() == id);
            self.tell_news(cx, id);
        }
    }

    pub(super) fn chunk_corrupt(
        &mut self,
        cx: &mut Cx<'_>,
        id: ContentId,
        chunk: u32,
        actual: Hash,
    ) {
        let sender = self.end_verifying(id, chunk);
        let peer = sender.and_then(|at| self.conns.get(&at)).map(|conn| conn.peer);
        let mut strikes = 0;
        if let Some(peer) = peer {
            strikes = self.conduct.strike(peer);
        }
        let most = self.cfg.max_strikes;
        cx.notice(Notice::BadChunk { id, chunk, peer, strikes: (strikes, most) });
        if let Some(at) = sender {
            let handle = self.contents.get(&id).and_then(|c| c.links.get(&at)).map(|l| l.handle);
            if let Some(handle) = handle {
                cx.send(at, PeerMsg::Corrupt { handle, chunk, bad: actual });
            }
            if strikes >= most {
                let (code, time) = (Code::BadData, self.cfg.ban_bad);
                self.ban_and_close(cx, at, code, "sent chunks with wrong hashes", time);
            }
        }
        self.fill(cx, id);
    }

    pub(super) fn chunk_not_stored(&mut self, cx: &mut Cx<'_>, id: ContentId, chunk: u32) {
        self.end_verifying(id, chunk);
        if let Some(content) = self.contents.get_mut(&id) {
            content.rest_until = cx.now + DISK_REST;
        }
    }

    fn disk_done(&mut self, id: ContentId, chunk: u32) {
        if let Some(len) = self.verifying.remove(&(id, chunk)) {
            self.free(&id, len);
        }
    }

    /// The disk is done with a chunk that did not make it; who sent it.
    fn end_verifying(&mut self, id: ContentId, chunk: u32) -> Option<ConnId> {
        self.disk_done(id, chunk);
        let body = self.body_mut(&id)?;
        let flight = body.flights.get_mut(&chunk)?;
        let sender = flight.verifying.take();
        if flight.asked.is_empty() {
            body.release(chunk);
        }
        sender
    }
}
