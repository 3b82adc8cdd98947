//! The core as a whole: a shell of a few lines between two nodes, and a node among peers that say
//! anything at any time, held to its invariants after every step.

mod busy;
mod chaos;
mod crowds;
mod doubts;
mod early;
mod hostile;
mod pair;
mod reach;
mod serving;
mod sharing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::limits::{MAX_LIVE_REQUESTS, MAX_REQ_ANY, MIN_DATA_LEN};
use common::merkle::{ChunkHashes, HashRange};
use common::wire::Code;
use common::wire::peer::{HaveState, Open, OpenOk, PeerMsg, Run};

use super::body::Body;
use super::conn::{Asked, Conn};
use super::content::Content;
use super::event::{ConnId, Input, Output, Ready, SourceHint};
use super::link::Has;
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
            doubted: ChunkSet::empty(self.chunks()),
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

fn request(thing: &Thing, rid: u32, chunk: u32) -> PeerMsg {
    let len = thing.layout.len_of(thing.layout.chunk(chunk).unwrap());
    PeerMsg::Request { handle: 0, rid, chunk, off: 0, len }
}

/// What all connections of a node have asked for, counted anew.
#[derive(Default)]
struct Counted {
    bytes: u64,
    per_content: HashMap<ContentId, u64>,
    chunks: BTreeMap<(ContentId, u32), BTreeSet<(ConnId, u32)>>,
}

/// Everything that must hold after every step.
fn check(node: &Node) {
    let mut counted = Counted::default();
    for (at, conn) in &node.conns {
        check_requests(node, *at, conn, &mut counted);
        check_places(node, *at, conn);
    }
    for ((id, _), len) in &node.verifying {
        counted.bytes += len;
        *counted.per_content.entry(*id).or_default() += len;
    }
    assert_eq!(node.outstanding, counted.bytes, "bytes asked in all");
    for (id, content) in &node.contents {
        // A content removed and added again starts at zero while the disk still has its chunks.
        assert!(content.outstanding <= counted.per_content.get(id).copied().unwrap_or(0));
        let Some(body) = &content.body else { continue };
        check_copies(node, id, content, body);
        check_chunks(id, body, &counted);
        assert!(node.live.contains(id) || !content.is_active(), "wanted and forgotten");
    }
    assert_eq!(node.conns.len(), node.peers.greeted.len() + node.peers.reached.len());
    assert!(node.places() <= node.cfg.max_conns);
    let budget = node.cfg.budget;
    let single = node.contents.values().any(|c| c.outstanding == node.outstanding);
    assert!(node.outstanding <= budget || single, "{} of {budget}", node.outstanding);
}

fn check_requests(node: &Node, at: ConnId, conn: &Conn, counted: &mut Counted) {
    let mut own = 0;
    for (rid, request) in &conn.requests {
        let (len, got) = match request {
            Asked::Chunk { id, chunk, len, got, .. } => {
                counted.chunks.entry((*id, *chunk)).or_default().insert((at, *rid));
                (*len, *got)
            }
            Asked::Any { len, .. } => (*len, 0),
            Asked::Meta { .. } | Asked::Hashes { .. } => (0, 0),
        };
        assert!(got <= len);
        own += u64::from(len - got);
        counted.bytes += u64::from(len);
        *counted.per_content.entry(request.id()).or_default() += u64::from(len);
        assert!(node.contents.contains_key(&request.id()), "a request of nothing");
        assert!(!conn.cancelled.contains_key(rid));
    }
    assert_eq!(conn.outstanding, own, "bytes asked of one connection");
    assert!(conn.requests.len() <= MAX_LIVE_REQUESTS + MAX_REQ_ANY + 16);
    assert!(conn.cancelled.len() <= 1025);
    assert!(conn.queue.len() <= MAX_LIVE_REQUESTS * 2);
}

