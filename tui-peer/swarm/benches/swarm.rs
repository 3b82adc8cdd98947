//! What the core costs per chunk, and its memory, at the largest size it takes: 2^20 chunks.
//! `cargo bench -p swarm`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::{Hash, PeerId};
use common::layout::Layout;
use common::merkle::ChunkHashes;
use common::wire::peer::{HaveState, Open, PeerMsg, Run};
use swarm::event::{ConnId, Input, Output, Ready};
use swarm::time::Time;
use swarm::{Node, NodeConfig};

const CHUNKS: u32 = 1 << 20;
const ROUNDS: u32 = 2000;

struct World {
    node: Node,
    now: Time,
    out: Vec<Output>,
}

impl World {
    fn feed(&mut self, input: Input) {
        self.node.handle(self.now, input, &mut self.out);
    }

    fn say(&mut self, conn: u64, msg: PeerMsg) {
        self.feed(Input::Message { conn: ConnId(conn), msg });
    }

    /// A node with the content, of which it has all or nothing, and `peers` connections.
    fn new(size: u64, hashes: &ChunkHashes, seed: bool, peers: u64, state: HaveState) -> Self {
        let layout = Arc::new(Layout::for_file(size).unwrap());
        let descriptor = Descriptor { kind: Kind::File, size, root: hashes.root() };
        let id = descriptor.id();
        let cfg = NodeConfig { budget: 1 << 40, max_links: 100, ..NodeConfig::default() };
        let node = Node::new(cfg, PeerId::from_bytes([0; 32]), 1);
        let mut world = Self { node, now: Time::from_micros(1), out: Vec::new() };
        let chunks = layout.chunks();
        let have = if seed { ChunkSet::full(chunks) } else { ChunkSet::empty(chunks) };
        let wanted = ChunkSet::full(chunks);
        let ready = Ready {
            descriptor,
            layout,
            have,
            wanted,
            hashes: vec![hashes.clone()],
            doubted: ChunkSet::empty(chunks),
        };
        world.feed(Input::ContentAdded { id, ready: Some(ready) });
        for n in 1..=peers {
            let peer = PeerId::from_bytes([u8::try_from(n).unwrap(); 32]);
            let conn = ConnId(n);
            world.feed(Input::Connected {
                route: swarm::event::Route::Direct,
                conn,
                peer,
                dialed: false,
                group: None,
                max_queued: 1 << 30,
            });
            world.say(n, PeerMsg::Open(Open { handle: 0, id, state, want: seed }));
        }
        world.out.clear();
        world
    }
}

fn show(what: &str, times: u32, took: Duration) {
    println!("{what:<56}{:>10.1} us", took.as_secs_f64() * 1e6 / f64::from(times));
}

/// Memory of this process, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// What [`deliver`] took.
#[derive(Default)]
struct Delivered {
    chunks: u32,
    requests: u32,
    /// Bytes came in, after which the next request is chosen.
    data: Duration,
    /// A chunk was stored, which others are told.
    stored: Duration,
}

/// Everything a request of ours leads to, until there is none left: data, verdict.
fn deliver(world: &mut World, most: u32) -> Delivered {
    let mut done = Delivered::default();
    while done.chunks < most {
        let batch = std::mem::take(&mut world.out);
        let mut progress = false;
        for output in batch {
            match output {
                Output::Send { conn, msg: PeerMsg::Request { rid, len, .. } } => {
                    progress = true;
                    done.requests += 1;
                    let begun = Instant::now();
                    world.feed(Input::Data { conn, rid, off: 0, len });
                    done.data += begun.elapsed();
                }
                Output::Verify { id, chunk, .. } => {
                    done.chunks += 1;
                    world.now = world.now + Duration::from_micros(200);
                    let begun = Instant::now();
                    world.feed(Input::ChunkStored { id, chunk });
                    done.stored += begun.elapsed();
                }
                _ => {}
            }
        }
        if !progress {
            world.now = world.now + Duration::from_millis(100);
            world.feed(Input::Tick);
        }
    }
    done
}

fn main() {
    let size = u64::from(CHUNKS) * (4 << 20);
    let list: Vec<Hash> = (0..CHUNKS)
        .map(|chunk| {
            let mut bytes = [7; 32];
            bytes[..4].copy_from_slice(&chunk.to_le_bytes());
            Hash::from_bytes(bytes)
        })
        .collect();
    let level = Layout::for_file(size).unwrap().chunk_level();
    let hashes = ChunkHashes::complete(size, list, level);

    from_partial_sources(size, &hashes);
    from_sources_of_one_chunk(size, &hashes);
    nothing_left_to_ask_for();
    served_at_our_choice(size, &hashes);
}

