//! Whose request is handed to a writer next, and how much is handed over in all.
//!
//! Sending one request to everybody at once makes all of them late: a chunk can be passed on only when
//! it is whole. So the writers together get about as much as the uplink carries in a moment, the rest
//! waits here, where it can still be reassigned, and goes out in turn. Connections that are slow
//! themselves do not count: they would keep the others waiting.

use std::time::Duration;

use common::id::ContentId;

use super::conn::{Conn, Piped, Wanted};
use super::event::ConnId;
use super::link::{Has, Link};
use super::node::{Cx, Node};
use super::time::Time;

/// Requests handed to a writer at least, however large: the disk reads one while the other is sent.
const MIN_PIPED: usize = 2;
/// The writers together hold what the uplink carries in this time: more would only wait there.
const WINDOW_TIME: Duration = Duration::from_millis(100);
/// They hold this much at least, in bytes: the rate of an idle uplink is not known.
const MIN_WINDOW: u64 = 128 << 10;
/// Peers differ by this share of the chunks by chance alone.
const USUAL: f64 = 0.02;
/// How much being ahead of the others by all chunks, beyond that, would make a byte dearer.
const BEHIND: f64 = 30.0;
/// Bounds of what a byte costs of a peer's turn: nobody can talk himself to more than that.
const CHEAPEST: f64 = 0.4;
const DEAREST: f64 = 2.5;
/// A connection whose writer finished nothing for so long is slow itself.
const SLOW_AFTER: Duration = Duration::from_millis(500);
/// The same in multiples of the time in which everything handed over should be out.
const SLOW_FACTOR: f64 = 4.0;

impl Node {
    /// The connection whose request goes out next, and which of those that wait there, if there is
    /// room for any.
    pub(super) fn next_turn(&self, now: Time) -> Option<(ConnId, usize)> {
        let rate = self.uplink.rate(now);
        let window = ((rate * WINDOW_TIME.as_secs_f64()) as u64).max(MIN_WINDOW);
        let drain = Duration::from_secs_f64(window as f64 / rate.max(1.0) * SLOW_FACTOR);
        let patience = if rate < 1.0 { SLOW_AFTER } else { SLOW_AFTER.max(drain) };
        let is_slow = |conn: &Conn| now.since(conn.pipe_moved) > patience;
        let (mut bytes, mut requests) = (0, 0);
        for conn in self.conns.values().filter(|conn| !conn.in_pipe.is_empty() && !is_slow(conn)) {
            let (its_requests, its_bytes) = conn.piped();
            // Of what was handed over while nobody else waited.
            let ahead = conn.streams > 1 && its_bytes > self.cfg.pipe;
            bytes += if ahead { 0 } else { its_bytes };
            requests += its_requests;
        }
        let waiting = self.conns.values().filter(|conn| !conn.queue.is_empty()).count();
        let full = bytes >= window && requests >= MIN_PIPED;
        let ready = |conn: &Conn| {
            if conn.queue.is_empty() {
                return None;
            }
            let (requests, bytes) = conn.piped();
            let idle = requests < MIN_PIPED;
            // The peer has chosen the TCP connection of each: one that is held up must not hold up those of the others.
            // But it gets no more than others by having several.
            let wide = conn.streams > 1 && waiting == 1;
            let most = if wide { self.cfg.wide_depth } else { self.cfg.pipe };
            let own = if is_slow(conn) { idle } else { wide || !full };
            let open = own && (idle || bytes < most);
            if !open && !self.shaping.limits_uploads() {
                return None;
            }
            // What waits for a limit of its own content waits for nobody, and nobody for it.
            let goes = |wanted: &Wanted| match self.has_up_limit(&wanted.id()) {
                true => conn.piped_limited(&wanted.id()) < MIN_PIPED,
                false => open,
            };
            Some((conn.turn, conn.id, conn.queue.iter().position(goes)?))
        };
        let next = self.conns.values().filter_map(ready).min_by_key(|(turn, _, _)| *turn);
        next.map(|(_, at, which)| (at, which))
    }

    /// A connection goes over so many TCP connections from now on: more may wait for them.
    pub(super) fn set_streams(&mut self, cx: &mut Cx<'_>, at: ConnId, streams: usize) {
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.streams = streams.max(1);
        }
        self.has_room(at);
        self.pump(cx);
    }

    fn has_up_limit(&self, id: &ContentId) -> bool {
        self.shaping.limits_uploads()
            && self.contents.get(id).is_some_and(|content| content.up_limited)
    }

    /// Uploads of a content have a limit of their own now, or no longer. The shell keeps to it; we see
    /// to it that others are not held up.
    pub(super) fn set_up_limited(&mut self, id: &ContentId, limited: bool) {
        if let Some(content) = self.contents.get_mut(id) {
            content.up_limited = limited;
        }
        self.weigh();
    }

    /// A request is handed to a writer. The turn of its connection comes again when the others had as
    /// many bytes; who did not ask for a while has saved nothing up.
    pub(super) fn put_in_pipe(&mut self, now: Time, at: ConnId, id: ContentId, rid: u32, len: u32) {
        let cost = (f64::from(len) * self.cost(at, id)) as u64;
        let limited = self.has_up_limit(&id).then_some(id);
        let Some(conn) = self.conns.get_mut(&at) else { return };
        if limited.is_none() {
            self.turn = self.turn.max(conn.turn);
            conn.turn = self.turn + cost;
        }
        if conn.in_pipe.is_empty() {
            conn.pipe_moved = now;
        }
        conn.in_pipe.insert(rid, Piped { len: u64::from(len), limited });
    }

    /// What a byte costs a peer of its turn: less if it is behind the others, more if it is ahead, so
    /// that a crowd finishes together although some have more sources than others.
    fn cost(&self, at: ConnId, id: ContentId) -> f64 {
        let Some(content) = self.contents.get(&id) else { return 1.0 };
        let Some(body) = content.body.as_ref() else { return 1.0 };
        let chunks = f64::from(body.layout.chunks().max(1));
        let has = |link: &Link| match &link.has {
            Has::Some(set) => f64::from(set.count()) / chunks,
            _ => 1.0,
        };
        let (mut sum, mut peers) = (0.0, 0.0);
        for link in content.links.values().filter(|link| link.interesting) {
            (sum, peers) = (sum + has(link), peers + 1.0);
        }
        let Some(link) = content.links.get(&at).filter(|_| peers > 1.0) else { return 1.0 };
        let ahead = has(link) - sum / peers;
        let beyond = ahead - ahead.clamp(-USUAL, USUAL);
        (1.0 + beyond * BEHIND).clamp(CHEAPEST, DEAREST)
    }
}
