//! The index against a model that is too simple to be wrong: any interleaving of what peers do, and of when
//! watchers look, ends in what the model says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ::common::chunk_set::ChunkSet;
use ::common::id::{ContentId, PeerId};
use ::common::wire::tracker::{FileMeta, FileRow, Reply, Sort, Source, share_digest};
use common::{digest, file, folder, id, progress};
use proptest::prelude::*;
use tracker::index::{Arrival, Index, Limits, SessionId};
use tracker::record::Change;
use tracker::store::{MemoryStore, MetaStore};

const PEERS: usize = 4;
const GRACE_MS: u64 = 60_000;

fn contents() -> Vec<FileMeta> {
    vec![
        file("empty", 0),
        file("small", 10),
        file("five chunks", 5 * 65536),
        folder("folder", 99, 3),
        file("other", 2 * 65536),
    ]
}

#[derive(Debug, Clone)]
enum Op {
    Arrive { peer: usize, honest: bool },
    Depart { peer: usize },
    Leave { peer: usize },
    Register { peer: usize, files: Vec<(usize, u8)>, more: bool, full: bool },
    Unregister { peer: usize, file: usize },
    Chunks { peer: usize, file: usize, chunks: BTreeSet<u32>, full: bool, lost: bool },
    Pass { ms: u64 },
    Look,
}

