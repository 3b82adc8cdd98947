//! Links: an uplink sends the requests it serves in frames, round robin over its connections; a frame
//! then queues at the receiver's downlink. A connection has only so much under way that has not
//! arrived, as in TCP. Control messages take the delay only, but never overtake payload; on shaped
//! links ([`super::sockets`]) they queue with it, at either end.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use common::wire::Code;
use common::wire::peer::PeerMsg;
use swarm::event::{ConnId, Input};
use swarm::time::Time;

use super::network::{Event, Network};
use super::spec::Manner;

/// Longest and shortest frame; one takes a tenth of a second on slow links, as the writer sees to.
pub(crate) const FRAME: (f64, f64) = (256.0 * 1024.0, 16.0 * 1024.0);
pub(crate) const FRAME_TIME: f64 = 0.1;
/// Bytes of a connection under way at most: its window.
const WINDOW: u32 = 512 << 10;

/// What a peer sends.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    queues: BTreeMap<ConnId, VecDeque<Job>>,
    /// Sent and not arrived.
    under_way: HashMap<ConnId, u32>,
    last: ConnIdOrNone,
    busy: bool,
    pub(crate) sent: u64,
}

/// What is on its way from one end of a connection to the other.
pub(crate) struct Packet {
    /// Who gets it, at which end.
    pub(crate) to: (usize, ConnId),
    /// Who sent it, at which end.
    pub(crate) from: (usize, ConnId),
    pub(crate) load: Load,
    /// Its length in bytes.
    pub(crate) len: u32,
    /// When the last of it has left.
    pub(crate) left: Time,
    /// How much later it comes than it could.
    pub(crate) extra: Duration,
}

/// What a packet carries.
pub(crate) enum Load {
    /// Payload of a request from this offset on: its last bytes, and how many it is in all. Whether other bytes than
    /// asked for, and whether its sender hangs up then.
    Frame {
        rid: u32,
        off: u32,
        whole: u32,
        lie: bool,
        hangs_up: bool,
    },
    Message(PeerMsg),
    /// Bytes of a frame whose last ones are still to come.
    Part,
    /// So many packets of the handshake are still to come; for this end.
    Handshake(u32, (usize, ConnId)),
}

type ConnIdOrNone = Option<ConnId>;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) rid: u32,
    /// `None`: part of a manifest.
    pub(crate) chunk: Option<u32>,
    pub(crate) len: u32,
    pub(crate) sent: u32,
}

/// How links misbehave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Every frame and message takes up to this much longer.
    pub(crate) jitter: Duration,
    /// One frame in so many is lost and comes after a retransmission timeout; 0: none.
    pub(crate) lost: u32,
    /// An uplink stands still for up to a second, once in so many seconds; 0: never.
    pub(crate) stalls: f64,
}

/// What a lost frame costs: the least retransmission timeout of Linux.
const RETRANSMISSION: Duration = Duration::from_millis(200);

impl Uplink {
    pub(crate) fn clear(&mut self) {
        self.queues.clear();
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
        self.under_way.remove(&conn);
    }

    /// Takes a job back; false if it is out already.
    pub(crate) fn stop(&mut self, conn: ConnId, rid: u32) -> bool {
        let Some(queue) = self.queues.get_mut(&conn) else { return false };
        let before = queue.len();
        queue.retain(|job| job.rid != rid);
        queue.len() < before
    }

    /// The next bytes of what is served on a connection, at most so many: of which request, from where on, how
    /// many, and whether those are the last.
    pub(crate) fn take_frame(&mut self, conn: ConnId, most: u32) -> Option<(u32, u32, u32, bool)> {
        let queue = self.queues.get_mut(&conn)?;
        let job = queue.front_mut()?;
        let (rid, off, len) = (job.rid, job.sent, most.min(job.len - job.sent));
        job.sent += len;
        self.sent += u64::from(len);
        let finished = job.sent == job.len;
        if finished {
            queue.pop_front();
        }
        Some((rid, off, len, finished))
    }

