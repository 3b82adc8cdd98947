//! A node among peers that say anything at any time.

use super::*;

/// A node among strangers: what it sent them and what its shell owes it.
/// Have, in flight, wanted; partial sources; the only one.
type Stands = ((bool, bool, bool), u16, Option<u32>);

struct Chaos {
    node: Node,
    now: Time,
    rng: fastrand::Rng,
    things: Vec<Thing>,
    conns: Vec<ConnId>,
    /// Those whose HELLO is still to come.
    reached: Vec<ConnId>,
    next: u64,
    /// Messages of the node to which nobody has answered.
    open: Vec<(ConnId, PeerMsg)>,
    /// Requests the node made: connection, number, bytes delivered, length.
    streams: Vec<(ConnId, u32, u32, u32)>,
    verify: Vec<(ContentId, u32)>,
    serve: Vec<(ConnId, u32)>,
    /// Of a hundred steps, so many are rubbish: after little of it a connection is gone.
    rudeness: u32,
    /// How much happened: outputs by name.
    seen: BTreeMap<String, u32>,
    looks: BTreeMap<ContentId, Vec<Stands>>,
    /// What the node did at each step.
    trace: Vec<String>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let cfg = NodeConfig {
            budget: 1 << 20,
            max_conns: 4,
            max_links: 3,
            dial_target: 2,
            ban_bad: Duration::from_secs(3),
            ban_rude: Duration::from_secs(2),
            ..NodeConfig::default()
        };
        Self {
            node: Node::new(cfg, peer(0), seed),
            now: Time::ZERO,
            rng: fastrand::Rng::with_seed(seed),
            things: vec![thing(2_000_000), thing(700_000), thing(1)],
            conns: Vec::new(),
            reached: Vec::new(),
            next: 1,
            open: Vec::new(),
            streams: Vec::new(),
            verify: Vec::new(),
            serve: Vec::new(),
            rudeness: [0, 1, 4, 15][(seed % 4) as usize],
            seen: BTreeMap::new(),
            looks: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    /// Who follows the listed changes sees what a look at all chunks sees.
    fn look(&mut self) {
        let ids: Vec<ContentId> = self.things.iter().map(|thing| thing.id).collect();
        for id in ids {
            let touched = self.node.touched(&id);
            let Some(view) = self.node.content(&id, self.now) else {
                self.looks.remove(&id);
                continue;
            };
            let stands = |c: u32| {
                let flags = (view.have.contains(c), view.in_flight(c), view.wanted.contains(c));
                (flags, view.partial(c), view.sole(c))
            };
            let all: Vec<Stands> = (0..view.have.chunks()).map(stands).collect();
            let seen = self.looks.entry(id).or_default();
            if touched.all || seen.len() != all.len() {
                assert!(touched.all, "another content without a word");
                seen.clone_from(&all);
            }
            for chunk in touched.chunks {
                seen[chunk as usize] = stands(chunk);
            }
            assert_eq!(*seen, all);
        }
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        let text = format!("{input:?}");
        self.node.handle(self.now, input, &mut out);
        self.trace.push(format!("{out:?}"));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&self.node)));
        assert!(checked.is_ok(), "after {text}");
        if self.rng.u8(..8) == 0 {
            self.look();
        }
        assert!(out.len() < 5000, "one input, {} outputs: {text}", out.len());
        for output in out {
            let name = match &output {
                Output::Send { msg, .. } => format!("{msg:?}"),
                Output::Disconnect { text, .. } => text.clone(),
                output => format!("{output:?}"),
            };
            let name = name.split([' ', '(']).take(3).collect::<Vec<_>>();
            let word = if matches!(output, Output::Disconnect { .. }) {
                name.join(" ")
            } else {
                name[0].to_owned()
            };
            *self.seen.entry(word).or_default() += 1;
            match output {
                Output::Send { conn, msg } => {
                    assert!(PeerMsg::decode(msg.kind(), &msg.body()).is_ok(), "{msg:?}");
                    let deaf = matches!(
                        msg,
                        PeerMsg::Reject { .. }
                            | PeerMsg::OpenNo { .. }
                            | PeerMsg::OpenOk(_)
                            | PeerMsg::Bitfield { .. }
                            | PeerMsg::Want { .. }
                            | PeerMsg::Have { .. }
                            | PeerMsg::Choke { .. }
                    );
                    if !deaf {
                        self.open.push((conn, msg));
                    }
                }
                Output::Disconnect { conn, .. } => self.gone(conn),
                Output::Serve { conn, rid, .. } | Output::ServeManifest { conn, rid, .. } => {
                    self.serve.push((conn, rid));
                }
                Output::Verify { id, chunk, .. } => self.verify.push((id, chunk)),
                _ => {}
            }
        }
        let most = self.open.len().saturating_sub(300);
        self.open.drain(..most);
    }

    fn gone(&mut self, conn: ConnId) {
        self.conns.retain(|c| *c != conn);
        self.reached.retain(|c| *c != conn);
        self.open.retain(|(c, _)| *c != conn);
        self.streams.retain(|s| s.0 != conn);
        self.serve.retain(|s| s.0 != conn);
    }

    fn thing(&mut self) -> Thing {
        self.things[self.rng.usize(..self.things.len())].clone()
    }

    fn some_set(&mut self, chunks: u32) -> ChunkSet {
        let mut set = ChunkSet::empty(chunks);
        let density = self.rng.u32(0..4);
        for chunk in 0..chunks {
            if self.rng.u32(0..4) < density {
                set.insert(chunk);
            }
        }
        set
    }

    fn conn(&mut self) -> Option<ConnId> {
        (!self.conns.is_empty()).then(|| self.conns[self.rng.usize(..self.conns.len())])
    }

    fn step(&mut self) {
        if self.rng.u32(0..100) < self.rudeness {
            return self.rubbish();
        }
        match self.rng.u32(0..100) {
            0..4 if !self.reached.is_empty() && self.rng.bool() => self.greet(),
            0..4 if self.conns.len() < 4 || self.rng.u8(..16) == 0 => self.connect(),
            0..4 => self.ask(),
            4 => {
                if let Some(conn) = self.conn() {
                    self.gone(conn);
                    self.feed(Input::Disconnected { conn });
                }
            }
            5..8 => self.shell(),
            8..20 => self.disk(),
            20..26 => {
                if let Some((conn, rid)) = self.serve.pop() {
                    let input = match self.rng.u32(0..4) {
                        0 => Input::ServeFailed { conn, rid, code: Code::Gone },
                        1 => Input::ServeFailed { conn, rid, code: Code::Cancelled },
                        _ => Input::Served { conn, rid },
                    };
                    self.feed(input);
                }
            }
            26..34 => {
                self.now = self.now + Duration::from_millis(self.rng.u64(1..400));
                self.feed(Input::Tick);
            }
            34 => {
                self.now = self.now + Duration::from_secs(self.rng.u64(1..40));
                self.feed(Input::Tick);
            }
            35..70 => self.answer(),
            70..90 => self.stream(),
            _ => self.ask(),
        }
    }

    fn connect(&mut self) {
        let conn = ConnId(self.next);
        self.next += 1;
        let peer = peer(self.rng.u8(1..40));
        let (dialed, max_queued) = (self.rng.bool(), self.rng.u32(..));
        let group = self.rng.bool().then(|| common::net::AddrGroup::V6(self.rng.u64(..3)));
        if !dialed || self.rng.bool() {
            self.conns.push(conn);
            return self.feed(Input::Connected {
                route: crate::event::Route::Direct,
                conn,
                peer,
                dialed,
                group,
                max_queued,
            });
        }
        self.reached.push(conn);
        self.feed(Input::Reached { route: crate::event::Route::Direct, conn, peer, group });
    }

    /// One that was reached passes its HELLO, or does not; much may have happened meanwhile.
    fn greet(&mut self) {
        let conn = self.reached[self.rng.usize(..self.reached.len())];
        match self.rng.u32(0..8) {
            0 => {
                self.gone(conn);
                let permanent = self.rng.bool();
                self.feed(Input::Refused { conn, permanent });
            }
            1 => {
                self.gone(conn);
                self.feed(Input::Disconnected { conn });
            }
            2 => self.feed(Input::Message { conn, msg: PeerMsg::Ping(7) }),
            _ => {
                self.reached.retain(|c| *c != conn);
                self.conns.push(conn);
                let max_queued = self.rng.u32(..);
                self.feed(Input::Greeted { conn, max_queued });
            }
        }
    }

    /// Something the user, the tracker or the disk does.
    fn shell(&mut self) {
        let thing = self.thing();
        let (id, chunks) = (thing.id, thing.chunks());
        let set = self.some_set(chunks);
        let known = self.rng.bool();
        let input = match self.rng.u32(0..18) {
            16 => {
                let mut ready = thing.ready(set, known);
                ready.doubted = self.some_set(chunks);
                Input::ContentReady { id, ready }
            }
            17 => Input::DoubtsSettled { id, here: set, gone: self.some_set(chunks) },
            0 if self.rng.bool() => Input::ContentRemoved { id },
            1 => Input::ContentAdded { id, ready: None },
            2..5 => Input::ContentAdded { id, ready: Some(thing.ready(set, known)) },
            5 => Input::ContentReady { id, ready: thing.ready(set, known) },
            6 => Input::WantedChanged { id, wanted: set },
            7 => Input::PausedChanged { id, paused: true },
            8..10 => Input::PausedChanged { id, paused: false },
            10 => Input::ChunksLost { id, lost: set },
            11 => {
                Input::DialFailed { peer: peer(self.rng.u8(1..8)), permanent: false, proven: false }
            }
            12 => Input::SourcesLeft { id, peers: vec![peer(self.rng.u8(1..8))] },
            13 if self.rng.u32(0..8) == 0 => {
                Input::ManifestRejected { id, conn: ConnId(self.rng.u64(0..self.next)) }
            }
            _ => {
                let have = self.rng.choice([1, u32::MAX]).unwrap_or(1);
                let sources = (0..40).map(|n| SourceHint { have, ..hint(n) });
                Input::SourcesFound { id, sources: sources.collect() }
            }
        };
        self.feed(input);
    }

    fn disk(&mut self) {
        let Some((id, chunk)) = self.verify.pop() else { return };
        let input = match self.rng.u32(0..8) {
            0 => Input::ChunkCorrupt { id, chunk, actual: Hash::ZERO },
            1 => Input::ChunkNotStored { id, chunk },
            _ => Input::ChunkStored { id, chunk },
        };
        self.feed(input);
    }

    /// An answer to something the node sent, as an honest peer would give it.
    fn answer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (conn, msg) = self.open.swap_remove(self.rng.usize(..self.open.len()));
        if self.reached.contains(&conn) {
            // It reads all of that behind our HELLO, and answers when its own has passed.
            return self.open.push((conn, msg));
        }
        let say = |msg| Input::Message { conn, msg };
        match msg {
            PeerMsg::Open(Open { handle, id, .. }) => {
                let Some(thing) = self.things.iter().find(|t| t.id == id).cloned() else { return };
                let state = [HaveState::None, HaveState::Part, HaveState::All][self.rng.usize(..3)];
                let want = self.rng.bool();
                let ok = OpenOk { handle, descriptor: thing.descriptor, state, want };
                self.feed(say(PeerMsg::OpenOk(ok)));
                if state == HaveState::Part {
                    let set = self.some_set(thing.chunks()).encode();
                    self.feed(say(PeerMsg::Bitfield { handle, set }));
                }
                self.feed(say(PeerMsg::Choke { handle, choke: false }));
            }
            PeerMsg::Request { rid, len, .. } => self.streams.push((conn, rid, 0, len)),
            PeerMsg::ReqAny { handle, rid, count, .. } => {
                let id = self.node.by_handle(conn, handle);
                let Some(thing) = self.things.iter().find(|t| Some(t.id) == id).cloned() else {
                    return;
                };
                for rid in rid..rid + u32::from(count) {
                    let chunk = self.rng.u32(..thing.chunks());
                    let len = thing.layout.len_of(thing.layout.chunk(chunk).unwrap());
                    self.feed(say(PeerMsg::Assign { rid, chunk }));
                    self.streams.push((conn, rid, 0, len));
                }
            }
            PeerMsg::HashReq { handle, rid, index, count, .. } => {
                let id = self.node.by_handle(conn, handle);
                let proof = self
                    .things
                    .iter()
                    .find(|t| Some(t.id) == id)
                    .and_then(|thing| thing.hashes.prove(HashRange { index, count }));
                if let Some(proof) = proof {
                    let (hashes, proof) = (proof.hashes, proof.uncles);
                    self.feed(say(PeerMsg::Hashes { rid, hashes, proof }));
                }
            }
            PeerMsg::Cancel { rid } => {
                self.streams.retain(|s| (s.0, s.1) != (conn, rid));
                self.feed(say(PeerMsg::Reject { rid, code: Code::Cancelled }));
            }
            PeerMsg::Ping(nonce) => self.feed(say(PeerMsg::Pong(nonce))),
            _ => {}
        }
    }

    /// What a leecher may say to us.
    fn ask(&mut self) {
        let Some(conn) = self.conn() else { return };
        let thing = self.thing();
        let handles = self.node.conns.get(&conn).map(|conn| conn.handles.clone());
        let handle = handles.into_iter().flatten().find(|(_, id)| *id == thing.id);
        let dialed = self.node.conns.get(&conn).is_some_and(|conn| conn.dialed);
        let rid = self.rng.u32(..);
        let Some((handle, _)) = handle else {
            let index = self.things.iter().position(|t| t.id == thing.id).unwrap() as u16;
            let handle = 1000 + index * 2 + u16::from(dialed);
            let state = [HaveState::None, HaveState::All][self.rng.usize(..2)];
            let msg = PeerMsg::Open(Open { handle, id: thing.id, state, want: true });
            return self.feed(Input::Message { conn, msg });
        };
        let chunk = self.rng.u32(..thing.chunks());
        let len = thing.layout.len_of(thing.layout.chunk(chunk).unwrap());
        let msg = match self.rng.u32(0..8) {
            0..3 => PeerMsg::Request { handle, rid, chunk, off: 0, len },
            3 | 4 => PeerMsg::ReqAny { handle, rid, count: 3, except: vec![chunk] },
            5 => PeerMsg::Cancel { rid: self.serve.first().map_or(rid, |serve| serve.1) },
            6 => PeerMsg::Have { handle, runs: vec![Run { start: chunk, len: 1 }] },
            _ => PeerMsg::Want { handle, want: self.rng.bool() },
        };
        self.feed(Input::Message { conn, msg });
    }

    /// Payload, as an honest peer sends it: one request after the other, and no crumbs.
    fn stream(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let i = self.rng.usize(..self.streams.len());
        let i = self.streams.iter().position(|s| s.0 == self.streams[i].0).unwrap();
        let (conn, rid, off, len) = self.streams[i];
        let least = (len - off).min(MIN_DATA_LEN as u32);
        let part = if self.rng.bool() { len - off } else { self.rng.u32(least..=len - off) };
        if off + part == len {
            self.streams.remove(i);
        } else {
            self.streams[i].2 += part;
        }
        self.feed(Input::Data { conn, rid, off, len: part });
    }

    /// What no honest peer would say, or not now.
    fn rubbish(&mut self) {
        let Some(conn) = self.conn() else { return };
        let handle = self.rng.u16(0..6);
        let rid = self.rng.u32(0..40);
        let chunk = self.rng.u32(0..35);
        let thing = self.thing();
        let mut runs: Vec<Run> = (0..self.rng.usize(1..4))
            .map(|_| Run { start: self.rng.u32(0..30), len: self.rng.u16(1..5) })
            .collect();
        if self.rng.bool() {
            runs.truncate(1);
        }
        let code = Code::from(self.rng.u8(..25));
        let len = self.rng.u32(0..3) * 65_536;
        let msg = match self.rng.u32(0..22) {
            0 | 1 => {
                let state = [HaveState::None, HaveState::Part, HaveState::All][self.rng.usize(..3)];
                PeerMsg::Open(Open { handle, id: thing.id, state, want: self.rng.bool() })
            }
            2 => {
                let state = HaveState::All;
                let descriptor = thing.descriptor;
                PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want: true })
            }
            3 => PeerMsg::OpenNo { handle, code },
            4 => PeerMsg::Close { handle },
            5 => {
                let set = self.some_set(thing.chunks()).encode();
                PeerMsg::Bitfield { handle, set }
            }
            6 => {
                let len = thing.chunks() as u16;
                PeerMsg::Have { handle, runs: vec![Run { start: 0, len }] }
            }
            7 => PeerMsg::Have { handle, runs },
            8 => PeerMsg::DontHave { handle, runs },
            9 | 10 => PeerMsg::Want { handle, want: self.rng.bool() },
            11 => PeerMsg::Choke { handle, choke: self.rng.bool() },
            12 | 13 => PeerMsg::Request { handle, rid, chunk, off: 0, len: len.max(65_536) },
            14 => {
                let count = self.rng.u8(1..=16);
                PeerMsg::ReqAny { handle, rid, count, except: vec![chunk] }
            }
            15 => PeerMsg::Assign { rid, chunk },
            16 => PeerMsg::Cancel { rid },
            17 | 18 => PeerMsg::Reject { rid, code },
            19 => {
                let (level, index) = (thing.layout.chunk_level(), self.rng.u32(0..32));
                PeerMsg::HashReq { handle, rid, file: 0, level, index, count: 1 }
            }
            20 => PeerMsg::MetaReq { handle, rid, off: 0, len },
            _ => {
                let off = self.rng.u32(0..2) * 65_536;
                return self.feed(Input::Data { conn, rid, off, len: len.max(1) });
            }
        };
        self.feed(Input::Message { conn, msg });
    }
}

