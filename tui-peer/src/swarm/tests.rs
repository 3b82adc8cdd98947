//! The core as a whole: a shell of a few lines between two nodes, and a node among peers that say
//! anything at any time, held to its invariants after every step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::limits::{MAX_LIVE_REQUESTS, MAX_REQ_ANY};
use common::merkle::{ChunkHashes, HashRange};
use common::wire::Code;
use common::wire::peer::{HaveState, Open, OpenOk, PeerMsg, Run};

use super::conn::Asked;
use super::content::Has;
use super::event::{ConnId, Input, Output, Ready, SourceHint};
use super::time::Time;
use super::{Node, NodeConfig};

/// A content with made-up chunk hashes.
#[derive(Clone)]
struct Thing {
    id: ContentId,
    descriptor: Descriptor,
    layout: Arc<Layout>,
    hashes: ChunkHashes,
}

fn thing(size: u64) -> Thing {
    let layout = Arc::new(Layout::for_file(size).unwrap());
    let list = layout.all().map(|c| sha256(&c.get().to_le_bytes())).collect();
    let hashes = ChunkHashes::complete(size, list, layout.chunk_level());
    let descriptor = Descriptor { kind: Kind::File, size, root: hashes.root() };
    Thing { id: descriptor.id(), descriptor, layout, hashes }
}

impl Thing {
    fn chunks(&self) -> u32 {
        self.layout.chunks()
    }

    fn ready(&self, have: ChunkSet, known: bool) -> Ready {
        let unknown =
            ChunkHashes::unknown(self.hashes.root(), self.chunks(), self.layout.chunk_level());
        Ready {
            descriptor: self.descriptor,
            layout: self.layout.clone(),
            have,
            wanted: ChunkSet::full(self.chunks()),
            hashes: vec![if known { self.hashes.clone() } else { unknown }],
        }
    }
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn hint(n: u8) -> SourceHint {
    let addrs = vec![([10, 0, 0, n], 7421).into()];
    SourceHint { peer: peer(n), addrs, have: 1, set: None }
}

/// Everything that must hold after every step.
fn check(node: &Node) {
    let mut total = 0;
    let mut per_content: HashMap<ContentId, u64> = HashMap::new();
    let mut asked: BTreeMap<(ContentId, u32), BTreeSet<(ConnId, u32)>> = BTreeMap::new();
    for (at, conn) in &node.conns {
        let mut own = 0;
        for (rid, request) in &conn.requests {
            let (len, got) = match request {
                Asked::Chunk { id, chunk, len, got } => {
                    asked.entry((*id, *chunk)).or_default().insert((*at, *rid));
                    (*len, *got)
                }
                Asked::Any { len, .. } => (*len, 0),
                Asked::Meta { .. } | Asked::Hashes { .. } => (0, 0),
            };
            assert!(got <= len);
            own += u64::from(len - got);
            total += u64::from(len);
            *per_content.entry(request.id()).or_default() += u64::from(len);
            assert!(node.contents.contains_key(&request.id()), "a request of nothing");
            assert!(!conn.cancelled.contains_key(rid));
        }
        assert_eq!(conn.outstanding, own, "bytes asked of one connection");
        assert!(conn.requests.len() <= MAX_LIVE_REQUESTS + MAX_REQ_ANY + 16);
        assert!(conn.cancelled.len() <= 1025);
        assert!(conn.queue.len() <= MAX_LIVE_REQUESTS * 2);
        assert_eq!(node.by_peer.get(&conn.peer), Some(at));
        for (handle, id) in &conn.handles {
            assert_eq!(node.contents[id].links[at].handle, *handle);
        }
    }
    for ((id, _), len) in &node.verifying {
        total += len;
        *per_content.entry(*id).or_default() += len;
    }
    assert_eq!(node.outstanding, total, "bytes asked in all");
    for (id, content) in &node.contents {
        // A content removed and added again starts at zero while the disk still has its chunks.
        assert!(content.outstanding <= per_content.get(id).copied().unwrap_or(0));
        let Some(body) = &content.body else { continue };
        let mut seeds = 0;
        let mut availability = vec![0u16; body.layout.chunks() as usize];
        for (at, link) in &content.links {
            assert_eq!(node.conns[at].handles.get(&link.handle), Some(id));
            match &link.has {
                Has::All => seeds += 1,
                Has::Some(set) => set.iter().for_each(|c| availability[c as usize] += 1),
                Has::Unread { .. } => panic!("unread although the layout is known"),
            }
            let useful =
                (0..body.layout.chunks()).filter(|c| link.has.contains(*c) && body.lacks(*c));
            assert_eq!(link.useful as usize, useful.count(), "useful chunks of a source");
        }
        assert_eq!(body.seeds, seeds);
        assert_eq!(body.picker.availability(), availability);
        let here = (0..body.layout.chunks())
            .filter(|c| body.have.contains(*c) && body.wanted.contains(*c));
        assert_eq!(body.wanted_here as usize, here.count());
        for chunk in 0..body.layout.chunks() {
            let flight = body.flights.get(&chunk);
            let live: BTreeSet<(ConnId, u32)> =
                flight.map(|f| f.asked.iter().copied().collect()).unwrap_or_default();
            assert_eq!(live, asked.get(&(*id, chunk)).cloned().unwrap_or_default());
            if let Some(flight) = flight {
                assert!(flight.verifying.is_some() || !flight.asked.is_empty(), "lost chunk");
                assert!(flight.asked.len() <= 2);
            }
            let pickable = body.lacks(chunk) && flight.is_none() && body.hash(chunk).is_some();
            assert_eq!(body.picker.is_pickable(chunk), pickable, "chunk {chunk}");
        }
        assert!(node.live.contains(id) || !content.is_active(), "wanted and forgotten");
    }
    let budget = node.cfg.budget;
    let single = node.contents.values().any(|c| c.outstanding == node.outstanding);
    assert!(node.outstanding <= budget || single, "{} of {budget}", node.outstanding);
}

/// Two nodes and what lies between them.
struct Pair {
    nodes: [Node; 2],
    now: Time,
    inbox: std::collections::VecDeque<(usize, Input)>,
    completed: [bool; 2],
    requested: u32,
    /// What a folder turns out to be, once its manifest is here; `None`: the manifest was wrong.
    folder: Option<Ready>,
    manifest_parts: u32,
    disconnects: Vec<String>,
}

impl Pair {
    const CONN: ConnId = ConnId(1);

