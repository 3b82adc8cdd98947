//! Members that ask for all there is and read nothing of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::channel::{Channel, Purpose};
use common::content::{Descriptor, Kind};
use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::layout::Layout;
use common::limits::{MAX_DATA_LEN, MAX_PEER_FRAME};
use common::merkle::{ChunkHashes, block_hashes, chunk_hash};
use common::wire::peer::{HaveState, Hello, Open, PeerMsg};
use serde_json::Value;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::evil::enter;

/// Long enough for 1,024 chunks: the largest answer to the smallest question.
pub(crate) const MANY_CHUNKS: u64 = 64 << 20;
/// Long enough for chunks of 4 MiB.
pub(crate) const LARGE_CHUNKS: u64 = (4 << 30) + 1;
/// Questions that a member sends, if it is let.
const QUESTIONS: u32 = 6000;
/// Bytes that a member sends whose message never ends: most of the longest that may be.
const HALF: u64 = 200_000;
/// A member whose questions are not taken for so long has done what it can.
const STUCK: Duration = Duration::from_secs(2);
/// Members that shake hands at once: all of them together would be late on a machine that is busy.
const OPENING: usize = 16;
/// A member that has not opened its content by then will not.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file of next to nothing.
pub(crate) struct Sparse {
    pub(crate) path: PathBuf,
    id: ContentId,
    level: u8,
}

/// What a member does.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Asks for hashes and chunks, and does not read the answers.
    Asks,
    /// Sends most of the longest message there is.
    HalfAMessage,
    /// Sends nothing and reads nothing of what it is told.
    Listens,
}

/// A running attack; ends when dropped.
pub(crate) struct Attack {
    /// Members to which a content was opened.
    pub(crate) opened: usize,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) fn sparse(path: &Path, n: u8, size: u64) -> Sparse {
    fs::write(path, [n + 1; 64]).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(size).unwrap();
    let layout = Layout::for_file(size).unwrap();
    let (level, len) = (layout.chunk_level(), layout.chunk_len() as usize);
    let mut chunk = vec![0; len];
    let zeros = chunk_hash(&block_hashes(&chunk), level, false);
    chunk[..64].fill(n + 1);
    let mut list = vec![zeros; layout.chunks() as usize];
    list[0] = chunk_hash(&block_hashes(&chunk), level, false);
    let last = size % u64::from(layout.chunk_len());
    if let Some(hash) = list.last_mut().filter(|_| last > 0) {
        *hash = chunk_hash(&block_hashes(&vec![0; usize::try_from(last).unwrap()]), level, false);
    }
    let root = ChunkHashes::complete(size, list, level).root();
    let id = Descriptor { kind: Kind::File, size, root }.id();
    Sparse { path: path.to_path_buf(), id, level }
}

/// `members` ask the peer that said `ready` until it takes no more, and stay.
pub(crate) fn start(join: &str, ready: &Value, files: &[Sparse], members: usize) -> Attack {
    attack(join, ready, files, members, |_| Manner::Asks)
}

/// The same; one in four sends the beginning of a long message instead, one does nothing.
pub(crate) fn start_mixed(join: &str, ready: &Value, files: &[Sparse], members: usize) -> Attack {
    attack(join, ready, files, members, |n| match n % 4 {
        0 => Manner::HalfAMessage,
        1 => Manner::Listens,
        _ => Manner::Asks,
    })
}

