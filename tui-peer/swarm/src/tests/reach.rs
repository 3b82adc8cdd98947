//! Connections through the tracker beside direct ones.

use super::crowds::{World, key, seed};
use super::*;
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