    fn feed(&mut self, to: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[to].handle(self.now, input, &mut out);
        check(&self.nodes[to]);
        for output in out {
            self.execute(to, output);
        }
    }

    fn execute(&mut self, from: usize, output: Output) {
        let (other, conn) = (1 - from, Self::CONN);
        match output {
            Output::Dial { .. } => {
                let up = |to: usize, dialed| {
                    let peer = peer(2 - to as u8);
                    (to, Input::Connected { conn, peer, dialed, max_queued: 1 << 24 })
                };
                self.inbox.extend([up(from, true), up(other, false)]);
            }
            Output::Send { msg, .. } => {
                self.requested += u32::from(matches!(msg, PeerMsg::Request { .. }));
                let msg = PeerMsg::decode(msg.kind(), &msg.body()).unwrap().unwrap();
                self.inbox.push_back((other, Input::Message { conn, msg }));
            }
            Output::Serve { rid, len, .. } => {
                self.inbox.push_back((other, Input::Data { conn, rid, off: 0, len }));
                self.inbox.push_back((from, Input::Served { conn, rid }));
            }
            Output::Verify { id, chunk, .. } => {
                self.inbox.push_back((from, Input::ChunkStored { id, chunk }));
            }
            Output::Completed { .. } => self.completed[from] = true,
            Output::Disconnect { text, .. } => {
                self.disconnects.push(text);
                self.inbox.push_back((other, Input::Disconnected { conn }));
            }
            Output::ServeManifest { rid, len, .. } => {
                self.inbox.push_back((other, Input::Data { conn, rid, off: 0, len }));
                self.inbox.push_back((from, Input::Served { conn, rid }));
            }
            Output::ManifestPart { .. } => self.manifest_parts += 1,
            Output::ManifestFetched { id, conn } => {
                let input = match self.folder.clone() {
                    Some(ready) => Input::ContentReady { id, ready },
                    None => Input::ManifestRejected { id, conn },
                };
                self.inbox.push_back((from, input));
            }
            Output::StopServing { rid, .. } => {
                let code = Code::Cancelled;
                self.inbox.push_back((from, Input::ServeFailed { conn, rid, code }));
            }
            _ => {}
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            while let Some((to, input)) = self.inbox.pop_front() {
                self.feed(to, input);
            }
            let due = self.nodes.iter().filter_map(Node::next_deadline).min();
            let Some(due) = due else { return };
            self.now = self.now.max(due);
            for to in 0..2 {
                if self.nodes[to].next_deadline().is_some_and(|due| due <= self.now) {
                    self.feed(to, Input::Tick);
                }
            }
        }
    }
}

fn pair() -> Pair {
    let node = |n: u8| Node::new(NodeConfig::default(), peer(n), u64::from(n));
    Pair {
        nodes: [node(1), node(2)],
        now: Time::ZERO,
        inbox: std::collections::VecDeque::new(),
        completed: [false; 2],
        requested: 0,
        folder: None,
        manifest_parts: 0,
        disconnects: Vec::new(),
    }
}

#[test]
fn two_nodes_exchange_a_file() {
    let thing = thing(10 << 20);
    let mut pair = pair();
    let full = ChunkSet::full(thing.chunks());
    let seed = thing.ready(full, true);
    pair.feed(0, Input::ContentAdded { id: thing.id, ready: Some(seed) });
    let empty = ChunkSet::empty(thing.chunks());
    let wish = thing.ready(empty, false);
    pair.feed(1, Input::ContentAdded { id: thing.id, ready: Some(wish) });
    pair.feed(1, Input::SourcesFound { id: thing.id, sources: vec![hint(1)] });
    pair.run(20);
    assert!(pair.completed[1]);
    assert_eq!(pair.disconnects, Vec::<String>::new());
    assert!(pair.nodes[1].have(&thing.id).unwrap().is_complete());
    assert_eq!(pair.nodes[1].outstanding, 0);
}

#[test]
fn two_halves_make_a_whole_on_both_sides() {
    let thing = thing(10 << 20);
    let mut pair = pair();
    for (to, rest) in [(0, 0), (1, 1)] {
        let mut have = ChunkSet::empty(thing.chunks());
        for chunk in (0..thing.chunks()).filter(|c| c % 2 == rest) {
            have.insert(chunk);
        }
        let ready = thing.ready(have, true);
        pair.feed(to, Input::ContentAdded { id: thing.id, ready: Some(ready) });
    }
    pair.feed(1, Input::SourcesFound { id: thing.id, sources: vec![hint(1)] });
    pair.run(20);
    assert_eq!(pair.completed, [true, true]);
    assert_eq!(pair.requested, thing.chunks(), "every chunk was asked for once");
    for node in &pair.nodes {
        let links = &node.contents[&thing.id].links;
        assert!(links.is_empty(), "two seeds have parted: {links:?}");
    }
}

/// A folder of files of these sizes, of which all hashes are known or none.
fn folder(sizes: &[u64], known: bool) -> Ready {
    let layout = Arc::new(Layout::for_folder(sizes).unwrap());
    let level = layout.chunk_level();
    let hashes = sizes.iter().enumerate().map(|(file, size)| {
        let list: Vec<Hash> =
            layout.file_chunks(file).unwrap().map(|c| sha256(&c.to_le_bytes())).collect();
        let chunks = list.len() as u32;
        let complete = ChunkHashes::complete(*size, list, level);
        if known { complete } else { ChunkHashes::unknown(complete.root(), chunks, level) }
    });
    let descriptor = Descriptor { kind: Kind::Folder, size: 700_000, root: sha256(b"manifest") };
    let chunks = layout.chunks();
    Ready {
        descriptor,
        hashes: hashes.collect(),
        have: if known { ChunkSet::full(chunks) } else { ChunkSet::empty(chunks) },
        wanted: ChunkSet::full(chunks),
        layout,
    }
}

#[test]
fn a_folder_is_fetched_knowing_nothing_but_its_id() {
    let sizes = [10, 300_000, 0, 2_000_000, 65_536, 70_000];
    let seed = folder(&sizes, true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.folder = Some(folder(&sizes, false));
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    pair.feed(1, Input::ContentAdded { id, ready: None });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    pair.run(20);
    assert_eq!(pair.manifest_parts, 3, "700,000 bytes in slices of 256 KiB");
    assert!(pair.completed[1]);
    assert_eq!(pair.disconnects, Vec::<String>::new());
}

#[test]
fn chosen_files_come_even_behind_a_thousand_others() {
    // Every file has two chunks, so their hashes are to be fetched; only the last one is wanted.
    let sizes = vec![100_000; 1000];
    let seed = folder(&sizes, true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    let mut wish = folder(&sizes, false);
    let chunks = wish.layout.file_chunks(999).unwrap();
    wish.wanted = ChunkSet::empty(wish.layout.chunks());
    wish.wanted.insert_run(chunks.start, chunks.len() as u32);
    pair.feed(1, Input::ContentAdded { id, ready: Some(wish) });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    pair.run(5);
    assert!(pair.completed[1]);
    assert_eq!(pair.nodes[1].have(&id).unwrap().count(), 2, "nothing else was fetched");
}

#[test]
fn a_wrong_manifest_bans_its_sender() {
    let seed = folder(&[10, 300_000], true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    pair.feed(1, Input::ContentAdded { id, ready: None });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    pair.run(20);
    assert_eq!(pair.disconnects, ["sent a wrong folder manifest"]);
    assert!(pair.nodes[1].dialer.is_banned(&peer(1), pair.now));
}

#[test]
fn a_chunk_that_cannot_be_read_is_not_offered_again() {
    let thing = thing(200_000);
    let mut node = Node::new(NodeConfig::default(), peer(1), 1);
    let mut out = Vec::new();
    let conn = ConnId(1);
    let ready = thing.ready(ChunkSet::full(thing.chunks()), true);
    node.handle(Time::ZERO, Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    let up = Input::Connected { conn, peer: peer(2), dialed: false, max_queued: 1 << 24 };
    let open = Open { handle: 0, id: thing.id, state: HaveState::None, want: true };
    let request = |rid| PeerMsg::Request { handle: 0, rid, chunk: 1, off: 0, len: 65_536 };
    let say = |msg| Input::Message { conn, msg };
    for input in [up, say(PeerMsg::Open(open)), say(request(0))] {
        node.handle(Time::ZERO, input, &mut out);
    }
    assert!(out.iter().any(|o| matches!(o, Output::Serve { rid: 0, chunk: 1, .. })), "{out:?}");
    out.clear();
    node.handle(Time::ZERO, Input::ServeFailed { conn, rid: 0, code: Code::Gone }, &mut out);
    node.handle(Time::ZERO, say(request(1)), &mut out);
    let runs = vec![Run { start: 1, len: 1 }];
    let send = |msg| Output::Send { conn, msg };
    assert_eq!(
        out,
        [
            send(PeerMsg::Reject { rid: 0, code: Code::Gone }),
            send(PeerMsg::DontHave { handle: 0, runs }),
            send(PeerMsg::Reject { rid: 1, code: Code::Gone }),
        ]
    );
    assert!(node.next_deadline().is_some());
}

#[test]
fn one_fast_download_does_not_keep_out_another() {
    let things = [thing(64 << 20), thing(63 << 20)];
    let cfg = NodeConfig { budget: 4 << 20, ..NodeConfig::default() };
    let mut node = Node::new(cfg, peer(0), 1);
    let mut out = Vec::new();
    let mut say = |node: &mut Node, input| {
        let mut now = Vec::new();
        node.handle(Time::from_micros(1_000), input, &mut now);
        check(node);
        out.extend(now);
    };
    // Sources of the first come, and are asked, before there is one of the second.
    for (n, thing) in [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 1)] {
        let (thing, conn) = (&things[thing], ConnId(n));
        let key = peer(n as u8);
        let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
        if !node.knows(&thing.id) {
            say(&mut node, Input::ContentAdded { id: thing.id, ready: Some(ready) });
        }
        let up = Input::Connected { conn, peer: key, dialed: false, max_queued: 1 << 30 };
        say(&mut node, up);
        let open = Open { handle: 0, id: thing.id, state: HaveState::All, want: false };
        say(&mut node, Input::Message { conn, msg: PeerMsg::Open(open) });
        let msg = PeerMsg::Choke { handle: 0, choke: false };
        say(&mut node, Input::Message { conn, msg });
    }
    let first = node.contents[&things[0].id].outstanding;
    let second = node.contents[&things[1].id].outstanding;
    assert!(first >= 2 << 20, "{first}");
    assert!(second >= 512 << 10, "{second}");
    assert!(node.outstanding <= 4 << 20);
}

/// A node among strangers: what it sent them and what its shell owes it.
struct Chaos {
    node: Node,
    now: Time,
    rng: fastrand::Rng,
    things: Vec<Thing>,
    conns: Vec<ConnId>,
    next: u64,
    /// Messages of the node to which nobody has answered.
    open: Vec<(ConnId, PeerMsg)>,
    /// Requests the node made: connection, number, bytes delivered, length.
    streams: Vec<(ConnId, u32, u32, u32)>,
    verify: Vec<(ContentId, u32)>,
    serve: Vec<(ConnId, u32)>,
    /// Of a hundred steps, so many are rubbish: after little of it a connection is gone.
    rudeness: u32,
    /// How much happened: outputs by name.
    seen: BTreeMap<String, u32>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let cfg = NodeConfig {
            budget: 1 << 20,
            max_conns: 4,
            max_links: 3,
            dial_target: 2,
            ban_bad: Duration::from_secs(3),
            ban_rude: Duration::from_secs(2),
            ..NodeConfig::default()
        };
        Self {
            node: Node::new(cfg, peer(0), seed),
            now: Time::ZERO,
            rng: fastrand::Rng::with_seed(seed),
            things: vec![thing(2_000_000), thing(700_000), thing(1)],
            conns: Vec::new(),
            next: 1,
            open: Vec::new(),
            streams: Vec::new(),
            verify: Vec::new(),
            serve: Vec::new(),
            rudeness: [0, 1, 4, 15][(seed % 4) as usize],
            seen: BTreeMap::new(),
        }
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        let text = format!("{input:?}");
        self.node.handle(self.now, input, &mut out);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&self.node)));
        assert!(checked.is_ok(), "after {text}");
        assert!(out.len() < 5000, "one input, {} outputs: {text}", out.len());
        for output in out {
            let name = match &output {
                Output::Send { msg, .. } => format!("{msg:?}"),
                Output::Disconnect { text, .. } => text.clone(),
                output => format!("{output:?}"),
            };
            let name = name.split([' ', '(']).take(3).collect::<Vec<_>>();
            let word = if matches!(output, Output::Disconnect { .. }) {
                name.join(" ")
            } else {
                name[0].to_owned()
            };
            *self.seen.entry(word).or_default() += 1;
            match output {
                Output::Send { conn, msg } => {
                    assert!(PeerMsg::decode(msg.kind(), &msg.body()).is_ok(), "{msg:?}");
                    let deaf = matches!(
                        msg,
                        PeerMsg::Reject { .. }
                            | PeerMsg::OpenNo { .. }
                            | PeerMsg::OpenOk(_)
                            | PeerMsg::Bitfield { .. }
                            | PeerMsg::Want { .. }
                            | PeerMsg::Have { .. }
                            | PeerMsg::Choke { .. }
                    );
                    if !deaf {
                        self.open.push((conn, msg));
                    }
                }
                Output::Disconnect { conn, .. } => self.gone(conn),
                Output::Serve { conn, rid, .. } | Output::ServeManifest { conn, rid, .. } => {
                    self.serve.push((conn, rid));
                }
                Output::Verify { id, chunk, .. } => self.verify.push((id, chunk)),
                _ => {}
            }
        }
        let most = self.open.len().saturating_sub(300);
        self.open.drain(..most);
    }

