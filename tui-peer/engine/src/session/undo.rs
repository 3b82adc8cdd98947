//! Downloads the user took out of the list, and for some seconds can have back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use common::id::ContentId;
use common::names::show;

use super::content::{Content, Role, disk_name};
use super::done::Done;
use super::download::Phase;
use super::opened::Open;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Reply, UNDO_TIME};
use crate::api::event::{Level, Target, What};
use crate::disk::{DiskError, Partial, discard};
use crate::library::{DownloadRecord, Prepared};

/// Removed downloads that can be taken back at once; more than anybody marks in a few seconds by hand.
const MAX_REMOVED: usize = 1000;

/// A download that was removed just now.
pub(super) struct Removed {
    record: DownloadRecord,
    /// It is open, and nobody else may open it.
    partial: Option<Arc<Partial>>,
    /// Folders that may hold some of it besides.
    from: Vec<PathBuf>,
    /// What there is of it is to be deleted when it can no longer be taken back.
    delete: bool,
    at: Instant,
}

impl Removed {
    pub(super) fn id(&self) -> ContentId {
        self.record.id
    }

    /// Where it lies.
    pub(super) fn dir(&self) -> &Path {
        &self.record.dir
    }

    /// Deletes what there is of it on disk, whether it was opened in this run or not; blocks.
    pub(super) fn delete(self) -> Result<(), DiskError> {
        let Self { record, partial, from, .. } = self;
        let name = disk_name(&record.name, &record.id);
        let discard = |dir: &Path| discard(dir, &name, &record.id);
        match partial {
            Some(partial) => partial.delete()?,
            None => discard(&record.dir)?,
        }
        from.iter().try_for_each(|dir| discard(dir))
    }
}

/// Downloads that can be taken back, the oldest first.
#[derive(Default)]
pub(super) struct Removals {
    all: VecDeque<Removed>,
}

impl Removals {
    pub(super) fn has(&self, id: &ContentId) -> bool {
        self.all.iter().any(|removed| removed.id() == *id)
    }

    fn take(&mut self, id: &ContentId) -> Option<Removed> {
        let at = self.all.iter().position(|removed| removed.id() == *id)?;
        self.all.remove(at)
    }

    /// When the next one can no longer be taken back.
    pub(super) fn due(&self) -> Option<Instant> {
        self.all.front().map(|removed| removed.at + UNDO_TIME)
    }
}

/// A download that turned out to be here already.
pub(super) struct Superseded {
    record: DownloadRecord,
    /// When it was asked for.
    asked: Instant,
    /// In which folder, if one was named.
    dir: Option<PathBuf>,
    /// Where it is.
    path: PathBuf,
}

impl Session {
    pub(super) fn remove(
        &mut self,
        id: &ContentId,
        delete_partial: bool,
    ) -> Result<Reply, CommandError> {
        match self.contents.get(id).map(|content| &content.role) {
            None => return Err(refuse(CommandErrorKind::NotFound, "no such download")),
            Some(Role::Share(share)) if !share.downloaded => {
                let text = "that is a share of yours; unshare it instead";
                return Err(refuse(CommandErrorKind::Invalid, text));
            }
            // Finished: only the list forgets it.
            Some(Role::Share(_)) => {
                self.keep_cleared(id, true);
                return Ok(Reply::Accepted);
            }
            Some(Role::Download(download)) if download.phase == Phase::Finishing => {
                let text = "it is just being put in place; remove it when that is done";
                return Err(refuse(CommandErrorKind::Invalid, text));
            }
            Some(Role::Download(_)) => {}
        }
        let Some(content) = self.forget(id) else { return Ok(Reply::Accepted) };
        let text = format!("removed: {}", content.shown);
        self.log(Level::Info, Target::Fetch, text);
        if let Role::Download(download) = content.role {
            self.write_removal(&download.record, delete_partial);
            let open = download.files.into_open();
            let mut partial = open.map(Open::into_partial);
            if !delete_partial {
                self.background.close(partial.take());
                let elsewhere = self.storage.moves.from(id);
                for dir in elsewhere.iter().chain([&download.record.dir]) {
                    self.storage.orphans.spare(id, dir);
                }
                self.write_orphans();
            }
            if self.storage.removals.all.len() >= MAX_REMOVED
                && let Some(oldest) = self.storage.removals.all.pop_front()
            {
                self.delete_data(oldest);
            }
            let record = download.record;
            let (delete, at, from) = (delete_partial, Instant::now(), self.storage.moves.from(id));
            self.storage.removals.all.push_back(Removed { record, partial, from, delete, at });
        }
        self.start_queued();
        Ok(Reply::Accepted)
    }

