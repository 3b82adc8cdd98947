//! Chunk hashes: fetched from any source before the chunks they belong to, served to whoever asks.

use common::id::{ContentId, Hash};
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
/// HASH_REQs and META_REQs answered per second and connection: they cost work and no slot.
const CHEAP_PER_SECOND: u32 = 1000;

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
        let asked_here = |conn: &super::conn::Conn| {
            let ours = |asked: &&Asked| matches!(asked, Asked::Hashes { id: of, .. } if *of == id);
            conn.requests.values().filter(ours).count()
        };
        let room = WINDOW.saturating_sub(asked_here(conn));
        let level = body.layout.chunk_level();
        let mut asked = 0;
        for _ in 0..LOOK.min(body.hash_todo.len()) {
            if asked >= room {
                break;
            }
            let Some((file, range)) = body.hash_todo.pop_front() else { break };
            if !body.chunks_of(file, range).any(|chunk| body.lacks(chunk)) {
                continue;
            }
            if !body.chunks_of(file, range).any(|chunk| link.has.contains(chunk)) {
                // For another source.
                body.hash_todo.push_back((file, range));
                continue;
            }
            let rid = conn.rid();
            body.hash_asked.insert((file, range.index));
            conn.requests.insert(rid, Asked::Hashes { id, file, range, since: cx.now });
            let HashRange { index, count } = range;
            let handle = link.handle;
            cx.send(at, PeerMsg::HashReq { handle, rid, file, level, index, count });
            asked += 1;
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
        let Some(Asked::Hashes { id, file, range, .. }) = conn.requests.get(&rid).cloned() else {
            return self.fault(cx, at, "sent hashes nobody asked for");
        };
        conn.requests.remove(&rid);
        let Some(body) = self.body_mut(&id) else { return };
        body.hash_asked.remove(&(file, range.index));
        let Some(hashes) = body.hashes.get_mut(file as usize) else { return };
        if hashes.accept(range, list, proof).is_err() {
            body.hash_todo.push_front((file, range));
            let (code, time) = (Code::BadData, self.cfg.ban_bad);
            return self.ban_and_close(cx, at, code, "sent hashes that lead nowhere", time);
        }
        if hashes.is_complete() {
            body.hashes_missing.remove(&file);
        }
        for chunk in body.chunks_of(file, range) {
            body.offer(chunk);
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
        if !self.allow_cheap(cx, at) {
            return cx.send(at, PeerMsg::Reject { rid, code: Code::Rate });
        }
        let proof = self.by_handle(at, handle).and_then(|id| {
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

    /// Counts a request that costs no slot; false when there were too many this second.
    pub(super) fn allow_cheap(&mut self, cx: &Cx<'_>, at: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(&at) else { return false };
        if cx.now.since(conn.cheap.0).as_secs() >= 1 {
            conn.cheap = (cx.now, 0);
        }
        conn.cheap.1 += 1;
        conn.cheap.1 <= CHEAP_PER_SECOND
    }
}
