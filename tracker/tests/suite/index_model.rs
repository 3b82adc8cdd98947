//! The index against a model that is too simple to be wrong: any interleaving of what peers do, and of when
//! watchers look, ends in what the model says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::support::{digest, file, id};
use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use common::wire::Code;
use common::wire::tracker::{FileRow, Reply, Source, share_digest};
use proptest::prelude::*;
use tracker::index::{Index, Limits, Taken};
use tracker::record::Change;
use tracker::store::MetaStore;

use crate::world::*;

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
            Reply::CatalogueDelta { upserts, removes, counts, .. } => {
                self.rows.extend(upserts.into_iter().map(|row| (row.meta.descriptor.id(), row)));
                removes.iter().for_each(|id| drop(self.rows.remove(id)));
                for counts in counts {
                    let (first, last) = counts.ids();
                    for (_, row) in self.rows.range_mut(first..=last) {
                        (row.sources, row.complete) = (counts.sources, counts.complete);
                    }
                }
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
    let (lone_ms, forget_ms) = (LONE_MS, FORGET_MS);
    Limits { grace_ms: GRACE_MS, lone_ms, forget_ms, changes, recount_ms: 0, ..Limits::default() }
}

/// Whoever has looked now and then knows in the end what is so.
fn watched_to_the_end(mut world: World, ops: &[Op]) {
    let none = share_digest([]);
    let viewer = world.index.arrive(world.now, arrival(key(99), none)).unwrap().session;
    let ids: Vec<ContentId> = world.contents.iter().map(id).collect();
    world.index.watch(viewer, true, &ids).unwrap();
    let counting = world.index.arrive(world.now, arrival(key(98), none)).unwrap().session;
    world.index.watch(counting, true, &[]).unwrap();
    world.index.may_count(counting, true);
    let (mut mirror, mut counted) = (Mirror::default(), Mirror::default());
    for op in ops.iter().chain([&Op::Pass { ms: 0 }, &Op::Look]) {
        world.run(op);
        if matches!(op, Op::Look) {
            world.index.tick(world.now);
            while let Some(push) = world.index.poll(viewer, &mut world.rng) {
                mirror.take(push, &world.index);
            }
            while let Some(push) = world.index.poll(counting, &mut world.rng) {
                counted.take(push, &world.index);
            }
        }
    }
    let rows: BTreeMap<_, _> =
        all_rows(&world.index).into_iter().map(|row| (row.meta.descriptor.id(), row)).collect();
    assert_eq!(mirror.rows, rows);
    assert_eq!(counted.rows, rows, "by numbers without rows");
    for file in 0..world.contents.len() {
        let told = mirror.sources.remove(&id(&world.contents[file])).unwrap_or_default();
        let told: Vec<Source> = told.into_values().collect();
        assert_eq!(decode(&told, &world.contents[file]), world.sources(file));
    }
}

/// A source registers and leaves, a watcher looks and so does not see it, and it is back before its entries were gone
/// through.
#[test]
fn s4_a_source_that_left_and_is_back_within_its_steps_is_told_of() {
    let arrive = |honest| Op::Arrive { peer: 0, honest, from: 0 };
    let register = |files| Op::Register { peer: 0, files, more: false, full: false };
    let ops = [
        arrive(false),
        register(vec![(1, 0)]),
        register(vec![(0, 0), (2, 0)]),
        arrive(false),
        Op::Leave { peer: 0 },
        Op::Look,
        arrive(true),
    ];
    watched_to_the_end(World::stepping(limits(1)), &ops);
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
        prop_assert_eq!(&kept, &want);
        // Each row counts where it was brought from.
        for at in 0..PLACES.len() {
            let group = AddrGroup::of(place(at));
            let rows = world.origins.iter().filter(|(file, origin)| {
                origin.group == group && want.contains(&id(&world.contents[**file]))
            });
            prop_assert_eq!(again.taken_by(group).rows, rows.count());
        }
        for peer in 0..PEERS {
            let back = again.arrive(world.now, arrival(key(peer), world.digest_of(peer)));
            if world.peers[peer].banned {
                prop_assert_eq!(back.unwrap_err().code, Code::Revoked);
            } else {
                prop_assert_eq!(back.unwrap().share_ok, Some(true));
            }
        }
        // What only one group ever had is still known to be so.
        let kept: BTreeMap<ContentId, bool> = world.store.load().unwrap().files.into_iter()
            .map(|(id, record)| (id, record.only.is_some()))
            .collect();
        for (file, origin) in &world.origins {
            prop_assert_eq!(kept.get(&id(&world.contents[*file])), Some(&origin.lone));
        }
    }

    #[test]
    fn nothing_is_counted_any_more_when_all_are_forgotten(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new(limits(100));
        for op in &ops {
            world.run(op);
        }
        for peer in 0..PEERS {
            world.run(&Op::Forget { peer });
        }
        prop_assert_eq!(world.index.taken(), Taken::default());
        let saved = world.store.load().unwrap();
        prop_assert!(saved.files.is_empty() && saved.peers.is_empty() && saved.shares.is_empty());
    }

    #[test]
    fn snapshot_and_deltas_end_in_the_true_state(
        ops in proptest::collection::vec(op(), 1..80),
        changes in 1usize..20,
        settles in any::<bool>(),
    ) {
        let world = if settles { World::new } else { World::stepping };
        watched_to_the_end(world(limits(changes)), &ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// With every operation cut into steps of one entry, and steps taken whenever it comes: in the end all is as if
    /// each had been done at once. World looks after each step that it did no more than it may.
    #[test]
    fn s4_work_done_in_steps_ends_as_if_done_at_once(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::stepping(limits(100));
        let viewer = world.index.arrive(world.now, arrival(key(99), share_digest([]))).unwrap().session;
        for op in &ops {
            world.run(op);
            // Whoever is named as a source is one.
            for file in 0..world.contents.len() {
                let found = world.index.locations(viewer, id(&world.contents[file]), 200, &mut world.rng).unwrap();
                let sources = world.sources(file);
                for (peer, have) in decode(&found.sources, &world.contents[file]) {
                    let of = world.peers.iter().enumerate().find(|(n, _)| key(*n) == peer).unwrap().1;
                    if of.session.is_some_and(|session| world.index.share_ok(session).is_none()) {
                        // Here all the time; what it says now is not compared yet.
                        continue;
                    }
                    prop_assert_eq!(Some(&have), sources.get(&peer));
                }
            }
        }
        world.settle();
        world.check(viewer);
        let saved = world.store.load().unwrap();
        let shares: BTreeSet<(PeerId, ContentId, String)> =
            saved.shares.into_iter().map(|(peer, id, name)| (peer, id, name.into())).collect();
        let want = world.peers.iter().enumerate().flat_map(|(n, peer)| {
            let contents = &world.contents;
            peer.shares.iter().map(move |(file, name)| (key(n), id(&contents[*file]), name.clone()))
        });
        prop_assert_eq!(shares, want.collect());
        for peer in 0..PEERS {
            world.run(&Op::Forget { peer });
        }
        world.settle();
        // The viewer is left.
        let taken = world.index.taken();
        prop_assert_eq!((taken.peers, taken.rows), (1, 0));
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
