//! One contract for every store, and what each promises beyond it.

use std::net::IpAddr;

use common::content::{Descriptor, Kind};
use common::hash::sha256_concat;
use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use proptest::prelude::*;
use redb::ReadableDatabase as _;
use tracker::record::{
    BanRecord, Change, FileRecord, InviteRecord, MemberRecord, NamesRecord, PeerRecord, Saved,
    Target,
};
use tracker::store::{MemoryStore, MetaStore, RedbStore, StoreError};

fn file(n: u8, name: &str) -> (ContentId, FileRecord) {
    let descriptor = Descriptor { kind: Kind::File, size: n.into(), root: sha256_concat(&[&[n]]) };
    let record = FileRecord {
        descriptor,
        name: name.to_owned(),
        total: n.into(),
        chunks: 1,
        first_seen: 9,
        only: (n % 2 == 1).then(|| group(n)),
        origin: (n % 4 == 2).then(|| group(n)),
    };
    (descriptor.id(), record)
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

/// IPv4 and IPv6 in turn.
fn group(n: u8) -> AddrGroup {
    let v6 = IpAddr::from([0x2001, 0xdb8, 0, n.into(), 0, 0, 0, 1]);
    AddrGroup::of(if n.is_multiple_of(2) { IpAddr::from([192, 0, 2, n]) } else { v6 })
}

fn ban(n: u8, reason: &str) -> (Target, BanRecord) {
    let target = if n < 2 { Target::Key(peer(n)) } else { Target::Address(group(n)) };
    (target, BanRecord { reason: reason.to_owned(), since: n.into(), revoked: false })
}

fn names(n: u8, grams: u32) -> NamesRecord {
    NamesRecord { by: peer(n), grams, text: 5, packed: vec![n; n.into()].into() }
}

fn change() -> impl Strategy<Value = Change> {
    let name = prop_oneof![Just("a"), Just("b"), Just("naïve 日本")];
    prop_oneof![
        (0u8..4, name.clone()).prop_map(|(n, name)| {
            let (id, record) = file(n, name);
            Change::File(id, record)
        }),
        (0u8..4).prop_map(|n| Change::FileGone(file(n, "").0)),
        (0u8..4, name.clone(), any::<u64>()).prop_map(|(n, nick, last_seen)| {
            let group = (last_seen % 2 == 0).then(|| group(n));
            Change::Peer(peer(n), PeerRecord { nick: nick.to_owned(), last_seen, group })
        }),
        (0u8..4).prop_map(|n| Change::PeerGone(peer(n))),
        (0u8..4, 0u8..4, name).prop_map(|(p, n, name)| Change::Share(
            peer(p),
            file(n, "").0,
            name.into()
        )),
        (0u8..4, 0u8..4).prop_map(|(p, n)| Change::ShareGone(peer(p), file(n, "").0)),
        (0u8..4, any::<u32>()).prop_map(|(n, grams)| Change::Names(file(n, "").0, names(n, grams))),
        (0u8..4).prop_map(|n| Change::NamesGone(file(n, "").0)),
        (0u8..4, "[a-z]{0,3}").prop_map(|(n, reason)| {
            let (target, ban) = ban(n, &reason);
            Change::Ban(target, ban)
        }),
        (0u8..4).prop_map(|n| Change::BanGone(ban(n, "").0)),
        (0u8..4, "[a-z]{0,3}").prop_map(|(n, name)| Change::Member(peer(n), member(&name))),
        (0u8..4).prop_map(|n| Change::MemberGone(peer(n))),
        (0u64..4, any::<u32>()).prop_map(|(n, uses)| Change::Invite(n, invite(uses))),
        (0u64..4).prop_map(Change::InviteGone),
    ]
}

fn sorted(mut saved: Saved) -> Saved {
    saved.files.sort_by_key(|(id, _)| *id);
    saved.peers.sort_by_key(|(id, _)| *id);
    saved.shares.sort();
    saved.names.sort_by_key(|(id, _)| *id);
    saved.members.sort_by_key(|(id, _)| *id);
    saved.invites.sort_by_key(|(number, _)| *number);
    saved.bans.sort_by_key(|(target, _)| *target);
    saved
}

fn member(name: &str) -> MemberRecord {
    MemberRecord { name: name.to_owned(), since: 4, may_share: name.len() % 2 == 1 }
}

fn invite(uses: u32) -> InviteRecord {
    InviteRecord {
        name: "x".to_owned(),
        secret: "0123456789abcdef".to_owned(),
        uses: Some(uses),
        until: uses.is_multiple_of(2).then_some(9),
        since: 3,
        may_share: true,
    }
}

/// What every store must do. `reopen` makes a store on what the last one left.
fn contract(mut reopen: impl FnMut(Option<Box<dyn MetaStore>>) -> Box<dyn MetaStore>) {
    let mut store = reopen(None);
    assert_eq!(store.load().unwrap(), Saved::default(), "a new store is empty");
    let (a, record) = file(1, "one");
    let share = |name: &str| Change::Share(peer(1), a, name.into());
    let known = PeerRecord { nick: "nick".to_owned(), last_seen: 5, group: Some(group(1)) };
    let (banned, why) = ban(2, "spam");
    let changes = [
        Change::File(a, record.clone()),
        Change::Peer(peer(1), known.clone()),
        share("one"),
        share("uno"),
        Change::Names(a, names(9, 8)),
        Change::Names(a, names(3, 7)),
        Change::Member(peer(2), member("ada")),
        Change::Invite(7, invite(2)),
        Change::Invite(7, invite(1)),
        Change::Ban(banned, why.clone()),
    ];
    store.apply(&changes).unwrap();
    let want = Saved {
        files: vec![(a, record)],
        peers: vec![(peer(1), known)],
        shares: vec![(peer(1), a, "uno".into())],
        names: vec![(a, names(3, 7))],
        members: vec![(peer(2), member("ada"))],
        invites: vec![(7, invite(1))],
        bans: vec![(banned, why)],
    };
    assert_eq!(store.load().unwrap(), want, "the last change of a key counts");
    let mut store = reopen(Some(store));
    assert_eq!(store.load().unwrap(), want, "all is there after opening again");
    store.apply(&changes).unwrap();
    assert_eq!(store.load().unwrap(), want, "applying twice does no harm");
    store.apply(&[]).unwrap();
    let gone = [
        Change::ShareGone(peer(1), a),
        Change::FileGone(a),
        Change::NamesGone(a),
        Change::PeerGone(peer(1)),
        Change::MemberGone(peer(2)),
        Change::InviteGone(7),
        Change::BanGone(banned),
    ];
    store.apply(&gone).unwrap();
    store.apply(&gone).unwrap();
    assert_eq!(reopen(Some(store)).load().unwrap(), Saved::default());
}

#[test]
fn memory_keeps_the_contract() {
    contract(|last| last.unwrap_or_else(|| Box::new(MemoryStore::default())));
}

#[test]
fn redb_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    contract(|last| {
        drop(last);
        Box::new(RedbStore::open(&path).unwrap())
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_agree(batches in proptest::collection::vec(proptest::collection::vec(change(), 0..12), 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let mut memory = MemoryStore::default();
        for batch in &batches {
            let mut redb = RedbStore::open(&path).unwrap();
            memory.apply(batch).unwrap();
            redb.apply(batch).unwrap();
            prop_assert_eq!(sorted(redb.load().unwrap()), sorted(memory.load().unwrap()));
        }
    }
}

#[test]
fn a_second_opener_is_told_that_it_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let _first = RedbStore::open(&path).unwrap();
    assert_eq!(RedbStore::open(&path).unwrap_err(), StoreError::Locked { path });
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    drop(RedbStore::open(&path).unwrap());
    let table: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let db = redb::Database::open(&path).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(table).unwrap().insert("schema", 2).unwrap();
    txn.commit().unwrap();
    drop(db);
    let error = RedbStore::open(&path).unwrap_err();
    assert_eq!(error, StoreError::TooNew { path: path.clone(), found: 2, known: 1 });
    let db = redb::Database::open(&path).unwrap();
    let found = db.begin_read().unwrap().open_table(table).unwrap().get("schema").unwrap();
    assert_eq!(found.unwrap().value(), 2);
}

#[test]
fn a_file_of_something_else_is_set_aside_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    // Eleven times: what is kept is bounded.
    for n in 0..11u8 {
        std::fs::write(&path, vec![b'a' + n; 10_000]).unwrap();
        let mut store = RedbStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), Saved::default());
    }
    let kept = |n: u8| std::fs::read(dir.path().join(format!("store.redb.damaged-{n}")));
    assert_eq!(kept(1).unwrap(), vec![b'a'; 10_000]);
    assert_eq!(kept(8).unwrap(), vec![b'h'; 10_000]);
    assert_eq!(kept(9).unwrap(), vec![b'k'; 10_000], "the last one is replaced");
    assert!(kept(10).is_err());
}

