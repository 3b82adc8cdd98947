//! Telling readers what changed. State, not queues: a session remembers what it was told, and a delta is the
//! difference to what is true when it is written. However slow a reader is, it costs no memory.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use common::id::{ContentId, PeerId};
use common::limits::{DEFAULT_LOCATIONS, MAX_COUNTS, MAX_DELTA, MAX_LOCATIONS, MAX_WATCHES};
use common::wire::Code;
use common::wire::tracker::{Counts, FileRow, Reply, Source};

use super::file::File;
use super::locations::{SetBudget, Viewer, source};
use super::push::{Push, Shared};
use super::session::{Session, Watch};
use super::{Index, Refusal, SessionId, replaced};

/// Sources followed per watch; lost ones are replaced up to here.
const FOLLOWED: usize = DEFAULT_LOCATIONS;
/// Sources followed by one session (40 bytes each), over all its watches: with many watches each follows fewer,
/// but not fewer than [`MIN_FOLLOWED`]. An answer to FileLocations may bring a watch up to what was asked for.
const FOLLOWED_PER_SESSION: usize = 20_000;
/// Enough to begin a download; the rest comes with FileLocations.
const MIN_FOLLOWED: usize = 20;
/// Bytes of rows in one catalogue delta; a frame holds 256 KiB.
const MAX_DELTA_BYTES: usize = 128 * 1024;

/// Changed rows, and readers of changed sources, that are seen to at a time: 0.2 us each.
const PUBLISH_SLICE: usize = 2000;
/// Entries of the log that are looked at for one delta: those that a later entry repeats give nothing for it.
const MAX_LOOKED: usize = MAX_COUNTS;

/// What changed before the last tick and is being told: what changes meanwhile waits for the next one, so that however
/// often something changes it is told once a tick.
#[derive(Debug, Default)]
pub(super) struct Round {
    rows: BTreeSet<ContentId>,
    /// Rows of which only the numbers of sources are new.
    counted: BTreeSet<ContentId>,
    sources: BTreeSet<ContentId>,
    /// Who is to be told.
    readers: BTreeSet<SessionId>,
    /// Whether rows were among it.
    of_catalogue: bool,
}

// In the worst case everything told leaves, and others take their places.
const _: () = assert!(MAX_LOCATIONS + FOLLOWED <= MAX_DELTA);

impl Index {
    /// Begins watches; what is watched already goes on.
    ///
    /// # Errors
    /// [`Refusal`] for too many watches or a replaced session.
    pub fn watch(
        &mut self,
        session: SessionId,
        catalogue: bool,
        ids: &[ContentId],
    ) -> Result<(), Refusal> {
        let viewer = self.sessions.get_mut(&session).ok_or_else(replaced)?;
        let fresh: HashSet<_> = ids.iter().filter(|id| !viewer.watches.contains_key(*id)).collect();
        if viewer.watches.len() + fresh.len() > MAX_WATCHES {
            return Err(Refusal::new(
                Code::Limit,
                format!("a connection may watch {MAX_WATCHES} contents; end other watches first"),
            ));
        }
        if catalogue {
            viewer.cursor.get_or_insert(self.log.end());
            self.catalogue_watchers.insert(session);
        }
        for id in fresh {
            let told = viewer.recall(id);
            viewer.watches.insert(*id, Watch { told, queued: false, round: None });
            viewer.enqueue(*id);
            self.watchers.entry(*id).or_default().sessions.push(session);
            // What it was not told yet is found at the next tick.
            self.dirty_sources.insert(*id);
        }
        Ok(())
    }

    pub fn unwatch(&mut self, session: SessionId, catalogue: bool, ids: &[ContentId]) {
        let Some(viewer) = self.sessions.get_mut(&session) else { return };
        if catalogue {
            viewer.cursor = None;
            self.catalogue_watchers.remove(&session);
        }
        let ended: Vec<_> =
            ids.iter().filter(|id| viewer.watches.remove(*id).is_some()).copied().collect();
        viewer.queue.retain(|id| viewer.watches.contains_key(id));
        for id in ended {
            self.remove_watcher(session, id);
        }
    }

    /// [`Self::next_push`], as a message of its own.
    pub fn poll(&mut self, session: SessionId, rng: &mut fastrand::Rng) -> Option<Reply> {
        self.next_push(session, rng).and_then(Push::into_reply)
    }

    /// The next push for a session, if it has one; call until `None`.
    pub fn next_push(&mut self, session: SessionId, rng: &mut fastrand::Rng) -> Option<Push> {
        let viewer = self.sessions.get_mut(&session)?;
        if !viewer.resend.is_empty() {
            return Some(Push::One(Reply::Resend { ids: std::mem::take(&mut viewer.resend) }));
        }
        if let Some(asking) = self.next_asking(session) {
            return Some(Push::One(asking));
        }
        if let Some(delta) = self.catalogue_delta(session) {
            return Some(Push::All(delta));
        }
        while let Some(id) = self.sessions.get_mut(&session)?.queue.pop_front() {
            if let Some(watch) = self.sessions.get_mut(&session)?.watches.get_mut(&id) {
                watch.queued = false;
            }
            if let Some(delta) = self.source_delta(session, id, rng) {
                return Some(Push::One(delta));
            }
        }
        None
    }

