//! The tracker client: one task per joined network that owns the standing connection and what the
//! tracker should know, so that after any interruption it puts everything right by itself.
//!
//! - [`desired`]: PURE. What the tracker should know, and the messages that get it there;
//!   [`progress`] is its part about unfinished downloads, [`requests`] what waits for answers,
//!   [`asks`] what somebody wants to know who looks, [`inside`] names of the files inside our folders.
//! - [`mirror`]: PURE. The catalogue as the tracker tells it.
//! - [`sources`], [`addrs`]: PURE. Who has what, and which announced addresses may be dialled.
//! - [`order`]: PURE. Which of several trackers is tried. [`backoff`]: PURE. When to try again. [`own`]: our addresses, and when they are others.
//! - [`back`]: from a standby back to a tracker before it.
//! - [`also`]: shows the tracker where else we are; [`reach`]: when, and whom to reach how.
//! - [`connect`]: from a host to a welcome; [`client`]: keeps a connection up; [`talk`]: one
//!   open connection.
//!
//! Setting what the tracker should know never waits and is never lost: it goes into the desired state,
//! and the task is woken to make it true.

mod addrs;
mod also;
mod asks;
mod back;
mod backoff;
mod client;
mod connect;
mod desired;
mod hosts;
mod inside;
mod mirror;
mod order;
mod own;
mod patience;
mod progress;
mod reach;
mod requests;
mod sources;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::lock::Unpoisoned as _;
use common::tracker_hosts::TrackerHosts;
use common::wire::tracker::FileMeta;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::tracker_clock::Reading;
use crate::api::snapshot::{Catalogue, NetState, TrackerAt};
use crate::conn::Meeting;
pub(crate) use addrs::{is_private, is_public};
use asks::Answering;
pub(crate) use asks::Ask;
use client::Phase;
use desired::Desired;
pub(crate) use own::{OwnAddresses, is_ours};
use patience::Patience;

/// Events waiting for the session. While they wait nothing more is read from the tracker.
const EVENT_QUEUE: usize = 256;
/// Longest time that leaving takes.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who we are and where the tracker is.
#[derive(Debug, Clone)]
pub(crate) struct AnnouncerConfig {
    pub(crate) identity: Arc<Identity>,
    pub(crate) join: JoinString,
    /// Where the tracker is too, by its own word when we were in its network last.
    pub(crate) hosts: Option<TrackerHosts>,
    /// Our name for others; cut if it is too long for the wire.
    pub(crate) nick: String,
    /// Where we listen.
    pub(crate) listen: SocketAddr,
    /// Whether connections can come from that port.
    pub(crate) shared_port: bool,
    /// Addresses for peers behind the same router.
    pub(crate) local: OwnAddresses,
    /// Program and version.
    pub(crate) agent: String,
    /// Whether the tracker may know the names of the files inside our folders.
    pub(crate) names_inside: bool,
}

/// A peer that has (part of) a content. Never ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceInfo {
    pub(crate) peer: PeerId,
    /// Safe to show.
    pub(crate) nick: String,
    /// Those that may be dialled; may be none.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Chunks it has, by the tracker's word.
    pub(crate) have: u32,
    /// Which, if the tracker said and the number of chunks is known.
    pub(crate) set: Option<ChunkSet>,
}

/// What a tracker found that looked for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    /// We were there.
    pub(crate) reachable: bool,
    /// At which port, or at which it looked last; `None` is the one we listen on.
    pub(crate) port: Option<u16>,
}

/// What the tracker said when it let us in.
#[derive(Debug)]
#[allow(dead_code, reason = "a whole description; the session takes what it needs")]
pub(crate) struct Welcomed {
    /// To be shown to other peers.
    pub(crate) membership: Vec<u8>,
    /// Our address as the tracker sees it.
    pub(crate) observed: SocketAddr,
    /// The tracker's address as connected.
    pub(crate) tracker: SocketAddr,
    /// The tracker has no memory of an earlier connection of this announcer.
    pub(crate) new_epoch: bool,
    /// The tracker's clock.
    pub(crate) time: Reading,
    /// The connection comes from the port we listen on: others can be asked to call us there.
    pub(crate) punches: bool,
    /// We may register nothing but what others have registered.
    pub(crate) read_only: bool,
}

