//! Members that ask for all there is and read nothing of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::channel::{Channel, Purpose};
use common::content::{Descriptor, Kind};
use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::layout::Layout;
use common::limits::MAX_PEER_FRAME;
use common::merkle::{ChunkHashes, block_hashes, chunk_hash};
use common::wire::peer::{HaveState, Hello, Open, PeerMsg};
use serde_json::Value;
use tokio::net::TcpStream;

use super::evil::enter;

/// Long enough for 1,024 chunks: the largest answer to the smallest question.
const LEN: u64 = 64 << 20;
/// Questions that a member sends, if it is let.
const QUESTIONS: u32 = 6000;
/// A member whose questions are not taken for so long has done what it can.
const STUCK: Duration = Duration::from_secs(2);

/// A file of next to nothing.
pub(crate) struct Sparse {
    pub(crate) path: PathBuf,
    id: ContentId,
}

/// A running attack; ends when dropped.
pub(crate) struct Attack {
    /// Members to which a content was opened.
    pub(crate) opened: usize,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) fn sparse(path: &Path, n: u8) -> Sparse {
    fs::write(path, [n + 1; 64]).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(LEN).unwrap();
    let layout = Layout::for_file(LEN).unwrap();
    let (level, len) = (layout.chunk_level(), layout.chunk_len() as usize);
    let mut chunk = vec![0; len];
    let zeros = chunk_hash(&block_hashes(&chunk), level, false);
    chunk[..64].fill(n + 1);
    let mut list = vec![zeros; layout.chunks() as usize];
    list[0] = chunk_hash(&block_hashes(&chunk), level, false);
    let root = ChunkHashes::complete(LEN, list, level).root();
    let id = Descriptor { kind: Kind::File, size: LEN, root }.id();
    Sparse { path: path.to_path_buf(), id }
}

/// `members` ask the peer that said `ready` until it takes no more, and stay.
pub(crate) fn start(join: &str, ready: &Value, files: &[Sparse], members: usize) -> Attack {
    let join: JoinString = join.parse().unwrap();
    let peer: PeerId = ready["peer"].as_str().unwrap().parse().unwrap();
    let addr = ready["addr"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let opened = runtime.block_on(async {
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..members {
            let (join, addr) = (join.clone(), addr.clone());
            let id = files[n % files.len()].id;
            asking.spawn(async move { ask(&join, &addr, peer, id).await });
        }
        asking.join_all().await.into_iter().filter(|opened| *opened).count()
    });
    Attack { opened, _runtime: runtime }
}

/// Asks for hashes and for chunks; whether the content was opened.
async fn ask(join: &JoinString, addr: &str, peer: PeerId, id: ContentId) -> bool {
    let channel = Channel::new(&Identity::generate().unwrap()).unwrap();
    let (tracker, membership) = enter(&channel, join, 1).await;
    let stream = TcpStream::connect(addr).await.unwrap();
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
    };
    let open = Open { handle: 0, id, state: HaveState::None, want: true };
    let level = Layout::for_file(LEN).unwrap().chunk_level();
    let any = |rid| PeerMsg::ReqAny { handle: 0, rid, count: 16, except: Vec::new() };
    let hashes = |rid| PeerMsg::HashReq { handle: 0, rid, file: 0, level, index: 0, count: 1024 };
    let mut opened = false;
    let talk = async {
        for msg in [PeerMsg::Hello(hello), PeerMsg::Open(open)] {
            writer.write(msg.kind(), &msg.body()).await?;
        }
        writer.flush().await?;
        // The last thing it reads is that it may ask for chunks.
        loop {
            let frame = reader.read(MAX_PEER_FRAME).await?;
            match PeerMsg::decode(frame.kind, &frame.body) {
                Ok(Some(PeerMsg::OpenOk(_))) => opened = true,
                Ok(Some(PeerMsg::Choke { choke: false, .. })) => break,
                Ok(Some(PeerMsg::OpenNo { .. } | PeerMsg::Bye { .. })) => break,
                _ => {}
            }
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
