//! Serving: what peers ask of us, and in which order it goes out.

use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::limits::{MAX_LIVE_REQUESTS, MAX_QUEUED_BYTES, REQUEST_ALIGN};
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::answers::Verdict;
use super::assign::choose;
use super::conn::{Conn, Wanted};
use super::event::{ConnId, Output};
use super::node::{Cx, Node};

impl Node {
    pub(super) fn on_want(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, want: bool) {
        let Some(id) = self.by_handle(at, handle) else { return };
        if let Some(link) = self.contents.get_mut(&id).and_then(|c| c.links.get_mut(&at)) {
            link.interesting = want;
        }
        self.fill_slots(cx);
    }

    pub(super) fn on_request(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        rid: u32,
        (chunk, off, len): (u32, u32, u32),
    ) {
        let reject = |cx: &mut Cx<'_>, code| cx.send(at, PeerMsg::Reject { rid, code });
        let Some(id) = self.by_handle(at, handle) else { return reject(cx, Code::Gone) };
        let Some(content) = self.contents.get(&id) else { return reject(cx, Code::Gone) };
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_ref()) else {
            return reject(cx, Code::Gone);
        };
        let whole = body.len(chunk);
        let end = off.checked_add(len);
        let aligned = off.is_multiple_of(REQUEST_ALIGN)
            && (len.is_multiple_of(REQUEST_ALIGN) || end == Some(whole));
        if len == 0 || !aligned || end.is_none_or(|end| end > whole) {
            return self.fault(cx, at, "asked for bytes that do not exist");
        }
        if link.choking {
            return reject(cx, Code::Choked);
        }
        if !body.offers(chunk) {
            return reject(cx, Code::Gone);
        }
        let chunks = body.layout.chunks();
        if let Some(link) = self.contents.get_mut(&id).and_then(|c| c.links.get_mut(&at)) {
            // A REQ_ANY that crossed this request must not bring the same chunk.
            link.assigned.get_or_insert_with(|| ChunkSet::empty(chunks)).insert(chunk);
        }
        self.enqueue(cx, at, Wanted::Chunk { rid, id, chunk, off, len });
    }

    pub(super) fn on_req_any(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        rid: u32,
        count: u8,
        except: &Arc<[u32]>,
    ) {
        let id = self.by_handle(at, handle);
        let link = id.and_then(|id| self.contents.get(&id)?.links.get(&at));
        let code = match link {
            None => Some(Code::Gone),
            Some(link) if link.choking => Some(Code::Choked),
            Some(_) => None,
        };
        for rid in (0..u32::from(count)).map(|i| rid.wrapping_add(i)) {
            match (code, id) {
                (None, Some(id)) => {
                    self.enqueue(cx, at, Wanted::Any { rid, id, except: except.clone() });
                }
                (code, _) => {
                    let code = code.unwrap_or(Code::Gone);
                    cx.send(at, PeerMsg::Reject { rid, code });
                }
            }
        }
    }

    /// Whether a question is answered whose answer is of so many bytes; counts it. Who only asks to make work
    /// loses the connection.
    pub(super) fn may_answer(&mut self, cx: &mut Cx<'_>, at: ConnId, bytes: u64) -> bool {
        let lately = |conn: &Conn| conn.questions.lately();
        let own = self.conns.get(&at).map_or(0, lately);
        let fair = self.answers.is_fair(cx.now, own, self.conns.values().map(lately));
        let Some(conn) = self.conns.get_mut(&at) else { return false };
        let verdict = conn.questions.ask(cx.now, bytes, fair);
        match verdict {
            Verdict::Answered => self.answers.count(bytes),
            Verdict::Refused => {}
            Verdict::Flood => self.fault(cx, at, "asks without end"),
        }
        verdict == Verdict::Answered
    }

    pub(super) fn enqueue(&mut self, cx: &mut Cx<'_>, at: ConnId, wanted: Wanted) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let rid = wanted.rid();
        let queued: u64 = conn
            .queue
            .iter()
            .map(|w| match w {
                Wanted::Chunk { len, .. } | Wanted::Meta { len, .. } => u64::from(*len),
                Wanted::Any { .. } => 0,
            })
            .sum();
        let twice = conn.in_pipe.contains_key(&rid) || conn.queue.iter().any(|w| w.rid() == rid);
        if twice || conn.queue.len() >= MAX_LIVE_REQUESTS * 2 || queued > MAX_QUEUED_BYTES {
            return self.fault(cx, at, "asked for more than we allow");
        }
        conn.queue.push_back(wanted);
        self.pump(cx);
    }

    /// Hands what waits at a connection to its writer, if it is its turn and there is room.
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>) {
        while let Some((at, which)) = self.next_turn(cx.now) {
            let Some(wanted) = self.conns.get_mut(&at).and_then(|conn| conn.queue.remove(which))
            else {
                return;
            };
            self.start(cx, at, wanted);
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>, at: ConnId, wanted: Wanted) {
        match wanted {
            Wanted::Chunk { rid, id, chunk, off, len } => {
                if self.body_mut(&id).is_some_and(|body| body.offers(chunk)) {
                    self.hand_over(cx, at, rid, id, chunk, off, len);
                } else {
                    // Lost while it waited.
                    cx.send(at, PeerMsg::Reject { rid, code: Code::Gone });
                }
            }
            Wanted::Meta { rid, id, off, len } => {
                self.put_in_pipe(cx.now, at, id, rid, len);
                cx.out.push(Output::ServeManifest { conn: at, rid, id, off, len });
            }
            Wanted::Any { rid, id, except } => match self.choose(at, id, &except) {
                Some(chunk) => {
                    let len = self.body_mut(&id).map_or(0, |body| body.len(chunk));
                    cx.send(at, PeerMsg::Assign { rid, chunk });
                    self.hand_over(cx, at, rid, id, chunk, 0, len);
                }
                None => cx.send(at, PeerMsg::Reject { rid, code: Code::Gone }),
            },
        }
    }

    /// A chunk for a peer that takes any.
    fn choose(&mut self, at: ConnId, id: ContentId, except: &[u32]) -> Option<u32> {
        let content = self.contents.get_mut(&id)?;
        choose(content.body.as_mut()?, content.links.get_mut(&at)?, except, &mut self.rng)
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one output")]
    fn hand_over(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        rid: u32,
        id: ContentId,
        chunk: u32,
        off: u32,
        len: u32,
    ) {
        self.put_in_pipe(cx.now, at, id, rid, len);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.pipe_of.insert(rid, (id, chunk));
        }
        if let Some(body) = self.body_mut(&id) {
            body.count_sent(chunk);
        }
        cx.out.push(Output::Serve { conn: at, rid, id, chunk, off, len });
    }

    pub(super) fn on_cancel(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if let Some(i) = conn.queue.iter().position(|wanted| wanted.rid() == rid) {
            conn.queue.remove(i);
            cx.send(at, PeerMsg::Reject { rid, code: Code::Cancelled });
        } else if conn.in_pipe.contains_key(&rid) {
            cx.out.push(Output::StopServing { conn: at, rid });
        }
    }

    pub(super) fn served(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if let Some(len) = conn.out_of_pipe(cx.now, rid) {
            conn.up.add(cx.now, len);
            conn.recent_up += len;
            self.uplink.served(cx.now, len);
            if let Some((id, _)) = conn.pipe_of.remove(&rid)
                && let Some(content) = self.contents.get_mut(&id)
            {
                content.up.add(cx.now, len);
                if let Some(link) = content.links.get_mut(&at) {
                    link.up.add(cx.now, len);
                }
            }
        }
        self.pump(cx);
    }

    pub(super) fn serve_failed(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let of = conn.pipe_of.remove(&rid);
        if conn.out_of_pipe(cx.now, rid).is_some() {
            cx.send(at, PeerMsg::Reject { rid, code });
        }
        if let (Some((id, chunk)), Code::Gone) = (of, code) {
            self.withhold(cx, id, chunk..chunk.saturating_add(1));
        }
        self.pump(cx);
    }

    /// Rejects what a peer has queued of a content.
    pub(super) fn drop_queued(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let (drop, keep): (Vec<_>, Vec<_>) = std::mem::take(&mut conn.queue)
            .into_iter()
            .partition(|wanted| wanted.id() == id && !matches!(wanted, Wanted::Meta { .. }));
        conn.queue = keep.into();
        for wanted in drop {
            cx.send(at, PeerMsg::Reject { rid: wanted.rid(), code });
        }
    }
}
