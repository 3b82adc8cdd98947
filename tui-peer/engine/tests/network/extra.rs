//! Extra connections to one source, over real sockets: with a policy that opens them to a near source too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::channel::Purpose;
use common::id::{ContentId, PeerId};
use common::limits::MAX_PEER_FRAME;
use common::wire::Code;
use common::wire::peer::{DATA, HaveState, Hello, Open, PeerMsg};
use engine::api::config::ExtraPolicy;
use tokio::net::TcpStream;

use super::early::{Conn, Source};
use super::*;

/// By what number the test's source knows its connection.
const NUMBER: u64 = 77;
/// What the main connection of a test's source takes for a chunk: extra ones have time to come before all is fetched.
const SLOW: Duration = Duration::from_millis(10);

/// Opens extra connections at once, and keeps them if they bring so many times more.
async fn begin(dir: &Path, join: &JoinString, source: &Source, least_gain: f64) -> EngineHandle {
    let extra = ExtraPolicy { least_rtt: Duration::ZERO, least_window: 0, steady: 0, least_gain };
    let engine = start(EngineConfig { extra, ..config(dir, "fetcher", join) }).await.unwrap();
    let id = source.descriptor.id();
    let request = Download { id, name: None, dir: None, files: Selection::All };
    engine.call(Command::Download(request)).await.unwrap();
    engine
}

async fn is_here(engine: &EngineHandle, dir: &Path, source: &Source) {
    let sharing = |s: &Snapshot| s.transfers.iter().any(|t| t.state == TransferState::Sharing);
    until(engine, "it is here", sharing).await;
    let path = dir.join("fetcher").join("d").join("thing");
    assert!(std::fs::read(path).unwrap() == source.bytes);
}

/// What the source of a test has been asked.
#[derive(Default)]
struct Asked {
    over_main: AtomicUsize,
    over_extra: AtomicUsize,
    given_up: AtomicUsize,
}

