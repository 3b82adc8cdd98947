//! What a dialled source is asked before it has said anything, over real sockets.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use common::channel::{Channel, Purpose, SecureReader, SecureWriter};
use common::content::{Descriptor, Kind};
use common::identity::Identity;
use common::layout::Layout;
use common::limits::{MAX_DATA_LEN, MAX_PEER_FRAME, MAX_TRACKER_FRAME};
use common::membership::Membership;
use common::merkle::{ChunkHashes, HashRange, block_hashes, chunk_hash};
use common::wire::Code;
use common::wire::peer::{DATA, DataHeader, HaveState, Hello, Open, OpenOk, PeerMsg};
use common::wire::tracker::{self as track, FileMeta, Reply, Request, share_digest};
use engine::api::event::What;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::TryRecvError;

use super::*;

/// A source that does what a test says: a program of any version, as far as others can tell.
pub(super) struct Source {
    pub(super) channel: Channel,
    pub(super) listener: TcpListener,
    pub(super) membership: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    layout: Layout,
    hashes: ChunkHashes,
    pub(super) descriptor: Descriptor,
    /// What keeps it in the network.
    _tracker: (SecureReader<TcpStream>, SecureWriter<TcpStream>),
}

impl Source {
    /// Registers so many bytes.
    pub(super) async fn new(join: &JoinString, len: usize) -> Self {
        Self::that_listens(join, len, true).await
    }

    /// The same of one that says that it does not listen, unless so.
    async fn that_listens(join: &JoinString, len: usize, listens: bool) -> Self {
        let bytes: Vec<u8> = (0..len).map(|n| (n / 777) as u8).collect();
        let layout = Layout::for_file(len as u64).unwrap();
        let level = layout.chunk_level();
        let chunks = bytes.chunks(layout.chunk_len() as usize);
        let list = chunks.map(|chunk| chunk_hash(&block_hashes(chunk), level, false)).collect();
        let hashes = ChunkHashes::complete(len as u64, list, level);
        let descriptor = Descriptor { kind: Kind::File, size: len as u64, root: hashes.root() };
        let channel = Channel::new(&Identity::generate().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect((join.host(), join.port())).await.unwrap();
        let secure = channel.connect(stream, &join.tracker(), Purpose::Tracker).await.unwrap();
        let (mut reader, mut writer) = secure.into_frames();
        let (agent, nick) = ("older".to_owned(), "older".to_owned());
        let port = if listens { listener.local_addr().unwrap().port() } else { 0 };
        let digest = share_digest([]);
        let (versions, local, proof) = ((1, 1), vec![], None);
        let punches = false;
        let hello = track::Hello {
            versions,
            agent,
            nick,
            port,
            local,
            proof,
            digest,
            punches,
            counts: false,
        };
        let (name, total, chunks) = ("thing".to_owned(), len as u64, layout.chunks());
        let meta = FileMeta { descriptor, name, total, chunks };
        let register = Request::Register { q: 1, files: vec![meta], more: false, full: true };
        for request in [Request::Hello(hello), register] {
            writer.write(request.kind(), &request.body()).await.unwrap();
        }
        writer.flush().await.unwrap();
        let mut membership = None;
        loop {
            let frame = reader.read(MAX_TRACKER_FRAME).await.unwrap();
            match Reply::decode(frame.kind, &frame.body).unwrap() {
                Some(Reply::Welcome(welcome)) => membership = Some(welcome.membership),
                Some(Reply::Done { q: 1 }) => break,
                other => panic!("{other:?}"),
            }
        }
        let (membership, _tracker) = (membership.unwrap(), (reader, writer));
        Self { channel, listener, membership, bytes, layout, hashes, descriptor, _tracker }
    }

    /// The next connection, once `begun` says so.
    pub(super) async fn accept(&self, begun: impl Future<Output = ()>) -> Conn {
        let (stream, _) = self.listener.accept().await.unwrap();
        begun.await;
        let secure = self.channel.accept(stream, Purpose::Peer).await.unwrap();
        let (reader, writer) = secure.into_frames();
        Conn { reader, writer }
    }

    pub(super) fn hello(&self, membership: &[u8]) -> PeerMsg {
        self.hello_with(membership, None)
    }

    pub(super) fn hello_with(&self, membership: &[u8], number: Option<u64>) -> PeerMsg {
        PeerMsg::Hello(Hello {
            versions: (1, 1),
            agent: "older".into(),
            membership: membership.to_vec(),
            port: 0,
            features: 0,
            max_queued: 64 << 20,
            in_touch: None,
            number,
        })
    }

    /// Answers as every version does.
    pub(super) async fn answer(&self, conn: &mut Conn, msg: PeerMsg) {
        match msg {
            PeerMsg::Open(open) => {
                let (handle, state, want) = (open.handle, HaveState::All, false);
                let descriptor = self.descriptor;
                conn.say(&PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want })).await;
                conn.say(&PeerMsg::Choke { handle, choke: false }).await;
            }
            PeerMsg::HashReq { rid, index, count, .. } => {
                let proof = self.hashes.prove(HashRange { index, count }).unwrap();
                let (hashes, proof) = (proof.hashes, proof.uncles);
                conn.say(&PeerMsg::Hashes { rid, hashes, proof }).await;
            }
            PeerMsg::Ping(nonce) => conn.say(&PeerMsg::Pong(nonce)).await,
            PeerMsg::ReqAny { rid, count, .. } => {
                for rid in rid..rid + u32::from(count) {
                    conn.say(&PeerMsg::Reject { rid, code: Code::Gone }).await;
                }
            }
            PeerMsg::Request { rid, chunk, .. } => self.send(conn, rid, chunk).await,
            _ => {}
        }
    }

    async fn send(&self, conn: &mut Conn, rid: u32, chunk: u32) {
        let len = self.layout.chunk_len() as usize;
        let from = chunk as usize * len;
        let bytes = &self.bytes[from..(from + len).min(self.bytes.len())];
        for (n, part) in bytes.chunks(MAX_DATA_LEN).enumerate() {
            let header = DataHeader { rid, off: u32::try_from(n * MAX_DATA_LEN).unwrap() };
            let _ = conn.writer.write_parts(DATA, &[&header.encode(), part]).await;
        }
        let _ = conn.writer.flush().await;
    }
}

