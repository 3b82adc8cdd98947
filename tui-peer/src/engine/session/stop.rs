//! Leaving in good order: transfers in progress get a few seconds, then we unregister, sync, stop.

use std::time::{Duration, Instant};

use common::wire::Code;

use super::Session;
use super::content::Role;
use super::recall::save_hashes;
use crate::engine::event::{Level, Target};
use crate::engine::handle::Stop;
use crate::swarm::event::Input;

/// Time for transfers in progress.
const TRANSFERS: Duration = Duration::from_secs(5);
/// Time for the tracker to take our leave.
const LEAVE: Duration = Duration::from_secs(2);
/// Time for BYE to go out.
const GOODBYE: Duration = Duration::from_millis(300);

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
                self.say(Level::Info, Target::Net, "stopping: finishing transfers in progress");
                self.stopping = Some(Stopping { deadline: now + TRANSFERS });
                let downloads: Vec<_> = self
                    .contents
                    .values()
                    .filter(|content| matches!(content.role, Role::Download(_)))
                    .map(|content| content.id)
                    .collect();
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
            if !in_progress && !self.node.is_busy() {
                stopping.deadline = now;
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopping.is_some_and(|stopping| stopping.deadline <= Instant::now())
    }

    /// Says goodbye, syncs everything, publishes the last snapshot.
    pub(super) async fn finish(mut self) {
        for job in &self.jobs {
            job.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        self.write_sources();
        self.disconnect_all(Code::ShuttingDown, "the peer is stopping");
        if let Some(announcer) = self.net.announcer.take() {
            let _ = tokio::time::timeout(LEAVE, announcer.leave()).await;
        }
        let partials: Vec<_> = self
            .contents
            .values_mut()
            .filter_map(|content| {
                let download = content.as_download()?;
                Some((download.partial.clone()?, std::mem::take(&mut download.unsaved)))
            })
            .collect();
        let (disk, library) = (self.disk.clone(), self.library.clone());
        let deletions = self.take_deletions();
        self.last_kept();
        let ledger = self.ledger();
        let synced = tokio::task::spawn_blocking(move || {
            // What is still in the workers' queue is written before the sync.
            disk.shutdown();
            let mut errors: Vec<String> = Vec::new();
            for (partial, hashes) in &partials {
                errors.extend(save_hashes(partial, hashes).err().map(|error| error.to_string()));
                errors.extend(partial.sync().err().map(|error| error.to_string()));
            }
            let mut deleted = Vec::new();
            for removed in deletions {
                let id = removed.id();
                match removed.delete() {
                    Ok(()) => deleted.push(id),
                    Err(error) => errors.push(error.to_string()),
                }
            }
            let settled = ledger.settle(&library);
            errors.extend(settled.err().map(|error| error.to_string()));
            let forgotten = library.forget_doomed(&deleted);
            errors.extend(forgotten.err().map(|error| error.to_string()));
            // Only now: until here a removal could be taken back.
            let collected = library.collect_garbage();
            errors.extend(collected.err().map(|error| error.to_string()));
            errors
        });
        for error in synced.await.unwrap_or_default() {
            self.say(Level::Error, Target::Disk, error);
        }
        if !self.conns.is_empty() {
            tokio::time::sleep(GOODBYE).await;
        }
        if let Some((hosted, _)) = self.net.hosted.take() {
            hosted.stop().await;
        }
        self.publish();
    }
}
