//! What a question may cost: rows looked at while the index is held, entries touched by a hello, and who pays.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::support::{Client, Running, Who, digest, file, id, progress, quick};
use common::id::PeerId;
use common::limits::MAX_QUERY;
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Request, Sort};
use tracker::Work;
use tracker::index::{
    Arrival, Expulsion, Index, Limits, Progress, Push, SLICE, SessionId, WORK_SLICE,
};
use tracker::record::Target;
use tracker::store::{MemoryStore, MetaStore as _};

const NOW: u64 = 1_700_000_000_000;

fn arrival(n: u8, files: &[FileMeta]) -> Arrival {
    Arrival {
        peer: PeerId::from_bytes([n; 32]),
        nick: format!("peer {n}"),
        observed: IpAddr::from([10, 0, 0, n]),
        via: IpAddr::from([10, 0, 0, 1]),
        port: 7000,
        local: Vec::new(),
        digest: digest(files),
    }
}

fn files(count: usize) -> Vec<FileMeta> {
    (0..count).map(|n| file(&format!("{n:06} of the rows"), 1 + n as u64 % 97)).collect()
}

/// An index in which one peer shares so many.
fn filled(count: usize) -> (Index, SessionId, Vec<FileMeta>) {
    filled_with(Limits::default(), count)
}

fn filled_with(limits: Limits, count: usize) -> (Index, SessionId, Vec<FileMeta>) {
    let mut index = Index::new(limits);
    let session = index.arrive(NOW, arrival(1, &[])).unwrap().session;
    let files = files(count);
    for part in files.chunks(256) {
        index.register(NOW, session, part, false, false).unwrap();
    }
    index.tick(NOW);
    (index, session, files)
}

/// Does all that is under way.
fn work(index: &mut Index) {
    while index.work(NOW, WORK_SLICE).more {}
}

/// A slice ends with the row that filled it, or the word: two letters begin some threes, of which each may be in all rows.
const LAST_WORD: usize = 256;

#[test]
fn s4_no_search_holds_the_index_for_more_than_a_slice() {
    let (index, _, files) = filled(5 * SLICE);
    // A cursor that nobody gave: of the right order, and before everything.
    let made_up = [&[0u8][..], &[0; 8], &[0; 32], b" "].concat();
    for (query, cursor, sort) in [
        ("a b c d e f g h", &[][..], Sort::Name),
        ("o f t h e r w s", &[], Sort::Name),
        ("zz|zy|zx|zw|zv|zu|zt|zs", &[], Sort::Name),
        ("ro|ow|ws|of|th|he|00|01", &made_up, Sort::Name),
        ("rows of the row ows he th", &[], Sort::Sources),
        ("rows", &[], Sort::Size),
        ("0001 rows", &[], Sort::Newest),
        ("", &[], Sort::Newest),
    ] {
        let mut search = index.search(query, cursor, 500, sort).unwrap();
        assert!(!search.is_short());
        let page = loop {
            if let Some(page) = index.advance(&mut search) {
                break page;
            }
        };
        assert!(search.longest_slice() <= SLICE + LAST_WORD, "{query}: {}", search.longest_slice());
        // Looking at every row takes a comparison for each word.
        let most = files.len() / 2 + 8 * page.rows.len();
        assert!(search.looked() <= most, "{query}: {} > {most}", search.looked());
        let fits = |name: &str| {
            let mut alternatives = query.split('|').map(|words| words.split(' '));
            alternatives.any(|mut words| words.all(|word| name.contains(word)))
        };
        let matches = files.iter().filter(|file| fits(&file.name)).count();
        assert_eq!(page.rows.len(), matches.min(500), "{query}");
        assert!(cursor == made_up || page.total as usize == matches, "{query}: {}", page.total);
    }
}

