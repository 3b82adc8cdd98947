//! S5: who may take how much of a tracker, and for how long what is left of the departed stays.

use std::net::IpAddr;

use crate::support::{digest, file, id, progress};
use common::hash::sha256_concat;
use common::id::PeerId;
use common::net::AddrGroup;
use common::wire::Code;
use common::wire::tracker::FileMeta;
use proptest::prelude::*;
use tracker::index::{
    Arrival, Expelled, Expulsion, GroupLimits, Index, Limits, Progress, Refusal, SessionId, Taken,
    WORK_SLICE,
};
use tracker::record::{Change, FileRecord, PeerRecord, Saved, Target};
use tracker::store::{MemoryStore, MetaStore};

const NOW: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;

fn key(n: u32) -> PeerId {
    PeerId::from_bytes(*sha256_concat(&[&n.to_be_bytes()]).as_bytes())
}

/// The `n`th address.
fn at(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn group(n: u8) -> AddrGroup {
    AddrGroup::of(at(n))
}

fn arrive(index: &mut Index, now: u64, n: u32, from: IpAddr) -> Result<SessionId, Refusal> {
    let (observed, via) = (from, at(0));
    let (nick, local, digest) = (String::new(), vec![], digest(&[]));
    let arrival = Arrival { peer: key(n), nick, observed, via, port: 7, local, digest };
    Ok(index.arrive(now, arrival)?.session)
}

/// Registers files one by one until one is refused; returns how many were taken.
fn fill(index: &mut Index, session: SessionId, files: &[FileMeta]) -> (usize, Option<Refusal>) {
    for (n, one) in files.iter().enumerate() {
        if let Err(refusal) = index.register(NOW, session, std::slice::from_ref(one), false, false)
        {
            return (n, Some(refusal));
        }
    }
    (files.len(), None)
}

/// Carries a command about somebody out.
fn expel(index: &mut Index, mut expulsion: Expulsion) -> Expelled {
    while index.expel_some(NOW, &mut expulsion) {}
    expulsion.expelled
}

/// Does all that is under way.
fn work(index: &mut Index, now: u64) {
    while index.work(now, WORK_SLICE).more {}
}

/// A row that an older tracker stored.
fn record(share: &FileMeta) -> FileRecord {
    FileRecord {
        descriptor: share.descriptor,
        name: share.name.clone(),
        total: share.total,
        chunks: share.chunks,
        first_seen: 1,
        only: None,
        origin: None,
    }
}

fn files(of: &str, count: usize) -> Vec<FileMeta> {
    (0..count).map(|n| file(&format!("{of} {n}"), 1)).collect()
}

/// 1/1000 of the real ones.
fn small() -> Limits {
    Limits { files_per_peer: 100, peers: 1000, rows: 2000, ..Limits::default() }
}

#[test]
fn s5_twenty_keys_of_one_address_leave_half_of_the_rows_to_others() {
    let mut index = Index::new(small());
    let (mut taken, mut last) = (0, None);
    for n in 0..20 {
        let session = arrive(&mut index, NOW, n, at(1)).unwrap();
        let (more, refusal) = fill(&mut index, session, &files(&format!("junk {n}"), 100));
        taken += more;
        last = refusal.or(last);
    }
    assert_eq!(taken, 1000);
    let refusal = last.unwrap();
    assert_eq!(refusal.code, Code::Limit);
    assert!(refusal.text.contains("address 192.0.2.1 has 1000 of 2000 contents"), "{refusal}");
    assert!(refusal.text.contains("may have 500"), "{refusal}");
    assert_eq!(refusal.retry_ms, 600_000, "there may be room later");
    // What is known already is no new row, also for the one who is refused.
    let again = arrive(&mut index, NOW, 100, at(1)).unwrap();
    index.register(NOW, again, &files("junk 0", 50), false, false).unwrap();
    // An honest peer of another address has all that a key may have.
    let honest = arrive(&mut index, NOW, 101, at(2)).unwrap();
    assert_eq!(fill(&mut index, honest, &files("honest", 100)), (100, None));
    // Who takes from ever more addresses gets ever less, and never the last row: ten of them leave some
    // part in 44.
    for n in 0..10u8 {
        for k in 0..10 {
            let session = arrive(&mut index, NOW, 1000 + u32::from(n) * 10 + k, at(10 + n));
            let Ok(session) = session else { continue };
            fill(&mut index, session, &files(&format!("more {n} {k}"), 100));
        }
    }
    let left = 2000 - index.taken().rows;
    assert!((40..70).contains(&left), "{left}");
    let late = arrive(&mut index, NOW, 102, at(200)).unwrap();
    assert_eq!(fill(&mut index, late, &files("late", 1)), (1, None));
    // The one with most is told that it is not for him.
    let refusal = fill(&mut index, again, &files("greedy", 1)).1.unwrap();
    assert!(refusal.text.contains("is for those who have less"), "{refusal}");
}

#[test]
fn s5_a_key_that_has_more_than_what_is_left_gets_none_of_it_where_addresses_do_not_count() {
    // Closed, and a key may have half of all.
    let limits = Limits { files_per_peer: 1000, per_group: None, ..small() };
    let mut index = Index::new(limits);
    let sessions: Vec<_> = (0..3).map(|n| arrive(&mut index, NOW, n, at(1)).unwrap()).collect();
    assert_eq!(fill(&mut index, sessions[0], &files("a", 1000)).0, 1000);
    let (b, refusal) = fill(&mut index, sessions[1], &files("b", 1000));
    // x = 4 (1000 - x)^2 / 2000
    assert_eq!(b, 500);
    let text = refusal.unwrap().text;
    assert!(text.contains("you have 500 of 2000 contents") && text.contains("(500)"), "{text}");
    assert_eq!(fill(&mut index, sessions[2], &files("c", 1000)).0, 190);
}

#[test]
fn s5_long_names_count_as_what_they_take() {
    let limits = Limits { bytes: 1 << 20, bytes_per_peer: 200_000, ..small() };
    let mut index = Index::new(limits);
    let long = |of: &str| -> Vec<FileMeta> {
        files(of, 100)
            .into_iter()
            .map(|meta| FileMeta { name: format!("{}{}", meta.name, "x".repeat(240)), ..meta })
            .collect()
    };
    // 100 names of some 245 bytes, four times each: 113,000 with what an entry takes.
    let session = arrive(&mut index, NOW, 0, at(1)).unwrap();
    assert_eq!(fill(&mut index, session, &long("a")).1, None);
    let before = index.taken();
    index.unregister(session, &long("a").iter().map(id).collect::<Vec<_>>()).unwrap();
    assert_eq!(index.taken().bytes, 700);
    assert!((170_000..180_000).contains(&before.bytes), "{before:?}");
    let mut refusal = None;
    for n in 0..20 {
        let session = arrive(&mut index, NOW, n, at(1)).unwrap();
        refusal = fill(&mut index, session, &long(&n.to_string())).1.or(refusal);
    }
    let refusal = refusal.unwrap();
    assert!(refusal.text.contains("of 1048576 bytes"), "{refusal}");
    let taken = index.taken_by(group(1)).bytes;
    assert!((500_000..=524_288 + 20 * 700).contains(&taken), "{taken}");
    // Chunk sets are not taken over any more, and nobody falls for it.
    let big = FileMeta { name: "a0".to_owned(), ..file("big", 8 << 30) };
    let other = arrive(&mut index, NOW, 50, at(2)).unwrap();
    index.register(NOW, other, std::slice::from_ref(&big), false, false).unwrap();
    let chunks: Vec<u32> = (0..big.chunks).step_by(2).collect();
    let update = progress(&big, &chunks, u32::try_from(chunks.len()).unwrap(), true);
    let session = arrive(&mut index, NOW, 0, at(1)).unwrap();
    let before = index.taken_by(group(1));
    assert_eq!(index.chunk_register(session, Progress::read(&[update]).unwrap()), Ok(vec![]));
    assert_eq!(index.taken_by(group(1)), before);

    // By key, also far below half.
    let mut index = Index::new(Limits { bytes_per_peer: 50_000, ..small() });
    let session = arrive(&mut index, NOW, 0, at(1)).unwrap();
    let (taken, refusal) = fill(&mut index, session, &long("a"));
    assert!((40..45).contains(&taken), "{taken}");
    assert!(refusal.unwrap().text.contains("50000 bytes"));
}

#[test]
fn s5_a_list_without_an_end_is_within_the_quota() {
    let mut index = Index::new(small());
    let session = arrive(&mut index, NOW, 0, at(1)).unwrap();
    let mut taken = 0;
    for round in 0..20 {
        // Begins a full list again and again, and never ends one.
        let part = files(&round.to_string(), 50);
        match index.register(NOW, session, &part, true, true) {
            Ok(_) => taken += part.len(),
            Err(refusal) => assert_eq!(refusal.code, Code::Limit),
        }
    }
    assert_eq!(taken, 200, "an old list and the new one");
    // Other shares instead of all that it had are fine.
    index.register(NOW, session, &files("0", 50), false, true).unwrap();
    index.register(NOW, session, &files("new", 100), false, true).unwrap();
    assert_eq!(index.counts().files, 100);
}

#[test]
fn s5_496_new_keys_a_second_keep_nobody_else_out() {
    let limits = Limits { peers: 10_000, ..Limits::default() };
    let mut index = Index::new(limits);
    let (mut refused, mut honest) = (0u32, 0);
    for second in 0..300u32 {
        let now = NOW + u64::from(second) * 1000;
        for n in 0..496 {
            let n = 1_000_000 + second * 496 + n;
            match arrive(&mut index, now, n, at(1)) {
                Ok(session) => {
                    // Something to be remembered by; then the next key's turn.
                    let share = file(&n.to_string(), 1);
                    let _ = index.register(now, session, &[share], false, false);
                    index.depart(now, session);
                }
                Err(refusal) => {
                    assert_eq!(refusal.code, Code::Busy);
                    assert!(refusal.text.contains("192.0.2.1"), "{refusal}");
                    refused += 1;
                }
            }
        }
        // Twenty other machines come, one address each; one of them every 15 seconds.
        if second % 15 == 7 {
            let session = arrive(&mut index, now, second, at(100 + honest)).unwrap();
            index.register(now, session, &files(&format!("h{second}"), 20), false, false).unwrap();
            honest += 1;
        }
        index.tick(now);
        index.take_changes();
    }
    assert_eq!(honest, 20);
    let taken = index.taken_by(group(1)).peers;
    assert!((4_990..=5_000).contains(&taken), "{taken}: half of all");
    assert!(refused > 140_000, "{refused}");
}

#[test]
fn s5_new_keys_a_minute_are_limited_once_half_of_all_places_are_taken() {
    let per_group = GroupLimits { peers: 5_000, new_keys: 100, ..GroupLimits::default() };
    let limits = Limits { peers: 10_000, per_group: Some(per_group), ..Limits::default() };
    let mut index = Index::new(limits);
    // Below half, nobody counts.
    for n in 0..5_001 {
        arrive(&mut index, NOW, n, at(u8::try_from(n % 200).unwrap())).unwrap();
    }
    let come = |index: &mut Index, now, from: u32| -> usize {
        (0..300).filter(|n| arrive(index, now, from + n, at(250)).is_ok()).count()
    };
    let minute = NOW / 60_000 * 60_000;
    assert_eq!(come(&mut index, minute + 60_000, 10_000), 100);
    let refusal = arrive(&mut index, minute + 119_999, 20_000, at(250)).unwrap_err();
    assert!(refusal.text.contains("100 new peers in this minute"), "{refusal}");
    assert!(arrive(&mut index, minute + 119_999, 20_001, at(249)).is_ok(), "another address");
    assert_eq!(come(&mut index, minute + 120_000, 30_000), 100);
    // Who is known comes and goes as it likes.
    for n in 0..300 {
        arrive(&mut index, minute + 120_000, n, at(250)).unwrap();
    }
}

#[test]
fn s5_200_honest_machines_behind_one_router_are_never_refused() {
    let mut index = Index::new(Limits { peers: 10_000, rows: 80_000, bytes: 100 << 20, ..small() });
    // Others fill more than half of everything, from a few addresses.
    for n in 0..5_200u32 {
        let session =
            arrive(&mut index, NOW, 10_000 + n, at(u8::try_from(n % 30).unwrap())).unwrap();
        index.register(NOW, session, &files(&format!("other {n}"), 8), false, false).unwrap();
    }
    let taken = index.taken();
    assert!(taken.peers > 5_000 && taken.rows > 40_000, "{taken:?}");
    // All switched on in one minute, each with ten files of its own and fifty that all have.
    let common = files("installed everywhere", 50);
    for n in 0..200u32 {
        let session = arrive(&mut index, NOW, n, at(77)).unwrap();
        index.register(NOW, session, &common, false, false).unwrap();
        index.register(NOW, session, &files(&format!("own {n}"), 9), false, false).unwrap();
    }
    assert_eq!(index.taken_by(group(77)).peers, 200);
    assert_eq!(index.taken_by(group(77)).rows, 50 + 200 * 9);
}

#[test]
fn s5_an_address_may_have_a_quarter_of_all_rows_while_others_have_half() {
    let mut index = Index::new(small());
    for n in 0..10 {
        let session =
            arrive(&mut index, NOW, 100 + n, at(1 + u8::try_from(n % 5).unwrap())).unwrap();
        assert_eq!(fill(&mut index, session, &files(&format!("other {n}"), 100)), (100, None));
    }
    let taken: usize = (0..10)
        .map(|n| {
            let session = arrive(&mut index, NOW, n, at(77)).unwrap();
            fill(&mut index, session, &files(&format!("mine {n}"), 100)).0
        })
        .sum();
    assert_eq!(taken, 500);
}

#[test]
fn s5_loopback_and_closed_networks_are_exempt() {
    let come = |limits: Limits, from: IpAddr| -> usize {
        let mut index = Index::new(limits);
        (0..1000).take_while(|n| arrive(&mut index, NOW, *n, from).is_ok()).count()
    };
    let loopback = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(come(small(), loopback), 1000);
    assert_eq!(come(small(), "::1".parse().unwrap()), 1000);
    assert_eq!(come(Limits { per_group: None, ..small() }, at(1)), 1000);
    assert_eq!(come(small(), at(1)), 500, "a stranger's address");
    let per_group = Some(GroupLimits { loopback: true, ..GroupLimits::default() });
    assert_eq!(come(Limits { per_group, ..small() }, loopback), 500);
}

#[test]
fn s5_addresses_of_one_slash_64_count_as_one() {
    let mut index = Index::new(small());
    let ip = |net: u16, host: u32| -> IpAddr {
        let [a, b, c, d] = host.to_be_bytes();
        let (low, high) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, low, high])
    };
    let come = |index: &mut Index, net| -> usize {
        let base = u32::from(net) * 10_000;
        (0..1000).filter(|n| arrive(index, NOW, base + n, ip(net, *n)).is_ok()).count()
    };
    assert_eq!(come(&mut index, 1), 500);
    // x = 4 (500 - x)^2 / 1000
    assert_eq!(come(&mut index, 2), 250);
    assert!(arrive(&mut index, NOW, 99_999, ip(3, 1)).is_ok());
}