    /// The next connection in turn that has something to send and room for it.
    fn next(&self) -> Option<ConnId> {
        let has_room = |conn: &ConnId| self.under_way.get(conn).is_none_or(|bytes| *bytes < WINDOW);
        next_in_turn(&self.queues, self.last, |conn, queue| !queue.is_empty() && has_room(conn))
    }
}

/// The next connection in turn after `last` that is ready.
pub(crate) fn next_in_turn<T>(
    queues: &BTreeMap<ConnId, T>,
    last: Option<ConnId>,
    ready: impl Fn(&ConnId, &T) -> bool,
) -> Option<ConnId> {
    let ready = |(conn, queue): &(&ConnId, &T)| ready(conn, queue);
    let after = |conn: &ConnId| last.is_none_or(|last| *conn > last);
    let later = queues.iter().filter(|(conn, _)| after(conn)).find(ready);
    later.or_else(|| queues.iter().find(ready)).map(|(conn, _)| *conn)
}

impl Network {
    pub(crate) fn enqueue(&mut self, i: usize, conn: ConnId, job: Job) {
        self.peers[i].uplink.queues.entry(conn).or_default().push_back(job);
        if self.start.is_some() {
            return self.write_frames(i, conn);
        }
        self.kick(i);
    }

    fn kick(&mut self, i: usize) {
        if !self.peers[i].uplink.busy {
            self.peers[i].uplink.busy = true;
            self.at(self.now, i, Event::Uplink);
        }
    }

    /// A frame arrived at the other end: there is room for more.
    pub(crate) fn arrived(&mut self, i: usize, conn: ConnId, len: u32) {
        if let Some(bytes) = self.peers[i].uplink.under_way.get_mut(&conn) {
            *bytes = bytes.saturating_sub(len);
            self.kick(i);
        }
    }

    /// Sends one frame of the next connection in turn.
    pub(crate) fn uplink(&mut self, i: usize) {
        let peer = &mut self.peers[i];
        let silent = match peer.spec.manner {
            Manner::Silent => true,
            Manner::StopsAfter(most) => peer.uplink.sent >= most,
            _ => false,
        };
        let (Some(conn), false, true) = (peer.uplink.next(), silent, peer.alive) else {
            peer.uplink.busy = false;
            return;
        };
        peer.uplink.last = Some(conn);
        let Some(queue) = peer.uplink.queues.get_mut(&conn) else { return };
        let free = |job: &Job| job.len - job.sent > peer.spec.holds_back(job.len);
        let rests = peer.spec.manner == Manner::NineTenths;
        let at = queue.iter().position(free).or((!rests).then_some(0));
        let Some((at, job)) = at.and_then(|at| Some((at, queue.get_mut(at)?))) else {
            peer.uplink.busy = false;
            return;
        };
        let (left, back) = (job.len - job.sent, peer.spec.holds_back(job.len));
        let rate = peer.spec.rate(peer.uplink.sent, u64::from(left));
        let frame = match peer.spec.manner {
            Manner::Crumbs => 1,
            _ => (rate * FRAME_TIME).clamp(FRAME.1, FRAME.0) as u32,
        };
        let len = frame.min(if left > back { left - back } else { left });
        let (rid, off, chunk) = (job.rid, job.sent, job.chunk);
        job.sent += len;
        let finished = job.sent == job.len;
        let parts = left - len == back && !finished;
        let breaks_off = parts && peer.spec.manner == Manner::BreaksOff;
        let hangs_up = parts && peer.spec.manner == Manner::HangsUp;
        if finished || breaks_off {
            queue.remove(at);
        }
        let lie = match (peer.spec.manner, chunk) {
            (Manner::Liar(n), Some(chunk)) => finished && chunk.is_multiple_of(n),
            _ => false,
        };
        peer.uplink.sent += u64::from(len);
        *peer.uplink.under_way.entry(conn).or_default() += len;
        let took = f64::from(len) / rate;
        let sent_at = self.now + Duration::from_secs_f64(took);
        let standstill = self.standstill(took);
        self.at(sent_at + standstill, i, Event::Uplink);
        if finished {
            self.at(sent_at, i, Event::Input(Input::Served { conn, rid }));
        }
        if breaks_off {
            let code = Code::Choked;
            self.at(sent_at, i, Event::Input(Input::ServeFailed { conn, rid, code }));
        }
        let Some(to) = self.wires.get(&(i, conn)).copied() else { return };
        let load = Load::Frame { rid, off, whole: len, lie, hangs_up };
        let extra = self.bad_luck();
        let packet = Packet { to, from: (i, conn), load, len, left: sent_at, extra };
        self.at(self.now + self.delay(), to.0, Event::Incoming(packet));
    }