#[test]
fn s4_a_page_in_the_order_that_is_kept_costs_what_it_holds() {
    let (index, _, files) = filled(5 * SLICE);
    let far = index.list("", &[], 500, Sort::Name).unwrap();
    // The place of the last row but ten, made up by the asking side.
    let last = &files[files.len() - 11];
    let made_up = [&[0u8][..], &[0xff; 8], id(last).as_bytes(), last.name.as_bytes()].concat();
    for (cursor, rows) in [(far.cursor, 500), (made_up, 10)] {
        let mut search = index.search("", &cursor, 500, Sort::Name).unwrap();
        assert!(search.is_short());
        let page = index.advance(&mut search).expect("one slice is enough");
        assert_eq!((page.rows.len(), page.total as usize), (rows, files.len()));
        assert!(search.looked() <= 6 * rows + 1, "{}", search.looked());
    }
    // In any other order, or with a query, it costs what there is of numbers.
    for (query, sort) in [("7", Sort::Name), ("", Sort::Size), ("7", Sort::Size)] {
        let first = index.list(query, &[], 500, sort).unwrap();
        let mut search = index.search(query, &first.cursor, 500, sort).unwrap();
        while index.advance(&mut search).is_none() {}
        assert!(search.looked() < files.len() / 4, "{query}: {}", search.looked());
    }
}

#[test]
fn s4_what_changes_between_two_slices_breaks_no_search() {
    for sort in [Sort::Name, Sort::Size] {
        let limits = Limits { looks: 50, ..Limits::default() };
        let (mut index, session, files) = filled_with(limits, 3 * SLICE);
        let mut search = index.search("of", &[], 500, sort).unwrap();
        assert!(index.advance(&mut search).is_none());
        // The best so far go, and others come: some in the places that are free now.
        let gone: BTreeSet<_> = files.iter().filter(|f| f.total > 90).map(id).collect();
        let ids: Vec<_> = gone.iter().copied().collect();
        index.unregister(session, &ids).unwrap();
        let new: Vec<_> = (0..200).map(|n| file(&format!("new of {n}"), 1)).collect();
        index.register(NOW, session, &new, false, false).unwrap();
        let page = loop {
            if let Some(page) = index.advance(&mut search) {
                break page;
            }
        };
        let shown: BTreeSet<_> = page.rows.iter().map(|row| row.meta.descriptor.id()).collect();
        assert_eq!(shown.len(), page.rows.len(), "nothing twice");
        if sort == Sort::Size {
            assert!(shown.is_disjoint(&gone), "what is gone is not shown");
        }
    }
}

#[test]
fn s4_a_second_hello_that_says_the_same_touches_nothing() {
    let (mut index, session, files) = filled(2000);
    let viewer = index.arrive(NOW, arrival(2, &[])).unwrap().session;
    index.watch(viewer, true, &[id(&files[0])]).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let quiet = |index: &mut Index, rng: &mut fastrand::Rng| {
        index.tick(NOW);
        std::iter::from_fn(|| index.poll(viewer, rng)).count()
    };
    assert!(quiet(&mut index, &mut rng) > 0);
    let same = arrival(1, &files);
    // The digest of what was registered has to be made once.
    let first = index.arrive_again(NOW, session, same.clone()).unwrap();
    assert_eq!((first.share_ok, first.touched), (None, 2 * files.len()));
    while index.share_ok(session).is_none() {
        assert!(index.work(NOW, WORK_SLICE).looked <= WORK_SLICE);
    }
    assert_eq!((index.share_ok(session), quiet(&mut index, &mut rng)), (Some(true), 0));
    work(&mut index);
    let settled = index.arrive_again(NOW, session, same.clone()).unwrap();
    assert_eq!((settled.share_ok, settled.touched), (Some(true), 0));
    index.take_changes();
    // The same by way of a new connection in place of the old one.
    let back = index.arrive(NOW, same.clone()).unwrap();
    assert_eq!((back.share_ok, back.touched, back.replaced), (Some(true), 0, Some(session)));
    assert_eq!(quiet(&mut index, &mut rng), 0, "nobody is told of it");
    assert_eq!(index.take_changes(), [], "and nothing is stored");

    // What does change something is told, and paid for.
    let moved = Arrival { port: 7001, ..same.clone() };
    let settled = index.arrive_again(NOW, back.session, moved.clone()).unwrap();
    assert_eq!(settled.touched, files.len());
    work(&mut index);
    assert_eq!(quiet(&mut index, &mut rng), 1, "the watcher learns the new port");
    let wrong = Arrival { digest: digest(&[]), ..moved.clone() };
    assert_eq!(index.arrive_again(NOW, back.session, wrong).unwrap().share_ok, Some(false));
    work(&mut index);
    assert_eq!(index.counts().memberships, 0, "a wrong digest: nothing counts");
    assert_eq!(index.arrive_again(NOW, back.session, moved).unwrap().touched, files.len());
    work(&mut index);
    assert_eq!(index.counts().memberships, files.len() as u64);
}

