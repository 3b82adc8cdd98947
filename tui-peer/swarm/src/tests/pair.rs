//! Two nodes joined by a shell of a few lines.

use super::*;

/// Two nodes and what lies between them.
struct Pair {
    nodes: [Node; 2],
    now: Time,
    inbox: std::collections::VecDeque<(usize, Input)>,
    completed: [bool; 2],
    /// When the last of them was.
    completed_at: Time,
    requested: u32,
    /// What a folder turns out to be, once its manifest is here; `None`: the manifest was wrong.
    folder: Option<Ready>,
    manifest_parts: u32,
    disconnects: Vec<String>,
    /// Whether all that must hold is looked at after every step: with thousands of chunks it takes minutes.
    checks: bool,
}

impl Pair {
    const CONN: ConnId = ConnId(1);

    fn feed(&mut self, to: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[to].handle(self.now, input, &mut out);
        if self.checks {
            check(&self.nodes[to]);
        }
        for output in out {
            self.execute(to, output);
        }
    }

    fn execute(&mut self, from: usize, output: Output) {
        let (other, conn) = (1 - from, Self::CONN);
        match output {
            Output::Dial { .. } => {
                let (group, max_queued) = (None, 1 << 24);
                let key = |to: usize| peer(2 - to as u8);
                let (to, theirs) = (key(from), key(other));
                let reached =
                    Input::Reached { route: crate::event::Route::Direct, conn, peer: to, group };
                let dialed = false;
                let up = Input::Connected {
                    route: crate::event::Route::Direct,
                    conn,
                    peer: theirs,
                    dialed,
                    group,
                    max_queued,
                };
                let greeted = Input::Greeted { conn, max_queued };
                self.inbox.extend([(from, reached), (other, up), (from, greeted)]);
            }
            Output::Send { msg, .. } => {
                self.requested += u32::from(matches!(msg, PeerMsg::Request { .. }));
                let msg = PeerMsg::decode(msg.kind(), &msg.body()).unwrap().unwrap();
                self.inbox.push_back((other, Input::Message { conn, msg }));
            }
            Output::Serve { rid, len, .. } => {
                self.inbox.push_back((other, Input::Data { conn, rid, off: 0, len }));
                self.inbox.push_back((from, Input::Served { conn, rid }));
            }
            Output::Verify { id, chunk, .. } => {
                self.inbox.push_back((from, Input::ChunkStored { id, chunk }));
            }
            Output::Completed { .. } => {
                (self.completed[from], self.completed_at) = (true, self.now);
            }
            Output::Disconnect { text, .. } => {
                self.disconnects.push(text);
                self.inbox.push_back((other, Input::Disconnected { conn }));
            }
            Output::ServeManifest { rid, len, .. } => {
                self.inbox.push_back((other, Input::Data { conn, rid, off: 0, len }));
                self.inbox.push_back((from, Input::Served { conn, rid }));
            }
            Output::ManifestPart { .. } => self.manifest_parts += 1,
            Output::ManifestFetched { id, conn } => {
                let input = match self.folder.clone() {
                    Some(ready) => Input::ContentReady { id, ready },
                    None => Input::ManifestRejected { id, conn },
                };
                self.inbox.push_back((from, input));
            }
            Output::StopServing { rid, .. } => {
                let code = Code::Cancelled;
                self.inbox.push_back((from, Input::ServeFailed { conn, rid, code }));
            }
            _ => {}
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            while let Some((to, input)) = self.inbox.pop_front() {
                self.feed(to, input);
            }
            let due = self.nodes.iter().filter_map(Node::next_deadline).min();
            let Some(due) = due else { return };
            self.now = self.now.max(due);
            for to in 0..2 {
                if self.nodes[to].next_deadline().is_some_and(|due| due <= self.now) {
                    self.feed(to, Input::Tick);
                }
            }
        }
    }
}

fn pair() -> Pair {
    let node = |n: u8| Node::new(NodeConfig::default(), peer(n), u64::from(n));
    Pair {
        nodes: [node(1), node(2)],
        now: Time::ZERO,
        inbox: std::collections::VecDeque::new(),
        completed: [false; 2],
        completed_at: Time::ZERO,
        requested: 0,
        folder: None,
        manifest_parts: 0,
        disconnects: Vec::new(),
        checks: true,
    }
}