fn attack(
    join: &str,
    ready: &Value,
    files: &[Sparse],
    members: usize,
    manner: impl Fn(usize) -> Manner,
) -> Attack {
    let join: JoinString = join.parse().unwrap();
    let peer: PeerId = ready["peer"].as_str().unwrap().parse().unwrap();
    let addr = ready["addr"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let opened = runtime.block_on(async {
        let mut asking = tokio::task::JoinSet::new();
        let turns = Arc::new(Semaphore::new(OPENING));
        for n in 0..members {
            let (join, addr, turns) = (join.clone(), addr.clone(), turns.clone());
            let (file, manner) = (&files[n % files.len()], manner(n / files.len()));
            let (id, level) = (file.id, file.level);
            asking.spawn(async move { ask(&join, &addr, peer, (id, level), manner, &turns).await });
        }
        asking.join_all().await.into_iter().filter(|opened| *opened).count()
    });
    Attack { opened, _runtime: runtime }
}

/// Opens a content and does what is its manner; whether it was opened.
async fn ask(
    join: &JoinString,
    addr: &str,
    peer: PeerId,
    (id, level): (ContentId, u8),
    manner: Manner,
    turns: &Semaphore,
) -> bool {
    let mut turn = Some(turns.acquire().await.unwrap());
    let channel = Channel::new(&Identity::generate().unwrap()).unwrap();
    let (tracker, membership) = enter(&channel, join, 1).await;
    let most = if matches!(manner, Manner::HalfAMessage) { HALF } else { u64::MAX };
    let stream = relay(TcpStream::connect(addr).await.unwrap(), most);
    let Ok(secure) = channel.connect(stream, &peer, Purpose::Peer).await else { return false };
    let (mut reader, mut writer) = secure.into_frames();
    let hello = Hello {
        versions: (1, 1),
        agent: "deaf".into(),
        membership,
        port: 0,
        features: 0,
        max_queued: 64 << 20,
        in_touch: None,
        number: None,
    };
    let open = Open { handle: 0, id, state: HaveState::None, want: true };
    let any = |rid| PeerMsg::ReqAny { handle: 0, rid, count: 16, except: Vec::new() };
    let hashes = |rid| PeerMsg::HashReq { handle: 0, rid, file: 0, level, index: 0, count: 1024 };
    let mut opened = false;
    let opening = async {
        for msg in [PeerMsg::Hello(hello), PeerMsg::Open(open)] {
            writer.write(msg.kind(), &msg.body()).await?;
        }
        writer.flush().await?;
        // The last thing it reads is that it may ask for chunks.
        loop {
            let frame = reader.read(MAX_PEER_FRAME).await?;
            match PeerMsg::decode(frame.kind, &frame.body) {
                Ok(Some(PeerMsg::OpenOk(_))) => {
                    opened = true;
                    // The next may shake hands: that it is unchoked this one may wait for in vain.
                    turn = None;
                    if !matches!(manner, Manner::Asks) {
                        break;
                    }
                }
                Ok(Some(PeerMsg::Choke { choke: false, .. })) => break,
                Ok(Some(PeerMsg::OpenNo { .. } | PeerMsg::Bye { .. })) => break,
                _ => {}
            }
        }
        Ok::<(), common::channel::FrameError>(())
    };
    let _ = tokio::time::timeout(PATIENCE, opening).await;
    drop(turn);
    let talk = async {
        if matches!(manner, Manner::HalfAMessage) {
            let long = PeerMsg::Bitfield { handle: 0, set: vec![0xff; MAX_DATA_LEN] };
            writer.write(long.kind(), &long.body()).await?;
            return writer.flush().await;
        }
        if matches!(manner, Manner::Listens) {
            return Ok(());
        }
        for rid in 0..QUESTIONS {
            let msg = if rid % 100 == 0 { any(1_000_000 + rid) } else { hashes(rid) };
            writer.write(msg.kind(), &msg.body()).await?;
            writer.flush().await?;
        }
        Ok::<(), common::channel::FrameError>(())
    };
    // What is not taken within this time is not taken.
    let _ = tokio::time::timeout(STUCK * 5, talk).await;
    // It stays, and reads nothing.
    std::mem::forget((tracker, reader, writer));
    opened
}

/// The same stream, over which no more than `most` bytes are sent.
fn relay(tcp: TcpStream, most: u64) -> DuplexStream {
    let (near, far) = tokio::io::duplex(4096);
    let (mut from, mut to) = tcp.into_split();
    let (far_from, mut far_to) = tokio::io::split(far);
    tokio::spawn(async move { tokio::io::copy(&mut from, &mut far_to).await });
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut far_from.take(most), &mut to).await;
        // It stays open.
        std::future::pending::<()>().await;
    });
    near
}
