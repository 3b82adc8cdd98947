//! What peers get from a tracker, over real sockets.

use crate::support::{Client, Running, Who, file, folder, id, identity, progress, quick};
use common::chunk_set::ChunkSet;
use common::id::PeerId;
use common::membership::Membership;
use common::wire::tracker::{Reply, Request, Sort};

#[tokio::test]
async fn a_registered_file_is_listed_and_located() {
    let tracker = Running::start(quick()).await;
    let (mut seed, welcome) = Client::connect(&tracker.join, &Who::new(1)).await;
    let member = Membership::check(
        &welcome.membership,
        &tracker.join.tracker(),
        &seed.me,
        welcome.now_ms / 1000,
        0,
    );
    assert_eq!(member.unwrap().subject(), identity(1).peer_id());
    assert!(welcome.share_ok, "nothing shared and nothing known is the same");

    let (iso, notes) = (file("Ubuntu.iso", 3_000_000), folder("Notes", 5_000, 12));
    seed.must_register(&[iso.clone(), notes.clone()]).await;

    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    assert_eq!(peer.names("").await, ["Notes", "Ubuntu.iso"]);
    assert_eq!(peer.names("ubu iso|nothing").await, ["Ubuntu.iso"]);
    let rows = peer.list("", Sort::Size).await;
    assert_eq!(rows[0].meta, iso);
    assert_eq!((rows[0].sources, rows[0].complete), (1, 1));

    let found = peer.locations(id(&iso), 50).await;
    assert_eq!(found.meta, Some(iso.clone()));
    assert_eq!((found.complete, found.partial), (1, 0));
    let source = &found.sources[0];
    assert_eq!((source.peer, source.have), (identity(1).peer_id(), iso.chunks));
    assert_eq!(source.addrs, ["127.0.0.1:7001".parse().unwrap()]);
    let set = ChunkSet::decode(iso.chunks, source.set.as_ref().unwrap()).unwrap();
    assert!(set.is_complete());
    // Nobody is told of itself.
    assert!(seed.locations(id(&iso), 50).await.sources.is_empty());
    tracker.stop().await;
}

#[tokio::test]
async fn progress_makes_a_peer_a_source_chunk_by_chunk() {
    let tracker = Running::start(quick()).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let big = file("big", 10 * 65536);
    seed.must_register(std::slice::from_ref(&big)).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    peer.chunks(vec![progress(&big, &[0, 3], 2, true)]).await;
    peer.chunks(vec![progress(&big, &[4], 3, false)]).await;
    peer.sync().await;
    let found = seed.locations(id(&big), 50).await;
    assert_eq!((found.complete, found.partial), (1, 1));
    let source = &found.sources[0];
    assert_eq!((source.peer, source.have), (peer.me, 3));
    let set = ChunkSet::decode(big.chunks, source.set.as_ref().unwrap()).unwrap();
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 4]);

    // A delta that does not add up: one got lost.
    peer.chunks(vec![progress(&big, &[7], 6, false)]).await;
    peer.sync().await;
    assert_eq!(peer.pushes, [Reply::Resend { ids: vec![id(&big)] }]);
    peer.chunks(vec![progress(&big, &(0..10).collect::<Vec<_>>(), 10, true)]).await;
    peer.sync().await;
    let found = seed.locations(id(&big), 50).await;
    assert_eq!((found.complete, found.partial), (2, 0));
    tracker.stop().await;
}

#[tokio::test]
async fn two_names_are_one_row() {
    let tracker = Running::start(quick()).await;
    let (mut one, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let (mut two, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let mut meta = file("holiday.mkv", 100_000);
    one.must_register(std::slice::from_ref(&meta)).await;
    meta.name = "DSC-0001.mkv".to_owned();
    two.must_register(std::slice::from_ref(&meta)).await;
    let rows = one.list("dsc", Sort::Name).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].meta.name.as_str(), rows[0].sources), ("holiday.mkv", 2));
    assert_eq!(rows[0].aliases, ["DSC-0001.mkv"]);
    // With its last holder a name goes, not the row.
    let q = one.q();
    one.ask(q, &Request::Unregister { q, ids: vec![id(&meta)] }).await;
    assert_eq!(two.names("").await, ["DSC-0001.mkv"]);
    let q = two.q();
    two.ask(q, &Request::Unregister { q, ids: vec![id(&meta)] }).await;
    assert!(two.names("").await.is_empty());
    tracker.stop().await;
}

