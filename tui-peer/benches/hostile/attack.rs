//! What hostile members do, each for as long as it is left to run. Run by the bench as programs of their
//! own, in namespaces of their own.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::channel::{Channel, Purpose, SecureReader, SecureWriter};
use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::layout::Layout;
use common::limits::{MAX_PEER_FRAME, MAX_TRACKER_FRAME};
use common::merkle::{ChunkHashes, HashRange, block_hashes, chunk_hash};
use common::wire::peer::{DATA, DataHeader, HaveState, Hello, Open, OpenOk, PeerMsg};
use common::wire::tracker::{self, FileMeta, Reply, Request, Sort, share_digest};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) type Reader = SecureReader<TcpStream>;
pub(crate) type Writer = SecureWriter<TcpStream>;
type Never = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Pause after something that failed, so that an attacker is not merely busy with itself.
const AGAIN: Duration = Duration::from_millis(100);
/// Rows that the attacker of the catalogue registers for each key: what one may have in half a table.
const ROWS: u32 = 20_000;

/// Carries out `attack` for ever.
pub(crate) async fn run(attack: &str, join: &JoinString, target: &Target, file: &Path) {
    let all: Vec<Never> = match attack {
        "s1" => vec![Box::pin(one_byte_frames(join.clone(), file.to_owned()))],
        "s2" => (0..24).map(|_| hashes_unread(join.clone(), target.clone()).never()).collect(),
        "s4" => (0..8).map(|_| cheap_questions(join.clone()).never()).collect(),
        "s6" => (2..18)
            .flat_map(|last| [(last, target.peer), (last, target.tracker)])
            .map(|(last, to)| silent_sockets(target.ours(last), to, 300).never())
            .collect(),
        "s7" => (0..200).map(|_| useless_members(join.clone(), target.clone()).never()).collect(),
        other => panic!("no attack {other}"),
    };
    futures_util::future::join_all(all).await;
}

trait NeverEnding: Future<Output = ()> + Send + Sized + 'static {
    fn never(self) -> Never {
        Box::pin(self)
    }
}
impl<F: Future<Output = ()> + Send + 'static> NeverEnding for F {}

/// Who is attacked.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) peer: SocketAddr,
    pub(crate) key: PeerId,
    pub(crate) tracker: SocketAddr,
    pub(crate) id: ContentId,
    /// The attacker's host.
    pub(crate) host: u8,
}

impl Target {
    fn ours(&self, last: u8) -> IpAddr {
        IpAddr::from([10, 77, self.host, last])
    }
}

/// A member's standing connection to the tracker, and its membership.
pub(crate) async fn member(
    channel: &Channel,
    join: &JoinString,
    port: u16,
) -> Option<(Reader, Writer, Vec<u8>)> {
    let stream = TcpStream::connect((join.host(), join.port())).await.ok()?;
    let secure = channel.connect(stream, &join.tracker(), Purpose::Tracker).await.ok()?;
    let (mut reader, mut writer) = secure.into_frames();
    let hello = Request::Hello(tracker::Hello {
        versions: (1, 1),
        agent: "hostile".into(),
        nick: "hostile".into(),
        port,
        local: vec![],
        proof: None,
        digest: share_digest([]),
        punches: false,
        counts: false,
    });
    writer.write(hello.kind(), &hello.body()).await.ok()?;
    writer.flush().await.ok()?;
    let frame = reader.read(MAX_TRACKER_FRAME).await.ok()?;
    match Reply::decode(frame.kind, &frame.body) {
        Ok(Some(Reply::Welcome(welcome))) => Some((reader, writer, welcome.membership)),
        _ => None,
    }
}

fn channel() -> Channel {
    Channel::new(&Identity::generate().unwrap()).unwrap()
}

fn hello(membership: Vec<u8>) -> PeerMsg {
    PeerMsg::Hello(Hello {
        versions: (1, 1),
        agent: "hostile".into(),
        membership,
        port: 0,
        features: 0,
        max_queued: 64 << 20,
        in_touch: None,
        number: None,
    })
}

async fn say(writer: &mut Writer, msg: &PeerMsg) -> Option<()> {
    writer.write(msg.kind(), &msg.body()).await.ok()?;
    writer.flush().await.ok()
}

async fn ask(writer: &mut Writer, request: &Request) -> Option<()> {
    writer.write(request.kind(), &request.body()).await.ok()?;
    writer.flush().await.ok()
}

