//! A5: folders are found by the names of the files inside, if their owner tells them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::support::{Client, Running, Who, digest, file, folder_of, id, quick};
use common::fold::fold;
use common::id::{ContentId, PeerId};
use common::limits::{MAX_FIND_PATHS, MAX_FIND_ROWS, MAX_TRACKER_FRAME};
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Request};
use proptest::prelude::*;
use tracker::index::{Arrival, Find, Found, Index, Limits, SessionId, Taken, Told};
use tracker::store::{MemoryStore, MetaStore};
use tracker::{Config, Work};

const NOW: u64 = 1_700_000_000_000;

fn arrive(index: &mut Index, n: u8, shares: &[FileMeta]) -> SessionId {
    let ip = IpAddr::from([10, 0, 0, n]);
    let (peer, nick) = (PeerId::from_bytes([n; 32]), String::new());
    let digest = digest(shares);
    let arrival = Arrival { peer, nick, observed: ip, via: ip, port: 7, local: vec![], digest };
    let session = index.arrive(NOW, arrival).unwrap().session;
    settle(index);
    session
}

fn settle(index: &mut Index) {
    while index.work(NOW, 500).more {}
}

fn told(meta: &FileMeta, manifest: &[u8]) -> Told {
    Told::read(manifest, &meta.descriptor).unwrap()
}

/// Registers a folder and tells the names inside.
fn share(index: &mut Index, peer: SessionId, name: &str, paths: &[&str]) -> ContentId {
    let (meta, manifest) = folder_of(name, paths);
    index.register(NOW, peer, std::slice::from_ref(&meta), false, false).unwrap();
    assert_eq!(index.offer_names(peer, &[id(&meta)], false).unwrap(), [id(&meta)]);
    index.give_names(peer, &id(&meta), told(&meta, &manifest)).unwrap();
    settle(index);
    id(&meta)
}

fn all(index: &Index, query: &str) -> Vec<(String, Vec<String>, u32)> {
    let found = index.find_all(query, MAX_FIND_ROWS).unwrap();
    found.rows.into_iter().map(|found| (found.row.meta.name, found.paths, found.files)).collect()
}

fn names(index: &Index, query: &str) -> Vec<String> {
    all(index, query).into_iter().map(|(name, ..)| name).collect()
}

#[test]
fn a5_a_folder_is_found_by_a_file_inside_and_says_which() {
    let mut index = Index::new(Limits::default());
    let peer = arrive(&mut index, 1, &[]);
    share(&mut index, peer, "Holiday", &["2019/Caf\u{e9}.JPG", "2019/beach.jpg", "notes.txt"]);
    share(&mut index, peer, "music", &["a/beach boys.mp3", "b/beach.mp3", "c/beach.mp3", "beach"]);
    let one = |paths: &[&str], files| -> Vec<(String, Vec<String>, u32)> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        vec![("Holiday".to_owned(), paths, files)]
    };
    assert_eq!(all(&index, "cafe"), one(&["2019/Caf\u{e9}.JPG"], 1));
    assert_eq!(all(&index, "JPG 2019"), one(&["2019/Caf\u{e9}.JPG", "2019/beach.jpg"], 2));
    // Some of the words may be in the folder's name instead.
    assert_eq!(all(&index, "holiday beach"), one(&["2019/beach.jpg"], 1));
    assert_eq!(all(&index, "holiday mp3"), []);
    assert_eq!(names(&index, "holiday"), [""; 0], "that is found by its name");
    // Words of different files do not make one.
    assert_eq!(names(&index, "notes jpg"), [""; 0]);
    assert_eq!(names(&index, "notes|beach boys"), ["Holiday", "music"]);
    let music = index.find_all("beach mp3", 1).unwrap();
    assert_eq!((music.rows[0].paths.len(), music.rows[0].files), (MAX_FIND_PATHS, 3));
    // Too short to look for, alone.
    for query in ["", "2", "xt", "a|b", "jp 20"] {
        assert_eq!(names(&index, query), [""; 0], "{query:?}");
    }
    assert_eq!(index.find_all("a b c d e f g h i", 1).unwrap_err().code, Code::Limit);
}

