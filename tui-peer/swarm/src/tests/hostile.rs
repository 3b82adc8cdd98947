//! A node that fetches, among sources that mean harm.

use super::*;

fn at(ms: u64) -> Time {
    Time::from_micros(1_000_000 + ms * 1000)
}

/// A node that wants `thing` of so many complete sources, numbered from one.
fn leecher(thing: &Thing, sources: u8) -> (Node, Vec<Output>) {
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    let mut out = Vec::new();
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    node.handle(at(0), Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    for n in 1..=sources {
        join(&mut node, &mut out, 0, thing, u64::from(n), n);
    }
    (node, out)
}

/// A complete source connects and lets us request.
fn join(node: &mut Node, out: &mut Vec<Output>, ms: u64, thing: &Thing, conn: u64, n: u8) {
    let conn = ConnId(conn);
    let up = Input::Connected {
        route: crate::event::Route::Direct,
        conn,
        peer: peer(n),
        dialed: false,
        max_queued: 1 << 30,
        group: None,
    };
    node.handle(at(ms), up, out);
    let open = Open { handle: 0, id: thing.id, state: HaveState::All, want: false };
    for msg in [PeerMsg::Open(open), PeerMsg::Choke { handle: 0, choke: false }] {
        node.handle(at(ms), Input::Message { conn, msg }, out);
    }
    check(node);
}

/// What a source is asked for and has not sent: request number and length. Lets it choose where it is
/// asked to.
fn asked(node: &mut Node, thing: &Thing, conn: u64) -> Vec<(u32, u32)> {
    let mut next = conn as u32 * 1000;
    loop {
        let of = &node.conns[&ConnId(conn)];
        let any = of.requests.iter().filter(|(_, asked)| matches!(asked, Asked::Any { .. }));
        let Some(rid) = any.map(|(rid, _)| *rid).min() else { break };
        let free = |chunk: &u32| {
            node.contents[&thing.id].body.as_ref().unwrap().picker.is_pickable(*chunk)
        };
        let chunk = (0..thing.chunks()).map(|n| (n + next) % thing.chunks()).find(free).unwrap();
        next += 1;
        let msg = PeerMsg::Assign { rid, chunk };
        node.handle(at(0), Input::Message { conn: ConnId(conn), msg }, &mut Vec::new());
    }
    let requests = node.conns[&ConnId(conn)].requests.iter();
    let mut asked: Vec<_> = requests
        .filter_map(|(rid, asked)| match asked {
            Asked::Chunk { len, got, .. } => Some((*rid, len - got)),
            _ => None,
        })
        .collect();
    asked.sort_unstable();
    asked
}

fn data(node: &mut Node, ms: u64, conn: u64, (rid, off, len): (u32, u32, u32)) -> Vec<Output> {
    let mut out = Vec::new();
    node.handle(at(ms), Input::Data { conn: ConnId(conn), rid, off, len }, &mut out);
    check(node);
    out
}

const LEAST: u32 = MIN_DATA_LEN as u32;

#[test]
fn s1_crumbs_in_mid_request_ban_their_sender() {
    let thing = thing(64 << 20);
    for len in [1, LEAST - 1] {
        let (mut node, _) = leecher(&thing, 1);
        let (rid, _) = asked(&mut node, &thing, 1)[0];
        let out = data(&mut node, 1, 1, (rid, 0, len));
        assert!(out.iter().any(|o| matches!(o, Output::Disconnect { .. })), "{len}: {out:?}");
        assert!(node.dialer.is_banned(&peer(1), at(2)));
        assert!(!node.dialer.is_banned(&peer(1), at(601_000)));
    }
}

/// What every version from 74ee283 on sends under any limit: never less than 16 KiB but at the end.
#[test]
fn s1_the_smallest_frames_of_honest_senders_are_welcome() {
    let thing = thing(200_000);
    let (mut node, _) = leecher(&thing, 1);
    let mut verified = 0;
    for (rid, len) in asked(&mut node, &thing, 1) {
        let mut off = 0;
        while off < len {
            let part = (len - off).min(LEAST + 1);
            let out = data(&mut node, 1, 1, (rid, off, part));
            verified += out.iter().filter(|o| matches!(o, Output::Verify { .. })).count();
            off += part;
        }
    }
    assert_eq!(verified, thing.chunks() as usize, "the last chunk ends with a crumb");
    assert!(node.conns.contains_key(&ConnId(1)));
}

#[test]
fn s1_who_begins_many_chunks_and_finishes_none_is_banned() {
    let thing = thing(64 << 20);
    let (mut node, _) = leecher(&thing, 2);
    let mut held = 0;
    for (rid, len) in asked(&mut node, &thing, 1) {
        held += 1;
        data(&mut node, 1, 1, (rid, 0, len - 1));
        if !node.conns.contains_key(&ConnId(1)) {
            break;
        }
    }
    assert!(node.dialer.is_banned(&peer(1), at(2)));
    assert_eq!(held, 5, "chunks that an honest source with upload limits may begin, and one");
    // Who sends one after the other is asked for more and more.
    for _ in 0..20 {
        let (rid, len) = asked(&mut node, &thing, 2)[0];
        data(&mut node, 2, 2, (rid, 0, len));
    }
    assert!(node.conns.contains_key(&ConnId(2)));
}

#[test]
fn s1_breaking_off_over_and_over_wastes_a_tenth_of_the_line_at_most() {
    let thing = thing(256 << 20);
    let (mut node, mut out) = leecher(&thing, 2);
    let mut wasted = 0;
    let mut good = 0;
    let mut conn = 1;
    for ms in 0..2000 {
        // An honest source brings 50 MB/s.
        let due = asked(&mut node, &thing, 2);
        if let Some((rid, len)) = due.first().filter(|_| good < ms * 50_000) {
            good += u64::from(*len);
            for output in data(&mut node, ms, 2, (*rid, 0, *len)) {
                if let Output::Verify { id, chunk, .. } = output {
                    node.handle(at(ms), Input::ChunkStored { id, chunk }, &mut out);
                }
            }
        }
        node.handle(at(ms), Input::Tick, &mut out);
        // The other sends nine tenths of a chunk whenever it is asked for one: now it says that it
        // will not go on, now it hangs up and comes back.
        let Some((rid, len)) = asked(&mut node, &thing, conn).first().copied() else { continue };
        if ms < 200 {
            continue;
        }
        data(&mut node, ms, conn, (rid, 0, len / 10 * 9));
        wasted += u64::from(len / 10 * 9);
        let break_off = if ms % 2 == 0 {
            let msg = PeerMsg::Reject { rid, code: Code::Choked };
            Input::Message { conn: ConnId(conn), msg }
        } else {
            Input::Disconnected { conn: ConnId(conn) }
        };
        node.handle(at(ms), break_off, &mut out);
        check(&node);
        if !node.conns.contains_key(&ConnId(conn)) {
            conn = ms + 10;
            join(&mut node, &mut out, ms, &thing, conn, 1);
        }
    }
    assert!(good > 80 << 20, "{good}");
    assert!(wasted > 0 && wasted < good / 5, "{wasted} wasted beside {good}");
}

/// A refusal for the number of questions says when to ask again, not that there is nothing to be had.
#[test]
fn s2_a_source_that_is_asked_too_much_is_asked_again_in_a_second() {
    let thing = thing(64 << 20);
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    let mut out = Vec::new();
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), false);
    node.handle(at(0), Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    join(&mut node, &mut out, 0, &thing, 1, 1);
    let questions = |out: &[Output]| -> Vec<u32> {
        let rid = |o: &Output| match o {
            Output::Send { msg: PeerMsg::HashReq { rid, .. }, .. } => Some(*rid),
            _ => None,
        };
        out.iter().filter_map(rid).collect()
    };
    let asked = questions(&out);
    assert!(!asked.is_empty());
    for rid in asked {
        out.clear();
        let msg = PeerMsg::Reject { rid, code: Code::Rate };
        node.handle(at(10), Input::Message { conn: ConnId(1), msg }, &mut out);
        assert_eq!(questions(&out), [0; 0], "not at once");
    }
    let mut again = None;
    for ms in (100..5000).step_by(100) {
        out.clear();
        node.handle(at(ms), Input::Tick, &mut out);
        if !questions(&out).is_empty() {
            again = again.or(Some(ms));
        }
    }
    assert!(again.is_some_and(|ms| (1000..1600).contains(&ms)), "again after {again:?} ms");
}