/// All that a session is told now, and that after all that is under way.
fn told(index: &mut Index, now: u64, session: SessionId) -> Vec<Reply> {
    while index.work(now, WORK_SLICE).more {}
    index.tick(now);
    while index.work(now, WORK_SLICE).more {}
    let mut rng = fastrand::Rng::with_seed(1);
    std::iter::from_fn(|| index.poll(session, &mut rng)).collect()
}

/// A router that starts again, and 2,000 files behind it.
#[test]
fn who_is_back_within_the_grace_time_is_news_to_nobody_who_watches_the_catalogue() {
    let (mut index, mut session, files) = filled(2000);
    let viewer = index.arrive(NOW, arrival(2, &[])).unwrap().session;
    index.watch(viewer, true, &[]).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut sources = |index: &mut Index| {
        index.locations(viewer, id(&files[1999]), 50, &mut rng).unwrap().sources.len()
    };
    let counts = |index: &Index| {
        let rows = index.list("001999", &[], 9, Sort::Name).unwrap().rows;
        (rows[0].sources, rows[0].complete)
    };
    for flap in 1..=3 {
        index.depart(NOW, session);
        assert_eq!(told(&mut index, NOW + flap * 1000, viewer), []);
        assert_eq!((sources(&mut index), counts(&index)), (0, (1, 1)), "kept, not handed out");
        session = index.arrive(NOW, arrival(1, &files)).unwrap().session;
        assert_eq!(told(&mut index, NOW + flap * 1000, viewer), []);
        assert_eq!((sources(&mut index), counts(&index)), (1, (1, 1)));
    }
    index.depart(NOW, session);
    let gone: usize = told(&mut index, NOW + 100_000, viewer)
        .iter()
        .map(|push| match push {
            Reply::CatalogueDelta { upserts, removes, resync: false, .. } if removes.is_empty() => {
                assert!(upserts.iter().all(|row| (row.sources, row.complete) == (0, 0)));
                upserts.len()
            }
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!((gone, counts(&index)), (2000, (0, 0)), "now it is gone");
}

#[test]
fn how_many_sources_rows_have_is_told_every_two_seconds() {
    let (mut index, _, files) = filled(3);
    let viewer = index.arrive(NOW, arrival(2, &[])).unwrap().session;
    index.watch(viewer, true, &[]).unwrap();
    told(&mut index, NOW, viewer);
    let (mut times, mut latest) = (Vec::new(), 0);
    for step in 0..100u64 {
        let now = NOW + step * 100;
        if step % 5 == 0 && step < 70 {
            // One more has the first of them.
            let mut key = [9; 32];
            key[0] = u8::try_from(step).unwrap();
            let other = Arrival { peer: PeerId::from_bytes(key), ..arrival(9, &[]) };
            let other = index.arrive(now, other).unwrap().session;
            index.register(now, other, &files[..1], false, false).unwrap();
        }
        for push in told(&mut index, now, viewer) {
            match push {
                Reply::CatalogueDelta { upserts, .. } => latest = upserts[0].sources,
                other => panic!("{other:?}"),
            }
            times.push(now - NOW);
        }
    }
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 2000), "{times:?}");
    assert!((3..=5).contains(&times.len()), "{times:?}");
    assert_eq!(latest, 15, "and the last of them is told too");
}

