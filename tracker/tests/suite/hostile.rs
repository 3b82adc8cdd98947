//! Strangers and broken programs: refused with a reason where there is somebody to tell, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{
    Client, PATIENCE, Running, Who, address, file, folder, id, identity, progress, quick,
};
use common::channel::{Channel, Purpose};
use common::join::Secret;
use common::limits::{MAX_FRAME_BEFORE_HELLO, MAX_TRACKER_FRAME, MAX_WATCHES};
use common::wire::Code;
use common::wire::tracker::{Reply, Request, Sort};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracker::index::Limits;
use tracker::{Admission, Config, Timing, Tracker};

/// The tracker answers with this code, in words, and hangs up.
async fn is_refused(client: &mut Client, code: Code, part: &str) {
    match client.next().await {
        Some(Reply::Error { q: 0, code: got, text, .. }) => {
            assert_eq!(got, code, "{text}");
            assert!(text.contains(part), "{text}");
        }
        other => panic!("{other:?} instead of {part}"),
    }
    assert_eq!(client.next().await, None);
}

/// An honest peer gets an answer.
async fn is_alive(tracker: &Running) {
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(250)).await;
    peer.sync().await;
}

#[tokio::test]
async fn a_closed_network_admits_who_knows_the_secret() {
    let tracker = Running::start(Config { admission: Admission::Kept, ..quick() }).await;
    let secret = tracker.join.secret().unwrap().clone();
    let (mut peer, _) =
        Client::connect(&tracker.join, &Who { secret: Some(secret), ..Who::new(1) }).await;
    peer.sync().await;
    let wrong: Secret = "a secret that is wrong".parse().unwrap();
    for (secret, part) in [(Some(wrong), "wrong network secret"), (None, "needs a secret")] {
        let mut client = Client::dial(&tracker.join, &identity(2)).await;
        let hello = client.hello(&Who { secret, ..Who::new(2) });
        client.send(&Request::Hello(hello)).await;
        is_refused(&mut client, Code::Auth, part).await;
    }
    // A proof made for another connection is worth nothing.
    let mut other = Client::dial(&tracker.join, &identity(1)).await;
    let stolen = peer.hello(&Who { secret: tracker.join.secret().cloned(), ..Who::new(1) });
    other.send(&Request::Hello(stolen)).await;
    is_refused(&mut other, Code::Auth, "wrong").await;
    tracker.stop().await;
}

#[tokio::test]
async fn questions_that_come_with_a_hello_are_answered_after_the_welcome_and_only_then() {
    let tracker = Running::start(Config { admission: Admission::Kept, ..quick() }).await;
    let secret = tracker.join.secret().cloned();
    let meta = file("film", 1);
    let who = Who { secret: secret.clone(), ..Who::new(1) };
    let (mut peer, _) = Client::connect(&tracker.join, &who).await;
    peer.must_register(std::slice::from_ref(&meta)).await;
    for (who, admitted) in [(Who { secret, ..Who::new(2) }, true), (Who::new(3), false)] {
        let mut client = Client::dial(&tracker.join, &who.identity).await;
        let hello = client.hello(&who);
        let (id, query, cursor, sort) = (id(&meta), String::new(), Vec::new(), Sort::Name);
        client.send(&Request::Hello(hello)).await;
        client.send(&Request::FileLocations { q: 1, id, want: 50 }).await;
        client.send(&Request::Watch { q: 2, catalogue: true, ids: Vec::new() }).await;
        client.send(&Request::FileList { q: 3, query, cursor, limit: 500, sort }).await;
        if !admitted {
            is_refused(&mut client, Code::Auth, "needs a secret").await;
            continue;
        }
        assert!(matches!(client.receive().await, Reply::Welcome(_)));
        let found = client.answer(1).await;
        assert!(matches!(&found, Reply::Locations { sources, .. } if sources.len() == 1));
        assert!(matches!(client.answer(2).await, Reply::Done { .. }));
        let listed = client.answer(3).await;
        assert!(matches!(&listed, Reply::Files { rows, .. } if rows.len() == 1), "{listed:?}");
    }
    tracker.stop().await;
}