#[test]
fn a5_only_who_shares_a_folder_tells_its_names_and_they_go_with_its_share() {
    let mut index = Index::new(Limits::default());
    let [ann, bob] = [1, 2].map(|n| arrive(&mut index, n, &[]));
    let (meta, manifest) = folder_of("f", &["inside.txt"]);
    let (id, both) = (id(&meta), [meta.clone()]);
    index.register(NOW, ann, &both, false, false).unwrap();
    // Bob does not share it.
    assert_eq!(index.offer_names(bob, &[id], false).unwrap(), []);
    index.give_names(bob, &id, told(&meta, &manifest)).unwrap();
    assert_eq!((names(&index, "inside"), index.looked_into()), (vec![], 0));
    assert_eq!(index.offer_names(ann, &[id], false).unwrap(), [id]);
    index.give_names(ann, &id, told(&meta, &manifest)).unwrap();
    settle(&mut index);
    assert_eq!(names(&index, "inside"), ["f"]);
    // Known: not wanted of others, who cannot take them back either.
    index.register(NOW, bob, &both, false, false).unwrap();
    assert_eq!(index.offer_names(bob, &[id], false).unwrap(), []);
    index.offer_names(bob, &[id], true).unwrap();
    assert_eq!(names(&index, "inside"), ["f"]);
    index.offer_names(ann, &[id], true).unwrap();
    assert_eq!((names(&index, "inside"), index.taken().names), (vec![], 0));
    index.give_names(bob, &id, told(&meta, &manifest)).unwrap();
    settle(&mut index);
    assert_eq!(names(&index, "inside"), ["f"]);
    index.unregister(bob, &[id]).unwrap();
    assert_eq!((index.counts().files, names(&index, "inside")), (1, vec![]));
    index.unregister(ann, &[id]).unwrap();
    settle(&mut index);
    assert_eq!((index.looked_into(), index.taken().names), (0, 0));
    let file = file("x", 5);
    index.register(NOW, ann, std::slice::from_ref(&file), false, false).unwrap();
    assert_eq!(index.offer_names(ann, &[file.descriptor.id()], false).unwrap(), [], "no folder");
}

/// A folder of many names, another one for each number.
fn big(n: u32) -> (FileMeta, Vec<u8>) {
    let paths: Vec<String> = (0..300).map(|m| format!("{:x}", (n + m) * m * 7919)).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    folder_of(&format!("big {n}"), &paths)
}

/// Registers one and tells its names; whether it was asked for them, and what they take if they were taken.
fn tell_big(index: &mut Index, peer: SessionId, n: u32) -> (bool, Result<u64, Code>) {
    let (meta, manifest) = big(n);
    let before = index.taken().names;
    index.register(NOW, peer, std::slice::from_ref(&meta), false, false).unwrap();
    let wanted = index.offer_names(peer, &[id(&meta)], false).unwrap();
    let given = index.give_names(peer, &id(&meta), told(&meta, &manifest));
    settle(index);
    let taken = index.taken().names - before;
    (!wanted.is_empty(), given.map(|_| taken).map_err(|refusal| refusal.code))
}

#[test]
fn a5_names_are_bounded_for_each_peer_each_address_and_all() {
    let world = |limits| {
        let mut index = Index::new(limits);
        let peers = [1, 2].map(|n| arrive(&mut index, n, &[]));
        (index, peers)
    };
    let (mut index, [ann, _]) = world(Limits::default());
    let (wanted, given) = tell_big(&mut index, ann, 0);
    let taken = given.unwrap();
    assert!(wanted && (4_000..40_000).contains(&taken), "{taken}");
    assert!(index.taken().bytes > taken, "they count among all bytes too");
    // One peer.
    let (mut index, [ann, bob]) =
        world(Limits { names_per_peer: taken + taken / 2, ..Limits::default() });
    assert!(tell_big(&mut index, ann, 0).1.is_ok());
    assert_eq!(tell_big(&mut index, ann, 1).1, Err(Code::Limit));
    assert!(tell_big(&mut index, bob, 2).1.is_ok());
    // All.
    let (mut index, [ann, bob]) = world(Limits { names: 2 * taken + 1000, ..Limits::default() });
    assert!(tell_big(&mut index, ann, 0).1.is_ok());
    assert_eq!(tell_big(&mut index, bob, 1).1, Err(Code::Limit));
    let (mut index, [ann, _]) = world(Limits { names: 5000, ..Limits::default() });
    assert_eq!(tell_big(&mut index, ann, 0), (false, Err(Code::Limit)), "nor asked for in vain");
    // One address, while more than half are taken.
    let (mut index, [ann, bob]) = world(Limits { names: 8 * taken, ..Limits::default() });
    let given: Vec<bool> = (0..6).map(|n| tell_big(&mut index, ann, n).1.is_ok()).collect();
    assert_eq!(given, [true, true, true, false, false, false]);
    assert!(tell_big(&mut index, bob, 10).1.is_ok());
}

