//! Connections through the tracker beside direct ones.

use super::crowds::{World, key, seed};
use super::*;
use crate::conn::Piped;
use crate::event::Route;

fn connected(world: &mut World, n: u32, peer: u32, route: Route, dialed: bool) -> Vec<Output> {
    let (conn, peer) = (ConnId(u64::from(n)), key(peer));
    world.feed(Input::Connected { conn, route, peer, dialed, group: None, max_queued: 1 << 24 })
}

fn closed(out: &[Output], n: u32) -> bool {
    let at = ConnId(u64::from(n));
    out.iter().any(|o| matches!(o, Output::Disconnect { conn, .. } if *conn == at))
}

#[test]
fn a_direct_connection_takes_the_place_of_a_relayed_one_and_never_the_other_way() {
    // Whoever dialled which: both ends decide the same.
    for (relayed_by_us, direct_by_us) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let (mut world, _) = seed(NodeConfig::default());
        connected(&mut world, 1, 7, Route::Relayed, relayed_by_us);
        let out = connected(&mut world, 2, 7, Route::Direct, direct_by_us);
        assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
        let out = connected(&mut world, 3, 7, Route::Relayed, relayed_by_us);
        assert!(closed(&out, 3) && !closed(&out, 2), "{out:?}");
    }
    // The same before either has said HELLO.
    let (mut world, _) = seed(NodeConfig::default());
    let reached =
        |n: u64, route| Input::Reached { conn: ConnId(n), route, peer: key(7), group: None };
    world.feed(reached(1, Route::Relayed));
    let out = world.feed(reached(2, Route::Direct));
    assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
    let out = world.feed(reached(3, Route::Relayed));
    assert!(closed(&out, 3) && !closed(&out, 2), "{out:?}");
}

/// A download with one source through the tracker and one that is direct, both with all of it, unchoked.
fn two_sources() -> (World, Thing) {
    let (mut world, thing) = (World::new(NodeConfig::default()), thing(64 << 20));
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    for (n, route) in [(1, Route::Relayed), (2, Route::Direct)] {
        connected(&mut world, n, n, route, false);
        assert!(world.open(n, thing.id, HaveState::All).0);
    }
    (world, thing)
}

fn unchoke(world: &mut World, n: u32) -> Vec<Output> {
    let conn = ConnId(u64::from(n));
    world.feed(Input::Message { conn, msg: PeerMsg::Choke { handle: 0, choke: false } })
}

#[test]
fn the_tracker_is_spared_while_direct_sources_bring_enough_and_only_then() {
    let (mut world, thing) = two_sources();
    let now = world.now;
    assert!(world.node.is_short_of_sources(&thing.id, now), "nobody lets us have anything yet");
    unchoke(&mut world, 1);
    let asked = |world: &World, n: u64| world.node.conns[&ConnId(n)].requests.len();
    assert!(asked(&world, 1) > 0, "nothing else brings anything");
    assert!(!world.node.is_short_of_sources(&thing.id, now));
    unchoke(&mut world, 2);
    let content = &world.node.contents[&thing.id];
    assert!(world.node.direct_instead(now, ConnId(1), content).is_empty());
    // It claims to have everything, and gives nothing: another source is looked for.
    world.pass(Duration::from_secs(11));
    let now = world.now;
    assert!(world.node.is_short_of_sources(&thing.id, now));
    // The direct one brings two megabytes a second.
    world.node.conns.get_mut(&ConnId(2)).unwrap().snubbed_until = None;
    let link = world.node.contents.get_mut(&thing.id).unwrap().links.get_mut(&ConnId(2)).unwrap();
    (0..40).for_each(|n| link.down.add(now + Duration::from_millis(50 * n), 100_000));
    let now = now + Duration::from_secs(2);
    let content = &world.node.contents[&thing.id];
    assert_eq!(world.node.direct_instead(now, ConnId(1), content), [ConnId(2)]);
    assert!(world.node.direct_instead(now, ConnId(2), content).is_empty(), "that is direct");
}

