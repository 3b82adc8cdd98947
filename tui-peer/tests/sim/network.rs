//! A network on virtual time: real [`Node`]s, links with rates and a delay, an event queue, no clock.
//!
//! A node's uplink sends the requests it serves in quanta, round robin over its connections; a quantum
//! then queues at the receiver's downlink. Control messages take the delay only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::merkle::ChunkHashes;
use common::wire::peer::PeerMsg;
use tui_peer::swarm::event::{ConnId, Input, Notice, Output, Ready, SourceHint};
use tui_peer::swarm::time::Time;
use tui_peer::swarm::{Node, NodeConfig};

/// Bytes that leave an uplink at once: one DATA frame.
const QUANTUM: u32 = 256 << 10;

/// How a peer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    /// Alters every n-th chunk it sends.
    Liar(u32),
    /// Says it has all and serves nothing.
    Silent,
    /// Stops for good after this many payload bytes.
    StopsAfter(u64),
}

/// A peer to be.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) up: f64,
    pub(crate) down: f64,
    pub(crate) seed: bool,
    pub(crate) manner: Manner,
    /// When it joins.
    pub(crate) joins: Duration,
    /// When it dies.
    pub(crate) dies: Option<Duration>,
}

impl Spec {
    pub(crate) fn new(up: f64, down: f64, seed: bool) -> Self {
        Self { up, down, seed, manner: Manner::Honest, joins: Duration::ZERO, dies: None }
    }
}

struct Job {
    rid: u32,
    chunk: u32,
    len: u32,
    sent: u32,
}

struct Peer {
    node: Node,
    spec: Spec,
    alive: bool,
    /// What waits at the uplink, per connection.
    queues: BTreeMap<ConnId, VecDeque<Job>>,
    last_served: ConnId,
    uplink_busy: bool,
    downlink_free: Time,
    sent: u64,
    served_chunks: u32,
    done: Option<Time>,
    deadline: Option<Time>,
    wasted: u64,
    received: u64,
    notices: Vec<Notice>,
    /// Chunks received with a wrong content.
    tainted: HashMap<(ConnId, u32), bool>,
}

enum Event {
    Input(usize, Input),
    Taint(usize, ConnId, u32),
    Uplink(usize),
    Wake(usize),
    Join(usize),
    Die(usize),
}

pub(crate) struct Network {
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: HashMap<u64, Event>,
    count: u64,
    peers: Vec<Peer>,
    /// Connection of each side to the other: `(peer, conn)`.
    wires: HashMap<(usize, ConnId), (usize, ConnId)>,
    /// When the last payload sent so far arrives at each end: a stream keeps its order.
    arrived: HashMap<(usize, ConnId), Time>,
    next_conn: u64,
    delay: Duration,
    pub(crate) layout: Arc<Layout>,
    descriptor: Descriptor,
    hashes: Vec<Hash>,
    id: ContentId,
    connect_to: usize,
    rng: fastrand::Rng,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Seconds until each honest leecher that stayed was done.
    pub(crate) times: Vec<f64>,
    /// Copies sent by all seeds together.
    pub(crate) seed_copies: f64,
    /// Bytes received and not used, as a share of all received.
    pub(crate) waste: f64,
    /// Notices of everybody.
    pub(crate) notices: Vec<Notice>,
    pub(crate) unfinished: usize,
    /// What those who never finished look like.
    pub(crate) stuck: Vec<String>,
}

pub(crate) fn peer_id(i: usize) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(i as u64 + 1).to_be_bytes());
    PeerId::from_bytes(bytes)
}

fn addr(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 7421))
}

