//! The whole contract between the pure core and its shell: [`Input`]s say what happened (and carry no
//! chunk bytes), [`Output`]s say what to do.
//!
//! **Life of one chunk.** The picker chooses it → `Send(Request)` → the shell's connection receives DATA
//! frames into pooled buffers and reports `Data` for each → the last one makes the core say `Verify` →
//! a disk worker hashes the buffers, compares, writes → `ChunkStored` → the core counts it, tells other
//! peers with HAVE, serves it from then on, and says `Stored` so that the shell registers it with the
//! tracker. A chunk that fails → `ChunkCorrupt` → back to the picker, its sender blamed.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::content::Descriptor;
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::merkle::ChunkHashes;
use common::net::AddrGroup;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::policy::Policy;

/// A connection, numbered by the shell; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A peer that may be a source, as the tracker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHint {
    /// The peer's key.
    pub peer: PeerId,
    /// Where it may be reached, best first, already filtered by the shell's address policy.
    pub addrs: Vec<SocketAddr>,
    /// Chunks it has.
    pub have: u32,
    /// Which, if the tracker said.
    pub set: Option<ChunkSet>,
}

/// Everything needed to exchange a content.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// Its chunks.
    pub layout: Arc<Layout>,
    /// Chunks on our disk, verified.
    pub have: ChunkSet,
    /// Chunks wanted (for a seed: equal to `have`).
    pub wanted: ChunkSet,
    /// Chunk hashes of every file, in manifest order; unknown ones are fetched from peers.
    pub hashes: Vec<ChunkHashes>,
    /// Chunks that may be on our disk although nothing vouches for them: asked of nobody until they
    /// were read and compared, which [`Output::CheckDoubted`] asks for once their hash is known.
    pub doubted: ChunkSet,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The user wants (or shares) this content. `ready` is `None` for a download of which nothing
    /// but the id is known yet: the core then asks sources for the descriptor and, for a folder, the
    /// manifest.
    ContentAdded {
        /// Which content.
        id: ContentId,
        /// What is known of it.
        ready: Option<Ready>,
    },
    /// The shell worked out what a `Described` or `ManifestFetched` content consists of.
    ContentReady {
        /// Which content.
        id: ContentId,
        /// All there is to know.
        ready: Ready,
    },
    /// The tracker said what a content is (checked against the id).
    Described {
        /// Which content.
        id: ContentId,
        /// What it is.
        descriptor: Descriptor,
    },
    /// The assembled manifest does not have the right root: its sender lied.
    ManifestRejected {
        /// Which content.
        id: ContentId,
        /// Who sent it.
        conn: ConnId,
    },
    /// The user chose other files of a folder.
    WantedChanged {
        /// Which content.
        id: ContentId,
        /// All chunks wanted now (those already held included).
        wanted: ChunkSet,
    },
    /// Paused: no more requests (serving goes on), or resumed.
    PausedChanged {
        /// Which content.
        id: ContentId,
        /// Whether it rests.
        paused: bool,
    },
    /// How important a content is, in which order and how fast it comes. Before that: as usual.
    PolicyChanged {
        /// Which content.
        id: ContentId,
        /// What the user wishes.
        policy: Policy,
    },
    /// Whether uploads of a content have a limit of their own, which the shell keeps to.
    UpLimited {
        /// Which content.
        id: ContentId,
        /// Whether there is one.
        limited: bool,
    },
    /// Bytes per second that may go out over all contents; `None` is no limit. The shell keeps to it; answers
    /// to questions take their part of it.
    UpLimit(Option<u64>),
    /// Payload bytes per second that may come in over all contents; `None` is no limit.
    DownLimit(Option<u64>),
    /// Do not talk to a peer.
    Ban {
        /// Whom.
        peer: PeerId,
        /// For how long; `None` is for ever.
        time: Option<Duration>,
    },
    /// Talk to it again.
    Unban {
        /// Whom.
        peer: PeerId,
    },
    /// The machine slept: old connections are dead, old rates mean nothing.
    Woke,
    /// No longer shared nor wanted; connections with nothing else in common end.
    ContentRemoved {
        /// Which content.
        id: ContentId,
    },
    /// Chunks were found lost or changed on our disk.
    ChunksLost {
        /// Which content.
        id: ContentId,
        /// Which chunks.
        lost: ChunkSet,
    },
    /// Chunks of a [`Output::CheckDoubted`] were read again.
    DoubtsSettled {
        /// Which content.
        id: ContentId,
        /// Those that are what they should be.
        here: ChunkSet,
        /// Those that are not: to be fetched.
        gone: ChunkSet,
    },
    /// The tracker named sources (joining ones or all of them).
    SourcesFound {
        /// Which content.
        id: ContentId,
        /// Who.
        sources: Vec<SourceHint>,
    },
    /// The tracker says these peers no longer have the content.
    SourcesLeft {
        /// Which content.
        id: ContentId,
        /// Who.
        peers: Vec<PeerId>,
    },
    /// A peer wants a content that we have, cannot reach us, and had the tracker ask us to dial it.
    DialAsked {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
        /// Where.
        addrs: Vec<SocketAddr>,
    },
    /// A peer that wants a content of ours, or has one that we want, calls us at these addresses in a moment, and is to be
    /// called from here then.
    PunchAsked {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
        /// Where.
        addrs: Vec<SocketAddr>,
        /// When.
        wait: Duration,
    },
    /// A connection passed TLS and HELLO.
    Connected {
        /// Its number.
        conn: ConnId,
        /// Over what.
        route: Route,
        /// Who it is: the key proven in the TLS handshake.
        peer: PeerId,
        /// Whether we dialled.
        dialed: bool,
        /// Whose connections count as one with it where places are scarce (not the peer behind a relay,
        /// nor one on this machine or its own links: these are exempt).
        group: Option<AddrGroup>,
        /// Most bytes it lets us have queued (its HELLO).
        max_queued: u32,
    },
    /// A peer that we dialled has proven its key, and our HELLO is on its way. Its own is still to come: until
    /// [`Input::Greeted`] says that it passed, nothing that the peer sends is told.
    Reached {
        /// The connection's number.
        conn: ConnId,
        /// Over what.
        route: Route,
        /// Who it is.
        peer: PeerId,
        /// As of [`Input::Connected`].
        group: Option<AddrGroup>,
    },
    /// The HELLO of a peer that was reached has passed.
    Greeted {
        /// On which connection.
        conn: ConnId,
        /// Most bytes it lets us have queued.
        max_queued: u32,
    },
    /// How many TCP connections a connection goes over from now on: 1, and extra ones. What is asked goes over any of
    /// them, and its answer comes over the same.
    Streams {
        /// Which connection.
        conn: ConnId,
        /// How many, at least 1.
        streams: usize,
    },
    /// The TCP connection over which these were asked is gone, and with it all that was to come of them. The peer has
    /// not refused anything, and hears of it otherwise.
    Lost {
        /// Which connection.
        conn: ConnId,
        /// Request numbers; some may have ended.
        rids: Vec<u32>,
    },
    /// It did not pass, or did not come.
    Refused {
        /// Which connection is over.
        conn: ConnId,
        /// Whether trying again later makes no sense.
        permanent: bool,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Whom we tried to reach.
        peer: PeerId,
        /// Whether trying again later makes no sense (wrong key, refused for good).
        permanent: bool,
        /// Whether the one who answered had the right key.
        proven: bool,
    },
    /// The connection is gone.
    Disconnected {
        /// Which.
        conn: ConnId,
    },
    /// A message other than HELLO and DATA arrived.
    Message {
        /// From which connection.
        conn: ConnId,
        /// The message.
        msg: PeerMsg,
    },
    /// A DATA frame arrived; the shell holds its bytes.
    Data {
        /// From which connection.
        conn: ConnId,
        /// Request number.
        rid: u32,
        /// Where its payload starts within the request.
        off: u32,
        /// Payload length.
        len: u32,
    },
    /// A `Serve` was written to the socket entirely.
    Served {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
    },
    /// A `Serve` ended early: cancelled, or the disk could not deliver.
    ServeFailed {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
        /// Sent to the requester with REJECT. `Gone` also means: do not offer the chunk again.
        code: Code,
    },
    /// A chunk was verified and written.
    ChunkStored {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
    },
    /// A chunk did not have the right hash.
    ChunkCorrupt {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// Hash of what arrived.
        actual: Hash,
    },
    /// A chunk of ours, read again, does not have the right hash (or cannot be read).
    ChunkDamaged {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
    },
    /// The file with these chunks of ours is not there any more, or is another one now.
    ChunksGone {
        /// Which content.
        id: ContentId,
        /// Which chunks.
        chunks: Range<u32>,
    },
    /// A chunk was right but could not be written; the shell pauses the content itself.
    ChunkNotStored {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
    },
    /// The moment named by `Node::next_deadline` has come.
    Tick,
}

