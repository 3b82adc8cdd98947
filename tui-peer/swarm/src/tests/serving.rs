//! A complete node among peers that ask, complain and ask for requests back.

use super::*;

/// A seed and so many connected leechers, numbered from one, that may request.
fn seed(thing: &Thing, leechers: u8) -> (Node, Vec<Output>) {
    seed_with(thing, NodeConfig::default(), leechers)
}

fn seed_with(thing: &Thing, cfg: NodeConfig, leechers: u8) -> (Node, Vec<Output>) {
    let mut node = Node::new(cfg, peer(0), 1);
    let mut out = Vec::new();
    let ready = thing.ready(ChunkSet::full(thing.chunks()), true);
    node.handle(at(0), Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    for n in 1..=leechers {
        let conn = ConnId(u64::from(n));
        let connected = Input::Connected {
            route: crate::event::Route::Direct,
            conn,
            peer: peer(n),
            dialed: false,
            group: None,
            max_queued: 1 << 24,
        };
        node.handle(at(0), connected, &mut out);
        let open = Open { handle: 0, id: thing.id, state: HaveState::None, want: true };
        node.handle(at(0), Input::Message { conn, msg: PeerMsg::Open(open) }, &mut out);
    }
    out.clear();
    (node, out)
}

fn at(ms: u64) -> Time {
    Time::from_micros(1_000_000 + ms * 1000)
}

fn say(node: &mut Node, ms: u64, conn: u64, msg: PeerMsg) -> Vec<Output> {
    let mut out = Vec::new();
    node.handle(at(ms), Input::Message { conn: ConnId(conn), msg }, &mut out);
    check(node);
    out
}

fn served(out: &[Output]) -> Vec<(u64, u32)> {
    let serve = |o: &Output| match o {
        Output::Serve { conn, rid, .. } => Some((conn.0, *rid)),
        _ => None,
    };
    out.iter().filter_map(serve).collect()
}

#[test]
fn a_complaint_is_followed_up_and_a_damaged_chunk_is_not_offered_any_more() {
    let thing = thing(1_000_000);
    let (mut node, _) = seed(&thing, 2);
    let complain = |bad| PeerMsg::Corrupt { handle: 0, chunk: 3, bad };
    let expected = thing.hashes.get(3).unwrap();
    assert_eq!(say(&mut node, 0, 1, complain(expected)), [], "nothing to complain about");
    let out = say(&mut node, 0, 1, complain(sha256(b"rot")));
    assert_eq!(out, [Output::Recheck { id: thing.id, chunk: 3, expected }]);
    assert_eq!(say(&mut node, 999, 2, complain(sha256(b"rot"))), [], "not twice a second");
    let mut out = Vec::new();
    node.handle(at(1000), Input::ChunkDamaged { id: thing.id, chunk: 3 }, &mut out);
    let told = |o: &&Output| matches!(o, Output::Send { msg: PeerMsg::DontHave { .. }, .. });
    assert_eq!(out.iter().filter(told).count(), 2);
    let out = say(&mut node, 2000, 1, request(&thing, 9, 3));
    let reject = PeerMsg::Reject { rid: 9, code: Code::Gone };
    assert_eq!(out, [Output::Send { conn: ConnId(1), msg: reject }]);
    assert_eq!(say(&mut node, 5000, 1, complain(sha256(b"rot"))), [], "known by now");
}

#[test]
fn everybody_is_served_in_turn_and_the_rest_waits_where_it_can_be_recalled() {
    let thing = thing(8 << 20);
    let (mut node, _) = seed(&thing, 4);
    let mut begun = Vec::new();
    for rid in 0..8 {
        for conn in 1..=4 {
            let msg = request(&thing, rid, rid * 4 + conn as u32);
            begun.extend(served(&say(&mut node, 0, conn, msg)));
        }
    }
    assert!(begun.len() < 12, "a moment's worth goes out at once: {begun:?}");
    // Each that is out makes room for the next, in turn.
    for i in 0..20 {
        let mut out = Vec::new();
        let (conn, rid) = begun[i];
        node.handle(at(1 + i as u64), Input::Served { conn: ConnId(conn), rid }, &mut out);
        begun.extend(served(&out));
    }
    for conn in 1..=4 {
        let turns = begun.iter().take(20).filter(|served| served.0 == conn).count();
        assert!((4..=6).contains(&turns), "{conn} had {turns} turns: {begun:?}");
    }
    // What waits is given back, what is out is not.
    let rejected = |out: &[Output]| {
        out.iter().any(|o| matches!(o, Output::Send { msg: PeerMsg::Reject { .. }, .. }))
    };
    assert!(rejected(&say(&mut node, 30, 1, PeerMsg::Recall { rid: 7 })));
    let (conn, rid) = *begun.last().unwrap();
    assert!(!rejected(&say(&mut node, 30, conn, PeerMsg::Recall { rid })));
}

#[test]
fn an_upload_limit_of_one_content_holds_nobody_else_up() {
    let (slow, fast) = (thing(8 << 20), thing((8 << 20) + 1));
    let (mut node, _) = seed(&slow, 1);
    let mut out = Vec::new();
    let ready = fast.ready(ChunkSet::full(fast.chunks()), true);
    node.handle(at(0), Input::ContentAdded { id: fast.id, ready: Some(ready) }, &mut out);
    node.handle(at(0), Input::UpLimited { id: slow.id, limited: true }, &mut out);
    let open = Open { handle: 2, id: fast.id, state: HaveState::None, want: true };
    say(&mut node, 0, 1, PeerMsg::Open(open));
    let mut limited = Vec::new();
    for rid in 0..40 {
        limited.extend(served(&say(&mut node, 0, 1, request(&slow, rid, rid))));
    }
    assert_eq!(limited.len(), 2, "one is read while the other is sent: {limited:?}");
    let mut others = Vec::new();
    for rid in 100..120 {
        let PeerMsg::Request { chunk, off, len, .. } = request(&fast, rid, rid - 100) else {
            panic!()
        };
        let msg = PeerMsg::Request { handle: 2, rid, chunk, off, len };
        others.extend(served(&say(&mut node, 0, 1, msg)));
    }
    for i in 0..20 {
        let mut out = Vec::new();
        let rid = others[i].1;
        assert!(rid >= 100, "the limited one has its two: {others:?}");
        node.handle(at(1), Input::Served { conn: ConnId(1), rid }, &mut out);
        others.extend(served(&out));
    }
    // Lifted, all of it goes.
    let mut out = Vec::new();
    node.handle(at(2), Input::UpLimited { id: slow.id, limited: false }, &mut out);
    assert!(!served(&out).is_empty());
}

/// What is answered and what is refused of so many questions about all hashes.
fn answered(node: &mut Node, ms: u64, conn: u64, (questions, count): (u32, u16)) -> (usize, u64) {
    let id = node.conns[&ConnId(conn)].handles[&0];
    let level = node.contents[&id].body.as_ref().unwrap().layout.chunk_level();
    let (mut refused, mut bytes) = (0, 0);
    for rid in 0..questions {
        let ask = PeerMsg::HashReq { handle: 0, rid, file: 0, level, index: 0, count };
        let mut out = Vec::new();
        node.handle(at(ms), Input::Message { conn: ConnId(conn), msg: ask }, &mut out);
        for output in out {
            match output {
                Output::Send { msg: PeerMsg::Hashes { hashes, .. }, .. } => {
                    bytes += hashes.len() as u64 * 32;
                }
                Output::Send { msg: PeerMsg::Reject { code, .. }, .. } => {
                    assert_eq!(code, Code::Rate);
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    (refused, bytes)
}

#[test]
fn s2_answers_are_limited_in_number_and_in_bytes_and_never_for_long() {
    let thing = thing(64 << 20);
    let (mut node, _) = seed(&thing, 3);
    // Small ones by their number, large ones by their bytes.
    assert_eq!(answered(&mut node, 0, 1, (1499, 1)).0, 500, "its OPEN was a question too");
    let (refused, bytes) = answered(&mut node, 0, 2, (1000, 1024));
    assert!(refused > 900 && bytes <= 2 << 20, "{refused} refused, {bytes} bytes");
    assert!(bytes > 1 << 20);
    // Who waits for the time that a refusal means is answered.
    assert_eq!(answered(&mut node, 1000, 1, (4, 1024)).0, 0);
    assert_eq!(answered(&mut node, 1000, 2, (4, 1024)).0, 0);
    // An upload limit is kept, and who had least goes first.
    node.handle(at(1000), Input::UpLimit(Some(400_000)), &mut Vec::new());
    let (_, bytes) = answered(&mut node, 2000, 1, (100, 1024));
    assert!(bytes < 400_000, "{bytes}");
    let (refused, bytes) = answered(&mut node, 2000, 3, (4, 1024));
    assert!(bytes > 0 && bytes < 131_072, "one answer for who had none: {refused} refused");
    let mut sum = 0;
    for second in 3..23 {
        sum += answered(&mut node, second * 1000, 1, (100, 1024)).1;
        sum += answered(&mut node, second * 1000, 2, (100, 1024)).1;
    }
    assert!((1_500_000..3_000_000).contains(&sum), "100,000 a second, in 20 s {sum}");
}

#[test]
fn s2_who_only_asks_is_banned() {
    let thing = thing(64 << 20);
    let (mut node, _) = seed(&thing, 1);
    let level = thing.layout.chunk_level();
    for rid in 0..10_000 {
        let ask = PeerMsg::HashReq { handle: 0, rid, file: 0, level, index: 0, count: 1 };
        say(&mut node, 0, 1, ask);
        if !node.conns.contains_key(&ConnId(1)) {
            break;
        }
    }
    assert!(node.dialer.is_banned(&peer(1), at(0)));
}

#[test]
fn s2_who_asks_and_does_not_read_keeps_no_slot() {
    let thing = thing(64 << 20);
    // Thirty that do not read for eight slots, and one that does.
    let honest = 31;
    let cfg = NodeConfig { slots: 8, ..NodeConfig::default() };
    let (mut node, mut out) = seed_with(&thing, cfg, 31);
    let mut got = 0;
    for second in 1..=120 {
        let ms = second * 1000;
        let mut inputs: Vec<Input> = (1..=honest)
            .map(|conn| {
                let chunk = (second as u32 * 16 + conn as u32) % thing.chunks();
                let msg = request(&thing, second as u32, chunk);
                Input::Message { conn: ConnId(conn), msg }
            })
            .collect();
        inputs.push(Input::Tick);
        while let Some(input) = inputs.pop() {
            out.clear();
            node.handle(at(ms), input, &mut out);
            for (_, rid) in served(&out).into_iter().filter(|(to, _)| *to == honest) {
                got += 1;
                inputs.push(Input::Served { conn: ConnId(honest), rid });
            }
        }
    }
    assert!(got > 40, "in two minutes it was served {got} times");
}

#[test]
fn s2_answers_leave_half_of_a_small_upload_limit_to_payload() {
    let thing = thing(64 << 20);
    let (mut node, _) = seed(&thing, 2);
    node.handle(at(0), Input::UpLimit(Some(20_000)), &mut Vec::new());
    let mut sum = 0;
    for second in 0..120 {
        sum += answered(&mut node, second * 1000, 1, (10, 128)).1;
        sum += answered(&mut node, second * 1000, 2, (10, 128)).1;
    }
    assert!((900_000..1_300_000).contains(&sum), "10,000 a second, in 120 s {sum}");
}

#[test]
fn several_tcp_connections_carry_much_at_once_but_no_more_than_one_when_others_wait() {
    let thing = thing(16 << 20);
    let (mut node, _) = seed(&thing, 2);
    let mut out = Vec::new();
    node.handle(at(0), Input::Streams { conn: ConnId(1), streams: 4 }, &mut out);
    let mut wide = Vec::new();
    for rid in 0..60 {
        wide.extend(served(&say(&mut node, 0, 1, request(&thing, rid, rid))));
    }
    assert_eq!(wide.len(), 60, "nobody else wants anything");
    // Somebody else does.
    let mut narrow = Vec::new();
    for rid in 0..40 {
        narrow.extend(served(&say(&mut node, 1, 2, request(&thing, rid, 60 + rid))));
    }
    assert!(narrow.len() >= 2 && narrow.iter().all(|(conn, _)| *conn == 2), "{narrow:?}");
    for rid in 60..80 {
        assert_eq!(served(&say(&mut node, 1, 1, request(&thing, rid, 40 + rid))), []);
    }
    // Each that is out at either makes room, and whoever had less goes first.
    for i in 0..30 {
        for (conn, rid) in [wide[i], narrow[i]] {
            let mut out = Vec::new();
            node.handle(at(2 + i as u64), Input::Served { conn: ConnId(conn), rid }, &mut out);
            assert!(served(&out).iter().all(|(conn, _)| *conn == 2), "{out:?}");
            narrow.extend(served(&out));
            check(&node);
        }
    }
    assert!(narrow.len() > 30, "{}", narrow.len());
}