pub(super) struct Conn {
    pub(super) reader: SecureReader<TcpStream>,
    pub(super) writer: SecureWriter<TcpStream>,
}

impl Conn {
    pub(super) async fn say(&mut self, msg: &PeerMsg) {
        // Whom it does not please has hung up.
        let _ = self.writer.write(msg.kind(), &msg.body()).await;
        let _ = self.writer.flush().await;
    }

    /// The next message; `None` if the connection ended.
    pub(super) async fn hear(&mut self) -> Option<PeerMsg> {
        let frame = tokio::time::timeout(PATIENCE, self.reader.read(MAX_PEER_FRAME));
        let frame = frame.await.expect("something in time").ok()?;
        Some(PeerMsg::decode(frame.kind, &frame.body).unwrap().unwrap())
    }

    /// Everything up to the first request.
    async fn hear_request(&mut self) -> Vec<PeerMsg> {
        let mut all = Vec::new();
        while !matches!(all.last(), Some(PeerMsg::Request { .. })) {
            all.push(self.hear().await.expect("an open connection"));
        }
        all
    }
}

/// Begins a download of what `source` has.
async fn begin(dir: &Path, join: &JoinString, source: &Source) -> EngineHandle {
    begin_with(dir, join, source, Selection::All).await
}

async fn begin_with(
    dir: &Path,
    join: &JoinString,
    source: &Source,
    files: Selection,
) -> EngineHandle {
    let engine = peer(dir, "fetcher", join).await;
    // What it is called, and what it is, the tracker says: nobody waits for the catalogue.
    let id = source.descriptor.id();
    let request = Download { id, name: None, dir: None, files };
    engine.call(Command::Download(request)).await.unwrap();
    engine
}