    fn gone(&mut self, conn: ConnId) {
        self.conns.retain(|c| *c != conn);
        self.open.retain(|(c, _)| *c != conn);
        self.streams.retain(|s| s.0 != conn);
        self.serve.retain(|s| s.0 != conn);
    }

    fn thing(&mut self) -> Thing {
        self.things[self.rng.usize(..self.things.len())].clone()
    }

    fn some_set(&mut self, chunks: u32) -> ChunkSet {
        let mut set = ChunkSet::empty(chunks);
        let density = self.rng.u32(0..4);
        for chunk in 0..chunks {
            if self.rng.u32(0..4) < density {
                set.insert(chunk);
            }
        }
        set
    }

    fn conn(&mut self) -> Option<ConnId> {
        (!self.conns.is_empty()).then(|| self.conns[self.rng.usize(..self.conns.len())])
    }

    fn step(&mut self) {
        if self.rng.u32(0..100) < self.rudeness {
            return self.rubbish();
        }
        match self.rng.u32(0..100) {
            0..4 if self.conns.len() < 4 || self.rng.u8(..16) == 0 => self.connect(),
            0..4 => self.ask(),
            4 => {
                if let Some(conn) = self.conn() {
                    self.gone(conn);
                    self.feed(Input::Disconnected { conn });
                }
            }
            5..8 => self.shell(),
            8..20 => self.disk(),
            20..26 => {
                if let Some((conn, rid)) = self.serve.pop() {
                    let input = match self.rng.u32(0..4) {
                        0 => Input::ServeFailed { conn, rid, code: Code::Gone },
                        1 => Input::ServeFailed { conn, rid, code: Code::Cancelled },
                        _ => Input::Served { conn, rid },
                    };
                    self.feed(input);
                }
            }
            26..34 => {
                self.now = self.now + Duration::from_millis(self.rng.u64(1..400));
                self.feed(Input::Tick);
            }
            34 => {
                self.now = self.now + Duration::from_secs(self.rng.u64(1..40));
                self.feed(Input::Tick);
            }
            35..70 => self.answer(),
            70..90 => self.stream(),
            _ => self.ask(),
        }
    }

