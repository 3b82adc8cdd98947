//! What goes out before the first answer of a peer that was just dialled, and what becomes of it.

use super::*;

const CONN: ConnId = ConnId(1);

fn at(ms: u64) -> Time {
    Time::from_micros(1_000_000 + ms * 1000)
}

fn feed(node: &mut Node, input: Input) -> Vec<Output> {
    feed_at(node, 0, input)
}

fn feed_at(node: &mut Node, ms: u64, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    node.handle(at(ms), input, &mut out);
    check(node);
    out
}

/// Another connection than [`CONN`], whose HELLO has passed.
fn connect(node: &mut Node, conn: u64, n: u8, dialed: bool) -> Vec<Output> {
    let (conn, peer, max_queued) = (ConnId(conn), peer(n), 1 << 24);
    feed(
        node,
        Input::Connected {
            route: crate::event::Route::Direct,
            conn,
            peer,
            dialed,
            group: None,
            max_queued,
        },
    )
}

fn greet(node: &mut Node) -> Vec<Output> {
    feed(node, Input::Greeted { conn: CONN, max_queued: 1 << 24 })
}

fn closed(out: &[Output]) -> Vec<(u64, Code)> {
    let closed = |output: &Output| match output {
        Output::Disconnect { conn, code, .. } => Some((conn.0, *code)),
        _ => None,
    };
    out.iter().filter_map(closed).collect()
}

fn knows(node: &mut Node, thing: &Thing, peers: impl Iterator<Item = u8>) -> Vec<Output> {
    let sources = peers.map(|n| SourceHint { have: thing.chunks(), ..hint(n) }).collect();
    feed(node, Input::SourcesFound { id: thing.id, sources })
}

fn say(node: &mut Node, msg: PeerMsg) -> Vec<Output> {
    feed(node, Input::Message { conn: CONN, msg })
}

/// A node that wants `thing`, of which peer 1 has so many chunks by the tracker's word.
fn leecher(thing: &Thing, have: u32) -> Node {
    leecher_with(NodeConfig::default(), thing, have)
}

fn leecher_with(cfg: NodeConfig, thing: &Thing, have: u32) -> Node {
    let mut node = Node::new(cfg, peer(0), 1);
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), false);
    feed(&mut node, Input::ContentAdded { id: thing.id, ready: Some(ready) });
    let sources = vec![SourceHint { have, ..hint(1) }];
    feed(&mut node, Input::SourcesFound { id: thing.id, sources });
    node
}

fn reach(node: &mut Node) -> Vec<PeerMsg> {
    sent(&feed(
        node,
        Input::Reached {
            route: crate::event::Route::Direct,
            conn: CONN,
            peer: peer(1),
            group: None,
        },
    ))
}

fn sent(out: &[Output]) -> Vec<PeerMsg> {
    let sent = |output: &Output| match output {
        Output::Send { msg, .. } => Some(msg.clone()),
        _ => None,
    };
    out.iter().filter_map(sent).collect()
}

/// Chunks that were asked for: number of the request, and which.
type Chunks = Vec<(u32, u32)>;

/// What was asked for: the handle, the hashes with the number of that request, and the chunks.
fn asked(sent: &[PeerMsg]) -> (u16, Option<(u32, HashRange)>, Chunks) {
    let [PeerMsg::Ping(_), PeerMsg::Open(open), rest @ ..] = sent else { panic!("{sent:?}") };
    let (mut hashes, mut chunks) = (None, Vec::new());
    for msg in rest {
        match msg {
            PeerMsg::HashReq { handle, rid, index, count, .. } if chunks.is_empty() => {
                assert_eq!((*handle, hashes), (open.handle, None));
                hashes = Some((*rid, HashRange { index: *index, count: *count }));
            }
            PeerMsg::Request { handle, rid, chunk, off: 0, .. } => {
                assert_eq!(*handle, open.handle);
                chunks.push((*rid, *chunk));
            }
            other => panic!("{other:?}"),
        }
    }
    (open.handle, hashes, chunks)
}

fn proven(thing: &Thing, (rid, range): (u32, HashRange)) -> PeerMsg {
    let proof = thing.hashes.prove(range).unwrap();
    PeerMsg::Hashes { rid, hashes: proof.hashes, proof: proof.uncles }
}