impl Network {
    pub(crate) fn new(
        size: u64,
        specs: &[Spec],
        delay: Duration,
        cfg: &NodeConfig,
        seed: u64,
    ) -> Self {
        let layout = Arc::new(Layout::for_file(size).unwrap());
        let hashes: Vec<Hash> = layout.all().map(|c| sha256(&c.get().to_le_bytes())).collect();
        let list = ChunkHashes::complete(size, hashes.clone(), layout.chunk_level());
        let descriptor = Descriptor { kind: Kind::File, size, root: list.root() };
        let id = descriptor.id();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut network = Self {
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            count: 0,
            peers: Vec::new(),
            wires: HashMap::new(),
            arrived: HashMap::new(),
            next_conn: 1,
            delay,
            layout: layout.clone(),
            descriptor,
            hashes,
            id,
            connect_to: 50,
            rng: fastrand::Rng::with_seed(seed ^ 1),
        };
        for (i, spec) in specs.iter().enumerate() {
            network.peers.push(Peer {
                node: Node::new(cfg.clone(), peer_id(i), rng.u64(..)),
                spec: spec.clone(),
                alive: false,
                queues: BTreeMap::new(),
                last_served: ConnId(0),
                uplink_busy: false,
                downlink_free: Time::ZERO,
                sent: 0,
                served_chunks: 0,
                done: None,
                deadline: None,
                wasted: 0,
                received: 0,
                notices: Vec::new(),
                tainted: HashMap::new(),
            });
            network.at(Time::ZERO + spec.joins, Event::Join(i));
            if let Some(dies) = spec.dies {
                network.at(Time::ZERO + dies, Event::Die(i));
            }
        }
        network
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        let peer = match &event {
            Event::Input(p, _) | Event::Taint(p, ..) | Event::Uplink(p) => *p,
            Event::Wake(p) | Event::Join(p) | Event::Die(p) => *p,
        };
        self.events.insert(self.count, event);
        self.queue.push(Reverse((time, self.count, peer)));
    }

    /// Runs until every honest leecher that stays is done, or the time is up.
    pub(crate) fn run(&mut self, limit: Duration) -> Outcome {
        while let Some(Reverse((time, number, _))) = self.queue.pop() {
            if time > Time::ZERO + limit || self.all_done() {
                break;
            }
            self.now = time;
            let Some(event) = self.events.remove(&number) else { continue };
            match event {
                Event::Input(peer, input) => self.feed(peer, input),
                Event::Taint(peer, conn, rid) => {
                    self.peers[peer].tainted.insert((conn, rid), true);
                }
                Event::Uplink(peer) => self.uplink(peer),
                Event::Wake(peer) => {
                    if self.peers[peer].deadline == Some(time) {
                        self.peers[peer].deadline = None;
                        self.feed(peer, Input::Tick);
                    }
                }
                Event::Join(peer) => self.join(peer),
                Event::Die(peer) => self.die(peer),
            }
        }
        self.outcome()
    }

    fn all_done(&self) -> bool {
        self.count > 0 && self.peers.iter().all(|p| p.done.is_some() || !counts(p))
    }

    fn outcome(&self) -> Outcome {
        let total = self.layout.total() as f64;
        let counted: Vec<&Peer> = self.peers.iter().filter(|p| counts(p)).collect();
        let seeds = self.peers.iter().filter(|p| p.spec.seed);
        let received: u64 = counted.iter().map(|p| p.received).sum();
        let wasted: u64 = counted.iter().map(|p| p.wasted).sum();
        Outcome {
            times: counted
                .iter()
                .filter_map(|p| p.done.map(|t| t.since(Time::ZERO + p.spec.joins).as_secs_f64()))
                .collect(),
            seed_copies: seeds.map(|p| p.sent as f64).sum::<f64>() / total,
            waste: wasted as f64 / received.max(1) as f64,
            notices: self.peers.iter().flat_map(|p| p.notices.clone()).collect(),
            stuck: counted.iter().filter(|p| p.done.is_none()).map(|p| self.describe(p)).collect(),
            unfinished: counted.iter().filter(|p| p.done.is_none()).count(),
        }
    }

    fn describe(&self, peer: &Peer) -> String {
        let Some(view) = peer.node.content(&self.id, self.now) else { return "unknown".to_owned() };
        let lacks: Vec<u32> =
            (0..self.layout.chunks()).filter(|c| !view.have.contains(*c)).take(8).collect();
        let flying: Vec<bool> = lacks.iter().map(|c| view.in_flight(*c)).collect();
        let sources: Vec<String> = view
            .sources
            .iter()
            .map(|s| {
                format!(
                    "{:?} have {} pipe {:?} choked {} rate {:.0} k",
                    s.word,
                    s.have,
                    s.pipe,
                    s.choked_by,
                    s.down_rate / 1e3
                )
            })
            .collect();
        let rate = view.down_rate;
        let n = view.wanted.count() - view.wanted_here;
        format!("rate {rate} missing {n} lacks {lacks:?}, in flight {flying:?}, of {sources:#?}")
    }

