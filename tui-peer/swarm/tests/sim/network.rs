//! A network on virtual time: real [`Node`]s, an event queue, no clock. Who joins, dies and leaves, who
//! is connected to whom, what the tracker says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash};
use std::net::SocketAddr;
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::net::{OnLink, Prefix};
use swarm::event::{ConnId, Input, Notice, Route, SourceHint};
use swarm::time::Time;
use swarm::{Node, NodeConfig};

use super::links::{Packet, Uplink, Weather};
use super::payload::Payload;
use super::reach::{Reach, Step};
use super::sockets::Sockets;
use super::spec::{Manner, Spec};
use super::start::{Start, Tracker};

/// Peers the tracker names at once.
const NAMED: usize = 50;
/// Bytes that a peer lets others have queued.
pub(crate) const MAX_QUEUED: u32 = 64 << 20;
/// Way of a message or the first byte of a frame, one way, where nothing else is said.
const DELAY: Duration = Duration::from_millis(2);

pub(crate) struct Peer {
    pub(crate) node: Node,
    pub(crate) spec: Spec,
    pub(crate) alive: bool,
    pub(crate) uplink: Uplink,
    pub(crate) sockets: Sockets,
    /// When its downlink has nothing more to bring.
    pub(crate) downlink_free: Time,
    pub(crate) done: Option<Time>,
    /// Contents it was told to get, and has.
    begun: usize,
    completed: usize,
    deadline: Option<Time>,
    pub(crate) wasted: u64,
    pub(crate) received: u64,
    pub(crate) answered_hashes: u64,
    pub(crate) messages: u64,
    pub(crate) notices: Vec<Notice>,
    /// Requests answered with other bytes than asked for.
    pub(crate) tainted: HashMap<(ConnId, u32), ()>,
    /// Requests for which it chose the chunk itself.
    pub(crate) chosen: HashSet<(ConnId, u32)>,
    /// What it served: when, to whom, which chunk, and whether it chose that.
    pub(crate) served: Vec<(Time, usize, u32, bool)>,
}

#[allow(clippy::large_enum_variant, reason = "most of them are the large one")]
pub(crate) enum Event {
    Input(Input),
    Taint(ConnId, u32),
    Uplink,
    /// The link takes more from the sockets.
    Link,
    Incoming(Packet),
    /// A packet of a handshake arrived at one end from the other, and so many are still to come.
    Shake(ConnId, (usize, ConnId), u32),
    /// It has been looked at, and the answer goes out.
    ShakeOn(ConnId, (usize, ConnId), u32),
    /// Another way to a peer is due.
    Otherwise(usize, Step),
    /// The tracker tells what changed.
    Told,
    /// It tells of somebody who came.
    Hurried,
    /// So many bytes arrived at the other end of a connection.
    Arrived(ConnId, u32),
    /// They did, and TCP there says so.
    Acknowledge((usize, ConnId), u32),
    /// It was heard.
    Acknowledged(ConnId, u32),
    HangUp(ConnId),
    Wake,
    Join,
    TakesPart,
    Die,
    Leave,
}

pub(crate) struct Network {
    pub(crate) now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: HashMap<u64, Event>,
    count: u64,
    pub(crate) peers: Vec<Peer>,
    /// Connection of each side to the other: `(peer, conn)`.
    pub(crate) wires: BTreeMap<(usize, ConnId), (usize, ConnId)>,
    /// When the last payload sent so far arrives at each end: a stream keeps its order.
    pub(crate) arrived: HashMap<(usize, ConnId), Time>,
    next_conn: u64,
    pub(crate) payload: Payload,
    /// What is shared beside it, and how many at most a peer gets at once.
    others: Vec<Payload>,
    active: usize,
    pub(crate) weather: Weather,
    /// Links are shaped, and peers start as real ones do.
    pub(crate) start: Option<Start>,
    pub(crate) tracker: Tracker,
    pub(crate) reach: Reach,
    pub(crate) rng: fastrand::Rng,
    /// Everything that anybody did, if it is to be compared.
    pub(crate) trace: Option<DefaultHasher>,
}

pub(crate) fn peer_id(i: usize) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(i as u64 + 1).to_be_bytes());
    PeerId::from_bytes(bytes)
}

pub(crate) fn hint(i: usize) -> SourceHint {
    let addr = SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 7421));
    SourceHint { peer: peer_id(i), addrs: vec![addr], have: 1, set: None }
}