/// Part of a chunk that one request delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From which connection.
    pub conn: ConnId,
    /// Request number.
    pub rid: u32,
    /// First byte within the chunk.
    pub off: u32,
    /// How many bytes.
    pub len: u32,
}

/// Over what a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// From one machine to the other.
    Direct,
    /// Through the tracker: any direct one is better, and takes its place.
    Relayed,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial this peer (one attempt over its addresses).
    Dial {
        /// Whom.
        peer: PeerId,
        /// Where.
        addrs: Vec<SocketAddr>,
    },
    /// Call this peer while it calls us. No answer is waited for: it comes up, or does not.
    Punch {
        /// Whom.
        peer: PeerId,
        /// Where.
        addrs: Vec<SocketAddr>,
        /// When.
        wait: Duration,
    },
    /// Send a message.
    Send {
        /// On which connection.
        conn: ConnId,
        /// What.
        msg: PeerMsg,
    },
    /// Send BYE and close.
    Disconnect {
        /// Which connection.
        conn: ConnId,
        /// Why.
        code: Code,
        /// Why, in words.
        text: String,
    },
    /// Read these bytes of our copy and send them as DATA for `rid`.
    Serve {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// First byte within the chunk.
        off: u32,
        /// How many bytes.
        len: u32,
    },
    /// Send these bytes of the folder's manifest as DATA for `rid`.
    ServeManifest {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
        /// Which content.
        id: ContentId,
        /// First byte.
        off: u32,
        /// How many bytes.
        len: u32,
    },
    /// Stop a `Serve` at the next frame; answer with `Served` or `ServeFailed(Cancelled)`.
    StopServing {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
    },
    /// All bytes of a chunk are there: hash, compare, write; answer with one of the `Chunk…` inputs.
    Verify {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// What its hash must be.
        expected: Hash,
        /// Where the bytes are, in order and without gaps.
        parts: Vec<Part>,
    },
    /// A peer says that our copy of a chunk is wrong: read and hash it, answer `ChunkDamaged` if so.
    Recheck {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// What its hash must be.
        expected: Hash,
    },
    /// The hashes of these doubted chunks are known now: read them and compare, answer
    /// [`Input::DoubtsSettled`] (in as many parts as you like).
    CheckDoubted {
        /// Which content.
        id: ContentId,
        /// Which chunks.
        chunks: ChunkSet,
    },
    /// Bytes of this request will not be used (or no longer).
    Discard {
        /// From which connection.
        conn: ConnId,
        /// Request number.
        rid: u32,
        /// Payload bytes already received that are thus wasted.
        wasted: u64,
    },
    /// A source told us what the content is (checked against the id).
    Described {
        /// Which content.
        id: ContentId,
        /// What it is. For a file the shell answers `ContentReady`; for a folder the core fetches the manifest.
        descriptor: Descriptor,
    },
    /// The next bytes of a folder's manifest are there: keep them. The first part from another
    /// connection than before starts anew.
    ManifestPart {
        /// Which content.
        id: ContentId,
        /// From which connection.
        conn: ConnId,
        /// Request number.
        rid: u32,
    },
    /// The manifest is whole: check the root, parse, answer `ContentReady` or `ManifestRejected`.
    ManifestFetched {
        /// Which content.
        id: ContentId,
        /// Who sent it.
        conn: ConnId,
    },
    /// Chunk hashes were learned and proven: worth keeping for a restart.
    HashesLearned {
        /// Which content.
        id: ContentId,
        /// Which of its files.
        file: u32,
        /// First chunk of the file.
        index: u32,
        /// The hashes.
        hashes: Vec<Hash>,
    },
    /// A chunk is ours: register it with the tracker.
    Stored {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
    },
    /// All wanted chunks are there.
    Completed {
        /// Which content.
        id: ContentId,
    },
    /// Nobody we know can help any further: ask the tracker.
    NeedSources {
        /// Which content.
        id: ContentId,
    },
    /// Worth a line in the log.
    Notice(Notice),
}

/// What people should be able to read about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A peer opened a content with us, or we with it.
    SourceJoined {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
        /// Chunks it has.
        have: u32,
    },
    /// A source is gone.
    SourceLeft {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
        /// Requests that go to others now.
        requeued: u32,
    },
    /// A source did not deliver in time.
    Snubbed {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
    },
    /// A chunk had the wrong hash.
    BadChunk {
        /// Which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// Who sent it, if one peer sent all of it or the liar among several was found.
        peer: Option<PeerId>,
        /// How often this peer did so, and how often is too often.
        strikes: (u8, u8),
    },
    /// A peer will not be talked to for a while.
    Banned {
        /// Who.
        peer: PeerId,
        /// Why, in words.
        why: &'static str,
        /// For how long.
        time: Duration,
    },
    /// A peer was allowed to request.
    Unchoked {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
    },
    /// A peer says that it has all chunks of what we have all of.
    HasAll {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
        /// Whether it lacked some before, as far as it told us.
        fetched: bool,
    },
    /// A source dropped chunks it had advertised.
    Withdrew {
        /// Which content.
        id: ContentId,
        /// Who.
        peer: PeerId,
    },
}