fn ok(thing: &Thing, handle: u16) -> PeerMsg {
    let (descriptor, state) = (thing.descriptor, HaveState::All);
    PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want: false })
}

#[test]
fn open_hashes_and_the_first_chunks_go_out_in_one_flight() {
    for (size, chunks, hashes) in [(64 << 20, 2, Some(16)), (1000, 1, None), (300_000, 2, Some(8))]
    {
        let thing = thing(size);
        let mut node = leecher(&thing, thing.chunks());
        let (handle, range, early) = asked(&reach(&mut node));
        assert_eq!(range.map(|(_, range)| range.count), hashes, "{size}");
        assert!(!early.is_empty() && early.len() <= chunks, "{size}: {early:?}");
        if let Some((_, range)) = range {
            let within = range.index..range.index + u32::from(range.count);
            assert!(early.iter().all(|(_, chunk)| within.contains(chunk)), "{early:?}: {range:?}");
        }
        greet(&mut node);
        say(&mut node, ok(&thing, handle));
        say(&mut node, PeerMsg::Choke { handle, choke: false });
        if let Some(range) = range {
            let more = sent(&say(&mut node, proven(&thing, range)));
            let next = more.iter().any(|msg| matches!(msg, PeerMsg::Request { .. }));
            assert!(next || size < 1 << 20, "there is more to ask for at once");
        }
        for (rid, chunk) in early {
            let len = thing.layout.len_of(thing.layout.chunk(chunk).unwrap());
            let out = feed(&mut node, Input::Data { conn: CONN, rid, off: 0, len });
            let verified =
                |o: &Output| matches!(o, Output::Verify { chunk: of, .. } if *of == chunk);
            assert!(out.iter().any(verified), "{out:?}");
        }
    }
}

#[test]
fn only_a_peer_that_was_just_dialled_and_has_all_is_asked_early() {
    let thing = thing(1 << 20);
    let mut node = leecher(&thing, thing.chunks() - 1);
    assert_eq!(asked(&reach(&mut node)).1, None, "it may lack just these");
    let mut node = leecher(&thing, thing.chunks());
    let (peer, max_queued) = (peer(1), 1 << 24);
    let up = Input::Connected {
        route: crate::event::Route::Direct,
        conn: CONN,
        peer,
        dialed: true,
        group: None,
        max_queued,
    };
    assert_eq!(asked(&sent(&feed(&mut node, up))).2, [], "it has said HELLO");
    let mut node = leecher(&thing, thing.chunks());
    feed(&mut node, Input::DownLimit(Some(1 << 30)));
    assert_eq!(asked(&reach(&mut node)).2, [], "answers to all that is opened come first");
    let mut node = leecher(&thing, thing.chunks());
    feed(&mut node, Input::PausedChanged { id: thing.id, paused: true });
    assert!(matches!(*reach(&mut node), [PeerMsg::Ping(_)]), "nothing is wanted now");
}

#[test]
fn of_several_contents_one_is_asked_for_early() {
    let (one, other) = (thing(1 << 20), thing(2 << 20));
    let mut node = leecher(&one, one.chunks());
    let ready = other.ready(ChunkSet::empty(other.chunks()), false);
    feed(&mut node, Input::ContentAdded { id: other.id, ready: Some(ready) });
    knows(&mut node, &other, 1..2);
    // What a key that is no member any more reads of what we want: one content, and nothing of the other.
    assert!(!asked(&reach(&mut node)).2.is_empty());
    assert!(matches!(*sent(&greet(&mut node)), [PeerMsg::Open(_)]), "the other one");
}

#[test]
fn what_a_source_does_not_open_is_asked_of_others_and_held_against_nobody() {
    for size in [1 << 20, 64 << 20] {
        not_opened(&thing(size));
    }
}

fn not_opened(thing: &Thing) {
    let mut node = leecher(thing, thing.chunks());
    let (handle, range, early) = asked(&reach(&mut node));
    greet(&mut node);
    say(&mut node, PeerMsg::OpenNo { handle, code: Code::Busy });
    let rids = early.iter().map(|(rid, _)| *rid).chain(range.map(|(rid, _)| rid));
    for rid in rids.collect::<Vec<u32>>() {
        let out = say(&mut node, PeerMsg::Reject { rid, code: Code::Gone });
        assert!(!out.iter().any(|o| matches!(o, Output::Disconnect { .. })));
    }
    assert_eq!(node.outstanding, 0);
    assert!(node.conns[&CONN].requests.is_empty());
    let body = node.contents[&thing.id].body.as_ref().unwrap();
    assert!(body.flights.is_empty() && body.hash_asked.is_empty());
    assert_eq!(body.hash_todo.len(), 1);
}

