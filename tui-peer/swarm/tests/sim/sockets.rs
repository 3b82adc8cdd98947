//! The sending side of a real peer on a shaped link: each connection has a socket that takes some bytes ahead,
//! payload and messages in one order; the link takes from all of them in turn, and of each only as much as TCP lets
//! be under way until the other end has said that it came. That waits in the other end's uplink behind what it sends
//! itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use swarm::event::{ConnId, Input};
use swarm::time::Time;

use super::links::{FRAME, FRAME_TIME, Load, Packet, next_in_turn};
use super::network::{Event, Network};

/// A socket takes what the connection carries in this time ahead,
const AHEAD_TIME: f64 = 0.02;
/// and so many bytes at least, as `conn::stream` sees to.
const MIN_AHEAD: f64 = 32.0 * 1024.0;

/// What the link takes of a frame at once, in bytes.
const SEGMENTS: u32 = 8 * 1448;

/// What waits in the sockets of one peer.
#[derive(Default)]
pub(crate) struct Sockets {
    waiting: BTreeMap<ConnId, VecDeque<(Load, u32)>>,
    /// Bytes that were sent and not acknowledged.
    under_way: BTreeMap<ConnId, u32>,
    last: Option<ConnId>,
    busy: bool,
    /// When all that the link has taken has left it.
    free: Time,
}

impl Sockets {
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.waiting.remove(&conn);
        self.under_way.remove(&conn);
    }

    /// When all that the link has taken has left it.
    pub(crate) fn free(&self) -> Time {
        self.free
    }

    fn bytes(&self, conn: ConnId) -> u32 {
        self.waiting.get(&conn).map_or(0, |queue| queue.iter().map(|(_, len)| len).sum())
    }

    fn next(&self, window: u32) -> Option<ConnId> {
        let has_room = |conn: &ConnId| self.under_way.get(conn).is_none_or(|bytes| *bytes < window);
        next_in_turn(&self.waiting, self.last, |conn, queue| !queue.is_empty() && has_room(conn))
    }
}

impl Network {
    /// A message or a packet of a handshake is written to a socket.
    pub(crate) fn write_small(&mut self, from: (usize, ConnId), load: Load, len: u32) {
        let sockets = &mut self.peers[from.0].sockets;
        sockets.waiting.entry(from.1).or_default().push_back((load, len));
        self.kick_link(from.0);
    }

    /// A connection's writer writes frames as long as its socket takes them.
    pub(crate) fn write_frames(&mut self, i: usize, conn: ConnId) {
        loop {
            let peer = &mut self.peers[i];
            let sharing = peer.sockets.waiting.values().filter(|queue| !queue.is_empty()).count();
            let rate = peer.spec.up / sharing.max(1) as f64;
            if f64::from(peer.sockets.bytes(conn)) >= (rate * AHEAD_TIME).max(MIN_AHEAD) {
                break;
            }
            let most = (rate * FRAME_TIME).clamp(FRAME.1, FRAME.0) as u32;
            let Some((rid, off, len, finished)) = peer.uplink.take_frame(conn, most) else { break };
            let load = Load::Frame { rid, off, whole: len, lie: false, hangs_up: false };
            let queue = peer.sockets.waiting.entry(conn).or_default();
            let mut left = len;
            while left > SEGMENTS {
                queue.push_back((Load::Part, SEGMENTS));
                left -= SEGMENTS;
            }
            queue.push_back((load, left));
            if finished {
                self.at(self.now, i, Event::Input(Input::Served { conn, rid }));
            }
        }
        self.kick_link(i);
    }

    fn kick_link(&mut self, i: usize) {
        if !self.peers[i].sockets.busy {
            self.peers[i].sockets.busy = true;
            self.at(self.now, i, Event::Link);
        }
    }

    /// The link takes something from the next socket in turn.
    pub(crate) fn link(&mut self, i: usize) {
        if let Some(until) =
            self.start.and_then(|start| start.stands_until(self.now, self.peers.len() - 1))
        {
            return self.at(until, i, Event::Link);
        }
        let (queue, delay) = (self.queue_time(i), self.delay());
        let window = self.start.map_or(u32::MAX, |start| start.window);
        let peer = &mut self.peers[i];
        let next = peer.sockets.next(window).filter(|_| peer.alive);
        let found =
            next.and_then(|conn| Some((conn, peer.sockets.waiting.get_mut(&conn)?.pop_front()?)));
        let Some((conn, (load, len))) = found else {
            peer.sockets.busy = false;
            return;
        };
        peer.sockets.last = Some(conn);
        *peer.sockets.under_way.entry(conn).or_default() += len;
        let begins = peer.sockets.free.max(self.now);
        let left = begins + Duration::from_secs_f64(f64::from(len) / peer.spec.up);
        peer.sockets.free = left;
        self.at((left - queue).max(self.now), i, Event::Link);
        // Who dials has no wire yet.
        let to = match &load {
            Load::Handshake(_, to) => Some(*to),
            _ => self.wires.get(&(i, conn)).copied(),
        };
        if let Some(to) = to {
            let extra = Duration::ZERO;
            let packet = Packet { to, from: (i, conn), load, len, left, extra };
            self.at(begins + delay, to.0, Event::Incoming(packet));
        }
        self.write_frames(i, conn);
    }

    /// Bytes have come: TCP says so, behind all that waits in this peer's uplink.
    pub(crate) fn acknowledge(&mut self, i: usize, to: (usize, ConnId), len: u32) {
        let heard = self.peers[i].sockets.free.max(self.now) + self.delay();
        self.at(heard, to.0, Event::Acknowledged(to.1, len));
    }

    /// There is room for more of a connection.
    pub(crate) fn acknowledged(&mut self, i: usize, conn: ConnId, len: u32) {
        if let Some(bytes) = self.peers[i].sockets.under_way.get_mut(&conn) {
            *bytes = bytes.saturating_sub(len);
            self.kick_link(i);
        }
    }
}