#[test]
fn two_nodes_exchange_a_file() {
    let thing = thing(10 << 20);
    let mut pair = pair();
    let full = ChunkSet::full(thing.chunks());
    let seed = thing.ready(full, true);
    pair.feed(0, Input::ContentAdded { id: thing.id, ready: Some(seed) });
    let empty = ChunkSet::empty(thing.chunks());
    let wish = thing.ready(empty, false);
    pair.feed(1, Input::ContentAdded { id: thing.id, ready: Some(wish) });
    pair.feed(1, Input::SourcesFound { id: thing.id, sources: vec![hint(1)] });
    pair.run(20);
    assert!(pair.completed[1]);
    assert_eq!(pair.disconnects, Vec::<String>::new());
    assert!(pair.nodes[1].have(&thing.id).unwrap().is_complete());
    assert_eq!(pair.nodes[1].outstanding, 0);
}

#[test]
fn two_halves_make_a_whole_on_both_sides() {
    let thing = thing(10 << 20);
    let mut pair = pair();
    for (to, rest) in [(0, 0), (1, 1)] {
        let mut have = ChunkSet::empty(thing.chunks());
        for chunk in (0..thing.chunks()).filter(|c| c % 2 == rest) {
            have.insert(chunk);
        }
        let ready = thing.ready(have, true);
        pair.feed(to, Input::ContentAdded { id: thing.id, ready: Some(ready) });
    }
    pair.feed(1, Input::SourcesFound { id: thing.id, sources: vec![hint(1)] });
    pair.run(20);
    assert_eq!(pair.completed, [true, true]);
    assert_eq!(pair.requested, thing.chunks(), "every chunk was asked for once");
    for node in &pair.nodes {
        let links = &node.contents[&thing.id].links;
        assert!(links.is_empty(), "two seeds have parted: {links:?}");
    }
}

/// A folder of files of these sizes, of which all hashes are known or none.
fn folder(sizes: &[u64], known: bool) -> Ready {
    let layout = Arc::new(Layout::for_folder(sizes).unwrap());
    let level = layout.chunk_level();
    let hashes = sizes.iter().enumerate().map(|(file, size)| {
        let list: Vec<Hash> =
            layout.file_chunks(file).unwrap().map(|c| sha256(&c.to_le_bytes())).collect();
        let chunks = list.len() as u32;
        let complete = ChunkHashes::complete(*size, list, level);
        if known { complete } else { ChunkHashes::unknown(complete.root(), chunks, level) }
    });
    let descriptor = Descriptor { kind: Kind::Folder, size: 700_000, root: sha256(b"manifest") };
    let chunks = layout.chunks();
    Ready {
        descriptor,
        hashes: hashes.collect(),
        have: if known { ChunkSet::full(chunks) } else { ChunkSet::empty(chunks) },
        wanted: ChunkSet::full(chunks),
        doubted: ChunkSet::empty(chunks),
        layout,
    }
}

