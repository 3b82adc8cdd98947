//! One contract for every store, and what each promises beyond it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::net::IpAddr;

use common::content::{Descriptor, Kind};
use common::hash::sha256_concat;
use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use proptest::prelude::*;
use redb::ReadableDatabase as _;
use tracker::record::{BanRecord, Change, FileRecord, PeerRecord, Saved, Target};
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
    (target, BanRecord { reason: reason.to_owned(), since: n.into() })
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
        (0u8..4, "[a-z]{0,3}").prop_map(|(n, reason)| {
            let (target, ban) = ban(n, &reason);
            Change::Ban(target, ban)
        }),
        (0u8..4).prop_map(|n| Change::BanGone(ban(n, "").0)),
    ]
}

fn sorted(mut saved: Saved) -> Saved {
    saved.files.sort_by_key(|(id, _)| *id);
    saved.peers.sort_by_key(|(id, _)| *id);
    saved.shares.sort();
    saved.bans.sort_by_key(|(target, _)| *target);
    saved
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
        Change::Ban(banned, why.clone()),
    ];
    store.apply(&changes).unwrap();
    let want = Saved {
        files: vec![(a, record)],
        peers: vec![(peer(1), known)],
        shares: vec![(peer(1), a, "uno".into())],
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
        Change::PeerGone(peer(1)),
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
fn a_file_of_something_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let error = RedbStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 10_000]);
}
