//! Links and a start as real peers have them: an uplink with a queue in which everything waits alike, dials
//! and handshakes of several round trips with the first questions in their last flight, a tracker that names
//! a peer once it has something (or, where a start says so, once it begins), and tells that at its next tick or sooner.

use std::time::Duration;

use swarm::event::{ConnId, Input, SourceHint};
use swarm::time::Time;

use super::links::Load;
use super::network::{Event, MAX_QUEUED, Network, hint, peer_id, up};

/// How a network of shaped links starts. The defaults are a machine for each peer, with the links of `../shared/bench` B:
/// probes beside its runs took 10 to 50 ms there and back through two queues of 100 Mbit/s, and 0 to 145 ms from an
/// uplink of 10.
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
    /// What TCP lets be under way of one connection, in bytes.
    pub(crate) window: u32,
    /// The tracker tells watchers so often,
    pub(crate) tick: Duration,
    /// and of somebody who came so long after the last time.
    pub(crate) hurry: Duration,
    /// It names a peer that has nothing yet too: the programs do not.
    pub(crate) names_beginners: bool,
    /// Not sooner than so long after it began does a peer tell of its first chunk.
    pub(crate) first: Duration,
    /// All stand still every two seconds, so long for each who fetches: their disk is one disk, and makes durable what
    /// came.
    pub(crate) sync: Duration,
    /// A peer is done so long after its last chunk: with what its disk does at the end.
    pub(crate) ends: Duration,
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
            window: u32::MAX,
            tick: Duration::from_millis(100),
            hurry: Duration::from_millis(100),
            names_beginners: false,
            first: Duration::from_millis(250),
            sync: Duration::ZERO,
            ends: Duration::ZERO,
        }
    }
}

impl Start {
    /// All peers on one machine with two cores and one disk, as `../shared/bench` B has them: what was seen there of
    /// system calls and of the counters of the links. TCP is the one setting that is fitted: BBR took some 80 kB of a
    /// connection for its round trip, and so a receiver whose acknowledgements wait in its own uplink of 10 Mbit/s
    /// gets half of its downlink.
    pub(crate) fn on_one_machine() -> Self {
        Self {
            ready: Duration::from_millis(100),
            apart: Duration::from_millis(20),
            delay: Duration::from_millis(3),
            crypto: Duration::from_millis(5),
            window: 80_000,
            sync: Duration::from_millis(12),
            ends: Duration::from_millis(140),
            ..Self::default()
        }
    }

    /// The same if the tracker named at once who begins and has nothing yet, which it does not (branch
    /// `crowd-meeting`): what that is worth.
    pub(crate) fn if_beginners_were_named(self) -> Self {
        Self {
            names_beginners: true,
            hurry: Duration::from_millis(10),
            first: Duration::ZERO,
            ..self
        }
    }

    /// Until when everything stands still, if it does, while so many fetch.
    pub(crate) fn stands_until(&self, now: Time, fetch: usize) -> Option<Time> {
        let syncs = self.sync * u32::try_from(fetch).unwrap();
        let since = now.since(Time::ZERO);
        let into = Duration::from_micros(
            u64::try_from(since.as_micros() % SYNC_EVERY.as_micros()).unwrap(),
        );
        (into < syncs).then(|| now + (syncs - into))
    }
}

/// What came is made durable so often.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// Packets of a handshake: two of TCP, two of TLS, and HELLO with the end of TLS and without.
const HANDSHAKE: u32 = 6;
/// Bytes of one.
pub(crate) const HANDSHAKE_LEN: u32 = 700;

/// What the tracker knows.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// Who has something or begins, and since when it knows.
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
        if !has_all {
            self.locate(i);
        }
        if has_all || start.names_beginners {
            self.comes(i, Duration::ZERO);
        }
    }

    /// A peer has stored a chunk: of the first one the tracker hears soon.
    pub(crate) fn stored(&mut self, i: usize) {
        let known = self.tracker.sources.iter().any(|(known, _)| *known == i);
        if let Some(start) = self.start.filter(|_| !known) {
            let begun = Time::ZERO + self.peers[i].spec.joins + start.ready;
            self.comes(i, (begun + start.first).since(self.now));
        }
    }

    /// The tracker hears of a peer that waits so long before it says something, and tells the others.
    fn comes(&mut self, i: usize, waits: Duration) {
        let Some(start) = self.start else { return };
        let hears = self.peers[i].sockets.free().max(self.now + waits) + self.delay();
        self.tracker.sources.push((i, hears));
        self.at(hears.max(self.tracker.told + start.hurry), 0, Event::Hurried);
    }

    /// The tracker's answer to the question who has the content.
    pub(crate) fn locate(&mut self, i: usize) {
        self.tell(i, Time::ZERO);
    }

    pub(crate) fn tick(&mut self) {
        let Some(Start { tick, .. }) = self.start else { return };
        self.tell_all();
        self.at(self.now + tick, 0, Event::Told);
    }

    /// The tracker tells of somebody who came, unless that was done meanwhile.
    pub(crate) fn hurry(&mut self) {
        let Some(Start { tick, hurry, .. }) = self.start else { return };
        let soonest = self.tracker.told + hurry;
        let told = self.tracker.told;
        if hurry >= tick || !self.tracker.sources.iter().any(|(_, since)| *since > told) {
            return;
        }
        if self.now >= soonest { self.tell_all() } else { self.at(soonest, 0, Event::Hurried) }
    }

    /// The tracker tells everybody who is new since the last time.
    fn tell_all(&mut self) {
        let told = std::mem::replace(&mut self.tracker.told, self.now);
        for i in 0..self.peers.len() {
            if self.peers[i].alive && self.peers[i].done.is_none() && !self.has_all(i) {
                self.tell(i, told + Duration::from_micros(1));
            }
        }
    }

    /// Names those of whom the tracker has known since then or later.
    fn tell(&mut self, i: usize, from: Time) {
        let new = from..=self.now;
        let sources = self.tracker.sources.iter();
        let sources = sources.filter(|(other, since)| *other != i && new.contains(since));
        let chunks = self.payload.layout.chunks();
        let have = |other: usize| if self.has_all(other) { chunks } else { 0 };
        let sources: Vec<_> =
            sources.map(|(i, _)| SourceHint { have: have(*i), ..hint(*i) }).collect();
        if !sources.is_empty() {
            let time = self.peers[i].downlink_free.max(self.now) + self.delay();
            let id = self.payload.id;
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
            // HELLO of the one that was dialled.
            0 => self.feed(to.0, Input::Greeted { conn: to.1, max_queued: MAX_QUEUED }),
            1 if !self.wires.contains_key(&to) => {}
            1 => {
                self.send_small(to, from, Load::Handshake(0, from), HANDSHAKE_LEN);
                self.feed(to.0, up(to.1, peer_id(from.0), false, swarm::event::Route::Direct));
            }
            _ => {
                // The processor is busy, the link is not.
                let at = self.now + crypto;
                self.at(at, to.0, Event::ShakeOn(to.1, from, left - 1));
            }
        }
    }

    /// A packet of a handshake has been looked at, and the next goes out: with HELLO of the one that dials its first
    /// questions.
    pub(crate) fn shake_on(&mut self, at: (usize, ConnId), to: (usize, ConnId), left: u32) {
        if left == 1 {
            self.wire(at, to);
        }
        self.send_small(at, to, Load::Handshake(left, to), HANDSHAKE_LEN);
        if left == 1 {
            let (conn, peer) = (at.1, peer_id(to.0));
            self.feed(
                at.0,
                Input::Reached { route: swarm::event::Route::Direct, conn, peer, group: None },
            );
        }
    }
}
