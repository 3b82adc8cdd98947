//! F5: chunks that may be on disk are asked of nobody before somebody has looked.

use super::*;

fn at(ms: u64) -> Time {
    Time::from_micros(1_000_000 + ms * 1000)
}

fn asked(out: &[Output]) -> BTreeSet<u32> {
    let chunk = |o: &Output| match o {
        Output::Send { msg: PeerMsg::Request { chunk, .. }, .. } => Some(*chunk),
        Output::Send { msg: PeerMsg::ReqAny { .. }, .. } => panic!("a source cannot choose now"),
        _ => None,
    };
    out.iter().filter_map(chunk).collect()
}

fn set(chunks: u32, of: &[u32]) -> ChunkSet {
    let mut set = ChunkSet::empty(chunks);
    of.iter().for_each(|chunk| _ = set.insert(*chunk));
    set
}

#[test]
fn f5_doubted_chunks_are_checked_when_their_hashes_come_and_fetched_only_if_wrong() {
    let thing = thing(1_000_000);
    let chunks = thing.chunks();
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    let mut ready = thing.ready(ChunkSet::empty(chunks), false);
    ready.doubted = set(chunks, &[1, 4, 7]);
    let mut out = Vec::new();
    let say = |node: &mut Node, input| {
        let mut out = Vec::new();
        node.handle(at(0), input, &mut out);
        check(node);
        out
    };
    out.extend(say(&mut node, Input::ContentAdded { id: thing.id, ready: Some(ready) }));
    assert!(!out.iter().any(|o| matches!(o, Output::CheckDoubted { .. })), "not known yet");
    let hints = vec![hint(1)];
    say(&mut node, Input::SourcesFound { id: thing.id, sources: hints });
    let conn = ConnId(1);
    let out = say(
        &mut node,
        Input::Connected {
            route: crate::event::Route::Direct,
            conn,
            peer: peer(1),
            dialed: true,
            group: None,
            max_queued: 1 << 24,
        },
    );
    let handle = out.iter().find_map(|o| match o {
        Output::Send { msg: PeerMsg::Open(open), .. } => Some(open.handle),
        _ => None,
    });
    let handle = handle.unwrap();
    let msg = |msg| Input::Message { conn, msg };
    let ok = OpenOk { handle, descriptor: thing.descriptor, state: HaveState::All, want: false };
    let mut out = say(&mut node, msg(PeerMsg::OpenOk(ok)));
    out.extend(say(&mut node, msg(PeerMsg::Choke { handle, choke: false })));
    let (rid, range) = out
        .iter()
        .find_map(|o| match o {
            Output::Send { msg: PeerMsg::HashReq { rid, index, count, .. }, .. } => {
                Some((*rid, HashRange { index: *index, count: *count }))
            }
            _ => None,
        })
        .unwrap();
    let proof = thing.hashes.prove(range).unwrap();
    let hashes = PeerMsg::Hashes { rid, hashes: proof.hashes, proof: proof.uncles };
    let out = say(&mut node, msg(hashes));
    let doubted = set(chunks, &[1, 4, 7]);
    assert!(out.contains(&Output::CheckDoubted { id: thing.id, chunks: doubted }));
    let first = asked(&out);
    assert!(!first.is_empty() && [1, 4, 7].iter().all(|chunk| !first.contains(chunk)), "{first:?}");
    let (here, gone) = (set(chunks, &[1, 7]), set(chunks, &[4]));
    let out = say(&mut node, Input::DoubtsSettled { id: thing.id, here, gone });
    let pickable = node.contents[&thing.id].body.as_ref().unwrap().picker.is_pickable(4);
    assert!(pickable || asked(&out).contains(&4));
    let stored = |o: &&Output| matches!(o, Output::Stored { chunk: 1 | 7, .. });
    assert_eq!(out.iter().filter(stored).count(), 2);
    // Said twice it means nothing.
    let again = set(chunks, &[4]);
    let none = ChunkSet::empty(chunks);
    assert_eq!(say(&mut node, Input::DoubtsSettled { id: thing.id, here: again, gone: none }), []);
}

#[test]
fn f5_a_download_all_of_which_is_there_needs_nobody() {
    let thing = thing(1_000_000);
    let chunks = thing.chunks();
    let mut node = Node::new(NodeConfig::default(), peer(0), 1);
    let mut ready = thing.ready(ChunkSet::empty(chunks), true);
    ready.doubted = ChunkSet::full(chunks);
    let mut out = Vec::new();
    node.handle(at(0), Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    let all = ChunkSet::full(chunks);
    assert!(out.contains(&Output::CheckDoubted { id: thing.id, chunks: all.clone() }));
    let (here, gone) = (all, ChunkSet::empty(chunks));
    node.handle(at(1), Input::DoubtsSettled { id: thing.id, here, gone }, &mut out);
    assert!(out.contains(&Output::Completed { id: thing.id }));
}
