//! Sources are kept busy: contents wait for their turn at each, and who has room is asked for what waits there.

use common::id::ContentId;
use common::limits::MAX_LIVE_REQUESTS;

use super::body::Body;
use super::event::ConnId;
use super::line::Step;
use super::node::{Cx, Node};

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
        let held = !self.shaping.may_ask(cx.now, self.outstanding, content)
            || !self.may_reserve(content, usual);
        held.then_some(Step::Held)
    }

    /// Asks the sources that have room for what waits there.
    pub(super) fn refill(&mut self, cx: &mut Cx<'_>) {
        // Taking a chunk over from another source makes room there: that is for the next time.
        for at in std::mem::take(&mut self.roomy) {
            if let Some(conn) = self.conns.get_mut(&at) {
                conn.roomy = false;
                self.refill_conn(cx, at);
            }
        }
    }

    fn refill_conn(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        while let Some(id) = self.conns.get(&at).and_then(|conn| conn.line.next()) {
            match self.ask_once(cx, at, id) {
                Step::Asked => self.line_up(at, id),
                // Nobody passes: one with large chunks would always find room before one with small ones.
                Step::Full => return self.line_up(at, id),
                // What is held is put back in line by the next tick, or by what arrives of it.
                Step::Nothing | Step::Held => {
                    if let Some(conn) = self.conns.get_mut(&at) {
                        conn.line.pass(id);
                    }
                }
            }
        }
    }
}
