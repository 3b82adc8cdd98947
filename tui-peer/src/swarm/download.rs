//! Asking for chunks, taking them in, and the verdicts on them.

use std::time::Duration;

use common::id::{ContentId, Hash};
use common::limits::{MAX_LIVE_REQUESTS, MAX_REQ_ANY, MAX_REQ_ANY_EXCLUDES};
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Asked;
use super::content::{Body, Flight, Has};
use super::event::{ConnId, Notice, Output, Part};
use super::node::{Cx, Node};
use super::time::Time;

/// The first chunks of a newcomer are random: it has something to give soon (protocol.md 6).
const RANDOM_FIRST: u32 = 4;
/// A second source is asked for a chunk if the first is expected to need this many times longer.
const STEAL_FACTOR: f64 = 2.0;
/// Cancelled requests of a connection whose end has not been said, at most.
const MAX_CANCELLED: usize = 1024;

impl Node {
    /// Asks for as much as makes sense, of every content and source.
    pub(super) fn fill_all(&mut self, cx: &mut Cx<'_>) {
        let ids: Vec<ContentId> =
            self.contents.values().filter(|c| c.is_active()).map(|c| c.id).collect();
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
        if !content.is_active() || link.choked_by || link.useful == 0 {
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
        let depth = self.depth(cx, at).max(2 * usual).min(conn.max_queued);
        let room = conn.outstanding + usual <= depth || pending == 0;
        let budget = self.outstanding + usual <= self.cfg.budget || self.outstanding == 0;
        room && budget && pending < MAX_LIVE_REQUESTS
    }

    /// Outstanding bytes that keep a source busy.
    fn depth(&self, cx: &Cx<'_>, at: ConnId) -> u64 {
        self.depth_at(cx.now, at)
    }

    pub(super) fn depth_at(&self, now: Time, at: ConnId) -> u64 {
        let Some(conn) = self.conns.get(&at) else { return 0 };
        let rtt = conn.rtt.unwrap_or(Duration::from_millis(100));
        let time = (rtt * 2 + self.cfg.depth_time).as_secs_f64();
        let bytes = (conn.down.get(now) * time) as u64;
        bytes.clamp(self.cfg.min_depth, self.cfg.max_depth)
    }

    /// Lets a complete source choose (uploader-side assignment of first copies). True if asked.
    fn ask_any(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (assign, most) = (self.cfg.assign, MAX_REQ_ANY);
        let depth = self.depth(cx, at);
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
        let any_pending = conn
            .requests
            .values()
            .filter(|asked| matches!(asked, Asked::Any { id: of, .. } if *of == id))
            .count();
        let usual = u64::from(body.layout.chunk_len());
        let room = (depth.max(2 * usual).saturating_sub(conn.outstanding) / usual).max(1);
        let budget = (self.cfg.budget.saturating_sub(self.outstanding) / usual).max(1);
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
            let len = body.layout.chunk_len();
            conn.requests.insert(rid, Asked::Any { id, len });
            conn.outstanding += u64::from(len);
            self.outstanding += u64::from(len);
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
        let Some(content) = self.contents.get(&id) else { return false };
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_ref()) else {
            return false;
        };
        let usable = |chunk: u32| link.has.contains(chunk) && body.hash(chunk).is_some();
        let picked = if body.have.count() < RANDOM_FIRST {
            body.picker.pick_random(usable, &mut self.rng)
        } else {
            body.picker.pick(usable, &mut self.rng)
        };
        let picked = match picked {
            Some(chunk) if self.is_too_slow_for_rest(cx, at, id) => {
                let _left_to_faster_ones = chunk;
                None
            }
            Some(chunk) => Some(chunk),
            None => self.steal(cx, at, id),
        };
        let Some(chunk) = picked else { return false };
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
        if body.picker.pickable() > 0 && conn.pending() > 0 {
            return None;
        }
        let own = conn.down.get(cx.now).max(64.0 * 1024.0);
        let mine = (conn.outstanding + body.usual_len()) as f64 / own;
        let late = |flight: &Flight| -> Option<f64> {
            let [(holder, rid)] = flight.asked.as_slice() else { return None };
            if flight.verifying.is_some() || *holder == at {
                return None;
            }
            let holder = self.conns.get(holder)?;
            let Some(Asked::Chunk { len, got, .. }) = holder.requests.get(rid) else { return None };
            let quiet = cx.now.since(holder.progress).as_secs_f64();
            let rate = holder.down.get(cx.now);
            let ahead = if *got > 0 { u64::from(len - got) } else { holder.outstanding };
            let eta = if rate < 1.0 { quiet * 4.0 } else { ahead as f64 / rate + quiet };
            (eta > mine * STEAL_FACTOR + 0.2).then_some(eta)
        };
        let candidates = body.flights.iter().filter(|(chunk, _)| link.has.contains(**chunk));
        candidates
            .filter_map(|(chunk, flight)| Some((late(flight)?, *chunk)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, chunk)| chunk)
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
        self.outstanding += u64::from(len);
        note_flight(body, chunk, at, rid);
        cx.send(at, PeerMsg::Request { handle, rid, chunk, off: 0, len });
    }