#[tokio::test]
async fn who_leaves_is_no_source_and_may_come_back() {
    let tracker = Running::start(quick()).await;
    let shares = [file("a", 1000)];
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    peer.must_register(&shares).await;
    let (mut other, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let q = peer.q();
    assert_eq!(peer.ask(q, &Request::Leave { q }).await, Reply::Done { q });
    let found = other.locations(id(&shares[0]), 50).await;
    assert_eq!((found.complete, found.sources.len()), (0, 0));
    assert_eq!(other.list("", Sort::Name).await[0].sources, 0);
    // Back on the same connection, by another hello.
    let hello = peer.hello(&Who::sharing(1, &shares));
    peer.send(&Request::Hello(hello)).await;
    match peer.receive().await {
        Reply::Welcome(welcome) => assert!(welcome.share_ok),
        other => panic!("{other:?}"),
    }
    assert_eq!(other.locations(id(&shares[0]), 50).await.complete, 1);
    tracker.stop().await;
}

#[tokio::test]
async fn a_full_list_replaces_what_was_registered() {
    let tracker = Running::start(quick()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    peer.must_register(&[file("old", 1), file("kept", 2)]).await;
    for (name, more, full) in [("new", true, true), ("kept", false, false)] {
        let q = peer.q();
        let size = if name == "kept" { 2 } else { 3 };
        let files = vec![file(name, size)];
        peer.ask(q, &Request::Register { q, files, more, full }).await;
        let want: &[_] = if more { &["kept", "new", "old"] } else { &["kept", "new"] };
        assert_eq!(peer.names("").await, want);
    }
    let q = peer.q();
    peer.ask(q, &Request::Register { q, files: vec![], more: false, full: true }).await;
    assert!(peer.names("").await.is_empty());
    tracker.stop().await;
}

#[tokio::test]
async fn a_new_session_replaces_the_old_one() {
    let tracker = Running::start(quick()).await;
    let shares = [file("a", 1000)];
    let (mut old, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    old.must_register(&shares).await;
    let (mut new, welcome) = Client::connect(&tracker.join, &Who::sharing(1, &shares)).await;
    assert!(welcome.share_ok);
    let reply = old.receive().await;
    assert!(matches!(reply, Reply::Error { code: common::wire::Code::Duplicate, .. }), "{reply:?}");
    assert_eq!(old.next().await, None);
    let row = &new.list("", Sort::Name).await[0];
    assert_eq!((row.sources, row.complete), (1, 1));
    tracker.stop().await;
}

#[tokio::test]
async fn a_goodbye_tells_when_to_come_back() {
    let tracker = Running::start(quick()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    tracker.stop().await;
    assert!(matches!(peer.receive().await, Reply::Goaway { delay_ms: 0..=2000 }));
    assert_eq!(peer.next().await, None);
}

#[tokio::test]
async fn a_large_swarm_gives_a_bounded_mixed_subset() {
    let tracker = Running::start(quick()).await;
    let big = file("big", 100 * 65536);
    let mut peers = Vec::new();
    for n in 1..=12 {
        let (mut peer, _) = Client::connect(&tracker.join, &Who::new(n)).await;
        if n <= 8 {
            peer.must_register(std::slice::from_ref(&big)).await;
        } else {
            peer.chunks(vec![progress(&big, &[n.into()], 1, true)]).await;
            peer.sync().await;
        }
        peers.push(peer);
    }
    let me = peers[0].me;
    let mut seen = std::collections::HashSet::<PeerId>::new();
    for _ in 0..40 {
        let found = peers[0].locations(id(&big), 4).await;
        assert_eq!((found.complete, found.partial), (8, 4));
        assert_eq!(found.sources.len(), 4);
        assert!(found.sources.iter().all(|source| source.peer != me));
        let partials = found.sources.iter().filter(|source| source.have < big.chunks).count();
        assert!((1..=3).contains(&partials), "{partials} of 4");
        seen.extend(found.sources.iter().map(|source| source.peer));
    }
    assert_eq!(seen.len(), 11, "over time everybody is named");
    tracker.stop().await;
}

#[tokio::test]
async fn a_large_catalogue_is_read_page_by_page_without_being_throttled() {
    let tracker = Running::start(quick()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let files: Vec<_> = (0..1000).map(|n| file(&format!("{n:04}"), n)).collect();
    for part in files.chunks(250) {
        peer.must_register(part).await;
    }
    let (mut names, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let q = peer.q();
        let request =
            Request::FileList { q, query: String::new(), cursor, limit: 7, sort: Sort::Name };
        match peer.ask(q, &request).await {
            Reply::Files { rows, total, cursor: next, .. } => {
                assert_eq!(total, 1000);
                names.extend(rows.into_iter().map(|row| row.meta.name));
                cursor = next;
            }
            other => panic!("{other:?}"),
        }
        if cursor.is_empty() {
            break;
        }
    }
    assert!(names.iter().eq(files.iter().map(|meta| &meta.name)));
    tracker.stop().await;
}