/// What the tracker said, or how we stand with it.
#[derive(Debug)]
#[allow(dead_code, reason = "a whole description; the session takes what it needs")]
pub(crate) enum TrackerEvent {
    /// How we stand.
    State(NetState),
    /// We were let in, or our membership was renewed.
    Welcomed(Welcomed),
    /// At which of the network's trackers we are, if there is more than one.
    At(Option<TrackerAt>),
    /// The tracker is to be found there too, by its signed list of now.
    Hosts {
        list: TrackerHosts,
        /// As it was signed, if it is newer than the one we had.
        newer: Option<Vec<u8>>,
    },
    /// Whom the tracker lets in no more: its signed list, not checked yet.
    Revoked(Vec<u8>),
    /// These are on the tracker's disk: others can find them. Said again after every reconnect.
    Registered { ids: Vec<ContentId> },
    /// These were not taken.
    RegisterFailed { ids: Vec<ContentId>, why: String },
    /// The catalogue changed.
    Catalogue {
        /// All of it, as it may be shown.
        catalogue: Arc<Catalogue>,
        /// Rows that are new or different since the last event, with their names as they were sent.
        metas: Vec<FileMeta>,
        /// Rows that are gone since the last event.
        gone: Vec<ContentId>,
    },
    /// Sources of a content.
    Sources {
        id: ContentId,
        /// What it is (checked against the id); in answers to `locate`, if the tracker knows.
        meta: Option<FileMeta>,
        sources: Vec<SourceInfo>,
        /// Connected peers that have all of it, ourselves included; in answers to `locate`.
        complete: u32,
        /// Connected peers that have part of it, ourselves included; in answers to `locate`.
        partial: u32,
        /// An answer to `locate`, not a change.
        whole: bool,
    },
    /// These peers are no longer sources.
    SourcesLeft { id: ContentId, peers: Vec<PeerId> },
    /// The tracker has looked for us where it sees us.
    Reach(Looked),
    /// A peer wants a content of ours and cannot reach us.
    DialAsked { id: ContentId, who: SourceInfo },
    /// A peer and we are to call each other at the same time, for a content.
    PunchAsked {
        /// Which content.
        id: ContentId,
        /// Whom, and where.
        who: SourceInfo,
        /// When.
        at: Instant,
    },
    /// Meet a peer at the tracker, for a content.
    Meet {
        /// Which content.
        id: ContentId,
        /// Its name for itself, safe to show.
        nick: String,
        /// How.
        meeting: Meeting,
    },
    /// The tracker wants to know what is inside this folder of ours: see [`Announcer::tell_inside`].
    InsideWanted { id: ContentId },
    /// Round trip to the tracker in milliseconds.
    Latency(u32),
}

/// The session's side. Dropping it ends the task without a farewell.
#[derive(Debug)]
pub(crate) struct Announcer {
    shared: Arc<Shared>,
    stop: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

/// What the session and the task share.
#[derive(Debug, Default)]
struct Shared {
    desired: Mutex<Desired>,
    /// `desired` is different.
    changed: Notify,
    /// Do at once what would be done later.
    hurry: Notify,
}

/// Starts the task.
pub(crate) fn start(config: AnnouncerConfig) -> (Announcer, mpsc::Receiver<TrackerEvent>) {
    start_with(config, fastrand::Rng::new(), Patience::default())
}

/// [`start`] with a seeded generator for waits, and other limits for silence.
fn start_with(
    config: AnnouncerConfig,
    rng: fastrand::Rng,
    patience: Patience,
) -> (Announcer, mpsc::Receiver<TrackerEvent>) {
    let (events, receiver) = mpsc::channel(EVENT_QUEUE);
    let (stop, stopped) = watch::channel(Phase::Run);
    let shared = Arc::new(Shared::default());
    shared.desired().inside.allowed = config.names_inside;
    let client = client::Client::new(config, shared.clone(), stopped, events, (rng, patience));
    let task = tokio::spawn(client.run());
    (Announcer { shared, stop, task }, receiver)
}

impl Announcer {
    /// We have this completely.
    pub(crate) fn set_share(&self, meta: FileMeta) {
        self.with(|desired| desired.set_share(meta));
    }