#[test]
fn who_calls_us_is_called_at_the_rate_of_dials_and_only_while_there_is_no_direct_connection() {
    let (mut world, thing) = seed(NodeConfig::default());
    let wait = Duration::from_millis(60);
    let mut called = |peer: u32, addr: [u8; 4], id| {
        let addrs = vec![(addr, 7421).into()];
        let out = world.feed(Input::PunchAsked { id, peer: key(peer), addrs: addrs.clone(), wait });
        match &out[..] {
            [] => 0,
            [Output::Punch { peer: who, addrs: to, wait: when }] => {
                assert_eq!((who, to, when), (&key(peer), &addrs, &wait));
                1
            }
            other => panic!("{other:?}"),
        }
    };
    let other = common::id::ContentId::from_bytes([9; 32]);
    assert_eq!(called(7, [198, 51, 100, 7], other), 0, "not ours");
    // A tracker that lies: five calls into one network, whoever it says that is; nobody gives them back.
    let calls: u32 = (0..40).map(|n| called(100 + n, [198, 51, 100, n as u8], thing.id)).sum();
    assert_eq!(calls, 5);
    // And two hundred in all.
    let calls: u32 =
        (0..400u32).map(|n| called(200 + n, [8, (n >> 8) as u8, n as u8, 1], thing.id)).sum();
    assert_eq!(calls, 195);
    world.pass(Duration::from_secs(10));
    connected(&mut world, 1, 7, Route::Relayed, true);
    connected(&mut world, 2, 8, Route::Direct, true);
    let addrs = vec![([198, 51, 100, 7], 7421).into()];
    let ask =
        |peer| Input::PunchAsked { id: thing.id, peer: key(peer), addrs: addrs.clone(), wait };
    let out = world.feed(ask(8));
    assert!(!out.iter().any(|o| matches!(o, Output::Punch { .. })), "it is here: {out:?}");
    let out = world.feed(ask(7));
    assert!(out.iter().any(|o| matches!(o, Output::Punch { .. })), "a better way: {out:?}");
}

#[test]
fn a_path_over_which_nothing_comes_gives_way_to_another_and_not_before_that_is_there() {
    let (mut world, thing) = (World::new(NodeConfig::default()), thing(64 << 20));
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    world.feed(Input::ContentAdded { id: thing.id, ready: Some(ready) });
    connected(&mut world, 1, 7, Route::Direct, false);
    assert!(world.open(1, thing.id, HaveState::All).0);
    let addrs = vec![([198, 51, 100, 7], 7421).into()];
    let source = SourceHint { peer: key(7), addrs, have: 1, set: None };
    let out = world.feed(Input::SourcesFound { id: thing.id, sources: vec![source] });
    assert!(!out.iter().any(|o| matches!(o, Output::Dial { .. })), "it is here: {out:?}");
    unchoke(&mut world, 1);
    let asked = |world: &World, n: u64| {
        world.node.conns.get(&ConnId(n)).map_or(0, |conn| conn.requests.len())
    };
    assert!(asked(&world, 1) > 0);
    let pings = |out: &[Output]| {
        let ping = |o: &&Output| matches!(o, Output::Send { msg: PeerMsg::Ping(_), .. });
        out.iter().filter(ping).count()
    };
    let dials = |out: &[Output]| out.iter().any(|o| matches!(o, Output::Dial { .. }));
    // One that is alive and only slow answers: nothing is tried then.
    for _ in 0..4 {
        let out = world.pass(Duration::from_millis(2500));
        assert!(pings(&out) >= 1 && !dials(&out), "{out:?}");
        world.feed(Input::Message { conn: ConnId(1), msg: PeerMsg::Pong(0) });
    }
    let out = world.pass(Duration::from_millis(6000));
    assert!(dials(&out), "{out:?}");
    assert!(!closed(&out, 1), "kept until the other path is there");
    let conn = ConnId(2);
    let out = world.feed(Input::Reached { conn, route: Route::Direct, peer: key(7), group: None });
    assert!(!closed(&out, 1), "{out:?}");
    let out = world.feed(Input::Greeted { conn, max_queued: 1 << 24 });
    assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
    // Our question whether it has the file has the first handle.
    let (descriptor, state) = (thing.descriptor, HaveState::All);
    let here = OpenOk { handle: 0, descriptor, state, want: false };
    world.feed(Input::Message { conn, msg: PeerMsg::OpenOk(here) });
    unchoke(&mut world, 2);
    assert!(asked(&world, 2) > 0, "what was asked for there is asked for here");
}