fn op() -> impl Strategy<Value = Op> {
    let (peer, file) = (0..PEERS, 0usize..5);
    let chunks = proptest::collection::btree_set(0u32..5, 0..6);
    prop_oneof![
        3 => (peer.clone(), prop::bool::weighted(0.7)).prop_map(|(peer, honest)| Op::Arrive { peer, honest }),
        2 => peer.clone().prop_map(|peer| Op::Depart { peer }),
        1 => peer.clone().prop_map(|peer| Op::Leave { peer }),
        5 => (peer.clone(), proptest::collection::vec((0usize..5, 0u8..3), 0..4), any::<bool>(), any::<bool>())
            .prop_map(|(peer, files, more, full)| Op::Register { peer, files, more, full }),
        2 => (peer.clone(), file.clone()).prop_map(|(peer, file)| Op::Unregister { peer, file }),
        6 => (peer, file, chunks, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(peer, file, chunks, full, lost)| Op::Chunks { peer, file, chunks, full, lost }),
        2 => (0u64..2 * GRACE_MS).prop_map(|ms| Op::Pass { ms }),
        4 => Just(Op::Look),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Here,
    Left,
    Grace(u64),
    Away,
}

#[derive(Debug)]
struct ModelPeer {
    state: State,
    session: Option<SessionId>,
    shares: BTreeMap<usize, String>,
    have: BTreeMap<usize, BTreeSet<u32>>,
    named: Option<BTreeSet<usize>>,
}

/// The empty file is all there when nothing of it is missing, so having it is an entry in `have`.
struct World {
    index: Index,
    store: MemoryStore,
    peers: Vec<ModelPeer>,
    contents: Vec<FileMeta>,
    now: u64,
    rng: fastrand::Rng,
}

fn key(peer: usize) -> PeerId {
    PeerId::from_bytes([u8::try_from(peer).unwrap() + 1; 32])
}

fn arrival(peer: PeerId, digest: ::common::id::Hash) -> Arrival {
    let ip = IpAddr::from([10, 0, 0, 1]);
    Arrival { peer, nick: String::new(), observed: ip, via: ip, port: 7, local: vec![], digest }
}

impl World {
    fn new(limits: Limits) -> Self {
        let peer = |_| ModelPeer {
            state: State::Away,
            session: None,
            shares: BTreeMap::new(),
            have: BTreeMap::new(),
            named: None,
        };
        Self {
            index: Index::new(limits),
            store: MemoryStore::default(),
            peers: (0..PEERS).map(peer).collect(),
            contents: contents(),
            now: 1_700_000_000_000,
            rng: fastrand::Rng::with_seed(3),
        }
    }

    fn all(&self, file: usize) -> BTreeSet<u32> {
        (0..self.contents[file].chunks).collect()
    }

    fn is_known(&self, file: usize) -> bool {
        self.peers.iter().any(|p| p.shares.contains_key(&file) || p.have.contains_key(&file))
    }

    fn digest_of(&self, peer: usize) -> ::common::id::Hash {
        let shares = &self.peers[peer].shares;
        share_digest(shares.iter().map(|(file, name)| (id(&self.contents[*file]), name.as_str())))
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Arrive { peer, honest } => self.arrive(*peer, *honest),
            Op::Depart { peer } => self.depart(*peer),
            Op::Leave { peer } => self.leave(*peer),
            Op::Register { peer, files, more, full } => self.register(*peer, files, *more, *full),
            Op::Unregister { peer, file } => {
                if let Some(session) = self.peers[*peer].session {
                    self.index.unregister(session, &[id(&self.contents[*file])]).unwrap();
                    self.peers[*peer].shares.remove(file);
                    self.peers[*peer].have.remove(file);
                }
            }
            Op::Chunks { peer, file, chunks, full, lost } => {
                self.chunks(*peer, *file, chunks, *full, *lost);
            }
            Op::Pass { ms } => {
                self.now += ms;
                self.index.tick(self.now);
                let now = self.now;
                for peer in &mut self.peers {
                    // Buckets of a second: due is what was due at the start of this one.
                    if matches!(peer.state, State::Grace(until) if until / 1000 < now / 1000) {
                        peer.go_away();
                    }
                }
            }
            Op::Look => {}
        }
        let changes = self.index.take_changes();
        self.store.apply(&changes).unwrap();
    }

    fn arrive(&mut self, peer: usize, honest: bool) {
        let digest = if honest { self.digest_of(peer) } else { digest(&[file("unheard of", 1)]) };
        let arrived = self.index.arrive(self.now, arrival(key(peer), digest)).unwrap();
        assert_eq!(arrived.share_ok, honest);
        assert_eq!(arrived.replaced, self.peers[peer].session);
        let files: Vec<usize> = self.peers[peer].shares.keys().copied().collect();
        for file in files {
            let all = self.all(file);
            let have = &mut self.peers[peer].have;
            if honest { drop(have.insert(file, all)) } else { drop(have.remove(&file)) }
        }
        let model = &mut self.peers[peer];
        (model.state, model.session, model.named) = (State::Here, Some(arrived.session), None);
    }

    fn depart(&mut self, peer: usize) {
        let model = &mut self.peers[peer];
        let Some(session) = model.session.take() else { return };
        self.index.depart(self.now, session);
        model.named = None;
        match model.state {
            State::Here => model.state = State::Grace(self.now + GRACE_MS),
            _ => model.go_away(),
        }
    }

    fn leave(&mut self, peer: usize) {
        let model = &mut self.peers[peer];
        let Some(session) = model.session else { return };
        self.index.leave(session).unwrap();
        (model.state, model.named) = (State::Left, None);
        model.have.clear();
    }

    fn register(&mut self, peer: usize, files: &[(usize, u8)], more: bool, full: bool) {
        let Some(session) = self.peers[peer].session else { return };
        let named: Vec<_> = files
            .iter()
            .map(|(file, name)| FileMeta {
                name: format!("{} {name}", self.contents[*file].name),
                ..self.contents[*file].clone()
            })
            .collect();
        self.index.register(self.now, session, &named, more, full).unwrap();
        let all: Vec<_> = files.iter().map(|(file, _)| self.all(*file)).collect();
        let model = &mut self.peers[peer];
        model.state = State::Here;
        if full {
            model.named = Some(BTreeSet::new());
        }
        for (((file, _), meta), all) in files.iter().zip(named).zip(all) {
            model.shares.insert(*file, meta.name);
            model.have.insert(*file, all);
            model.named.iter_mut().for_each(|named| {
                named.insert(*file);
            });
        }
        if !more && let Some(named) = model.named.take() {
            let gone: Vec<_> =
                model.shares.keys().filter(|file| !named.contains(file)).copied().collect();
            for file in gone {
                model.shares.remove(&file);
                model.have.remove(&file);
            }
        }
    }

    fn chunks(&mut self, peer: usize, file: usize, chunks: &BTreeSet<u32>, full: bool, lost: bool) {
        let Some(session) = self.peers[peer].session else { return };
        let known = self.is_known(file);
        let all = self.all(file);
        let new: BTreeSet<u32> = chunks.intersection(&all).copied().collect();
        let old = self.peers[peer].have.get(&file).cloned().unwrap_or_default();
        let next: BTreeSet<u32> =
            if full { new.clone() } else { old.union(&new).copied().collect() };
        let true_total = u32::try_from(next.len()).unwrap();
        let total =
            if lost { (true_total + 1) % (self.contents[file].chunks + 1) } else { true_total };
        let list: Vec<u32> = new.iter().copied().collect();
        let update = progress(&self.contents[file], &list, total, full);
        let resend = self.index.chunk_register(session, &[update]).unwrap();
        let model = &mut self.peers[peer];
        model.state = State::Here;
        if !known || all.is_empty() {
            assert!(resend.is_empty());
            return;
        }
        assert_eq!(resend.len(), usize::from(!full && total != true_total));
        if next.is_empty() {
            model.have.remove(&file);
        } else {
            model.have.insert(file, next);
        }
    }

    /// Who is a source of what, as the model has it.
    fn sources(&self, file: usize) -> BTreeMap<PeerId, BTreeSet<u32>> {
        let here = (0..PEERS).filter(|peer| self.peers[*peer].state == State::Here);
        here.filter_map(|peer| Some((key(peer), self.peers[peer].have.get(&file)?.clone())))
            .collect()
    }

    fn check(&mut self, viewer: SessionId) {
        let rows: HashMap<ContentId, FileRow> =
            all_rows(&self.index).into_iter().map(|row| (row.meta.descriptor.id(), row)).collect();
        let mut memberships = 0;
        for file in 0..self.contents.len() {
            let content = id(&self.contents[file]);
            let sources = self.sources(file);
            memberships += sources.len() as u64;
            let all = self.all(file);
            let complete =
                u32::try_from(sources.values().filter(|have| **have == all).count()).unwrap();
            let row = rows.get(&content);
            assert_eq!(row.is_some(), self.is_known(file), "{}", self.contents[file].name);
            if let Some(row) = row {
                assert_eq!(
                    (row.sources, row.complete),
                    (u32::try_from(sources.len()).unwrap(), complete)
                );
                let mut names: BTreeSet<&str> = row.aliases.iter().map(String::as_str).collect();
                names.insert(&row.meta.name);
                let held: BTreeSet<&str> = self
                    .peers
                    .iter()
                    .filter_map(|p| p.shares.get(&file))
                    .map(String::as_str)
                    .collect();
                assert!(held.is_empty() || names == held, "{names:?} {held:?}");
            }
            let found = self.index.locations(viewer, content, 200, &mut self.rng).unwrap();
            assert_eq!(found.complete, complete);
            assert_eq!(decode(&found.sources, &self.contents[file]), sources);
        }
        assert_eq!(self.index.counts().memberships, memberships);
        assert_eq!(self.index.counts().files, rows.len());
    }
}

