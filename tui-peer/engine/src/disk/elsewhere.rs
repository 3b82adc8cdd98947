//! Where else bytes of a download may lie: folders where it was before, files of the user's. What is found there
//! becomes donors.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::chunk_set::ChunkSet;

use super::claim::Claim;
use super::donors::{Donor, Place};
use super::error::DiskError;
use super::file_tree::FileTree;
use super::part_file::names::Names;
use super::part_file::open::Opening;
use super::part_file::slots::Slots;
use super::spec::{HashRun, PartialSpec};
use super::syscalls::{self, Hook};

/// Where bytes of a download may lie besides its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// A folder where it was before: a part of ours there is taken over, and deleted when all of it is
    /// here.
    Before(PathBuf),
    /// A file or folder of the user's, of the right shape: only read.
    Lies(PathBuf),
    /// The same, and all of it is right as far as is known: what can be shares its blocks.
    Whole(PathBuf),
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
                found.donors.push(Donor::new(tree, chunks, None));
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
    let dir = match syscalls::open_root_dir(path) {
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
        let place = Place {
            dir: dir.clone(),
            path: path.to_path_buf(),
            names: slot.names.clone(),
            norm: slots.norm,
            moved: true,
            lock: Mutex::new(lock),
        };
        found.donors.push(Donor::new(tree, chunks, Some(place)));
    }
    Ok(())
}