/// Wherever a connection stands: by its peer, with each content, and in line.
fn check_places(node: &Node, at: ConnId, conn: &Conn) {
    if conn.greeted {
        assert_eq!(node.peers.greeted.get(&conn.peer), Some(&at));
    } else {
        assert_eq!(node.peers.reached.get(&conn.peer), Some(&at));
        assert!(conn.handles.is_empty() && conn.opening.len() <= 1 && conn.down.total == 0);
    }
    for (handle, id) in &conn.handles {
        assert_eq!(node.contents[id].links[&at].handle, *handle);
    }
    for (turn, id) in conn.line.waiting() {
        assert_eq!(node.contents[id].links[&at].turn, *turn, "in line twice or for nothing");
    }
}

/// Who has what of a content, and what is kept of that for those who look.
fn check_copies(node: &Node, id: &ContentId, content: &Content, body: &Body) {
    let mut seeds = 0;
    let mut availability = vec![0u16; body.layout.chunks() as usize];
    for (at, link) in &content.links {
        assert_eq!(node.conns[at].handles.get(&link.handle), Some(id));
        match &link.has {
            Has::All => seeds += 1,
            Has::Some(set) => set.iter().for_each(|c| availability[c as usize] += 1),
            Has::Unread { .. } => panic!("unread although the layout is known"),
        }
        let useful = (0..body.layout.chunks()).filter(|c| link.has.contains(*c) && body.lacks(*c));
        assert_eq!(link.useful as usize, useful.count(), "useful chunks of a source");
    }
    assert_eq!(body.seeds, seeds);
    let counted = (0..body.layout.chunks()).map(|chunk| body.picker.copies(chunk));
    assert!(counted.eq(availability.iter().copied()));
    // What is kept is what counting anew gives.
    let missing: Vec<u16> = (0..body.layout.chunks())
        .filter(|c| body.lacks(*c))
        .map(|c| availability[c as usize] + body.seeds)
        .collect();
    let least = missing.iter().min().copied();
    let more = missing.iter().filter(|n| Some(**n) > least).count() as f32;
    let copies = least.map(|least| f32::from(least) + more / missing.len() as f32);
    let (none, counted) = body.stats.scarcity(body.seeds);
    assert_eq!(none as usize, missing.iter().filter(|n| **n == 0).count());
    assert!((counted.unwrap_or(-1.0) - copies.unwrap_or(-1.0)).abs() < 1e-4);
    for (at, link) in &content.links {
        let Has::Some(set) = &link.has else { continue };
        for chunk in set.iter().filter(|c| availability[*c as usize] == 1) {
            assert_eq!(body.stats.sole(chunk), super::availability_stats::key(*at));
        }
    }
}

/// Each chunk is here, asked for, or free to be picked.
fn check_chunks(id: &ContentId, body: &Body, counted: &Counted) {
    for chunk in body.doubted.iter() {
        assert!(!body.have.contains(chunk) && !body.picker.is_pickable(chunk));
    }
    let here =
        (0..body.layout.chunks()).filter(|c| body.have.contains(*c) && body.wanted.contains(*c));
    assert_eq!(body.wanted_here as usize, here.count());
    for chunk in 0..body.layout.chunks() {
        let flight = body.flights.get(&chunk);
        let live: BTreeSet<(ConnId, u32)> =
            flight.map(|f| f.asked.iter().copied().collect()).unwrap_or_default();
        assert_eq!(live, counted.chunks.get(&(*id, chunk)).cloned().unwrap_or_default());
        if let Some(flight) = flight {
            assert!(flight.verifying.is_some() || !flight.asked.is_empty(), "lost chunk");
            assert!(flight.asked.len() <= 2);
        }
        let free = flight.is_none() && !body.doubted.contains(chunk);
        let pickable = body.lacks(chunk) && free && body.hash(chunk).is_some();
        assert_eq!(body.picker.is_pickable(chunk), pickable, "chunk {chunk}");
    }
}