    /// What changed since the last time is to be moved to where readers find it, unless that of the time before
    /// is not yet.
    pub(super) fn begin_round(&mut self, now_ms: u64) -> bool {
        let begins = !self.is_publishing();
        if begins {
            let mut counted = BTreeSet::new();
            if now_ms >= self.recount_at && !self.recounted.is_empty() {
                counted = std::mem::take(&mut self.recounted);
                self.recount_at = now_ms.saturating_add(self.limits.recount_ms);
            }
            self.dirty_sources.extend(self.paced.take_due(now_ms, &mut self.watchers));
            self.round = Round {
                rows: std::mem::take(&mut self.dirty_rows),
                counted,
                sources: std::mem::take(&mut self.dirty_sources),
                readers: std::mem::take(&mut self.to_wake),
                of_catalogue: false,
            };
        }
        begins
    }

    pub(super) fn is_publishing(&self) -> bool {
        let Round { rows, counted, sources, readers, of_catalogue } = &self.round;
        // Once all rows are moved, those who watch the catalogue have still to be told.
        *of_catalogue
            || !(rows.is_empty() && counted.is_empty() && sources.is_empty() && readers.is_empty())
    }

    /// Moves some of it; returns the readers when that was all.
    pub(super) fn publish_some(&mut self) -> Vec<SessionId> {
        let mut left = PUBLISH_SLICE;
        while left > 0
            && let Some(id) = self.round.rows.pop_first()
        {
            left -= 1;
            self.round.counted.remove(&id);
            if let Some((row, position)) = self.log_row(id) {
                row.text_version = position;
            }
        }
        while left > 0
            && let Some(id) = self.round.counted.pop_first()
        {
            left -= 1;
            self.log_row(id);
        }
        while left > 0
            && let Some(id) = self.round.sources.pop_first()
        {
            let watchers = self.watchers.get(&id).map_or(&[][..], |all| &all.sessions);
            left = left.saturating_sub(1 + watchers.len());
            for session in watchers {
                if let Some(viewer) = self.sessions.get_mut(session) {
                    viewer.enqueue(id);
                    self.round.readers.insert(*session);
                }
            }
        }
        if left == 0 {
            return Vec::new();
        }
        let Round { mut readers, of_catalogue, .. } = std::mem::take(&mut self.round);
        if of_catalogue {
            readers.extend(&self.catalogue_watchers);
        }
        readers.into_iter().collect()
    }

    /// Enters a changed row into the log; the row, if it is still there, and its place.
    fn log_row(&mut self, id: ContentId) -> Option<(&mut File, u64)> {
        self.round.of_catalogue = true;
        self.deltas.clear();
        let position = self.log.push(id);
        let row = self.row_of(&id).and_then(|file| self.files.get_mut(file))?;
        row.row_version = position;
        Some((row, position))
    }

