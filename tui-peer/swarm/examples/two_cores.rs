//! Two cores exchange a file: the smallest shell there can be, with neither sockets nor disks, on virtual time.
//! `cargo run -p swarm --example two_cores`
#![allow(clippy::print_stdout, reason = "an example")]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::merkle::ChunkHashes;
use common::wire::peer::PeerMsg;
use swarm::event::{ConnId, Input, Output, Ready, SourceHint};
use swarm::time::Time;
use swarm::{Node, NodeConfig};

const SIZE: u64 = 10 << 20;
/// The only connection.
const CONN: ConnId = ConnId(1);
/// One way, on the virtual clock.
const DELAY: Duration = Duration::from_millis(10);
/// Most bytes that a side lets the other have queued.
const MAX_QUEUED: u32 = 1 << 24;

fn key(of: usize) -> PeerId {
    PeerId::from_bytes([u8::try_from(of + 1).unwrap_or(0); 32])
}

/// What a node knows of the file: everything, and all or none of its chunks.
fn content(has_all: bool) -> Result<(ContentId, Ready), Box<dyn Error>> {
    let layout = Layout::for_file(SIZE)?;
    let list = (0..layout.chunks()).map(|_| Hash::from_bytes([7; 32])).collect();
    let hashes = ChunkHashes::complete(SIZE, list, layout.chunk_level());
    let descriptor = Descriptor { kind: Kind::File, size: SIZE, root: hashes.root() };
    let all = ChunkSet::full(layout.chunks());
    let none = ChunkSet::empty(layout.chunks());
    let ready = Ready {
        descriptor,
        have: if has_all { all.clone() } else { none.clone() },
        wanted: all,
        hashes: vec![hashes],
        doubted: none,
        layout: Arc::new(layout),
    };
    Ok((descriptor.id(), ready))
}

/// What is on its way: when it arrives, and at whom.
type Post = VecDeque<(Time, usize, Input)>;

/// Does what a node wants done. A real shell has sockets and disks here.
fn execute(now: Time, from: usize, output: Output, post: &mut Post) {
    let (other, ms) = (1 - from, now.as_micros() / 1000);
    let mut send =
        |to: usize, delay: Duration, input: Input| post.push_back((now + delay, to, input));
    match output {
        Output::Dial { peer, .. } => {
            println!("{ms} ms: {from} dials {}", peer.short());
            let (group, max_queued) = (None, MAX_QUEUED);
            send(
                from,
                DELAY,
                Input::Reached { route: swarm::event::Route::Direct, conn: CONN, peer, group },
            );
            let peer = key(from);
            let dialed = false;
            send(
                other,
                DELAY,
                Input::Connected {
                    route: swarm::event::Route::Direct,
                    conn: CONN,
                    peer,
                    dialed,
                    group,
                    max_queued,
                },
            );
            send(from, DELAY, Input::Greeted { conn: CONN, max_queued });
        }
        Output::Send { msg, .. } => {
            // Through the bytes, as on a wire.
            if let Ok(Some(msg)) = PeerMsg::decode(msg.kind(), &msg.body()) {
                println!("{ms} ms: {from} says {}", word(&msg));
                send(other, DELAY, Input::Message { conn: CONN, msg });
            }
        }
        Output::Serve { rid, len, .. } => {
            send(other, DELAY, Input::Data { conn: CONN, rid, off: 0, len });
            send(from, Duration::ZERO, Input::Served { conn: CONN, rid });
        }
        // Nothing to hash, nothing to write: it is right, and there.
        Output::Verify { id, chunk, .. } => {
            send(from, Duration::ZERO, Input::ChunkStored { id, chunk });
        }
        Output::Completed { .. } => println!("{ms} ms: {from} has all"),
        _ => {}
    }
}

/// The first word of what the message looks like.
fn word(msg: &PeerMsg) -> String {
    format!("{msg:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut nodes = [0, 1].map(|n| Node::new(NodeConfig::default(), key(n), n as u64));
    let (id, seed) = content(true)?;
    let (_, wish) = content(false)?;
    let source = SourceHint {
        peer: key(0),
        addrs: vec!["192.0.2.1:7421".parse()?],
        have: seed.have.count(),
        set: None,
    };
    let mut now = Time::ZERO;
    let mut post: Post = VecDeque::from([
        (now, 0, Input::ContentAdded { id, ready: Some(seed) }),
        (now, 1, Input::ContentAdded { id, ready: Some(wish) }),
        (now, 1, Input::SourcesFound { id, sources: vec![source] }),
    ]);
    let mut done = false;
    while !done {
        // What happens next: something arrives, or a node has asked to be woken. What is on its way stays in order.
        let arrives = post.iter().enumerate().min_by_key(|(at, (when, ..))| (*when, *at));
        let arrives = arrives.map(|(at, (when, ..))| (at, *when));
        let wakes =
            nodes.iter().enumerate().filter_map(|(n, node)| Some((node.next_deadline()?, n)));
        let wakes = wakes.min();
        let (to, input) = match (arrives, wakes) {
            (Some((at, when)), wakes) if wakes.is_none_or(|(wake, _)| when <= wake) => {
                now = now.max(when);
                let Some((_, to, input)) = post.remove(at) else { break };
                (to, input)
            }
            (_, Some((when, n))) => {
                now = now.max(when);
                (n, Input::Tick)
            }
            _ => break,
        };
        let mut out = Vec::new();
        if let Some(node) = nodes.get_mut(to) {
            node.handle(now, input, &mut out);
        }
        for output in out {
            done |= to == 1 && matches!(output, Output::Completed { .. });
            execute(now, to, output, &mut post);
        }
    }
    Ok(())
}
