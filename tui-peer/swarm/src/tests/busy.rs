//! A source that cannot serve just now, or whose disk fails.

use super::*;

const SOURCE: ConnId = ConnId(1);

fn at(ms: u64) -> Time {
    Time::from_micros(1_000_000 + ms * 1000)
}

/// A node that fetches, and what it asks the only source, which has everything.
fn fetching(thing: &Thing) -> (Node, Vec<u32>) {
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    let mut out = Vec::new();
    let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
    node.handle(at(0), Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    let connected = Input::Connected {
        route: crate::event::Route::Direct,
        conn: SOURCE,
        peer: peer(1),
        dialed: false,
        group: None,
        max_queued: 1 << 24,
    };
    node.handle(at(0), connected, &mut out);
    let open = Open { handle: 0, id: thing.id, state: HaveState::All, want: false };
    node.handle(at(0), Input::Message { conn: SOURCE, msg: PeerMsg::Open(open) }, &mut out);
    let unchoke = PeerMsg::Choke { handle: 0, choke: false };
    node.handle(at(0), Input::Message { conn: SOURCE, msg: unchoke }, &mut out);
    check(&node);
    (node, asked(&out))
}

/// Numbers of the requests for chunks.
fn asked(out: &[Output]) -> Vec<u32> {
    let mut rids = Vec::new();
    for output in out {
        match output {
            Output::Send { msg: PeerMsg::Request { rid, .. }, .. } => rids.push(*rid),
            Output::Send { msg: PeerMsg::ReqAny { rid, count, .. }, .. } => {
                rids.extend(*rid..*rid + u32::from(*count));
            }
            Output::Disconnect { text, .. } => panic!("closed: {text}"),
            _ => {}
        }
    }
    rids
}

/// Rejects all of that; what is asked then.
fn reject(node: &mut Node, ms: u64, rids: Vec<u32>, code: Code) -> Vec<u32> {
    let mut out = Vec::new();
    for rid in rids {
        let msg = PeerMsg::Reject { rid, code };
        node.handle(at(ms), Input::Message { conn: SOURCE, msg }, &mut out);
        check(node);
    }
    asked(&out)
}

#[test]
fn f9_a_source_that_is_busy_is_asked_again_later_and_never_banned() {
    let thing = thing(8 << 20);
    let (mut node, mut rids) = fetching(&thing);
    let (mut ms, mut rounds) = (0, 0);
    while rounds < 12 {
        assert!(!rids.is_empty());
        rids = reject(&mut node, ms, rids, Code::Busy);
        assert!(rids.is_empty(), "it may rest");
        let began = ms;
        while rids.is_empty() {
            ms += 100;
            let mut out = Vec::new();
            node.handle(at(ms), Input::Tick, &mut out);
            rids = asked(&out);
            // Alive, as a real one is.
            let ping = PeerMsg::Ping(1);
            node.handle(at(ms), Input::Message { conn: SOURCE, msg: ping }, &mut Vec::new());
            assert!(ms - began < 40_000, "never asked again");
        }
        let least = 1000 << rounds.min(5);
        assert!(ms - began >= least, "round {rounds}: after {} ms", ms - began);
        rounds += 1;
    }
}

#[test]
fn f9_a_source_whose_disk_fails_is_not_a_liar() {
    let thing = thing(8 << 20);
    let (mut node, mut rids) = fetching(&thing);
    let mut refused = 0;
    while !rids.is_empty() {
        refused += rids.len();
        assert!(refused <= 2 * thing.chunks() as usize, "the same again and again");
        rids = reject(&mut node, refused as u64, rids, Code::LocalIo);
    }
    assert!(refused >= thing.chunks() as usize, "all that it has is asked for once: {refused}");
}