#[test]
fn a_folder_whose_source_does_not_open_it_bans_nobody() {
    let descriptor = Descriptor { kind: Kind::Folder, size: 3 << 20, root: sha256(b"list") };
    let id = descriptor.id();
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    feed(&mut node, Input::ContentAdded { id, ready: None });
    feed(&mut node, Input::Described { id, descriptor });
    feed(&mut node, Input::SourcesFound { id, sources: vec![hint(1)] });
    let sent = reach(&mut node);
    let [PeerMsg::Ping(_), PeerMsg::Open(open), PeerMsg::MetaReq { handle, rid, off: 0, len }] =
        *sent
    else {
        panic!("{sent:?}")
    };
    assert_eq!((handle, len), (open.handle, 128 << 10));
    greet(&mut node);
    say(&mut node, PeerMsg::OpenNo { handle, code: Code::Busy });
    for _ in 0..5 {
        say(&mut node, PeerMsg::Reject { rid, code: Code::Gone });
    }
    assert_eq!(node.conns[&CONN].rejects, 0);
    assert!(node.contents[&id].manifest.is_none(), "the next source is asked");
}

#[test]
fn a_refused_hello_gives_everything_back() {
    let thing = thing(1 << 20);
    for permanent in [false, true] {
        let mut node = leecher(&thing, thing.chunks());
        assert!(!asked(&reach(&mut node)).2.is_empty());
        feed(&mut node, Input::Refused { conn: CONN, permanent });
        assert!(node.conns.is_empty() && node.outstanding == 0);
        let soon = at(0) + Duration::from_secs(100);
        assert_eq!(node.dialer.may_dial(&peer(1), soon), !permanent);
    }
}

#[test]
fn chunks_that_come_before_their_hashes_are_thrown_away() {
    let thing = thing(64 << 20);
    let mut node = leecher(&thing, thing.chunks());
    let (handle, range, early) = asked(&reach(&mut node));
    greet(&mut node);
    let (mut kept, mut wasted) = (0, 0);
    for (rid, chunk) in &early {
        let len = thing.layout.len_of(thing.layout.chunk(*chunk).unwrap());
        for output in feed(&mut node, Input::Data { conn: CONN, rid: *rid, off: 0, len }) {
            match output {
                Output::Verify { .. } => kept += 1,
                Output::Discard { wasted: bytes, .. } => wasted += bytes,
                _ => {}
            }
        }
    }
    assert_eq!((kept, node.outstanding), (0, 0));
    assert!((1..=128 << 10).contains(&wasted), "{wasted}");
    // Once the hashes are here they are asked for like all others.
    say(&mut node, ok(&thing, handle));
    say(&mut node, proven(&thing, range.unwrap()));
    let body = node.contents[&thing.id].body.as_ref().unwrap();
    assert!(early.iter().all(|(_, chunk)| body.picker.is_pickable(*chunk)));
    // Wrong hashes end it, as ever.
    let mut node = leecher(&thing, thing.chunks());
    let (_, range, _) = asked(&reach(&mut node));
    greet(&mut node);
    let PeerMsg::Hashes { rid, hashes, proof } = proven(&thing, range.unwrap()) else { panic!() };
    let hashes = vec![sha256(b"wrong"); hashes.len()];
    let out = say(&mut node, PeerMsg::Hashes { rid, hashes, proof });
    assert!(out.iter().any(|o| matches!(o, Output::Disconnect { code: Code::BadData, .. })));
}