/// The user removes a download whose source has just chosen the last chunk, which is short.
#[test]
fn s1_a_removed_download_does_not_ban_its_source() {
    let thing = thing((64 << 20) + 5000);
    let (mut node, mut out) = leecher(&thing, 1);
    let any = |(rid, asked): (&u32, &Asked)| matches!(asked, Asked::Any { .. }).then_some(*rid);
    let rid = node.conns[&ConnId(1)].requests.iter().filter_map(any).min().unwrap();
    node.handle(at(1), Input::ContentRemoved { id: thing.id }, &mut out);
    let msg = PeerMsg::Assign { rid, chunk: thing.chunks() - 1 };
    node.handle(at(2), Input::Message { conn: ConnId(1), msg }, &mut out);
    let out = data(&mut node, 3, 1, (rid, 0, 5000));
    assert_eq!(out, [Output::Discard { conn: ConnId(1), rid, wasted: 5000 }]);
    assert!(node.conns.contains_key(&ConnId(1)) && !node.dialer.is_banned(&peer(1), at(4)));
    // More than was asked for is a fault still.
    let usual = thing.layout.chunk_len();
    data(&mut node, 5, 1, (rid, 5000, usual));
    assert!(node.dialer.is_banned(&peer(1), at(6)));
}

/// Two sources: one delivers, the other has sent half a chunk.
fn half_a_chunk() -> (Thing, Node, Vec<Output>) {
    let thing = thing(256 << 20);
    let (mut node, out) = leecher(&thing, 2);
    for ms in 1..10 {
        let (rid, len) = asked(&mut node, &thing, 2)[0];
        data(&mut node, ms, 2, (rid, 0, len));
    }
    let (rid, len) = asked(&mut node, &thing, 1)[0];
    data(&mut node, 200, 1, (rid, 0, len / 2));
    (thing, node, out)
}

