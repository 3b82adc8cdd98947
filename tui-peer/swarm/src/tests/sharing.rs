//! Several downloads from one source.

use super::*;
use crate::policy::Policy;

const SOURCE: ConnId = ConnId(1);

/// A node that fetches these from one source that has all of them, and what that is asked, in its order.
struct Sharing {
    node: Node,
    things: Vec<Thing>,
    asked: Vec<(u32, ContentId)>,
    /// Bytes of each that arrived.
    got: Vec<u64>,
    micros: u64,
    /// MB/s.
    rate: u64,
}

impl Sharing {
    fn new(sizes: &[u64], weights: &[u32]) -> Self {
        let mut sharing = Self {
            node: Node::new(NodeConfig::default(), peer(0), 1),
            things: Vec::new(),
            asked: Vec::new(),
            got: Vec::new(),
            micros: 1_000_000,
            rate: 100,
        };
        let conn = SOURCE;
        sharing.feed(Input::Connected {
            route: crate::event::Route::Direct,
            conn,
            peer: peer(1),
            dialed: false,
            group: None,
            max_queued: 1 << 30,
        });
        for (size, weight) in sizes.iter().zip(weights) {
            sharing.add(*size, *weight);
        }
        sharing
    }

    fn add(&mut self, size: u64, weight: u32) {
        let thing = thing(size);
        let id = thing.id;
        let handle = 2 * self.things.len() as u16;
        let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
        self.things.push(thing);
        self.got.push(0);
        self.feed(Input::ContentAdded { id, ready: Some(ready) });
        self.feed(Input::PolicyChanged { id, policy: Policy { weight, ..Policy::default() } });
        let open = PeerMsg::Open(Open { handle, id, state: HaveState::All, want: false });
        for msg in [open, PeerMsg::Choke { handle, choke: false }] {
            self.feed(Input::Message { conn: SOURCE, msg });
        }
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.node.handle(Time::from_micros(self.micros), input, &mut out);
        // Looking at every chunk of all takes longer than the rest.
        if self.micros.is_multiple_of(16) {
            check(&self.node);
        }
        for output in out {
            let (first, count) = match output {
                Output::Send { msg: PeerMsg::Request { rid, .. }, .. } => (rid, 1),
                Output::Send { msg: PeerMsg::ReqAny { rid, count, .. }, .. } => (rid, count),
                Output::Verify { id, chunk, .. } => {
                    self.feed(Input::ChunkStored { id, chunk });
                    continue;
                }
                _ => continue,
            };
            for rid in first..first + u32::from(count) {
                let id = self.node.conns[&SOURCE].requests[&rid].id();
                self.asked.push((rid, id));
            }
        }
    }

    fn steps(&mut self, n: usize) {
        for _ in 0..n {
            assert!(self.step(), "it has nothing to do");
        }
    }

    /// The source sends what it was asked for first; false if that is nothing.
    fn step(&mut self) -> bool {
        if self.asked.is_empty() {
            return false;
        }
        let (rid, id) = self.asked.remove(0);
        let n = self.things.iter().position(|thing| thing.id == id).unwrap();
        if matches!(self.node.conns[&SOURCE].requests.get(&rid), Some(Asked::Any { .. })) {
            let picker = &self.node.contents[&id].body.as_ref().unwrap().picker;
            let chunk = (0..self.things[n].chunks()).find(|chunk| picker.is_pickable(*chunk));
            let msg = PeerMsg::Assign { rid, chunk: chunk.unwrap() };
            self.feed(Input::Message { conn: SOURCE, msg });
        }
        let Some(Asked::Chunk { len, .. }) = self.node.conns[&SOURCE].requests.get(&rid) else {
            return true;
        };
        let len = *len;
        self.micros += u64::from(len) / self.rate;
        self.got[n] += u64::from(len);
        self.feed(Input::Data { conn: SOURCE, rid, off: 0, len });
        true
    }
}

/// A content that began first had the source for itself until it was done: the others stood still, and then
/// waited for the tick.
#[test]
fn many_downloads_from_one_source_take_turns_and_never_wait_for_the_tick() {
    let sizes: Vec<u64> = (0..8).map(|n| (4 << 20) + n).collect();
    let mut sharing = Sharing::new(&sizes, &[4; 8]);
    let mut steps = 0;
    while sharing.step() {
        steps += 1;
        if steps == 300 {
            let (least, most) =
                (sharing.got.iter().min().unwrap(), sharing.got.iter().max().unwrap());
            assert!(most - least <= 1 << 20, "{:?}", sharing.got);
        }
    }
    assert_eq!(sharing.got, sizes, "no tick ever came");
}

#[test]
fn a_download_that_begins_later_has_its_part_at_once() {
    let mut sharing = Sharing::new(&[256 << 20], &[4]);
    sharing.steps(200);
    sharing.add(32 << 20, 4);
    let before = sharing.got[0];
    // What was asked before comes first: the depth of a source, which is half a second.
    sharing.steps(600);
    assert!(sharing.got[1] > 8 << 20, "{:?} after {before}", sharing.got);
    assert!(sharing.got[0] > before + (8 << 20), "{:?} after {before}", sharing.got);
}

#[test]
fn weights_part_what_a_source_sends() {
    let mut sharing = Sharing::new(&[512 << 20, (512 << 20) + 1, (512 << 20) + 2], &[8, 4, 1]);
    sharing.steps(400);
    let before = sharing.got.clone();
    sharing.steps(1600);
    let part: Vec<f64> =
        sharing.got.iter().zip(before).map(|(got, was)| (got - was) as f64).collect();
    let (first, last) = (part[0] / part[1], part[1] / part[2]);
    assert!((1.7..2.3).contains(&first), "{part:?}");
    assert!((3.2..4.8).contains(&last), "{part:?}");
}

/// The large one found room for its next chunk whenever the one before was stored, and the small one never.
#[test]
fn small_chunks_do_not_starve_beside_large_ones() {
    for weight in [4, 8] {
        let mut sharing = Sharing::new(&[8 << 30], &[4]);
        sharing.rate = 1;
        sharing.steps(8);
        sharing.add(64 << 20, weight);
        let before = sharing.got[0];
        // Half a minute.
        let end = sharing.micros + 30_000_000;
        while sharing.micros < end {
            sharing.steps(1);
        }
        let (large, small) = (sharing.got[0] - before, sharing.got[1]);
        assert!(small > 8 << 20, "{small} beside {large}");
        assert!(large > 6 << 20, "{small} beside {large}");
    }
}

/// Limits of their own stand against most of them.
#[test]
fn those_that_wait_for_their_own_limit_keep_out_nobody() {
    let sizes: Vec<u64> = (0..20).map(|n| (4 << 20) + n).collect();
    let mut sharing = Sharing::new(&sizes, &[4; 20]);
    sharing.steps(40);
    for thing in sharing.things[2..].iter().map(|thing| thing.id).collect::<Vec<_>>() {
        let policy = Policy { down: Some(1), ..Policy::default() };
        sharing.feed(Input::PolicyChanged { id: thing, policy });
    }
    while sharing.step() {}
    assert_eq!(sharing.got[..2], sizes[..2], "no tick ever came: {:?}", sharing.got);
}