#[test]
fn who_comes_over_another_path_is_taken_though_the_old_one_is_not_over() {
    let (mut world, thing) = seed(NodeConfig::default());
    connected(&mut world, 1, 7, Route::Direct, false);
    let out = connected(&mut world, 2, 7, Route::Relayed, false);
    assert!(closed(&out, 2) && !closed(&out, 1), "it is as good as any: {out:?}");
    assert!(!world.node.may_meet(&thing.id, &key(7), world.now));
    world.pass(Duration::from_millis(4500));
    assert!(world.node.may_meet(&thing.id, &key(7), world.now));
    let out = connected(&mut world, 3, 7, Route::Relayed, false);
    assert!(closed(&out, 1) && !closed(&out, 3), "any path that goes: {out:?}");
}

/// A dial and a call that the same side made: it keeps the newer before either has said HELLO, as the other end does.
#[test]
fn of_two_connections_that_one_side_made_both_ends_keep_the_same() {
    let reached = |n: u64| Input::Reached {
        conn: ConnId(n),
        route: Route::Direct,
        peer: key(7),
        group: None,
    };
    let (mut made, _) = seed(NodeConfig::default());
    made.feed(reached(1));
    let out = made.feed(reached(2));
    assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
    made.feed(Input::Greeted { conn: ConnId(2), max_queued: 1 << 24 });
    let out = made.feed(reached(3));
    assert!(out.is_empty() || !closed(&out, 3), "{out:?}");
    let out = made.feed(Input::Greeted { conn: ConnId(3), max_queued: 1 << 24 });
    assert!(closed(&out, 2) && !closed(&out, 3), "{out:?}");
    let (mut came, _) = seed(NodeConfig::default());
    connected(&mut came, 1, 7, Route::Direct, false);
    let out = connected(&mut came, 2, 7, Route::Direct, false);
    assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
}

#[test]
fn a_source_whose_path_was_cut_comes_over_another_when_it_is_asked_to() {
    let (mut world, thing) = seed(NodeConfig::default());
    // The getter dialled, and its key is the smaller: the old connection would be kept.
    connected(&mut world, 1, 7, Route::Direct, false);
    let addrs = vec![([198, 51, 100, 7], 7421).into()];
    let wait = Duration::from_millis(60);
    let dial = || Input::DialAsked { id: thing.id, peer: key(7), addrs: addrs.clone() };
    let call = || Input::PunchAsked { id: thing.id, peer: key(7), addrs: addrs.clone(), wait };
    let comes = |out: &[Output]| {
        let comes = |o: &Output| matches!(o, Output::Dial { .. } | Output::Punch { .. });
        out.iter().any(comes)
    };
    assert!(!comes(&world.feed(dial())) && !comes(&world.feed(call())), "it is well reached");
    // It asks for nothing of the getter, so it waits for nothing; but the getter says that it has waited.
    world.pass(Duration::from_millis(4500));
    assert!(comes(&world.feed(call())) && comes(&world.feed(dial())));
    let at = ConnId(2);
    let (route, peer) = (Route::Direct, key(7));
    world.feed(Input::Reached { conn: at, route, peer, group: None });
    let out = world.feed(Input::Greeted { conn: at, max_queued: 1 << 24 });
    assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
}

#[test]
fn a_path_cut_one_way_is_given_up_at_both_ends() {
    let (mut world, _) = seed(NodeConfig::default());
    connected(&mut world, 1, 7, Route::Direct, true);
    world
        .node
        .conns
        .get_mut(&ConnId(1))
        .unwrap()
        .in_pipe
        .insert(1, Piped { len: 1, limited: None });
    // What the getter asks arrives, what it is given does not: it says so with PINGs, and then comes again.
    for nonce in 0..3 {
        world.pass(Duration::from_secs(2));
        world.feed(Input::Message { conn: ConnId(1), msg: PeerMsg::Ping(nonce) });
    }
    let out = connected(&mut world, 2, 7, Route::Relayed, false);
    assert!(closed(&out, 1) && !closed(&out, 2), "{out:?}");
}
