//! Asking for chunks, taking them in, and the verdicts on them.

use std::time::Duration;

use common::id::{ContentId, Hash};
use common::limits::{MAX_LIVE_REQUESTS, MAX_REQ_ANY, MAX_REQ_ANY_EXCLUDES};
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Asked;
use super::content::{Body, Content, Flight, Has, Link};
use super::event::{ConnId, Notice, Output, Part};
use super::node::{Cx, Node};
use super::time::Time;

/// The first chunks of a newcomer are random: it has something to give soon (protocol.md 6).
const RANDOM_FIRST: u32 = 4;
/// A second source is asked for a chunk if the first is expected to need this many times longer.
const STEAL_FACTOR: f64 = 2.0;
/// The part of the budget (one in so many) kept for contents that use less than their share.
const KEPT: u64 = 4;
/// Seconds that a late chunk must be late by before another source is asked, while there are chunks
/// left that nobody was asked for: the swarm has better things to do than send a chunk twice.
const PATIENCE: f64 = 2.0;
/// The same at the end, when nothing else is left to ask for.
const PATIENCE_AT_END: f64 = 0.2;
/// Nothing is asked for a while after the disk refused a chunk; the shell pauses the content.
const DISK_REST: Duration = Duration::from_secs(1);
/// Peers whose bad chunks are remembered.
const MAX_STRUCK: usize = 4096;
/// Sources asked for one chunk at once, at most.
const MAX_ASKED: usize = 2;
/// Cancelled requests of a connection whose end has not been said, at most.
const MAX_CANCELLED: usize = 1024;

impl Node {
    /// Asks for as much as makes sense, of every content and source.
    pub(super) fn fill_all(&mut self, cx: &mut Cx<'_>) {
        let ids: Vec<ContentId> = self.live.iter().copied().collect();
        // Another content goes first every time, so that a spent budget is shared.
        let turn = if ids.is_empty() { 0 } else { self.rng.usize(..ids.len()) };
        let (before, after) = ids.split_at(turn);
        for id in after.iter().chain(before) {
            self.fill(cx, *id);
        }
    }

