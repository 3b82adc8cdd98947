//! Both ends in one process, with an engine played by the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::{ContentId, PeerId};
use tokio::net::{UnixListener, UnixStream};

use super::wire::{self, Hello, MAX_ANSWER, MAX_REQUEST};
use super::{ControlError, attach, place, serve};
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::event::{Event, Level, Target, What};
use engine::api::handle::{Call, EngineHandle, HandleParts, Stop, channel};
use engine::api::snapshot::{
    Catalogue, CatalogueRow, ChunkState, Focus, Mapping, Me, NetState, Network, OtherNames,
    Snapshot, TrackerAt,
};

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The next command of a client; each begins with having the snapshot made anew.
async fn called(parts: &mut HandleParts) -> Call {
    loop {
        match parts.commands.recv().await.unwrap() {
            (Command::Figures, _) => {}
            call => return call,
        }
    }
}

/// A path that is not text: nothing on the way may mind.
fn strange() -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(b"/d/\xff\xfe".to_vec()).into()
}

fn snapshot(rows: u32) -> Snapshot {
    let row = |n: u32| CatalogueRow {
        id: ContentId::from_bytes([1; 32]),
        name: format!("file {n}").as_str().into(),
        others: OtherNames::of((n == 1).then(|| "file\u{7} 1".into()), vec!["alias".into()]),
        kind: Kind::File,
        size: 5,
        chunks: 1,
        sources: 2,
        complete: 1,
        first_seen: 0,
    };
    let now = Instant::now();
    let state = NetState::Lost { since: now, retry_at: now + PATIENCE, why: "why".into() };
    Snapshot {
        seq: 1,
        at: now,
        me: Me {
            peer: PeerId::from_bytes([2; 32]),
            nick: "me".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 1)),
            downloads: strange(),
            disk_free: None,
            serving: true,
        },
        network: Network {
            state,
            tracker: "t:1".into(),
            at: Some(TrackerAt {
                address: "t:1".into(),
                place: 2,
                of: 3,
                back_to: Some("s:1".into()),
                vain: Some("gone".into()),
            }),
            join: None,
            latency_ms: None,
            hosting: false,
            met: true,
            asking: false,
            clock_ahead_s: None,
            reachable: Some((false, "203.0.113.9:7421".parse().unwrap())),
            behind_router: true,
            punches: Some(true),
            port: 7421,
            mapping: Some(Mapping::Not("the router does not answer".into())),
            trouble: None,
            refused: Some((3, "this tracker is full".into())),
        },
        totals: Default::default(),
        catalogue: Catalogue { version: 7, rows: (0..rows).map(row).collect(), whole: true }.into(),
        transfers: [].into(),
        peers: [].into(),
        focus: Some(
            Focus {
                id: ContentId::from_bytes([1; 32]),
                chunks: engine::api::chunk_states::Chunks::of(
                    &[ChunkState::Have, ChunkState::Bad, ChunkState::Missing],
                    &[1, 2, 3],
                ),
                chunk_len: 65_536,
                sources: Vec::new(),
                flights: Vec::new(),
                newest: Some(1),
                sole: Vec::new(),
                left: None,
                added: None,
                causes: Vec::new(),
                holders: None,
                sent: None,
            }
            .into(),
        ),
        uploads: Default::default(),
        bans: [].into(),
        watches: [].into(),
        unkept: None,
        copies: Default::default(),
    }
}

