//! A copy of what is complete here, in another folder. Where the file system can do that it shares the blocks of the
//! original (`FICLONE`: btrfs, XFS, bcachefs and others), and takes no room; else they are read and written. Never a
//! hard link: who changes the one does not change the other. Whichever way it comes, every chunk of it is compared
//! with its hash before the copy gets its name.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::chunk_set::ChunkSet;
use common::id::Hash;
use common::merkle::ChunkHashes;
use common::names::top_component;
use common::numbers::saturate;

use super::elsewhere::Elsewhere;
use super::error::DiskError;
use super::file_tree::FileTree;
use super::part_file::finish::FinishPlan;
use super::part_file::partial::{Opened, Partial};
use super::relocate::holds_part;
use super::spec::PartialSpec;
use super::syscalls::{self, Access};
use super::verify::hash_of;

/// Bytes copied beyond which they are synced before more are: what is lost when the machine stops, and what the
/// system's memory is filled with.
const SYNC_BYTES: u64 = 256 * 1024 * 1024;

/// What to copy, and where to.
pub(crate) struct CopyPlan {
    /// The copy, as if it were to be downloaded.
    pub spec: PartialSpec,
    /// The file or folder that is here.
    pub source: PathBuf,
    /// Chunks of the files that are wanted.
    pub wanted: ChunkSet,
    /// Hashes of its chunks, by file.
    pub hashes: Vec<ChunkHashes>,
    /// What it should look like.
    pub finish: FinishPlan,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// Something else stands at its name.
    #[error("{} is there already, and it is something else or not all of it", .0.display())]
    Taken(PathBuf),
    /// What is to be copied is not what it was, or cannot be read.
    #[error("chunk {chunk} of {} cannot be read, or is not what it was when it was hashed", path.display())]
    Wrong {
        /// Where it lies.
        path: PathBuf,
        /// Which of its chunks.
        chunk: u32,
    },
    /// Nobody waits for it any more.
    #[error("it was given up")]
    Cancelled,
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A copy in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Where.
    pub path: PathBuf,
    /// Whether it was there before, and is right.
    pub was_there: bool,
}

impl CopyPlan {
    /// Where the copy will be.
    pub(crate) fn target(&self) -> PathBuf {
        self.spec.dir.join(top_component(&self.spec.name))
    }

