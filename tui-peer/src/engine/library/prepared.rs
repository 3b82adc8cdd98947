//! Content on our disk, ready to be shared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::content::{Descriptor, Kind};
use common::id::ContentId;
use common::layout::Layout;
use common::manifest::Manifest;
use common::merkle::ChunkHashes;

use super::record::ShareRecord;
use super::stat::Stat;

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
    /// The same as it is sent.
    pub manifest_bytes: Option<Arc<[u8]>>,
    /// Where a folder's files lie, as components below `path`, in manifest order.
    pub rel: Option<Arc<Vec<Vec<String>>>>,
    /// Every file as it was when hashed, in manifest order.
    pub stats: Arc<Vec<Stat>>,
    /// Chunk hashes of every file, in manifest order, all known.
    pub hashes: Vec<ChunkHashes>,
    /// When the files were looked at before hashing, milliseconds since 1970.
    pub hashed_at: u64,
}

impl Prepared {
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
            Some(rel) => rel.get(file).map(|parts| join(&self.path, parts)),
        }
    }
}

/// `root` with `parts` below it.
pub(super) fn join(root: &Path, parts: &[String]) -> PathBuf {
    let mut path = root.to_path_buf();
    path.extend(parts);
    path
}
