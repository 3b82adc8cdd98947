//! Leaving in good order: transfers in progress get a few seconds, then we unregister, sync, stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;
use common::wire::Code;
use tokio::sync::mpsc;

use super::Session;
use super::content::Content;
use super::manifest_cache::save_hashes;
use super::opened::HashRange;
use super::undo::Removed;
use crate::api::event::{Level, Target};
use crate::api::handle::Stop;
use crate::conn::ConnEvent;
use crate::disk::{Disk, Partial};
use swarm::event::Input;

/// Time for transfers in progress.
const TRANSFERS: Duration = Duration::from_secs(5);
/// Time for the tracker to say that it has taken our leave, once all else is done. One that is near has said it long
/// before; to one that is far away the word is on its way. Should it be lost, the tracker keeps our place for a minute.
const LEAVE: Duration = Duration::from_millis(50);
/// Time for BYE to go out, at most.
const GOODBYE: Duration = Duration::from_millis(300);
/// Time for what was written last to reach the disks. What does not is hashed again at the next start, or
/// fetched again: nothing wrong is believed.
const SYNC: Duration = Duration::from_secs(5);
/// Time for the library, though the disks have used up theirs.
const LIBRARY: Duration = Duration::from_secs(1);
/// Time for closing files: one that hangs must not keep the program.
const CLOSING: Duration = Duration::from_millis(500);

/// How often it is looked whether everybody has let go of the library.
const LOOK: Duration = Duration::from_millis(5);

/// How far stopping has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopping {
    deadline: Instant,
}

impl Session {
    pub(super) fn stop(&mut self, how: Stop) {
        let now = Instant::now();
        match how {
            Stop::No => {}
            Stop::Gracefully if self.stopping.is_none() => {
                self.log(Level::Info, Target::Net, "stopping: finishing transfers in progress");
                self.stopping = Some(Stopping { deadline: now + TRANSFERS });
                let downloads: Vec<_> =
                    self.contents.downloads().map(|content| content.id).collect();
                for id in downloads {
                    self.feed(Input::PausedChanged { id, paused: true });
                }
            }
            Stop::Gracefully => {}
            Stop::Now => self.stopping = Some(Stopping { deadline: now }),
        }
    }

