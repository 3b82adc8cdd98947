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
/// Files looked at for missing hashes per turn.
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
        if body.hashes_missing.is_empty() || link.useful == 0 || link.hashless_until > cx.now {
            return;
        }
        let asked_here = |conn: &super::conn::Conn| {
            let ours = |asked: &&Asked| matches!(asked, Asked::Hashes { id: of, .. } if *of == id);
            conn.requests.values().filter(ours).count()
        };
        let mut room = WINDOW.saturating_sub(asked_here(conn));
        let level = body.layout.chunk_level();
        for file in body.hashes_missing.iter().copied().take(LOOK) {
            if room == 0 {
                break;
            }
            let Some(hashes) = body.hashes.get(file as usize) else { continue };
            let chunks = body.layout.file_chunks(file as usize).unwrap_or(0..0);
            let mut chunk = 0;
            while chunk < hashes.chunks() && room > 0 {
                let Some(range) = hashes.missing_range_for(chunk) else {
                    // Known: on to the next range.
                    chunk += 1;
                    continue;
                };
                let end = range.index + u32::from(range.count);
                let here = range.index..end.min(hashes.chunks());
                let first = chunks.start;
                let wanted = here.clone().any(|c| body.lacks(first + c));
                let source = here.clone().any(|c| link.has.contains(first + c));
                let key = (file, range.index);
                if wanted && source && !body.hash_asked.contains(&key) {
                    let rid = conn.rid();
                    body.hash_asked.insert(key);
                    conn.requests.insert(rid, Asked::Hashes { id, file, range, since: cx.now });
                    let HashRange { index, count } = range;
                    let handle = link.handle;
                    cx.send(at, PeerMsg::HashReq { handle, rid, file, level, index, count });
                    room -= 1;
                }
                chunk = end;
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
        let Some(Asked::Hashes { id, file, range, .. }) = conn.requests.get(&rid).cloned() else {
            return self.fault(cx, at, "sent hashes nobody asked for");
        };
        conn.requests.remove(&rid);
        let Some(body) = self.body_mut(&id) else { return };
        body.hash_asked.remove(&(file, range.index));
        let Some(hashes) = body.hashes.get_mut(file as usize) else { return };
        if hashes.accept(range, list, proof).is_err() {
            let (code, time) = (Code::BadData, self.cfg.ban_bad);
            return self.ban_and_close(cx, at, code, "sent hashes that lead nowhere", time);
        }
        if hashes.is_complete() {
            body.hashes_missing.retain(|missing| *missing != file);
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