/// A node that wants everything, after 600 steps.
fn after_600_steps(seed: u64) -> Chaos {
    let mut chaos = Chaos::new(seed);
    for thing in chaos.things.clone() {
        let id = thing.id;
        let ready = thing.ready(ChunkSet::empty(thing.chunks()), false);
        chaos.feed(Input::ContentAdded { id, ready: Some(ready) });
        chaos.feed(Input::SourcesFound { id, sources: (0..40).map(hint).collect() });
    }
    for step in 0..600 {
        let run = std::panic::AssertUnwindSafe(|| chaos.step());
        if std::panic::catch_unwind(run).is_err() {
            panic!("seed {seed}, step {step}");
        }
    }
    chaos
}

/// Hash maps are seeded anew for every map, also within one process: an order of theirs that decides
/// something shows here.
#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..24 {
        let (first, second) = (after_600_steps(seed).trace, after_600_steps(seed).trace);
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}, input {at}: {} or {}", first[at], second[at]);
        }
        assert_eq!(first.len(), second.len());
    }
}

#[test]
fn whatever_peers_say_nothing_is_lost_or_counted_wrong() {
    let seeds: u64 = std::env::var("SHOAL_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..seeds {
        let chaos = after_600_steps(seed);
        for (name, count) in chaos.seen {
            *seen.entry(name).or_default() += count;
        }
    }
    // A test that everybody is thrown out of at once would show nothing.
    for name in ["Stored", "Serve", "Assign", "Cancel", "DontHave", "HashesLearned", "Discard"] {
        assert!(seen.get(name).is_some_and(|count| *count > 100), "{name}: {seen:#?}");
    }
}