    /// Whether a session understands numbers of sources without their rows.
    pub fn may_count(&mut self, session: SessionId, counts: bool) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.counts = counts;
        }
    }

    /// Ends everything that refers to a session.
    pub(super) fn end_watches(&mut self, session: SessionId) {
        self.forget_orphans(session);
        self.to_wake.remove(&session);
        self.catalogue_watchers.remove(&session);
        let Some(viewer) = self.sessions.get_mut(&session) else { return };
        for (id, _) in std::mem::take(&mut viewer.watches) {
            self.remove_watcher(session, id);
        }
    }

    fn remove_watcher(&mut self, session: SessionId, id: ContentId) {
        if let Some(watchers) = self.watchers.get_mut(&id) {
            watchers.sessions.retain(|watcher| *watcher != session);
            if watchers.waits_no_longer() {
                self.paced.add(id);
            }
            if watchers.sessions.is_empty() {
                self.watchers.remove(&id);
            }
        }
    }

    fn catalogue_delta(&mut self, session: SessionId) -> Option<Arc<Shared>> {
        let viewer = self.sessions.get(&session)?;
        let (cursor, counts) = (viewer.cursor?, viewer.counts);
        let end = self.log.end();
        if cursor >= end {
            return None;
        }
        let known = self.deltas.get((cursor, counts));
        let (delta, next) = match known {
            Some((delta, next)) => (Some(delta), next),
            None => {
                let (reply, next) = self.changes_since(cursor, counts);
                let delta = reply.map(|reply| Arc::new(Shared::new(&reply)));
                if let Some(delta) = &delta {
                    self.deltas.keep((cursor, counts), delta, next);
                }
                (delta, next)
            }
        };
        self.sessions.get_mut(&session)?.cursor = Some(next);
        if delta.is_none() && next < end {
            // Nothing so far: it goes on at the next tick.
            self.to_wake.insert(session);
        }
        delta
    }

    /// What is to be told from a place in the log on, and the place up to which it is; `None` if that is nothing.
    fn changes_since(&self, cursor: u64, compact: bool) -> (Option<Reply>, u64) {
        let end = self.log.end();
        let Some(entries) = self.log.since(cursor) else {
            let (upserts, removes, counts) = (Vec::new(), Vec::new(), Vec::new());
            return (Some(Reply::CatalogueDelta { upserts, removes, resync: true, counts }), end);
        };
        let mut upserts: Vec<FileRow> = Vec::new();
        let mut removes: BTreeSet<ContentId> = BTreeSet::new();
        let mut counts: Vec<Counts> = Vec::new();
        let (mut bytes, mut next) = (0, end);
        for (looked, (position, id)) in entries.enumerate() {
            let is_full = upserts.len() + removes.len() >= MAX_DELTA || bytes >= MAX_DELTA_BYTES;
            if is_full || looked >= MAX_LOOKED {
                next = position;
                break;
            }
            match self.row_of(&id).and_then(|file| self.files.get(file)) {
                // Who reads numbers alone needs the row where its text is new: later entries have none.
                Some(row) if compact && row.text_version != position => {
                    if row.row_version == position {
                        bytes += Counts::MAX_LEN;
                        counts.push(row.counts());
                    }
                }
                // A later entry, or the next tick, says the same and more.
                Some(row) if !compact && row.row_version != position => {}
                Some(row) => {
                    bytes += row.encoded_len();
                    upserts.push(row.row());
                }
                None => {
                    removes.insert(id);
                }
            }
        }
        let removes: Vec<_> = removes.into_iter().collect();
        let empty = upserts.is_empty() && removes.is_empty() && counts.is_empty();
        let delta = Reply::CatalogueDelta { upserts, removes, resync: false, counts };
        ((!empty).then_some(delta), next)
    }

    fn source_delta(
        &mut self,
        session: SessionId,
        id: ContentId,
        rng: &mut fastrand::Rng,
    ) -> Option<Reply> {
        let viewer = self.viewer(session)?;
        let Watch { told, round, .. } = viewer.session.watches.get(&id)?;
        let latest = self.watchers.get(&id).map_or(0, |watchers| watchers.round);
        let is_due = *round != Some(latest);
        let file = self.row_of(&id);
        let mut budget = SetBudget::new();
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        let mut news: Vec<(PeerId, u64)> = Vec::new();
        for (peer, stamp) in told {
            let handle = self.by_key.get(peer).copied();
            match handle.zip(file).and_then(|(peer, file)| self.member(peer, file)) {
                None => leaves.push(*peer),
                // How far it has come is told with the next round.
                Some((_, entry)) if entry.stamp == *stamp || (entry.said <= *stamp && !is_due) => {}
                Some(_) => {
                    joins.extend(self.describe(viewer, handle, file, &mut budget, &mut news));
                }
            }
        }
        let kept = told.len() - leaves.len();
        let room = viewer.session.followed_per_watch().saturating_sub(kept);
        if let Some(row) = file.filter(|_| room > 0).and_then(|file| self.files.get(file)) {
            // Enough to find `room` others however many of the drawn ones are known already.
            let drawn = row.swarm.sample(room + kept + 1, rng);
            let unknown = drawn.into_iter().filter(|peer| {
                // Those that are just going are told of to nobody.
                let key = file.and_then(|file| Some(self.member(*peer, file)?.0.id));
                *peer != viewer.session.peer && key.is_some_and(|key| !told.contains_key(&key))
            });
            for peer in unknown.take(room) {
                joins.extend(self.describe(viewer, Some(peer), file, &mut budget, &mut news));
            }
        }
        let watch = self.sessions.get_mut(&session)?.watches.get_mut(&id)?;
        watch.round = Some(latest);
        if joins.is_empty() && leaves.is_empty() {
            return None;
        }
        for peer in &leaves {
            watch.told.remove(peer);
        }
        watch.told.extend(news);
        Some(Reply::SourceDelta { id, joins, leaves })
    }

    /// A source as it is now; notes in `news` what the viewer is told with it.
    fn describe(
        &self,
        viewer: Viewer<'_>,
        peer: Option<u32>,
        file: Option<u32>,
        budget: &mut SetBudget,
        news: &mut Vec<(PeerId, u64)>,
    ) -> Option<Source> {
        let (peer, file) = peer.zip(file)?;
        let row = self.files.get(file)?;
        let (owner, entry) = self.member(peer, file)?;
        news.push((owner.id, entry.stamp));
        Some(source(viewer, owner, entry, row.chunks, budget))
    }
}

impl Session {
    /// Sources that each watch follows by itself.
    fn followed_per_watch(&self) -> usize {
        let share = FOLLOWED_PER_SESSION.checked_div(self.watches.len()).unwrap_or(FOLLOWED);
        share.clamp(MIN_FOLLOWED, FOLLOWED)
    }
}