    fn connect(&mut self) {
        let conn = ConnId(self.next);
        self.next += 1;
        self.conns.push(conn);
        let peer = peer(self.rng.u8(1..40));
        let (dialed, max_queued) = (self.rng.bool(), self.rng.u32(..));
        self.feed(Input::Connected { conn, peer, dialed, max_queued });
    }

    /// Something the user, the tracker or the disk does.
    fn shell(&mut self) {
        let thing = self.thing();
        let (id, chunks) = (thing.id, thing.chunks());
        let set = self.some_set(chunks);
        let known = self.rng.bool();
        let input = match self.rng.u32(0..16) {
            0 if self.rng.bool() => Input::ContentRemoved { id },
            1 => Input::ContentAdded { id, ready: None },
            2..5 => Input::ContentAdded { id, ready: Some(thing.ready(set, known)) },
            5 => Input::ContentReady { id, ready: thing.ready(set, known) },
            6 => Input::WantedChanged { id, wanted: set },
            7 => Input::PausedChanged { id, paused: true },
            8..10 => Input::PausedChanged { id, paused: false },
            10 => Input::ChunksLost { id, lost: set },
            11 => Input::DialFailed { peer: peer(self.rng.u8(1..8)), permanent: false },
            12 => Input::SourcesLeft { id, peers: vec![peer(self.rng.u8(1..8))] },
            13 if self.rng.u32(0..8) == 0 => {
                Input::ManifestRejected { id, conn: ConnId(self.rng.u64(0..self.next)) }
            }
            _ => Input::SourcesFound { id, sources: (0..40).map(hint).collect() },
        };
        self.feed(input);
    }

