//! The tables of the library's file.

use common::id::{Hash, ID_LEN};
use redb::TableDefinition;

pub(super) const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
pub(super) const SETTINGS: TableDefinition<'_, &str, &str> = TableDefinition::new("settings");
/// Path → record without its files.
pub(super) const SHARES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("shares");
/// Path → stats and relative paths.
pub(super) const SHARE_FILES: TableDefinition<'_, &[u8], &[u8]> =
    TableDefinition::new("share_files");
pub(super) const DOWNLOADS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> =
    TableDefinition::new("downloads");
/// Downloads that were removed together with their data, as long as that is not deleted.
pub(super) const DOOMED: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("doomed");
pub(super) const MANIFESTS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> =
    TableDefinition::new("manifests");
/// Root and tree level → chunk hashes, 32 bytes each.
pub(super) const TREES: TableDefinition<'_, &TreeKey, &[u8]> = TableDefinition::new("trees");

/// 1 once something was removed or replaced since the last collection.
pub(super) const GARBAGE_KEY: &str = "garbage";

/// Root and level of a list of chunk hashes.
pub(super) type TreeKey = [u8; ID_LEN + 1];

pub(super) fn tree_key(root: Hash, level: u8) -> TreeKey {
    let mut key = [level; ID_LEN + 1];
    if let Some(head) = key.first_chunk_mut::<ID_LEN>() {
        *head = *root.as_bytes();
    }
    key
}