#[tokio::test]
async fn before_hello_strangers_get_little() {
    let tracker = Running::start(quick()).await;
    let me = identity(3);

    let mut client = Client::dial(&tracker.join, &me).await;
    client.send_raw(1, &vec![0; MAX_FRAME_BEFORE_HELLO + 1]).await;
    is_refused(&mut client, Code::Protocol, "at most 4096").await;

    let mut client = Client::dial(&tracker.join, &me).await;
    client.send(&Request::Ping { q: 1 }).await;
    is_refused(&mut client, Code::Protocol, "not a hello").await;

    let mut client = Client::dial(&tracker.join, &me).await;
    let mut hello = client.hello(&Who::new(3));
    hello.versions = (200, 201);
    client.send(&Request::Hello(hello)).await;
    is_refused(&mut client, Code::Version, "200 to 201").await;

    let mut client = Client::dial(&tracker.join, &me).await;
    let mut body = Request::Hello(client.hello(&Who::new(3))).body();
    body.push(0);
    client.send_raw(1, &body).await;
    is_refused(&mut client, Code::Protocol, "trailing").await;

    // Nested 4000 arrays deep.
    let mut client = Client::dial(&tracker.join, &me).await;
    client.send_raw(1, &[0x91; 4000]).await;
    is_refused(&mut client, Code::Protocol, "malformed").await;

    let mut client = Client::dial(&tracker.join, &me).await;
    client.send_raw(0x33, b"").await;
    is_refused(&mut client, Code::Protocol, "unknown message type").await;

    is_alive(&tracker).await;
    tracker.stop().await;
}

#[tokio::test]
async fn nonsense_ends_its_own_connection_only() {
    let tracker = Running::start(quick()).await;
    let ping = Request::Ping { q: 1 }.body();
    for (kind, body, part) in [
        (0x0a, [ping.as_slice(), &[0]].concat(), "trailing"),
        (0x0a, ping[..1].to_vec(), "malformed"),
        (0x02, vec![0x81; 2000], "malformed"),
        (0x02, vec![0xdd, 0xff, 0xff, 0xff, 0xff], "malformed"),
        (0x3f, vec![], "unknown message type"),
    ] {
        let (mut client, _) = Client::connect(&tracker.join, &Who::new(4)).await;
        client.send_raw(kind, &body).await;
        is_refused(&mut client, Code::Protocol, part).await;
    }
    let (mut client, _) = Client::connect(&tracker.join, &Who::new(4)).await;
    client.send_raw(0x0a, &vec![0; MAX_TRACKER_FRAME]).await;
    is_refused(&mut client, Code::Protocol, "at most 262144").await;

    // What a newer version may say is skipped.
    let (mut client, _) = Client::connect(&tracker.join, &Who::new(4)).await;
    client.send_raw(0x99, b"whatever").await;
    client.sync().await;

    // A chunk set that is none.
    let big = file("big", 10 * 65536);
    client.must_register(std::slice::from_ref(&big)).await;
    let mut update = progress(&big, &[1], 1, true);
    update.set = vec![9, 9, 9];
    client.chunks(vec![update]).await;
    is_refused(&mut client, Code::Protocol, "chunk set").await;
    is_alive(&tracker).await;
    tracker.stop().await;
}

#[tokio::test]
async fn other_protocols_are_hung_up_on() {
    let timing = Timing {
        tls: Duration::from_millis(200),
        hello: Duration::from_millis(200),
        ..quick().timing
    };
    let tracker = Running::start(Config { timing, ..quick() }).await;
    for garbage in
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), vec![0x16, 3, 1, 0xff, 0xff], vec![]]
    {
        let mut stream = TcpStream::connect(address(&tracker.join)).await.unwrap();
        stream.write_all(&garbage).await.unwrap();
        let mut answer = Vec::new();
        // A TLS alert at most; then, or at the deadline, the end.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
        assert!(answer.len() < 16, "{answer:?}");
    }
    // A peer that wants to talk to a peer.
    let stream = TcpStream::connect(address(&tracker.join)).await.unwrap();
    let channel = Channel::new(&identity(5)).unwrap();
    assert!(channel.connect(stream, &tracker.join.tracker(), Purpose::Peer).await.is_err());
    // One that says nothing after the handshake.
    let mut client = Client::dial(&tracker.join, &identity(5)).await;
    is_refused(&mut client, Code::Timeout, "no hello").await;
    is_alive(&tracker).await;
    tracker.stop().await;
}