    /// While stopping: is there anything left to wait for?
    pub(super) fn check_stopping(&mut self, now: Instant) {
        if let Some(stopping) = &mut self.stopping
            && stopping.deadline > now
        {
            let in_progress =
                self.conns.values().any(|c| !c.serving.is_empty() || !c.bufs.is_empty());
            if !in_progress && !self.core.node().is_busy() {
                stopping.deadline = now;
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopping.is_some_and(|stopping| stopping.deadline <= Instant::now())
    }

    /// Says goodbye, syncs everything, publishes the last snapshot. No disk that hangs keeps it from
    /// ending.
    pub(super) async fn finish(mut self, conns: &mut mpsc::Receiver<ConnEvent>) {
        for job in self.sharing.jobs.iter() {
            job.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        self.write_sources();
        self.disconnect_all(Code::ShuttingDown, "the peer is stopping");
        let leaving = self.net.announcer.take().map(|announcer| tokio::spawn(announcer.leave()));
        let given_back = tokio::spawn(self.net.mapping.give_back());
        let until = Instant::now() + SYNC;
        self.ours.disk.close();
        self.last_kept();
        self.write_orphans();
        let copies = std::mem::take(&mut self.storage.copies);
        let ((), deleted) = tokio::join!(copies.end(until), self.finish_volumes(until));
        self.finish_library(deleted, until.max(Instant::now() + LIBRARY)).await;
        let _ = tokio::time::timeout(GOODBYE, self.parted(conns)).await;
        if let Some(leaving) = leaving {
            let _ = tokio::time::timeout(LEAVE, leaving).await;
        }
        // It is begun long since: a router that is there has heard it.
        let _ = tokio::time::timeout(GOODBYE, given_back).await;
        if let Some((hosted, _)) = self.net.hosted.take() {
            hosted.stop().await;
        }
        self.publish();
        // Whoever starts again at once finds the library free, also of those who are about to open a download: the
        // last hand on it is ours, and closes it.
        let library = Arc::clone(self.write_queue.library());
        let until = Instant::now() + CLOSING;
        let closed = tokio::task::spawn_blocking(move || {
            drop(self);
            while Arc::strong_count(&library) > 1 && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
            drop(library);
        });
        let _ = tokio::time::timeout(CLOSING * 2, closed).await;
    }

    /// Ends when every connection has: BYE is out, or nobody is there to hear it.
    async fn parted(&mut self, conns: &mut mpsc::Receiver<ConnEvent>) {
        while !self.conns.is_empty() {
            match conns.recv().await {
                Some(ConnEvent::Down { conn, .. }) => drop(self.conns.remove(&conn)),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Syncs and deletes what is to be, on all volumes beside each other; what was deleted.
    async fn finish_volumes(&mut self, until: Instant) -> Vec<ContentId> {
        let leftovers = self.leftovers();
        // Each reports once.
        let (tx, mut ended) = mpsc::channel(leftovers.len().max(1));
        let mut out = BTreeMap::new();
        for (number, (dir, leftover)) in leftovers.into_iter().enumerate() {
            let (disk, tx) = (self.ours.disk.clone(), tx.clone());
            out.insert(number, dir);
            tokio::task::spawn_blocking(move || {
                // Nobody waits any more if it took too long.
                let _ = tx.try_send((number, leftover.finish(&disk, until)));
            });
        }
        drop(tx);
        let mut deleted = Vec::new();
        while let Ok(Some((number, (gone, errors)))) =
            tokio::time::timeout_at(until.into(), ended.recv()).await
        {
            out.remove(&number);
            deleted.extend(gone);
            errors.into_iter().for_each(|error| self.log(Level::Error, Target::Disk, error));
        }
        for dir in out.into_values() {
            let text = format!(
                "{}: the disk does not answer; what was written there last is checked at the next start",
                dir.display()
            );
            self.log(Level::Error, Target::Disk, text);
        }
        deleted
    }

    /// What is left to do, by volume, with a folder of each.
    fn leftovers(&mut self) -> Vec<(PathBuf, Leftover)> {
        let mut all = Vec::new();
        for download in self.contents.downloads_mut().filter_map(Content::as_download) {
            if let Some(open) = download.files.get_mut() {
                let (partial, hashes) = (open.partial().clone(), open.hashes.take());
                let left = Leftover { partials: vec![(partial, hashes)], ..Leftover::default() };
                all.push((download.record.dir.clone(), left));
            }
        }
        for removed in self.take_deletions() {
            let dir = removed.dir().to_path_buf();
            all.push((dir, Leftover { deletions: vec![removed], ..Leftover::default() }));
        }
        let mut by_volume: BTreeMap<u64, (PathBuf, Leftover)> = BTreeMap::new();
        for (dir, left) in all {
            let volume = self.background.volume_of(&dir);
            let (_, sum) = by_volume.entry(volume).or_insert((dir, Leftover::default()));
            sum.partials.extend(left.partials);
            sum.deletions.extend(left.deletions);
        }
        by_volume.into_values().collect()
    }

    async fn finish_library(&mut self, deleted: Vec<ContentId>, until: Instant) {
        let library = self.write_queue.library().clone();
        let written = tokio::task::spawn_blocking(move || {
            let settled = library.drop_tombstones(&deleted).and_then(|_| library.settle());
            // Only now: until here a removal could be taken back. What is not removed now goes next time.
            let collected = settled.is_ok().then(|| library.collect_garbage().err()).flatten();
            (settled, collected)
        });
        match tokio::time::timeout_at(until.into(), written).await {
            Ok(written) => {
                let Ok((settled, collected)) = written else { return };
                if let Some(error) = collected {
                    self.log(Level::Error, Target::Disk, error.to_string());
                }
                self.last_settled(settled);
            }
            Err(_) => {
                let text =
                    "the state folder does not answer: what was decided last may be forgotten";
                self.log(Level::Error, Target::Disk, text);
            }
        }
    }
}

/// What is left to do on a volume at the end.
#[derive(Default)]
struct Leftover {
    partials: Vec<(Arc<Partial>, Vec<HashRange>)>,
    deletions: Vec<Removed>,
}

impl Leftover {
    /// Does it; what was deleted, and what went wrong. Blocks.
    fn finish(self, disk: &Disk, until: Instant) -> (Vec<ContentId>, Vec<String>) {
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (partial, hashes) in &self.partials {
            // What is still in the workers' queue is written before the sync.
            disk.wait_ended(partial.volume(), until);
            errors.extend(save_hashes(partial, hashes).err().map(|error| error.to_string()));
            errors.extend(partial.sync().err().map(|error| error.to_string()));
        }
        for removed in self.deletions {
            let id = removed.id();
            match removed.delete() {
                Ok(()) => deleted.push(id),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (deleted, errors)
    }
}