#[test]
fn before_its_hello_has_passed_a_peer_takes_nobodys_place() {
    let thing = thing(1 << 20);
    let cfg = NodeConfig { max_conns: 1, ..NodeConfig::default() };
    for (ms, stays) in [(0, 2), (20_000, 1)] {
        let mut node = leecher_with(cfg.clone(), &thing, thing.chunks());
        connect(&mut node, 2, 2, false);
        let out = feed_at(
            &mut node,
            ms,
            Input::Reached {
                route: crate::event::Route::Direct,
                conn: CONN,
                peer: peer(1),
                group: None,
            },
        );
        assert!(closed(&out).is_empty() && sent(&out).is_empty(), "{out:?}");
        // A member that has done nothing for its place goes for one that is one too.
        let out = feed_at(&mut node, ms, Input::Greeted { conn: CONN, max_queued: 1 << 24 });
        assert_eq!(closed(&out), [(3 - stays, Code::Busy)]);
        assert_eq!(node.conns.keys().copied().collect::<Vec<_>>(), [ConnId(stays)]);
    }
    // Nor does one that is welcome part a content from another peer.
    let cfg = NodeConfig { max_links: 1, ..NodeConfig::default() };
    let mut node = leecher_with(cfg, &thing, thing.chunks());
    knows(&mut node, &thing, 2..3);
    let out = sent(&connect(&mut node, 2, 2, true));
    let Some(PeerMsg::Open(open)) = out.get(1) else { panic!("{out:?}") };
    feed(&mut node, Input::Message { conn: ConnId(2), msg: ok(&thing, open.handle) });
    assert!(matches!(*reach(&mut node), [PeerMsg::Ping(_)]), "there is no room for it");
}

#[test]
fn of_two_connections_of_one_peer_the_one_that_has_said_hello_stays_until_the_other_has() {
    let thing = thing(1 << 20);
    // Whose key is smaller, or who dialled first, makes no difference before.
    for (reached_first, refused) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut node = leecher(&thing, thing.chunks());
        if !reached_first {
            connect(&mut node, 2, 1, false);
        }
        let out = feed(
            &mut node,
            Input::Reached {
                route: crate::event::Route::Direct,
                conn: CONN,
                peer: peer(1),
                group: None,
            },
        );
        assert_eq!((closed(&out).len(), !sent(&out).is_empty()), (0, reached_first), "{out:?}");
        if reached_first {
            let out = connect(&mut node, 2, 1, false);
            assert!(closed(&out).is_empty() && !sent(&out).is_empty(), "{out:?}");
        }
        if refused {
            feed(&mut node, Input::Refused { conn: CONN, permanent: false });
            assert!(node.conns.contains_key(&ConnId(2)) && node.outstanding == 0);
        } else {
            // Ours is the smaller key.
            assert_eq!(closed(&greet(&mut node)), [(2, Code::Duplicate)]);
            assert_eq!(node.peers.greeted.get(&peer(1)), Some(&CONN));
        }
    }
}

#[test]
fn a_peer_that_was_reached_counts_as_being_dialled() {
    let thing = thing(1 << 20);
    let cfg = NodeConfig { max_dialing: 2, ..NodeConfig::default() };
    let mut node = leecher_with(cfg, &thing, thing.chunks());
    let dialed = |out: &[Output]| {
        let dials = out.iter().filter(|output| matches!(output, Output::Dial { .. }));
        dials.count()
    };
    assert_eq!(dialed(&knows(&mut node, &thing, 1..9)), 1, "beside the first");
    let reached = |conn, n| Input::Reached {
        route: crate::event::Route::Direct,
        conn: ConnId(conn),
        peer: peer(n),
        group: None,
    };
    let dialing = node.contents[&thing.id].known.keys().copied();
    let dialing: Vec<PeerId> = dialing.filter(|peer| node.dialer.is_dialing(peer)).collect();
    for (conn, peer) in (1..).zip(&dialing) {
        feed(&mut node, reached(conn, peer.as_bytes()[0]));
    }
    assert_eq!(dialed(&knows(&mut node, &thing, 1..9)), 0, "both are still to say HELLO");
    assert_eq!(dialed(&feed(&mut node, reached(7, dialing[0].as_bytes()[0]))), 0);
    assert!(node.places() == 0 && node.conns.len() == 2);
    // Of two to the same peer the newer stays.
    feed(&mut node, Input::Greeted { conn: ConnId(7), max_queued: 1 << 24 });
    assert_eq!(dialed(&knows(&mut node, &thing, 1..9)), 1);
}