#[test]
fn a_folder_is_fetched_knowing_nothing_but_its_id() {
    let sizes = [10, 300_000, 0, 2_000_000, 65_536, 70_000];
    let seed = folder(&sizes, true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.folder = Some(folder(&sizes, false));
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    pair.feed(1, Input::ContentAdded { id, ready: None });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    pair.run(20);
    assert_eq!(pair.manifest_parts, 3, "700,000 bytes in slices of 256 KiB");
    assert!(pair.completed[1]);
    assert_eq!(pair.disconnects, Vec::<String>::new());
}

#[test]
fn chosen_files_come_even_behind_a_thousand_others() {
    // Every file has two chunks, so their hashes are to be fetched; only the last one is wanted.
    let sizes = vec![100_000; 1000];
    let seed = folder(&sizes, true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    let mut wish = folder(&sizes, false);
    let chunks = wish.layout.file_chunks(999).unwrap();
    wish.wanted = ChunkSet::empty(wish.layout.chunks());
    wish.wanted.insert_run(chunks.start, chunks.len() as u32);
    pair.feed(1, Input::ContentAdded { id, ready: Some(wish) });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    pair.run(5);
    assert!(pair.completed[1]);
    assert_eq!(pair.nodes[1].have(&id).unwrap().count(), 2, "nothing else was fetched");
}

#[test]
fn a_wrong_manifest_bans_its_sender() {
    let seed = folder(&[10, 300_000], true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    pair.feed(1, Input::ContentAdded { id, ready: None });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    pair.run(20);
    assert_eq!(pair.disconnects, ["sent a wrong folder manifest"]);
    assert!(pair.nodes[1].dialer.is_banned(&peer(1), pair.now));
}

#[test]
fn a_chunk_that_cannot_be_read_is_not_offered_again() {
    let thing = thing(200_000);
    let mut node = Node::new(NodeConfig::default(), peer(1), 1);
    let mut out = Vec::new();
    let conn = ConnId(1);
    let ready = thing.ready(ChunkSet::full(thing.chunks()), true);
    node.handle(Time::ZERO, Input::ContentAdded { id: thing.id, ready: Some(ready) }, &mut out);
    let up = Input::Connected {
        route: crate::event::Route::Direct,
        conn,
        peer: peer(2),
        dialed: false,
        group: None,
        max_queued: 1 << 24,
    };
    let open = Open { handle: 0, id: thing.id, state: HaveState::None, want: true };
    let request = |rid| PeerMsg::Request { handle: 0, rid, chunk: 1, off: 0, len: 65_536 };
    let say = |msg| Input::Message { conn, msg };
    for input in [up, say(PeerMsg::Open(open)), say(request(0))] {
        node.handle(Time::ZERO, input, &mut out);
    }
    assert!(out.iter().any(|o| matches!(o, Output::Serve { rid: 0, chunk: 1, .. })), "{out:?}");
    out.clear();
    node.handle(Time::ZERO, Input::ServeFailed { conn, rid: 0, code: Code::Gone }, &mut out);
    node.handle(Time::ZERO, say(request(1)), &mut out);
    let runs = vec![Run { start: 1, len: 1 }];
    let send = |msg| Output::Send { conn, msg };
    assert_eq!(
        out,
        [
            send(PeerMsg::Reject { rid: 0, code: Code::Gone }),
            send(PeerMsg::DontHave { handle: 0, runs }),
            send(PeerMsg::Reject { rid: 1, code: Code::Gone }),
        ]
    );
    assert!(node.next_deadline().is_some());
}

#[test]
fn one_fast_download_does_not_keep_out_another() {
    let things = [thing(64 << 20), thing(63 << 20)];
    let cfg = NodeConfig { budget: 4 << 20, ..NodeConfig::default() };
    let mut node = Node::new(cfg, peer(0), 1);
    let mut out = Vec::new();
    let mut say = |node: &mut Node, input| {
        let mut now = Vec::new();
        node.handle(Time::from_micros(1_000), input, &mut now);
        check(node);
        out.extend(now);
    };
    // Sources of the first come, and are asked, before there is one of the second.
    for (n, thing) in [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 1)] {
        let (thing, conn) = (&things[thing], ConnId(n));
        let key = peer(n as u8);
        let ready = thing.ready(ChunkSet::empty(thing.chunks()), true);
        if !node.knows(&thing.id) {
            say(&mut node, Input::ContentAdded { id: thing.id, ready: Some(ready) });
        }
        let up = Input::Connected {
            route: crate::event::Route::Direct,
            conn,
            peer: key,
            dialed: false,
            group: None,
            max_queued: 1 << 30,
        };
        say(&mut node, up);
        let open = Open { handle: 0, id: thing.id, state: HaveState::All, want: false };
        say(&mut node, Input::Message { conn, msg: PeerMsg::Open(open) });
        let msg = PeerMsg::Choke { handle: 0, choke: false };
        say(&mut node, Input::Message { conn, msg });
    }
    let first = node.contents[&things[0].id].outstanding;
    let second = node.contents[&things[1].id].outstanding;
    assert!(first >= 2 << 20, "{first}");
    assert!(second >= 512 << 10, "{second}");
    assert!(node.outstanding <= 4 << 20);
}

#[test]
fn s2_a_folder_of_many_small_files_waits_for_the_time_that_a_refusal_means_and_no_longer() {
    // Every file has two chunks, so each needs a question of its own: more than are answered in a second.
    let sizes = vec![100_000; 1300];
    let seed = folder(&sizes, true);
    let id = seed.descriptor.id();
    let mut pair = pair();
    pair.checks = false;
    pair.feed(0, Input::ContentAdded { id, ready: Some(seed) });
    pair.feed(1, Input::ContentAdded { id, ready: Some(folder(&sizes, false)) });
    pair.feed(1, Input::SourcesFound { id, sources: vec![hint(1)] });
    let began = pair.now;
    while !pair.completed[1] && pair.now.since(began) < Duration::from_secs(60) {
        pair.run(1);
    }
    let took = pair.completed_at.since(began);
    assert!(took < Duration::from_secs(3), "a thousand a second, and {took:?} in all");
    assert_eq!(pair.disconnects, Vec::<String>::new());
}
