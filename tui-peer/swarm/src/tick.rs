//! What time brings: HAVE batches, stalls, rotation, pings, dials, connections nobody needs.

use std::time::Duration;

use common::id::ContentId;
use common::wire::Code;

use super::conn::{ASK_ALIVE, Asked, Conn};
use super::event::{ConnId, Notice};
use super::link::Has;
use super::node::{Cx, Node};
use super::time::Time;

/// Resolution while something moves.
pub(super) const BUSY: Duration = Duration::from_millis(100);
/// While something is wanted and nothing moves.
const WAITING: Duration = Duration::from_millis(500);
/// While there are only idle connections: pings are due every 15 s.
const IDLE: Duration = Duration::from_secs(5);
/// Hash requests without an answer go elsewhere after this.
const HASH_TIMEOUT: Duration = Duration::from_secs(10);
/// A source is snubbed when nothing came for so many times the time between its chunks,
const SNUB_FACTOR: u32 = 4;
/// and dropped after so many.
const DROP_FACTOR: u32 = 8;
/// Longest time between chunks that counts, in seconds.
const MOST_ROUND: f64 = 600.0;
/// OPEN without an answer ends a connection after this.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is dead when nothing at all was heard for so long; PING asks every 15 s.
const DEAD_AFTER: Duration = Duration::from_secs(90);
/// "Lately" for fairness: counts are halved this often.
const HALVE: Duration = Duration::from_secs(30);
impl Node {
    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) {
        if self.timers.is_news_due(cx.now) {
            self.tell_all_news(cx);
        }
        if !self.timers.is_tick_due(cx.now) {
            return;
        }
        let pace = self.pace();
        self.timers.tick_at(cx.now + pace);
        let ids: Vec<ContentId> = self.live.iter().copied().collect();
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for at in conns {
            self.watch(cx, at);
        }
        if self.timers.rechokes(cx.now, self.cfg.choke_interval) {
            self.rechoke(cx);
            self.part_seeds(cx);
        }
        if self.timers.halves(cx.now, HALVE) {
            for conn in self.conns.values_mut() {
                conn.recent_up /= 2;
                conn.questions.halve();
            }
        }
        for id in &ids {
            self.discover(cx, *id);
            self.rest(id);
        }
        self.fill_all(cx);
        self.pump(cx);
    }

    /// The machine slept: whoever we were connected to has given us up. What is known of them stays.
    pub(super) fn woke(&mut self, cx: &mut Cx<'_>) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for at in conns {
            self.close(cx, at, Code::Timeout, "this machine slept");
        }
        self.dialer.forgive();
        // Nobody broke anything off: we did.
        self.conduct.wake_all();
        for content in self.contents.values_mut() {
            content.asked = 0;
            content.ask_at = cx.now;
            content.retry.clear();
            content.down.reset();
            content.up.reset();
        }
        self.tick(cx);
    }

    /// A content that nothing is wanted of, and of which nothing is to be told, needs no looking after.
    fn rest(&mut self, id: &ContentId) {
        let idle = self.contents.get(id).is_none_or(|content| {
            let told = content.body.as_ref().is_none_or(|body| body.news.is_empty());
            !content.is_active() && told
        });
        if idle {
            self.live.remove(id);
        }
    }

    /// Ends exchanges between two that both have everything; the connection stays for other contents,
    /// and ends by itself if there are none.
    fn part_seeds(&mut self, cx: &mut Cx<'_>) {
        let mut done = Vec::new();
        for conn in self.conns.values() {
            for id in conn.handles.values() {
                let Some(content) = self.contents.get(id) else { continue };
                let whole = content.body.as_ref().is_some_and(|body| body.have.is_complete());
                let both = whole
                    && content
                        .links
                        .get(&conn.id)
                        .is_some_and(|link| matches!(link.has, Has::All) && !link.interesting);
                if both {
                    done.push((conn.id, *id));
                }
            }
        }
        for (at, id) in done {
            self.close_link(cx, at, id);
        }
    }

    fn pace(&self) -> Duration {
        let moving = self.is_busy();
        let live = || self.live.iter().filter_map(|id| self.contents.get(id));
        let news =
            live().any(|content| content.body.as_ref().is_some_and(|body| !body.news.is_empty()));
        if moving || news {
            BUSY
        } else if live().any(|content| content.is_active()) {
            WAITING
        } else {
            IDLE
        }
    }

    /// Whether payload, or a list of files, is under way in either direction. What was asked for early of a peer that
    /// says no HELLO is not.
    pub fn is_busy(&self) -> bool {
        let moves = |c: &Conn| !c.in_pipe.is_empty() || !c.queue.is_empty() || c.pending() > 0;
        self.outstanding > 0 || self.conns.values().any(|c| c.greeted && moves(c))
    }

    /// Looks after one connection.
    fn watch(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        // Until HELLO has passed the shell says when it is over.
        let conn = self.conns.get_mut(&at).filter(|conn| conn.greeted);
        let Some(conn) = conn else { return };
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
        let late = |(_, since): &(ContentId, Time)| cx.now.since(*since) >= OPEN_TIMEOUT;
        if conn.opening.values().any(late) {
            return self.close(cx, at, Code::Timeout, "did not answer OPEN");
        }
        if cx.now.since(conn.heard) >= DEAD_AFTER {
            return self.close(cx, at, Code::Timeout, "was silent for too long");
        }
        let quiet = cx.now.since(conn.progress);
        let slack = self.limit_delay();
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let round = Duration::from_secs_f64(conn.round(conn.largest()).min(MOST_ROUND));
        let longest = self.cfg.drop_after.max(round * DROP_FACTOR).max(slack);
        if conn.pending() > 0 && quiet >= longest {
            let code = Code::Timeout;
            if conn.down.total > 0 {
                // It was of use before: a broken link, not a liar.
                return self.close(cx, at, code, "stopped delivering");
            }
            let time = self.cfg.ban_rude;
            return self.ban_and_close(cx, at, code, "advertises and does not deliver", time);
        }
        let patience = self.cfg.snub_after.max(round * SNUB_FACTOR).max(slack);
        if conn.pending() > 0 && quiet >= patience && conn.snubbed_until.is_none() {
            conn.snubbed_until = Some(cx.now + self.cfg.snub_time);
            self.snub(cx, at);
        }
        self.give_up_overdue(cx, at);
        let Some(conn) = self.conns.get(&at) else { return };
        let useless = conn.handles.is_empty() && conn.opening.is_empty();
        if useless && cx.now.since(conn.idle_since) >= self.cfg.idle_close {
            return self.close(cx, at, Code::ShuttingDown, "nothing to exchange");
        }
        let waits = conn.silence(cx.now) >= ASK_ALIVE && cx.now.since(conn.pinged) >= ASK_ALIVE;
        if waits || cx.now.since(conn.heard.max(conn.pinged)) >= self.cfg.ping_after {
            self.ping(cx, at);
        }
    }

    /// A source whose next chunk should have been here long ago keeps what it has begun; the rest of what it
    /// was asked for holds the byte budget in vain.
    fn give_up_overdue(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get(&at) else { return };
        if conn.pending() < 2 || !conn.is_overdue(cx.now, self.limit_delay()) {
            return;
        }
        let waits = |asked: &Asked| match asked {
            Asked::Chunk { .. } => !asked.has_begun(),
            Asked::Any { .. } => true,
            Asked::Meta { .. } | Asked::Hashes { .. } => false,
        };
        // The oldest stays in any case, to see it go on.
        let keep = usize::from(!conn.requests.values().any(Asked::has_begun));
        let rids = conn.requests.iter().filter(|(_, asked)| waits(asked)).map(|(rid, _)| *rid);
        for rid in rids.skip(keep).collect::<Vec<u32>>() {
            self.cancel(cx, at, rid);
        }
    }

    /// A source stopped delivering: others are asked, one request stays to see it come back.
    fn snub(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get(&at) else { return };
        let peer = conn.peer;
        let payload: Vec<(u32, ContentId)> = conn
            .requests
            .iter()
            .filter_map(|(rid, asked)| match asked {
                Asked::Chunk { id, .. } | Asked::Any { id, .. } | Asked::Meta { id, .. } => {
                    Some((*rid, *id))
                }
                Asked::Hashes { .. } => None,
            })
            .collect();
        if let Some((_, id)) = payload.first() {
            cx.notice(Notice::Snubbed { id: *id, peer });
        }
        // The oldest stays; the chunk it is about may be asked of another source as well.
        for (rid, id) in payload.into_iter().skip(1) {
            self.cancel(cx, at, rid);
            self.fetch_manifest(cx, id);
        }
    }
}