#[test]
fn s5_what_only_one_address_ever_had_is_kept_for_hours_and_the_rest_for_weeks() {
    let mut index = Index::new(Limits::default());
    let (alone, both) = (file("alone", 1), file("both", 1));
    let a = arrive(&mut index, NOW, 1, at(1)).unwrap();
    index.register(NOW, a, &[alone.clone(), both.clone()], false, false).unwrap();
    // A second key at the same address changes nothing.
    let twin = arrive(&mut index, NOW, 2, at(1)).unwrap();
    index.register(NOW, twin, std::slice::from_ref(&alone), false, false).unwrap();
    // One elsewhere does, if only with a part.
    let b = arrive(&mut index, NOW, 3, at(2)).unwrap();
    index.chunk_register(b, Progress::read(&[progress(&both, &[0], 1, true)]).unwrap()).unwrap();
    for session in [a, twin, b] {
        index.depart(NOW, session);
    }
    let rows = |index: &mut Index, now| {
        index.tick(now);
        work(index, now);
        let rows = index.list("", &[], 10, common::wire::tracker::Sort::Name).unwrap().rows;
        rows.into_iter().map(|row| row.meta.name).collect::<Vec<_>>()
    };
    assert_eq!(rows(&mut index, NOW + 11 * HOUR), ["alone", "both"]);
    assert_eq!(rows(&mut index, NOW + 13 * HOUR), ["both"]);
    // Only who still has something is remembered.
    assert_eq!(index.counts().peers, 1);
    assert_eq!(rows(&mut index, NOW + 29 * 24 * HOUR), ["both"]);
    assert_eq!(rows(&mut index, NOW + 31 * 24 * HOUR), [""; 0]);
    assert_eq!(index.taken(), Taken::default());
}