#[test]
fn a5_names_outlive_a_restart_and_nothing_is_left_of_what_an_older_tracker_did() {
    let mut index = Index::new(Limits::default());
    let [ann, bob] = [1, 2].map(|n| arrive(&mut index, n, &[]));
    let first = share(&mut index, ann, "first", &["one of the files"]);
    let second = share(&mut index, bob, "second", &["another of the files"]);
    let mut store = MemoryStore::default();
    store.apply(&index.take_changes()).unwrap();
    let saved = store.load().unwrap();
    let mut index = Index::restore(Limits::default(), saved.clone(), NOW);
    assert_eq!(names(&index, "of the files"), [""; 0], "not read yet");
    let before = index.taken();
    while let Some((id, packed)) = index.unread_names() {
        index.names_read(&id, Told::kept(packed).ok());
    }
    settle(&mut index);
    assert_eq!(names(&index, "of the files"), ["first", "second"]);
    assert_eq!((index.taken(), index.take_changes()), (before, vec![]));
    // An older tracker took the second share back and did not know of its names; those of the first cannot be read.
    let mut saved = saved;
    saved.shares.retain(|(_, id, _)| *id != second);
    for (id, record) in &mut saved.names {
        if *id == first {
            record.packed = b"rubbish".as_slice().into();
        }
    }
    let mut index = Index::restore(Limits::default(), saved, NOW);
    while let Some((id, packed)) = index.unread_names() {
        index.names_read(&id, Told::kept(packed).ok());
    }
    settle(&mut index);
    store.apply(&index.take_changes()).unwrap();
    assert_eq!((index.looked_into(), index.taken().names), (0, 0));
    assert_eq!(store.load().unwrap().names, []);
}

/// In slices of which none is long.
fn in_slices(index: &Index, query: &str, limit: usize) -> Found {
    let mut find: Find = index.find(query, limit).unwrap();
    loop {
        let before = find.looked();
        let found = index.advance_find(&mut find);
        // Beside what a slice may be, what one word costs and what each row of the answer does.
        let most = 2 * 4096 + 5 * MAX_FIND_ROWS;
        assert!(find.looked() - before <= most, "{}", find.looked() - before);
        if let Some(found) = found {
            return found;
        }
        find.look();
    }
}

#[test]
fn a5_twenty_thousand_folders_are_searched_in_slices_and_an_answer_fits_its_frame() {
    let mut index = Index::new(Limits { per_group: None, ..Limits::default() });
    let [ann, bob] = [1, 2].map(|n| arrive(&mut index, n, &[]));
    for n in 0..20_000u32 {
        let paths = [format!("track {n:05}.flac"), format!("cover {}.jpg", n % 10)];
        let (meta, manifest) = folder_of(&format!("album {n}"), &[&paths[0], &paths[1]]);
        let owner = if n < 10_000 { ann } else { bob };
        index.register(NOW, owner, std::slice::from_ref(&meta), false, false).unwrap();
        index.give_names(owner, &id(&meta), told(&meta, &manifest)).unwrap();
    }
    settle(&mut index);
    assert_eq!(in_slices(&index, "track 12345", 100).rows.len(), 1);
    let many = in_slices(&index, "track|cover", 100);
    assert_eq!((many.rows.len(), many.more), (100, true));
    assert_eq!(in_slices(&index, "nowhere", 100), Found { rows: vec![], more: false });
    let long: Vec<String> =
        (0..3).map(|n| format!("{n}{}", format!("/{}", "x".repeat(254)).repeat(15))).collect();
    for n in 0..40 {
        let paths: Vec<&str> = long.iter().map(String::as_str).collect();
        share(&mut index, ann, &format!("{n}{}", "n".repeat(250)), &paths);
    }
    let Found { rows, more } = in_slices(&index, "xxxxxxx", 100);
    assert!(more && !rows.is_empty());
    let reply = Reply::Found { q: 1, rows, more };
    assert!(reply.body().len() < MAX_TRACKER_FRAME, "{}", reply.body().len());
    assert_eq!(Reply::decode(reply.kind(), &reply.body()), Ok(Some(reply)));
}

