//! What is to be written into the library and is not on disk yet: rows by table and key, so that a later
//! value of a key takes the place of an earlier one. Pure; [`super::store::Library`] writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of rows that are kept while the disk takes nothing: the hashes of 2 TB of shares (a million
/// chunks of 32 bytes each), or some hundred thousand wishes for downloads. One group of rows may be
/// larger (a manifest alone may have 256 MiB): it is kept if nothing else waits.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// What a row costs beside its key and value: its place in the map, and its number.
const ROW_COST: usize = 96;

/// A table of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Settings,
    Shares,
    ShareFiles,
    Downloads,
    Doomed,
    /// Named by what it holds, as the trees: a value never changes.
    Manifests,
    Trees,
}

/// A row as it is to be: `None` is removed.
pub(super) type Value = Option<Arc<[u8]>>;

/// One row to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) table: Table,
    pub(super) key: Box<[u8]>,
    pub(super) value: Value,
}

impl Change {
    pub(super) fn put(table: Table, key: &[u8], value: &[u8]) -> Self {
        Self { table, key: key.into(), value: Some(value.into()) }
    }

    pub(super) fn remove(table: Table, key: &[u8]) -> Self {
        Self { table, key: key.into(), value: None }
    }
}

/// More waits than is kept: the changes that found no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch(pub(super) Vec<Change>);

/// See the module.
#[derive(Debug)]
pub(super) struct Pending {
    rows: BTreeMap<(Table, Box<[u8]>), Row>,
    /// What all rows cost.
    bytes: usize,
    /// What those cost that remove.
    removing: usize,
    /// Number of the newest change.
    newest: u64,
    /// Most bytes of several groups.
    limit: usize,
}

impl Default for Pending {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), bytes: 0, removing: 0, newest: 0, limit: MAX_BYTES }
    }
}

#[derive(Debug)]
struct Row {
    number: u64,
    value: Value,
}

impl Row {
    fn cost(&self, key: &[u8]) -> usize {
        cost(key, &self.value)
    }
}

fn cost(key: &[u8], value: &Value) -> usize {
    ROW_COST + key.len() + value.as_ref().map_or(0, |value| value.len())
}

/// Changes to be written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    /// All changes up to this number are among them, or are written already.
    pub(super) upto: u64,
}

impl Pending {
    /// From now on keeps about so many bytes.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Adds changes that belong together, all or none; returns the number of the last. However large a
    /// group is, it is let in when nothing else waits. What only removes has room of its own, as much
    /// again: a request that is taken back must not come true because the disk was full.
    pub(super) fn add(&mut self, changes: Vec<Change>) -> Result<u64, TooMuch> {
        let more: usize = changes.iter().map(|change| cost(&change.key, &change.value)).sum();
        let adds = changes.iter().any(|change| change.value.is_some());
        let waiting = if adds { self.bytes } else { self.removing };
        if waiting > 0 && waiting.saturating_add(more) > self.limit {
            return Err(TooMuch(changes));
        }
        for Change { table, key, value } in changes {
            self.newest += 1;
            let at = (table, key);
            let row = Row { number: self.newest, value };
            self.count(&at.1, &row);
            if let Some(old) = self.rows.insert(at.clone(), row) {
                self.discount(&at.1, &old);
            }
        }
        Ok(self.newest)
    }

    fn count(&mut self, key: &[u8], row: &Row) {
        let cost = row.cost(key);
        self.bytes = self.bytes.saturating_add(cost);
        if row.value.is_none() {
            self.removing = self.removing.saturating_add(cost);
        }
    }

    fn discount(&mut self, key: &[u8], row: &Row) {
        let cost = row.cost(key);
        self.bytes = self.bytes.saturating_sub(cost);
        if row.value.is_none() {
            self.removing = self.removing.saturating_sub(cost);
        }
    }

    /// What a row is to be, if it is to be changed.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Value> {
        self.rows.get(&(table, key.into())).map(|row| row.value.clone())
    }

    /// Number of the newest change.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows that wait.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Everything there is to write now.
    pub(super) fn batch(&self) -> Batch {
        let changes = self.rows.iter().map(|((table, key), row)| Change {
            table: *table,
            key: key.clone(),
            value: row.value.clone(),
        });
        Batch { changes: changes.collect(), upto: self.newest }
    }

    /// A batch is on disk; rows that were changed again since go on waiting.
    pub(super) fn written(&mut self, upto: u64) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|(_, key), row| {
            let waits = row.number > upto;
            if !waits {
                self.discount(key, row);
            }
            waits
        });
        self.rows = rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: u8, value: &[u8]) -> Change {
        Change::put(Table::Downloads, &[key], value)
    }

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one_and_is_not_lost_with_it() {
        let mut pending = Pending::default();
        pending.add(vec![put(1, b"a"), put(2, b"b")]).unwrap();
        let batch = pending.batch();
        assert_eq!((batch.changes.len(), batch.upto), (2, 2));
        pending.add(vec![Change::remove(Table::Downloads, &[1])]).unwrap();
        assert_eq!(pending.len(), 2);
        pending.written(batch.upto);
        assert_eq!(pending.get(Table::Downloads, &[1]), Some(None));
        assert_eq!(pending.get(Table::Downloads, &[2]), None);
        assert_eq!(pending.batch().changes, [Change::remove(Table::Downloads, &[1])]);
        pending.written(3);
        assert_eq!((pending.is_empty(), pending.bytes), (true, 0));
    }

    #[test]
    fn what_waits_is_bounded_and_removals_have_room_beyond_that() {
        let mut pending = Pending::default();
        let large = vec![0; MAX_BYTES / 2];
        pending.add(vec![put(1, &large)]).unwrap();
        let more = vec![put(2, &large)];
        assert_eq!(pending.add(more.clone()), Err(TooMuch(more)));
        assert_eq!(pending.get(Table::Downloads, &[2]), None);
        pending.add(vec![put(2, &large[..large.len() - 1000])]).unwrap();
        assert!(pending.add(vec![put(3, &[0; 2000])]).is_err());
        pending.add(vec![Change::remove(Table::Downloads, &[1])]).unwrap();
        pending.add(vec![put(3, &[0; 2000])]).unwrap();
    }

    #[test]
    fn b9_a_group_above_the_limit_is_kept_alone_and_leaves_removals_their_room() {
        let mut pending = Pending::default();
        pending.keep(1000);
        let large = [0; 5000];
        pending.add(vec![put(1, &large), put(2, &large)]).unwrap();
        assert!(pending.add(vec![put(3, b"")]).is_err(), "something waits");
        for n in 1..=8 {
            pending.add(vec![Change::remove(Table::Shares, &[n])]).unwrap();
        }
        let mut more = (9..=20).map(|n| pending.add(vec![Change::remove(Table::Shares, &[n])]));
        assert!(more.any(|added| added.is_err()), "removals are bounded too");
        pending.written(pending.newest());
        assert_eq!((pending.is_empty(), pending.bytes, pending.removing), (true, 0, 0));
        pending.add(vec![put(3, &large)]).unwrap();
    }
}