impl ModelPeer {
    fn go_away(&mut self) {
        self.state = State::Away;
        self.have.clear();
    }
}

fn all_rows(index: &Index) -> Vec<FileRow> {
    let (mut rows, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let page = index.list("", &cursor, 2, Sort::Newest).unwrap();
        rows.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_empty() {
            assert_eq!(rows.len(), page.total as usize);
            return rows;
        }
    }
}

fn decode(sources: &[Source], meta: &FileMeta) -> BTreeMap<PeerId, BTreeSet<u32>> {
    let chunks = |source: &Source| {
        let set = ChunkSet::decode(meta.chunks, source.set.as_ref().unwrap()).unwrap();
        assert_eq!(set.count(), source.have);
        set.iter().collect()
    };
    sources.iter().map(|source| (source.peer, chunks(source))).collect()
}

/// What a watcher knows: a snapshot and every delta since.
#[derive(Default)]
struct Mirror {
    rows: BTreeMap<ContentId, FileRow>,
    sources: BTreeMap<ContentId, BTreeMap<PeerId, Source>>,
}

impl Mirror {
    fn take(&mut self, push: Reply, index: &Index) {
        match push {
            Reply::CatalogueDelta { resync: true, .. } => {
                self.rows = all_rows(index)
                    .into_iter()
                    .map(|row| (row.meta.descriptor.id(), row))
                    .collect();
            }
            Reply::CatalogueDelta { upserts, removes, .. } => {
                self.rows.extend(upserts.into_iter().map(|row| (row.meta.descriptor.id(), row)));
                removes.iter().for_each(|id| drop(self.rows.remove(id)));
            }
            Reply::SourceDelta { id, joins, leaves } => {
                let known = self.sources.entry(id).or_default();
                leaves.iter().for_each(|peer| assert!(known.remove(peer).is_some()));
                known.extend(joins.into_iter().map(|source| (source.peer, source)));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn limits(changes: usize) -> Limits {
    Limits { grace_ms: GRACE_MS, changes, ..Limits::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_ends_where_the_model_does(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new(limits(100));
        let none = share_digest([]);
        let viewer = world.index.arrive(world.now, arrival(key(99), none)).unwrap().session;
        for op in &ops {
            world.run(op);
            world.check(viewer);
        }
        // What was stored makes the same shares known after a restart.
        let saved = world.store.load().unwrap();
        let mut again = Index::restore(limits(100), saved, world.now);
        // Rows of downloads that nobody has completely are not kept, nor peers that share nothing any more.
        let mended = again.take_changes();
        let only_gone =
            mended.iter().all(|change| matches!(change, Change::FileGone(_) | Change::PeerGone(_)));
        prop_assert!(only_gone, "{:?}", mended);
        let kept: BTreeSet<ContentId> = all_rows(&again).iter().map(|row| row.meta.descriptor.id()).collect();
        let want: BTreeSet<ContentId> = world.peers.iter()
            .flat_map(|peer| peer.shares.keys().map(|file| id(&world.contents[*file])))
            .collect();
        prop_assert_eq!(kept, want);
        for peer in 0..PEERS {
            let back = again.arrive(world.now, arrival(key(peer), world.digest_of(peer))).unwrap();
            prop_assert!(back.share_ok);
        }
    }

    #[test]
    fn snapshot_and_deltas_end_in_the_true_state(
        ops in proptest::collection::vec(op(), 1..80),
        changes in 1usize..20,
    ) {
        let mut world = World::new(limits(changes));
        let none = share_digest([]);
        let viewer = world.index.arrive(world.now, arrival(key(99), none)).unwrap().session;
        let ids: Vec<ContentId> = world.contents.iter().map(id).collect();
        world.index.watch(viewer, true, &ids).unwrap();
        let mut mirror = Mirror::default();
        for op in ops.iter().chain([&Op::Look]) {
            world.run(op);
            if matches!(op, Op::Look) {
                world.index.tick(world.now);
                while let Some(push) = world.index.poll(viewer, &mut world.rng) {
                    mirror.take(push, &world.index);
                }
            }
        }
        let rows: BTreeMap<_, _> =
            all_rows(&world.index).into_iter().map(|row| (row.meta.descriptor.id(), row)).collect();
        prop_assert_eq!(&mirror.rows, &rows);
        for file in 0..world.contents.len() {
            let content = id(&world.contents[file]);
            let told: Vec<Source> = mirror.sources.get(&content).into_iter().flat_map(BTreeMap::values).cloned().collect();
            prop_assert_eq!(decode(&told, &world.contents[file]), world.sources(file));
        }
    }
}

#[test]
fn a_watcher_of_a_large_swarm_follows_fifty_and_gets_replacements() {
    let mut index = Index::new(Limits::default());
    let mut rng = fastrand::Rng::with_seed(5);
    let big = file("big", 20 * 65536);
    let key = |n: u16| {
        let mut bytes = [1; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        PeerId::from_bytes(bytes)
    };
    let mut sessions = HashMap::new();
    for n in 0..200 {
        let session = index.arrive(0, arrival(key(n), digest(&[]))).unwrap().session;
        index.register(0, session, std::slice::from_ref(&big), false, false).unwrap();
        sessions.insert(key(n), session);
    }
    let viewer = index.arrive(0, arrival(key(999), digest(&[]))).unwrap().session;
    index.watch(viewer, false, &[id(&big)]).unwrap();
    let mut mirror = Mirror::default();
    for _ in 0..3 {
        assert_eq!(index.tick(0), [viewer]);
        while let Some(push) = index.poll(viewer, &mut rng) {
            mirror.take(push, &index);
        }
        let followed: Vec<PeerId> = mirror.sources[&id(&big)].keys().copied().collect();
        assert_eq!(followed.len(), 50);
        assert!(followed.iter().all(|peer| sessions.contains_key(peer)));
        for peer in followed.iter().take(20) {
            index.depart(0, sessions.remove(peer).unwrap());
        }
    }
    // Nobody else's progress is told: only followed sources are looked at.
    index.tick(0);
    while index.poll(viewer, &mut rng).is_some() {}
    assert!(index.tick(0).is_empty());
}
