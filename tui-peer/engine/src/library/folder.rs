//! Between a scanned folder and its manifest.

use std::sync::Arc;

use common::content::Descriptor;
use common::hash::sha256;
use common::manifest::{Entry, EntryKind, Manifest};
use common::merkle::ChunkHashes;

use super::scan::Scan;

/// Name and times are kept out of manifests: the same files under another name, or copied at another
/// time, are the same content and one swarm. The catalogue carries the real name.
const MANIFEST_NAME: &str = "folder";
const MANIFEST_MTIME: i64 = 0;

/// A folder described.
pub(super) struct Described {
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Arc<Manifest>,
}

/// Makes the manifest of a folder whose files have these hashes.
pub(super) fn describe(scan: &Scan, hashes: &[ChunkHashes]) -> Result<Described, String> {
    let files = scan.files.iter().zip(hashes).map(|(file, hashes)| Entry {
        path: file.rel.clone(),
        kind: EntryKind::File,
        size: file.stat.size,
        root: hashes.root(),
        exec: file.exec,
        mtime: MANIFEST_MTIME,
    });
    let nothing = sha256(b"");
    let dirs = scan.empty_dirs.iter().map(|path| Entry {
        path: path.clone(),
        kind: EntryKind::Dir,
        size: 0,
        root: nothing,
        exec: false,
        mtime: MANIFEST_MTIME,
    });
    let manifest = Manifest::build(MANIFEST_NAME, files.chain(dirs).collect())
        .map_err(|error| error.to_string())?;
    // Chunk numbers must be the same in both.
    if manifest.layout() != &scan.layout {
        return Err("its files are not in order".to_owned());
    }
    let descriptor = Manifest::descriptor_of(manifest.bytes());
    if !descriptor.is_sane() {
        return Err(format!("its list of files is {} bytes long", descriptor.size));
    }
    Ok(Described { descriptor, manifest: Arc::new(manifest) })
}
