//! The end of a download: everything durable, then one rename.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::chunk_set::ChunkSet;
use common::layout::Layout;
use common::lock::Unpoisoned as _;
use common::manifest::Manifest;
use common::names::PathList;
use common::numbers::saturate;

use super::journal::Record;
use super::names::MAX_NUMBERED;
use super::partial::Partial;
use crate::disk::claim::make_public;
use crate::disk::error::DiskError;
use crate::disk::syscalls::{self, Access, Step};

/// What a finished download should look like.
#[derive(Debug, Clone)]
pub(crate) struct FinishPlan {
    wanted: ChunkSet,
    /// For a folder, in layout order; empty for a single file.
    files: Vec<FilePlan>,
    empty_dirs: Arc<PathList>,
}

#[derive(Debug, Clone, Copy)]
struct FilePlan {
    /// Seconds since 1970.
    mtime: i64,
    /// Has no bytes, and is created all the same.
    make_empty: bool,
}

impl FinishPlan {
    /// Everything of `wanted`, with the times the manifest names. Executable bits stay off. Empty files and
    /// folders are created if everything is wanted; of an empty file in a chosen folder that is taken to be
    /// so if all other files beside it are wanted.
    pub(crate) fn new(manifest: Option<&Manifest>, layout: &Layout, wanted: &ChunkSet) -> Self {
        let Some(manifest) = manifest else {
            return Self {
                wanted: wanted.clone(),
                files: Vec::new(),
                empty_dirs: Default::default(),
            };
        };
        let all = wanted.is_complete();
        let beside = if all { Beside::default() } else { Beside::of(manifest, layout, wanted) };
        let files = manifest.files().map(|entry| FilePlan {
            mtime: entry.mtime,
            make_empty: entry.size == 0 && (all || beside.all_wanted(&entry.path)),
        });
        let files = files.collect();
        let empty_dirs = if all { manifest.empty_dirs().clone() } else { Default::default() };
        Self { wanted: wanted.clone(), files, empty_dirs }
    }
}

/// Of each folder that has an empty file: whether it has files with bytes, all of them wanted.
#[derive(Default)]
struct Beside(HashMap<String, bool>);

impl Beside {
    fn of(manifest: &Manifest, layout: &Layout, wanted: &ChunkSet) -> Self {
        let empty = manifest.files().filter(|entry| entry.size == 0);
        let mut folders: HashMap<String, Option<bool>> =
            empty.map(|entry| (folder_of(&entry.path), None)).collect();
        if folders.is_empty() {
            return Self::default();
        }
        for (i, entry) in manifest.files().enumerate() {
            let mut chunks = layout.file_chunks(i).unwrap_or(0..0);
            if let Some(all) = folders.get_mut(&folder_of(&entry.path))
                && !chunks.is_empty()
            {
                *all = Some(all.unwrap_or(true) && chunks.all(|chunk| wanted.contains(chunk)));
            }
        }
        Self(folders.into_iter().map(|(folder, all)| (folder, all == Some(true))).collect())
    }

    fn all_wanted(&self, path: &[String]) -> bool {
        self.0.get(&folder_of(path)).copied().unwrap_or(false)
    }
}

/// The folder a file is in.
fn folder_of(path: &[String]) -> String {
    path.split_last().map_or_else(String::new, |(_, folders)| folders.join("/"))
}

impl Partial {
    /// Puts the download in its place and forgets the journal: [`Self::place`] and
    /// [`Self::close_journal`] in one. Where it is: the wanted name, or `name (1)` and so on if that was taken.
    ///
    /// # Errors
    /// As those two. Can be called again.
    pub(crate) fn finish(&self, plan: &FinishPlan) -> Result<PathBuf, DiskError> {
        let path = self.place(plan)?;
        self.close_journal()?;
        Ok(path)
    }

    /// Syncs, renames to the final name without replacing anything, syncs the folder. Until
    /// [`Self::close_journal`], opening the download again finds it finished, whatever happens.
    /// Files of a folder that are not complete are removed from it. Nothing can be written afterwards.
    ///
    /// # Errors
    /// [`DiskError`]: after [`DiskError::Incomplete`], or when a sync failed, [`Self::written`] tells
    /// which chunks are left. Can be called again.
    pub(crate) fn place(&self, plan: &FinishPlan) -> Result<PathBuf, DiskError> {
        let placed = self.state().placed.clone();
        if placed.is_none() {
            self.check_complete(plan)?;
            self.dress(plan)?;
            self.sync().map_err(|error| error.error)?;
            self.check_complete(plan)?;
            self.announce_end()?;
            self.rename()?;
        }
        // What was nobody else's business while it was a part gets the mode of any new file or folder.
        make_public(&*self.own()?).map_err(|error| self.error("finish", 0, error))?;
        self.hook
            .before(Step::SyncDir)
            .and_then(|()| Ok(rustix::fs::fsync(&self.dir)?))
            .map_err(|error| self.error("sync the folder of", 0, error))?;
        Ok(self.path())
    }