impl Network {
    pub(crate) fn new(payload: Payload, specs: &[Spec], cfg: &NodeConfig, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut network = Self {
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            count: 0,
            peers: Vec::new(),
            wires: BTreeMap::new(),
            arrived: HashMap::new(),
            next_conn: 1,
            payload,
            others: Vec::new(),
            active: 1,
            weather: Weather::default(),
            start: None,
            tracker: Tracker::default(),
            reach: Reach::default(),
            rng: fastrand::Rng::with_seed(seed ^ 1),
            trace: None,
        };
        for (i, spec) in specs.iter().enumerate() {
            let mut node = Node::new(cfg.clone(), peer_id(i), rng.u64(..));
            // All on one link.
            node.set_links(&OnLink::new([Prefix::new([10, 0, 0, 0].into(), 8)]));
            network.peers.push(Peer {
                node,
                spec: spec.clone(),
                alive: false,
                uplink: Uplink::default(),
                sockets: Sockets::default(),
                downlink_free: Time::ZERO,
                done: None,
                begun: 0,
                completed: 0,
                deadline: None,
                wasted: 0,
                received: 0,
                answered_hashes: 0,
                messages: 0,
                notices: Vec::new(),
                tainted: HashMap::new(),
                chosen: HashSet::new(),
                served: Vec::new(),
            });
            network.at(Time::ZERO + spec.joins, i, Event::Join);
            if let Some(dies) = spec.dies {
                network.at(Time::ZERO + dies, i, Event::Die);
            }
            if let Some(leaves) = spec.leaves {
                network.at(Time::ZERO + leaves, i, Event::Leave);
            }
        }
        network
    }

    /// The same with links that stall and jitter.
    pub(crate) fn with_weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// The same with more contents, of which everybody gets so many at once.
    pub(crate) fn with_more(mut self, others: Vec<Payload>, active: usize) -> Self {
        (self.others, self.active) = (others, active);
        self
    }

