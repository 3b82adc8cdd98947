//! The tracker client: one task per joined network that owns the standing connection and what the
//! tracker should know, so that after any interruption it puts everything right by itself.
//!
//! - [`desired`]: PURE. What the tracker should know, and the messages that get it there.
//! - [`mirror`]: PURE. The catalogue as the tracker tells it.
//! - [`addrs`]: PURE. Which announced addresses may be dialled.
//! - [`client`]: the connection.

pub(in crate::engine) mod addrs;
mod client;
mod desired;
mod mirror;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::wire::tracker::FileMeta;
use tokio::sync::{Notify, mpsc, oneshot};

use super::snapshot::{Catalogue, NetState};
use desired::Desired;

/// Events waiting for the session.
const EVENT_QUEUE: usize = 256;

/// Who we are and where the tracker is.
pub(in crate::engine) struct AnnouncerConfig {
    pub(in crate::engine) identity: Arc<Identity>,
    pub(in crate::engine) join: JoinString,
    pub(in crate::engine) nick: String,
    pub(in crate::engine) port: u16,
    pub(in crate::engine) local: Vec<SocketAddr>,
    pub(in crate::engine) agent: String,
}

/// A peer that has (part of) a content; its addresses are filtered.
#[derive(Debug, Clone)]
pub(in crate::engine) struct SourceInfo {
    pub(in crate::engine) peer: PeerId,
    /// Safe to show.
    pub(in crate::engine) nick: String,
    pub(in crate::engine) addrs: Vec<SocketAddr>,
    pub(in crate::engine) have: u32,
    pub(in crate::engine) set: Option<ChunkSet>,
}

/// What the tracker said, or how we stand with it.
pub(in crate::engine) enum TrackerEvent {
    /// How we stand.
    State(NetState),
    /// We were let in.
    Welcomed {
        membership: Vec<u8>,
        /// The tracker's address as connected.
        tracker: SocketAddr,
    },
    /// These are on the tracker's disk: others can find them.
    Registered { ids: Vec<ContentId> },
    /// These were not taken.
    RegisterFailed { ids: Vec<ContentId>, why: String },
    /// The catalogue changed.
    Catalogue { catalogue: Arc<Catalogue>, metas: HashMap<ContentId, FileMeta> },
    /// Sources of a content.
    Sources {
        id: ContentId,
        meta: Option<FileMeta>,
        sources: Vec<SourceInfo>,
        complete: u32,
        /// An answer to `locate`, not a change.
        whole: bool,
    },
    /// These peers are no longer sources.
    SourcesLeft { id: ContentId, peers: Vec<PeerId> },
    /// Round trip to the tracker in milliseconds.
    Latency(u32),
}

/// The session's side. Dropping it ends the task.
pub(in crate::engine) struct Announcer {
    desired: Arc<std::sync::Mutex<Desired>>,
    changed: Arc<Notify>,
    hurry: Arc<Notify>,
    leave: mpsc::Sender<oneshot::Sender<()>>,
}

/// Starts the task.
pub(in crate::engine) fn start(
    config: AnnouncerConfig,
) -> (Announcer, mpsc::Receiver<TrackerEvent>) {
    let (events, receiver) = mpsc::channel(EVENT_QUEUE);
    let (leave, leaving) = mpsc::channel(1);
    let announcer = Announcer {
        desired: Arc::default(),
        changed: Arc::new(Notify::new()),
        hurry: Arc::new(Notify::new()),
        leave,
    };
    let client = client::Client {
        config,
        desired: announcer.desired.clone(),
        changed: announcer.changed.clone(),
        hurry: announcer.hurry.clone(),
        leaving,
        events,
        rng: fastrand::Rng::new(),
        chunks: HashMap::new(),
    };
    tokio::spawn(client.run());
    (announcer, receiver)
}

impl Announcer {
    /// We have this completely.
    pub(in crate::engine) fn set_share(&self, meta: FileMeta) {
        self.with(|desired| desired.set_share(meta));
    }

    /// We no longer share this.
    pub(in crate::engine) fn remove_share(&self, id: ContentId) {
        self.with(|desired| desired.remove_share(id));
    }

    /// We have exactly these chunks of an unfinished download.
    pub(in crate::engine) fn set_partial(&self, id: ContentId, set: ChunkSet) {
        self.with(|desired| desired.set_partial(id, set));
    }

    /// We have these chunks more.
    pub(in crate::engine) fn add_chunks(&self, id: ContentId, chunks: &[u32]) {
        self.with(|desired| desired.add_chunks(id, chunks));
    }

    /// It is no longer an unfinished download.
    pub(in crate::engine) fn clear_partial(&self, id: ContentId) {
        self.with(|desired| desired.clear_partial(id));
    }

    /// Who has this? The answer comes as an event.
    pub(in crate::engine) fn locate(&self, id: ContentId) {
        self.with(|desired| desired.locate(id));
    }

    /// Exactly these are watched from now on.
    pub(in crate::engine) fn watch(&self, ids: HashSet<ContentId>) {
        self.with(|desired| desired.watch(ids));
    }

    /// Try now instead of later.
    pub(in crate::engine) fn announce_now(&self) {
        self.hurry.notify_one();
    }

    /// Tells the tracker that we leave, and ends the task.
    pub(in crate::engine) async fn leave(self) {
        let (done, left) = oneshot::channel();
        if self.leave.send(done).await.is_ok() {
            let _ = left.await;
        }
    }

    fn with(&self, change: impl FnOnce(&mut Desired)) {
        let mut desired = self.desired.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut desired);
        drop(desired);
        self.changed.notify_one();
    }
}
