//! What the announcer does when the tracker does not behave: it never panics, never grows, never hangs.

use std::time::{Duration, Instant};

use common::limits::{MAX_MEMBERSHIP, MAX_TRACKER_FRAME};
use common::wire::Code;
use common::wire::tracker::{Reply, Request, Welcome};
use tokio::io::AsyncWriteExt as _;

use super::fake::{Fake, row, source, welcome};
use super::*;

#[tokio::test]
async fn rubbish_ends_the_connection_and_nothing_else() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let too_long = vec![0; MAX_TRACKER_FRAME];
    for (kind, body) in [
        (0x44, too_long.as_slice()),
        (0x44, b"\xdf\xff\xff\xff\xff".as_slice()),
        (0x50, b"\x83\xa1u\xdd\xff\xff\xff\xff".as_slice()),
        (0x41, b"".as_slice()),
        (0x33, b"".as_slice()),
        (0x02, b"\x80".as_slice()),
    ] {
        let mut conn = fake.welcome(1, true).await;
        events.on().await;
        conn.try_send(kind, body).await;
        events.lost().await;
        announcer.announce_now();
    }
    fake.welcome(1, true).await;
    events.on().await;
}

#[tokio::test]
async fn a_welcome_that_is_none_is_not_taken() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    for reply in [
        Reply::Pong { q: 0 },
        Reply::Resend { ids: vec![] },
        Reply::Welcome(Welcome { membership: vec![0; MAX_MEMBERSHIP + 1], ..welcome(1, true) }),
    ] {
        fake.accept().await.send(&reply).await;
        events.lost().await;
        announcer.announce_now();
    }
    let old = Reply::Welcome(Welcome { version: 99, ..welcome(1, true) });
    fake.accept().await.send(&old).await;
    assert!(events.rejected().await.contains("version"));
}

#[tokio::test]
async fn no_tls_and_an_early_end_are_losses() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut stream = fake.accept_tcp().await;
    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
    let why = events.lost().await;
    assert!(why.contains("does not speak Shoal"), "{why}");
    announcer.announce_now();
    drop(fake.accept_tcp().await);
    events.lost().await;
}

#[tokio::test]
async fn answers_to_questions_nobody_asked_are_ignored() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    announcer.set_share(file("mine", 1));
    let mut conn = fake.welcome(1, false).await;
    events.on().await;
    let stranger = file("x", 1);
    for q in [0, 1_000, u32::MAX] {
        let (sources, at) = (vec![source(2)], id(&stranger));
        for reply in [
            Reply::Done { q },
            Reply::Pong { q },
            Reply::Files { q, rows: vec![row(stranger.clone())], total: 1, cursor: vec![1] },
            Reply::Locations { q, id: at, meta: None, sources, complete: 1, partial: 1 },
            Reply::SourceDelta { id: at, joins: vec![source(3)], leaves: vec![] },
            Reply::Resend { ids: vec![at] },
            Reply::Error { q: q.max(1_000), code: Code::Limit, text: "no".into(), retry_ms: 9 },
        ] {
            conn.send(&reply).await;
        }
    }
    // Answers of the wrong kind to real questions; then the right ones.
    let (_, register) = conn.serve_until(|r| matches!(r, Request::Register { .. })).await;
    let Request::Register { q, .. } = register else { unreachable!() };
    conn.send(&Reply::Pong { q }).await;
    conn.send(&Reply::Files { q, rows: vec![row(stranger.clone())], total: 1, cursor: vec![] })
        .await;
    conn.answer(&register, &[]).await;
    let told = events
        .until(|event| match event {
            TrackerEvent::Registered { ids } => Some(ids),
            TrackerEvent::Sources { .. } => panic!("sources nobody asked for"),
            TrackerEvent::RegisterFailed { .. } => panic!("nothing failed"),
            TrackerEvent::Catalogue { catalogue, .. } => {
                assert!(catalogue.rows.is_empty());
                None
            }
            _ => None,
        })
        .await;
    assert_eq!(told, [id(&file("mine", 1))]);
}

