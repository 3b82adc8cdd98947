//! Who has which chunks: theirs as they tell us, ours as we tell them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::limits::MAX_HAVE_RUNS;
use common::wire::Code;
use common::wire::peer::{PeerMsg, Run};

use super::event::{ConnId, Notice};
use super::link::{Has, Link};
use super::node::{Cx, Node};
use super::runs::{are_runs_of, count_runs, runs_of, wire_runs};

/// Runs of HAVE kept while the layout of a content is not known yet.
const MAX_UNREAD_RUNS: usize = 4096;
/// Period over which a peer's changes of what it has are counted.
const CHURN_PERIOD: Duration = Duration::from_secs(60);
/// Changes allowed in it: so many passes over all chunks of a content,
const CHURN_PASSES: u64 = 8;
/// and in small contents so many.
const MAX_CHURN: u64 = 100_000;

impl Node {
    /// Sends our bitfield, if we have part of the content.
    pub(super) fn tell_have(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, id: ContentId) {
        let Some(body) = self.body_mut(&id) else { return };
        // Even when we have all: our OPEN may have said less.
        let offered = body.offered();
        if !offered.is_empty() {
            cx.send(at, PeerMsg::Bitfield { handle, set: offered.encode() });
        }
    }

    /// A chunk came in: others hear of it at once, or soon if they heard of some a moment ago.
    pub(super) fn spread_news(&mut self, cx: &mut Cx<'_>) {
        let delay = self.cfg.have_delay_to(self.conns.len());
        if self.timers.tells_at_once(cx.now, delay) {
            self.tell_all_news(cx);
        }
    }

    /// Tells what came in, of all contents.
    pub(super) fn tell_all_news(&mut self, cx: &mut Cx<'_>) {
        self.timers.told(cx.now);
        let has_news = |id: &&ContentId| {
            let body = self.contents.get(id).and_then(|content| content.body.as_ref());
            body.is_some_and(|body| !body.news.is_empty())
        };
        let ids: Vec<ContentId> = self.live.iter().filter(has_news).copied().collect();
        for id in ids {
            self.tell_news(cx, id);
        }
    }

    /// Tells everybody about chunks that came in: also those who have them, or they would assign us
    /// what we have and count too few copies.
    pub(super) fn tell_news(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        let mut news = std::mem::take(&mut body.news);
        news.retain(|chunk| body.offers(*chunk));
        news.sort_unstable();
        news.dedup();
        let runs = runs_of(&news);
        for part in runs.chunks(MAX_HAVE_RUNS) {
            for (at, link) in &content.links {
                let (handle, runs) = (link.handle, part.to_vec());
                cx.send(*at, PeerMsg::Have { handle, runs });
            }
        }
    }

    /// Chunks cannot be read: they are not offered again until they are stored anew.
    pub(super) fn withhold(&mut self, cx: &mut Cx<'_>, id: ContentId, chunks: Range<u32>) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        let mut new = false;
        let chunks = chunks.start..chunks.end.min(body.have.chunks());
        for chunk in chunks.clone() {
            new |= body.have.contains(chunk) && body.withheld.insert(chunk);
        }
        if !new {
            return;
        }
        let runs: Vec<Run> = wire_runs(chunks).collect();
        tell_lost(cx, &content.links, &runs);
    }

    /// Makes sense of what a peer said before we knew the layout. False if it made no sense.
    pub(super) fn read_unread(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        id: ContentId,
        chunks: u32,
    ) -> bool {
        let Some(content) = self.contents.get_mut(&id) else { return false };
        let Some(link) = content.links.get_mut(&at) else { return false };
        let Has::Unread { all, bitfield, runs } = &mut link.has else { return true };
        let (all, bitfield, runs) = (*all, bitfield.take(), std::mem::take(runs));
        let mut set = match (all, bitfield) {
            (true, _) => ChunkSet::full(chunks),
            (false, None) => ChunkSet::empty(chunks),
            (false, Some(bytes)) => match ChunkSet::decode(chunks, &bytes) {
                Ok(set) => set,
                Err(_) => {
                    self.fault(cx, at, "sent a bitfield that makes no sense");
                    return false;
                }
            },
        };
        for (start, len) in runs {
            set.insert_run(start, u32::from(len));
        }
        self.set_has(cx, at, id, set);
        true
    }