/// The main connection of a source.
async fn serve_main(source: Arc<Source>, mut conn: Conn, asked: Arc<Asked>, number: Option<u64>) {
    conn.say(&source.hello_with(&source.membership, number)).await;
    while let Some(msg) = conn.hear().await {
        match &msg {
            PeerMsg::Request { .. } => {
                asked.over_main.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(SLOW).await;
            }
            PeerMsg::Cancel { .. } => {
                asked.given_up.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        source.answer(&mut conn, msg).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_asked_over_several_connections_and_one_that_dies_loses_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Arc::new(Source::new(&join, 40_000_000).await);
    let engine = begin(temp.path(), &join, &source, 0.0).await;
    let asked = Arc::new(Asked::default());
    let main = source.accept(async {}).await;
    tokio::spawn(serve_main(source.clone(), main, asked.clone(), Some(NUMBER)));
    for n in 0..3 {
        let mut conn = source.accept(async {}).await;
        let (source, asked) = (source.clone(), asked.clone());
        tokio::spawn(async move {
            let first = conn.hear().await;
            assert_eq!(first, Some(PeerMsg::Extra(NUMBER)), "in the place of HELLO");
            conn.say(&source.hello(&source.membership)).await;
            let mut heard = 0;
            while let Some(msg) = conn.hear().await {
                assert!(matches!(msg.kind(), 0x21..=0x24 | 0xa6), "{msg:?}");
                heard += 1;
                if n == 0 && heard > 3 {
                    // With requests that were not answered.
                    return;
                }
                asked.over_extra.fetch_add(1, Ordering::Relaxed);
                source.answer(&mut conn, msg).await;
            }
        });
    }
    is_here(&engine, temp.path(), &source).await;
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (main, extra) = (count(&asked.over_main), count(&asked.over_extra));
    assert!(main > 20 && extra > 100, "{main} and {extra}");
    assert!(count(&asked.given_up) > 0, "the source was told what nobody waits for");
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.peers.len(), 1, "one source, whatever it goes over");
    assert_eq!(snapshot.totals.down, source.bytes.len() as u64, "nothing came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_brings_nothing_is_closed_when_all_that_was_asked_over_it_is_here() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Arc::new(Source::new(&join, 60_000_000).await);
    let engine = begin(temp.path(), &join, &source, 1000.0).await;
    let asked = Arc::new(Asked::default());
    let main = source.accept(async {}).await;
    tokio::spawn(serve_main(source.clone(), main, asked.clone(), Some(NUMBER)));
    let mut extras = Vec::new();
    for _ in 0..3 {
        let mut conn = source.accept(async {}).await;
        let source = source.clone();
        extras.push(tokio::spawn(async move {
            conn.say(&source.hello(&source.membership)).await;
            let mut answered = 0;
            loop {
                match conn.hear().await {
                    Some(msg @ PeerMsg::Request { .. }) => {
                        tokio::time::sleep(SLOW).await;
                        source.answer(&mut conn, msg).await;
                        answered += 1;
                    }
                    Some(PeerMsg::Bye { code, .. }) => return (code, answered),
                    Some(_) => {}
                    None => panic!("without a word"),
                }
            }
        }));
    }
    for extra in extras {
        let (code, answered) = extra.await.unwrap();
        assert_eq!(code, Code::Cancelled);
        assert!(answered > 10, "{answered}");
    }
    let transfer = engine.snapshot().transfers.iter().next().map(|t| t.state.clone());
    assert_ne!(transfer, Some(TransferState::Sharing), "in the middle of it");
    is_here(&engine, temp.path(), &source).await;
    // On a busy machine the core gives up what was not begun; what was begun came to its end.
    assert_eq!(engine.snapshot().totals.down, source.bytes.len() as u64, "nothing came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_source_is_asked_over_one_connection() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Arc::new(Source::new(&join, 10_000_000).await);
    let engine = begin(temp.path(), &join, &source, 0.0).await;
    let asked = Arc::new(Asked::default());
    let main = source.accept(async {}).await;
    tokio::spawn(serve_main(source.clone(), main, asked.clone(), None));
    let done = is_here(&engine, temp.path(), &source);
    tokio::select! {
        () = done => {}
        _ = source.listener.accept() => panic!("it does not know what that is"),
    }
}

/// One that shares, and a member of its network that says what it likes.
struct Scene {
    sharer: EngineHandle,
    member: Source,
    id: ContentId,
}

impl Scene {
    async fn new(dir: &Path, join: &JoinString) -> Self {
        let sharer = peer(dir, "sharer", join).await;
        let path = dir.join("shared");
        std::fs::write(&path, "thing".repeat(100_000)).unwrap();
        sharer.call(Command::Share { path, name: None }).await.unwrap();
        until(&sharer, "it is listed", |s| sources(s, "shared") == Some(1)).await;
        let id = sharer.snapshot().catalogue.rows.iter().find(|r| &*r.name == "shared").unwrap().id;
        Self { sharer, member: Source::new(join, 1000).await, id }
    }

    async fn dial(&self, who: &Source) -> Conn {
        let me = self.sharer.snapshot().me.clone();
        let stream = TcpStream::connect(me.listen).await.unwrap();
        let secure = who.channel.connect(stream, &me.peer, Purpose::Peer).await.unwrap();
        let (reader, writer) = secure.into_frames();
        Conn { reader, writer }
    }

    /// A connection over which the content is open and may be asked for, and its number.
    async fn main(&self) -> (Conn, u64) {
        let mut conn = self.dial(&self.member).await;
        conn.say(&self.member.hello(&self.member.membership)).await;
        let open = Open { handle: 0, id: self.id, state: HaveState::None, want: true };
        conn.say(&PeerMsg::Open(open)).await;
        let mut number = None;
        loop {
            match conn.hear().await.expect("an open connection") {
                PeerMsg::Hello(Hello { number: given, .. }) => number = given,
                PeerMsg::Choke { choke: false, .. } => break,
                _ => {}
            }
        }
        (conn, number.expect("a number for extra ones"))
    }

    async fn extra(&self, who: &Source, number: u64) -> Conn {
        let mut conn = self.dial(who).await;
        conn.say(&PeerMsg::Extra(number)).await;
        conn
    }
}

fn request(rid: u32, chunk: u32) -> PeerMsg {
    PeerMsg::Request { handle: 0, rid, chunk, off: 0, len: 65_536 }
}

/// Types of the frames that come, up to the first of the type `last`, or the end.
async fn kinds(conn: &mut Conn, last: u8) -> Vec<u8> {
    let mut kinds = Vec::new();
    while kinds.last() != Some(&last) {
        let frame = tokio::time::timeout(PATIENCE, conn.reader.read(MAX_PEER_FRAME)).await;
        match frame.expect("something in time") {
            Ok(frame) => kinds.push(frame.kind),
            Err(_) => break,
        }
    }
    kinds
}

/// Whether the next that comes, but for HELLO, is the end, and the code it came with.
async fn end(conn: &mut Conn) -> Option<Code> {
    loop {
        match conn.hear().await {
            Some(PeerMsg::Hello(_)) => {}
            Some(PeerMsg::Bye { code, .. }) => return Some(code),
            None => return None,
            Some(other) => panic!("{other:?}"),
        }
    }
}

/// Until a PING is answered: what was said before has been dealt with.
async fn lives(conn: &mut Conn) {
    conn.say(&PeerMsg::Ping(9)).await;
    assert_eq!(kinds(conn, 0x41).await.last(), Some(&0x41));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_over_an_extra_connection_is_answered_over_it() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let scene = Scene::new(temp.path(), &join).await;
    let (mut main, number) = scene.main().await;
    let mut extra = scene.extra(&scene.member, number).await;
    extra.say(&request(1, 0)).await;
    assert_eq!(kinds(&mut extra, DATA).await, [0x01, DATA]);
    let any = PeerMsg::ReqAny { handle: 0, rid: 2, count: 1, except: vec![] };
    extra.say(&any).await;
    // ASSIGN, then payload.
    assert_eq!(kinds(&mut extra, DATA).await, [0x23, DATA]);
    main.say(&request(3, 1)).await;
    let over_main = kinds(&mut main, DATA).await;
    assert!(over_main.iter().all(|kind| matches!(*kind, 0x40 | DATA)), "{over_main:?}");
    // What is not there is said where it was asked for.
    extra.say(&PeerMsg::Request { handle: 8, rid: 4, chunk: 0, off: 0, len: 65_536 }).await;
    assert_eq!(kinds(&mut extra, 0x25).await, [0x25]);
    until(&scene.sharer, "one peer", |s| s.peers.len() == 1).await;
    // Who cancels over the main connection has given the extra one up.
    let all: Vec<PeerMsg> = (0..7).map(|n| request(10 + n, n)).collect();
    for msg in &all {
        extra.writer.write(msg.kind(), &msg.body()).await.unwrap();
    }
    extra.writer.flush().await.unwrap();
    main.say(&PeerMsg::Cancel { rid: 16 }).await;
    lives(&mut main).await;
    // Either it was quicker, or the connection has ended. No answer is lost to the main one.
    main.say(&request(30, 1)).await;
    let over_main = kinds(&mut main, DATA).await;
    assert!(over_main.iter().all(|kind| matches!(*kind, 0x40 | DATA)), "{over_main:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_strangers_have_no_use_for_the_number_of_a_connection_and_nobody_gets_more_than_three() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let scene = Scene::new(temp.path(), &join).await;
    let (mut main, number) = scene.main().await;
    // Another member, and a number of nothing.
    let other = Source::new(&join, 2000).await;
    let mut stranger = scene.extra(&other, number).await;
    assert_eq!(end(&mut stranger).await, Some(Code::NotPermitted));
    let mut wrong = scene.extra(&scene.member, number + 1).await;
    assert_eq!(end(&mut wrong).await, Some(Code::NotPermitted));
    let mut extras = Vec::new();
    for n in 0..3 {
        let mut extra = scene.extra(&scene.member, number).await;
        extra.say(&request(n, 0)).await;
        assert_eq!(kinds(&mut extra, DATA).await, [0x01, DATA]);
        extras.push(extra);
    }
    let mut fourth = scene.extra(&scene.member, number).await;
    assert_eq!(end(&mut fourth).await, Some(Code::NotPermitted));
    // What belongs to the main connection ends an extra one, and that one only.
    let open = Open { handle: 2, id: scene.id, state: HaveState::None, want: true };
    extras[0].say(&PeerMsg::Open(open)).await;
    assert!(end(&mut extras[0]).await.is_some());
    lives(&mut main).await;
    extras[1].say(&request(9, 1)).await;
    assert_eq!(kinds(&mut extras[1], DATA).await, [DATA]);
    // There is room for another now.
    let mut again = scene.extra(&scene.member, number).await;
    again.say(&request(10, 0)).await;
    assert_eq!(kinds(&mut again, DATA).await, [0x01, DATA]);
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_connections_end_with_theirs() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let scene = Scene::new(temp.path(), &join).await;
    let member: PeerId = scene.member.channel.peer_id();
    for banned in [false, true] {
        let (mut main, number) = scene.main().await;
        let mut extra = scene.extra(&scene.member, number).await;
        extra.say(&request(1, 0)).await;
        assert_eq!(kinds(&mut extra, DATA).await, [0x01, DATA]);
        match banned {
            true => {
                scene.sharer.call(Command::Ban { peer: member, time: None }).await.unwrap();
                let last = kinds(&mut main, 0x7f).await;
                assert_eq!(last.last(), Some(&0x7f));
            }
            false => drop(main),
        }
        end(&mut extra).await;
        let mut late = scene.extra(&scene.member, number).await;
        assert_eq!(end(&mut late).await, Some(Code::NotPermitted));
    }
}