/// A first start is killed somewhere while redb makes its file: whatever is there by then has never held anything.
#[test]
fn f6_half_a_database_that_never_held_anything_counts_as_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    drop(RedbStore::open(&path).unwrap());
    let whole = std::fs::read(&path).unwrap();
    let mut half_made = Vec::new();
    for len in [1, 8, 9, 511, 512, 513, 4096, 100_000, whole.len()] {
        half_made.push(vec![0; len]);
        // The header is there, but for the magic number, which comes last.
        let mut header = vec![0; len];
        let end = len.min(320);
        header[..end].copy_from_slice(&whole[..end]);
        header[..9.min(len)].fill(0);
        half_made.push(header);
    }
    for bytes in half_made {
        std::fs::write(&path, &bytes).unwrap();
        let mut store = RedbStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), Saved::default());
        let (id, record) = file(1, "one");
        store.apply(&[Change::File(id, record)]).unwrap();
        drop(store);
        assert_eq!(RedbStore::open(&path).unwrap().load().unwrap().files.len(), 1);
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing was set aside: {} bytes", bytes.len());
    }
}

fn records(n: u32) -> (Vec<Change>, Vec<(ContentId, FileRecord)>) {
    let (target, why) = ban(7, "spam");
    let known = PeerRecord { nick: "n".to_owned(), last_seen: 5, group: Some(group(1)) };
    let mut changes = vec![Change::Ban(target, why), Change::Peer(peer(1), known)];
    let mut files = Vec::new();
    for n in 0..n {
        let (_, model) = file(1, "");
        let root = sha256_concat(&[&n.to_be_bytes()]);
        let descriptor = Descriptor { root, ..model.descriptor };
        let name = format!("{n} {}", "x".repeat(200));
        let record = FileRecord { descriptor, name: name.clone(), ..model };
        files.push((descriptor.id(), record.clone()));
        changes.push(Change::File(descriptor.id(), record));
        changes.push(Change::Share(peer(1), descriptor.id(), name.into()));
    }
    files.sort_by_key(|(id, _)| *id);
    (changes, files)
}

