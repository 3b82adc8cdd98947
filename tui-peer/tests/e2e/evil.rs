//! Peers that speak the protocol and mean harm.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::channel::{Channel, Purpose, SecureReader, SecureWriter};
use common::content::{Descriptor, Kind};
use common::id::PeerId;
use common::identity::Identity;
use common::join::JoinString;
use common::layout::Layout;
use common::limits::{MAX_DATA_LEN, MAX_PEER_FRAME, MAX_TRACKER_FRAME, MIN_DATA_LEN};
use common::merkle::{ChunkHashes, HashRange, block_hashes, chunk_hash};
use common::wire::Code;
use common::wire::peer::{DATA, DataHeader, HaveState, Hello, OpenOk, PeerMsg};
use common::wire::tracker::{self, FileMeta, Reply, Request, share_digest};
use tokio::net::{TcpListener, TcpStream};

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    AltersEveryTenth,
    ServesNothing,
    StopsInMidChunk,
    /// Sends one byte a frame.
    SendsCrumbs,
    /// Sends nine tenths of every chunk.
    FinishesNothing,
    /// The same, and says that it will not go on.
    BreaksOff,
    /// Sends the smallest frame there is every second.
    Trickles,
}

impl Manner {
    /// Whether the protocol tells it from a bad link, so that it is banned at once.
    pub(crate) fn is_fault(self) -> bool {
        matches!(self, Self::SendsCrumbs | Self::FinishesNothing)
    }
}

/// A running evil peer; ends when dropped.
pub(crate) struct Evil {
    pub(crate) peer: PeerId,
    _runtime: tokio::runtime::Runtime,
}

struct Content {
    bytes: Vec<u8>,
    layout: Layout,
    hashes: ChunkHashes,
    descriptor: Descriptor,
}

/// Registers `file` with the tracker as its own, and serves it in its manner.
pub(crate) fn start(join: &str, file: &Path, manner: Manner) -> Evil {
    let bytes = std::fs::read(file).unwrap();
    let layout = Layout::for_file(bytes.len() as u64).unwrap();
    let level = layout.chunk_level();
    let chunks = bytes.chunks(layout.chunk_len() as usize);
    let list = chunks.map(|chunk| chunk_hash(&block_hashes(chunk), level, false)).collect();
    let hashes = ChunkHashes::complete(bytes.len() as u64, list, level);
    let size = bytes.len() as u64;
    let descriptor = Descriptor { kind: Kind::File, size, root: hashes.root() };
    let content = Arc::new(Content { bytes, layout, hashes, descriptor });
    let identity = Identity::generate().unwrap();
    let peer = identity.peer_id();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let join: JoinString = join.parse().unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let channel = Channel::new(&identity).unwrap();
        let (connection, membership) = register(&channel, &join, port, &name, &content).await;
        tokio::spawn(async move {
            // The standing connection is what keeps us in the network.
            let _connection = connection;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (channel, content) = (channel.clone(), content.clone());
                let membership = membership.clone();
                tokio::spawn(async move {
                    let secure = channel.accept(stream, Purpose::Peer).await.unwrap();
                    let (reader, writer) = secure.into_frames();
                    serve(reader, writer, membership, &content, manner).await;
                });
            }
        });
    });
    Evil { peer, _runtime: runtime }
}

pub(crate) type Connection = (SecureReader<TcpStream>, SecureWriter<TcpStream>);

async fn register(
    channel: &Channel,
    join: &JoinString,
    port: u16,
    name: &str,
    content: &Content,
) -> (Connection, Vec<u8>) {
    let ((mut reader, mut writer), membership) = enter(channel, join, port).await;
    let meta = FileMeta {
        descriptor: content.descriptor,
        name: name.to_owned(),
        total: content.layout.total(),
        chunks: content.layout.chunks(),
    };
    let register = Request::Register { q: 1, files: vec![meta], more: false, full: true };
    writer.write(register.kind(), &register.body()).await.unwrap();
    writer.flush().await.unwrap();
    let frame = reader.read(MAX_TRACKER_FRAME).await.unwrap();
    assert_eq!(Reply::decode(frame.kind, &frame.body).unwrap(), Some(Reply::Done { q: 1 }));
    ((reader, writer), membership)
}

