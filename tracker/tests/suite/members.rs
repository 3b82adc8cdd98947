//! C4: who is in the network, and what one of them shares.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::support::{Client, Running, Who, digest, file, id, progress, quick};
use common::id::PeerId;
use common::limits::{MAX_MEMBER_CURSOR, MAX_MEMBERS, MAX_NICK};
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Request};
use tracker::Work;
use tracker::index::{
    Arrival, Index, Limits, MemberSearch, Members, Progress, SessionId, WORK_SLICE,
};

const NOW: u64 = 1_700_000_000_000;

fn key(n: u32) -> PeerId {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&n.to_be_bytes());
    PeerId::from_bytes(key)
}

fn arrival(n: u32, nick: &str) -> Arrival {
    Arrival {
        peer: key(n),
        nick: nick.to_owned(),
        observed: IpAddr::from([10, 0, 0, 9]),
        via: IpAddr::from([10, 0, 0, 1]),
        port: 7000,
        local: Vec::new(),
        digest: digest(&[]),
    }
}

/// An index of a closed network, in which so many may come from one place.
fn index() -> Index {
    Index::new(Limits { per_group: None, ..Limits::default() })
}

/// A page, and in how many slices it was made.
fn finish(index: &Index, search: &mut MemberSearch) -> (Members, usize) {
    let mut slices = 1;
    loop {
        let before = search.looked();
        let done = index.advance_members(search);
        // Beside each look, what each member in the answer costs.
        assert!(search.looked() - before <= WORK_SLICE + 5 * MAX_MEMBERS);
        match done {
            Some(page) => return (page.unwrap(), slices),
            None => slices += 1,
        }
    }
}

fn page(index: &Index, asker: SessionId, query: &str, cursor: &[u8], limit: usize) -> Members {
    finish(index, &mut index.search_members(asker, query, cursor, limit).unwrap()).0
}

fn nicks(members: &Members) -> Vec<&str> {
    members.members.iter().map(|member| member.nick.as_str()).collect()
}

#[test]
fn c4_pages_go_by_nick_and_whoever_stays_is_listed_exactly_once() {
    let mut index = index();
    let me = index.arrive(NOW, arrival(0, "Me")).unwrap().session;
    let mut sessions: Vec<SessionId> = (1..=300)
        .map(|n| {
            index.arrive(NOW, arrival(n, &format!("Peer {:03}", n * 7 % 300))).unwrap().session
        })
        .collect();
    let (mut seen, mut cursor, mut listed) = (BTreeSet::new(), Vec::new(), 0);
    let mut last = String::new();
    let mut rng = fastrand::Rng::with_seed(4);
    let mut gone = BTreeSet::new();
    for round in 0.. {
        let page = page(&index, me, "", &cursor, 7);
        for member in &page.members {
            let nick = member.nick.to_lowercase();
            assert!(last <= nick, "{last} {nick}");
            last = nick;
            assert!(seen.insert(member.peer), "nobody twice");
            listed += 1;
        }
        if page.cursor.is_empty() {
            break;
        }
        cursor = page.cursor;
        // In between some go, and others come.
        let n = rng.usize(..sessions.len());
        index.depart(NOW, sessions.swap_remove(n));
        index.arrive(NOW, arrival(1000 + round, &format!("peer {:03}", round % 300))).unwrap();
        gone = (0..=300).map(key).filter(|key| !seen.contains(key)).collect();
    }
    assert!(listed > 250 && gone.len() < 50, "{listed}");
    let stayed = page(&index, me, "", &[], MAX_MEMBERS);
    assert_eq!(stayed.total as usize, index.counts().members);
    let here = stayed.members.iter().filter(|member| (0..=300).map(key).any(|k| k == member.peer));
    assert!(here.clone().all(|member| seen.contains(&member.peer)) && here.count() > 100);
}