    /// Replaces what a peer has.
    fn set_has(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, set: ChunkSet) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_mut()) else {
            return;
        };
        let lacked = matches!(&link.has, Has::Some(had) if !had.is_complete());
        body.forget_has(at, link);
        if set.is_complete() {
            link.has = Has::All;
            body.seeds = body.seeds.saturating_add(1);
        } else {
            set.iter().for_each(|chunk| body.gained(at, chunk));
            link.has = Has::Some(set);
        }
        link.barren = false;
        link.dry = None;
        link.useful = body.useful(&link.has);
        self.note_complete(cx, at, id, lacked);
        self.update_interest(cx, at, id);
    }

    /// Tells of a peer that has all, if we have all too.
    fn note_complete(&self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, fetched: bool) {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return;
        };
        let ours = content.body.as_ref().is_some_and(|body| body.have.is_complete());
        if ours && content.links.get(&at).is_some_and(|link| link.has.is_all()) {
            cx.notice(Notice::HasAll { id, peer: conn.peer, fetched });
        }
    }

    pub(super) fn on_bitfield(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, set: Vec<u8>) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let chunks = content.body.as_ref().map(|body| body.layout.chunks());
        let Some(link) = content.links.get_mut(&at) else { return };
        match chunks {
            None => {
                if let Has::Unread { bitfield, .. } = &mut link.has {
                    *bitfield = Some(set);
                }
            }
            Some(chunks) => match ChunkSet::decode(chunks, &set) {
                Ok(set) => {
                    if !self.may_churn(cx, at, chunks, chunks) {
                        return;
                    }
                    let Some(content) = self.contents.get_mut(&id) else { return };
                    let Some(link) = content.links.get(&at) else { return };
                    let news = !link.has.is_all() && set.count() > 0;
                    self.set_has(cx, at, id, set);
                    if news {
                        self.source_joined(cx, at, id);
                    }
                }
                Err(_) => self.fault(cx, at, "sent a bitfield that makes no sense"),
            },
        }
        self.fill(cx, id);
    }

    pub(super) fn on_have(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, runs: &[Run]) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(link) = content.links.get_mut(&at) else { return };
        let Some(body) = content.body.as_mut() else {
            if let Has::Unread { runs: kept, .. } = &mut link.has {
                kept.extend(runs.iter().map(|run| (run.start, run.len)));
                if kept.len() > MAX_UNREAD_RUNS {
                    self.close(cx, at, Code::Limit, "too many HAVEs at once");
                }
            }
            return;
        };
        let chunks = body.layout.chunks();
        if !are_runs_of(runs, chunks) {
            return self.fault(cx, at, "has chunks that do not exist");
        }
        if !self.may_churn(cx, at, count_runs(runs), chunks) {
            return;
        }
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_mut()) else {
            return;
        };
        link.barren = false;
        link.dry = None;
        if let Has::Some(set) = &mut link.has {
            for run in runs {
                for chunk in run.start..run.start + u32::from(run.len) {
                    if set.insert(chunk) {
                        body.gained(at, chunk);
                        link.useful += u32::from(body.lacks(chunk));
                    }
                }
            }
            if set.is_complete() {
                body.forget_has(at, link);
                link.has = Has::All;
                body.count_has(at, &link.has);
                link.useful = body.useful(&link.has);
                self.note_complete(cx, at, id, true);
            }
        }
        self.update_interest(cx, at, id);
        self.fill_link(cx, at, id);
    }

    pub(super) fn on_dont_have(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, runs: &[Run]) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_mut()) else {
            return;
        };
        let chunks = body.layout.chunks();
        if !are_runs_of(runs, chunks) {
            return self.fault(cx, at, "lost chunks that do not exist");
        }
        let whole = matches!(link.has, Has::All);
        let changes = count_runs(runs).saturating_add(if whole { chunks } else { 0 });
        if !self.may_churn(cx, at, changes, chunks) {
            return;
        }
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_mut()) else {
            return;
        };
        if whole {
            body.forget_has(at, link);
            link.has = Has::Some(ChunkSet::full(chunks));
            body.count_has(at, &link.has);
            link.useful = body.useful(&link.has);
        }
        if let Has::Some(set) = &mut link.has {
            for chunk in runs.iter().flat_map(|run| run.start..run.start + u32::from(run.len)) {
                if set.remove(chunk) {
                    body.lost(at, chunk);
                    link.useful -= u32::from(body.lacks(chunk)).min(link.useful);
                }
            }
        }
        self.update_interest(cx, at, id);
        if let Some(conn) = self.conns.get(&at) {
            cx.notice(Notice::Withdrew { id, peer: conn.peer });
        }
    }

    /// Counts changes to what a peer has; one that changes its mind all the time is closed.
    fn may_churn(&mut self, cx: &mut Cx<'_>, at: ConnId, changes: u32, chunks: u32) -> bool {
        let Some(conn) = self.conns.get_mut(&at) else { return false };
        if cx.now.since(conn.churn.0) >= CHURN_PERIOD {
            conn.churn = (cx.now, 0);
        }
        conn.churn.1 += u64::from(changes);
        let fine = conn.churn.1 <= MAX_CHURN.max(CHURN_PASSES * u64::from(chunks));
        if !fine {
            self.fault(cx, at, "changes its mind about its chunks too often");
        }
        fine
    }

    /// Counts again what each peer has that we want, and tells it whether we are interested.
    pub(super) fn recount(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_ref() else { return };
        for link in content.links.values_mut() {
            link.useful = body.useful(&link.has);
            link.barren = false;
            link.dry = None;
        }
        let conns: Vec<ConnId> = content.links.keys().copied().collect();
        for at in conns {
            self.update_interest(cx, at, id);
        }
    }

    /// Says WANT when that changed.
    pub(super) fn update_interest(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (paused, known) = (content.paused, content.body.is_some());
        let Some(link) = content.links.get_mut(&at) else { return };
        let want = (link.useful > 0 || !known) && !paused;
        if want != link.interested {
            link.interested = want;
            let handle = link.handle;
            cx.send(at, PeerMsg::Want { handle, want });
        }
    }

    pub(super) fn source_joined(&self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return;
        };
        if content.is_active()
            && let Some(link) = content.links.get(&at)
        {
            let have = match (&link.has, &content.body) {
                (Has::All, Some(body)) => body.layout.chunks(),
                (Has::Some(set), _) => set.count(),
                _ => 0,
            };
            cx.notice(Notice::SourceJoined { id, peer: conn.peer, have });
        }
    }
}

/// Tells everybody that has a content open that these chunks are not to be had here any more.
pub(super) fn tell_lost(cx: &mut Cx<'_>, links: &BTreeMap<ConnId, Link>, runs: &[Run]) {
    for (at, link) in links {
        for part in runs.chunks(MAX_HAVE_RUNS) {
            let (handle, runs) = (link.handle, part.to_vec());
            cx.send(*at, PeerMsg::DontHave { handle, runs });
        }
    }
}