#[test]
fn what_a_peer_says_before_its_hello_counts_for_nothing() {
    let thing = thing(64 << 20);
    let mut node = leecher(&thing, thing.chunks());
    let (handle, range, early) = asked(&reach(&mut node));
    let data = Input::Data { conn: CONN, rid: early[0].0, off: 0, len: 65_536 };
    assert!(feed(&mut node, data).is_empty());
    for msg in [ok(&thing, handle), proven(&thing, range.unwrap()), PeerMsg::Ping(1)] {
        assert!(say(&mut node, msg).is_empty());
    }
    assert!(node.contents[&thing.id].links.is_empty());
    // However long it takes: the shell says when that is too long.
    assert!(closed(&feed_at(&mut node, 200_000, Input::Tick)).is_empty());
    assert!(
        closed(&feed_at(&mut node, 200_000, Input::Refused { conn: CONN, permanent: false }))
            .is_empty()
    );
}

#[test]
fn who_broke_off_what_it_began_is_asked_nothing_early() {
    let thing = thing(1 << 20);
    let mut node = leecher(&thing, thing.chunks());
    node.conduct.rest(peer(1), at(1));
    assert!(matches!(*reach(&mut node), [PeerMsg::Ping(_)]));
    assert!(matches!(*sent(&greet(&mut node)), [PeerMsg::Open(_)]));
}

#[test]
fn after_a_dial_that_came_to_nothing_hello_goes_alone() {
    let thing = thing(1 << 20);
    let mut node = leecher(&thing, thing.chunks());
    assert!(!asked(&reach(&mut node)).2.is_empty());
    feed(&mut node, Input::Refused { conn: CONN, permanent: false });
    assert!(reach(&mut node).is_empty(), "or its reason may not get through");
    assert!(matches!(*sent(&greet(&mut node)), [PeerMsg::Ping(_), PeerMsg::Open(_)]));
    // Every version says HELLO before it refuses another's.
    feed(&mut node, Input::Disconnected { conn: CONN });
    assert!(reach(&mut node).is_empty(), "it said nothing but HELLO");
    greet(&mut node);
    feed_at(&mut node, 100, Input::Message { conn: CONN, msg: PeerMsg::Ping(1) });
    feed_at(&mut node, 200, Input::Disconnected { conn: CONN });
    assert!(!asked(&reach(&mut node)).2.is_empty(), "it was up since");
}

#[test]
fn hashes_asked_for_early_change_nothing_in_what_is_to_be_asked() {
    let thing = thing(64 << 20);
    let mut node = leecher(&thing, thing.chunks());
    let todo = |node: &Node| {
        let body = node.contents[&thing.id].body.as_ref().unwrap();
        (body.hash_todo.len(), body.hash_asked.len())
    };
    let before = todo(&node);
    for _ in 0..5 {
        assert!(asked(&reach(&mut node)).1.is_some());
        feed(&mut node, Input::Refused { conn: CONN, permanent: false });
        assert_eq!(todo(&node), before, "it does not grow with every dial");
        node.dialer.forgive();
    }
    // Nor is a range forgotten that another source was asked for.
    knows(&mut node, &thing, 2..3);
    let out = sent(&connect(&mut node, 2, 2, true));
    let Some(PeerMsg::Open(open)) = out.get(1) else { panic!("{out:?}") };
    feed(&mut node, Input::Message { conn: ConnId(2), msg: ok(&thing, open.handle) });
    assert_eq!(todo(&node), (0, 1));
    reach(&mut node);
    feed(&mut node, Input::Refused { conn: CONN, permanent: false });
    assert_eq!(todo(&node), (0, 1));
}

#[test]
fn hashes_that_were_asked_for_early_as_a_whole_are_asked_for_once() {
    let thing = thing(1 << 20);
    let mut node = leecher(&thing, thing.chunks());
    let (handle, range, _) = asked(&reach(&mut node));
    greet(&mut node);
    let again = |msg: &PeerMsg| matches!(msg, PeerMsg::HashReq { .. });
    assert!(!sent(&say(&mut node, ok(&thing, handle))).iter().any(again));
    assert!(!sent(&say(&mut node, proven(&thing, range.unwrap()))).iter().any(again));
    let body = node.contents[&thing.id].body.as_ref().unwrap();
    assert!(body.hash_todo.is_empty() && body.hash_asked.is_empty());
    assert!(body.hashes_missing.is_empty());
}

