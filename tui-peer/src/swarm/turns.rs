//! Whose request is handed to a writer next, and how much is handed over in all.
//!
//! Sending one request to everybody at once makes all of them late: a chunk can be passed on only when
//! it is whole. So the writers together get about as much as the uplink carries in a moment, the rest
//! waits here, where it can still be reassigned, and goes out in turn. Connections that are slow
//! themselves do not count: they would keep the others waiting.

use std::time::Duration;

use super::conn::Conn;
use super::event::ConnId;
use super::node::Node;
use super::time::Time;

/// Requests handed to a writer at least, however large: the disk reads one while the other is sent.
const MIN_PIPED: usize = 2;
/// The writers together hold what the uplink carries in this time: more would only wait there.
const WINDOW_TIME: Duration = Duration::from_millis(100);
/// They hold this much at least, in bytes: the rate of an idle uplink is not known.
const MIN_WINDOW: u64 = 512 << 10;
/// A connection whose writer finished nothing for so long is slow itself.
const SLOW_AFTER: Duration = Duration::from_millis(500);
/// The same in multiples of the time in which everything handed over should be out.
const SLOW_FACTOR: f64 = 4.0;

impl Node {
    /// The connection whose request goes out next, if there is room for any.
    pub(super) fn next_turn(&self, now: Time) -> Option<ConnId> {
        let rate = self.uplink.rate(now);
        let window = ((rate * WINDOW_TIME.as_secs_f64()) as u64).max(MIN_WINDOW);
        let drain = Duration::from_secs_f64(window as f64 / rate.max(1.0) * SLOW_FACTOR);
        let patience = if rate < 1.0 { SLOW_AFTER } else { SLOW_AFTER.max(drain) };
        let is_slow = |conn: &Conn| now.since(conn.pipe_moved) > patience;
        let piped = |conn: &Conn| if is_slow(conn) { 0 } else { conn.piped() };
        let (mut bytes, mut requests) = (0, 0);
        for conn in self.conns.values().filter(|conn| !conn.in_pipe.is_empty()) {
            bytes += piped(conn);
            requests += if is_slow(conn) { 0 } else { conn.in_pipe.len() };
        }
        let full = bytes >= window && requests >= MIN_PIPED;
        let ready = |conn: &&Conn| {
            if conn.queue.is_empty() {
                return false;
            }
            let idle = conn.in_pipe.len() < MIN_PIPED;
            let own = if is_slow(conn) { idle } else { !full };
            own && (idle || conn.piped() < self.cfg.pipe)
        };
        self.conns.values().filter(ready).min_by_key(|conn| conn.turn).map(|conn| conn.id)
    }

    /// A request is handed to a writer. The turn of its connection comes again when the others had as
    /// many bytes; who did not ask for a while has saved nothing up.
    pub(super) fn into_pipe(&mut self, now: Time, at: ConnId, rid: u32, len: u32) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        self.turn = self.turn.max(conn.turn);
        conn.turn = conn.turn.max(self.turn) + u64::from(len);
        if conn.in_pipe.is_empty() {
            conn.pipe_moved = now;
        }
        conn.in_pipe.insert(rid, u64::from(len));
    }
}