#[derive(Debug, Clone)]
enum Op {
    Share { peer: usize, folder: usize },
    Tell { peer: usize, folder: usize },
    Withdraw { peer: usize, folder: usize },
    Unshare { peer: usize, folder: usize },
    Work(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let (peer, folder) = (0usize..2, 0usize..6);
    prop_oneof![
        4 => (peer.clone(), folder.clone()).prop_map(|(peer, folder)| Op::Share { peer, folder }),
        6 => (peer.clone(), folder.clone()).prop_map(|(peer, folder)| Op::Tell { peer, folder }),
        1 => (peer.clone(), folder.clone()).prop_map(|(peer, folder)| Op::Withdraw { peer, folder }),
        2 => (peer, folder).prop_map(|(peer, folder)| Op::Unshare { peer, folder }),
        2 => (1usize..9).prop_map(Op::Work),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a5_what_is_found_is_what_one_finds_who_looks_at_every_file(
        folders in proptest::collection::vec(("[abAB\u{e9}]{1,4}", proptest::collection::btree_set("[abAB\u{e9}]{1,5}(/[abc]{1,4})?", 1..5)), 6),
        ops in proptest::collection::vec(op(), 0..40),
        words in proptest::collection::vec("[abc\u{e9}]{1,4}", 1..3),
    ) {
        let made: Vec<_> = folders.iter().enumerate().map(|(n, (name, paths))| {
            // What lies below a file would be no folder; and each is another one.
            let paths: Vec<String> = paths.iter().enumerate().map(|(m, path)| format!("{m}{n}/{path}")).collect();
            let list: Vec<&str> = paths.iter().map(String::as_str).collect();
            let (meta, manifest) = folder_of(name, &list);
            (meta, manifest, name.clone(), paths.clone())
        }).collect();
        let mut index = Index::new(Limits { looks: 3, ..Limits::default() });
        let peers = [1, 2].map(|n| arrive(&mut index, n, &[]));
        let mut shared: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut teller: BTreeMap<usize, usize> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Share { peer, folder } => {
                    index.register(NOW, peers[peer], std::slice::from_ref(&made[folder].0), false, false).unwrap();
                    let owners = shared.entry(folder).or_default();
                    if !owners.contains(&peer) { owners.push(peer) }
                }
                Op::Tell { peer, folder } => {
                    let (meta, manifest, ..) = &made[folder];
                    index.give_names(peers[peer], &id(meta), told(meta, manifest)).unwrap();
                    if shared.get(&folder).is_some_and(|owners| owners.contains(&peer)) {
                        teller.entry(folder).or_insert(peer);
                    }
                }
                Op::Withdraw { peer, folder } => {
                    index.offer_names(peers[peer], &[id(&made[folder].0)], true).unwrap();
                    if teller.get(&folder) == Some(&peer) { teller.remove(&folder); }
                }
                Op::Unshare { peer, folder } => {
                    index.unregister(peers[peer], &[id(&made[folder].0)]).unwrap();
                    shared.entry(folder).or_default().retain(|owner| *owner != peer);
                    if teller.get(&folder) == Some(&peer) { teller.remove(&folder); }
                }
                Op::Work(budget) => drop(index.work(NOW, budget)),
            }
        }
        settle(&mut index);
        let query = words.join(" ");
        let words: Vec<String> = words.iter().map(|word| fold(word)).collect();
        let mut want: Vec<(ContentId, u32)> = Vec::new();
        for folder in teller.keys() {
            let (meta, _, name, paths) = &made[*folder];
            let name = fold(name);
            let fits = |path: &&String| {
                let path = fold(path);
                words.iter().all(|word| path.contains(word.as_str()) || name.contains(word.as_str()))
                    && words.iter().any(|word| path.contains(word.as_str()))
            };
            // What the folder's name has is not asked of the file too.
            let files = paths.iter().filter(fits).count();
            if files > 0 && words.iter().any(|word| word.len() >= 3) {
                want.push((id(meta), u32::try_from(files).unwrap()));
            }
        }
        want.sort();
        let found = index.find_all(&query, MAX_FIND_ROWS).unwrap();
        let mut got: Vec<(ContentId, u32)> =
            found.rows.iter().map(|found| (found.row.meta.descriptor.id(), found.files)).collect();
        got.sort();
        prop_assert_eq!(got, want);
        // And nothing is left of what is gone.
        for (folder, owners) in &shared {
            for peer in owners { index.unregister(peers[*peer], &[id(&made[*folder].0)]).unwrap(); }
        }
        settle(&mut index);
        prop_assert_eq!((index.looked_into(), index.taken().names), (0, 0));
        prop_assert_eq!(index.counts().files, 0);
        prop_assert_eq!(Taken { peers: 2, ..Taken::default() }.names, index.taken().names);
    }
}

