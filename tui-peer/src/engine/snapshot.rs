//! What a front end may show: plain immutable data, made a few times a second while something moves
//! and not at all at rest. Front ends compute no engine fact from it; what they need is here.
//!
//! Strings that came from the network are already safe to show ([`common::names::show`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use common::content::Kind;
use common::id::{ContentId, PeerId};
use common::join::JoinString;
use serde::{Deserialize, Serialize};

use super::plain;

use super::chunks::Chunks;
use super::command::Priority;
use super::why::Cause;

/// Everything at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts up with every snapshot.
    pub seq: u64,
    /// When it was made.
    #[serde(with = "plain::instant")]
    pub at: Instant,
    /// Ourselves.
    pub me: Me,
    /// Our tracker.
    pub network: Network,
    /// Sums over everything.
    pub totals: Totals,
    /// The network's files. Replaced only when they change; between processes sent apart, page by page.
    #[serde(skip)]
    pub catalogue: Arc<Catalogue>,
    /// Our downloads and shares, in the order they were added.
    pub transfers: Arc<[Transfer]>,
    /// Peers we are connected to.
    pub peers: Arc<[PeerRow]>,
    /// Details of the content asked for by [`super::command::Command::Focus`].
    pub focus: Option<Arc<Focus>>,
    /// What is known about serving as a whole.
    pub uploads: Uploads,
    /// Peers that are not talked to.
    pub bans: Arc<[BanRow]>,
    /// Words waited for ([`super::command::Command::WatchFor`]).
    pub watches: Arc<[Arc<str>]>,
}

impl Snapshot {
    /// Of a peer that has just begun: without a network, shares and downloads.
    pub fn first(me: Me) -> Self {
        let network = Network {
            state: NetState::NoNetwork,
            tracker: String::new(),
            join: None,
            latency_ms: None,
            hosting: false,
            asking: false,
        };
        Self {
            seq: 0,
            at: Instant::now(),
            me,
            network,
            totals: Totals::default(),
            catalogue: Arc::default(),
            transfers: Arc::new([]),
            peers: Arc::new([]),
            focus: None,
            uploads: Uploads::default(),
            bans: Arc::new([]),
            watches: Arc::new([]),
        }
    }
}

/// Serving as a whole, and the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uploads {
    /// Peers that may be served at once, as the uplink allows.
    pub slots: u32,
    /// Peers that are being served.
    pub used: u32,
    /// Peers that want something and wait for their turn.
    pub waiting: u32,
    /// Limit for all uploads in bytes per second.
    pub up_limit: Option<u64>,
    /// Limit for all downloads in bytes per second.
    pub down_limit: Option<u64>,
    /// Payload sent since midnight (UTC), earlier runs included.
    pub today: u64,
}

/// A peer that is not talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself, if known.
    pub nick: String,
    /// Why.
    pub why: String,
    /// Until when; `None` is for ever.
    #[serde(with = "plain::maybe_instant")]
    pub until: Option<Instant>,
    /// Whether the user did it.
    pub by_user: bool,
}

/// Ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Our key.
    pub peer: PeerId,
    /// Our name for others.
    pub nick: String,
    /// Where we listen.
    pub listen: SocketAddr,
    /// Where downloads go.
    #[serde(with = "plain::path")]
    pub downloads: PathBuf,
    /// Free bytes there, if known.
    pub disk_free: Option<u64>,
    /// Whether we serve others.
    pub serving: bool,
}

/// Our tracker and how we stand with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// How we stand.
    pub state: NetState,
    /// `host:port` of the tracker, empty if there is none.
    pub tracker: String,
    /// The join string for others (with the secret, if there is one), if there is a network.
    pub join: Option<String>,
    /// Round trip to the tracker in milliseconds, if measured.
    pub latency_ms: Option<u32>,
    /// Whether the tracker runs in this process.
    pub hosting: bool,
    /// We stayed out of it at the start until the user says so: ask
    /// ([`super::config::OnStart::Ask`]).
    pub asking: bool,
}

impl Network {
    /// The network's join string, if there is one that can be read.
    pub fn joined(&self) -> Option<JoinString> {
        self.join.as_deref()?.parse().ok()
    }
}

/// How we stand with our tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetState {
    /// There is none: nothing configured, nothing joined.
    NoNetwork,
    /// First contact.
    Connecting,
    /// Connected.
    On,
    /// Not reachable since; transfers go on with the peers we know.
    Lost {
        /// Since when.
        #[serde(with = "plain::instant")]
        since: Instant,
        /// When we try again.
        #[serde(with = "plain::instant")]
        retry_at: Instant,
        /// Why, in words.
        why: String,
    },
    /// It does not let us in.
    Rejected {
        /// Why, and what to do.
        why: String,
    },
    /// The user left.
    Left,
}