#[test]
fn numbers_of_rows_take_a_tenth_of_the_bytes_of_the_rows() {
    let (mut index, session, files) = filled(2000);
    let mut rng = fastrand::Rng::with_seed(1);
    let viewers = [2, 3, 4].map(|n| index.arrive(NOW, arrival(n, &[])).unwrap().session);
    viewers.iter().for_each(|viewer| index.watch(*viewer, true, &[]).unwrap());
    viewers.iter().take(2).for_each(|viewer| index.may_count(*viewer, true));
    viewers.iter().for_each(|viewer| drop(told(&mut index, NOW, *viewer)));
    index.depart(NOW, session);
    let now = NOW + 100_000;
    assert_eq!(told(&mut index, now, session), [], "it is gone");
    let mut sent = viewers.map(|viewer| {
        std::iter::from_fn(|| index.next_push(viewer, &mut rng)).collect::<Vec<Push>>()
    });
    let shared = |push: &Push| match push {
        Push::All(shared) => std::sync::Arc::clone(shared),
        other => panic!("{other:?}"),
    };
    assert!(!sent[0].is_empty() && sent[0].len() == sent[1].len());
    for (one, two) in sent[0].iter().zip(&sent[1]) {
        assert!(std::sync::Arc::ptr_eq(&shared(one), &shared(two)), "encoded once");
    }
    let bytes =
        |pushes: &[Push]| pushes.iter().map(|push| shared(push).body().len()).sum::<usize>();
    let (compact, whole) = (bytes(&sent[0]), bytes(&sent[2]));
    println!("a row: {} and {} bytes", compact as f64 / 2000.0, whole as f64 / 2000.0);
    assert!(compact <= 14 * files.len() && compact * 8 <= whole, "{compact} of {whole}");
    let mut numbers = 0;
    for push in std::mem::take(&mut sent[0]) {
        match push.into_reply() {
            Some(Reply::CatalogueDelta { upserts, removes, counts, resync: false }) => {
                assert!(upserts.is_empty() && removes.is_empty());
                assert!(counts.iter().all(|row| (row.sources, row.complete) == (0, 0)));
                numbers += counts.len();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(numbers, files.len());
}

#[test]
fn those_who_have_read_as_far_are_told_the_same_message_encoded_once() {
    let (mut index, session, _) = filled(10);
    let mut rng = fastrand::Rng::with_seed(1);
    let watchers = [2, 3].map(|n| index.arrive(NOW, arrival(n, &[])).unwrap().session);
    watchers.iter().for_each(|watcher| index.watch(*watcher, true, &[]).unwrap());
    let mut names = BTreeSet::new();
    for round in 0..3 {
        let new = file(&format!("new {round}"), 1);
        index.register(NOW, session, std::slice::from_ref(&new), false, false).unwrap();
        index.tick(NOW);
        let pushes = watchers.map(|watcher| match index.next_push(watcher, &mut rng) {
            Some(Push::All(shared)) => shared,
            other => panic!("{other:?}"),
        });
        assert!(std::sync::Arc::ptr_eq(&pushes[0], &pushes[1]));
        assert_eq!(pushes[0].body().as_ptr(), pushes[1].body().as_ptr());
        match Reply::decode(pushes[0].kind(), pushes[0].body()).unwrap() {
            Some(Reply::CatalogueDelta { upserts, .. }) => {
                names.extend(upserts.into_iter().map(|row| row.meta.name));
            }
            other => panic!("{other:?}"),
        }
        assert!(watchers.iter().all(|watcher| index.next_push(*watcher, &mut rng).is_none()));
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn a_large_swarm_is_told_of_progress_seldom_and_at_once_of_who_comes() {
    let big = file("big", 100 * 65536);
    let mut index = Index::new(Limits::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut key = [7; 32];
    let viewers: Vec<SessionId> = (0..200u8)
        .map(|n| {
            key[0] = n;
            let arrival = Arrival { peer: PeerId::from_bytes(key), ..arrival(9, &[]) };
            index.arrive(NOW, arrival).unwrap().session
        })
        .collect();
    let [source, other] = [1, 2].map(|n| index.arrive(NOW, arrival(n, &[])).unwrap().session);
    let whole = Arrival { peer: PeerId::from_bytes([8; 32]), ..arrival(8, &[]) };
    let whole = index.arrive(NOW, whole).unwrap().session;
    index.register(NOW, whole, std::slice::from_ref(&big), false, false).unwrap();
    let has = |index: &mut Index, session, chunks: &[u32], total| {
        let update = [progress(&big, chunks, total, total == 1)];
        index.chunk_register(session, Progress::read(&update).unwrap()).unwrap();
    };
    has(&mut index, source, &[0], 1);
    viewers.iter().for_each(|viewer| index.watch(*viewer, false, &[id(&big)]).unwrap());
    let (mut told, mut latest, mut hear_of_other) = (0, 0, 0);
    for tick in 1..100u32 {
        has(&mut index, source, &[tick], tick + 1);
        let now = NOW + u64::from(tick) * 100;
        if tick == 50 {
            has(&mut index, other, &[0], 1);
        }
        let readers = index.tick(now);
        for viewer in readers {
            while let Some(Reply::SourceDelta { joins, .. }) = index.poll(viewer, &mut rng) {
                if tick == 50 {
                    hear_of_other += usize::from(joins.iter().any(|source| source.have == 1));
                } else if viewer == viewers[0] {
                    told += 1;
                    latest = joins.iter().map(|source| source.have).max().unwrap();
                }
            }
        }
    }
    assert_eq!(hear_of_other, viewers.len());
    assert!((7..=10).contains(&told), "every 1.2 s in 10 s: {told}");
    assert!(latest >= 88, "{latest}");
}

/// Each of these makes the next hello matter again.
#[test]
fn s4_a_hello_still_puts_right_what_is_not() {
    let damaged = file("damaged", 5 * 65536);
    let shares = [damaged.clone(), file("b", 1)];
    let mut index = Index::new(Limits::default());
    let session = index.arrive(NOW, arrival(1, &[])).unwrap().session;
    index.register(NOW, session, &shares, false, false).unwrap();
    let hello = |index: &mut Index| {
        index.arrive_again(NOW, session, arrival(1, &shares)).unwrap();
        let rows = index.list("", &[], 9, Sort::Name).unwrap().rows;
        rows.iter().map(|row| row.complete).collect::<Vec<_>>()
    };
    assert_eq!(hello(&mut index), [1, 1]);
    // A share that lost chunks counts as whole again when the digest says that it is there.
    let lost = [progress(&damaged, &[1, 2], 2, true)];
    index.chunk_register(session, Progress::read(&lost).unwrap()).unwrap();
    assert_eq!(hello(&mut index), [1, 1]);
    assert!(index.leave(session).unwrap() > 0);
    assert_eq!(index.leave(session), Ok(0), "gone already");
    assert_eq!(hello(&mut index), [1, 1]);
    index.unregister(session, &[id(&shares[1])]).unwrap();
    let left = arrival(1, &shares[..1]);
    assert_eq!(index.arrive_again(NOW, session, left.clone()).unwrap().share_ok, Some(true));
    assert_eq!(index.arrive_again(NOW, session, left).unwrap().touched, 0);
}

/// Whatever a peer with many shares does: nothing goes through more than a slice of them at once, and what others are
/// told is right from the first moment on.
#[test]
fn s4_no_step_goes_through_more_than_a_slice_of_a_peers_entries() {
    let (mut index, session, files) = filled(20 * WORK_SLICE);
    let viewer = index.arrive(NOW, arrival(2, &[])).unwrap().session;
    let mut rng = fastrand::Rng::with_seed(1);
    let all = files.len() as u64;
    let mut session = session;
    let wrong = arrival(1, &files[1..]);
    let moved = Arrival { port: 7001, ..arrival(1, &files) };
    // Each with how many entries are in swarms in the end, and whether the peer is named at once. A digest that has to
    // be made first changes nothing until it is compared.
    let acts: [(&str, u64, bool); 9] = [
        ("a wrong digest", 0, true),
        ("the right digest", all, false),
        ("a new port", all, true),
        ("lost", 0, false),
        ("back", all, false),
        ("leaves", 0, false),
        ("comes back", all, false),
        ("another list", all - 1, true),
        ("expelled", 0, false),
    ];
    let last = id(&files[files.len() - 1]);
    for (act, after, named) in acts {
        work(&mut index);
        let before = index.counts().memberships;
        match act {
            "a wrong digest" => _ = index.arrive_again(NOW, session, wrong.clone()).unwrap(),
            "the right digest" | "comes back" => {
                _ = index.arrive_again(NOW, session, arrival(1, &files)).unwrap();
            }
            "a new port" => _ = index.arrive_again(NOW, session, moved.clone()).unwrap(),
            "lost" => index.depart(NOW, session),
            "back" => session = index.arrive(NOW, arrival(1, &files)).unwrap().session,
            "leaves" => assert_eq!(index.leave(session), Ok(files.len())),
            "another list" => {
                // All but the first, which goes when the last part has come.
                for (n, part) in files[1..].chunks(256).enumerate() {
                    let more = (n + 1) * 256 < files.len() - 1;
                    index.register(NOW, session, part, more, n == 0).unwrap();
                }
            }
            _ => {
                let mut expulsion = Expulsion::new(Target::Key(PeerId::from_bytes([1; 32])));
                assert!(!index.expel_some(NOW, &mut expulsion));
                assert_eq!(expulsion.expelled.items, files.len() - 1);
            }
        }
        let moved = index.counts().memberships.abs_diff(before);
        assert!(moved <= WORK_SLICE as u64, "{act}: {moved}");
        let mut steps = 0;
        loop {
            // Somebody asks for the content whose turn comes last.
            let found = index.locations(viewer, last, 50, &mut rng).unwrap();
            if steps < 3 && act != "the right digest" && act != "comes back" && act != "back" {
                assert_eq!(!found.sources.is_empty(), named, "{act}");
            }
            let before = (index.counts().memberships, index.counts().files);
            let done = index.work(NOW, WORK_SLICE);
            assert!(done.looked <= WORK_SLICE, "{act}");
            let counts = index.counts();
            assert!(counts.memberships.abs_diff(before.0) <= WORK_SLICE as u64, "{act}");
            assert!(counts.files.abs_diff(before.1) <= WORK_SLICE, "{act}");
            steps += 1;
            if !done.more {
                break;
            }
        }
        assert!(steps >= 19, "{act}: {steps}");
        assert_eq!(index.counts().memberships, after, "{act}");
    }
    assert_eq!((index.counts().files, index.counts().peers), (0, 1));
}

/// After a restart all who are absent are due in the same second.
#[test]
fn s4_the_absent_are_looked_at_a_slice_at_a_time() {
    let count = 3 * WORK_SLICE as u32;
    let mut index = Index::new(Limits::default());
    let mut store = MemoryStore::default();
    for n in 0..count {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        let arrival = Arrival { peer: PeerId::from_bytes(key), ..arrival(1, &[]) };
        let session = index.arrive(NOW, arrival).unwrap().session;
        index.register(NOW, session, &[file(&n.to_string(), 1)], false, false).unwrap();
    }
    store.apply(&index.take_changes()).unwrap();
    let mut index = Index::restore(Limits::default(), store.load().unwrap(), NOW);
    let late = NOW + 40 * 24 * 3_600_000;
    let mut steps = 0;
    loop {
        let before = index.counts().files;
        let done = index.work(late, WORK_SLICE);
        assert!(done.looked <= WORK_SLICE && before - index.counts().files <= WORK_SLICE);
        steps += 1;
        if !done.more {
            break;
        }
    }
    assert_eq!((index.counts().files, index.counts().peers), (0, 0));
    assert!(steps >= 6, "each is looked at, and each is dropped: {steps}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_searches_are_bounded_and_paid_for_by_the_member_that_asks() {
    let mut config = quick();
    config.server.looked = Work { per_s: 1, burst: 600 };
    let tracker = Running::start(config).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let files = files(5000);
    for part in files.chunks(250) {
        seed.must_register(part).await;
    }
    let (mut asker, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let list = |q, query: &str, cursor: &[u8], sort| Request::FileList {
        q,
        query: query.to_owned(),
        cursor: cursor.to_vec(),
        limit: 500,
        sort,
    };
    // The attack of the issue: refused with a word, and without a look at any row.
    let flood = vec!["zz"; MAX_QUERY / 3].join("|");
    let made_up = [&[1u8][..], &[0; 8], &[0; 32]].concat();
    for (query, cursor, sort, code, part) in [
        (flood.as_str(), &[][..], Sort::Name, Code::Limit, "8 alternatives"),
        ("", &made_up, Sort::Size, Code::BadData, "not of this order"),
    ] {
        let q = asker.q();
        match asker.ask(q, &list(q, query, cursor, sort)).await {
            Reply::Error { code: got, text, .. } => {
                assert_eq!(got, code);
                assert!(text.contains(part), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    // Some 256 lists are looked for each: with the third the budget is gone, and it is told for how long.
    let dear = "zz|zy|zx|zw|zv|zu|zt|zs";
    for served in 0..=3 {
        let q = asker.q();
        match asker.ask(q, &list(q, dear, &[], Sort::Name)).await {
            Reply::Files { rows, total, .. } if served < 3 => {
                assert_eq!((rows.len(), total), (0, 0));
            }
            Reply::Error { code: Code::Rate, retry_ms, .. } if served == 3 => {
                assert!((1000..=60_000).contains(&retry_ms), "{retry_ms}");
            }
            other => panic!("{served}: {other:?}"),
        }
    }
    // A new connection of the same key owes the same; everything else is served, to it and to others.
    let (mut asker, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let q = asker.q();
    let again = asker.ask(q, &list(q, dear, &[], Sort::Name)).await;
    assert!(matches!(again, Reply::Error { code: Code::Rate, .. }), "{again:?}");
    asker.sync().await;
    let (mut honest, _) = Client::connect(&tracker.join, &Who::new(3)).await;
    assert_eq!(honest.names("004999 rows").await, ["004999 of the rows"]);
    tracker.stop().await;
}