/// Until the file is open: from then on there is something to ask for.
async fn is_open(engine: &EngineHandle, dir: &Path) {
    let journal = || {
        let files = std::fs::read_dir(dir.join("fetcher").join("d"));
        let mut names = files.into_iter().flatten().flatten().map(|file| file.path());
        names.any(|path| path.extension().is_some_and(|end| end == "state"))
    };
    // What comes after `Checking`, once the journal is there.
    until(engine, "it is open", |s| {
        let waits = |state: &TransferState| {
            matches!(state, TransferState::Getting | TransferState::NoSource)
        };
        journal() && s.transfers.iter().any(|t| waits(&t.state))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_up_to_the_first_request_is_here_before_the_source_has_said_hello() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Source::new(&join, 2_000_000).await;
    let engine = begin(temp.path(), &join, &source).await;
    let mut conn = source.accept(is_open(&engine, temp.path())).await;
    let early = conn.hear_request().await;
    assert!(matches!(&early[0], PeerMsg::Hello(_)), "{early:?}");
    let kinds: Vec<u8> = early.iter().map(PeerMsg::kind).collect();
    // HELLO, PING, OPEN, HASH_REQ, REQUEST.
    assert_eq!(kinds, [0x01, 0x40, 0x02, 0x30, 0x21], "{early:?}");
    // It answers as one that knows nothing of that.
    conn.say(&source.hello(&source.membership)).await;
    for msg in early {
        source.answer(&mut conn, msg).await;
    }
    let serving = async {
        while let Some(msg) = conn.hear().await {
            source.answer(&mut conn, msg).await;
        }
    };
    let done = until(&engine, "it is here", |s| {
        s.transfers.iter().any(|t| t.state == TransferState::Sharing)
    });
    tokio::select! {
        () = done => {}
        () = serving => panic!("it hung up"),
    }
    let path = temp.path().join("fetcher").join("d").join("thing");
    assert!(std::fs::read(path).unwrap() == source.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unproven_source_sends_is_not_read() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Source::new(&join, 200_000).await;
    let engine = begin(temp.path(), &join, &source).await;
    let mut events = engine.events();
    let stranger = Identity::generate().unwrap();
    let foreign = Membership::issue(&stranger, &source.channel.peer_id(), 1, 0, u64::MAX / 2);
    let mut conn = source.accept(is_open(&engine, temp.path())).await;
    let early = conn.hear_request().await;
    // Right answers, behind a HELLO that is not: as fast as it can.
    conn.say(&source.hello(&foreign)).await;
    for msg in early {
        source.answer(&mut conn, msg).await;
    }
    let goodbye = loop {
        match conn.hear().await {
            Some(PeerMsg::Bye { code, .. }) => break Some(code),
            Some(_) => {}
            None => break None,
        }
    };
    assert_eq!(goodbye, Some(Code::NotMember));
    let unreached = |s: &Snapshot| {
        let mut rows = s.transfers.iter().flat_map(|t| &t.unreached);
        rows.any(|source| source.why.contains("not a member"))
    };
    until(&engine, "why it does not come", unreached).await;
    let snapshot = engine.snapshot();
    let row = snapshot.transfers.iter().next().unwrap();
    assert_eq!((row.have, snapshot.totals.down, snapshot.peers.len()), (0, 0, 0));
    loop {
        match events.try_recv() {
            Ok(event) => {
                let connected = matches!(event.what, What::Peer { connected: true, .. });
                assert!(!connected, "{}", event.text);
            }
            Err(TryRecvError::Empty) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_closes_with_our_questions_unread_is_told_of_and_so_is_its_reason() {
    let bye = PeerMsg::Bye { code: Code::Revoked, text: "no member any more".into() };
    for (goodbye, told) in [(Some(bye), "refused"), (None, "")] {
        let temp = tempfile::tempdir().unwrap();
        let join = tracker().await;
        let source = Source::new(&join, 2_000_000).await;
        let engine = begin(temp.path(), &join, &source).await;
        let mut conn = source.accept(is_open(&engine, temp.path())).await;
        if let Some(goodbye) = goodbye {
            conn.say(&goodbye).await;
        }
        drop(conn);
        let unreached = |s: &Snapshot| {
            let mut rows = s.transfers.iter().flat_map(|t| &t.unreached);
            rows.any(|source| source.why.contains(told))
        };
        until(&engine, "why it does not come", unreached).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_source_without_an_address_it_is_said_that_it_cannot_be_reached() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Source::that_listens(&join, 200_000, false).await;
    let engine = begin(temp.path(), &join, &source).await;
    let unreached = |s: &Snapshot| {
        let mut rows = s.transfers.iter().flat_map(|t| &t.unreached);
        rows.any(|source| source.why.contains("no address of it can be reached"))
    };
    until(&engine, "why it does not come", unreached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_which_nothing_was_chosen_is_not_fetched_when_the_tracker_says_what_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let source = Source::new(&join, 200_000).await;
    let nothing = Selection::Paths(Vec::new());
    let engine = begin_with(temp.path(), &join, &source, nothing).await;
    let rests = |s: &Snapshot| s.transfers.iter().any(|t| t.state == TransferState::Paused);
    until(&engine, "it rests", rests).await;
    assert!(!temp.path().join("fetcher").join("d").join("thing").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_asks_along_with_its_hello_is_told_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let sharer = peer(temp.path(), "sharer", &join).await;
    let path = temp.path().join("thing");
    std::fs::write(&path, "thing".repeat(100_000)).unwrap();
    sharer.call(Command::Share { path, name: None }).await.unwrap();
    until(&sharer, "it is listed", |s| sources(s, "thing") == Some(1)).await;
    let snapshot = sharer.snapshot();
    let id = snapshot.catalogue.rows.first().unwrap().id;
    // What a member is: the same key, with a membership of this network.
    let source = Source::new(&join, 1000).await;
    let (me, stranger) = (source.channel.peer_id(), Identity::generate().unwrap());
    let foreign = Membership::issue(&stranger, &me, 1, 0, u64::MAX / 2);
    for (membership, admitted) in [(&foreign, false), (&source.membership, true)] {
        let stream = TcpStream::connect(snapshot.me.listen).await.unwrap();
        let secure =
            source.channel.connect(stream, &snapshot.me.peer, Purpose::Peer).await.unwrap();
        let (reader, writer) = secure.into_frames();
        let mut conn = Conn { reader, writer };
        let (handle, rid) = (0, 7);
        let open = Open { handle, id, state: HaveState::None, want: true };
        let request = PeerMsg::Request { handle, rid, chunk: 0, off: 0, len: 65_536 };
        for msg in [source.hello(membership), PeerMsg::Open(open), request] {
            conn.writer.write(msg.kind(), &msg.body()).await.unwrap();
        }
        conn.writer.flush().await.unwrap();
        let mut kinds = Vec::new();
        // To the end, or to the payload.
        while !matches!(kinds.last(), Some(&DATA | 0x7f))
            && let Ok(frame) = conn.reader.read(MAX_PEER_FRAME).await
        {
            kinds.push(frame.kind);
        }
        // HELLO, BYE; or HELLO, PING and, in this order, OPEN_OK, CHOKE, DATA.
        let answers: Vec<u8> = kinds.into_iter().filter(|kind| *kind != 0x40).collect();
        match admitted {
            false => assert_eq!(answers, [0x01, 0x7f]),
            true => assert_eq!((answers[0], *answers.last().unwrap()), (0x01, DATA)),
        }
    }
}

/// Keeps a copy of what is read.
struct Tap {
    stream: TcpStream,
    read: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read.lock().unwrap().extend_from_slice(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Lengths of the TLS records in it, of what is encrypted: without the tag and the type.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut all = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        all.push(len.saturating_sub(17));
        bytes = rest.get(len..).unwrap_or_default();
    }
    all
}

/// What OPEN_OK allows to be asked for would come a round trip later: a record can be read only when all of it is here,
/// and 16 KiB are more than a new connection carries in one.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_answers_do_not_share_a_record_with_payload() {
    let temp = tempfile::tempdir().unwrap();
    let join = tracker().await;
    let sharer = peer(temp.path(), "sharer", &join).await;
    let path = temp.path().join("thing");
    std::fs::write(&path, [7; 65_536]).unwrap();
    sharer.call(Command::Share { path, name: None }).await.unwrap();
    until(&sharer, "it is listed", |s| sources(s, "thing") == Some(1)).await;
    let snapshot = sharer.snapshot();
    let id = snapshot.catalogue.rows.first().unwrap().id;
    let source = Source::new(&join, 1000).await;
    let stream = TcpStream::connect(snapshot.me.listen).await.unwrap();
    let read = Arc::new(Mutex::new(Vec::new()));
    let tap = Tap { stream, read: read.clone() };
    let secure = source.channel.connect(tap, &snapshot.me.peer, Purpose::Peer).await.unwrap();
    let (mut reader, mut writer) = secure.into_frames();
    let open = Open { handle: 0, id, state: HaveState::None, want: true };
    let request = PeerMsg::Request { handle: 0, rid: 7, chunk: 0, off: 0, len: 65_536 };
    for msg in [source.hello(&source.membership), PeerMsg::Open(open), request] {
        writer.write(msg.kind(), &msg.body()).await.unwrap();
    }
    writer.flush().await.unwrap();
    let payload = loop {
        let frame = reader.read(MAX_PEER_FRAME).await.unwrap();
        if frame.kind == DATA {
            break frame.body.len();
        }
    };
    assert_eq!(payload, 8 + 65_536, "all of it, and its number and place");
    let records = records(&read.lock().unwrap());
    let with_payload = records.iter().skip_while(|len| **len < 16_384);
    // Its length, its type, and it.
    assert_eq!(with_payload.sum::<usize>(), 5 + payload, "{records:?}");
}