    fn join(&mut self, i: usize) {
        self.peers[i].alive = true;
        let chunks = self.layout.chunks();
        let seed = self.peers[i].spec.seed || self.peers[i].spec.manner != Manner::Honest;
        let level = self.layout.chunk_level();
        let (have, hashes) = if seed {
            let list = ChunkHashes::complete(self.layout.total(), self.hashes.clone(), level);
            (ChunkSet::full(chunks), list)
        } else {
            let list = ChunkHashes::unknown(self.descriptor.root, chunks, level);
            (ChunkSet::empty(chunks), list)
        };
        let ready = Ready {
            descriptor: self.descriptor,
            layout: self.layout.clone(),
            have,
            wanted: ChunkSet::full(chunks),
            hashes: vec![hashes],
        };
        self.feed(i, Input::ContentAdded { id: self.id, ready: Some(ready) });
        // The tracker: a random subset to the newcomer, and the newcomer to everybody.
        let mut others: Vec<usize> =
            (0..self.peers.len()).filter(|o| *o != i && self.peers[*o].alive).collect();
        self.rng.shuffle(&mut others);
        others.truncate(self.connect_to);
        let hint = |peer: usize| SourceHint {
            peer: peer_id(peer),
            addrs: vec![addr(peer)],
            have: 1,
            set: None,
        };
        let sources = others.iter().copied().map(hint).collect();
        let later = self.now + self.delay;
        self.at(later, Event::Input(i, Input::SourcesFound { id: self.id, sources }));
    }

    fn die(&mut self, i: usize) {
        self.peers[i].alive = false;
        self.peers[i].queues.clear();
        let wires: Vec<_> =
            self.wires.iter().filter(|(from, _)| from.0 == i).map(|(_, to)| *to).collect();
        for (other, conn) in wires {
            self.cut(other, conn);
        }
    }

    /// Ends a connection for both sides.
    fn cut(&mut self, peer: usize, conn: ConnId) {
        let Some(other) = self.wires.remove(&(peer, conn)) else { return };
        self.wires.remove(&other);
        for (peer, conn) in [(peer, conn), other] {
            self.peers[peer].queues.remove(&conn);
            let later = self.now + self.delay;
            self.at(later, Event::Input(peer, Input::Disconnected { conn }));
        }
    }