#[tokio::test]
async fn s6_idle_strangers_keep_nobody_out() {
    let mut config = quick();
    config.server.handshakes = 40;
    let tracker = Running::start(config).await;
    let mut idle = JoinSet::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(address(&tracker.join)).await.unwrap();
        if n % 2 == 0 {
            // Some begin a handshake of TLS.
            stream.write_all(&[0x16, 3, 1]).await.unwrap();
        }
        idle.spawn(async move { stream.read(&mut [0]).await });
    }
    // For which there was no room was cut without waiting for its deadline.
    for _ in 0..160 {
        let end = timeout(Duration::from_secs(2), idle.join_next()).await.expect("cut").unwrap();
        assert!(matches!(end, Ok(Ok(0) | Err(_))));
    }
    // Only now: while they come, one in forty of the honest is cut too, and would come again.
    let start = Instant::now();
    is_alive(&tracker).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    tracker.stop().await;
}

#[tokio::test]
async fn s6_a_full_tracker_takes_the_place_of_another_and_refuses_nobody() {
    let mut config = quick();
    config.server.connections = 5;
    let tracker = Running::start(config).await;
    let mut peers = JoinSet::new();
    for n in 1..=30 {
        let (mut client, _) = Client::connect(&tracker.join, &Who::new(n)).await;
        peers.spawn(async move {
            while let Some(reply) = client.next().await {
                if let Reply::Error { q: 0, code, retry_ms, .. } = reply {
                    return (code, retry_ms);
                }
            }
            panic!("closed without a word");
        });
    }
    for _ in 0..25 {
        let told = timeout(PATIENCE, peers.join_next()).await.expect("ended").unwrap();
        assert_eq!(told.unwrap(), (Code::Busy, 60_000));
    }
    assert!(peers.try_join_next().is_none(), "five stay");
    tracker.stop().await;
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let timing = Timing { silence: Duration::from_millis(300), ..quick().timing };
    let tracker = Running::start(Config { timing, ..quick() }).await;
    let (mut client, _) = Client::connect(&tracker.join, &Who::new(6)).await;
    is_refused(&mut client, Code::Timeout, "nothing heard").await;
    tracker.stop().await;
}