    /// We no longer share this.
    pub(crate) fn remove_share(&self, id: ContentId) {
        self.with(|desired| desired.remove_share(id));
    }

    /// We have exactly these chunks: of an unfinished download, or of a share that is damaged.
    pub(crate) fn set_partial(&self, id: ContentId, set: ChunkSet) {
        self.with(|desired| desired.set_partial(id, set));
    }

    /// We have these chunks more. Needs a `set_partial` before, which says how many there are.
    pub(crate) fn add_chunks(&self, id: ContentId, chunks: &[u32]) {
        // Each chunk that is stored comes here: the task is woken for the first that it has to tell of.
        if self.shared.desired().add_chunks(id, chunks) {
            self.shared.changed.notify_one();
        }
    }

    /// It is no longer an unfinished download. Not needed before `set_share`.
    pub(crate) fn clear_partial(&self, id: ContentId) {
        self.with(|desired| desired.clear_partial(id));
    }

    /// Who has this? The answer comes as an event.
    pub(crate) fn locate(&self, id: ContentId) {
        self.with(|desired| desired.locate(id));
    }

    /// A source of this cannot be reached: it is to dial us, if the tracker can be asked now.
    pub(crate) fn ask_to_dial(&self, id: ContentId, peer: PeerId) {
        self.with(|desired| desired.ask_to_dial(id, peer));
    }

    /// Nor does that source reach us: both are to meet at the tracker, if it does that and can be asked now.
    pub(crate) fn ask_to_relay(&self, id: ContentId, peer: PeerId) {
        self.with(|desired| desired.ask_to_relay(id, peer));
    }

    /// Asks the tracker for somebody who waits for the answer, and gets one whatever happens.
    pub(crate) fn ask(&self, ask: Ask, reply: Answering) {
        self.with(|desired| desired.asks.push(ask, reply));
    }

    /// The list of a folder's files that the tracker wants, packed; `None` if there is none.
    pub(crate) fn tell_inside(&self, id: ContentId, manifest: Option<Vec<u8>>) {
        self.with(|desired| desired.inside.made(id, manifest));
    }

    /// Exactly these are watched from now on; at most 1000.
    pub(crate) fn watch(&self, ids: HashSet<ContentId>) {
        self.with(|desired| desired.watch(ids));
    }

    /// Try to connect, or tell what is new, now instead of later.
    pub(crate) fn announce_now(&self) {
        self.shared.hurry.notify_one();
    }

    /// Tells the tracker that we leave, and ends the task; within two seconds.
    pub(crate) async fn leave(self) {
        self.end(Phase::Leave).await;
    }

    /// Ends the task at once; the tracker keeps our place for a minute.
    #[allow(dead_code, reason = "for a session that changes its network")]
    pub(crate) async fn close(self) {
        self.end(Phase::Close).await;
    }

    async fn end(mut self, phase: Phase) {
        self.stop.send_replace(phase);
        if tokio::time::timeout(LEAVE_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }

    fn with(&self, change: impl FnOnce(&mut Desired)) {
        change(&mut self.shared.desired());
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn desired(&self) -> std::sync::MutexGuard<'_, Desired> {
        self.desired.lock().unpoisoned()
    }
}