/// Every page of a real store in turn is zeroed, as a dying disk does it. The tracker starts, can write, and
/// believes nothing that was not written.
#[test]
fn f10_no_zeroed_page_stops_the_tracker() {
    const PAGE: usize = 4096;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let (changes, files) = records(200);
    let mut store = RedbStore::open(&path).unwrap();
    // Several commits, so that there are freed pages too.
    changes.chunks(100).for_each(|part| store.apply(part).unwrap());
    drop(store);
    let good = std::fs::read(&path).unwrap();
    let (more, all) = records(260);
    let (mut set_aside, mut bans_lost, mut all_lost) = (0, 0, 0);
    for page in 0..good.len().div_ceil(PAGE) {
        let from = page * PAGE;
        let to = good.len().min(from + PAGE);
        if good[from..to].iter().all(|byte| *byte == 0) {
            continue;
        }
        let mut bad = good.clone();
        bad[from..to].fill(0);
        std::fs::write(&path, &bad).unwrap();
        let mut store = RedbStore::open(&path).unwrap();
        let before = store.load().unwrap();
        let is_true = |one: &(ContentId, FileRecord)| {
            files.binary_search_by_key(&one.0, |(id, _)| *id).is_ok_and(|at| files[at].1 == one.1)
        };
        assert!(before.files.iter().all(is_true), "page {page}");
        // Enough to need new pages, and the lists of those that are free.
        store.apply(&more[changes.len()..]).unwrap();
        store.apply(&[Change::ShareGone(peer(1), files[0].0)]).unwrap();
        drop(store);
        let after = RedbStore::open(&path).unwrap().load().unwrap();
        let added = all.iter().filter(|one| !files.contains(one));
        for (id, _) in added {
            assert!(after.files.iter().any(|(known, _)| known == id), "page {page}: not stored");
        }
        let aside = dir.path().join("store.redb.damaged-1");
        if aside.exists() {
            set_aside += 1;
            bans_lost += usize::from(after.bans.is_empty());
            all_lost += usize::from(before.files.is_empty());
            std::fs::remove_file(aside).unwrap();
        } else {
            assert_eq!(
                (before.files.len(), after.bans.len()),
                (200, 1),
                "page {page}: silently lost"
            );
        }
    }
    println!("{set_aside} set aside, bans lost with {bans_lost}, all files with {all_lost}");
    assert!(set_aside > 10, "{set_aside}");
    // The pages that lead to a table, and its own first one.
    assert!(bans_lost <= 10 && all_lost <= 10, "{bans_lost} {all_lost}");
}
