//! Donors of a download: parts that others can write to, parts that it left in another folder, files that were there
//! before. They are read, compared, and what is right of them is copied.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use common::chunk_set::ChunkSet;
use common::lock::Unpoisoned as _;

use super::claim::Norm;
use super::file_tree::FileTree;
use super::part_file::discard::remove_slot;
use super::part_file::names::Names;

/// One of them.
pub(super) struct Donor {
    pub(super) tree: FileTree,
    /// Chunks that it may hold.
    pub(super) chunks: ChunkSet,
    /// Ours to delete when it is of no use any more: where it is.
    own: Option<Place>,
}

/// A part of ours.
pub(super) struct Place {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) path: PathBuf,
    pub(super) names: Names,
    pub(super) norm: Norm,
    /// From another folder: it goes as soon as all of it was taken over, not only at the end.
    pub(super) moved: bool,
    /// Keeps others from writing to it.
    pub(super) lock: Mutex<Option<File>>,
}

impl Donor {
    /// `own` if it is a part of ours, which is deleted in the end; else it is only read.
    pub(super) fn new(tree: FileTree, chunks: ChunkSet, own: Option<Place>) -> Self {
        Self { tree, chunks, own }
    }

    /// Whether it is a part of ours in another folder.
    fn is_moved(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.moved)
    }
}

/// All of a download.
pub(super) struct Donors {
    /// Held only for a moment: the session's task takes it too.
    all: Mutex<Vec<Arc<Donor>>>,
    /// A folder where some of it was before had nothing of it when it was opened.
    missed: bool,
}

impl Donors {
    pub(super) fn new(all: Vec<Donor>, missed: bool) -> Self {
        Self { all: Mutex::new(all.into_iter().map(Arc::new).collect()), missed }
    }

    /// Whether chunks are still in another folder, or may be.
    pub(super) fn are_elsewhere(&self) -> bool {
        self.missed || self.lock().iter().any(|donor| donor.is_moved())
    }

    /// Those that may hold a chunk. Nobody waits for the disk to get them.
    pub(super) fn of(&self, chunk: u32) -> Vec<Arc<Donor>> {
        self.lock().iter().filter(|donor| donor.chunks.contains(chunk)).cloned().collect()
    }

    /// Deletes those parts in other folders that hold nothing but `settled` chunks.
    pub(super) fn leave(&self, settled: &ChunkSet) {
        let done = |donor: &Arc<Donor>| {
            donor.is_moved() && donor.chunks.iter().all(|chunk| settled.contains(chunk))
        };
        delete(&self.take(done));
    }

    /// Deletes those parts of ours that only served to be copied from.
    pub(super) fn forget(&self) {
        delete(&self.take(|_| true));
    }

    fn take(&self, which: impl Fn(&Arc<Donor>) -> bool) -> Vec<Arc<Donor>> {
        let mut all = self.lock();
        let (gone, left) = std::mem::take(&mut *all).into_iter().partition(which);
        *all = left;
        gone
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Donor>>> {
        self.all.lock().unpoisoned()
    }
}

fn delete(donors: &[Arc<Donor>]) {
    for donor in donors {
        donor.tree.close();
        let Some(Place { dir, path, names, norm, lock, .. }) = &donor.own else { continue };
        // Deleting takes the lock itself.
        drop(lock.lock().unpoisoned().take());
        if let Err(error) = remove_slot(dir, path, names, norm) {
            tracing::warn!(%error, part = names.part, "an old part stays");
        }
    }
}