/// S1: a source that sends DATA in one-byte frames, as many as it likes.
async fn one_byte_frames(join: JoinString, file: std::path::PathBuf) {
    let bytes = std::fs::read(file).unwrap();
    let layout = Layout::for_file(bytes.len() as u64).unwrap();
    let level = layout.chunk_level();
    let chunks = bytes.chunks(layout.chunk_len() as usize);
    let list = chunks.map(|chunk| chunk_hash(&block_hashes(chunk), level, false)).collect();
    let size = bytes.len() as u64;
    let hashes = Arc::new(ChunkHashes::complete(size, list, level));
    let descriptor = Descriptor { kind: Kind::File, size, root: hashes.root() };
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let channel = channel();
    let (_reader, mut writer, membership) = member(&channel, &join, port).await.unwrap();
    let (total, chunks) = (layout.total(), layout.chunks());
    let meta = FileMeta { descriptor, name: "liar".into(), total, chunks };
    let register = Request::Register { q: 1, files: vec![meta], more: false, full: true };
    ask(&mut writer, &register).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (channel, membership, hashes) = (channel.clone(), membership.clone(), hashes.clone());
        tokio::spawn(async move {
            let Ok(secure) = channel.accept(stream, Purpose::Peer).await else { return };
            let (reader, writer) = secure.into_frames();
            trickle(reader, writer, membership, descriptor, &hashes).await;
        });
    }
}

async fn trickle(
    mut reader: Reader,
    mut writer: Writer,
    membership: Vec<u8>,
    descriptor: Descriptor,
    hashes: &ChunkHashes,
) -> Option<()> {
    say(&mut writer, &hello(membership)).await?;
    let mut next = 0u32;
    loop {
        let frame = reader.read(MAX_PEER_FRAME).await.ok()?;
        match PeerMsg::decode(frame.kind, &frame.body).ok()?? {
            PeerMsg::Open(open) => {
                let (handle, state, want) = (open.handle, HaveState::All, false);
                let ok = PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want });
                say(&mut writer, &ok).await?;
                say(&mut writer, &PeerMsg::Choke { handle, choke: false }).await?;
            }
            PeerMsg::HashReq { rid, index, count, .. } => {
                let proof = hashes.prove(HashRange { index, count })?;
                let (hashes, proof) = (proof.hashes, proof.uncles);
                say(&mut writer, &PeerMsg::Hashes { rid, hashes, proof }).await?;
            }
            PeerMsg::Ping(nonce) => say(&mut writer, &PeerMsg::Pong(nonce)).await?,
            PeerMsg::ReqAny { rid, count, .. } => {
                for rid in rid..rid + u32::from(count) {
                    let chunk = next % hashes.chunks();
                    next += 1;
                    say(&mut writer, &PeerMsg::Assign { rid, chunk }).await?;
                    crumbs(&mut writer, rid).await?;
                }
            }
            PeerMsg::Request { rid, .. } => crumbs(&mut writer, rid).await?,
            _ => {}
        }
    }
}

/// 24,000 frames of one byte: what once took all of a peer's buffers.
async fn crumbs(writer: &mut Writer, rid: u32) -> Option<()> {
    for off in 0..24_000 {
        let header = DataHeader { rid, off }.encode();
        writer.write_parts(DATA, &[&header, &[0]]).await.ok()?;
    }
    writer.flush().await.ok()
}

/// A member's connection to the attacked peer with the content open.
async fn open(join: &JoinString, target: &Target, want: bool) -> Option<(Reader, Writer, Writer)> {
    let channel = channel();
    let (_, standing, membership) = member(&channel, join, 0).await?;
    let stream = TcpStream::connect(target.peer).await.ok()?;
    let secure = channel.connect(stream, &target.key, Purpose::Peer).await.ok()?;
    let (mut reader, mut writer) = secure.into_frames();
    say(&mut writer, &hello(membership)).await?;
    reader.read(MAX_PEER_FRAME).await.ok()?;
    let (id, state) = (target.id, HaveState::None);
    say(&mut writer, &PeerMsg::Open(Open { handle: 0, id, state, want })).await?;
    Some((reader, writer, standing))
}