#[test]
fn s5_a_peer_that_was_there_in_between_keeps_its_rows_for_hours_more() {
    let mut index = Index::new(Limits::default());
    let share = file("alone", 1);
    let session = arrive(&mut index, NOW, 1, at(1)).unwrap();
    index.register(NOW, session, std::slice::from_ref(&share), false, false).unwrap();
    index.depart(NOW, session);
    index.tick(NOW + HOUR);
    let later = NOW + 10 * HOUR;
    let digest = digest(std::slice::from_ref(&share));
    let (observed, via, nick, local) = (at(9), at(0), String::new(), vec![]);
    let arrival = Arrival { peer: key(1), nick, observed, via, port: 7, local, digest };
    let back = index.arrive(later, arrival).unwrap();
    assert_eq!(back.share_ok, Some(true));
    index.depart(later, back.session);
    index.tick(later + HOUR);
    index.tick(later + 11 * HOUR);
    assert_eq!(index.counts().files, 1);
    // From another address, but nobody else: it is still only its own.
    index.tick(later + 13 * HOUR);
    assert_eq!(index.counts().files, 0);
}

#[test]
fn s5_a_hundred_thousand_rows_of_the_departed_go_in_slices() {
    let mut index = Index::new(Limits::default());
    let session = arrive(&mut index, NOW, 1, at(1)).unwrap();
    for part in files("f", 20_000).chunks(250) {
        index.register(NOW, session, part, false, false).unwrap();
    }
    index.depart(NOW, session);
    work(&mut index, NOW + HOUR);
    index.take_changes();
    let mut ticks = 0;
    while index.counts().files > 0 {
        let before = index.counts().files;
        index.tick(NOW + 13 * HOUR);
        assert!(before - index.counts().files <= WORK_SLICE);
        ticks += 1;
    }
    // One more to find the reminder, which costs a look.
    assert!((40..=42).contains(&ticks), "{ticks}");
    // Who comes back in between loses no more: what is gone it registers again.
    let session = arrive(&mut index, NOW, 1, at(1)).unwrap();
    index.register(NOW, session, &files("f", 5_000), false, false).unwrap();
    index.depart(NOW, session);
    work(&mut index, NOW + HOUR);
    index.tick(NOW + 13 * HOUR);
    arrive(&mut index, NOW + 13 * HOUR, 1, at(1)).unwrap();
    index.tick(NOW + 14 * HOUR);
    let left = 5_000 - WORK_SLICE;
    assert!((left..=left + 2).contains(&index.counts().files));
}