#[tokio::test]
async fn a_silent_tracker_is_lost() {
    let fake = Fake::new().await;
    let patience = Patience { pong: Duration::from_millis(200), ..Patience::default() };
    let (_announcer, mut events) = join_with(1, &fake.join(), patience);
    let conn = fake.welcome(1, true).await;
    assert!(events.lost().await.contains("does not answer"));
    drop(conn);
}

#[tokio::test]
async fn a_tracker_that_takes_no_bytes_is_lost() {
    let fake = Fake::new().await;
    let patience =
        Patience { write: Duration::from_millis(200), pong: PATIENCE, ..Patience::default() };
    let (announcer, mut events) = join_with(1, &fake.join(), patience);
    // More than the buffers of both ends hold.
    let long = "n".repeat(250);
    for n in 0..60_000u64 {
        let meta = file("x", n);
        announcer.set_share(FileMeta { name: long.clone(), ..meta });
    }
    let mut conn = fake.welcome(1, false).await;
    let (_, begins) = conn.serve_until(|r| matches!(r, Request::Register { .. })).await;
    conn.answer(&begins, &[]).await;
    // Answers without reading: batches that were not even sent are acknowledged.
    let stalled = async {
        let mut q = 0;
        loop {
            let done = Reply::Done { q };
            if !conn.try_send(done.kind(), &done.body()).await {
                return std::future::pending::<()>().await;
            }
            q += 1;
        }
    };
    tokio::select! {
        why = events.lost() => assert!(why.contains("does not answer"), "{why}"),
        () = stalled => {}
    }
}

#[tokio::test]
async fn leaving_takes_no_longer_than_two_seconds() {
    for connected in [true, false] {
        let fake = Fake::new().await;
        let (announcer, mut events) = join(1, &fake.join());
        // Either it never answers after the welcome, or not even the handshake.
        let _conn = if connected {
            let conn = fake.welcome(1, true).await;
            events.on().await;
            (Some(conn), None)
        } else {
            (None, Some(fake.accept_tcp().await))
        };
        let began = Instant::now();
        announcer.leave().await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn leaving_does_not_need_a_session_that_listens() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let meta = file("a", 1);
    announcer.watch([id(&meta)].into());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    // More events than the queue holds, and nobody takes them.
    for n in 0..1000 {
        let joins = vec![source(2 + u8::try_from(n % 100).unwrap())];
        conn.send(&Reply::SourceDelta { id: id(&meta), joins, leaves: vec![] }).await;
    }
    let leaving = tokio::spawn(announcer.leave());
    conn.serve_until(|r| matches!(r, Request::Leave { .. })).await;
    drop(conn);
    timeout(PATIENCE, leaving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_busy_session_is_not_mistaken_for_a_silent_tracker() {
    let fake = Fake::new().await;
    let patience = Patience { pong: Duration::from_millis(300), ..Patience::default() };
    let (announcer, mut events) = join_with(1, &fake.join(), patience);
    let meta = file("a", 1);
    announcer.watch([id(&meta)].into());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    let (_, ping) = conn.serve_until(|r| matches!(r, Request::Ping { .. })).await;
    // More than the session's queue holds, and the answer behind it.
    for _ in 0..1000 {
        conn.send(&Reply::SourceDelta { id: id(&meta), joins: vec![source(2)], leaves: vec![] })
            .await;
    }
    conn.answer(&ping, &[]).await;
    // Longer than the tracker may be silent: that is what is tested.
    tokio::time::sleep(patience.pong * 2).await;
    events
        .until(|event| match event {
            TrackerEvent::State(NetState::Lost { why, .. }) => panic!("{why}"),
            TrackerEvent::Latency(_) => Some(()),
            _ => None,
        })
        .await;
}