    /// The first byte of a packet has come to the downlink.
    pub(crate) fn incoming(&mut self, packet: Packet) {
        let Packet { to, from, load, len, left, extra } = packet;
        let shaped = self.start.is_some();
        let mut arrives = (left + self.delay()).max(self.now);
        let there = &mut self.peers[to.0];
        if shaped || matches!(load, Load::Frame { .. }) {
            let begins = there.downlink_free.max(self.now);
            there.downlink_free =
                begins + Duration::from_secs_f64(f64::from(len) / there.spec.down);
            arrives = arrives.max(there.downlink_free);
        }
        // A stream keeps its order.
        let behind = self.arrived.get(&to).copied().unwrap_or(Time::ZERO);
        let arrives = arrives.max(behind) + extra;
        self.arrived.insert(to, arrives);
        if shaped {
            self.at(arrives, to.0, Event::Acknowledge(from, len));
        }
        match load {
            Load::Frame { rid, off, whole, lie, hangs_up } => {
                self.peers[to.0].received += u64::from(len);
                if lie {
                    self.at(arrives, to.0, Event::Taint(to.1, rid));
                }
                let data = Input::Data { conn: to.1, rid, off, len: whole };
                self.at(arrives, to.0, Event::Input(data));
                if !shaped {
                    self.at(arrives, from.0, Event::Arrived(from.1, len));
                }
                if hangs_up {
                    self.at(arrives, from.0, Event::HangUp(from.1));
                }
            }
            Load::Part => self.peers[to.0].received += u64::from(len),
            Load::Message(msg) => {
                self.at(arrives, to.0, Event::Input(Input::Message { conn: to.1, msg }));
            }
            Load::Handshake(left, _) => self.at(arrives, to.0, Event::Shake(to.1, from, left)),
        }
    }

    /// Sends something that is no payload, so many bytes of it.
    pub(crate) fn send_small(
        &mut self,
        from: (usize, ConnId),
        to: (usize, ConnId),
        load: Load,
        len: u32,
    ) {
        if self.start.is_some() {
            return self.write_small(from, load, len);
        }
        let extra = self.weather.jitter.mul_f64(self.rng.f64());
        let packet = Packet { to, from, load, len, left: self.now, extra };
        self.at(self.now + self.delay(), to.0, Event::Incoming(packet));
    }

    /// How much later a frame comes than it could.
    fn bad_luck(&mut self) -> Duration {
        let Weather { jitter, lost, .. } = self.weather;
        let lost = lost > 0 && self.rng.u32(..lost) == 0;
        jitter.mul_f64(self.rng.f64()) + if lost { RETRANSMISSION } else { Duration::ZERO }
    }

    fn standstill(&mut self, took: f64) -> Duration {
        let every = self.weather.stalls;
        let stands = every > 0.0 && self.rng.f64() < took / every;
        if stands { Duration::from_secs_f64(self.rng.f64()) } else { Duration::ZERO }
    }
}
