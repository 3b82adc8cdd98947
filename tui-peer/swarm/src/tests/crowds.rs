//! Crowds of keys at one address, and a tracker that names third parties: S7, S9.

use std::net::SocketAddr;

use common::net::AddrGroup;

use super::*;

/// Peers with numbers above 255.
pub(super) fn key(n: u32) -> PeerId {
    let mut bytes = [0xee; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    PeerId::from_bytes(bytes)
}

fn from(n: u8) -> Option<AddrGroup> {
    Some(AddrGroup::of([203, 0, 113, n].into()))
}

pub(super) struct World {
    pub(super) node: Node,
    pub(super) now: Time,
    out: Vec<Output>,
}

impl World {
    pub(super) fn new(cfg: NodeConfig) -> Self {
        let node = Node::new(cfg, peer(0), 1);
        Self { node, now: Time::from_micros(1_000_000), out: Vec::new() }
    }

    pub(super) fn feed(&mut self, input: Input) -> Vec<Output> {
        self.node.handle(self.now, input, &mut self.out);
        check(&self.node);
        std::mem::take(&mut self.out)
    }

    pub(super) fn pass(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut all = Vec::new();
        while self.now < end {
            self.now = self.now + Duration::from_millis(100);
            all.extend(self.feed(Input::Tick));
        }
        all
    }

    /// Somebody connects; whether it stays, and who goes for it.
    pub(super) fn connect(&mut self, n: u32, group: Option<AddrGroup>) -> (bool, Vec<u64>) {
        let conn = ConnId(u64::from(n));
        let up = Input::Connected {
            route: crate::event::Route::Direct,
            conn,
            peer: key(n),
            dialed: false,
            group,
            max_queued: 1 << 24,
        };
        let ended: Vec<u64> = self.feed(up).iter().filter_map(disconnected).collect();
        (!ended.contains(&conn.0), ended)
    }

    /// It opens the content; whether it may, and who loses its place for it.
    pub(super) fn open(&mut self, n: u32, id: ContentId, state: HaveState) -> (bool, Vec<u64>) {
        let open = Open { handle: 0, id, state, want: true };
        let conn = ConnId(u64::from(n));
        let out = self.feed(Input::Message { conn, msg: PeerMsg::Open(open) });
        let ok = |o: &Output| matches!(o, Output::Send { conn: to, msg: PeerMsg::OpenOk(_) } if *to == conn);
        let closed = |o: &Output| match o {
            Output::Send { conn, msg: PeerMsg::Close { .. } } => Some(conn.0),
            _ => None,
        };
        (out.iter().any(ok), out.iter().filter_map(closed).collect())
    }
}

fn disconnected(output: &Output) -> Option<u64> {
    match output {
        Output::Disconnect { conn, .. } => Some(conn.0),
        _ => None,
    }
}

pub(super) fn seed(cfg: NodeConfig) -> (World, Thing) {
    let (mut world, thing) = (World::new(cfg), thing(4_000_000));
    let ready = thing.ready(ChunkSet::full(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    (world, thing)
}

#[test]
fn s7_48_members_of_one_address_do_not_lock_a_content() {
    let (mut world, thing) = seed(NodeConfig::default());
    for n in 1..=48 {
        assert_eq!(world.connect(n, from(1)), (true, vec![]));
        assert_eq!(world.open(n, thing.id, HaveState::None), (true, vec![]), "there is room");
    }
    // Two of them take something, the others only wait.
    for n in [1, 2] {
        let msg = request(&thing, 7, 3);
        world.feed(Input::Message { conn: ConnId(n), msg });
        world.feed(Input::Served { conn: ConnId(n), rid: 7 });
    }
    for n in 100..110 {
        assert_eq!(world.connect(n, from(100)), (true, vec![]));
        let (may, closed) = world.open(n, thing.id, HaveState::None);
        assert!(may && closed.len() == 1 && (3..=48).contains(&closed[0]), "{closed:?}");
    }
    // One more of theirs finds no place while the others may still show what they are here for,
    world.connect(60, from(1));
    assert_eq!(world.open(60, thing.id, HaveState::None), (false, vec![]));
    // nor does it cost anybody else theirs.
    world.pass(Duration::from_secs(20));
    let (may, closed) = world.open(60, thing.id, HaveState::None);
    assert!(may && closed.len() == 1 && (3..=48).contains(&closed[0]), "{closed:?}");
}

#[test]
fn s7_200_members_of_one_address_do_not_lock_a_peer() {
    let (mut world, thing) = seed(NodeConfig { max_links: 300, ..NodeConfig::default() });
    for n in 1..=200 {
        assert_eq!(world.connect(n, from(1)), (true, vec![]));
        assert!(world.open(n, thing.id, HaveState::None).0);
    }
    for n in 300..310 {
        let (stays, ended) = world.connect(n, from(7));
        assert!(stays && ended.len() == 1 && ended[0] <= 200, "{ended:?}");
        assert!(world.open(n, thing.id, HaveState::None).0);
    }
    assert_eq!(world.node.conns.len(), 200);
    assert_eq!(world.connect(250, from(1)), (false, vec![250]));
}

#[test]
fn s7_a_crowd_on_the_own_link_keeps_its_place_while_it_uses_it() {
    let (mut world, thing) = seed(NodeConfig::default());
    for n in 1..=48 {
        world.connect(n, None);
        world.open(n, thing.id, HaveState::None);
        let msg = request(&thing, 7, 3);
        world.feed(Input::Message { conn: ConnId(u64::from(n)), msg });
    }
    world.connect(100, from(1));
    assert_eq!(world.open(100, thing.id, HaveState::None), (false, vec![]));

    let (mut world, thing) = seed(NodeConfig::default());
    for n in 1..=48 {
        world.connect(n, None);
        world.open(n, thing.id, HaveState::None);
    }
    world.pass(Duration::from_secs(20));
    world.connect(100, None);
    let (may, closed) = world.open(100, thing.id, HaveState::None);
    assert!(may && closed.len() == 1, "they want something, may ask for it, and do not");
}

#[test]
fn s7_a_download_whose_places_are_taken_finds_its_source() {
    let (mut world, thing) = (World::new(NodeConfig::default()), thing(4_000_000));
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    for n in 1..=48 {
        world.connect(n, from(1));
        assert!(world.open(n, thing.id, HaveState::None).0);
    }
    let addr = ([198, 51, 100, 1], 7421).into();
    let source = SourceHint { peer: key(100), addrs: vec![addr], have: 1, set: None };
    let out = world.feed(Input::SourcesFound { id: thing.id, sources: vec![source] });
    let dialed = Output::Dial { peer: key(100), addrs: vec![addr] };
    assert!(out.contains(&dialed), "{out:?}");
    let conn = ConnId(100);
    let group = Some(AddrGroup::of(addr.ip()));
    let up = Input::Connected {
        route: crate::event::Route::Direct,
        conn,
        peer: key(100),
        dialed: true,
        group,
        max_queued: 1 << 24,
    };
    let out = world.feed(up);
    let opened =
        |o: &Output| matches!(o, Output::Send { conn: to, msg: PeerMsg::Open(_) } if *to == conn);
    assert!(out.iter().any(opened), "{out:?}");
}

/// 48 keys of one address of which each sends one chunk, and then serves others.
fn crowd_of_one_chunk_each(good: bool) -> (World, Thing) {
    let (mut world, thing) = (World::new(NodeConfig::default()), thing(8_000_000));
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    for n in 1..=48 {
        world.connect(n, from(1));
        assert!(world.open(n, thing.id, HaveState::All).0);
        let conn = ConnId(u64::from(n));
        let choke = |choke| Input::Message { conn, msg: PeerMsg::Choke { handle: 0, choke } };
        world.feed(choke(false));
        let requests = world.node.conns[&conn].requests.iter();
        let any = requests.filter(|(_, asked)| matches!(asked, Asked::Any { .. }));
        if let Some(rid) = any.map(|(rid, _)| *rid).min() {
            let chunk = n - 1;
            world.feed(Input::Message { conn, msg: PeerMsg::Assign { rid, chunk } });
        }
        let whole =
            world.node.conns[&conn].requests.iter().filter_map(|(rid, asked)| match asked {
                Asked::Chunk { chunk, len, .. } => Some((*rid, *chunk, *len)),
                _ => None,
            });
        let (rid, chunk, len) = whole.min().unwrap();
        world.feed(Input::Data { conn, rid, off: 0, len });
        let id = thing.id;
        world.feed(match good {
            true => Input::ChunkStored { id, chunk },
            false => Input::ChunkCorrupt { id, chunk, actual: sha256(b"bad") },
        });
        let requests: Vec<u32> = world.node.conns[&conn].requests.keys().copied().collect();
        world.feed(choke(true));
        for rid in requests {
            let msg = PeerMsg::Reject { rid, code: Code::Choked };
            world.feed(Input::Message { conn, msg });
        }
    }
    assert_eq!(world.node.contents[&thing.id].links.len(), 48);
    (world, thing)
}

/// Whether a source that becomes known is dialled, and finds a place.
fn finds_a_place(world: &mut World, thing: &Thing) -> bool {
    let addr = ([198, 51, 100, 1], 7421).into();
    let source = SourceHint { peer: key(100), addrs: vec![addr], have: 1, set: None };
    let out = world.feed(Input::SourcesFound { id: thing.id, sources: vec![source] });
    if !out.iter().any(|o| matches!(o, Output::Dial { .. })) {
        return false;
    }
    let (conn, group) = (ConnId(100), Some(AddrGroup::of(addr.ip())));
    let up = Input::Connected {
        route: crate::event::Route::Direct,
        conn,
        peer: key(100),
        dialed: true,
        group,
        max_queued: 1 << 24,
    };
    let opened =
        |o: &Output| matches!(o, Output::Send { conn: to, msg: PeerMsg::Open(_) } if *to == conn);
    world.feed(up).iter().any(opened)
}

#[test]
fn s7_one_chunk_does_not_hold_a_place_for_ever() {
    let (mut world, thing) = crowd_of_one_chunk_each(true);
    assert!(!finds_a_place(&mut world, &thing), "they delivered a moment ago");
    world.now = world.now + Duration::from_secs(61);
    assert!(finds_a_place(&mut world, &thing), "and nothing since");
    let (mut world, thing) = crowd_of_one_chunk_each(false);
    assert!(finds_a_place(&mut world, &thing), "bad chunks are no delivery at all");
}

#[test]
fn s7_who_is_thanked_for_a_finished_download_does_not_lock_what_we_share() {
    let (mut world, thing) = crowd_of_one_chunk_each(true);
    let stored: ChunkSet = ChunkSet::full(thing.chunks());
    let ready = thing.ready(stored, true);
    world.feed(Input::ContentReady { id: thing.id, ready });
    world.connect(100, from(100));
    let (may, closed) = world.open(100, thing.id, HaveState::None);
    assert!(may && closed.len() == 1, "{closed:?}");
}

#[test]
fn s7_new_keys_from_the_address_of_a_banned_one_go_first_when_there_is_no_room() {
    let (mut world, thing) = seed(NodeConfig { max_conns: 5, ..NodeConfig::default() });
    world.connect(1, from(1));
    let nonsense = PeerMsg::Request { handle: 0, rid: 1, chunk: 0, off: 1, len: 1 };
    world.open(1, thing.id, HaveState::None);
    let out = world.feed(Input::Message { conn: ConnId(1), msg: nonsense });
    assert_eq!(out.iter().filter_map(disconnected).collect::<Vec<_>>(), [1]);
    assert_eq!(world.connect(1, from(1)), (false, vec![1]), "the key is banned");
    // Its neighbour is not refused while there is room.
    assert_eq!(world.connect(2, from(1)), (true, vec![]));
    for n in 3..=6 {
        assert_eq!(world.connect(n, from(2)), (true, vec![]));
    }
    for n in 2..=6 {
        world.open(n, thing.id, HaveState::None);
    }
    assert_eq!(world.connect(7, from(3)), (true, vec![2]));
    assert_eq!(world.connect(8, from(1)), (false, vec![8]));
    world.open(7, thing.id, HaveState::None);
    world.now = world.now + Duration::from_secs(601);
    assert!(world.connect(9, from(1)).0, "ten minutes later it is one like any other");
}

#[test]
fn s9_third_parties_named_by_a_lying_tracker_are_left_in_peace() {
    let (mut world, thing) = (World::new(NodeConfig::default()), thing(4_000_000));
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    let (mut dials, mut next) = (0, 0);
    for _ in 0..230 {
        // It names others all the time.
        let sources: Vec<SourceHint> = (next..next + 20)
            .map(|n| {
                let addrs = vec![([203, 0, 113, n as u8], 22).into()];
                SourceHint { peer: key(n), addrs, have: 1, set: None }
            })
            .collect();
        next += 20;
        let peers: Vec<PeerId> = sources.iter().map(|source| source.peer).collect();
        let mut out = world.feed(Input::SourcesFound { id: thing.id, sources });
        out.extend(world.pass(Duration::from_millis(100)));
        for output in out {
            if let Output::Dial { peer, .. } = output {
                dials += 1;
                world.feed(Input::DialFailed { peer, permanent: false, proven: false });
            }
        }
        world.feed(Input::SourcesLeft { id: thing.id, peers });
    }
    assert!((60..=121).contains(&dials), "{dials} connections to one network in 23 s");
}

/// A download in a node whose connections all belong to one address, and wait.
fn crowded_by_one_address() -> (World, Thing) {
    let cfg = NodeConfig { max_conns: 8, ..NodeConfig::default() };
    let (mut world, thing) = (World::new(cfg), thing(4_000_000));
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    for n in 1..=8 {
        world.connect(n, from(1));
        assert!(world.open(n, thing.id, HaveState::None).0);
    }
    (world, thing)
}

/// How often a source is dialled in ten seconds if each time it comes from the crowded address.
fn dials_of_a_source(world: &mut World, thing: &Thing, addr: std::net::SocketAddr) -> usize {
    let source = SourceHint { peer: key(100), addrs: vec![addr], have: 1, set: None };
    let mut out = world.feed(Input::SourcesFound { id: thing.id, sources: vec![source] });
    let (mut dials, mut conn) = (0, 1000);
    for _ in 0..100 {
        for output in std::mem::take(&mut out) {
            let Output::Dial { peer, .. } = output else { continue };
            (dials, conn) = (dials + 1, conn + 1);
            let (group, max_queued) = (from(1), 1 << 24);
            let conn = ConnId(conn);
            let up = Input::Connected {
                route: crate::event::Route::Direct,
                conn,
                peer,
                dialed: true,
                group,
                max_queued,
            };
            let ended: Vec<u64> = world.feed(up).iter().filter_map(disconnected).collect();
            assert_eq!(ended, [conn.0]);
        }
        out.extend(world.pass(Duration::from_millis(100)));
    }
    dials
}

#[test]
fn s7_a_source_that_would_find_no_place_is_not_dialled_again_and_again() {
    let (mut world, thing) = crowded_by_one_address();
    let own = ([203, 0, 113, 1], 7421).into();
    assert_eq!(dials_of_a_source(&mut world, &thing, own), 0, "no place for one more of these");
    let (mut world, thing) = crowded_by_one_address();
    let elsewhere = ([198, 51, 100, 1], 7421).into();
    let dials = dials_of_a_source(&mut world, &thing, elsewhere);
    assert!((1..=5).contains(&dials), "each time later: {dials}");
}

#[test]
fn s7_who_was_of_use_before_a_neighbour_was_banned_is_no_suspect() {
    let (mut world, thing) = seed(NodeConfig::default());
    for n in [2, 3] {
        world.connect(n, from(1));
        world.open(n, thing.id, HaveState::None);
    }
    world.feed(Input::Message { conn: ConnId(2), msg: request(&thing, 7, 3) });
    world.feed(Input::Served { conn: ConnId(2), rid: 7 });
    world.connect(1, from(1));
    world.open(1, thing.id, HaveState::None);
    let msg = PeerMsg::Request { handle: 0, rid: 1, chunk: 0, off: 1, len: 1 };
    world.feed(Input::Message { conn: ConnId(1), msg });
    for n in [2, 3] {
        world.feed(Input::Disconnected { conn: ConnId(u64::from(n)) });
        world.connect(n, from(1));
    }
    let suspect = |n: u64| world.node.conns[&ConnId(n)].suspect_until > world.now;
    assert!(!suspect(2) && suspect(3));
}

#[test]
fn s7_nobody_loses_its_place_for_one_that_is_not_let_in() {
    let (mut world, thing) = (World::new(NodeConfig::default()), thing(4_000_000));
    let mut some = ChunkSet::empty(thing.chunks());
    some.insert(0);
    let ready = thing.ready(some, true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    for n in 1..=48 {
        world.connect(n, from(1));
        assert!(world.open(n, thing.id, HaveState::None).0);
    }
    // Answers are so scarce that one is all there is for a while.
    world.feed(Input::UpLimit(Some(1)));
    for n in [100, 101] {
        world.connect(n, from(n as u8));
    }
    let (may, closed) = world.open(100, thing.id, HaveState::None);
    assert!(may && closed.len() == 1, "{closed:?}");
    assert_eq!(world.open(101, thing.id, HaveState::None), (false, vec![]));
}

#[test]
fn who_is_asked_to_dial_does_so_at_its_own_rate() {
    let (mut world, thing) = seed(NodeConfig::default());
    let at = |net: u8, n: u8| vec![SocketAddr::from(([198, 51, net, n], 7421))];
    let mut asked = |peer: u32, addrs: Vec<SocketAddr>, id| {
        let out = world.feed(Input::DialAsked { id, peer: key(peer), addrs });
        out.iter().filter(|o| matches!(o, Output::Dial { .. })).count()
    };
    assert_eq!(asked(7, at(100, 7), common::id::ContentId::from_bytes([9; 32])), 0, "not ours");
    // Five addresses of one network, whoever asks; who is dialled already is not dialled again.
    let dialed: usize = (0..20).map(|n| asked(100 + n, at(100, n as u8), thing.id)).sum();
    assert_eq!(dialed, 5);
    assert_eq!(asked(200, at(101, 1), thing.id), 1);
    assert_eq!(asked(200, at(101, 1), thing.id), 0);
    // Few at a time: our own dials have room all the while.
    let dialed: usize = (0..200).map(|n| asked(300 + n, at(n as u8, 9), thing.id)).sum();
    assert_eq!(dialed, 8 - 6);
    world.connect(50, None);
    let out = world.feed(Input::DialAsked { id: thing.id, peer: key(50), addrs: at(7, 7) });
    assert!(out.is_empty(), "it is here: {out:?}");
}