    /// Makes the copy, adding up the bytes that are done; blocks. What it began is deleted when it fails.
    ///
    /// # Errors
    /// [`CopyError`]; nothing that was there before is touched.
    pub(crate) fn run(&self, done: &AtomicU64, cancel: &AtomicBool) -> Result<Copied, CopyError> {
        if cancel.load(Ordering::Relaxed) {
            return Err(CopyError::Cancelled);
        }
        let target = self.target();
        match target.symlink_metadata() {
            Ok(_) => return self.compare(target, done, cancel),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DiskError::sort("look at", &target, 0, error).into()),
        }
        let PartialSpec { dir, name, id, .. } = &self.spec;
        // What was there before is not ours to delete.
        let was_begun = holds_part(dir, name, id).unwrap_or(true);
        let places = [Elsewhere::Whole(self.source.clone())];
        let (partial, durable) = match Partial::open_from(self.spec.clone(), &places)? {
            Opened::Finished(path) => return self.compare(path, done, cancel),
            Opened::Going { partial, durable, .. } => (partial, durable),
        };
        let result = self.fill(&partial, &durable, done, cancel).and_then(|()| {
            let path = partial.finish(&self.finish)?;
            Ok(Copied { path, was_there: false })
        });
        if result.is_err()
            && !was_begun
            && let Err(error) = partial.delete()
        {
            tracing::warn!(%error, "what was copied so far stays");
        }
        result
    }

    /// Brings all chunks into the copy, or looks whether those that are `durable` in it are right.
    fn fill(
        &self,
        partial: &Partial,
        durable: &ChunkSet,
        done: &AtomicU64,
        cancel: &AtomicBool,
    ) -> Result<(), CopyError> {
        let layout = partial.layout().clone();
        let source = FileTree::new(layout.clone(), self.source.clone(), self.spec.rel.clone());
        let shared = partial.share_blocks(&source, &self.wanted, durable);
        partial.check_room(&self.wanted)?;
        for number in self.wanted.iter() {
            if cancel.load(Ordering::Relaxed) {
                return Err(CopyError::Cancelled);
            }
            let Some(place) = layout.chunk(number).map(|chunk| layout.place(chunk)) else {
                continue;
            };
            let hash = self.hash(place.file, place.chunk_in_file);
            let hash = hash.ok_or_else(|| self.wrong(number))?;
            // Where the blocks are shared, or a copy was begun before, it is there already and may be wrong.
            let right = match durable.contains(number) || shared.contains(&place.file) {
                true => partial.check(number, hash)?,
                false => partial.take_over(number, hash)?,
            };
            if !right {
                return Err(self.wrong(number));
            }
            if partial.unsynced() >= SYNC_BYTES {
                partial.sync().map_err(|error| error.error)?;
            }
            done.fetch_add(u64::from(place.len), Ordering::Relaxed);
        }
        Ok(())
    }

    /// What stands at its name already: perhaps an earlier copy.
    fn compare(
        &self,
        path: PathBuf,
        done: &AtomicU64,
        cancel: &AtomicBool,
    ) -> Result<Copied, CopyError> {
        let layout = &self.spec.layout;
        let tree = FileTree::new(layout.clone(), path.clone(), self.spec.rel.clone());
        if !self.has_files(&tree) {
            return Err(CopyError::Taken(path));
        }
        let mut bytes = Vec::new();
        for number in self.wanted.iter() {
            if cancel.load(Ordering::Relaxed) {
                return Err(CopyError::Cancelled);
            }
            let Some(place) = layout.chunk(number).map(|chunk| layout.place(chunk)) else {
                continue;
            };
            bytes.resize(place.len as usize, 0);
            let read = tree.read_at(place.file, place.offset, &mut bytes).is_ok();
            let only = layout.file_chunks(place.file).is_some_and(|chunks| chunks.len() == 1);
            let hash = hash_of(&[&bytes], layout.chunk_level(), only);
            if !read || self.hash(place.file, place.chunk_in_file) != Some(hash) {
                return Err(CopyError::Taken(path));
            }
            done.fetch_add(u64::from(place.len), Ordering::Relaxed);
        }
        Ok(Copied { path, was_there: true })
    }

    /// Whether all files that are wanted are there, each of the right length.
    fn has_files(&self, tree: &FileTree) -> bool {
        let layout = &self.spec.layout;
        let all = self.spec.rel.is_none() || self.wanted.is_complete();
        (0..layout.files()).all(|file| {
            let mut chunks = layout.file_chunks(file).unwrap_or(0..0);
            let wanted = all || chunks.any(|chunk| self.wanted.contains(chunk));
            let right = || {
                let seen = tree.open_uncached(file, Access::Read).and_then(syscalls::stat);
                seen.is_ok_and(|seen| layout.file_size(file) == Some(seen.size))
            };
            !wanted || right()
        })
    }

    fn hash(&self, file: usize, chunk_in_file: u32) -> Option<Hash> {
        self.hashes.get(file)?.get(chunk_in_file)
    }

    fn wrong(&self, chunk: u32) -> CopyError {
        CopyError::Wrong { path: self.source.clone(), chunk }
    }
}

impl Partial {
    /// Has those of its files of which some is wanted and nothing is `durable` share the blocks of the same files of
    /// `source`, where that can be; which do.
    fn share_blocks(
        &self,
        source: &FileTree,
        wanted: &ChunkSet,
        durable: &ChunkSet,
    ) -> BTreeSet<usize> {
        let layout = self.layout();
        let mut shared = BTreeSet::new();
        for file in 0..layout.files() {
            let chunks = layout.file_chunks(file).unwrap_or(0..0);
            if chunks.clone().all(|chunk| !wanted.contains(chunk))
                || chunks.clone().any(|chunk| durable.contains(chunk))
            {
                continue;
            }
            match self.share_file(source, file) {
                Ok(true) => _ = shared.insert(file),
                // Nor can it of the others.
                Ok(false) => break,
                Err(error) => tracing::debug!(%error, "copied instead"),
            }
        }
        shared
    }

    fn share_file(&self, source: &FileTree, file: usize) -> io::Result<bool> {
        let size = self.layout().file_size(file).unwrap_or(0);
        let from = source.open_uncached(file, Access::Read)?;
        let own = match self.rel() {
            None => self.own().map_err(io::Error::other)?,
            Some(_) => self.tree.open(file, Access::Write)?,
        };
        if !syscalls::share_blocks(&own, &from) {
            return Ok(false);
        }
        if syscalls::stat(&*own)?.size != size {
            own.set_len(size)?;
        }
        let number = saturate::<u32>(file);
        let mut state = self.state();
        state.ready.insert(number);
        state.reserved.insert(number);
        state.dirty.insert(file);
        state.created = true;
        Ok(true)
    }
}

/// Whether something that stands at the name of a copy may be it: a file of `size` bytes, or a folder. Blocks.
pub(crate) fn may_be(path: &Path, size: Option<u64>) -> bool {
    path.symlink_metadata().is_ok_and(|meta| match size {
        Some(size) => meta.is_file() && meta.len() == size,
        None => meta.is_dir(),
    })
}
