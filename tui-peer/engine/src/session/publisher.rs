//! What front ends get: events, snapshots and when, and what of a content they look at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;
use tokio::sync::watch;

use super::chunk_map::ChunkMap;
use super::measures::Meters;
use crate::api::event::Event;
use crate::api::event_replay::EventSender;
use crate::api::snapshot::{Look, Snapshot};

/// Shortest time between two snapshots.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
/// One takes at most this part of the time: with fifty thousand shares it is tens of milliseconds.
const SNAPSHOT_PART: u32 = 10;
/// However busy the machine is, somebody looks at a screen.
const SNAPSHOT_REST: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Publisher {
    events: EventSender,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// Something changed since the last snapshot.
    dirty: bool,
    published: Instant,
    /// How long after the last snapshot the next may come.
    pause: Duration,
    /// The content somebody looks at.
    focus: Option<ContentId>,
    look: Look,
    /// Its chunks.
    chunk_map: Option<ChunkMap>,
    meters: Meters,
}

impl Publisher {
    pub(super) fn new(events: EventSender, snapshots: watch::Sender<Arc<Snapshot>>) -> Self {
        Self {
            events,
            snapshots,
            dirty: true,
            published: Instant::now(),
            pause: SNAPSHOT_EVERY,
            focus: None,
            look: Look::default(),
            chunk_map: None,
            meters: Meters::default(),
        }
    }

    pub(super) fn tell(&self, event: Event) {
        self.events.send(event);
    }

    /// Events that the slowest who listens has not taken.
    pub(super) fn waiting(&self) -> usize {
        self.events.waiting()
    }

    /// Something deserves a snapshot soon, even if nothing else moves.
    pub(super) fn changed(&mut self) {
        self.dirty = true;
    }

    pub(super) fn has_news(&self) -> bool {
        self.dirty
    }

    /// When the next snapshot is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dirty.then(|| self.published + self.pause)
    }

    /// When the last snapshot was begun.
    pub(super) fn published(&self) -> Instant {
        self.published
    }

    pub(super) fn last(&self) -> watch::Ref<'_, Arc<Snapshot>> {
        self.snapshots.borrow()
    }

    /// Begins a snapshot, which takes the meters along.
    pub(super) fn begin(&mut self) -> Meters {
        self.published = Instant::now();
        std::mem::take(&mut self.meters)
    }

    /// Sends a snapshot. `moving`: the next will show something else, whatever happens.
    pub(super) fn send(&mut self, snapshot: Snapshot, meters: Meters, moving: bool) {
        self.meters = meters;
        self.dirty = moving || self.chunk_map.as_ref().is_some_and(ChunkMap::is_waiting);
        self.snapshots.send_replace(Arc::new(snapshot));
        let pause = self.published.elapsed() * SNAPSHOT_PART;
        self.pause = pause.clamp(SNAPSHOT_EVERY, SNAPSHOT_REST);
    }

    /// The content somebody looks at.
    pub(super) fn focus(&self) -> Option<ContentId> {
        self.focus
    }

    /// How somebody looks at it.
    pub(super) fn look(&self) -> Look {
        self.look
    }

    /// Somebody looks at this. What was looked at before and is not now, if that is another.
    pub(super) fn turn_to(&mut self, id: Option<ContentId>, look: Look) -> Option<ContentId> {
        self.look = look;
        if self.focus == id {
            return None;
        }
        self.focus = id;
        self.chunk_map.take().map(|chunk_map| chunk_map.id)
    }

    pub(super) fn chunk_map_mut(&mut self) -> Option<&mut ChunkMap> {
        self.chunk_map.as_mut()
    }

    /// The chunks of a content, if somebody looks at it.
    pub(super) fn chunk_map_of(&mut self, id: &ContentId) -> Option<&mut ChunkMap> {
        self.chunk_map.as_mut().filter(|chunk_map| chunk_map.id == *id)
    }

    /// Takes them out, to bring them up to date; put back by [`Self::put_chunk_map`].
    pub(super) fn take_chunk_map(&mut self, id: ContentId) -> ChunkMap {
        let known = self.chunk_map.take().filter(|chunk_map| chunk_map.id == id);
        known.unwrap_or_else(|| ChunkMap::new(id))
    }

    pub(super) fn put_chunk_map(&mut self, chunk_map: ChunkMap) {
        self.chunk_map = Some(chunk_map);
    }
}
