//! Where else bytes of a download may lie: parts that others can write to, parts that it left in another
//! folder, files that were there before. They are read, compared, and what is right of them is copied.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::chunk_set::ChunkSet;

use super::claim::{Claim, Norm};
use super::discard::remove_slot;
use super::error::DiskError;
use super::names::Names;
use super::open::{HashRun, Opening};
use super::partial::{Partial, PartialSpec};
use super::slots::Slots;
use super::sys::{self, Hook};
use super::tree::FileTree;

/// Where bytes of a download may lie besides its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// A folder where it was before: a part of ours there is taken over, and deleted when all of it is
    /// here.
    Before(PathBuf),
    /// A file or folder of the user's, of the right shape: only read.
    Lies(PathBuf),
    /// The same, and all of it is right as far as is known: what can be shares its blocks.
    Whole(PathBuf),
}

/// One of them.
pub(super) struct Donor {
    pub(super) tree: FileTree,
    /// Chunks that it may hold.
    pub(super) chunks: ChunkSet,
    /// Ours to delete when it is of no use any more: where it is.
    own: Option<Place>,
}

/// A part of ours.
struct Place {
    dir: Arc<OwnedFd>,
    path: PathBuf,
    names: Names,
    norm: Norm,
    /// From another folder: it goes as soon as all of it was taken over, not only at the end.
    moved: bool,
    /// Keeps others from writing to it.
    lock: Mutex<Option<File>>,
}

impl Donor {
    /// A part in the folder of the download itself; `own` if we made it.
    pub(super) fn beside(
        tree: FileTree,
        chunks: ChunkSet,
        own: Option<(Arc<OwnedFd>, &Path, Names, Norm)>,
    ) -> Self {
        let own = own.map(|(dir, path, names, norm)| Place {
            dir,
            path: path.to_path_buf(),
            names,
            norm,
            moved: false,
            lock: Mutex::default(),
        });
        Self { tree, chunks, own }
    }
}

/// What was found elsewhere.
#[derive(Default)]
pub(super) struct FoundElsewhere {
    pub(super) donors: Vec<Donor>,
    /// Proven hashes of its chunks.
    pub(super) hashes: Vec<HashRun>,
    /// In a folder where some of it was before there is nothing of it now: its disk may be away for the moment.
    pub(super) missed: bool,
}

/// Looks for what there is of a download elsewhere.
///
/// # Errors
/// [`DiskError::InUse`] while it is open there; what cannot be read holds nothing.
pub(super) fn find(
    spec: &PartialSpec,
    hook: &dyn Hook,
    places: &[Elsewhere],
) -> Result<FoundElsewhere, DiskError> {
    let mut found = FoundElsewhere::default();
    for place in places {
        match place {
            Elsewhere::Lies(path) | Elsewhere::Whole(path) => {
                let tree = FileTree::new(spec.layout.clone(), path.clone(), spec.rel.clone());
                let chunks = ChunkSet::full(spec.layout.chunks());
                found.donors.push(Donor { tree, chunks, own: None });
            }
            Elsewhere::Before(dir) => {
                let known = found.donors.len();
                match before(spec, hook, dir, &mut found) {
                    Err(error @ DiskError::InUse { .. }) => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, "what was fetched there is not taken over yet");
                    }
                    Ok(()) => {}
                }
                found.missed |= found.donors.len() == known;
            }
        }
    }
    Ok(found)
}

/// A part of ours that it left in another folder.
fn before(
    spec: &PartialSpec,
    hook: &dyn Hook,
    path: &Path,
    found: &mut FoundElsewhere,
) -> Result<(), DiskError> {
    let error = |error| DiskError::sort("look at", path, 0, error);
    let dir = match sys::open_root_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => Arc::new(opened.map_err(error)?),
    };
    let names = Names::all(&spec.name, &spec.id)?;
    let slots = Slots::look(&dir, path, names, Some(spec.rel.is_some()))?;
    let spec = PartialSpec { dir: path.to_path_buf(), ..spec.clone() };
    let opening = Opening { spec: &spec, dir: &dir, hook, whole: None };
    for slot in slots.all() {
        let Some((Claim::Ours, part)) = slot.part else { continue };
        let tree = opening.tree(&slot.names);
        let told = match slot.state {
            Some((Claim::Ours, _)) => match opening.read(slot, &slots.norm)? {
                Some(told) => Some(told),
                // Another download's.
                None => continue,
            },
            _ => None,
        };
        let none = ChunkSet::empty(spec.layout.chunks());
        let (mut chunks, lock) = match told.and_then(|told| told.vouched(&part)) {
            Some((chunks, hashes, lock)) => {
                found.hashes.extend(hashes);
                (chunks, lock)
            }
            None => (none.clone(), None),
        };
        if chunks.is_empty() {
            chunks = tree.data_chunks(&none);
        }
        let own = Place {
            dir: dir.clone(),
            path: path.to_path_buf(),
            names: slot.names.clone(),
            norm: slots.norm,
            moved: true,
            lock: Mutex::new(lock),
        };
        found.donors.push(Donor { tree, chunks, own: Some(own) });
    }
    Ok(())
}

impl Partial {
    /// Whether chunks of it are still in another folder, or may be.
    pub fn comes_from_elsewhere(&self) -> bool {
        let moved = |donor: &Arc<Donor>| donor.own.as_ref().is_some_and(|own| own.moved);
        self.missed || self.donors().iter().any(moved)
    }

    /// Deletes those parts in other folders all of whose chunks are durable here, or were found wrong.
    pub fn leave_donors(&self) {
        let settled = {
            let state = self.state();
            let mut settled = state.durable.clone();
            settled.union_with(&state.refuted);
            settled
        };
        let done = |donor: &Arc<Donor>| {
            let moved = donor.own.as_ref().is_some_and(|own| own.moved);
            moved && donor.chunks.iter().all(|chunk| settled.contains(chunk))
        };
        let gone = self.take_donors(done);
        delete(&gone);
    }

    /// Deletes those parts of ours that only served to be copied from.
    pub(super) fn forget_donors(&self) {
        let gone = self.take_donors(|_| true);
        delete(&gone);
    }

    /// Those that may hold a chunk. Nobody waits for the disk to get them.
    pub(super) fn donors_of(&self, chunk: u32) -> Vec<Arc<Donor>> {
        self.donors().iter().filter(|donor| donor.chunks.contains(chunk)).cloned().collect()
    }

    fn take_donors(&self, which: impl Fn(&Arc<Donor>) -> bool) -> Vec<Arc<Donor>> {
        let mut all = self.donors();
        let (gone, left) = std::mem::take(&mut *all).into_iter().partition(which);
        *all = left;
        gone
    }

    /// Held only for a moment: the session's task takes it too.
    fn donors(&self) -> MutexGuard<'_, Vec<Arc<Donor>>> {
        self.donors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delete(donors: &[Arc<Donor>]) {
    for donor in donors {
        donor.tree.close();
        let Some(Place { dir, path, names, norm, lock, .. }) = &donor.own else { continue };
        // Deleting takes the lock itself.
        drop(lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Err(error) = remove_slot(dir, path, names, norm) {
            tracing::warn!(%error, part = names.part, "an old part stays");
        }
    }
}