    /// What is being downloaded lies complete elsewhere on our disk: nothing more is to be fetched.
    pub(super) fn supersede(&mut self, prepared: &Prepared) -> Option<Superseded> {
        let id = prepared.id;
        self.too_late_to_move(&id, &prepared.path);
        let Role::Download(download) = self.forget(&id)?.role else { return None };
        self.write_removal(&download.record, true);
        let looks = download.only_looks();
        let (record, asked) = (download.record.clone(), download.asked.at);
        let dir = download.asked.named.then(|| record.dir.clone());
        let superseded = Superseded { record, asked, dir, path: prepared.path.clone() };
        let partial = download.files.into_open().map(Open::into_partial);
        let record = download.record;
        let from = self.storage.moves.from(&id);
        self.delete_data(Removed { record, partial, from, delete: true, at: Instant::now() });
        self.start_queued();
        let text = format!(
            "{}: all of it is here already, at {}",
            show(&superseded.record.name),
            superseded.path.display()
        );
        self.log(Level::Info, Target::Fetch, text);
        // Of what was only looked at nothing was wanted.
        (!looks).then_some(superseded)
    }

    /// A download turned out to be here already: if it was asked for in a folder of its own, it is copied there, and
    /// otherwise it is done.
    pub(super) fn superseded(&mut self, superseded: Superseded) {
        let Superseded { record, asked, dir, path } = superseded;
        let DownloadRecord { id, name, selection: files, .. } = record;
        match dir.filter(|dir| path.parent() != Some(dir.as_path())) {
            Some(dir) => self.copy_after_deletion(id, dir, files),
            None => {
                let text = format!("{} is here", show(&name));
                let (bytes, seconds, unkept) = (0, asked.elapsed().as_secs_f64(), None);
                let what = What::Done { id, path, bytes, seconds, unkept };
                self.tell(Level::Info, Target::Fetch, text, what);
            }
        }
    }

    /// What is to be deleted is written down: should the program be killed before that is done, the next
    /// start does it.
    fn write_removal(&mut self, record: &DownloadRecord, delete: bool) {
        let noted = match delete {
            true => self.write_queue.library().note_tombstone(record),
            false => self.write_queue.library().note_removed(&record.id),
        };
        self.write_down(noted);
    }

    /// Removals whose data an earlier run did not live to delete. They are due like new ones, so that what
    /// is wanted again right away is not lost; what is too many is left to the next start.
    pub(super) fn restore_removals(&mut self, records: Vec<DownloadRecord>) {
        let at = Instant::now();
        for record in records.into_iter().take(MAX_REMOVED) {
            let from = self.storage.moves.from(&record.id);
            self.storage.removals.all.push_back(Removed {
                record,
                partial: None,
                from,
                delete: true,
                at,
            });
        }
    }

    /// What there was of a removed download is deleted, or could not be.
    fn on_deleted(&mut self, id: ContentId, result: Result<(), DiskError>) {
        match result {
            Ok(()) => self.forget_removal(id),
            Err(error) => self.log(Level::Error, Target::Disk, error.to_string()),
        }
        self.copy_held(id);
    }

    fn forget_removal(&mut self, id: ContentId) {
        // Wanted again and removed again meanwhile: that removal is not done yet.
        if !self.storage.removals.has(&id) {
            self.forget_moves(&id);
            let noted = self.write_queue.library().drop_tombstones(&[id]);
            self.write_down(noted);
        }
    }

    /// Takes a removal back.
    pub(super) fn restore_removed(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        if self.is_cleared(id) {
            self.keep_cleared(id, false);
            return Ok(Reply::Accepted);
        }
        let Some(removed) = self.take_removed(id) else {
            let text = "it is too late to take that back; download it again";
            return Err(refuse(CommandErrorKind::NotFound, text));
        };
        let record = removed.record.clone();
        // Opened anew, and it is locked while the old one lives.
        self.background.close(removed);
        if !self.contents.contains_key(id) {
            self.remember(&record);
            self.insert(Content::download(record));
            self.start_queued();
        }
        Ok(Reply::Accepted)
    }

    /// A removed download that is wanted again: what there is of it is not deleted.
    pub(super) fn take_removed(&mut self, id: &ContentId) -> Option<Removed> {
        self.storage.removals.take(id)
    }

    /// Ends the time to take back, of those whose time is over, or of all.
    pub(super) fn delete_removed(&mut self, now: Option<Instant>) {
        while let Some(due) = self.storage.removals.due()
            && now.is_none_or(|now| now >= due)
        {
            if let Some(removed) = self.storage.removals.all.pop_front() {
                self.delete_data(removed);
            }
        }
    }

    fn delete_data(&mut self, removed: Removed) {
        if self.loses_data(&removed) {
            let (id, dir) = (removed.id(), removed.record.dir.clone());
            let place = self.place_of(&id, &dir);
            self.background.run_at(place, dir, move |_| {
                let result = removed.delete();
                Done::new(move |session| session.on_deleted(id, result))
            });
        }
    }

    /// Whether what there is of it is to be deleted: not if it is a download again, whose data that is now.
    fn loses_data(&self, removed: &Removed) -> bool {
        let again = self.contents.get(&removed.id()).map(|content| &content.role);
        removed.delete && !matches!(again, Some(Role::Download(_)))
    }

    /// What is still to be deleted.
    pub(super) fn take_deletions(&mut self) -> Vec<Removed> {
        let all = std::mem::take(&mut self.storage.removals.all);
        all.into_iter().filter(|removed| self.loses_data(removed)).collect()
    }
}
