//! From written to durable: data first, then the record that says so.

use common::chunk_set::ChunkSet;
use common::lock::Unpoisoned as _;

use super::files::replace_journal;
use super::journal::{Header, Record, room_of};
use super::partial::{Partial, State};
use crate::disk::error::{DiskError, SyncError};
use crate::disk::syscalls::{self, Access, Step};

/// Files synced one by one; more are left to one sync of the whole file system, which also takes the
/// folders along. Twenty thousand small files must not cost twenty thousand syncs.
const FEW_FILES: usize = 4;

impl Partial {
    /// Makes everything written so far durable and returns which chunks became it. Safe to call beside
    /// writes and from several threads.
    ///
    /// # Errors
    /// [`SyncError`] with the chunks that must be fetched again. They do not count as written any
    /// more; a later sync covers only what is written after this.
    pub(crate) fn sync(&self) -> Result<ChunkSet, SyncError> {
        let _one = self.syncing.lock().unpoisoned();
        let chunks = self.layout().chunks();
        let (batch, dirty, created, bytes) = {
            let mut state = self.state();
            if state.closed {
                // Deleted, or just being renamed, which was synced before.
                return Ok(ChunkSet::empty(chunks));
            }
            let created = std::mem::take(&mut state.created);
            let dirty = std::mem::take(&mut state.dirty);
            let batch = std::mem::take(&mut state.pending);
            let bytes = state.unsynced;
            if batch.is_empty() {
                // What was counted has been dropped since.
                state.unsynced = 0;
            }
            (batch, dirty, created, bytes)
        };
        let mut set = ChunkSet::empty(chunks);
        for chunk in &batch {
            set.insert(*chunk);
        }
        if batch.is_empty() && dirty.is_empty() && !created {
            return Ok(set);
        }
        let files: Vec<usize> = dirty.into_iter().collect();
        if let Err(error) = self.sync_data(&files, created) {
            let all = matches!(error, DiskError::Changed { .. });
            let lost = self.lose(set, all);
            return Err(SyncError { lost, error });
        }
        if let Err(error) = self.record_durable(&set) {
            // The data is there, only the record is not: said again with the next sync.
            let mut state = self.state();
            state.pending.extend(batch);
            state.unsynced = state.unsynced.saturating_sub(bytes);
            drop(state);
            self.journal().spoil();
            return Err(SyncError { lost: ChunkSet::empty(chunks), error });
        }
        {
            let mut state = self.state();
            state.unsynced = state.unsynced.saturating_sub(bytes);
            state.durable.union_with(&set);
        }
        self.compact_if_long();
        Ok(set)
    }

    /// Does not trust these chunks any more, now and after a restart: they were found damaged.
    ///
    /// # Errors
    /// [`DiskError`] if the journal could not be rewritten; a restart may trust them then.
    pub(crate) fn distrust(&self, chunks: &ChunkSet) -> Result<(), DiskError> {
        {
            let mut state = self.state();
            for chunk in chunks.iter() {
                state.written.remove(chunk);
                state.durable.remove(chunk);
            }
            state.pending.retain(|chunk| !chunks.contains(*chunk));
        }
        self.compact()
    }

    fn sync_data(&self, files: &[usize], created: bool) -> Result<(), DiskError> {
        let error = |error| self.error("sync", 0, error);
        self.hook.before(Step::SyncData).map_err(error)?;
        let own = self.own()?;
        if self.tree.rel().is_some() && (created || files.len() > FEW_FILES) {
            rustix::fs::syncfs(&*own).map_err(|errno| error(errno.into()))?;
        } else {
            self.sync_files(files)?;
        }
        // Deleted or replaced while it was open: what is written goes nowhere.
        self.check_own()
    }

    fn sync_files(&self, files: &[usize]) -> Result<(), DiskError> {
        let error = |error| self.error("sync", 0, error);
        for file in files {
            let file = match self.tree.rel() {
                None => self.own()?,
                Some(_) => self.tree.open(*file, Access::Existing).map_err(error)?,
            };
            file.sync_data().map_err(error)?;
        }
        Ok(())
    }