#[test]
fn s1_a_source_that_rests_is_asked_when_nobody_else_delivers() {
    let (thing, mut node, mut out) = half_a_chunk();
    for (rid, _) in asked(&mut node, &thing, 1) {
        let msg = PeerMsg::Reject { rid, code: Code::Choked };
        node.handle(at(203), Input::Message { conn: ConnId(1), msg }, &mut out);
    }
    assert_eq!(asked(&mut node, &thing, 1), [], "it rests while another delivers");
    assert!(node.conns[&ConnId(1)].rests_until > at(203));
    node.conduct.rest(peer(1), at(60_000));
    node.conns.get_mut(&ConnId(1)).unwrap().rests_until = at(60_000);
    node.handle(at(300), Input::Disconnected { conn: ConnId(2) }, &mut out);
    assert!(!asked(&mut node, &thing, 1).is_empty(), "it is the only one left");
}

/// It counted as one that could have what a slow one is then not asked for.
#[test]
fn s1_a_source_that_rests_is_not_waited_for_at_the_end() {
    let (thing, mut node, _) = half_a_chunk();
    let open = |node: &Node| {
        let body = node.contents[&thing.id].body.as_ref().unwrap();
        let content = &node.contents[&thing.id];
        let conns = node.others_for_rest(at(300), ConnId(1), content, body);
        conns.map(|conn| conn.id).collect::<Vec<_>>()
    };
    assert_eq!(open(&node), [ConnId(2)]);
    node.conns.get_mut(&ConnId(2)).unwrap().rests_until = at(60_000);
    assert_eq!(open(&node), []);
}

#[test]
fn s1_what_a_connection_that_we_give_up_leaves_half_answered_is_nobodys_fault() {
    let up = |conn, dialed| Input::Connected {
        route: crate::event::Route::Direct,
        conn: ConnId(conn),
        peer: peer(1),
        dialed,
        group: None,
        max_queued: 1 << 24,
    };
    let (_, mut node, mut out) = half_a_chunk();
    node.handle(at(300), up(7, true), &mut out);
    assert!(node.conns.contains_key(&ConnId(7)) && !node.conns.contains_key(&ConnId(1)));
    assert_eq!(node.conduct.resting(), 0, "both dialled each other");
    let (_, mut node, mut out) = half_a_chunk();
    node.handle(at(300), up(7, false), &mut out);
    assert!(node.conns.contains_key(&ConnId(7)) && !node.conns.contains_key(&ConnId(1)));
    assert_eq!(node.conduct.resting(), 1, "it dialled anew and left the rest");
}

#[test]
fn what_is_lost_with_an_extra_connection_is_asked_again_at_once_and_is_nobodys_fault() {
    let (thing, mut node, _) = half_a_chunk();
    let conn = ConnId(1);
    let streams = |streams| Input::Streams { conn, streams };
    node.handle(at(203), streams(4), &mut Vec::new());
    let live: Vec<u32> = node.conns[&conn].requests.keys().copied().collect();
    assert!(!live.is_empty());
    let mut out = Vec::new();
    node.handle(at(203), Input::Lost { conn, rids: live.clone() }, &mut out);
    node.handle(at(203), streams(1), &mut out);
    check(&node);
    assert!(!node.conns[&conn].requests.keys().any(|rid| live.contains(rid)));
    assert!(node.conns[&conn].rests_until <= at(203), "it has not broken anything off");
    assert!(!asked(&mut node, &thing, 1).is_empty(), "nor is it asked for less");
}