    /// All that is shared.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &Payload> {
        std::iter::once(&self.payload).chain(&self.others)
    }

    pub(crate) fn payload(&self, id: ContentId) -> &Payload {
        self.payloads().find(|payload| payload.id == id).unwrap()
    }

    /// Way of a message or the first byte of a frame, one way.
    pub(crate) fn delay(&self) -> Duration {
        self.start.map_or(DELAY, |start| start.delay)
    }

    pub(crate) fn at(&mut self, time: Time, peer: usize, event: Event) {
        self.count += 1;
        self.events.insert(self.count, event);
        self.queue.push(Reverse((time, self.count, peer)));
    }

    pub(crate) fn soon(&mut self, peer: usize, input: Input) {
        self.at(self.now + self.delay(), peer, Event::Input(input));
    }

    /// Runs until everybody whose completion counts is done, or it is `until`. Says whether all are.
    pub(crate) fn run_until(&mut self, until: Time) -> bool {
        while let Some(Reverse((time, ..))) = self.queue.peek() {
            if self.all_done() || *time > until {
                break;
            }
            let Some(Reverse((time, number, peer))) = self.queue.pop() else { break };
            self.now = time;
            match self.events.remove(&number) {
                Some(event) => self.happen(peer, event),
                None => continue,
            }
        }
        self.all_done()
    }

    fn happen(&mut self, i: usize, event: Event) {
        match event {
            Event::Input(input) => self.feed(i, input),
            Event::Taint(conn, rid) => drop(self.peers[i].tainted.insert((conn, rid), ())),
            Event::Uplink => self.uplink(i),
            Event::Link => self.link(i),
            Event::Incoming(packet) => self.incoming(packet),
            Event::Shake(conn, from, left) => self.shake((i, conn), from, left),
            Event::ShakeOn(conn, from, left) => self.shake_on((i, conn), from, left),
            Event::Otherwise(other, step) => self.otherwise(i, other, step),
            Event::Told => self.tick(),
            Event::Hurried => self.hurry(),
            Event::Arrived(conn, len) => self.arrived(i, conn, len),
            Event::Acknowledge(to, len) => self.acknowledge(i, to, len),
            Event::Acknowledged(conn, len) => self.acknowledged(i, conn, len),
            Event::HangUp(conn) => self.cut(i, conn),
            Event::Wake => {
                if self.peers[i].deadline == Some(self.now) {
                    self.peers[i].deadline = None;
                    self.feed(i, Input::Tick);
                }
            }
            Event::Join => {
                let time = self.now + self.starts_up(i);
                self.at(time, i, Event::TakesPart);
            }
            Event::TakesPart => self.join(i),
            Event::Die => self.die(i),
            Event::Leave => {
                let id = self.payload.id;
                self.feed(i, Input::ContentRemoved { id });
            }
        }
    }

    fn all_done(&self) -> bool {
        self.count > 0 && self.peers.iter().all(|p| p.done.is_some() || !p.spec.counts())
    }

    fn join(&mut self, i: usize) {
        self.peers[i].alive = true;
        let at_once = if self.has_all(i) { usize::MAX } else { self.active };
        for _ in 0..at_once {
            if !self.begin_next(i) {
                break;
            }
        }
        self.joined(i);
    }

    pub(crate) fn has_all(&self, i: usize) -> bool {
        self.peers[i].spec.seed || self.peers[i].spec.manner != Manner::Honest
    }

    /// A peer turns to the next content; false if there is none.
    fn begin_next(&mut self, i: usize) -> bool {
        let Some(payload) = self.payloads().nth(self.peers[i].begun) else { return false };
        let id = payload.id;
        let ready = match (self.has_all(i), payload.is_folder()) {
            (true, _) => Some(payload.whole()),
            (false, false) => Some(payload.nothing()),
            // Nothing but the id is known of a folder.
            (false, true) => None,
        };
        self.peers[i].begun += 1;
        self.feed(i, Input::ContentAdded { id, ready });
        if self.start.is_none() {
            self.name_sources(i, id, NAMED);
        }
        true
    }

    /// A peer has all of a content.
    pub(crate) fn completed(&mut self, i: usize) {
        self.peers[i].completed += 1;
        if self.peers[i].completed == 1 + self.others.len() {
            let ends = self.start.map_or(Duration::ZERO, |start| start.ends);
            self.peers[i].done = Some(self.now + ends);
        }
        if !self.has_all(i) {
            self.begin_next(i);
        }
    }

    /// The tracker names a random subset of those who are here.
    pub(crate) fn name_sources(&mut self, i: usize, id: ContentId, most: usize) {
        if self.start.is_some() {
            return self.locate(i);
        }
        let mut others: Vec<usize> =
            (0..self.peers.len()).filter(|o| *o != i && self.peers[*o].alive).collect();
        self.rng.shuffle(&mut others);
        let sources = others.into_iter().take(most).map(hint).collect();
        self.soon(i, Input::SourcesFound { id, sources });
    }

    fn die(&mut self, i: usize) {
        self.peers[i].alive = false;
        self.peers[i].uplink.clear();
        let of_i = (i, ConnId(0))..(i + 1, ConnId(0));
        let wires: Vec<_> = self.wires.range(of_i).map(|(_, to)| *to).collect();
        for (other, conn) in wires {
            self.cut(other, conn);
        }
    }

    /// Ends a connection for both sides.
    pub(crate) fn cut(&mut self, peer: usize, conn: ConnId) {
        let Some(other) = self.wires.remove(&(peer, conn)) else { return };
        self.wires.remove(&other);
        for (peer, conn) in [(peer, conn), other] {
            self.peers[peer].uplink.forget(conn);
            self.peers[peer].sockets.forget(conn);
            self.soon(peer, Input::Disconnected { conn });
        }
    }

    pub(crate) fn feed(&mut self, i: usize, input: Input) {
        if !self.peers[i].alive {
            return;
        }
        let mut out = Vec::new();
        self.peers[i].node.handle(self.now, input, &mut out);
        if let Some(trace) = &mut self.trace {
            format!("{:?} {i} {out:?}", self.now).hash(trace);
        }
        for output in out {
            self.execute(i, output);
        }
        self.schedule(i);
    }

    fn schedule(&mut self, i: usize) {
        let Some(next) = self.peers[i].node.next_deadline() else { return };
        let next = next.max(self.now);
        if self.peers[i].deadline.is_none_or(|old| next < old) {
            self.peers[i].deadline = Some(next);
            self.at(next, i, Event::Wake);
        }
    }

    pub(crate) fn dial(&mut self, i: usize, peer: PeerId) {
        let later = self.now + DELAY * 3;
        let other = (0..self.peers.len()).find(|o| peer_id(*o) == peer).unwrap();
        if !self.peers[other].alive {
            let failed = Input::DialFailed { peer, permanent: false, proven: false };
            return self.at(later, i, Event::Input(failed));
        }
        if self.is_shut(other) {
            return self.dial_in_vain(i, other);
        }
        if self.start.is_some() {
            let (a, b) = self.new_conns();
            return self.shake_hands((i, a), (other, b));
        }
        self.dialled(i, other);
    }

    fn new_conns(&mut self) -> (ConnId, ConnId) {
        self.next_conn += 2;
        (ConnId(self.next_conn - 2), ConnId(self.next_conn - 1))
    }

    /// Two new connections that are the ends of one.
    pub(crate) fn new_wire(&mut self, i: usize, other: usize) -> (ConnId, ConnId) {
        let (a, b) = self.new_conns();
        self.wire((i, a), (other, b));
        (a, b)
    }

    pub(crate) fn wire(&mut self, one: (usize, ConnId), other: (usize, ConnId)) {
        self.wires.insert(one, other);
        self.wires.insert(other, one);
    }
}

/// A connection is up.
pub(crate) fn up(conn: ConnId, peer: PeerId, dialed: bool, route: Route) -> Input {
    Input::Connected { route, conn, peer, dialed, group: None, max_queued: MAX_QUEUED }
}