#[tokio::test]
async fn impossible_claims_and_too_many_are_refused() {
    let limits = Limits { files_per_peer: 3, ..Limits::default() };
    let tracker = Running::start(Config { limits, ..quick() }).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(7)).await;
    let good = file("good", 5 * 65536);
    let mut more_chunks = good.clone();
    more_chunks.chunks += 1;
    let mut other_total = good.clone();
    other_total.total += 1;
    let mut named_up = good.clone();
    named_up.name = "../up".to_owned();
    for bad in [more_chunks, other_total, named_up] {
        match peer.register(&[good.clone(), bad]).await {
            Reply::Error { code: Code::BadData, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(peer.names("").await.is_empty(), "all or nothing");
    peer.must_register(&[good.clone(), file("b", 1), file("c", 1)]).await;
    // The same again is nothing new.
    peer.must_register(std::slice::from_ref(&good)).await;
    match peer.register(&[file("d", 1)]).await {
        Reply::Error { code: Code::Limit, text, .. } => assert!(text.contains('3'), "{text}"),
        other => panic!("{other:?}"),
    }
    // A list of three others instead is within the limit.
    let q = peer.q();
    let files = vec![file("d", 1), file("e", 1), file("f", 1)];
    let reply = peer.ask(q, &Request::Register { q, files, more: false, full: true }).await;
    assert_eq!(reply, Reply::Done { q });
    assert_eq!(peer.names("").await, ["d", "e", "f"]);
    let q = peer.q();
    let ids: Vec<_> = (0..=MAX_WATCHES).map(|n| id(&file(&n.to_string(), 1))).collect();
    peer.ask(q, &Request::Watch { q, catalogue: false, ids: ids[1..].to_vec() }).await;
    let q = peer.q();
    match peer.ask(q, &Request::Watch { q, catalogue: false, ids: ids[..1].to_vec() }).await {
        Reply::Error { code: Code::Limit, .. } => {}
        other => panic!("{other:?}"),
    }
    tracker.stop().await;
}

#[tokio::test]
async fn the_first_claim_about_a_folder_counts_while_it_has_sources() {
    let tracker = Running::start(quick()).await;
    let (mut honest, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let (mut liar, _) = Client::connect(&tracker.join, &Who::new(2)).await;
    let (truth, mut lie) = (folder("photos", 5_000, 9), folder("photos", 5_000, 9));
    (lie.total, lie.chunks) = (1, 2);
    honest.must_register(std::slice::from_ref(&truth)).await;
    liar.must_register(std::slice::from_ref(&lie)).await;
    assert_eq!(liar.list("", Sort::Name).await[0].meta, truth);
    // Progress in other terms is not taken for progress.
    liar.chunks(vec![progress(&lie, &[1], 1, true)]).await;
    liar.sync().await;
    assert_eq!(honest.locations(id(&truth), 9).await.complete, 2);
    for peer in [&mut honest, &mut liar] {
        let q = peer.q();
        peer.ask(q, &Request::Leave { q }).await;
    }
    liar.must_register(std::slice::from_ref(&lie)).await;
    assert_eq!(liar.list("", Sort::Name).await[0].meta, lie);
    tracker.stop().await;
}

#[tokio::test]
async fn too_many_requests_are_answered_with_when_to_try_again() {
    let tracker = Running::start(quick()).await;
    let (mut peer, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let list = |q| Request::FileList {
        q,
        query: String::new(),
        cursor: vec![],
        limit: 1,
        sort: Sort::Name,
    };
    for q in 1..=100 {
        peer.send(&list(q)).await;
    }
    let mut throttled = 0;
    for q in 1..=100 {
        match peer.answer(q).await {
            Reply::Files { .. } => {}
            Reply::Error { code: Code::Rate, retry_ms, .. } => {
                assert!((1..=50).contains(&retry_ms), "{retry_ms}");
                throttled += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=40).contains(&throttled), "{throttled}");
    // Who never listens is hung up on.
    for q in 0..500 {
        peer.send(&list(q)).await;
    }
    loop {
        match peer.next().await {
            Some(Reply::Error { q: 0, code: Code::Rate, .. }) => break,
            Some(_) => {}
            None => panic!("closed without a word"),
        }
    }
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_blocks_nobody_and_is_hung_up_on() {
    let timing = Timing { stalled: Duration::from_millis(500), ..quick().timing };
    let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let watched = metrics.local_addr().unwrap();
    let opened = Tracker::open(Config { timing, ..quick() }).unwrap();
    let tracker = Running::serve(opened.with_metrics(metrics)).await;
    let (mut seed, _) = Client::connect(&tracker.join, &Who::new(1)).await;
    let long = "x".repeat(240);
    let files: Vec<_> = (0..1000).map(|n| file(&format!("{n} {long}"), 1)).collect();
    for part in files.chunks(250) {
        seed.must_register(part).await;
    }
    let mut deaf = Vec::new();
    for n in 2..6 {
        let (mut client, _) = Client::connect(&tracker.join, &Who::new(n)).await;
        client.watch(true, &files.iter().map(id).collect::<Vec<_>>()).await;
        // Each answer is some 200 KiB; together far more than the system's buffers hold, and no more than
        // a burst that is allowed.
        for q in 0..60 {
            let (query, cursor) = (String::new(), vec![]);
            client
                .send(&Request::FileList { q, query, cursor, limit: 500, sort: Sort::Size })
                .await;
        }
        deaf.push(client);
    }
    let start = Instant::now();
    for n in 0..20u32 {
        seed.must_register(&[file(&format!("new {n}"), 1)]).await;
        seed.sync().await;
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let all_cut = async {
        while !scrape(watched, "/metrics").await.contains("\nshoal_tracker_stalled_total 4\n") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_cut).await.expect("cut off without having read");
    is_alive(&tracker).await;
    tracker.stop().await;
}

/// What the port for machines that watch says.
async fn scrape(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
