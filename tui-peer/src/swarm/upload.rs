//! Serving: what peers ask of us, in which order it goes out, and which chunk goes out when the choice
//! is ours.

use std::sync::Arc;

use common::id::ContentId;
use common::limits::{MAX_DATA_LEN, MAX_LIVE_REQUESTS, MAX_QUEUED_BYTES, REQUEST_ALIGN};
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Wanted;
use super::content::Has;
use super::event::{ConnId, Output};
use super::node::{Cx, Node};

/// Requests handed to a writer at least, however large: the disk reads one while the other is sent.
const MIN_PIPED: usize = 2;
/// Chunks compared when we choose which goes out next.
const CHOICES: usize = 64;

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
        if !body.have.contains(chunk) {
            return reject(cx, Code::Gone);
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
        except: Arc<[u32]>,
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

    pub(super) fn on_meta_req(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        rid: u32,
        off: u32,
        len: u32,
    ) {
        let size = self.by_handle(at, handle).and_then(|id| {
            let content = self.contents.get(&id)?;
            content.body.as_ref()?;
            Some((id, content.descriptor?.size))
        });
        let code = match size {
            Some(_) if !self.allow_cheap(cx, at) => Code::Rate,
            Some((id, size)) => {
                let end = u64::from(off) + u64::from(len);
                if len == 0 || len as usize > MAX_DATA_LEN || end > size {
                    return self.fault(cx, at, "asked for manifest bytes that do not exist");
                }
                return self.enqueue(cx, at, Wanted::Meta { rid, id, off, len });
            }
            None => Code::Gone,
        };
        cx.send(at, PeerMsg::Reject { rid, code });
    }

    fn enqueue(&mut self, cx: &mut Cx<'_>, at: ConnId, wanted: Wanted) {
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
        self.pump(cx, at);
    }

    /// Hands requests to the writer, as many as keep it busy.
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(&at) else { return };
            if conn.piped() >= self.cfg.pipe && conn.in_pipe.len() >= MIN_PIPED {
                return;
            }
            let Some(wanted) = conn.queue.pop_front() else { return };
            match wanted {
                Wanted::Chunk { rid, id, chunk, off, len } => {
                    self.hand_over(cx, at, rid, id, chunk, off, len);
                }
                Wanted::Meta { rid, id, off, len } => {
                    conn.in_pipe.insert(rid, u64::from(len));
                    cx.out.push(Output::ServeManifest { conn: at, rid, id, off, len });
                }
                Wanted::Any { rid, id, except } => match self.choose(at, id, &except) {
                    Some(chunk) => {
                        let len = self.body_mut(&id).map_or(0, |body| body.len(chunk));
                        cx.send(at, PeerMsg::Assign { rid, chunk });
                        if let Some(conn) = self.conns.get_mut(&at) {
                            conn.assigned.insert((id, chunk));
                        }
                        self.hand_over(cx, at, rid, id, chunk, 0, len);
                    }
                    None => cx.send(at, PeerMsg::Reject { rid, code: Code::Gone }),
                },
            }
        }
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
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.in_pipe.insert(rid, u64::from(len));
            conn.pipe_of.insert(rid, id);
        }
        if let Some(body) = self.body_mut(&id) {
            if body.sent.is_empty() {
                body.sent = vec![0; body.layout.chunks() as usize];
            }
            if let Some(sent) = body.sent.get_mut(chunk as usize) {
                *sent = sent.saturating_add(1);
            }
        }
        cx.out.push(Output::Serve { conn: at, rid, id, chunk, off, len });
    }

    /// The chunk that helps the swarm most: the one we sent least often, then the one fewest have,
    /// among some that the peer lacks (uploader-side assignment, protocol.md 6).
    fn choose(&mut self, at: ConnId, id: ContentId, except: &[u32]) -> Option<u32> {
        let content = self.contents.get_mut(&id)?;
        let (link, body) = (content.links.get(&at)?, content.body.as_mut()?);
        let conn = self.conns.get(&at)?;
        let chunks = body.layout.chunks();
        if chunks == 0 || link.has.is_all() {
            return None;
        }
        if body.sent.is_empty() {
            body.sent = vec![0; chunks as usize];
        }
        let usable = |chunk: u32| {
            body.have.contains(chunk)
                && !link.has.contains(chunk)
                && !except.contains(&chunk)
                && !conn.assigned.contains(&(id, chunk))
        };
        let cost = |chunk: u32| {
            let sent = body.sent.get(chunk as usize).copied().unwrap_or(0);
            (sent, body.copies(chunk))
        };
        // From a random start, so that many peers asking at once get different chunks. The search ends
        // at a chunk never sent, or after enough usable ones.
        let start = self.rng.u32(..chunks);
        let mut best: Option<((u16, u16), u32)> = None;
        let mut seen = 0;
        for chunk in (start..chunks).chain(0..start) {
            if !usable(chunk) {
                continue;
            }
            let cost = cost(chunk);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, chunk));
            }
            seen += 1;
            if cost == (0, 0) || (seen >= CHOICES && body.least_sent_is(cost.0)) {
                break;
            }
        }
        best.map(|(_, chunk)| chunk)
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
        if let Some(len) = conn.in_pipe.remove(&rid) {
            conn.up.add(cx.now, len);
            conn.recent_up += len;
            if let Some(id) = conn.pipe_of.remove(&rid)
                && let Some(content) = self.contents.get_mut(&id)
            {
                content.up.add(cx.now, len);
                if let Some(link) = content.links.get_mut(&at) {
                    link.up.add(cx.now, len);
                }
            }
        }
        self.pump(cx, at);
    }

    pub(super) fn serve_failed(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        conn.pipe_of.remove(&rid);
        if conn.in_pipe.remove(&rid).is_some() {
            cx.send(at, PeerMsg::Reject { rid, code });
        }
        self.pump(cx, at);
    }

    /// Rejects what a peer has queued of a content.
    pub(super) fn drop_queued(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let (drop, keep): (Vec<_>, Vec<_>) =
            std::mem::take(&mut conn.queue).into_iter().partition(|wanted| {
                wanted.id() == id && !matches!(wanted, Wanted::Meta { .. })
            });
        conn.queue = keep.into();
        for wanted in drop {
            cx.send(at, PeerMsg::Reject { rid: wanted.rid(), code });
        }
    }

    /// Tells everybody who lacks them about chunks that came in.
    pub(super) fn tell_news(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        if body.news.is_empty() {
            return;
        }
        let mut news = std::mem::take(&mut body.news);
        news.sort_unstable();
        for (at, link) in &content.links {
            if matches!(link.has, Has::All) {
                continue;
            }
            let mut runs: Vec<common::wire::peer::Run> = Vec::new();
            for chunk in news.iter().copied().filter(|chunk| !link.has.contains(*chunk)) {
                match runs.last_mut() {
                    Some(run)
                        if run.start + u32::from(run.len) == chunk && run.len < u16::MAX =>
                    {
                        run.len += 1;
                    }
                    _ => runs.push(common::wire::peer::Run { start: chunk, len: 1 }),
                }
            }
            for part in runs.chunks(common::limits::MAX_HAVE_RUNS) {
                let (handle, runs) = (link.handle, part.to_vec());
                cx.out.push(Output::Send { conn: *at, msg: PeerMsg::Have { handle, runs } });
            }
        }
    }
}