    fn disk(&mut self) {
        let Some((id, chunk)) = self.verify.pop() else { return };
        let input = match self.rng.u32(0..8) {
            0 => Input::ChunkCorrupt { id, chunk, actual: Hash::ZERO },
            1 => Input::ChunkNotStored { id, chunk },
            _ => Input::ChunkStored { id, chunk },
        };
        self.feed(input);
    }

    /// An answer to something the node sent, as an honest peer would give it.
    fn answer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (conn, msg) = self.open.swap_remove(self.rng.usize(..self.open.len()));
        let say = |msg| Input::Message { conn, msg };
        match msg {
            PeerMsg::Open(Open { handle, id, .. }) => {
                let Some(thing) = self.things.iter().find(|t| t.id == id).cloned() else { return };
                let state = [HaveState::None, HaveState::Part, HaveState::All][self.rng.usize(..3)];
                let want = self.rng.bool();
                let ok = OpenOk { handle, descriptor: thing.descriptor, state, want };
                self.feed(say(PeerMsg::OpenOk(ok)));
                if state == HaveState::Part {
                    let set = self.some_set(thing.chunks()).encode();
                    self.feed(say(PeerMsg::Bitfield { handle, set }));
                }
                self.feed(say(PeerMsg::Choke { handle, choke: false }));
            }
            PeerMsg::Request { rid, len, .. } => self.streams.push((conn, rid, 0, len)),
            PeerMsg::ReqAny { handle, rid, count, .. } => {
                let id = self.node.by_handle(conn, handle);
                let Some(thing) = self.things.iter().find(|t| Some(t.id) == id).cloned() else {
                    return;
                };
                for rid in rid..rid + u32::from(count) {
                    let chunk = self.rng.u32(..thing.chunks());
                    let len = thing.layout.len_of(thing.layout.chunk(chunk).unwrap());
                    self.feed(say(PeerMsg::Assign { rid, chunk }));
                    self.streams.push((conn, rid, 0, len));
                }
            }
            PeerMsg::HashReq { handle, rid, index, count, .. } => {
                let id = self.node.by_handle(conn, handle);
                let proof = self
                    .things
                    .iter()
                    .find(|t| Some(t.id) == id)
                    .and_then(|thing| thing.hashes.prove(HashRange { index, count }));
                if let Some(proof) = proof {
                    let (hashes, proof) = (proof.hashes, proof.uncles);
                    self.feed(say(PeerMsg::Hashes { rid, hashes, proof }));
                }
            }
            PeerMsg::Cancel { rid } => {
                self.streams.retain(|s| (s.0, s.1) != (conn, rid));
                self.feed(say(PeerMsg::Reject { rid, code: Code::Cancelled }));
            }
            PeerMsg::Ping(nonce) => self.feed(say(PeerMsg::Pong(nonce))),
            _ => {}
        }
    }

    /// What a leecher may say to us.
    fn ask(&mut self) {
        let Some(conn) = self.conn() else { return };
        let thing = self.thing();
        let handles = self.node.conns.get(&conn).map(|conn| conn.handles.clone());
        let handle = handles.into_iter().flatten().find(|(_, id)| *id == thing.id);
        let dialed = self.node.conns.get(&conn).is_some_and(|conn| conn.dialed);
        let rid = self.rng.u32(..);
        let Some((handle, _)) = handle else {
            let index = self.things.iter().position(|t| t.id == thing.id).unwrap() as u16;
            let handle = 1000 + index * 2 + u16::from(dialed);
            let state = [HaveState::None, HaveState::All][self.rng.usize(..2)];
            let msg = PeerMsg::Open(Open { handle, id: thing.id, state, want: true });
            return self.feed(Input::Message { conn, msg });
        };
        let chunk = self.rng.u32(..thing.chunks());
        let len = thing.layout.len_of(thing.layout.chunk(chunk).unwrap());
        let msg = match self.rng.u32(0..8) {
            0..3 => PeerMsg::Request { handle, rid, chunk, off: 0, len },
            3 | 4 => PeerMsg::ReqAny { handle, rid, count: 3, except: vec![chunk] },
            5 => PeerMsg::Cancel { rid: self.serve.first().map_or(rid, |serve| serve.1) },
            6 => PeerMsg::Have { handle, runs: vec![Run { start: chunk, len: 1 }] },
            _ => PeerMsg::Want { handle, want: self.rng.bool() },
        };
        self.feed(Input::Message { conn, msg });
    }

    /// Payload of a request, in order.
    fn stream(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let i = self.rng.usize(..self.streams.len());
        let (conn, rid, off, len) = self.streams[i];
        let part = if self.rng.bool() { len - off } else { self.rng.u32(1..=len - off) };
        if off + part == len {
            self.streams.swap_remove(i);
        } else {
            self.streams[i].2 += part;
        }
        self.feed(Input::Data { conn, rid, off, len: part });
    }

    /// What no honest peer would say, or not now.
    fn rubbish(&mut self) {
        let Some(conn) = self.conn() else { return };
        let handle = self.rng.u16(0..6);
        let rid = self.rng.u32(0..40);
        let chunk = self.rng.u32(0..35);
        let thing = self.thing();
        let mut runs: Vec<Run> = (0..self.rng.usize(1..4))
            .map(|_| Run { start: self.rng.u32(0..30), len: self.rng.u16(1..5) })
            .collect();
        if self.rng.bool() {
            runs.truncate(1);
        }
        let code = Code::from(self.rng.u8(..25));
        let len = self.rng.u32(0..3) * 65_536;
        let msg = match self.rng.u32(0..22) {
            0 | 1 => {
                let state = [HaveState::None, HaveState::Part, HaveState::All][self.rng.usize(..3)];
                PeerMsg::Open(Open { handle, id: thing.id, state, want: self.rng.bool() })
            }
            2 => {
                let state = HaveState::All;
                let descriptor = thing.descriptor;
                PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want: true })
            }
            3 => PeerMsg::OpenNo { handle, code },
            4 => PeerMsg::Close { handle },
            5 => {
                let set = self.some_set(thing.chunks()).encode();
                PeerMsg::Bitfield { handle, set }
            }
            6 => {
                let len = thing.chunks() as u16;
                PeerMsg::Have { handle, runs: vec![Run { start: 0, len }] }
            }
            7 => PeerMsg::Have { handle, runs },
            8 => PeerMsg::DontHave { handle, runs },
            9 | 10 => PeerMsg::Want { handle, want: self.rng.bool() },
            11 => PeerMsg::Choke { handle, choke: self.rng.bool() },
            12 | 13 => PeerMsg::Request { handle, rid, chunk, off: 0, len: len.max(65_536) },
            14 => {
                let count = self.rng.u8(1..=16);
                PeerMsg::ReqAny { handle, rid, count, except: vec![chunk] }
            }
            15 => PeerMsg::Assign { rid, chunk },
            16 => PeerMsg::Cancel { rid },
            17 | 18 => PeerMsg::Reject { rid, code },
            19 => {
                let (level, index) = (thing.layout.chunk_level(), self.rng.u32(0..32));
                PeerMsg::HashReq { handle, rid, file: 0, level, index, count: 1 }
            }
            20 => PeerMsg::MetaReq { handle, rid, off: 0, len },
            _ => {
                let off = self.rng.u32(0..2) * 65_536;
                return self.feed(Input::Data { conn, rid, off, len: len.max(1) });
            }
        };
        self.feed(Input::Message { conn, msg });
    }
}

#[test]
fn whatever_peers_say_nothing_is_lost_or_counted_wrong() {
    let seeds: u64 = std::env::var("SHOAL_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..seeds {
        let mut chaos = Chaos::new(seed);
        for thing in chaos.things.clone() {
            let id = thing.id;
            let ready = thing.ready(ChunkSet::empty(thing.chunks()), false);
            chaos.feed(Input::ContentAdded { id, ready: Some(ready) });
            chaos.feed(Input::SourcesFound { id, sources: (0..40).map(hint).collect() });
        }
        for step in 0..600 {
            let run = std::panic::AssertUnwindSafe(|| chaos.step());
            if std::panic::catch_unwind(run).is_err() {
                panic!("seed {seed}, step {step}");
            }
        }
        for (name, count) in chaos.seen {
            *seen.entry(name).or_default() += count;
        }
    }
    // A test that everybody is thrown out of at once would show nothing.
    for name in ["Stored", "Serve", "Assign", "Cancel", "DontHave", "HashesLearned", "Discard"] {
        assert!(seen.get(name).is_some_and(|count| *count > 100), "{name}: {seen:#?}");
    }
}
