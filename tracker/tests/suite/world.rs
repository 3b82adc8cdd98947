//! The model: peers as sets, and every operation done to the index and to the sets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::support::{digest, file, folder, id, progress};
use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use common::wire::Code;
use common::wire::tracker::{FileMeta, FileRow, Sort, Source, share_digest};
use proptest::prelude::*;
use tracker::index::{
    Arrival, Expelled, Expulsion, Index, Limits, Progress, SessionId, Taken, WORK_SLICE,
};
use tracker::record::Target;
use tracker::store::{MemoryStore, MetaStore};

pub(crate) const PEERS: usize = 4;
pub(crate) const GRACE_MS: u64 = 60_000;
pub(crate) const LONE_MS: u64 = 3 * GRACE_MS;
pub(crate) const FORGET_MS: u64 = 6 * GRACE_MS;

pub(crate) fn contents() -> Vec<FileMeta> {
    vec![
        file("empty", 0),
        file("small", 10),
        file("five chunks", 5 * 65536),
        folder("folder", 99, 3),
        file("other", 2 * 65536),
    ]
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Arrive { peer: usize, honest: bool, from: usize },
    Depart { peer: usize },
    Leave { peer: usize },
    Register { peer: usize, files: Vec<(usize, u8)>, more: bool, full: bool },
    Unregister { peer: usize, file: usize },
    Chunks { peer: usize, file: usize, chunks: BTreeSet<u32>, full: bool, lost: bool },
    Pass { ms: u64 },
    Forget { peer: usize },
    Ban { peer: usize },
    Unban { peer: usize },
    Look,
    Work { steps: usize },
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let (peer, file) = (0..PEERS, 0usize..5);
    let chunks = proptest::collection::btree_set(0u32..5, 0..6);
    prop_oneof![
        3 => (peer.clone(), prop::bool::weighted(0.7), 0..PLACES.len())
            .prop_map(|(peer, honest, from)| Op::Arrive { peer, honest, from }),
        2 => peer.clone().prop_map(|peer| Op::Depart { peer }),
        1 => peer.clone().prop_map(|peer| Op::Leave { peer }),
        5 => (peer.clone(), proptest::collection::vec((0usize..5, 0u8..3), 0..4), any::<bool>(), any::<bool>())
            .prop_map(|(peer, files, more, full)| Op::Register { peer, files, more, full }),
        2 => (peer.clone(), file.clone()).prop_map(|(peer, file)| Op::Unregister { peer, file }),
        6 => (peer.clone(), file, chunks, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(peer, file, chunks, full, lost)| Op::Chunks { peer, file, chunks, full, lost }),
        2 => (0u64..2 * GRACE_MS).prop_map(|ms| Op::Pass { ms }),
        1 => (peer.clone(), 0u8..3).prop_map(|(peer, what)| match what {
            0 => Op::Forget { peer },
            1 => Op::Ban { peer },
            _ => Op::Unban { peer },
        }),
        4 => Just(Op::Look),
        2 => (1usize..4).prop_map(|steps| Op::Work { steps }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Here,
    Left,
    Grace(u64),
    Away,
}

/// Where peers come from: the last two are one address group.
pub(crate) const PLACES: [&str; 4] = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"];

pub(crate) fn place(at: usize) -> IpAddr {
    PLACES[at].parse().unwrap()
}

/// Who brought a row, and whether only peers from there ever had it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) group: AddrGroup,
    pub(crate) lone: bool,
}

#[derive(Debug)]
pub(crate) struct ModelPeer {
    pub(crate) state: State,
    /// Where it was last seen, and in which second; `None` when nothing is known of it.
    pub(crate) seen: Option<(AddrGroup, u64)>,
    pub(crate) banned: bool,
    pub(crate) session: Option<SessionId>,
    /// Whether it said the right digest in its last hello.
    pub(crate) honest: Option<bool>,
    pub(crate) shares: BTreeMap<usize, String>,
    pub(crate) have: BTreeMap<usize, BTreeSet<u32>>,
    pub(crate) named: Option<BTreeSet<usize>>,
}

/// The empty file is all there when nothing of it is missing, so having it is an entry in `have`.
pub(crate) struct World {
    pub(crate) index: Index,
    pub(crate) store: MemoryStore,
    pub(crate) peers: Vec<ModelPeer>,
    pub(crate) contents: Vec<FileMeta>,
    pub(crate) origins: BTreeMap<usize, Origin>,
    pub(crate) now: u64,
    /// Whether all that takes long is done to the end after each operation.
    pub(crate) settles: bool,
    pub(crate) rng: fastrand::Rng,
}

pub(crate) fn key(peer: usize) -> PeerId {
    PeerId::from_bytes([u8::try_from(peer).unwrap() + 1; 32])
}

pub(crate) fn arrival(peer: PeerId, digest: common::id::Hash) -> Arrival {
    arrival_from(0, peer, digest)
}

pub(crate) fn arrival_from(at: usize, peer: PeerId, digest: common::id::Hash) -> Arrival {
    let (observed, via) = (place(at), place(0));
    Arrival { peer, nick: String::new(), observed, via, port: 7, local: vec![], digest }
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        let peer = |_| ModelPeer {
            state: State::Away,
            seen: None,
            banned: false,
            session: None,
            honest: None,
            shares: BTreeMap::new(),
            have: BTreeMap::new(),
            named: None,
        };
        Self {
            index: Index::new(limits),
            store: MemoryStore::default(),
            peers: (0..PEERS).map(peer).collect(),
            contents: contents(),
            origins: BTreeMap::new(),
            now: 1_700_000_000_000,
            settles: true,
            rng: fastrand::Rng::with_seed(3),
        }
    }

    /// What takes long is done one entry at a time, and only when something else has it done. How long lone rows are
    /// kept is left out: whose a row is may depend on whether one that is just going still holds it.
    pub(crate) fn stepping(limits: Limits) -> Self {
        let limits = Limits { slice: 1, lone_ms: FORGET_MS, ..limits };
        Self { settles: false, ..Self::new(limits) }
    }

    pub(crate) fn all(&self, file: usize) -> BTreeSet<u32> {
        (0..self.contents[file].chunks).collect()
    }

    pub(crate) fn is_known(&self, file: usize) -> bool {
        self.peers.iter().any(|p| p.shares.contains_key(&file) || p.have.contains_key(&file))
    }

    pub(crate) fn digest_of(&self, peer: usize) -> common::id::Hash {
        let shares = &self.peers[peer].shares;
        share_digest(shares.iter().map(|(file, name)| (id(&self.contents[*file]), name.as_str())))
    }

    /// One step of what takes long; false when there is no more. It does no more than it may.
    pub(crate) fn step(&mut self, budget: usize) -> bool {
        self.save();
        let before = self.index.counts().memberships;
        let done = self.index.work(self.now, budget);
        assert!(done.looked <= budget, "{done:?}");
        let moved = self.index.counts().memberships.abs_diff(before);
        assert!(moved <= budget as u64, "{moved}");
        let changes = self.index.take_changes();
        // A share, its row or its row's name, and a peer.
        assert!(changes.len() <= 3 * budget, "{changes:?}");
        self.store.apply(&changes).unwrap();
        done.more
    }

    fn save(&mut self) {
        let changes = self.index.take_changes();
        self.store.apply(&changes).unwrap();
    }

    pub(crate) fn settle(&mut self) {
        while self.step(WORK_SLICE) {}
    }

    /// Whoever waits for its digest to be compared asks for nothing.
    fn be_judged(&mut self, peer: usize) {
        let Some(session) = self.peers[peer].session else { return };
        while self.index.share_ok(session).is_none() {
            self.step(1);
        }
        assert_eq!(self.index.share_ok(session), self.peers[peer].honest);
    }

    pub(crate) fn run(&mut self, op: &Op) {
        self.run_one(op);
        self.save();
        if self.settles {
            self.settle();
        }
    }

    fn run_one(&mut self, op: &Op) {
        match op {
            Op::Arrive { peer, honest, from } => self.arrive(*peer, *honest, *from),
            Op::Depart { peer } => self.depart(*peer),
            Op::Leave { peer } => self.leave(*peer),
            Op::Register { peer, files, more, full } => self.register(*peer, files, *more, *full),
            Op::Unregister { peer, file } => {
                self.be_judged(*peer);
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
                // Who comes back while it is being forgotten keeps what is left: no model of that here.
                self.settle();
                self.pass();
            }
            Op::Forget { peer } => {
                self.expel(*peer, Expulsion::new(Target::Key(key(*peer))));
            }
            Op::Ban { peer } => {
                let target = Target::Key(key(*peer));
                let banned = self.index.ban(self.now, target, "a reason").unwrap();
                self.expel(*peer, banned);
                self.peers[*peer].banned = true;
            }
            Op::Unban { peer } => {
                let known = self.index.unban(Target::Key(key(*peer)));
                assert_eq!(known, std::mem::take(&mut self.peers[*peer].banned));
            }
            Op::Look => {}
            Op::Work { steps } => {
                for _ in 0..*steps {
                    self.step(1);
                }
            }
        }
        for file in 0..self.contents.len() {
            if !self.is_known(file) {
                self.origins.remove(&file);
            }
        }
    }

    /// Who is due is gone, or forgotten; of those away for a while what only their group ever had.
    fn pass(&mut self) {
        // Buckets of a second: due is what was due at the start of this one.
        let is_over = |due_ms: u64| due_ms / 1000 < self.now / 1000;
        for peer in &mut self.peers {
            if matches!(peer.state, State::Grace(until) if is_over(until)) {
                peer.go_away();
            }
            let Some((_, seen)) = peer.seen.filter(|_| peer.state == State::Away) else { continue };
            if is_over(seen * 1000 + FORGET_MS) {
                peer.shares.clear();
            } else if self.settles && is_over(seen * 1000 + LONE_MS) {
                peer.shares.retain(|file, _| !self.origins[file].lone);
            }
            if peer.shares.is_empty() {
                peer.seen = None;
            }
        }
    }

    fn expel(&mut self, peer: usize, mut expulsion: Expulsion) {
        while self.index.expel_some(self.now, &mut expulsion) {}
        self.expelled(peer, &expulsion.expelled);
    }

    fn expelled(&mut self, peer: usize, expelled: &Expelled) {
        let model = &mut self.peers[peer];
        assert_eq!(expelled.sessions, Vec::from_iter(model.session.take()));
        if self.settles {
            assert_eq!(expelled.peers.len(), usize::from(model.seen.is_some()));
            assert_eq!(expelled.items, model.shares.len());
        }
        if model.seen.is_some() && !model.banned && !model.shares.is_empty() {
            // What it said now would be forgotten too.
            let refused = self.index.arrive(self.now, arrival(key(peer), digest(&[]))).unwrap_err();
            assert!(matches!(refused.code, Code::Busy | Code::Revoked), "{refused}");
        }
        (model.seen, model.named) = (None, None);
        model.shares.clear();
        model.go_away();
    }

    pub(crate) fn arrive(&mut self, peer: usize, honest: bool, from: usize) {
        while self.index.is_forgetting(key(peer)) {
            self.step(1);
        }
        let digest = if honest { self.digest_of(peer) } else { digest(&[file("unheard of", 1)]) };
        let arrived = self.index.arrive(self.now, arrival_from(from, key(peer), digest));
        if self.peers[peer].banned {
            let refused = arrived.unwrap_err();
            assert_eq!(refused.code, Code::Revoked);
            assert!(refused.text.contains("a reason"), "{refused}");
            return;
        }
        let arrived = arrived.unwrap();
        self.peers[peer].seen = Some((AddrGroup::of(place(from)), self.now / 1000));
        let known = arrived.share_ok.or_else(|| (!self.settles).then_some(honest));
        assert_eq!(known, Some(honest));
        self.peers[peer].honest = Some(honest);
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

    pub(crate) fn depart(&mut self, peer: usize) {
        let model = &mut self.peers[peer];
        let Some(session) = model.session.take() else { return };
        self.index.depart(self.now, session);
        model.named = None;
        model.seen.as_mut().unwrap().1 = self.now / 1000;
        match model.state {
            State::Here => model.state = State::Grace(self.now + GRACE_MS),
            _ => model.go_away(),
        }
    }

    pub(crate) fn leave(&mut self, peer: usize) {
        self.be_judged(peer);
        let model = &mut self.peers[peer];
        let Some(session) = model.session else { return };
        self.index.leave(session).unwrap();
        (model.state, model.named) = (State::Left, None);
        model.have.clear();
    }

    pub(crate) fn register(&mut self, peer: usize, files: &[(usize, u8)], more: bool, full: bool) {
        self.be_judged(peer);
        let Some(session) = self.peers[peer].session else { return };
        let named: Vec<_> = files
            .iter()
            .map(|(file, name)| FileMeta {
                name: format!("{} {name}", self.contents[*file].name),
                ..self.contents[*file].clone()
            })
            .collect();
        self.index.register(self.now, session, &named, more, full).unwrap();
        for (file, _) in files {
            self.holds(peer, *file);
        }
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

    /// A peer has something to do with a content from now on, if not before.
    fn holds(&mut self, peer: usize, file: usize) {
        let model = &self.peers[peer];
        let group = model.seen.unwrap().0;
        let new = !model.shares.contains_key(&file) && !model.have.contains_key(&file);
        let origin = self.origins.entry(file).or_insert(Origin { group, lone: true });
        if new && origin.group != group {
            origin.lone = false;
        }
    }

    pub(crate) fn chunks(
        &mut self,
        peer: usize,
        file: usize,
        chunks: &BTreeSet<u32>,
        full: bool,
        lost: bool,
    ) {
        let Some(session) = self.peers[peer].session else { return };
        self.be_judged(peer);
        let known = self.is_known(file);
        if !known {
            // Who is just going still holds the row, which would take this over.
            self.settle();
        }
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
        let resend =
            self.index.chunk_register(session, Progress::read(&[update]).unwrap()).unwrap();
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
            self.holds(peer, file);
            self.peers[peer].have.insert(file, next);
        }
    }

    /// Who is a source of what, as the model has it.
    pub(crate) fn sources(&self, file: usize) -> BTreeMap<PeerId, BTreeSet<u32>> {
        let here = (0..PEERS).filter(|peer| self.peers[*peer].state == State::Here);
        here.filter_map(|peer| Some((key(peer), self.peers[peer].have.get(&file)?.clone())))
            .collect()
    }

    /// Whom the row counts: also those who are lost for a moment.
    fn counted(&self, file: usize) -> Vec<&BTreeSet<u32>> {
        let counts = |peer: &&ModelPeer| matches!(peer.state, State::Here | State::Grace(_));
        self.peers.iter().filter(counts).filter_map(|peer| peer.have.get(&file)).collect()
    }

    pub(crate) fn check(&mut self, viewer: SessionId) {
        let rows: HashMap<ContentId, FileRow> =
            all_rows(&self.index).into_iter().map(|row| (row.meta.descriptor.id(), row)).collect();
        let by_name = self.index.list("", &[], 500, Sort::Name).unwrap();
        assert!(by_name.rows.is_sorted_by_key(|row| row.meta.name.to_lowercase()));
        assert_eq!((by_name.rows.len(), by_name.total as usize), (rows.len(), rows.len()));
        let (mut memberships, mut copies) = (0, Vec::new());
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
                copies.push(complete);
                let counted = self.counted(file);
                let whole = counted.iter().filter(|have| ***have == all).count();
                // Who was lost before its digest was compared counts as what it was before.
                let unsure = !self.settles
                    && self.peers.iter().any(|peer| matches!(peer.state, State::Grace(_)));
                let counts = (row.sources as usize, row.complete as usize);
                assert!(unsure || counts == (counted.len(), whole), "{counts:?} {counted:?}");
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
        let copied = |times: u32| copies.iter().filter(|complete| **complete == times).count();
        self.check_members(viewer);
        let counts = self.index.counts();
        assert_eq!((counts.uncopied, counts.copied_once), (copied(0), copied(1)));
        if self.settles {
            self.check_taken();
        }
    }

    /// Who is listed, and what each of them is said to share.
    fn check_members(&self, viewer: SessionId) {
        let mut search = self.index.search_members(viewer, "", &[], 200).unwrap();
        let page = self.index.advance_members(&mut search).expect("one slice is enough").unwrap();
        let is_here = |peer: &usize| self.peers[*peer].state == State::Here;
        let here: BTreeSet<PeerId> = (0..PEERS).filter(is_here).map(key).collect();
        let all: BTreeSet<PeerId> = page.members.iter().map(|member| member.peer).collect();
        assert_eq!((all.len(), page.total as usize), (page.members.len(), page.members.len()));
        assert!(page.cursor.is_empty());
        assert_eq!(all.len(), here.len() + 1, "the viewer too");
        assert!(here.is_subset(&all));
        for peer in 0..PEERS {
            let shared = self.index.member_files(key(peer), &[], 500);
            let Ok(shared) = shared else {
                assert_ne!(self.peers[peer].state, State::Here);
                continue;
            };
            let rows = shared.page.rows.iter().map(|row| row.meta.descriptor.id());
            let shares = self.peers[peer].shares.keys().map(|file| id(&self.contents[*file]));
            assert_eq!(rows.collect::<BTreeSet<_>>(), shares.collect(), "{peer}");
        }
    }

    /// What each address group takes, the viewer included.
    fn check_taken(&self) {
        let groups: BTreeSet<AddrGroup> =
            (0..PLACES.len()).map(|at| AddrGroup::of(place(at))).collect();
        let mut sum = Taken::default();
        for group in groups {
            let taken = self.index.taken_by(group);
            let of = |peer: &&ModelPeer| peer.seen.is_some_and(|(at, _)| at == group);
            let viewer = usize::from(group == AddrGroup::of(place(0)));
            assert_eq!(taken.peers, self.peers.iter().filter(of).count() + viewer, "{group}");
            let rows = self.origins.values().filter(|origin| origin.group == group).count();
            assert_eq!(taken.rows, rows, "{group}");
            assert_eq!(taken == Taken::default(), taken.bytes == 0, "{group}");
            sum.peers += taken.peers;
            sum.rows += taken.rows;
            sum.bytes += taken.bytes;
        }
        assert_eq!(self.index.taken(), sum);
    }
}

impl ModelPeer {
    pub(crate) fn go_away(&mut self) {
        self.state = State::Away;
        self.have.clear();
        if self.shares.is_empty() {
            self.seen = None;
        }
    }
}

pub(crate) fn all_rows(index: &Index) -> Vec<FileRow> {
    let (mut rows, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let page = index.list("", &cursor, 2, Sort::Name).unwrap();
        rows.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_empty() {
            assert_eq!(rows.len(), page.total as usize);
            return rows;
        }
    }
}

pub(crate) fn decode(sources: &[Source], meta: &FileMeta) -> BTreeMap<PeerId, BTreeSet<u32>> {
    let chunks = |source: &Source| {
        let set = ChunkSet::decode(meta.chunks, source.set.as_ref().unwrap()).unwrap();
        assert_eq!(set.count(), source.have);
        set.iter().collect()
    };
    sources.iter().map(|source| (source.peer, chunks(source))).collect()
}