    fn feed(&mut self, i: usize, input: Input) {
        if !self.peers[i].alive {
            return;
        }
        let mut out = Vec::new();
        self.peers[i].node.handle(self.now, input, &mut out);
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
            self.at(next, Event::Wake(i));
        }
    }

    fn execute(&mut self, i: usize, output: Output) {
        let later = self.now + self.delay;
        match output {
            Output::Dial { peer, .. } => self.dial(i, peer),
            Output::Send { conn, msg } => self.send(i, conn, &msg),
            Output::Disconnect { conn, .. } => self.cut(i, conn),
            Output::Serve { conn, rid, chunk, len, .. } => {
                let job = Job { rid, chunk, len, sent: 0 };
                self.peers[i].queues.entry(conn).or_default().push_back(job);
                if !self.peers[i].uplink_busy {
                    self.peers[i].uplink_busy = true;
                    let now = self.now;
                    self.at(now, Event::Uplink(i));
                }
            }
            Output::StopServing { conn, rid } => {
                if let Some(queue) = self.peers[i].queues.get_mut(&conn) {
                    queue.retain(|job| job.rid != rid);
                }
                let code = common::wire::Code::Cancelled;
                self.at(later, Event::Input(i, Input::ServeFailed { conn, rid, code }));
            }
            Output::Verify { id, chunk, parts, .. } => {
                let bad =
                    parts.iter().any(|p| self.peers[i].tainted.remove(&(p.conn, p.rid)).is_some());
                let actual = sha256(b"other bytes");
                let verdict = if bad {
                    Input::ChunkCorrupt { id, chunk, actual }
                } else {
                    Input::ChunkStored { id, chunk }
                };
                let soon = self.now + Duration::from_micros(500);
                self.at(soon, Event::Input(i, verdict));
            }
            Output::Discard { wasted, .. } => self.peers[i].wasted += wasted,
            Output::Completed { .. } => self.peers[i].done = Some(self.now),
            Output::NeedSources { id } => {
                let others = (0..self.peers.len()).filter(|o| *o != i && self.peers[*o].alive);
                let sources = others
                    .map(|o| SourceHint {
                        peer: peer_id(o),
                        addrs: vec![addr(o)],
                        have: 1,
                        set: None,
                    })
                    .collect();
                self.at(later, Event::Input(i, Input::SourcesFound { id, sources }));
            }
            Output::Notice(notice) => self.peers[i].notices.push(notice),
            Output::Stored { .. } | Output::HashesLearned { .. } | Output::Described { .. } => {}
            Output::ServeManifest { .. }
            | Output::ManifestPart { .. }
            | Output::ManifestFetched { .. } => unreachable!("no folders here"),
        }
    }

    fn dial(&mut self, i: usize, peer: PeerId) {
        let later = self.now + self.delay * 3;
        let other = (0..self.peers.len()).find(|o| peer_id(*o) == peer).unwrap();
        if !self.peers[other].alive {
            self.at(later, Event::Input(i, Input::DialFailed { peer, permanent: false }));
            return;
        }
        let (a, b) = (ConnId(self.next_conn), ConnId(self.next_conn + 1));
        self.next_conn += 2;
        self.wires.insert((i, a), (other, b));
        self.wires.insert((other, b), (i, a));
        let max_queued = 64 << 20;
        let up = |conn, peer, dialed| Input::Connected { conn, peer, dialed, max_queued };
        self.at(later, Event::Input(i, up(a, peer, true)));
        self.at(later, Event::Input(other, up(b, peer_id(i), false)));
    }

    fn send(&mut self, i: usize, conn: ConnId, msg: &PeerMsg) {
        if let Some((other, back)) = self.wires.get(&(i, conn)).copied() {
            // Every message crosses the wire format.
            let msg = PeerMsg::decode(msg.kind(), &msg.body()).unwrap().unwrap();
            let behind = self.arrived.get(&(other, back)).copied().unwrap_or(Time::ZERO);
            let later = (self.now + self.delay).max(behind);
            self.at(later, Event::Input(other, Input::Message { conn: back, msg }));
        }
    }

    /// Sends one quantum of the next connection in turn.
    fn uplink(&mut self, i: usize) {
        let peer = &mut self.peers[i];
        let silent = match peer.spec.manner {
            Manner::Silent => true,
            Manner::StopsAfter(most) => peer.sent >= most,
            _ => false,
        };
        let next = peer
            .queues
            .range(ConnId(peer.last_served.0 + 1)..)
            .chain(peer.queues.range(..=peer.last_served))
            .find(|(_, queue)| !queue.is_empty())
            .map(|(conn, _)| *conn);
        let (Some(conn), false, true) = (next, silent, peer.alive) else {
            peer.uplink_busy = false;
            return;
        };
        peer.last_served = conn;
        let Some(queue) = peer.queues.get_mut(&conn) else { return };
        let Some(job) = queue.front_mut() else { return };
        let len = QUANTUM.min(job.len - job.sent);
        let (rid, off) = (job.rid, job.sent);
        job.sent += len;
        let finished = job.sent == job.len;
        let chunk = job.chunk;
        if finished {
            queue.pop_front();
            peer.served_chunks += 1;
        }
        let lie = match peer.spec.manner {
            Manner::Liar(n) => finished && chunk.is_multiple_of(n),
            _ => false,
        };
        peer.sent += u64::from(len);
        let sent_at = self.now + Duration::from_secs_f64(f64::from(len) / peer.spec.up);
        self.at(sent_at, Event::Uplink(i));
        if finished {
            self.at(sent_at, Event::Input(i, Input::Served { conn, rid }));
        }
        let Some((other, back)) = self.wires.get(&(i, conn)).copied() else { return };
        let there = &mut self.peers[other];
        let start = there.downlink_free.max(self.now + self.delay);
        let took = Duration::from_secs_f64(f64::from(len) / there.spec.down);
        let arrives = (start + took).max(sent_at + self.delay);
        there.downlink_free = start + took;
        there.received += u64::from(len);
        self.arrived.insert((other, back), arrives);
        if lie {
            self.at(arrives, Event::Taint(other, back, rid));
        }
        self.at(arrives, Event::Input(other, Input::Data { conn: back, rid, off, len }));
    }
}

/// Whether a peer's completion is waited for.
fn counts(peer: &Peer) -> bool {
    !peer.spec.seed && peer.spec.manner == Manner::Honest && peer.spec.dies.is_none()
}

/// The least time in which all leechers can be done (Kumar and Ross 2006), in seconds.
pub(crate) fn bound(size: u64, specs: &[Spec]) -> f64 {
    let size = size as f64;
    let honest = |s: &&Spec| s.manner == Manner::Honest;
    let seeds: f64 = specs.iter().filter(honest).filter(|s| s.seed).map(|s| s.up).sum();
    let leechers: Vec<&Spec> = specs.iter().filter(honest).filter(|s| !s.seed).collect();
    let slowest = leechers.iter().map(|s| s.down).fold(f64::INFINITY, f64::min);
    let ups: f64 = leechers.iter().map(|s| s.up).sum();
    let n = leechers.len() as f64;
    (size / seeds).max(size / slowest).max(n * size / (seeds + ups))
}
