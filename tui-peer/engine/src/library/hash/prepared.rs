//! Content on our disk, ready to be shared.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::ContentId;
use common::layout::Layout;
use common::manifest::Manifest;
use common::merkle::ChunkHashes;
use common::names::{PathList, components};

use crate::library::error::ShareError;
use crate::library::record::ShareRecord;
use crate::library::stat::{Stat, now_ms};

/// All that is needed to serve a file or folder: what it is, where its bytes lie, and their hashes.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Absolute path of the file or folder.
    pub path: PathBuf,
    /// Name in the catalogue.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// The descriptor's id.
    pub id: ContentId,
    /// Its chunks.
    pub layout: Arc<Layout>,
    /// What the folder contains.
    pub manifest: Option<Arc<Manifest>>,
    /// Where a folder's files lie below `path`, in manifest order.
    pub rel: Option<Arc<PathList>>,
    /// Every file as it was when hashed, in manifest order; [`Stat::ABSENT`] for files of a downloaded
    /// folder that were not chosen.
    pub stats: Arc<Vec<Stat>>,
    /// Chunk hashes of every file, in manifest order; all known except those of absent files.
    pub hashes: Vec<ChunkHashes>,
    /// When the files were looked at before hashing, milliseconds since 1970.
    pub hashed_at: u64,
}

impl Prepared {
    /// A finished download, whose chunks were all verified before they were written: what lies at
    /// `path` now. Files that are not there count as not chosen.
    ///
    /// `folder` holds, for a folder, its manifest, the manifest's bytes, and where each file lies.
    ///
    /// # Errors
    /// [`ShareError::NotFound`] when there is nothing at `path`, [`ShareError::Changed`] when a file has
    /// another size than it should, [`ShareError::TooLarge`] for a descriptor that is not sane.
    pub fn downloaded(
        path: PathBuf,
        name: String,
        descriptor: Descriptor,
        folder: Option<FolderParts>,
        hashes: Vec<ChunkHashes>,
    ) -> Result<Self, ShareError> {
        let hashed_at = now_ms();
        if !path.exists() {
            return Err(ShareError::NotFound(path));
        }
        let layout = match &folder {
            Some(parts) => Arc::clone(parts.manifest.layout()),
            None => Arc::new(
                Layout::for_file(descriptor.size)
                    .map_err(|source| ShareError::TooLarge { path: path.clone(), source })?,
            ),
        };
        let mut stats = Vec::with_capacity(layout.files());
        for file in 0..layout.files() {
            let at = match &folder {
                Some(parts) => join(&path, components(parts.rel.get(file).unwrap_or_default())),
                None => path.clone(),
            };
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_file() && layout.file_size(file) == Some(meta.len()) => {
                    stats.push(Stat::of(&meta));
                }
                Err(_) if folder.is_some() => stats.push(Stat::ABSENT),
                _ => return Err(ShareError::Changed { path: at }),
            }
        }
        let (manifest, rel) = folder.map(|FolderParts { manifest, rel }| (manifest, rel)).unzip();
        Ok(Self {
            path,
            name,
            kind: descriptor.kind,
            descriptor,
            id: descriptor.id(),
            layout,
            manifest,
            rel,
            stats: Arc::new(stats),
            hashes,
            hashed_at,
        })
    }

    /// The chunks that are here: all, but for files that were not chosen.
    pub fn have(&self) -> ChunkSet {
        let chunks = self.layout.chunks();
        if !self.stats.contains(&Stat::ABSENT) {
            return ChunkSet::full(chunks);
        }
        let mut have = ChunkSet::empty(chunks);
        for (file, stat) in self.stats.iter().enumerate() {
            if let Some(range) = self.layout.file_chunks(file)
                && *stat != Stat::ABSENT
            {
                have.insert_run(range.start, range.end - range.start);
            }
        }
        have
    }

    /// What to remember of it. `downloaded`: this program wrote the files itself.
    pub fn record(&self, downloaded: bool) -> ShareRecord {
        ShareRecord {
            path: self.path.clone(),
            name: self.name.clone(),
            id: self.id,
            descriptor: self.descriptor,
            total: self.layout.total(),
            chunks: self.layout.chunks(),
            files: Arc::clone(&self.stats),
            rel: self.rel.clone(),
            hashed_at: self.hashed_at,
            downloaded,
        }
    }

    /// Absolute path of file `file` in manifest order, if there is one.
    pub fn file_path(&self, file: usize) -> Option<PathBuf> {
        match &self.rel {
            None => (file == 0).then(|| self.path.clone()),
            Some(rel) => rel.get(file).map(|below| join(&self.path, components(below))),
        }
    }
}

/// What only a downloaded folder has.
#[derive(Debug, Clone)]
pub struct FolderParts {
    /// What it contains.
    pub manifest: Arc<Manifest>,
    /// Where every file lies below the folder, in manifest order (as a rule
    /// [`Manifest::disk_paths`]).
    pub rel: Arc<PathList>,
}

/// `root` with `parts` below it.
pub(in crate::library) fn join<P: AsRef<Path>>(
    root: &Path,
    parts: impl IntoIterator<Item = P>,
) -> PathBuf {
    let mut path = root.to_path_buf();
    path.extend(parts);
    path
}