/// Sums over everything; rates in bytes per second, smoothed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Payload coming in.
    pub down_rate: f64,
    /// Payload going out.
    pub up_rate: f64,
    /// Payload received in this run.
    pub down: u64,
    /// Payload sent in this run.
    pub up: u64,
    /// Payload received and not used in this run.
    pub wasted: u64,
}

/// The network's files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// Counts up with every change.
    pub version: u64,
    /// Sorted by name, then id.
    pub rows: Vec<CatalogueRow>,
    /// Whether all pages have arrived since we (re)joined.
    pub whole: bool,
}

/// One content of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueRow {
    /// Its id.
    pub id: ContentId,
    /// Its name.
    pub name: Arc<str>,
    /// Its other names.
    pub aliases: Vec<Arc<str>>,
    /// File or folder.
    pub kind: Kind,
    /// Bytes of all its files (a claim until it is downloaded).
    pub size: u64,
    /// Its chunks (a claim until it is downloaded).
    pub chunks: u32,
    /// Connected peers with at least one chunk.
    pub sources: u32,
    /// Connected peers with all chunks.
    pub complete: u32,
    /// When it first appeared, in seconds since 1970.
    pub first_seen: u64,
}

/// A download or a share of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its id; all zero while a new share is being hashed.
    pub id: ContentId,
    /// Its name.
    pub name: Arc<str>,
    /// File or folder.
    pub kind: Kind,
    /// What it is doing.
    pub state: TransferState,
    /// Bytes wanted (for a share: all of them).
    pub size: u64,
    /// Bytes of it on our disk, verified.
    pub done: u64,
    /// Chunks wanted.
    pub chunks: u32,
    /// Chunks of it on our disk.
    pub have: u32,
    /// Where it is, or will be.
    #[serde(with = "plain::path")]
    pub path: PathBuf,
    /// Bytes per second, smoothed.
    pub down_rate: f64,
    /// Bytes per second, smoothed.
    pub up_rate: f64,
    /// Payload sent to others in this run.
    pub uploaded: u64,
    /// Seconds to the end at the present rate, if that can be said.
    pub eta_s: Option<u64>,
    /// Sources that are sending.
    pub active: u32,
    /// Sources we know.
    pub sources: u32,
    /// Copies of the rarest missing chunk among connected sources, plus the share of missing chunks
    /// that have more. `None` when nothing is missing or nobody is connected.
    pub availability: Option<f32>,
    /// Missing chunks that nobody we are connected to has.
    pub unavailable: u32,
    /// Whether this was a download (not a share from our own disk).
    pub downloaded: bool,
    /// Whether somebody is fetching it from us right now.
    pub wanted_by: u32,
    /// Connected peers of the network known to have all of it, ourselves not counted.
    pub other_complete: u32,
    /// Why it is not faster or does not move; `None` if nothing is to be said.
    pub why: Option<Cause>,
    /// Its place in the queue, and what the user wishes for it.
    pub plan: Plan,
}

/// Where a transfer stands in the queue, and what the user wishes for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Its place in the list of unfinished downloads, from 0.
    pub order: u32,
    /// Its place among those that wait, from 1, if it waits.
    pub place: Option<u32>,
    /// How important it is.
    pub priority: Priority,
    /// Chunks in order.
    pub sequential: bool,
    /// Limit of what goes out of it in bytes per second.
    pub up: Option<u64>,
    /// Limit of what comes in of it in bytes per second.
    pub down: Option<u64>,
    /// Other peers of the network that have begun to fetch it and are not done.
    pub waiting: u32,
    /// It starts when somebody has it.
    pub watch: bool,
    /// It is finished and no longer belongs into a list of downloads (an hour old, or cleared).
    pub cleared: bool,
    /// Why it waits or rests, in words, if the state does not say all.
    pub why: String,
}

/// What a transfer is doing; the words the row shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferState {
    /// A new share is being hashed.
    Hashing,
    /// On-disk data is being checked (after a crash, or on request).
    Checking,
    /// Complete, and served to whoever asks.
    Sharing,
    /// A download waiting for others to finish.
    Queued,
    /// Asking sources what this content is.
    Resolving,
    /// Chunks are coming in, or could.
    Getting,
    /// Nobody online has what is missing.
    NoSource,
    /// Sync and rename.
    Finishing,
    /// The user paused it.
    Paused,
    /// The disk is full; goes on by itself when there is room.
    DiskFull,
    /// What was shared changed on disk or vanished; it is not served. Verifying looks at it again.
    Changed,
    /// It failed; why, and what to do.
    Failed(String),
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// The other end of the connection.
    pub addr: SocketAddr,
    /// Bytes per second from it.
    pub down_rate: f64,
    /// Bytes per second to it.
    pub up_rate: f64,
    /// Payload received from it in this run.
    pub down: u64,
    /// Payload sent to it in this run.
    pub up: u64,
    /// Contents open between us.
    pub contents: u32,
    /// Round trip in milliseconds, if measured.
    pub rtt_ms: Option<u32>,
    /// When it connected.
    #[serde(with = "plain::instant")]
    pub since: Instant,
    /// How it stands with our uploads.
    pub upload: Upload,
    /// What it takes from us.
    pub takes: Vec<Take>,
}

