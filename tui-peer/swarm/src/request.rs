//! Which chunk is asked of a source, and how a request of ours ends without data.

use std::time::Duration;

use common::id::ContentId;
use common::limits::{MAX_REQ_ANY, MAX_REQ_ANY_EXCLUDES};
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::answers::RATE_WAIT;
use super::conn::Asked;
use super::content::{Body, Flight, Has};
use super::event::ConnId;
use super::node::{Cx, Node};

/// The first chunks of a newcomer are random: it has something to give soon.
const RANDOM_FIRST: u32 = 4;
/// Several complete sources choose only while there are so many times more connections.
const MOSTLY_INCOMPLETE: usize = 4;
/// Cancelled requests of a connection whose end has not been said, at most.
const MAX_CANCELLED: usize = 1024;

/// A source that is busy is asked again after this, and each time after twice as long…
const BUSY_REST: Duration = Duration::from_secs(1);
/// …but so often doubled at most: half a minute.
const BUSY_MOST: u32 = 5;

impl Node {
    /// Lets a complete source choose (uploader-side assignment of first copies). True if asked.
    pub(super) fn ask_any(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (assign, most) = (self.cfg.assign, MAX_REQ_ANY);
        let Some(content) = self.contents.get(&id) else { return false };
        if !content.links.get(&at).is_some_and(|link| matches!(link.has, Has::All)) {
            return false;
        }
        let depth = self.depth(cx.now, at, content);
        let may_have = self.budget_for(content);
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return false;
        };
        let Some(body) = content.body.as_mut() else { return false };
        // Its choice spreads first copies among many. Where most are complete there is nothing to
        // spread, and several that choose for one choose the same: sixty at the end of a large crowd for
        // every second chunk (64 equal peers, 2048 chunks: the last at 1.39 of the bound), four on
        // loopback for every third (for every sixteenth among five peers, with twice as many links as
        // complete sources). One alone cannot, and at the start nobody else is known yet.
        let complete = usize::from(body.seeds);
        let spreads = complete <= 1 || content.links.len() >= MOSTLY_INCOMPLETE * complete;
        let Some(link) = content.links.get_mut(&at) else { return false };
        let able = assign
            && spreads
            && !content.policy.sequential
            && !link.barren
            && body.wanted.is_complete()
            && body.hashes_missing.is_empty()
            // It would choose among them too.
            && body.doubted.is_empty()
            && body.picker.pickable() > 0
            && body.flights.len() <= MAX_REQ_ANY_EXCLUDES;
        if !able {
            return false;
        }
        // REQ_ANYs not yet assigned will take from what is pickable too.
        let any_pending = conn.any_pending(&id);
        let usual = body.usual_len();
        let room = (depth.saturating_sub(conn.outstanding) / usual).max(1);
        let budget = (may_have / usual).max(1);
        let left = body.picker.pickable().saturating_sub(any_pending);
        // Under a limit or beside weightier downloads every single chunk has to be allowed.
        let most = if self.shaping.mixed || self.shaping.pace.is_some() || content.pace.is_some() {
            1
        } else {
            most
        };
        let count = usize::try_from(room.min(budget)).unwrap_or(most).min(most).min(left);
        if count == 0 {
            return false;
        }
        conn.wake(cx.now);
        body.asked_at = cx.now;
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
        self.count_turn(at, id, count as u64 * usual);
        cx.send(at, msg);
        true
    }

    /// Asks for a chunk of our choice. True if asked.
    pub(super) fn ask_chunk(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> bool {
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
        } else if content.policy.sequential {
            body.picker.pick_first(first_missing(&body.have), usable)
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
        let Some(chunk) = picked else {
            self.recall(cx, at, id);
            return false;
        };
        let moves = self.unburden(cx, id, chunk);
        self.request(cx, at, id, chunk);
        if let Some(flight) = self.body_mut(&id).and_then(|body| body.flights.get_mut(&chunk)) {
            flight.moves = moves;
        }
        true
    }

    fn request(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, chunk: u32) {
        let link = self.contents.get(&id).and_then(|content| content.links.get(&at));
        if let Some(handle) = link.map(|link| link.handle) {
            self.request_on(cx, at, id, handle, chunk);
        }
    }

    /// Asks for a chunk under a handle that may not be open yet.
    pub(super) fn request_on(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        id: ContentId,
        handle: u16,
        chunk: u32,
    ) {
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return;
        };
        let Some(body) = content.body.as_mut() else { return };
        let len = body.len(chunk);
        conn.wake(cx.now);
        let rid = conn.rid();
        conn.requests.insert(rid, Asked::Chunk { id, chunk, len, got: 0, moved: cx.now });
        conn.outstanding += u64::from(len);
        note_flight(body, chunk, at, rid);
        body.asked_at = cx.now;
        self.reserve(&id, u64::from(len));
        self.count_turn(at, id, u64::from(len));
        cx.send(at, PeerMsg::Request { handle, rid, chunk, off: 0, len });
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
        let received = match &asked {
            Asked::Chunk { got, .. } => u64::from(*got),
            _ => 0,
        };
        let freed = self.undo(cx, at, rid, &asked);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.recalled.remove(&rid);
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
        let recalled_for = conn.recalled.get(&rid).copied();
        let peer = conn.peer;
        let Some(asked) = self.take_back(cx, at, rid) else { return };
        let wasted = Self::half_answered(std::iter::once(&asked));
        self.note_waste(cx, at, peer, wasted);
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
                    link.hashless_until = cx.now + super::hashes::HASHLESS;
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
            let runs = [common::wire::peer::Run { start: chunk, len: 1 }];
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

/// The chunk after the run that begins at the start, if there is one.
pub(super) fn first_missing(have: &common::chunk_set::ChunkSet) -> u32 {
    have.runs().next().filter(|run| run.start == 0).map_or(0, |run| run.end)
}

pub(super) fn note_flight(body: &mut Body, chunk: u32, at: ConnId, rid: u32) {
    body.picker.remove(chunk);
    body.census.touch(chunk);
    let flight = body.flights.entry(chunk).or_insert_with(|| Flight {
        asked: Vec::with_capacity(1),
        verifying: None,
        moves: 0,
    });
    flight.asked.push((at, rid));
}