#[test]
fn s5_a_store_of_an_older_tracker_keeps_its_rows_for_weeks() {
    let share = file("old", 1);
    let saved = Saved {
        files: vec![(id(&share), record(&share))],
        peers: vec![(
            key(1),
            PeerRecord { nick: String::new(), last_seen: NOW / 1000, group: None },
        )],
        shares: vec![(key(1), id(&share), "old".into())],
        ..Saved::default()
    };
    let mut index = Index::restore(Limits::default(), saved, NOW);
    index.tick(NOW + 25 * HOUR);
    assert_eq!(index.counts().files, 1);
    index.tick(NOW + 31 * 24 * HOUR);
    assert_eq!((index.counts().files, index.taken()), (0, Taken::default()));
}

#[test]
fn s5_after_a_crash_who_was_connected_for_weeks_has_a_day_to_come_back() {
    let share = file("old", 1);
    // Stored when it came, two months ago; it was there until the crash.
    let last_seen = (NOW - 60 * 24 * HOUR) / 1000;
    let saved = Saved {
        files: vec![(id(&share), record(&share))],
        peers: vec![(key(1), PeerRecord { nick: String::new(), last_seen, group: None })],
        shares: vec![(key(1), id(&share), "old".into())],
        ..Saved::default()
    };
    let files_at = |limits: Limits, hours: &[u64]| {
        let mut index = Index::restore(limits, saved.clone(), NOW);
        let at = |hours: &u64| {
            index.tick(NOW + hours * HOUR);
            index.counts().files
        };
        hours.iter().map(at).collect::<Vec<_>>()
    };
    assert_eq!(files_at(Limits::default(), &[1, 13, 23, 25]), [1, 1, 1, 0]);
    // Who keeps them for less means it.
    let short = Limits { forget_ms: 2 * HOUR, ..Limits::default() };
    assert_eq!(files_at(short, &[1, 3]), [1, 0]);
}

