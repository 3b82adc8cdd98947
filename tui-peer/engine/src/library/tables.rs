//! The tables of the library's file, and how rows come into them.

use std::collections::BTreeMap;

use common::id::{Hash, ID_LEN};
use redb::{
    Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle as _,
    WriteTransaction,
};

use super::pending::{Change, Table};
use super::redb_error::Failure;

/// Format of the tables and of the records in them.
pub(super) const SCHEMA: u32 = 1;

/// Names of all of them but [`META`], which says whether there are any.
const TABLES: [&str; 7] =
    ["settings", "shares", "share_files", "downloads", "doomed", "manifests", "trees"];

pub(super) const SCHEMA_KEY: &str = "schema";

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
pub(super) const TOMBSTONES: TableDefinition<'_, &[u8; ID_LEN], &[u8]> =
    TableDefinition::new("doomed");
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

/// Gives a database its tables, if it has not all of them; leaves those of other versions alone.
pub(super) fn prepare_tables(db: &Database) -> Result<(), Failure> {
    let txn = db.begin_read()?;
    let found = match txn.open_table(META) {
        Ok(meta) => meta.get(SCHEMA_KEY)?.map(|version| version.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    // A start on a full disk writes nothing that is there already.
    let names: Vec<String> = txn.list_tables()?.map(|table| table.name().to_owned()).collect();
    let complete = TABLES.iter().all(|name| names.iter().any(|there| there == name));
    if found.is_some_and(|found| found != SCHEMA || complete) {
        return Ok(());
    }
    drop(txn);
    let txn = db.begin_write()?;
    txn.open_table(META)?.insert(SCHEMA_KEY, SCHEMA)?;
    txn.open_table(SETTINGS)?;
    txn.open_table(SHARES)?;
    txn.open_table(SHARE_FILES)?;
    txn.open_table(DOWNLOADS)?;
    txn.open_table(TOMBSTONES)?;
    txn.open_table(MANIFESTS)?;
    txn.open_table(TREES)?;
    txn.commit()?;
    Ok(())
}

/// Makes rows what they are to be.
pub(super) fn apply(txn: &WriteTransaction, changes: &[Change]) -> Result<(), Failure> {
    let mut by_table: BTreeMap<Table, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        by_table.entry(change.table).or_default().push(change);
    }
    let mut garbage = false;
    for (table, changes) in by_table {
        match table {
            Table::Settings => settings(txn, &changes)?,
            Table::Shares => garbage |= paths(txn, SHARES, &changes)?,
            Table::ShareFiles => {
                paths(txn, SHARE_FILES, &changes)?;
            }
            Table::Downloads => garbage |= ids(txn, DOWNLOADS, &changes)?,
            Table::Doomed => {
                ids(txn, TOMBSTONES, &changes)?;
            }
            Table::Manifests => new_only(txn, MANIFESTS, &changes)?,
            Table::Trees => new_only(txn, TREES, &changes)?,
        }
    }
    if garbage { note_garbage(txn) } else { Ok(()) }
}

fn settings(txn: &WriteTransaction, changes: &[&Change]) -> Result<(), Failure> {
    let mut table = txn.open_table(SETTINGS)?;
    for Change { key, value, .. } in changes {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|error| Failure::bad(&error));
        match value {
            Some(value) => table.insert(text(key)?, text(value)?)?,
            None => table.remove(text(key)?)?,
        };
    }
    Ok(())
}

/// Says whether anything was replaced or removed, or is not to be there: what belonged to it may have been
/// written before it was.
fn paths(
    txn: &WriteTransaction,
    table: TableDefinition<'_, &'static [u8], &'static [u8]>,
    changes: &[&Change],
) -> Result<bool, Failure> {
    let mut table = txn.open_table(table)?;
    let mut replaced = false;
    for Change { key, value, .. } in changes {
        let old = match value {
            Some(value) => table.insert(&**key, &**value)?,
            None => table.remove(&**key)?,
        };
        replaced |= old.is_some() || value.is_none();
    }
    Ok(replaced)
}

/// Says whether anything is not to be there.
fn ids(
    txn: &WriteTransaction,
    table: TableDefinition<'_, &'static [u8; ID_LEN], &'static [u8]>,
    changes: &[&Change],
) -> Result<bool, Failure> {
    let mut table = txn.open_table(table)?;
    let mut removed = false;
    for Change { key, value, .. } in changes {
        let id = <&[u8; ID_LEN]>::try_from(&**key).map_err(|_| Failure::bad("not an id"))?;
        match value {
            Some(value) => {
                table.insert(id, &**value)?;
            }
            None => {
                table.remove(id)?;
                removed = true;
            }
        }
    }
    Ok(removed)
}

/// Values are named by their hash: what is there already is the same, unless it was damaged.
fn new_only<const N: usize>(
    txn: &WriteTransaction,
    table: TableDefinition<'_, &'static [u8; N], &'static [u8]>,
    changes: &[&Change],
) -> Result<(), Failure> {
    let mut table = txn.open_table(table)?;
    for Change { key, value, .. } in changes {
        let key = <&[u8; N]>::try_from(&**key).map_err(|_| Failure::bad("not a hash"))?;
        let Some(value) = value else { continue };
        let known = table.get(key)?.is_some_and(|there| *there.value() == **value);
        if !known {
            table.insert(key, &**value)?;
        }
    }
    Ok(())
}

fn note_garbage(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.open_table(META)?.insert(GARBAGE_KEY, 1)?;
    Ok(())
}
