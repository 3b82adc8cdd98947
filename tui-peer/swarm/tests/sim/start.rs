//! Links and a start as real peers have them: an uplink with a queue in which everything waits alike, dials
//! and handshakes of several round trips, a tracker that names a peer once it has something, and tells that
//! at its next tick.

use std::time::Duration;

use swarm::event::{ConnId, Input, SourceHint};
use swarm::time::Time;

use super::links::Load;
use super::network::{Event, Network, hint, peer_id, up};

/// How a network of shaped links starts. The defaults are those of `../shared/bench` B on two cores: probes
/// beside its runs took 10 to 50 ms there and back through two queues of 100 Mbit/s, and 0 to 145 ms from an
/// uplink of 10; a peer whose processor is busy answers after some milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// From the start of the first process until the tracker has told it who has the content.
    pub(crate) ready: Duration,
    /// Between one process and the next.
    pub(crate) apart: Duration,
    /// One way of a packet, the processor's part of it included.
    pub(crate) delay: Duration,
    /// What one side computes before it answers a packet of a handshake.
    pub(crate) crypto: Duration,
    /// What the queue of a link holds, as time,
    pub(crate) queue: Duration,
    /// and in bytes at least.
    pub(crate) least_queue: f64,
    /// The tracker tells watchers so often.
    pub(crate) tick: Duration,
    /// It names a peer that has nothing yet too; ours does not.
    pub(crate) names_beginners: bool,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            ready: Duration::from_millis(50),
            apart: Duration::from_millis(4),
            delay: Duration::from_millis(2),
            crypto: Duration::from_micros(1500),
            queue: Duration::from_millis(15),
            least_queue: 65536.0,
            tick: Duration::from_millis(100),
            names_beginners: false,
        }
    }
}

/// Packets of a handshake: two of TCP, two of TLS, and HELLO with the end of TLS and without.
const HANDSHAKE: u32 = 6;
/// Bytes of one.
pub(crate) const HANDSHAKE_LEN: u32 = 700;

/// What the tracker knows.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// Who has something, and since when it knows.
    sources: Vec<(usize, Time)>,
    /// When it told the watchers last.
    told: Time,
}

impl Network {
    /// The same with shaped links and a real start.
    pub(crate) fn with_start(mut self, start: Start) -> Self {
        self.start = Some(start);
        let first = Time::ZERO + start.tick.mul_f64(self.rng.f64());
        self.at(first, 0, Event::Told);
        self
    }

    /// What the queue of an uplink holds, as time.
    pub(crate) fn queue_time(&self, i: usize) -> Duration {
        self.start.map_or(Duration::ZERO, |start| {
            start.queue.max(Duration::from_secs_f64(start.least_queue / self.peers[i].spec.up))
        })
    }

    /// How much later than its process a peer takes part.
    pub(crate) fn starts_up(&mut self, i: usize) -> Duration {
        let Some(start) = self.start.filter(|_| !self.has_all(i)) else { return Duration::ZERO };
        let earlier = (0..i).filter(|other| !self.has_all(*other)).count();
        // Processes that start together wait for each other.
        start.ready.mul_f64(0.8 + 0.4 * self.rng.f64())
            + start.apart * u32::try_from(earlier).unwrap()
    }

    /// A peer has joined.
    pub(crate) fn joined(&mut self, i: usize) {
        let Some(start) = self.start else { return };
        let has_all = self.has_all(i);
        if has_all || start.names_beginners {
            self.tracker.sources.push((i, self.now));
        }
        if !has_all {
            self.locate(i);
        }
    }

    /// A peer has stored a chunk: of the first one the tracker hears at once.
    pub(crate) fn stored(&mut self, i: usize) {
        let known = self.tracker.sources.iter().any(|(known, _)| *known == i);
        if self.start.is_some() && !known {
            let hears = self.peers[i].sockets.free().max(self.now) + self.delay();
            self.tracker.sources.push((i, hears));
        }
    }

    /// The tracker's answer to the question who has the content.
    pub(crate) fn locate(&mut self, i: usize) {
        self.tell(i, Time::ZERO);
    }

    /// The tracker tells everybody who is new since the last time.
    pub(crate) fn tell_all(&mut self) {
        let Some(Start { tick, .. }) = self.start else { return };
        let told = std::mem::replace(&mut self.tracker.told, self.now);
        for i in 0..self.peers.len() {
            if self.peers[i].alive && self.peers[i].done.is_none() && !self.has_all(i) {
                self.tell(i, told + Duration::from_micros(1));
            }
        }
        self.at(self.now + tick, 0, Event::Told);
    }

    /// Names those of whom the tracker has known since then or later.
    fn tell(&mut self, i: usize, from: Time) {
        let new = from..=self.now;
        let sources = self.tracker.sources.iter();
        let sources = sources.filter(|(other, since)| *other != i && new.contains(since));
        let chunks = self.matter.layout.chunks();
        let have = |other: usize| if self.has_all(other) { chunks } else { 1 };
        let sources: Vec<_> =
            sources.map(|(i, _)| SourceHint { have: have(*i), ..hint(*i) }).collect();
        if !sources.is_empty() {
            let time = self.peers[i].downlink_free.max(self.now) + self.delay();
            let id = self.matter.id;
            self.at(time, i, Event::Input(Input::SourcesFound { id, sources }));
        }
    }

    /// A dial begins: TCP, TLS and HELLO.
    pub(crate) fn shake_hands(&mut self, from: (usize, ConnId), to: (usize, ConnId)) {
        self.send_small(from, to, Load::Handshake(HANDSHAKE - 1, to), HANDSHAKE_LEN);
    }

    /// A packet of a handshake came, and so many are still to come.
    pub(crate) fn shake(&mut self, to: (usize, ConnId), from: (usize, ConnId), left: u32) {
        let crypto = self.start.map_or(Duration::ZERO, |start| start.crypto);
        match left {
            0 => {
                let gone = !self.wires.contains_key(&to);
                self.feed(to.0, up(to.1, peer_id(from.0), true));
                if gone {
                    self.soon(to.0, Input::Disconnected { conn: to.1 });
                }
            }
            1 => {
                self.send_small(to, from, Load::Handshake(0, from), HANDSHAKE_LEN);
                self.wire(to, from);
                self.feed(to.0, up(to.1, peer_id(from.0), false));
            }
            _ => {
                // The processor is busy, the link is not.
                let at = self.now + crypto;
                self.at(at, to.0, Event::ShakeOn(to.1, from, left - 1));
            }
        }
    }
}
