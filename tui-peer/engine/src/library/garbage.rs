//! Hashes and manifests that nobody needs any more.

use std::collections::HashSet;

use common::content::Kind;
use common::id::{ContentId, Hash};
use common::layout::Layout;
use common::manifest::Manifest;
use redb::{ReadableTable, WriteTransaction};

use super::record::{DownloadRecord, ShareRecord};
use super::redb_error::Failure;
use super::tables::{DOWNLOADS, GARBAGE_KEY, MANIFESTS, META, SHARES, TREES, TreeKey, tree_key};

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Lists of chunk hashes.
    pub trees: u64,
    /// Manifests.
    pub manifests: u64,
}

/// Marks what shares and downloads need, and removes the rest.
pub(super) fn collect(txn: &WriteTransaction) -> Result<Collected, Failure> {
    let mut contents = HashSet::new();
    let mut needed: HashSet<TreeKey> = HashSet::new();
    let mut file = |size: u64, root: Hash| {
        if let Ok(layout) = Layout::for_file(size) {
            needed.insert(tree_key(root, layout.chunk_level()));
        }
    };
    for row in txn.open_table(SHARES)?.iter()? {
        let (_, head) = row?;
        let descriptor =
            ShareRecord::descriptor_in(head.value()).map_err(|error| Failure::bad(&error))?;
        contents.insert(descriptor.id());
        if descriptor.kind == Kind::File {
            file(descriptor.size, descriptor.root);
        }
    }
    for row in txn.open_table(DOWNLOADS)?.iter()? {
        let (key, bytes) = row?;
        let id = ContentId::from_bytes(*key.value());
        contents.insert(id);
        let record =
            DownloadRecord::decode(id, bytes.value()).map_err(|error| Failure::bad(&error))?;
        if let Some(descriptor) = record.descriptor.filter(|d| d.kind == Kind::File) {
            file(descriptor.size, descriptor.root);
        }
    }
    let mut collected = Collected::default();
    let mut manifests = txn.open_table(MANIFESTS)?;
    for id in &contents {
        if let Some(bytes) = manifests.get(id.as_bytes())?
            && let Ok(manifest) = Manifest::parse(bytes.value().to_vec())
        {
            let level = manifest.layout().chunk_level();
            needed.extend(manifest.files().map(|entry| tree_key(entry.root, level)));
        }
    }
    manifests.retain(|id, _| {
        let keep = contents.contains(&ContentId::from_bytes(*id));
        collected.manifests += u64::from(!keep);
        keep
    })?;
    txn.open_table(TREES)?.retain(|key, _| {
        let keep = needed.contains(key);
        collected.trees += u64::from(!keep);
        keep
    })?;
    txn.open_table(META)?.insert(GARBAGE_KEY, 0)?;
    Ok(collected)
}