fn engine(rows: u32) -> (EngineHandle, HandleParts) {
    channel(snapshot(rows))
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

#[tokio::test]
async fn what_the_engine_says_arrives_elsewhere() {
    let temp = tempfile::tempdir().unwrap();
    let (handle, mut parts) = engine(5000);
    let _control = serve(handle, temp.path(), "test").unwrap();
    let remote = attach(temp.path(), "t", true).await.unwrap();
    assert_eq!((remote.peer.what.as_str(), remote.peer.pid), ("test", std::process::id()));
    let (here, there) = (snapshot(5000), remote.engine.snapshot());
    assert_eq!(there.me, here.me);
    assert_eq!(there.catalogue.rows, here.catalogue.rows);
    assert_eq!(there.focus.as_ref().unwrap().chunks, here.focus.as_ref().unwrap().chunks);
    let NetState::Lost { retry_at, .. } = &there.network.state else {
        panic!("{:?}", there.network)
    };
    let left = retry_at.saturating_duration_since(Instant::now());
    assert!(left > PATIENCE / 2 && left <= PATIENCE, "{left:?}");

    // A command, its answer, its refusal.
    let calls = tokio::spawn(async move {
        let (command, answer) = called(&mut parts).await;
        assert!(
            matches!(&command, Command::Share { path, .. } if *path == strange()),
            "{command:?}"
        );
        answer.send(Ok(Reply::Accepted)).unwrap();
        let (_, answer) = called(&mut parts).await;
        let kind = CommandErrorKind::NotFound;
        answer.send(Err(CommandError { kind, message: "no".into() })).unwrap();
        parts
    });
    let share = Command::Share { path: strange(), name: None };
    assert!(matches!(soon(remote.engine.call(share)).await, Ok(Reply::Accepted)));
    let refused = soon(remote.engine.call(Command::Leave)).await.unwrap_err();
    assert_eq!((refused.kind, refused.message.as_str()), (CommandErrorKind::NotFound, "no"));
    let parts = calls.await.unwrap();

    // An event with a word of its own, and a snapshot with another catalogue.
    let mut events = remote.engine.events();
    let what = What::Failed { id: None, code: "disk-full", hint: String::new() };
    let (at, level, target) = (std::time::SystemTime::now(), Level::Warn, Target::Disk);
    parts.events.send(Event { at, level, target, text: "full".into(), what });
    let event = soon(events.recv()).await.unwrap();
    assert!(matches!(event.what, What::Failed { code: "disk-full", .. }), "{event:?}");
    parts.snapshots.send_replace(snapshot(3).into());
    let mut snapshots = remote.engine.snapshots();
    soon(snapshots.wait_for(|snapshot| snapshot.catalogue.rows.len() == 3)).await.unwrap();

    // Detaching leaves the engine alone; stopping does not.
    assert_eq!(*parts.stop.borrow(), Stop::No);
    let other = attach(temp.path(), "t", false).await.unwrap();
    assert!(other.engine.snapshot().catalogue.rows.is_empty());
    remote.engine.stop(Stop::Now);
    soon(remote.engine.stopped()).await;
    assert_eq!(*parts.stop.borrow(), Stop::No);
    other.stop(false).await;
    let mut stop = parts.stop.clone();
    soon(stop.wait_for(|stop| *stop == Stop::Gracefully)).await.unwrap();
    drop(parts);
    soon(other.engine.stopped()).await;
}

#[tokio::test]
async fn another_version_is_told_apart() {
    let temp = tempfile::tempdir().unwrap();
    let (handle, _parts) = engine(0);
    let control = serve(handle, temp.path(), "test").unwrap();
    let mut stream = UnixStream::connect(control.path()).await.unwrap();
    let hello = Hello { protocol: wire::PROTOCOL + 1, ..Hello::ours("future", true) };
    wire::write(&mut stream, &hello, MAX_REQUEST).await.unwrap();
    let answer: Hello = soon(wire::read(&mut stream, MAX_ANSWER)).await.unwrap().unwrap();
    assert_eq!(answer.protocol, wire::PROTOCOL);
    assert!(soon(wire::read::<Hello>(&mut stream, MAX_ANSWER)).await.unwrap().is_none());
    drop(control);

    let listener = UnixListener::bind(place::socket(temp.path())).unwrap();
    let old = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _: Option<Hello> = wire::read(&mut stream, MAX_REQUEST).await.unwrap();
        let hello = Hello { protocol: 0, version: "0.0.1".into(), ..Hello::ours("old", false) };
        wire::write(&mut stream, &hello, MAX_ANSWER).await.unwrap();
    });
    let error = soon(attach(temp.path(), "t", false)).await.unwrap_err();
    assert!(
        matches!(&error, ControlError::Version { version, .. } if version == "0.0.1"),
        "{error}"
    );
    old.await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_with_what_to_do() {
    let error = attach(Path::new("/nowhere"), "t", false).await.unwrap_err();
    assert!(matches!(error, ControlError::NotRunning(_)));
    assert!(error.to_string().contains("--state"), "{error}");
}