/// Becomes a member: the standing connection, and what proves it to other peers.
pub(crate) async fn enter(
    channel: &Channel,
    join: &JoinString,
    port: u16,
) -> (Connection, Vec<u8>) {
    let stream = TcpStream::connect((join.host(), join.port())).await.unwrap();
    let secure = channel.connect(stream, &join.tracker(), Purpose::Tracker).await.unwrap();
    let (mut reader, mut writer) = secure.into_frames();
    let hello = Request::Hello(tracker::Hello {
        versions: (1, 1),
        agent: "evil".into(),
        nick: "evil".into(),
        port,
        local: vec![],
        proof: None,
        digest: share_digest([]),
        punches: false,
        counts: false,
    });
    writer.write(hello.kind(), &hello.body()).await.unwrap();
    writer.flush().await.unwrap();
    let frame = reader.read(MAX_TRACKER_FRAME).await.unwrap();
    let Some(Reply::Welcome(welcome)) = Reply::decode(frame.kind, &frame.body).unwrap() else {
        panic!("not welcome");
    };
    ((reader, writer), welcome.membership)
}

async fn serve(
    mut reader: SecureReader<TcpStream>,
    mut writer: SecureWriter<TcpStream>,
    membership: Vec<u8>,
    content: &Content,
    manner: Manner,
) {
    let hello = PeerMsg::Hello(Hello {
        versions: (1, 1),
        agent: "evil".into(),
        membership,
        port: 0,
        features: 0,
        max_queued: 64 << 20,
        in_touch: None,
        number: None,
    });
    say(&mut writer, &hello).await;
    let mut next = 0;
    while let Ok(frame) = reader.read(MAX_PEER_FRAME).await {
        let Ok(Some(msg)) = PeerMsg::decode(frame.kind, &frame.body) else { return };
        match msg {
            PeerMsg::Open(open) => {
                let (handle, state, want) = (open.handle, HaveState::All, false);
                let descriptor = content.descriptor;
                say(&mut writer, &PeerMsg::OpenOk(OpenOk { handle, descriptor, state, want }))
                    .await;
                say(&mut writer, &PeerMsg::Choke { handle, choke: false }).await;
            }
            PeerMsg::HashReq { rid, index, count, .. } => {
                let proof = content.hashes.prove(HashRange { index, count }).unwrap();
                let (hashes, proof) = (proof.hashes, proof.uncles);
                say(&mut writer, &PeerMsg::Hashes { rid, hashes, proof }).await;
            }
            PeerMsg::Ping(nonce) => say(&mut writer, &PeerMsg::Pong(nonce)).await,
            PeerMsg::ReqAny { rid, count, except, .. } if manner != Manner::ServesNothing => {
                for rid in rid..rid + u32::from(count) {
                    while except.contains(&next) {
                        next += 1;
                    }
                    let chunk = next % content.layout.chunks();
                    next += 1;
                    say(&mut writer, &PeerMsg::Assign { rid, chunk }).await;
                    let goes_on = send(&mut writer, content, rid, chunk, manner).await;
                    hang_unless(goes_on).await;
                }
            }
            PeerMsg::Request { rid, chunk, .. } if manner != Manner::ServesNothing => {
                let goes_on = send(&mut writer, content, rid, chunk, manner).await;
                hang_unless(goes_on).await;
            }
            _ => {}
        }
    }
}

async fn hang_unless(goes_on: bool) {
    if !goes_on {
        std::future::pending::<()>().await;
    }
}

/// Sends a chunk in its manner; false if it stopped for good.
async fn send(
    writer: &mut SecureWriter<TcpStream>,
    content: &Content,
    rid: u32,
    chunk: u32,
    manner: Manner,
) -> bool {
    let len = content.layout.chunk_len() as usize;
    let from = chunk as usize * len;
    let mut bytes = content.bytes[from..(from + len).min(content.bytes.len())].to_vec();
    if manner == Manner::AltersEveryTenth && chunk.is_multiple_of(10) {
        bytes[0] ^= 1;
    }
    let stop = manner == Manner::StopsInMidChunk;
    if stop {
        bytes.truncate(20_000);
    }
    if matches!(manner, Manner::FinishesNothing | Manner::BreaksOff) {
        bytes.truncate(bytes.len() / 10 * 9);
    }
    let frame = match manner {
        Manner::SendsCrumbs => 1,
        Manner::Trickles => MIN_DATA_LEN,
        _ => MAX_DATA_LEN,
    };
    for (i, part) in bytes.chunks(frame).enumerate() {
        let off = u32::try_from(i * frame).unwrap();
        let header = DataHeader { rid, off }.encode();
        if writer.write_parts(DATA, &[&header, part]).await.is_err() {
            return false;
        }
        if manner == Manner::Trickles {
            let _ = writer.flush().await;
            // The attack itself, not a wait for anything.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    if manner == Manner::BreaksOff {
        say(writer, &PeerMsg::Reject { rid, code: Code::Choked }).await;
    }
    let _ = writer.flush().await;
    !stop
}

async fn say(writer: &mut SecureWriter<TcpStream>, msg: &PeerMsg) {
    // A peer that was banned finds the door shut.
    let _ = writer.write(msg.kind(), &msg.body()).await;
    let _ = writer.flush().await;
}