    /// The source says which chunk it chose.
    pub(super) fn on_assign(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, chunk: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if conn.cancelled.contains(&rid) {
            return;
        }
        let Some(Asked::Any { id, len }) = conn.requests.get(&rid).cloned() else {
            return self.fault(cx, at, "assigned a chunk nobody asked for");
        };
        let Some(body) = self.contents.get_mut(&id).and_then(|c| c.body.as_mut()) else { return };
        if body.layout.chunk(chunk).is_none() {
            return self.fault(cx, at, "assigned a chunk that does not exist");
        }
        if !body.lacks(chunk) || body.flights.contains_key(&chunk) {
            // It came (or was asked) from elsewhere meanwhile.
            return self.cancel(cx, at, rid);
        }
        let real = body.len(chunk);
        let asked = Asked::Chunk { id, chunk, len: real, got: 0 };
        conn.requests.insert(rid, asked);
        conn.outstanding = conn.outstanding - u64::from(len) + u64::from(real);
        self.outstanding = self.outstanding - u64::from(len) + u64::from(real);
        note_flight(body, chunk, at, rid);
    }

    /// Payload arrived.
    pub(super) fn data(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, off: u32, len: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.heard = cx.now;
        if conn.cancelled.contains(&rid) {
            let wasted = u64::from(len);
            cx.out.push(Output::Discard { conn: at, rid, wasted });
            return;
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
                    let id = *id;
                    conn.requests.remove(&rid);
                    self.manifest_slice(cx, at, rid, id);
                }
            }
            Asked::Any { .. } => self.fault(cx, at, "sent data before saying of which chunk"),
            Asked::Hashes { .. } => self.fault(cx, at, "sent data instead of hashes"),
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
            let expected = body.hash(chunk)?;
            let flight = body.flights.get_mut(&chunk)?;
            flight.asked.retain(|by| *by != (at, rid));
            if flight.verifying.is_some() || body.have.contains(chunk) {
                return None;
            }
            flight.verifying = Some(at);
            let others = std::mem::take(&mut flight.asked);
            if let Some(link) = content.links.get_mut(&at) {
                link.got += 1;
            }
            Some((expected, others))
        });
        let Some((expected, others)) = verified else {
            self.outstanding = self.outstanding.saturating_sub(u64::from(len));
            cx.out.push(discard);
            return;
        };
        let parts = vec![Part { conn: at, rid, off: 0, len }];
        cx.out.push(Output::Verify { id, chunk, expected, parts });
        for (other, rid) in others {
            self.cancel(cx, other, rid);
        }
    }

    /// A request of ours is no longer needed.
    pub(super) fn cancel(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) {
        if self.take_back(cx, at, rid) {
            cx.send(at, PeerMsg::Cancel { rid });
            if let Some(conn) = self.conns.get_mut(&at) {
                if conn.cancelled.len() >= MAX_CANCELLED {
                    return self.close(cx, at, Code::Protocol, "never ends its requests");
                }
                conn.cancelled.insert(rid);
            }
        }
    }

    /// Forgets a request of ours; what it reserved is free again. False if there was none.
    pub(super) fn take_back(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) -> bool {
        let Some(conn) = self.conns.get_mut(&at) else { return false };
        let Some(asked) = conn.requests.remove(&rid) else { return false };
        let received = match &asked {
            Asked::Chunk { got, .. } => u64::from(*got),
            _ => 0,
        };
        let freed = self.undo(cx, at, rid, &asked, true);
        self.outstanding = self.outstanding.saturating_sub(freed);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.outstanding = conn.outstanding.saturating_sub(freed - received);
        }
        true
    }

    /// Cancels everything asked of a content.
    pub(super) fn cancel_requests(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let of = |asked: &Asked| match asked {
            Asked::Chunk { id: of, .. } | Asked::Any { id: of, .. } => *of == id,
            Asked::Meta { .. } | Asked::Hashes { .. } => false,
        };
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
        if conn.cancelled.remove(&rid) {
            return;
        }
        let Some(asked) = conn.requests.get(&rid).cloned() else { return };
        self.take_back(cx, at, rid);
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
            (Asked::Meta { .. }, _) => self.count_reject(cx, at),
        }
    }

    /// A source does not serve what it advertised.
    fn withdrawn(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, chunk: u32) {
        let handle = self.contents.get(&id).and_then(|c| c.links.get(&at)).map(|l| l.handle);
        if let Some(handle) = handle {
            let runs = [common::wire::peer::Run { start: chunk, len: 1 }];
            self.on_dont_have(cx, at, handle, &runs);
        }
        self.count_reject(cx, at);
        self.fill(cx, id);
    }

    fn count_reject(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.rejects += 1;
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
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        let len = u64::from(body.len(chunk));
        self.outstanding = self.outstanding.saturating_sub(len);
        let leftover = body.flights.get(&chunk).map(|flight| flight.asked.clone());
        body.store(chunk, cx.now);
        cx.out.push(Output::Stored { id, chunk });
        let mut bored = Vec::new();
        for (at, link) in &mut content.links {
            if link.has.contains(chunk) && body.wanted.contains(chunk) {
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
            self.cancel_requests(cx, id);
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
        self.fill(cx, id);
    }

    /// The disk is done with a chunk that did not make it; who sent it.
    fn end_verifying(&mut self, id: ContentId, chunk: u32) -> Option<ConnId> {
        let body = self.body_mut(&id)?;
        let len = u64::from(body.len(chunk));
        let sender = body.flights.get(&chunk).and_then(|flight| flight.verifying);
        body.release(chunk);
        self.outstanding = self.outstanding.saturating_sub(len);
        sender
    }
}

fn note_flight(body: &mut Body, chunk: u32, at: ConnId, rid: u32) {
    body.picker.remove(chunk);
    let flight = body.flights.entry(chunk).or_insert_with(|| Flight {
        asked: Vec::with_capacity(1),
        verifying: None,
    });
    flight.asked.push((at, rid));
}