#[test]
fn c4_fifty_thousand_members_are_searched_in_slices_and_listed_for_what_a_page_holds() {
    let mut index = index();
    let me = index.arrive(NOW, arrival(0, "me")).unwrap().session;
    for n in 1..=50_000 {
        index.arrive(NOW, arrival(n, &format!("node {n:05}"))).unwrap();
    }
    let mut cursor = Vec::new();
    let mut all = 0;
    loop {
        let mut search = index.search_members(me, "", &cursor, MAX_MEMBERS).unwrap();
        assert!(search.is_short());
        let (page, slices) = finish(&index, &mut search);
        assert_eq!(slices, 1);
        assert!(search.looked() <= 6 * MAX_MEMBERS + 1, "{}", search.looked());
        assert_eq!(page.total, 50_001);
        all += page.members.len();
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(all, 50_001);
    // Nobody is called so: all are looked at, and paid for, and the index is free a hundred times in between.
    let mut search = index.search_members(me, "nobody", &[], MAX_MEMBERS).unwrap();
    assert!(!search.is_short());
    let (page, slices) = finish(&index, &mut search);
    assert_eq!((page.members.len(), slices, search.looked()), (0, 101, 50_001));
    // By a part of the nick in any case, and by the beginning of the key.
    assert_eq!(nicks(&self::page(&index, me, "DE 41234", &[], 9)), ["node 41234"]);
    let by_key = self::page(&index, me, &key(777).to_string()[..12], &[], 9);
    assert_eq!(nicks(&by_key), ["node 00777"]);
    // A page of a search goes on behind its last one.
    let first = self::page(&index, me, "node 4", &[], 200);
    let next = self::page(&index, me, "node 4", &first.cursor, 200);
    assert_eq!((nicks(&first)[0], nicks(&next)[0]), ("node 40000", "node 40200"));
}

#[test]
fn c4_only_who_is_here_is_a_member_and_one_lost_for_a_moment_never_went() {
    let mut index = index();
    let me = index.arrive(NOW, arrival(0, "me")).unwrap().session;
    let bob = index.arrive(NOW + 5000, arrival(1, "bob")).unwrap().session;
    let listed = |index: &Index| {
        let page = page(index, me, "", &[], 9);
        page.members.iter().map(|m| (m.nick.clone(), m.since % 100_000)).collect::<Vec<_>>()
    };
    let since = NOW / 1000 % 100_000;
    let both = [("bob".to_owned(), since + 5), ("me".to_owned(), since)];
    assert_eq!(listed(&index), both);
    index.depart(NOW + 6000, bob);
    assert_eq!(listed(&index), both[1..]);
    let bob = index.arrive(NOW + 7000, arrival(1, "bob")).unwrap().session;
    assert_eq!(listed(&index), both, "a moment later it is back, and has been there since");
    index.leave(bob).unwrap();
    assert_eq!(listed(&index), both[1..]);
    index.arrive_again(NOW + 9000, bob, arrival(1, "Ann")).unwrap();
    assert_eq!(listed(&index), [("Ann".to_owned(), since + 9), both[1].clone()]);
    index.arrive_again(NOW + 9000, bob, arrival(1, "zoe")).unwrap();
    assert_eq!(listed(&index)[1].0, "zoe", "another nick is another place");
    index.depart(NOW + 10_000, bob);
    while index.work(NOW + 1_000_000, WORK_SLICE).more {}
    assert_eq!(listed(&index), both[1..]);
    assert_eq!(index.counts().members, 1);
}

#[test]
fn c4_addresses_are_told_as_of_sources() {
    let mut index = index();
    let me = index.arrive(NOW, arrival(0, "me")).unwrap().session;
    let local = vec!["192.168.7.7:7000".parse().unwrap()];
    let neighbour = Arrival { local: local.clone(), ..arrival(1, "near") };
    let far = Arrival { observed: [203, 0, 113, 9].into(), local, ..arrival(2, "far") };
    let deaf = Arrival { port: 0, ..arrival(3, "deaf") };
    for arrival in [neighbour, far, deaf] {
        index.arrive(NOW, arrival).unwrap();
    }
    let page = page(&index, me, "", &[], 9);
    let addrs: Vec<Vec<String>> = page
        .members
        .iter()
        .map(|member| member.addrs.iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(nicks(&page), ["deaf", "far", "me", "near"]);
    assert_eq!(addrs[0], [""; 0], "it listens nowhere");
    assert_eq!(addrs[1], ["203.0.113.9:7000"], "nobody learns what is behind another router");
    assert_eq!(addrs[3], ["10.0.0.9:7000", "192.168.7.7:7000"], "but behind the same one");
}

#[test]
fn c4_what_one_member_shares_is_paged_in_the_order_of_its_entries() {
    let mut index = index();
    let owner = index.arrive(NOW, arrival(1, "owner")).unwrap().session;
    let other = index.arrive(NOW, arrival(2, "other")).unwrap().session;
    let files: Vec<FileMeta> = (0..1200).map(|n| file(&format!("f {n}"), 70_000 + n)).collect();
    for part in files.chunks(200) {
        index.register(NOW, owner, part, false, false).unwrap();
    }
    // What it has in part is no share of it; what others share is none of its.
    let theirs = file("theirs", 5 * 65536);
    index.register(NOW, other, std::slice::from_ref(&theirs), false, false).unwrap();
    let part = [progress(&theirs, &[1], 1, true)];
    index.chunk_register(owner, Progress::read(&part).unwrap()).unwrap();
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), Vec::new(), 0);
    let (gone, new) = (id(&files[900]), file("new", 3));
    loop {
        let found = index.member_files(key(1), &cursor, 500).unwrap();
        assert!(found.looked <= 500 + 5 * 500, "{}", found.looked);
        for row in &found.page.rows {
            assert!(seen.insert(row.meta.descriptor.id()), "nothing twice");
        }
        pages += 1;
        cursor = found.page.cursor;
        if cursor.is_empty() {
            break;
        }
        if pages == 1 {
            assert_eq!(found.page.total, 1200);
            index.unregister(owner, &[gone]).unwrap();
            index.register(NOW, owner, std::slice::from_ref(&new), false, false).unwrap();
        }
    }
    let mut expected: BTreeSet<_> = files.iter().map(id).filter(|id| *id != gone).collect();
    expected.insert(id(&new));
    assert_eq!((seen, pages), (expected, 3));

    let refusal = index.member_files(key(9), &[], 500).unwrap_err();
    assert_eq!(refusal.code, Code::NotMember);
    assert_eq!(index.member_files(key(1), b"rubbish", 500).unwrap_err().code, Code::BadData);
    index.leave(owner).unwrap();
    assert_eq!(index.member_files(key(1), &[], 500).unwrap_err().code, Code::NotMember);
}

