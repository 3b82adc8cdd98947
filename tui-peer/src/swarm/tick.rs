//! What time brings: HAVE batches, stalls, rotation, pings, dials, connections nobody needs.

use std::time::Duration;

use common::id::ContentId;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::conn::Asked;
use super::event::{ConnId, Notice, Output};
use super::node::{Cx, Node};

/// Resolution while something moves.
pub(super) const BUSY: Duration = Duration::from_millis(100);
/// While something is wanted and nothing moves.
const WAITING: Duration = Duration::from_millis(500);
/// While there are only idle connections: pings are due every 15 s.
const IDLE: Duration = Duration::from_secs(5);
/// Hash requests without an answer go elsewhere after this.
const HASH_TIMEOUT: Duration = Duration::from_secs(10);
/// "Lately" for fairness: counts are halved this often.
const HALVE: Duration = Duration::from_secs(30);
/// Waits between asking the tracker for more sources, the last one repeated.
const ASK: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

impl Node {
    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) {
        self.tick_at = cx.now + self.pace();
        let ids: Vec<ContentId> = self.contents.keys().copied().collect();
        for id in &ids {
            let due = self.body_mut(id).is_some_and(|body| !body.news.is_empty());
            let since = self.body_mut(id).map(|body| body.news_since);
            if due && since.is_some_and(|since| cx.now.since(since) >= self.cfg.have_delay) {
                self.tell_news(cx, *id);
            }
        }
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for at in conns {
            self.watch(cx, at);
        }
        if cx.now >= self.rechoke_at {
            self.rechoke_at = cx.now + self.cfg.choke_interval;
            self.rechoke(cx);
        }
        if cx.now >= self.halve_at {
            self.halve_at = cx.now + HALVE;
            self.conns.values_mut().for_each(|conn| conn.recent_up /= 2);
        }
        for id in &ids {
            self.seek(cx, *id);
        }
        self.fill_all(cx);
    }

    fn pace(&self) -> Duration {
        let moving = self.is_busy();
        let news = self.contents.values().any(|content| {
            content.body.as_ref().is_some_and(|body| !body.news.is_empty())
        });
        if moving || news {
            BUSY
        } else if self.contents.values().any(super::content::Content::is_active) {
            WAITING
        } else {
            IDLE
        }
    }

    /// Whether payload is under way in either direction.
    pub fn is_busy(&self) -> bool {
        self.outstanding > 0
            || self
                .conns
                .values()
                .any(|c| !c.in_pipe.is_empty() || !c.queue.is_empty() || !c.requests.is_empty())
    }

    /// Looks after one connection.
    fn watch(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let stale: Vec<u32> = conn
            .requests
            .iter()
            .filter(|(_, asked)| {
                matches!(asked, Asked::Hashes { since, .. } if cx.now.since(*since) > HASH_TIMEOUT)
            })
            .map(|(rid, _)| *rid)
            .collect();
        if !stale.is_empty() {
            return self.close(cx, at, Code::Timeout, "did not answer a question about hashes");
        }
        let quiet = cx.now.since(conn.progress);
        if conn.pending() > 0 && quiet >= self.cfg.drop_after {
            let (code, time) = (Code::Timeout, self.cfg.ban_rude);
            return self.ban_and_close(cx, at, code, "advertises and does not deliver", time);
        }
        if conn.pending() > 0 && quiet >= self.cfg.snub_after && conn.snubbed_until.is_none() {
            conn.snubbed_until = Some(cx.now + self.cfg.snub_time);
            self.snub(cx, at);
        }
        let Some(conn) = self.conns.get(&at) else { return };
        let useless = conn.handles.is_empty() && conn.opening.is_empty();
        if useless && cx.now.since(conn.idle_since) >= self.cfg.idle_close {
            return self.close(cx, at, Code::ShuttingDown, "nothing to exchange");
        }
        if cx.now.since(conn.heard.max(conn.pinged)) >= self.cfg.ping_after {
            self.ping(cx, at);
        }
    }

    /// A source stopped delivering: others are asked, one request stays to see it come back.
    fn snub(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get(&at) else { return };
        let peer = conn.peer;
        let mut payload: Vec<(u32, ContentId)> = conn
            .requests
            .iter()
            .filter_map(|(rid, asked)| match asked {
                Asked::Chunk { id, .. } | Asked::Any { id, .. } | Asked::Meta { id, .. } => {
                    Some((*rid, *id))
                }
                Asked::Hashes { .. } => None,
            })
            .collect();
        payload.sort_unstable();
        if let Some((_, id)) = payload.first() {
            cx.notice(Notice::Snubbed { id: *id, peer });
        }
        // The oldest stays; the chunk it is about may be asked of another source as well.
        for (rid, id) in payload.into_iter().skip(1) {
            self.cancel(cx, at, rid);
            self.fetch_manifest(cx, id);
        }
    }

    pub(super) fn ping(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let nonce = self.rng.u64(..);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.ping = Some((nonce, cx.now));
            conn.pinged = cx.now;
            cx.send(at, PeerMsg::Ping(nonce));
        }
    }

    /// Connects a wanted content to more sources, or asks the tracker for some.
    fn seek(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id) else { return };
        if !content.is_active() {
            return;
        }
        self.dial_for(cx, id);
        let connected: Vec<ConnId> = self
            .contents
            .get(&id)
            .into_iter()
            .flat_map(|content| content.known.keys())
            .filter_map(|peer| self.by_peer.get(peer).copied())
            .collect();
        for at in connected {
            self.open_wanted(cx, at);
        }
        let Some(content) = self.contents.get_mut(&id) else { return };
        let helped = content.links.values().any(|link| link.useful > 0)
            || (content.body.is_none() && !content.links.is_empty());
        if helped {
            content.asked = 0;
            content.ask_at = cx.now + ASK[0];
        } else if cx.now >= content.ask_at {
            let wait = ASK.get(content.asked as usize).copied().unwrap_or(ASK[3]);
            content.ask_at = cx.now + wait;
            content.asked = content.asked.saturating_add(1);
            cx.out.push(Output::NeedSources { id });
        }
    }
}