    /// Removes the journal of a finished download: once it is remembered elsewhere what it is.
    ///
    /// # Errors
    /// [`DiskError`] if it could not be removed; harmless but for a file left behind.
    pub(crate) fn close_journal(&self) -> Result<(), DiskError> {
        self.forget_journal()?;
        self.close_own();
        self.donors.forget();
        Ok(())
    }

    fn check_complete(&self, plan: &FinishPlan) -> Result<(), DiskError> {
        let state = self.state();
        let missing = plan.wanted.iter().filter(|chunk| !state.written.contains(*chunk)).count();
        match saturate::<u32>(missing) {
            0 => Ok(()),
            missing => Err(DiskError::Incomplete { missing }),
        }
    }

    /// Gives files their times, creates what is empty, removes what is incomplete.
    fn dress(&self, plan: &FinishPlan) -> Result<(), DiskError> {
        if self.tree.rel().is_none() {
            return Ok(());
        }
        let error = |error| self.error("finish", 0, error);
        self.hook.before(Step::Metadata).map_err(error)?;
        for dir in plan.empty_dirs.iter() {
            self.tree.make_dirs(dir).map_err(error)?;
        }
        let mut lost = false;
        for file in 0..self.layout().files() {
            let plan = plan.files.get(file);
            let keep = match self.is_whole(file) {
                None => plan.is_some_and(|plan| plan.make_empty),
                Some(whole) => whole,
            };
            if !keep {
                self.drop_file(file)?;
                continue;
            }
            let Some(handle) = self.open_whole(file).map_err(error)? else {
                self.drop_file(file)?;
                lost = true;
                continue;
            };
            if let Some(plan) = plan {
                handle.set_modified(time(plan.mtime)).map_err(error)?;
            }
        }
        if lost {
            self.compact()?;
        }
        // One sync of the file system takes all of the above.
        self.state().created = true;
        Ok(())
    }

    /// A file all of which was written; `None` if it is not so any more.
    fn open_whole(&self, file: usize) -> std::io::Result<Option<File>> {
        let size = self.layout().file_size(file).unwrap_or(0);
        let access = if size == 0 { Access::Write } else { Access::Existing };
        match self.tree.open_uncached(file, access) {
            Ok(handle) if handle.metadata()?.len() == size => Ok(Some(handle)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether all chunks of a file are here; `None` for a file without any.
    fn is_whole(&self, file: usize) -> Option<bool> {
        let chunks = self.layout().file_chunks(file)?;
        let state = self.state();
        (!chunks.is_empty()).then(|| chunks.clone().all(|chunk| state.written.contains(chunk)))
    }

    fn drop_file(&self, file: usize) -> Result<(), DiskError> {
        self.forget_file(file);
        self.tree.remove(file).map_err(|error| self.error("delete", 0, error))
    }

    /// After this record a missing part means that the rename has happened.
    fn announce_end(&self) -> Result<(), DiskError> {
        let file = {
            let mut journal = self.journal();
            self.append(&mut journal, &[Record::Finishing])?;
            journal.file()
        };
        self.sync_journal(&file)
    }

    fn rename(&self) -> Result<(), DiskError> {
        // A sync that runs beside this would look for the part where it was.
        let _one = self.syncing.lock().unpoisoned();
        self.check_own()?;
        self.state().closed = true;
        let renamed = self.tree.renaming(|| {
            let dir = self.dir_now();
            for name in self.names.targets() {
                let path = dir.join(&name);
                let renamed = self
                    .hook
                    .before(Step::Rename)
                    .and_then(|()| syscalls::rename_new(&self.dir, &self.names.part, &name));
                match renamed {
                    Ok(true) => {
                        // Where others may rename, it may be theirs that was put in place.
                        let placed = syscalls::stat_at(&self.dir, name.as_str()).ok().flatten();
                        if placed.is_none_or(|placed| placed.ino != self.ino) {
                            return Err(DiskError::Changed { path });
                        }
                        return Ok(path);
                    }
                    Ok(false) => {}
                    Err(error) => return Err(DiskError::sort("rename to", &path, 0, error)),
                }
            }
            let target = &self.names.target;
            Err(DiskError::BadName(format!("{target} (taken {MAX_NUMBERED} times)")))
        });
        let mut state = self.state();
        match renamed {
            Ok(path) => {
                state.placed = Some(path);
                Ok(())
            }
            Err(error) => {
                state.closed = false;
                Err(error)
            }
        }
    }
}

/// Seconds since 1970 as a time; the present for what no clock can show.
fn time(seconds: i64) -> SystemTime {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let time =
        if seconds < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
    time.unwrap_or_else(SystemTime::now)
}
