//! Which chunk is asked of a source.

use common::id::ContentId;
use common::limits::{MAX_REQ_ANY, MAX_REQ_ANY_EXCLUDES};
use common::numbers::saturate;
use common::wire::peer::PeerMsg;

use super::body::{Body, Flight};
use super::conn::Asked;
use super::event::ConnId;
use super::link::Has;
use super::node::{Cx, Node};

/// The first chunks of a newcomer are random: it has something to give soon.
const RANDOM_FIRST: u32 = 4;
/// Several complete sources choose only while there are so many times more connections.
const MOSTLY_INCOMPLETE: usize = 4;
/// Sources asked for one chunk at once, at most.
const MAX_ASKED: usize = 2;

impl Node {
    /// Lets a complete source choose (uploader-side assignment of first copies). True if asked.
    pub(super) fn ask_any(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (assign, most) = (self.cfg.assign, MAX_REQ_ANY);
        let Some(content) = self.contents.get(&id) else { return false };
        if !content.links.get(&at).is_some_and(|link| matches!(link.has, Has::All)) {
            return false;
        }
        if !self.direct_instead(cx.now, at, content).is_empty() {
            return false;
        }
        let depth = self.depth(cx.now, at, content);
        let may_have = self.budget_for(content);
        let one_by_one = self.shaping.is_mixed() || self.shaping.is_limited(content);
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
        let most = if one_by_one { 1 } else { most };
        let count = usize::try_from(room.min(budget)).unwrap_or(most).min(most).min(left);
        if count == 0 {
            return false;
        }
        conn.wake(cx.now);
        body.asked_at = cx.now;
        let first = conn.next_rid;
        for _ in 0..count {
            let rid = conn.rid();
            let len = saturate::<u32>(usual);
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
        let Some(content) = self.contents.get(&id) else { return false };
        let direct = self.direct_instead(cx.now, at, content);
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_ref()) else {
            return false;
        };
        // What the source was asked to choose is as good as chosen.
        let any = self.conns.get(&at).map_or(0, |conn| conn.any_pending(&id));
        if any > 0 && any >= body.picker.pickable() {
            return false;
        }
        let has =
            |at: &ConnId, chunk| content.links.get(at).is_some_and(|link| link.has.contains(chunk));
        let usable =
            |chunk: u32| link.has.contains(chunk) && !direct.iter().any(|other| has(other, chunk));
        let picked = if link.dry == Some(body.offers) {
            None
        } else if content.policy.sequential {
            body.picker.pick_first(first_missing(&body.have), usable)
        } else if body.have.count() < RANDOM_FIRST {
            body.picker.pick_random(usable, &mut self.rng)
        } else {
            body.picker.pick(usable, &mut self.rng)
        };
        if picked.is_none() && direct.is_empty() {
            let offers = body.offers;
            let link = self.contents.get_mut(&id).and_then(|content| content.links.get_mut(&at));
            if let Some(link) = link {
                link.dry = Some(offers);
            }
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
            self.reassign(cx, at, id);
            return false;
        };
        let moves = self.unburden(cx, id, chunk);
        self.request(cx, at, id, chunk);
        if let Some(flight) = self.body_mut(&id).and_then(|body| body.flights.get_mut(&chunk)) {
            flight.moves = moves;
        }
        true
    }

    /// Another source takes over a chunk. Who has not begun to send it need not; of those who have, one
    /// may go on: several slow ones together cannot keep a chunk. Says how often it has moved then.
    fn unburden(&mut self, cx: &mut Cx<'_>, id: ContentId, chunk: u32) -> u8 {
        let now = cx.now;
        let body = self.contents.get(&id).and_then(|content| content.body.as_ref());
        let usual = body.map_or(0, Body::usual_len);
        let Some(flight) = body.and_then(|body| body.flights.get(&chunk)) else { return 0 };
        let moves = flight.moves.saturating_add(1);
        let (kept, mut gone): (Vec<_>, Vec<_>) =
            flight.asked.iter().copied().partition(|(at, rid)| self.has_begun(*at, *rid));
        let ours = self.limit_delay();
        let eta = |at: &ConnId, rid: &u32| {
            let conn = self.conns.get(at)?;
            conn.eta(now, ours, conn.requests.get(rid)?, usual)
        };
        let mut kept: Vec<_> = kept
            .into_iter()
            .map(|(at, rid)| (eta(&at, &rid).unwrap_or(f64::MAX), at, rid))
            .collect();
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        gone.extend(kept.into_iter().skip(MAX_ASKED - 1).map(|(_, at, rid)| (at, rid)));
        for (at, rid) in gone {
            self.cancel(cx, at, rid);
        }
        moves
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
}

/// The chunk after the run that begins at the start, if there is one.
pub(super) fn first_missing(have: &common::chunk_set::ChunkSet) -> u32 {
    have.runs().next().filter(|run| run.start == 0).map_or(0, |run| run.end)
}

pub(super) fn note_flight(body: &mut Body, chunk: u32, at: ConnId, rid: u32) {
    body.picker.remove(chunk);
    body.stats.touch(chunk);
    let flight = body.flights.entry(chunk).or_insert_with(|| Flight {
        asked: Vec::with_capacity(1),
        verifying: None,
        moves: 0,
    });
    flight.asked.push((at, rid));
}