/// The first frame of 74ee283.
#[derive(serde::Serialize)]
struct OldHello {
    protocol: u16,
    version: &'static str,
    pid: u32,
    what: &'static str,
    catalogue: bool,
}

#[tokio::test]
async fn c1_an_old_peer_is_not_sent_what_it_would_hang_up_on() {
    let temp = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(place::socket(temp.path())).unwrap();
    let old = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _: Option<Hello> = wire::read(&mut stream, MAX_REQUEST).await.unwrap();
        let (version, what) = ("0.0.1", "serve-only");
        let hello =
            OldHello { protocol: wire::PROTOCOL, version, pid: 4711, what, catalogue: false };
        wire::write(&mut stream, &hello, MAX_ANSWER).await.unwrap();
        let first = wire::Answer::Snapshot(Box::new(snapshot(0)));
        wire::write(&mut stream, &first, MAX_ANSWER).await.unwrap();
        // The first thing it hears is what it knows.
        let heard: Option<wire::Request> = wire::read(&mut stream, MAX_REQUEST).await.unwrap();
        let Some(wire::Request::Call(number, command)) = heard else { panic!("{heard:?}") };
        assert!(matches!(*command, Command::Leave), "{command:?}");
        let answer = wire::Answer::Reply(number, Ok(Reply::Accepted));
        wire::write(&mut stream, &answer, MAX_ANSWER).await.unwrap();
    });
    let remote = soon(attach(temp.path(), "t", false)).await.unwrap();
    assert_eq!((remote.peer.pid, remote.peer.knows), (4711, 0));
    let delete = Command::Delete { id: ContentId::from_bytes([1; 32]) };
    let refused = soon(remote.engine.call(delete)).await.unwrap_err();
    assert_eq!(refused.kind, CommandErrorKind::Invalid);
    for word in ["4711", "0.0.1", "earlier version"] {
        assert!(refused.message.contains(word), "{refused}");
    }
    assert!(matches!(soon(remote.engine.call(Command::Leave)).await, Ok(Reply::Accepted)));
    soon(old).await.unwrap();
}

/// A command of some later version.
#[derive(serde::Serialize)]
enum LaterRequest {
    Call(u64, Later),
}

#[derive(serde::Serialize)]
enum Later {
    Fly { high: bool },
}

#[tokio::test]
async fn c1_a_command_of_a_later_version_is_refused_and_the_next_one_done() {
    let temp = tempfile::tempdir().unwrap();
    let (handle, mut parts) = engine(0);
    let control = serve(handle, temp.path(), "test").unwrap();
    let mut stream = UnixStream::connect(control.path()).await.unwrap();
    wire::write(&mut stream, &Hello::ours("future", false), MAX_REQUEST).await.unwrap();
    let _: Hello = soon(wire::read(&mut stream, MAX_ANSWER)).await.unwrap().unwrap();
    let later = LaterRequest::Call(7, Later::Fly { high: true });
    wire::write(&mut stream, &later, MAX_REQUEST).await.unwrap();
    let known = wire::Request::Call(8, Box::new(Command::Leave));
    wire::write(&mut stream, &known, MAX_REQUEST).await.unwrap();
    let calls = tokio::spawn(async move {
        let (command, answer) = called(&mut parts).await;
        assert!(matches!(command, Command::Leave), "{command:?}");
        answer.send(Ok(Reply::Accepted)).unwrap();
        parts
    });
    let mut replies = Vec::new();
    while replies.len() < 2 {
        let answer = soon(wire::read(&mut stream, MAX_ANSWER)).await.unwrap().unwrap();
        if let wire::Answer::Reply(number, answer) = answer {
            replies.push((number, answer.map(drop).map_err(|error| error.message)));
        }
    }
    let refused = replies[0].1.as_ref().unwrap_err();
    assert!(replies[0].0 == 7 && refused.contains("does not know this command"), "{refused}");
    assert_eq!(replies[1], (8, Ok(())));
    drop(calls.await.unwrap());
}