fn from_partial_sources(size: u64, hashes: &ChunkHashes) {
    let before = resident();
    let begun = Instant::now();
    let mut world = World::new(size, hashes, false, 30, HaveState::Part);
    show("add a content, 30 peers", 1, begun.elapsed());

    // Every peer has another half.
    let begun = Instant::now();
    for n in 1..=30u64 {
        let mut set = ChunkSet::empty(CHUNKS);
        let mut rng = fastrand::Rng::with_seed(n);
        (0..CHUNKS).filter(|_| rng.bool()).for_each(|chunk| {
            set.insert(chunk);
        });
        let msg = PeerMsg::Bitfield { handle: 0, set: set.encode() };
        world.say(n, msg);
    }
    show("bitfield of scattered halves (with making it)", 30, begun.elapsed());

    for n in 1..=30 {
        world.say(n, PeerMsg::Choke { handle: 0, choke: false });
    }
    let begun = Instant::now();
    let done = deliver(&mut world, ROUNDS);
    show("request, data, stored: from 30 partial sources", done.chunks, begun.elapsed());
    show("  of that: data came, next request chosen", done.requests, done.data);
    show("  of that: chunk stored, others told", done.chunks, done.stored);
    let (all, list) = (resident() - before, f64::from(CHUNKS) * 32.0 / 1e6);
    println!("{:<56}{all:>10.1} MB", "memory of all this, the list of hashes included");
    println!("{:<56}{:>10.1} MB", "without that list", all - list);

    let begun = Instant::now();
    for i in 0..ROUNDS {
        let runs = vec![Run { start: i * 7, len: 3 }];
        world.say(u64::from(i % 30) + 1, PeerMsg::Have { handle: 0, runs });
    }
    show("HAVE of three chunks", ROUNDS, begun.elapsed());
}

/// A crowd near its end: all that is missing is asked of somebody, half of the sources are done, and tell what comes.
fn nothing_left_to_ask_for() {
    let (sources, size) = (50u64, 256u64 << 20);
    let layout = Layout::for_file(size).unwrap();
    let chunks = layout.chunks();
    let list = (0..chunks).map(|chunk| Hash::from_bytes([(chunk % 251) as u8; 32])).collect();
    let hashes = ChunkHashes::complete(size, list, layout.chunk_level());
    let mut world = World::new(size, &hashes, false, sources, HaveState::Part);
    for n in 1..=sources {
        world.say(n, PeerMsg::Bitfield { handle: 0, set: ChunkSet::full(chunks).encode() });
        world.say(n, PeerMsg::Choke { handle: 0, choke: false });
    }
    let (mut asked, mut stored) = (Vec::new(), 0);
    // Until all is stored or asked of the second half, which is busy with something else after a while.
    while stored + asked.len() < chunks as usize {
        for output in std::mem::take(&mut world.out) {
            match output {
                Output::Send { conn, msg: PeerMsg::Request { rid, len, .. } } => {
                    asked.push((conn, rid, len));
                }
                Output::Verify { id, chunk, .. } => {
                    stored += 1;
                    world.feed(Input::ChunkStored { id, chunk });
                }
                _ => {}
            }
        }
        world.now = world.now + Duration::from_millis(10);
        world.feed(Input::Tick);
        let delivers = |conn: ConnId| conn.0 <= sources / 2 || stored < chunks as usize / 2;
        for (conn, rid, len) in asked.extract_if(.., |(conn, ..)| delivers(*conn)) {
            world.feed(Input::Data { conn, rid, off: 0, len });
        }
    }
    let begun = Instant::now();
    for i in 0..ROUNDS {
        let runs = vec![Run { start: i % chunks, len: 1 }];
        world.say(u64::from(i) % (sources / 2) + 1, PeerMsg::Have { handle: 0, runs });
    }
    show(
        &format!("HAVE of one of 50 sources, {} chunks under way", asked.len()),
        ROUNDS,
        begun.elapsed(),
    );
}

/// Peers with one chunk in a million.
fn from_sources_of_one_chunk(size: u64, hashes: &ChunkHashes) {
    let mut world = World::new(size, hashes, false, 30, HaveState::None);
    for n in 1..=30u32 {
        let conn = u64::from(n);
        world.say(conn, PeerMsg::Choke { handle: 0, choke: false });
        let runs = vec![Run { start: n * 30_000, len: 1 }];
        world.say(conn, PeerMsg::Have { handle: 0, runs });
    }
    let begun = Instant::now();
    for i in 0..100 {
        world.now = world.now + Duration::from_millis(100);
        world.feed(Input::Tick);
        world.say(i % 30 + 1, PeerMsg::Ping(0));
    }
    show("tick with 30 sources of one chunk each", 100, begun.elapsed());
}

fn served_at_our_choice(size: u64, hashes: &ChunkHashes) {
    let mut world = World::new(size, hashes, true, 30, HaveState::None);
    let ask = |world: &mut World, conn: u64, rid: &mut u32, count: u8| {
        world.say(conn, PeerMsg::ReqAny { handle: 0, rid: *rid, count, except: Vec::new() });
        *rid += u32::from(count);
    };
    let mut rid = 0;
    (1..=30).for_each(|conn| ask(&mut world, conn, &mut rid, 4));
    let begun = Instant::now();
    let (mut served, mut idle) = (0, 0);
    while served < ROUNDS {
        assert!(idle < 100, "nobody is served");
        world.now = world.now + Duration::from_millis(1);
        idle += 1;
        let batch = std::mem::take(&mut world.out);
        if batch.is_empty() {
            world.now = world.now + Duration::from_millis(100);
            world.feed(Input::Tick);
        }
        for output in batch {
            match output {
                Output::Serve { conn, rid: done, .. } => {
                    (served, idle) = (served + 1, 0);
                    world.feed(Input::Served { conn, rid: done });
                    ask(&mut world, conn.0, &mut rid, 1);
                }
                // Not its turn to ask yet.
                Output::Send { conn, msg: PeerMsg::Choke { choke: false, .. } } => {
                    ask(&mut world, conn.0, &mut rid, 4);
                }
                _ => {}
            }
        }
    }
    show("assign and serve a chunk of our choice", served, begun.elapsed());
}