    pub(super) fn fill(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id).filter(|content| content.is_active()) else {
            return;
        };
        let mut links: Vec<ConnId> = content.links.keys().copied().collect();
        self.rng.shuffle(&mut links);
        for at in links {
            self.fill_link(cx, at, id);
        }
    }

    /// Keeps a source busy: rate × delay bytes outstanding.
    pub(super) fn fill_link(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        self.fetch_hashes(cx, at, id);
        while self.may_ask(cx, at, id) {
            if !self.ask_any(cx, at, id) && !self.ask_chunk(cx, at, id) {
                break;
            }
        }
    }

    fn may_ask(&self, cx: &Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return false;
        };
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_ref()) else {
            return false;
        };
        let resting = !content.is_active() || content.rest_until > cx.now;
        if resting || link.choked_by || link.useful == 0 {
            return false;
        }
        let usual = body.usual_len();
        let pending = conn.pending();
        if let Some(until) = conn.snubbed_until {
            // One request now and then shows whether it has come back to life.
            if until > cx.now || pending > 0 {
                return false;
            }
        }
        let depth = self.depth(cx.now, at, content).min(conn.max_queued);
        let room = conn.outstanding + usual <= depth || pending == 0;
        room && self.may_reserve(content, usual) && pending < MAX_LIVE_REQUESTS
    }

    /// Whether the byte budget lets a content ask for more. The last part of it is kept for contents
    /// that use less than their share, so that one fast download never keeps out the others.
    fn may_reserve(&self, content: &Content, bytes: u64) -> bool {
        let share = self.cfg.budget / (self.live.len() as u64).max(1);
        let modest = content.outstanding == 0 || content.outstanding + bytes <= share;
        let kept = if modest { 0 } else { self.cfg.budget / KEPT };
        // A chunk larger than the budget must be possible: then it is the only one.
        self.outstanding + bytes <= self.cfg.budget - kept || self.outstanding == 0
    }

    /// Outstanding bytes that keep a source busy: its rate times the delay, and at the start, when the
    /// rate is not known, its part of a window shared by all sources of the content. Without sharing,
    /// many sources of a small content would soon have been asked for all of it, and what is asked
    /// early is asked of the wrong peer (64 peers, 128 MiB: 1.67 of the bound, shared 1.3).
    pub(super) fn depth(&self, now: Time, at: ConnId, content: &Content) -> u64 {
        let Some(conn) = self.conns.get(&at) else { return 0 };
        let rtt = conn.rtt.unwrap_or(Duration::from_millis(100));
        let time = (rtt * 2 + self.cfg.depth_time).as_secs_f64();
        let bytes = (conn.down.get(now) * time) as u64;
        let open = |link: &&Link| !link.choked_by && link.useful > 0;
        let sources = content.links.values().filter(open).count() as u64;
        let start = self.cfg.start_depth / sources.max(1);
        let least = start.min(self.cfg.min_depth);
        let usual = content.body.as_ref().map_or(0, Body::usual_len);
        bytes.clamp(least, self.cfg.max_depth).max(2 * usual)
    }

    /// Lets a complete source choose (uploader-side assignment of first copies). True if asked.
    fn ask_any(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (assign, most) = (self.cfg.assign, MAX_REQ_ANY);
        let Some(content) = self.contents.get(&id) else { return false };
        let depth = self.depth(cx.now, at, content);
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return false;
        };
        let Some(body) = content.body.as_mut() else { return false };
        let Some(link) = content.links.get_mut(&at) else { return false };
        let able = assign
            && matches!(link.has, Has::All)
            && !link.barren
            && body.wanted.is_complete()
            && body.hashes_missing.is_empty()
            && body.picker.pickable() > 0
            && body.flights.len() <= MAX_REQ_ANY_EXCLUDES;
        if !able {
            return false;
        }
        // REQ_ANYs not yet assigned will take from what is pickable too.
        let any_pending = conn.any_pending(&id);
        let usual = body.usual_len();
        let room = (depth.saturating_sub(conn.outstanding) / usual).max(1);
        let share = self.cfg.budget / (self.live.len() as u64).max(1);
        let own = share.saturating_sub(content.outstanding);
        let common = (self.cfg.budget - self.cfg.budget / KEPT).saturating_sub(self.outstanding);
        let free = self.cfg.budget.saturating_sub(self.outstanding);
        let budget = (own.max(common).min(free) / usual).max(1);
        let left = body.picker.pickable().saturating_sub(any_pending);
        let count = usize::try_from(room.min(budget)).unwrap_or(most).min(most).min(left);
        if count == 0 {
            return false;
        }
        if conn.pending() == 0 {
            conn.progress = cx.now;
        }
        let first = conn.next_rid;
        for _ in 0..count {
            let rid = conn.rid();
            let len = u32::try_from(usual).unwrap_or(u32::MAX);
            conn.requests.insert(rid, Asked::Any { id, len });
            conn.outstanding += u64::from(len);
            self.outstanding += u64::from(len);
            content.outstanding += u64::from(len);
        }
        let msg = PeerMsg::ReqAny {
            handle: link.handle,
            rid: first,
            count: u8::try_from(count).unwrap_or(1),
            except: body.flights.keys().copied().collect(),
        };
        cx.send(at, msg);
        true
    }

    /// Asks for a chunk of our choice. True if asked.
    fn ask_chunk(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let Some(content) = self.contents.get_mut(&id) else { return false };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_ref()) else {
            return false;
        };
        // What the source was asked to choose is as good as chosen.
        let any = self.conns.get(&at).map_or(0, |conn| conn.any_pending(&id));
        if any > 0 && any >= body.picker.pickable() {
            return false;
        }
        let usable = |chunk: u32| link.has.contains(chunk);
        let picked = if link.dry == Some(body.offers) {
            None
        } else if body.have.count() < RANDOM_FIRST {
            body.picker.pick_random(usable, &mut self.rng)
        } else {
            body.picker.pick(usable, &mut self.rng)
        };
        if picked.is_none() {
            link.dry = Some(body.offers);
        }
        let picked = match picked {
            Some(chunk) if self.is_too_slow_for_rest(cx, at, id) => {
                let _left_to_faster_ones = chunk;
                None
            }
            Some(chunk) => Some(chunk),
            None => self.steal(cx, at, id),
        };
        let Some(chunk) = picked else { return false };
        self.unburden(cx, id, chunk);
        self.request(cx, at, id, chunk);
        true
    }

    /// Near the end a slow source would only make the last chunk late: the others will be done sooner
    /// with all that is left.
    fn is_too_slow_for_rest(&self, cx: &Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return false;
        };
        let Some(body) = content.body.as_ref() else { return false };
        let left = body.picker.pickable() as u64 * body.usual_len();
        if left > self.cfg.max_depth {
            return false;
        }
        let own = conn.down.get(cx.now);
        let total: f64 = content.links.values().map(|link| link.down.get(cx.now)).sum();
        if own < 1.0 || total <= own * 1.01 {
            return false;
        }
        let pending: u64 = body.flights.len() as u64 * body.usual_len();
        let mine = (conn.outstanding + body.usual_len()) as f64 / own;
        let rest = (left + pending) as f64 / (total - own);
        mine > rest * STEAL_FACTOR + 0.5
    }

    /// With nothing left to ask for: a chunk that another source will be late with.
    fn steal(&self, cx: &Cx<'_>, at: ConnId, id: ContentId) -> Option<u32> {
        let content = self.contents.get(&id)?;
        let (link, body) = (content.links.get(&at)?, content.body.as_ref()?);
        let conn = self.conns.get(&at)?;
        // Only what would be idle otherwise takes over what others have begun.
        if conn.pending() > 0 && body.picker.pickable() > 0 {
            return None;
        }
        let patience = if body.picker.pickable() > 0 { PATIENCE } else { PATIENCE_AT_END };
        let now = cx.now;
        let own = conn.down.get(now).max(64.0 * 1024.0);
        let mine = (conn.outstanding + body.usual_len()) as f64 / own;
        let late = |flight: &Flight| -> Option<f64> {
            if flight.verifying.is_some() || flight.asked.iter().any(|(holder, _)| *holder == at) {
                return None;
            }
            let etas = flight.asked.iter().filter_map(|(holder, rid)| self.eta(now, *holder, *rid));
            let eta = etas.min_by(f64::total_cmp)?;
            (eta > mine * STEAL_FACTOR + patience).then_some(eta)
        };
        let candidates = body.flights.iter().filter(|(chunk, _)| link.has.contains(**chunk));
        candidates
            .filter_map(|(chunk, flight)| Some((late(flight)?, *chunk)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, chunk)| chunk)
    }

    /// Seconds until a request of ours is expected to be complete.
    fn eta(&self, now: Time, at: ConnId, rid: u32) -> Option<f64> {
        let conn = self.conns.get(&at)?;
        let Some(Asked::Chunk { len, got, .. }) = conn.requests.get(&rid) else { return None };
        let quiet = now.since(conn.progress).as_secs_f64();
        let rate = conn.down.get(now);
        let ahead = if *got > 0 { u64::from(len - got) } else { conn.outstanding };
        Some(if rate < 1.0 { quiet * 4.0 } else { ahead as f64 / rate + quiet })
    }

    /// Another source takes over a chunk. Who has not begun to send it need not; of those who have, one
    /// may go on: several slow ones together cannot keep a chunk.
    fn unburden(&mut self, cx: &mut Cx<'_>, id: ContentId, chunk: u32) {
        let now = cx.now;
        let flight = self.contents.get(&id).and_then(|c| c.body.as_ref()?.flights.get(&chunk));
        let Some(flight) = flight else { return };
        let begun = |at: &ConnId, rid: &u32| {
            let request = self.conns.get(at).and_then(|conn| conn.requests.get(rid));
            matches!(request, Some(Asked::Chunk { got, .. }) if *got > 0)
        };
        let (kept, mut gone): (Vec<_>, Vec<_>) =
            flight.asked.iter().copied().partition(|(at, rid)| begun(at, rid));
        let mut kept: Vec<_> = kept
            .into_iter()
            .map(|(at, rid)| (self.eta(now, at, rid).unwrap_or(f64::MAX), at, rid))
            .collect();
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        gone.extend(kept.into_iter().skip(MAX_ASKED - 1).map(|(_, at, rid)| (at, rid)));
        for (at, rid) in gone {
            self.cancel(cx, at, rid);
        }
    }

    fn request(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, chunk: u32) {
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return;
        };
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_mut()) else {
            return;
        };
        let (handle, len) = (link.handle, body.len(chunk));
        if conn.pending() == 0 {
            conn.progress = cx.now;
        }
        let rid = conn.rid();
        conn.requests.insert(rid, Asked::Chunk { id, chunk, len, got: 0 });
        conn.outstanding += u64::from(len);
        note_flight(body, chunk, at, rid);
        self.reserve(&id, u64::from(len));
        cx.send(at, PeerMsg::Request { handle, rid, chunk, off: 0, len });
    }

    /// The source says which chunk it chose.
    pub(super) fn on_assign(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, chunk: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if let Some(Asked::Any { id, len }) = conn.cancelled.get(&rid).cloned() {
            let body = self.contents.get(&id).and_then(|content| content.body.as_ref());
            let len = body.map_or(len, |body| body.len(chunk).min(len));
            if len > 0 {
                conn.cancelled.insert(rid, Asked::Chunk { id, chunk, len, got: 0 });
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
            return self.expect_late(cx, at, rid, Asked::Chunk { id, chunk, len: real, got: 0 });
        }
        let asked = Asked::Chunk { id, chunk, len: real, got: 0 };
        conn.requests.insert(rid, asked);
        conn.outstanding = conn.outstanding.saturating_sub(u64::from(len)) + u64::from(real);
        note_flight(body, chunk, at, rid);
        self.free(&id, u64::from(len));
        self.reserve(&id, u64::from(real));
    }

    /// Payload arrived.
    pub(super) fn data(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, off: u32, len: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.heard = cx.now;
        if conn.cancelled.contains_key(&rid) {
            return self.late_data(cx, at, rid, off, len);
        }
        conn.progress = cx.now;
        conn.snubbed_until = None;
        conn.down.add(cx.now, u64::from(len));
        let Some(asked) = conn.requests.get_mut(&rid) else {
            return self.fault(cx, at, "sent data nobody asked for");
        };
        match asked {
            Asked::Chunk { id, chunk, len: whole, got, .. } => {
                let end = off.checked_add(len).filter(|end| *end <= *whole);
                if off != *got || end.is_none() {
                    return self.fault(cx, at, "sent data that does not fit its request");
                }
                *got += len;
                let (id, chunk, whole, done) = (*id, *chunk, *whole, got == whole);
                conn.outstanding = conn.outstanding.saturating_sub(u64::from(len));
                if let Some(content) = self.contents.get_mut(&id) {
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
                let end = off.checked_add(len).filter(|end| *end <= *whole);
                if off != *got || end.is_none() {
                    return self.fault(cx, at, "sent data that does not fit its request");
                }
                *got += len;
                if got == whole {
                    let (id, whole) = (*id, *whole);
                    conn.requests.remove(&rid);
                    self.manifest_slice(cx, at, rid, id, whole);
                }
            }
            Asked::Any { .. } => self.fault(cx, at, "sent data before saying of which chunk"),
            Asked::Hashes { .. } => self.fault(cx, at, "sent data instead of hashes"),
        }
    }

    /// Payload of a request we cancelled. Bounded like any other.
    fn late_data(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, off: u32, len: u32) {
        cx.out.push(Output::Discard { conn: at, rid, wasted: u64::from(len) });
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let fits = match conn.cancelled.get_mut(&rid) {
            Some(Asked::Chunk { len: whole, got, .. } | Asked::Meta { len: whole, got, .. }) => {
                let end = off.checked_add(len).filter(|end| *end <= *whole);
                let fits = off == *got && end.is_some();
                *got = end.unwrap_or(*got);
                if got == whole {
                    // It was sent before our CANCEL came: there will be no REJECT.
                    conn.cancelled.remove(&rid);
                }
                fits
            }
            _ => false,
        };
        if !fits {
            self.fault(cx, at, "sent data that does not fit its request");
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

    /// A request of ours is no longer needed.
    pub(super) fn cancel(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) {
        let Some(asked) = self.take_back(cx, at, rid) else { return };
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
        let received = match &asked {
            Asked::Chunk { got, .. } => u64::from(*got),
            _ => 0,
        };
        let freed = self.undo(cx, at, rid, &asked);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.outstanding = conn.outstanding.saturating_sub(freed.saturating_sub(received));
        }
        Some(asked)
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
        let Some(asked) = self.take_back(cx, at, rid) else { return };
        match (&asked, code) {
            (Asked::Any { id, .. }, _) => {
                // It has nothing for us beyond what is on its way: ordinary requests take over.
                if let Some(link) = self.contents.get_mut(id).and_then(|c| c.links.get_mut(&at)) {
                    link.barren = code != Code::Choked;
                }
                self.fill(cx, *id);
            }
            (Asked::Chunk { .. }, Code::Choked | Code::Cancelled) => {}
            (Asked::Chunk { id, chunk, .. }, _) => self.withdrawn(cx, at, *id, *chunk),
            (Asked::Hashes { id, .. }, _) => {
                if let Some(link) = self.contents.get_mut(id).and_then(|c| c.links.get_mut(&at)) {
                    link.hashless_until = cx.now + super::hashes::HASHLESS;
                }
                self.fill(cx, *id);
            }
            (Asked::Meta { .. }, Code::Rate) => {}
            (Asked::Meta { .. }, _) => self.count_reject(cx, at),
        }
    }

    /// A source does not serve what it advertised.
    fn withdrawn(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, chunk: u32) {
        let link = self.contents.get(&id).and_then(|c| c.links.get(&at));
        // One that said DONT_HAVE meanwhile is honest.
        if let Some(handle) = link.filter(|link| link.has.contains(chunk)).map(|l| l.handle) {
            let runs = [common::wire::peer::Run { start: chunk, len: 1 }];
            self.on_dont_have(cx, at, handle, &runs);
            self.count_reject(cx, at);
        }
        self.fill(cx, id);
    }

    fn count_reject(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.rejects = conn.rejects.saturating_add(1);
        if conn.rejects >= self.cfg.max_rejects {
            let (code, time) = (Code::BadData, self.cfg.ban_rude);
            self.ban_and_close(cx, at, code, "does not serve what it advertises", time);
        }
    }

    pub(super) fn on_choke(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, choke: bool) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(link) = self.contents.get_mut(&id).and_then(|c| c.links.get_mut(&at)) else {
            return;
        };
        link.choked_by = choke;
        if !choke {
            link.barren = false;
            self.fill_link(cx, at, id);
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
        let leftover = body.flights.get(&chunk).map(|flight| flight.asked.clone());
        let new = body.store(chunk, cx.now);
        cx.out.push(Output::Stored { id, chunk });
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
        let news = self.body_mut(&id).map_or(0, |body| body.news.len());
        if news >= self.cfg.have_batch {
            self.tell_news(cx, id);
        }
        self.maybe_completed(cx, id);
        self.fill(cx, id);
    }

    pub(super) fn maybe_completed(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let done = content.body.as_ref().is_some_and(Body::is_done);
        if done && !std::mem::replace(&mut content.completed, true) {
            cx.out.push(Output::Completed { id });
            self.cancel_requests(cx, |asked| asked.is_chunk_of(id));
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
            if self.strikes.len() >= MAX_STRUCK {
                self.strikes.clear();
            }
            let count = self.strikes.entry(peer).or_default();
            *count = count.saturating_add(1);
            strikes = *count;
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

fn note_flight(body: &mut Body, chunk: u32, at: ConnId, rid: u32) {
    body.picker.remove(chunk);
    let flight = body
        .flights
        .entry(chunk)
        .or_insert_with(|| Flight { asked: Vec::with_capacity(1), verifying: None });
    flight.asked.push((at, rid));
}