    fn root_name(&self) -> String {
        let root = self.path();
        root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// D is never on disk before its data: call after the data is synced.
    fn record_durable(&self, set: &ChunkSet) -> Result<(), DiskError> {
        let records: Vec<Record> = set
            .runs()
            .map(|run| Record::Durable { start: run.start, run: run.end - run.start })
            .collect();
        let file = {
            let mut journal = self.journal();
            self.append(&mut journal, &records)?;
            journal.file()
        };
        self.sync_journal(&file)
    }

    pub(in crate::disk) fn sync_journal(&self, file: &std::fs::File) -> Result<(), DiskError> {
        self.hook
            .before(Step::SyncState)
            .and_then(|()| file.sync_data())
            .map_err(|error| self.error("sync the journal of", 0, error))
    }

    /// Everything written since the last good sync is gone; if the part itself is, everything.
    fn lose(&self, mut lost: ChunkSet, all: bool) -> ChunkSet {
        if all {
            // Its records are of another file: rewritten at the next occasion.
            self.journal().spoil();
        }
        let mut state = self.state();
        if all {
            lost = state.written.clone();
        }
        for chunk in std::mem::take(&mut state.pending) {
            lost.insert(chunk);
        }
        // A chunk written again after it was durable may be damaged too, and its record says otherwise.
        for chunk in lost.iter() {
            state.written.remove(chunk);
            state.durable.remove(chunk);
        }
        state.unsynced = 0;
        state.dirty.clear();
        state.created = false;
        state.failures += 1;
        Self::forget_room(&mut state);
        drop(state);
        if all {
            self.close_own();
        } else {
            self.tree.close();
        }
        lost
    }

    fn compact_if_long(&self) {
        if self.journal().needs_compaction()
            && let Err(error) = self.compact()
        {
            // The long one is as good.
            tracing::warn!(%error, "journal not compacted");
        }
    }

    /// Rewrites the journal from what is known now.
    pub(in crate::disk) fn compact(&self) -> Result<(), DiskError> {
        let mut journal = self.journal();
        let error = |error| self.error("rewrite the journal of", 0, error);
        self.hook.before(Step::Compact).map_err(error)?;
        let part = syscalls::stat_at(&self.dir, self.root_name().as_str()).map_err(error)?;
        // What another file holds, its records must not vouch for.
        let part = part.filter(|part| part.ino == self.ino);
        let part = part.ok_or_else(|| DiskError::Changed { path: self.path() })?;
        let mut records = journal.hashes(self.bounds()).map_err(error)?;
        records.extend(run_records(&self.state()));
        let header = Header {
            id: self.id,
            descriptor: self.descriptor,
            dev: part.dev,
            ino: part.ino,
            name: self.names.target.clone(),
            owner: self.owner,
        };
        *journal = replace_journal(&self.dir, &self.names, &header, &records).map_err(error)?;
        // The old one has given its room back by now.
        let has_room = journal.reserve(room_of(self.bounds()));
        self.state().journal_has_room = has_room;
        Ok(())
    }
}

/// D runs, and W runs of what is only written.
fn run_records(state: &State) -> Vec<Record> {
    let durable = state.durable.runs();
    let mut records: Vec<Record> =
        durable.map(|run| Record::Durable { start: run.start, run: run.end - run.start }).collect();
    let mut open: Option<(u32, u32)> = None;
    for chunk in state.written.iter().filter(|chunk| !state.durable.contains(*chunk)) {
        open = match open {
            Some((start, run)) if start + run == chunk => Some((start, run + 1)),
            other => {
                records.extend(other.map(|(start, run)| Record::Written { start, run }));
                Some((chunk, 1))
            }
        };
    }
    records.extend(open.map(|(start, run)| Record::Written { start, run }));
    records
}