#[test]
fn c4_the_longest_rows_and_the_longest_nick_fit_what_they_are_sent_in() {
    let mut index = index();
    let me = index.arrive(NOW, arrival(0, "me")).unwrap().session;
    // The nick that grows most when it is folded, and as many long addresses as there may be.
    let nick: String = "\u{ac01}".repeat(MAX_NICK / 3);
    let local = (0..20).map(|n| format!("[fd00:1:2:3:4:5:6:{n}]:65535").parse().unwrap()).collect();
    for n in 1..=300 {
        let crowd = Arrival { local: Vec::clone(&local), ..arrival(n, &nick) };
        index.arrive(NOW, crowd).unwrap();
    }
    let page = page(&index, me, "", &[], MAX_MEMBERS);
    assert_eq!(page.members.len(), MAX_MEMBERS);
    assert!(page.cursor.len() <= MAX_MEMBER_CURSOR, "{}", page.cursor.len());
    let Members { members, total, cursor } = page;
    let reply = Reply::Members { q: 1, members, total, cursor };
    assert!(reply.body().len() < common::limits::MAX_TRACKER_FRAME / 2);
    assert_eq!(Reply::decode(reply.kind(), &reply.body()), Ok(Some(reply)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_members_are_asked_for_over_the_wire_and_paid_for() {
    let mut config = quick();
    config.server.looked = Work { per_s: 1, burst: 30 };
    let tracker = Running::start(config).await;
    let (mut bob, welcome) = Client::connect(&tracker.join, &Who::new(1)).await;
    assert!(welcome.lists_members);
    let shared = [file("one", 1), file("two", 2)];
    bob.must_register(&shared).await;
    let (mut ann, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let list = |q| Request::Members { q, query: String::new(), cursor: vec![], limit: 200 };
    let q = ann.q();
    let Reply::Members { members, total, cursor, .. } = ann.ask(q, &list(q)).await else {
        panic!("no members");
    };
    let told: Vec<(PeerId, &str, u32)> =
        members.iter().map(|m| (m.peer, m.nick.as_str(), m.shares)).collect();
    assert_eq!(told, [(bob.me, "peer 7001", 2), (ann.me, "peer 7002", 0)]);
    assert_eq!((total, cursor.len()), (2, 0));
    let q = ann.q();
    let files = Request::MemberFiles { q, peer: bob.me, cursor: vec![], limit: 500 };
    let Reply::Files { rows, total, .. } = ann.ask(q, &files).await else { panic!("no files") };
    assert_eq!((rows.len(), total), (2, 2));
    // A key that nobody has, and a cursor that was never given.
    let q = ann.q();
    let nobody = Request::MemberFiles { q, peer: key(9), cursor: vec![], limit: 1 };
    let reply = ann.ask(q, &nobody).await;
    assert!(matches!(reply, Reply::Error { code: Code::NotMember, .. }), "{reply:?}");
    let q = ann.q();
    let made_up = Request::Members { q, query: String::new(), cursor: vec![9], limit: 1 };
    let reply = ann.ask(q, &made_up).await;
    assert!(matches!(reply, Reply::Error { code: Code::BadData, .. }), "{reply:?}");
    // 12 for each two members: with the second list the budget is gone, for lists of files as well.
    let q = ann.q();
    assert!(matches!(ann.ask(q, &list(q)).await, Reply::Members { .. }));
    let q = ann.q();
    let reply = ann.ask(q, &list(q)).await;
    assert!(matches!(reply, Reply::Error { code: Code::Rate, .. }), "{reply:?}");
    let q = ann.q();
    let files = Request::MemberFiles { q, peer: bob.me, cursor: vec![], limit: 500 };
    let reply = ann.ask(q, &files).await;
    assert!(matches!(reply, Reply::Error { code: Code::Rate, .. }), "{reply:?}");
    ann.sync().await;
    tracker.stop().await;
}
