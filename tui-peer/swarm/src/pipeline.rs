//! How much is asked of whom at once: a source's rate times the delay, within a byte budget that all
//! contents share.

use common::id::ContentId;
use common::limits::MAX_LIVE_REQUESTS;

use super::content::{Body, Content};
use super::event::ConnId;
use super::line::Step;
use super::node::{Cx, Node};
use super::time::Time;

/// The part of the budget (one in so many) kept for contents that use less than their share.
const KEPT: u64 = 4;
/// Bytes that a slow source still has to send at least when it is asked for its next chunk: at the rate of
/// one whose chunks of 4 MiB take four seconds, a round trip of 60 ms.
const SLOW_AHEAD: u64 = 64 << 10;

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
        let usual = content.body.as_ref().map_or(0, Body::usual_len);
        if self.budget_for(content) < usual * links.len() as u64 {
            // It does not hold something for all of them: who has nothing to do comes first.
            links.sort_by_key(|at| self.conns.get(at).is_some_and(|conn| conn.pending() > 0));
        }
        for at in links {
            self.fill_link(cx, at, id);
        }
    }

    /// Keeps a source busy, rate × delay bytes outstanding, as far as it is this content's turn.
    pub(super) fn fill_link(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        self.fetch_hashes(cx, at, id);
        self.line_up(at, id);
        self.has_room(at);
    }

    /// Asks a source for one thing more of a content, if that makes sense.
    pub(super) fn ask_once(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> Step {
        match self.may_ask(cx, at, id) {
            Some(no) => no,
            None if self.ask_any(cx, at, id) || self.ask_chunk(cx, at, id) => Step::Asked,
            None => Step::Nothing,
        }
    }

    /// Why a source may not be asked for more of a content, if so.
    fn may_ask(&self, cx: &Cx<'_>, at: ConnId, id: ContentId) -> Option<Step> {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return Some(Step::Nothing);
        };
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_ref()) else {
            return Some(Step::Nothing);
        };
        // Whom to do without is a matter of whom else there is.
        let does_without = || {
            let mut others = content.links.iter().filter(|(other, _)| **other != at);
            others.any(|(_, link)| link.down.get(cx.now) >= 1.0)
        };
        let resting = !content.is_active()
            || content.rest_until > cx.now
            || (conn.rests_until > cx.now && does_without());
        if resting || !link.is_open() {
            return Some(Step::Nothing);
        }
        let usual = body.usual_len();
        let pending = conn.pending();
        if conn.busy.is_some_and(|(until, _)| until > cx.now) {
            return Some(Step::Full);
        }
        if let Some(until) = conn.snubbed_until {
            // One request now and then shows whether it has come back to life.
            if until > cx.now || pending > 0 {
                return Some(Step::Full);
            }
        }
        if pending > 0 && conn.is_overdue(cx.now, self.limit_delay()) {
            return Some(Step::Full);
        }
        let deep = |bytes: u64| bytes <= self.depth(cx.now, at, content).min(conn.max_queued);
        let room = pending == 0 || deep(conn.outstanding + usual);
        if !room || pending >= MAX_LIVE_REQUESTS {
            return Some(Step::Full);
        }
        let held = !self.may_pace(cx.now, content) || !self.may_reserve(content, usual);
        held.then_some(Step::Held)
    }

    /// Whether the byte budget lets a content ask for more. The last part of it is kept for contents
    /// that use less than their share, so that one fast download never keeps out the others.
    pub(super) fn may_reserve(&self, content: &Content, bytes: u64) -> bool {
        let share = self.part_of(self.cfg.budget, content);
        let modest = content.outstanding == 0 || content.outstanding + bytes <= share;
        let kept = if modest { 0 } else { self.cfg.budget / KEPT };
        // A chunk larger than the budget must be possible: then it is the only one.
        self.outstanding + bytes <= self.cfg.budget - kept || self.outstanding == 0
    }

    /// Bytes a content may ask for beyond what it has asked, by the same rule.
    pub(super) fn budget_for(&self, content: &Content) -> u64 {
        let share = self.part_of(self.cfg.budget, content);
        let own = share.saturating_sub(content.outstanding);
        let common = (self.cfg.budget - self.cfg.budget / KEPT).saturating_sub(self.outstanding);
        own.max(common).min(self.cfg.budget.saturating_sub(self.outstanding))
    }

    /// Outstanding bytes that keep a source busy: its rate times the delay, and at the start, when the
    /// rate is not known, its part of a window shared by all sources of the content. Without sharing,
    /// many sources of a small content would soon have been asked for all of it, and what is asked
    /// early is asked of the wrong peer (64 peers, 128 MiB: 1.67 of the bound, shared 1.3).
    pub(super) fn depth(&self, now: Time, at: ConnId, content: &Content) -> u64 {
        let Some(conn) = self.conns.get(&at) else { return 0 };
        let time = (conn.rtt() * 2 + self.cfg.depth_time).as_secs_f64();
        // TCP sends twice as much in each round trip until it is as fast as it can be: that must be asked for.
        let growing = conn.per_round.get(now, conn.rtt()) * 2;
        let bytes = ((conn.down.get(now) * time) as u64).max(growing);
        let usual = content.body.as_ref().map_or(0, Body::usual_len);
        if conn.is_slow(now, usual) {
            // The chunk it is at, and when that is nearly here, the next: all share one byte budget, and one
            // that trickles must not hold more of it than need be.
            return usual + bytes.clamp(SLOW_AHEAD.min(usual), usual);
        }
        // Who has sent no whole chunk yet may be one of those.
        let chunks = if conn.pace.0 > 0.0 { 2 * usual } else { usual };
        let bytes = bytes.min(self.cfg.max_depth).max(chunks);
        if bytes >= self.cfg.min_depth {
            return bytes;
        }
        // Of more sources the part is no more than that: this is asked at every turn, and a crowd is large.
        let enough = self.cfg.start_depth / bytes.max(1) + 1;
        let open = content.links.values().filter(|link| link.is_open());
        let sources = open.take(usize::try_from(enough).unwrap_or(usize::MAX)).count() as u64;
        bytes.max((self.cfg.start_depth / sources.max(1)).min(self.cfg.min_depth))
    }
}