#[test]
fn s5_who_is_just_being_forgotten_is_told_to_come_back_in_seconds() {
    let mut index = Index::new(Limits::default());
    let session = arrive(&mut index, NOW, 1, at(1)).unwrap();
    index.register(NOW, session, &files("f", 250), false, false).unwrap();
    expel(&mut index, Expulsion::new(Target::Key(key(1))));
    let refusal = arrive(&mut index, NOW, 1, at(1)).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_ms), (Code::Busy, 2_000));
    work(&mut index, NOW);
    arrive(&mut index, NOW, 1, at(1)).unwrap();
}

#[test]
fn s5_bans_of_keys_and_addresses_are_stored_and_end_sessions() {
    let mut index = Index::new(small());
    let mut store = MemoryStore::default();
    let sessions: Vec<_> =
        (0..4u8).map(|n| arrive(&mut index, NOW, n.into(), at(n / 2)).unwrap()).collect();
    for (n, session) in sessions.iter().enumerate() {
        index.register(NOW, *session, &files(&n.to_string(), 3), false, false).unwrap();
    }
    let banned = index.ban(NOW, Target::Address(group(1)), "spam").unwrap();
    let expelled = expel(&mut index, banned);
    let mut closed = expelled.sessions.clone();
    closed.sort_unstable();
    assert_eq!((closed, expelled.items), (sessions[2..].to_vec(), 6));
    let banned = index.ban(NOW, Target::Key(key(0)), "").unwrap();
    let expelled = expel(&mut index, banned);
    assert_eq!(expelled.sessions, sessions[..1]);
    // What they say now is refused at once, and what they had shared goes.
    assert!(index.register(NOW, sessions[0], &files("x", 1), false, false).is_err());
    work(&mut index, NOW);
    assert_eq!((index.counts().files, index.counts().peers), (3, 1));
    let refused = |index: &mut Index, n, from| arrive(index, NOW, n, at(from)).unwrap_err();
    let refusal = refused(&mut index, 77, 1);
    assert_eq!(refusal.code, Code::Revoked);
    assert_eq!(refusal.text, "banned by the owner of this tracker: spam");
    assert_eq!(refused(&mut index, 0, 5).text, "banned by the owner of this tracker");
    store.apply(&index.take_changes()).unwrap();

    let mut index = Index::restore(small(), store.load().unwrap(), NOW);
    assert_eq!(index.bans().count(), 2);
    assert_eq!(refused(&mut index, 78, 1).code, Code::Revoked);
    assert!(index.unban(Target::Address(group(1))));
    assert!(!index.unban(Target::Address(group(1))));
    arrive(&mut index, NOW, 2, at(1)).unwrap();
    store.apply(&index.take_changes()).unwrap();
    let bans = store.load().unwrap().bans;
    assert_eq!(bans.iter().map(|(target, _)| *target).collect::<Vec<_>>(), [Target::Key(key(0))]);
    // Keys are found by how they begin, banned ones too.
    let text = key(0).to_string();
    assert_eq!(index.key_beginning_with(&text[..9]), Ok(key(0)));
    assert_eq!(index.key_beginning_with(&key(2).short()), Ok(key(2)));
    assert_eq!(index.key_beginning_with("0"), Err(0));
    let too_long = index.ban(NOW, Target::Key(key(3)), &"x".repeat(121)).unwrap_err();
    assert_eq!(too_long.code, Code::Limit);
    assert!(!index.take_changes().iter().any(|change| matches!(change, Change::Ban(..))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for: the bounds hold, who has little is never the one refused while there is
    /// room for him, and below half of them no address is.
    #[test]
    fn s5_bounds_hold_and_refusals_go_to_those_with_most(
        asks in proptest::collection::vec((0u32..30, 0u8..6, 1usize..40), 1..150),
    ) {
        let limits = Limits { peers: 40, rows: 600, files_per_peer: 300, ..Limits::default() };
        let mut index = Index::new(limits);
        for (round, (n, from, count)) in asks.into_iter().enumerate() {
            let before = index.taken();
            let mine = index.taken_by(group(from));
            let session = match arrive(&mut index, NOW, n, at(from)) {
                Ok(session) => session,
                Err(_) => {
                    prop_assert!(before.peers >= 20);
                    prop_assert!(mine.peers + 1 > 4 * (39 - before.peers).pow(2) / 40, "{mine:?} {before:?}");
                    continue;
                }
            };
            let before = index.taken();
            let mine = index.taken_by(group(from));
            let wanted = files(&round.to_string(), count);
            let after = before.rows + count;
            match index.register(NOW, session, &wanted, false, false) {
                Ok(_) => prop_assert!(after <= 600),
                Err(_) if after <= 300 => prop_assert!(false, "refused below half"),
                Err(refusal) => {
                    let by_key = refusal.text.contains("you have") || refusal.text.contains("a peer may");
                    let left = 600usize.saturating_sub(after);
                    prop_assert!(by_key || mine.rows + count > (4 * left * left / 600).min(150), "{refusal}");
                }
            }
            let taken = index.taken();
            prop_assert!(taken.rows <= 600 && taken.peers <= 40, "{taken:?}");
        }
    }
}
