//! Contents come, change and go.

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::availability::tell_lost;
use super::body::Body;
use super::conn::Asked;
use super::content::Content;
use super::event::{ConnId, Output, Ready};
use super::node::{Cx, Node};
use super::pace::Pace;
use super::policy::{NORMAL_WEIGHT, Policy};
use super::runs::wire_runs;

impl Node {
    pub(super) fn add_content(&mut self, cx: &mut Cx<'_>, id: ContentId, ready: Option<Ready>) {
        self.contents.entry(id).or_insert_with(|| Box::new(Content::new(cx.now)));
        self.live.insert(id);
        if let Some(ready) = ready {
            self.content_ready(cx, id, ready);
        }
        self.timers.tick_by(cx.now + super::tick::BUSY);
    }

    pub(super) fn content_ready(&mut self, cx: &mut Cx<'_>, id: ContentId, ready: Ready) {
        // What was asked for by an earlier state of things is of no use to this one.
        self.cancel_requests(cx, |asked| asked.id() == id);
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.descriptor = Some(ready.descriptor);
        content.manifest = None;
        let mut body = Body::new(ready);
        // The chunks are the same: whoever looks goes on seeing who sent them.
        if let Some(old) = &mut content.body {
            body.senders = std::mem::take(&mut old.senders);
            if old.stats.is_watched() {
                body.stats.watch();
            }
        }
        let chunks = body.layout.chunks();
        for (at, link) in &mut content.links {
            body.count_has(*at, &link.has);
        }
        let doubts = body.checkable(body.doubted.iter());
        if !doubts.is_empty() {
            cx.out.push(Output::CheckDoubted { id, chunks: doubts });
        }
        let was_waiting = content.body.replace(body).is_none();
        content.completed = false;
        self.live.insert(id);
        let peers: Vec<(ConnId, u16)> = content.links.iter().map(|(c, l)| (*c, l.handle)).collect();
        for (conn, handle) in peers {
            if !self.read_unread(cx, conn, id, chunks) {
                continue;
            }
            // They opened it before we knew what we have.
            if was_waiting {
                self.tell_have(cx, conn, handle, id);
            }
        }
        self.recount(cx, id);
        // Data that a crash left complete, or an empty file, needs nobody.
        self.maybe_completed(cx, id);
        self.dial_for(cx, id);
        self.fill(cx, id);
    }

    /// How important a content is, in which order and how fast it comes.
    pub(super) fn set_policy(&mut self, cx: &mut Cx<'_>, id: ContentId, policy: Policy) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.pace = match (policy.down, content.pace) {
            (Some(rate), Some(pace)) if pace.rate() == rate => Some(pace),
            (Some(rate), _) => Some(Pace::new(rate, cx.now)),
            (None, _) => None,
        };
        content.policy = Policy { weight: policy.weight.max(1), ..policy };
        if let Some(body) = &mut content.body {
            // Another order, another first choice.
            body.offers += 1;
        }
        self.weigh();
        self.fill(cx, id);
    }

    /// Removes a content; connections with nothing else in common end by themselves.
    pub(super) fn remove_content(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        self.cancel_requests(cx, |asked| asked.id() == id);
        self.live.remove(&id);
        let Some(content) = self.contents.remove(&id) else { return };
        // Who takes thousands away need not have all others gone through for each.
        if content.up_limited || content.policy.weight != NORMAL_WEIGHT {
            self.weigh();
        }
        for (at, link) in &content.links {
            cx.send(*at, PeerMsg::Close { handle: link.handle });
            if let Some(conn) = self.conns.get_mut(at) {
                conn.handles.remove(&link.handle);
                conn.line.leave(id, link.turn);
                conn.idle_since = cx.now;
                let serving = conn.pipe_of.iter().filter(|(_, (of, _))| *of == id);
                for (rid, _) in serving {
                    cx.out.push(Output::StopServing { conn: *at, rid: *rid });
                }
            }
            self.drop_queued(cx, *at, id, Code::Gone);
        }
        for conn in self.conns.values_mut() {
            conn.opening.retain(|_, (opening, _)| *opening != id);
        }
    }

    pub(super) fn change_wanted(&mut self, cx: &mut Cx<'_>, id: ContentId, wanted: ChunkSet) {
        let Some(body) = self.body_mut(&id) else { return };
        body.want(wanted);
        let lacks = body.wanted.clone();
        self.live.insert(id);
        self.cancel_requests(cx, |asked| {
            matches!(asked, Asked::Chunk { id: of, chunk, .. } if *of == id && !lacks.contains(*chunk))
        });
        if let Some(content) = self.contents.get_mut(&id) {
            content.completed = false;
        }
        self.recount(cx, id);
        self.maybe_completed(cx, id);
        self.fill(cx, id);
    }

    pub(super) fn change_paused(&mut self, cx: &mut Cx<'_>, id: ContentId, paused: bool) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        if content.paused == paused {
            return;
        }
        content.paused = paused;
        self.live.insert(id);
        if paused {
            self.cancel_requests(cx, |asked| asked.is_chunk_of(id));
        } else {
            content.ask_at = cx.now;
            content.asked = 0;
        }
        self.recount(cx, id);
        self.dial_for(cx, id);
        self.fill(cx, id);
        self.timers.tick_by(cx.now + super::tick::BUSY);
    }

    /// Doubted chunks were read again: those that are right are as good as stored just now, the others
    /// are fetched.
    pub(super) fn doubts_settled(
        &mut self,
        cx: &mut Cx<'_>,
        id: ContentId,
        here: &ChunkSet,
        gone: &ChunkSet,
    ) {
        for chunk in here.iter() {
            let doubted = self.body_mut(&id).is_some_and(|body| body.doubted.remove(chunk));
            if doubted {
                self.chunk_stored(cx, id, chunk);
            }
        }
        let Some(body) = self.body_mut(&id) else { return };
        let mut offered = false;
        for chunk in gone.iter() {
            if body.doubted.remove(chunk) {
                body.offer(chunk);
                offered = true;
            }
        }
        if offered {
            self.live.insert(id);
            self.fill(cx, id);
        }
    }

    pub(super) fn chunks_lost(&mut self, cx: &mut Cx<'_>, id: ContentId, lost: &ChunkSet) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        content.completed = false;
        let mut runs = Vec::new();
        for run in lost.runs() {
            for chunk in run.clone() {
                body.have.remove(chunk);
                body.withheld.remove(&chunk);
                if let Some(sent) = &mut body.sent {
                    sent.remove(chunk);
                }
            }
            runs.extend(wire_runs(run));
        }
        let wanted = body.wanted.clone();
        body.want(wanted);
        self.live.insert(id);
        tell_lost(cx, &content.links, &runs);
        self.recount(cx, id);
        self.fill(cx, id);
    }
}