/// How a peer stands with our uploads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Upload {
    /// It has a slot, and something is on its way.
    Sending,
    /// It wants something and waits; its place in the line, from 1.
    Queued(u32),
    /// It wants nothing.
    #[default]
    Idle,
}

/// Something a peer takes from us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Take {
    /// Which content.
    pub id: ContentId,
    /// Its name.
    pub name: Arc<str>,
    /// Bytes per second to this peer.
    pub rate: f64,
    /// Payload sent to it since it opened this content.
    pub sent: u64,
}

/// Details of one content: its chunks and sources.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Focus {
    /// Which.
    pub id: ContentId,
    /// How each chunk stands with us, and how many copies of it the sources known have (connected ones
    /// exactly, others as the tracker says).
    #[serde(with = "plain::chunks")]
    pub chunks: Chunks,
    /// Bytes of most chunks, 0 if not known.
    pub chunk_len: u64,
    /// Sources, the busiest first.
    pub sources: Vec<SourceRow>,
    /// Chunks in flight, in order, with the place in `sources` of whom was asked (one entry for each);
    /// at most [`MAX_FLIGHTS`].
    pub flights: Vec<(u32, u16)>,
    /// The chunk that was verified last.
    pub newest: Option<u32>,
    /// Who has missing chunks that nobody else has, the most such chunks first.
    pub sole: Vec<Sole>,
    /// The last source that left while something was missing.
    pub left: Option<Departed>,
    /// When the user asked for it, in seconds since 1970.
    pub added: Option<u64>,
    /// Why it is not faster, the most important cause first.
    pub causes: Vec<Cause>,
}

/// Chunks in flight that [`Focus::flights`] names: more than a screen has cells for.
pub const MAX_FLIGHTS: usize = 4096;

/// Somebody who has chunks that we miss and nobody else has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sole {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// How many.
    pub chunks: u32,
    /// Whether we are connected to it.
    pub connected: bool,
}

/// A source that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Departed {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// When it was last there.
    #[serde(with = "plain::instant")]
    pub at: Instant,
    /// Chunks it had.
    pub have: u32,
}

/// How a chunk stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChunkState {
    /// Not here.
    Missing,
    /// Not here and not wanted (file not chosen).
    Unwanted,
    /// Requested or being written.
    InFlight,
    /// On our disk, verified.
    Have,
    /// Failed verification in the last ten seconds.
    Bad,
    /// What is on disk is being checked.
    Checking,
}

/// One source of the focused content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// Where it is.
    pub addr: Option<SocketAddr>,
    /// In one word.
    pub state: SourceState,
    /// Why, if that is not obvious.
    pub why: String,
    /// Bytes per second from it.
    pub down_rate: f64,
    /// Bytes per second to it.
    pub up_rate: f64,
    /// Chunks of this content it sent us in this run.
    pub got: u32,
    /// Chunks it has.
    pub have: u32,
    /// Requests outstanding, and how many there may be.
    pub pipe: (u32, u32),
    /// Round trip in milliseconds, if measured.
    pub rtt_ms: Option<u32>,
    /// The four flags: are we choked by it, interested in it, choking it, is it interested in us.
    pub flags: Flags,
}

/// The four choke and interest flags between us and a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags {
    /// It does not let us request.
    pub choked_by: bool,
    /// It has something we want.
    pub interested_in: bool,
    /// We do not let it request.
    pub choking: bool,
    /// It wants something of ours.
    pub interesting: bool,
}

/// State of a source in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceState {
    /// Sending to us.
    Open,
    /// Sending, much slower than others.
    Slow,
    /// Connected, has nothing we lack.
    NoData,
    /// Connected, does not let us request for now.
    Choked,
    /// Stopped delivering; asked again now and then.
    Snubbed,
    /// Known, being dialled or waiting for its turn.
    Waiting,
    /// Fetching from us.
    Fetching,
}

impl SourceState {
    /// The word shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Slow => "slow",
            Self::NoData => "no data",
            Self::Choked => "choked",
            Self::Snubbed => "snubbed",
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
        }
    }
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// Path within the folder, components separated by `/`, safe to show.
    pub path: String,
    /// The same as it stands in the manifest; [`super::command::Selection::Paths`] takes this.
    pub raw: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes of it on our disk.
    pub done: u64,
    /// Whether it is wanted.
    pub wanted: bool,
}
