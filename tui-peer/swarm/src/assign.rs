//! Uploader-side assignment: a peer asks for any chunks, and we choose those that help the swarm most.

use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Wanted;
use super::event::ConnId;
use super::node::{Cx, Node};

impl Node {
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

    /// The chunk that helps the swarm most among those the peer lacks: one that we sent least often, of
    /// those one that few have, of those any (uploader-side assignment).
    pub(super) fn choose(&mut self, at: ConnId, id: ContentId, except: &[u32]) -> Option<u32> {
        let content = self.contents.get_mut(&id)?;
        let (link, body) = (content.links.get_mut(&at)?, content.body.as_mut()?);
        if link.has.is_all() {
            return None;
        }
        body.sent_counts();
        let chunks = body.layout.chunks();
        let assigned = link.assigned.get_or_insert_with(|| ChunkSet::empty(chunks));
        let usable = |chunk: u32| {
            body.offers(chunk)
                && !link.has.contains(chunk)
                && !assigned.contains(chunk)
                && !except.contains(&chunk)
        };
        let sent = body.sent.as_ref()?;
        let chunk = sent.pick_cheapest(usable, |chunk| body.copies(chunk), &mut self.rng)?;
        assigned.insert(chunk);
        Some(chunk)
    }
}
