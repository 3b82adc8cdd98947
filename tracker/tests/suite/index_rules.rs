//! Single rules of the index that the model does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::support::{digest, file, folder, id};
use common::chunk_set::ChunkSet;
use common::id::PeerId;
use common::limits::{LOCATIONS_HAVE_BUDGET, MAX_ALIASES};
use common::wire::tracker::{ChunkUpdate, FileMeta, Sort};
use proptest::prelude::*;
use tracker::index::{Arrival, Index, Limits, Progress, SessionId, WORK_SLICE};
use tracker::record::Change;

const NOW: u64 = 1_700_000_000_000;

fn key(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn join(index: &mut Index, n: u8, observed: &str, local: &[&str]) -> SessionId {
    let local: Vec<SocketAddr> = local.iter().map(|addr| addr.parse().unwrap()).collect();
    let arrival = Arrival {
        peer: key(n),
        nick: format!("peer {n}"),
        observed: observed.parse().unwrap(),
        via: IpAddr::from([192, 168, 0, 7]),
        port: 7000,
        local,
        digest: digest(&[]),
    };
    index.arrive(NOW, arrival).unwrap().session
}

fn share(index: &mut Index, session: SessionId, meta: &FileMeta) {
    index.register(NOW, session, std::slice::from_ref(meta), false, false).unwrap();
}

#[test]
fn addresses_are_those_seen_and_local_ones_only_for_neighbours() {
    let mut index = Index::new(Limits::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let a = file("a", 1);
    let local = [
        "192.168.1.5:7000",
        "127.0.0.1:7000",
        "169.254.169.254:80",
        "224.0.0.1:7",
        "192.168.1.5:0",
    ];
    let seed = join(&mut index, 1, "203.0.113.1", &local);
    share(&mut index, seed, &a);
    let mut seen_from = |n, observed| {
        let viewer = join(&mut index, n, observed, &[]);
        let found = index.locations(viewer, id(&a), 50, &mut rng).unwrap();
        found.sources[0].addrs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(seen_from(2, "203.0.113.1"), ["203.0.113.1:7000", "192.168.1.5:7000"]);
    assert_eq!(seen_from(3, "198.51.100.1"), ["203.0.113.1:7000"]);
}

#[test]
fn a_peer_beside_the_tracker_is_reached_where_the_tracker_is() {
    let mut index = Index::new(Limits::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let a = file("a", 1);
    let seed = join(&mut index, 1, "127.0.0.1", &["10.9.9.9:1"]);
    share(&mut index, seed, &a);
    for (n, observed, want) in
        [(2, "127.0.0.1", "127.0.0.1:7000"), (3, "192.168.0.9", "192.168.0.7:7000")]
    {
        let viewer = join(&mut index, n, observed, &[]);
        let found = index.locations(viewer, id(&a), 50, &mut rng).unwrap();
        assert_eq!(found.sources[0].addrs, [want.parse().unwrap()]);
    }
}

#[test]
fn names_are_bounded_and_go_with_their_holders() {
    let mut index = Index::new(Limits::default());
    let mut meta = file("name 0", 1);
    let sessions: Vec<SessionId> = (0..20)
        .map(|n| {
            let session = join(&mut index, n + 1, "10.0.0.1", &[]);
            meta.name = format!("name {n}");
            share(&mut index, session, &meta);
            session
        })
        .collect();
    let row = index.list("", &[], 10, Sort::Name).unwrap().rows.remove(0);
    assert_eq!(
        (row.meta.name.as_str(), row.aliases.len(), row.sources),
        ("name 0", MAX_ALIASES, 20)
    );
    assert_eq!(index.list("name 19", &[], 10, Sort::Name).unwrap().total, 0);
    // The one shown first is stored, and changes when its only holder goes.
    index.take_changes();
    index.unregister(sessions[0], &[id(&meta)]).unwrap();
    let renamed = index.take_changes().into_iter().find_map(|change| match change {
        Change::File(_, record) => Some(record.name),
        _ => None,
    });
    assert_eq!(renamed.as_deref(), Some("name 1"));
    for session in &sessions[1..] {
        index.unregister(*session, &[id(&meta)]).unwrap();
    }
    assert_eq!(index.list("", &[], 10, Sort::Name).unwrap().total, 0);
}

/// A full list drops what it does not name, and the peer names it again before that is done.
#[test]
fn s4_a_share_named_again_while_it_is_being_dropped_is_there() {
    let mut index = Index::new(Limits { slice: 1, ..Limits::default() });
    let session = join(&mut index, 1, "10.0.0.1", &[]);
    let shares = [file("a", 1), file("b", 1), file("c", 1)];
    index.register(NOW, session, &shares, false, false).unwrap();
    index.register(NOW, session, &[], false, true).unwrap();
    share(&mut index, session, &shares[2]);
    while index.work(NOW, 1).more {}
    let rows = index.list("", &[], 9, Sort::Name).unwrap().rows;
    assert_eq!(
        rows.iter().map(|row| (&*row.meta.name, row.complete)).collect::<Vec<_>>(),
        [("c", 1)]
    );
}

/// A liar about a folder's numbers who is just going keeps no honest claim out.
#[test]
fn s4_a_claim_ends_with_its_last_source_though_that_is_still_being_taken_out() {
    let mut index = Index::new(Limits { slice: 1, ..Limits::default() });
    let liar = join(&mut index, 1, "10.0.0.1", &[]);
    let (lie, truth) = (folder("folder", 1, 1), folder("folder", 99, 3));
    index.register(NOW, liar, &[file("a", 1), file("b", 1), lie], false, false).unwrap();
    index.depart(NOW, liar);
    let honest = join(&mut index, 2, "10.0.0.2", &[]);
    share(&mut index, honest, &truth);
    while index.work(NOW, 1).more {}
    let rows = index.list("folder", &[], 9, Sort::Name).unwrap().rows;
    // Who is lost for a moment still counts.
    assert_eq!((rows[0].meta.total, rows[0].meta.chunks, rows[0].sources), (99, 3, 2));
}

#[test]
fn who_does_not_come_back_is_forgotten_in_the_end() {
    let limits = Limits { forget_ms: 1_000_000, ..Limits::default() };
    let mut index = Index::new(limits);
    let session = join(&mut index, 1, "10.0.0.1", &[]);
    share(&mut index, session, &file("a", 1));
    index.depart(NOW, session);
    index.tick(NOW + 100_000);
    assert_eq!((index.counts().peers, index.counts().files), (1, 1));
    index.tick(NOW + 1_200_000);
    assert_eq!((index.counts().peers, index.counts().files), (0, 0));
    let changes = index.take_changes();
    assert!(changes.contains(&Change::PeerGone(key(1))));
    assert!(changes.contains(&Change::FileGone(id(&file("a", 1)))));
}

/// Does what is under way to its end; who is to be told.
fn finish(index: &mut Index) -> Vec<SessionId> {
    let mut readers = Vec::new();
    while index.is_busy() {
        readers.extend(index.work(NOW, WORK_SLICE).readers);
    }
    readers
}

/// Rows are moved 2000 at a time. The round of exactly so many was taken for over before anybody was told of it,
/// who had to wait for the next tick.
#[test]
fn s4_whoever_watches_the_catalogue_is_told_of_as_many_rows_as_one_step_moves() {
    let mut index = Index::new(Limits::default());
    let viewer = join(&mut index, 1, "203.0.113.1", &[]);
    index.watch(viewer, true, &[]).unwrap();
    let seed = join(&mut index, 2, "203.0.113.2", &[]);
    finish(&mut index);
    index.tick(NOW);
    for n in 0..2000 {
        share(&mut index, seed, &file(&format!("file {n}"), n + 1));
    }
    let mut told = index.tick(NOW);
    told.extend(finish(&mut index));
    assert!(told.contains(&viewer), "not before the next tick");
}

#[test]
fn s4_what_a_peer_shares_is_gone_through_once_when_it_leaves_and_then_hangs_up() {
    let mut index = Index::new(Limits { slice: 10, ..Limits::default() });
    let seed = join(&mut index, 1, "203.0.113.1", &[]);
    for n in 0..100 {
        share(&mut index, seed, &file(&format!("file {n}"), n + 1));
    }
    finish(&mut index);
    index.leave(seed).unwrap();
    assert!(index.is_busy());
    finish(&mut index);
    index.depart(NOW, seed);
    assert!(!index.is_busy(), "once more");
}

#[test]
fn chunk_sets_in_an_answer_stay_within_their_budget() {
    let mut index = Index::new(Limits::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let big = folder("big", 1 << 40, 200_000);
    let seed = join(&mut index, 200, "10.0.0.1", &[]);
    share(&mut index, seed, &big);
    // Every other chunk: a bitmap of 25,000 bytes.
    let mut set = ChunkSet::empty(big.chunks);
    (0..big.chunks).step_by(2).for_each(|chunk| assert!(set.insert(chunk)));
    for n in 0..10 {
        let session = join(&mut index, n + 1, "10.0.0.1", &[]);
        let update = ChunkUpdate {
            id: id(&big),
            set: set.encode(),
            chunks: big.chunks,
            total: set.count(),
            full: true,
        };
        assert_eq!(index.chunk_register(session, Progress::read(&[update]).unwrap()), Ok(vec![]));
    }
    let viewer = join(&mut index, 100, "10.0.0.1", &[]);
    let sources = index.locations(viewer, id(&big), 50, &mut rng).unwrap().sources;
    assert_eq!(sources.len(), 11);
    let sent: usize = sources.iter().filter_map(|source| source.set.as_ref()).map(Vec::len).sum();
    assert!(sent <= LOCATIONS_HAVE_BUDGET && sent > LOCATIONS_HAVE_BUDGET / 2, "{sent}");
    // The rest says how much, not what.
    let without: Vec<u32> = sources.iter().filter(|s| s.set.is_none()).map(|s| s.have).collect();
    assert_eq!(without, vec![100_000; 8]);
}

#[test]
fn a_cursor_of_another_order_or_none_at_all_is_refused() {
    let mut index = Index::new(Limits::default());
    let seed = join(&mut index, 1, "10.0.0.1", &[]);
    (0..3).for_each(|n| share(&mut index, seed, &file(&n.to_string(), n)));
    let cursor = index.list("", &[], 1, Sort::Name).unwrap().cursor;
    for sort in [Sort::Size, Sort::Sources, Sort::Newest] {
        let refusal = index.list("", &cursor, 1, sort).unwrap_err();
        assert!(refusal.text.contains("not of this order"), "{refusal}");
    }
    for bad in [&b"\x00"[..], b"\xff\xff", &[0; 41][..40], &[&cursor[..], b"\xff"].concat()] {
        assert!(index.list("", bad, 1, Sort::Name).is_err(), "{bad:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Page,
    Add(u8),
    Remove(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![2 => Just(Step::Page), 1 => any::<u8>().prop_map(Step::Add), 1 => any::<u8>().prop_map(Step::Remove)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_show_once_whatever_was_there_all_the_time(
        start in proptest::collection::btree_set(any::<u8>(), 0..40),
        steps in proptest::collection::vec(step(), 0..40),
        limit in 1usize..6,
        query in prop_oneof![Just(""), Just("0"), Just("1|2")],
    ) {
        let mut index = Index::new(Limits::default());
        let seed = join(&mut index, 1, "10.0.0.1", &[]);
        let meta = |n: u8| file(&format!("{n:03}"), u64::from(n / 10));
        start.iter().for_each(|n| share(&mut index, seed, &meta(*n)));
        let mut always: BTreeSet<u8> = start.clone();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let (mut cursor, mut at_end) = (Vec::new(), false);
        for step in steps.iter().chain(std::iter::repeat_n(&Step::Page, 300)) {
            match step {
                Step::Page if at_end => break,
                Step::Page => {
                    let page = index.list(query, &cursor, limit, Sort::Name).unwrap();
                    page.rows.into_iter().for_each(|row| *seen.entry(row.meta.name).or_default() += 1);
                    at_end = page.cursor.is_empty();
                    cursor = page.cursor;
                }
                Step::Add(n) => share(&mut index, seed, &meta(*n)),
                Step::Remove(n) => {
                    index.unregister(seed, &[id(&meta(*n))]).unwrap();
                    always.remove(n);
                }
            }
        }
        let wanted = |n: u8| {
            let name = meta(n).name;
            query.is_empty() || query.split('|').any(|word| name.contains(word))
        };
        for n in always.into_iter().filter(|n| wanted(*n)) {
            prop_assert_eq!(seen.get(&meta(n).name), Some(&1), "{:03}", n);
        }
    }
}