#[test]
fn a_folders_list_asked_for_early_of_one_that_is_silent_is_asked_of_the_next() {
    let descriptor = Descriptor { kind: Kind::Folder, size: 3 << 20, root: sha256(b"list") };
    let id = descriptor.id();
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    feed(&mut node, Input::ContentAdded { id, ready: None });
    feed(&mut node, Input::Described { id, descriptor });
    feed(&mut node, Input::SourcesFound { id, sources: vec![hint(1), hint(2)] });
    assert!(matches!(reach(&mut node).last(), Some(PeerMsg::MetaReq { .. })));
    let out = sent(&connect(&mut node, 2, 2, true));
    let Some(PeerMsg::Open(open)) = out.get(1) else { panic!("{out:?}") };
    let (handle, state) = (open.handle, HaveState::All);
    let msg = PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want: false });
    let out = feed(&mut node, Input::Message { conn: ConnId(2), msg });
    let asked = |output: &&Output| match output {
        Output::Send { conn, msg: PeerMsg::MetaReq { .. } } => *conn == ConnId(2),
        _ => false,
    };
    assert!(out.iter().filter(asked).count() > 1, "{out:?}");
}

#[test]
fn who_says_no_hello_holds_up_nobody() {
    let thing = thing(1000);
    let mut node = leecher(&thing, 1);
    assert_eq!(asked(&reach(&mut node)).2.len(), 1);
    knows(&mut node, &thing, 2..3);
    let out = sent(&connect(&mut node, 2, 2, true));
    let Some(PeerMsg::Open(open)) = out.get(1) else { panic!("{out:?}") };
    let handle = open.handle;
    for msg in [ok(&thing, handle), PeerMsg::Choke { handle, choke: false }] {
        feed(&mut node, Input::Message { conn: ConnId(2), msg });
    }
    let out = feed_at(&mut node, 1000, Input::Tick);
    let asks = |output: &Output| matches!(output, Output::Send { conn, msg: PeerMsg::Request { .. } } if conn.0 == 2);
    assert!(out.iter().any(asks), "{out:?}");
    // Nor with hashes.
    let thing = super::thing(300_000);
    let mut node = leecher(&thing, thing.chunks());
    assert!(asked(&reach(&mut node)).1.is_some());
    knows(&mut node, &thing, 2..3);
    let out = sent(&connect(&mut node, 2, 2, true));
    let Some(PeerMsg::Open(open)) = out.get(1) else { panic!("{out:?}") };
    let msg = ok(&thing, open.handle);
    let out = sent(&feed(&mut node, Input::Message { conn: ConnId(2), msg }));
    assert!(out.iter().any(|msg| matches!(msg, PeerMsg::HashReq { .. })), "{out:?}");
}

/// `get` waited for them at its end.
#[test]
fn hashes_that_a_silent_peer_was_asked_for_keep_nobody_busy() {
    let thing = thing(1 << 20);
    let mut node = leecher(&thing, thing.chunks());
    assert!(asked(&reach(&mut node)).1.is_some());
    for chunk in 0..thing.chunks() {
        feed(&mut node, Input::ChunkStored { id: thing.id, chunk });
    }
    assert!(node.contents[&thing.id].completed && !node.is_busy());
    assert!(node.conns[&CONN].requests.is_empty());
    // Nor does a folder's list, which is never completed.
    let descriptor = Descriptor { kind: Kind::Folder, size: 3 << 20, root: sha256(b"list") };
    let id = descriptor.id();
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    feed(&mut node, Input::ContentAdded { id, ready: None });
    feed(&mut node, Input::Described { id, descriptor });
    feed(&mut node, Input::SourcesFound { id, sources: vec![hint(1)] });
    let Some(PeerMsg::MetaReq { len, .. }) = reach(&mut node).pop() else { panic!("no list") };
    assert_eq!(len, 128 << 10, "no more than of payload");
    assert!(!node.is_busy());
}

/// What is fetched in order stood still behind it.
#[test]
fn the_next_chunk_in_order_is_not_left_to_a_peer_that_says_no_hello() {
    let thing = thing(1 << 20);
    for sources in [1, 2] {
        let mut node = leecher(&thing, thing.chunks());
        let policy = crate::policy::Policy { sequential: true, ..Default::default() };
        feed(&mut node, Input::PolicyChanged { id: thing.id, policy });
        knows(&mut node, &thing, 1..1 + sources);
        let chunks = asked(&reach(&mut node)).2.len();
        assert_eq!(chunks > 0, sources == 1, "{sources} sources: {chunks}");
    }
}
