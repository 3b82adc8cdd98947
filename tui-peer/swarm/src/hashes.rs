//! Chunk hashes: fetched from any source before the chunks they belong to, served to whoever asks.

use common::id::{ContentId, Hash, ID_LEN};
use common::merkle::HashRange;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Asked;
use super::event::{ConnId, Output};
use super::node::{Cx, Node};

/// HASH_REQs outstanding at one source.
const WINDOW: usize = 4;
/// Ranges looked at per turn for one that a source can answer.
const LOOK: usize = 64;
/// How long a source that could not prove its hashes is left alone: it is still learning them itself.
pub(super) const HASHLESS: std::time::Duration = std::time::Duration::from_secs(3);
/// HASH_REQs outstanding at one source over all contents: their answers are 1 MiB at most, half of what
/// waits at a connection before it is not read.
const WINDOW_IN_ALL: usize = 32;

impl Node {
    /// Asks a source for chunk hashes that are still missing.
    pub(super) fn fetch_hashes(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return;
        };
        if !content.is_active() {
            return;
        }
        let (Some(body), Some(link)) = (content.body.as_mut(), content.links.get(&at)) else {
            return;
        };
        if body.hash_todo.is_empty() || link.useful == 0 || link.hashless_until > cx.now {
            return;
        }
        if conn.ask_after > cx.now {
            return;
        }
        let (mut here, mut in_all) = (0, 0);
        for asked in conn.requests.values() {
            if let Asked::Hashes { id: of, .. } = asked {
                in_all += 1;
                here += usize::from(*of == id);
            }
        }
        let room = WINDOW.saturating_sub(here).min(WINDOW_IN_ALL.saturating_sub(in_all));
        let level = body.layout.chunk_level();
        let mut asked = 0;
        for _ in 0..LOOK.min(body.hash_todo.len()) {
            if asked >= room {
                break;
            }
            let Some((file, range)) = body.hash_todo.pop_front() else { break };
            let mut chunks = body.chunks_of(file, range);
            // Or what was asked for early has brought them all.
            let known = body.chunks_of(file, range).all(|chunk| body.hash(chunk).is_some());
            if known || !chunks.any(|chunk| body.lacks(chunk)) {
                continue;
            }
            if !body.chunks_of(file, range).any(|chunk| link.has.contains(chunk)) {
                // For another source.
                body.hash_todo.push_back((file, range));
                continue;
            }
            let rid = conn.rid();
            body.hash_asked.insert((file, range.index));
            let question = Asked::Hashes { id, file, range, since: cx.now, early: false };
            conn.requests.insert(rid, question);
            let HashRange { index, count } = range;
            let handle = link.handle;
            cx.send(at, PeerMsg::HashReq { handle, rid, file, level, index, count });
            asked += 1;
        }
    }

    /// A content that was just opened: what was asked for early is not asked for again, if it is all of a range.
    pub(super) fn claim_early_hashes(&mut self, at: ConnId, id: ContentId) {
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return;
        };
        let Some(body) = content.body.as_mut() else { return };
        for asked in conn.requests.values_mut() {
            let Asked::Hashes { id: of, file, range, early, .. } = asked else { continue };
            let mut todo = body.hash_todo.iter();
            if *of == id
                && *early
                && let Some(place) = todo.position(|todo| *todo == (*file, *range))
            {
                body.hash_todo.remove(place);
                body.hash_asked.insert((*file, range.index));
                *early = false;
            }
        }
    }

    pub(super) fn on_hashes(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        rid: u32,
        list: &[Hash],
        proof: &[Hash],
    ) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if let Some(Asked::Hashes { .. }) = conn.cancelled.get(&rid) {
            conn.cancelled.remove(&rid);
            return;
        }
        let Some(Asked::Hashes { id, file, range, early, .. }) = conn.requests.get(&rid).cloned()
        else {
            return self.fault(cx, at, "sent hashes nobody asked for");
        };
        conn.requests.remove(&rid);
        let Some(body) = self.body_mut(&id) else { return };
        if !early {
            body.hash_asked.remove(&(file, range.index));
        }
        let Some(hashes) = body.hashes.get_mut(file as usize) else { return };
        if hashes.accept(range, list, proof).is_err() {
            if !early {
                body.hash_todo.push_front((file, range));
            }
            let (code, time) = (Code::BadData, self.cfg.ban_bad);
            return self.ban_and_close(cx, at, code, "sent hashes that lead nowhere", time);
        }
        if hashes.is_complete() {
            body.hashes_missing.remove(&file);
        }
        for chunk in body.chunks_of(file, range) {
            body.offer(chunk);
        }
        let chunks = body.checkable(body.chunks_of(file, range));
        if !chunks.is_empty() {
            cx.out.push(Output::CheckDoubted { id, chunks });
        }
        let (index, hashes) = (range.index, list.to_vec());
        cx.out.push(Output::HashesLearned { id, file, index, hashes });
        self.fill(cx, id);
    }

    pub(super) fn on_hash_req(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        rid: u32,
        (file, level, index, count): (u32, u8, u32, u16),
    ) {
        let id = self.by_handle(at, handle);
        let body = id.and_then(|id| self.contents.get(&id)?.body.as_ref());
        let chunks = body.and_then(|body| Some(body.hashes.get(file as usize)?.chunks()));
        if !self.may_answer(cx, at, answer_len(count, chunks.unwrap_or(0))) {
            return cx.send(at, PeerMsg::Reject { rid, code: Code::Rate });
        }
        let proof = id.and_then(|id| {
            let body = self.contents.get(&id)?.body.as_ref()?;
            (level == body.layout.chunk_level()).then_some(())?;
            body.hashes.get(file as usize)?.prove(HashRange { index, count })
        });
        let msg = match proof {
            Some(proof) => PeerMsg::Hashes { rid, hashes: proof.hashes, proof: proof.uncles },
            None => PeerMsg::Reject { rid, code: Code::Gone },
        };
        cx.send(at, msg);
    }
}

/// Bytes of HASHES about `count` of a file's chunks: them and a hash for every level above.
fn answer_len(count: u16, chunks: u32) -> u64 {
    let above = (chunks / u32::from(count).max(1)).checked_ilog2().map_or(0, |levels| levels + 1);
    (u64::from(count) + u64::from(above)) * ID_LEN as u64
}