fn on_disk(dir: &std::path::Path) -> Config {
    Config { state_dir: Some(dir.to_owned()), ..quick() }
}

/// Until a folder is found: its names are entered soon after they were told.
async fn until_found(client: &mut Client, query: &str) -> Vec<(String, Vec<String>, u32)> {
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let found = client.find(query).await;
        if !found.is_empty() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{query} is not found");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_names_are_told_and_looked_for_over_the_wire_and_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = on_disk(dir.path());
    config.server.looked = Work { per_s: 1_000_000, burst: 2_000_000 };
    let tracker = Running::start(config.clone()).await;
    let (mut ann, welcome) = Client::connect(&tracker.join, &Who::new(1)).await;
    assert!(welcome.looks_inside);
    let (meta, manifest) = folder_of("photos", &["2024/sunrise.jpg", "2024/sunset.jpg"]);
    ann.must_register(std::slice::from_ref(&meta)).await;
    assert_eq!(ann.offer_names(&[id(&meta)], false).await, [id(&meta)]);
    // The list of another folder, and none at all.
    let (_, other) = folder_of("other", &["free money.exe"]);
    for wrong in [&other[..], b"", b"\xff\xff"] {
        let reply = ann.give_names(id(&meta), wrong).await;
        assert!(matches!(reply, Reply::Error { code: Code::BadData, .. }), "{reply:?}");
    }
    let reply = ann.give_names(id(&meta), &manifest).await;
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    assert_eq!(ann.offer_names(&[id(&meta)], false).await, [], "known now");
    let (mut bob, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let want = [("photos".to_owned(), vec!["2024/sunset.jpg".to_owned()], 1)];
    assert_eq!(until_found(&mut bob, "sunset").await, want);
    assert_eq!(bob.find("free money").await, []);
    tracker.stop().await;

    let tracker = Running::start(config).await;
    let (mut bob, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    assert_eq!(until_found(&mut bob, "sunset").await, want);
    let (mut ann, _) =
        Client::connect(&tracker.join, &Who::sharing(1, std::slice::from_ref(&meta))).await;
    assert_eq!(ann.offer_names(&[id(&meta)], false).await, [], "nothing is told twice");
    ann.offer_names(&[id(&meta)], true).await;
    assert_eq!(bob.find("sunset").await, []);
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_searches_inside_are_paid_for_as_others_are() {
    let mut config = quick();
    config.server.looked = Work { per_s: 1, burst: 20 };
    let tracker = Running::start(config).await;
    let (mut ann, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let paths: Vec<String> = (0..100).map(|n| format!("a file with a long name {n}")).collect();
    let (meta, manifest) = folder_of("f", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    ann.must_register(std::slice::from_ref(&meta)).await;
    let reply = ann.give_names(id(&meta), &manifest).await;
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    let find = |q| Request::Find { q, query: "long name 77".to_owned(), limit: 1 };
    let (mut looked, mut refused) = (0, 0);
    while refused == 0 {
        let q = ann.q();
        match ann.ask(q, &find(q)).await {
            Reply::Found { .. } => looked += 1,
            Reply::Error { code: Code::Rate, .. } => refused += 1,
            other => panic!("{other:?}"),
        }
        assert!(looked < 60, "as many as the count of requests lets pass");
    }
    let q = ann.q();
    let list = Request::FileList {
        q,
        query: String::new(),
        cursor: vec![],
        limit: 1,
        sort: common::wire::tracker::Sort::Name,
    };
    let reply = ann.ask(q, &list).await;
    assert!(matches!(reply, Reply::Error { code: Code::Rate, .. }), "{reply:?}");
    ann.sync().await;
    tracker.stop().await;
}