/// S2: asks for hashes, and never reads an answer.
async fn hashes_unread(join: JoinString, target: Target) {
    loop {
        let flood = async {
            let (_reader, mut writer, _standing) = open(&join, &target, false).await?;
            for rid in 0u32.. {
                // 200 MB have 2^12 chunks' hashes at most; any range that exists will do.
                let ask =
                    PeerMsg::HashReq { handle: 0, rid, file: 0, level: 3, index: 0, count: 1024 };
                writer.write(ask.kind(), &ask.body()).await.ok()?;
                if rid % 100 == 99 {
                    writer.flush().await.ok()?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Some(())
        };
        // Whoever does not read finds out that he was closed only when writing hangs.
        let _ = tokio::time::timeout(Duration::from_secs(30), flood).await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// S4: questions that are cheap to ask: many alternatives that nothing matches, and made-up cursors.
async fn cheap_questions(join: JoinString) {
    let alternatives = |n: usize| {
        let words: Vec<String> = (0..n).map(|i| format!("z{i}")).collect();
        words.join("|")
    };
    loop {
        let flood = async {
            let (mut reader, mut writer, _) = member(&channel(), &join, 0).await?;
            let drain =
                tokio::spawn(async move { while reader.read(MAX_TRACKER_FRAME).await.is_ok() {} });
            for q in 0u32.. {
                let n = if q % 2 == 0 { 8 } else { 30 };
                let (query, cursor) = (alternatives(n), vec![0xff; 48]);
                let cursor = if q % 3 == 0 { cursor } else { vec![] };
                let list = Request::FileList { q, query, cursor, limit: 500, sort: Sort::Name };
                if ask(&mut writer, &list).await.is_none() || drain.is_finished() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Some(())
        };
        let _ = flood.await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// Rows for a large catalogue, from one member; returns its standing connection.
pub(crate) async fn fill(join: &JoinString, keys: u32) -> Vec<(Reader, Writer)> {
    let mut standing = Vec::new();
    for key in 0..keys {
        let (mut reader, mut writer, _) = member(&channel(), join, 0).await.unwrap();
        let mut q = 0;
        for first in (0..ROWS).step_by(200) {
            let files = (first..first + 200).map(|n| row(key, n)).collect();
            q += 1;
            let more = first + 200 < ROWS;
            let register = Request::Register { q, files, more, full: first == 0 };
            ask(&mut writer, &register).await.unwrap();
            loop {
                let frame = reader.read(MAX_TRACKER_FRAME).await.unwrap();
                match Reply::decode(frame.kind, &frame.body).unwrap() {
                    Some(Reply::Done { q: done }) if done == q => break,
                    Some(Reply::Done { .. }) | None => {}
                    Some(other) => panic!("registering row {first} of key {key}: {other:?}"),
                }
            }
        }
        standing.push((reader, writer));
    }
    standing
}

fn row(key: u32, n: u32) -> FileMeta {
    let mut root = [7; 32];
    root[..4].copy_from_slice(&key.to_le_bytes());
    root[4..8].copy_from_slice(&n.to_le_bytes());
    let root = Hash::from_bytes(root);
    let descriptor = Descriptor { kind: Kind::File, size: 70_000, root };
    let name = format!("measurement-{key:03}-{n:06}.dat");
    FileMeta { descriptor, name, total: 70_000, chunks: 2 }
}

/// S6: connections that say nothing, from one address.
async fn silent_sockets(from: IpAddr, to: SocketAddr, count: usize) {
    let mut held = std::collections::VecDeque::new();
    loop {
        let connect = async {
            let socket = TcpSocket::new_v4().ok()?;
            socket.bind(SocketAddr::new(from, 0)).ok()?;
            socket.connect(to).await.ok()
        };
        held.push_back(connect.await);
        if held.len() > count {
            held.pop_front();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// S7: a member that wants the content, asks for nothing, and answers pings.
async fn useless_members(join: JoinString, target: Target) {
    loop {
        let stay = async {
            let (mut reader, mut writer, _standing) = open(&join, &target, true).await?;
            loop {
                let frame = reader.read(MAX_PEER_FRAME).await.ok()?;
                match PeerMsg::decode(frame.kind, &frame.body).ok()? {
                    Some(PeerMsg::Ping(nonce)) => say(&mut writer, &PeerMsg::Pong(nonce)).await?,
                    Some(PeerMsg::Bye { .. }) => return None,
                    _ => {}
                }
            }
            #[expect(unreachable_code, reason = "gives the block its type")]
            Some(())
        };
        let _: Option<()> = stay.await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// An honest member that asks the tracker for nothing but a sign of life: how long each took.
pub(crate) async fn pings(join: &JoinString, until: impl Fn() -> bool) -> Vec<Duration> {
    let (mut reader, mut writer, _) = member(&channel(), join, 0).await.unwrap();
    let mut took = Vec::new();
    for q in 1.. {
        let began = Instant::now();
        if ask(&mut writer, &Request::Ping { q }).await.is_none() {
            break;
        }
        loop {
            let Ok(frame) = reader.read(MAX_TRACKER_FRAME).await else { return took };
            if frame.kind == (Reply::Pong { q }).kind() {
                break;
            }
        }
        took.push(began.elapsed());
        if until() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took
}
