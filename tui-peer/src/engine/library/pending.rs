//! What is to be written into the library and is not on disk yet: rows by table and key, so that a later
//! value of a key takes the place of an earlier one. Pure; [`super::store::Library`] writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of rows that are kept while the disk takes nothing: the hashes of 2 TB of shares (a million
/// chunks of 32 bytes each), or some hundred thousand wishes for downloads.
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

/// More waits than is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: BTreeMap<(Table, Box<[u8]>), Row>,
    bytes: usize,
    /// Number of the newest change.
    newest: u64,
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
    /// Adds changes that belong together, all or none; returns the number of the last. What removes is
    /// let in for twice as long as what adds: a wish that is taken back must not come true because the
    /// disk was full.
    pub(super) fn add(&mut self, changes: Vec<Change>) -> Result<u64, TooMuch> {
        let more: usize = changes.iter().map(|change| cost(&change.key, &change.value)).sum();
        let adds = changes.iter().any(|change| change.value.is_some());
        let limit = if adds { MAX_BYTES } else { 2 * MAX_BYTES };
        if self.bytes.saturating_add(more) > limit {
            return Err(TooMuch);
        }
        for Change { table, key, value } in changes {
            self.newest += 1;
            self.bytes += cost(&key, &value);
            let row = Row { number: self.newest, value };
            let at = (table, key);
            let old_cost = self.rows.get(&at).map_or(0, |old| old.cost(&at.1));
            self.bytes = self.bytes.saturating_sub(old_cost);
            self.rows.insert(at, row);
        }
        Ok(self.newest)
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
        let Self { rows, bytes, .. } = self;
        rows.retain(|(_, key), row| {
            let waits = row.number > upto;
            if !waits {
                *bytes = bytes.saturating_sub(row.cost(key));
            }
            waits
        });
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
        assert_eq!(pending.add(vec![put(2, &large)]), Err(TooMuch));
        assert_eq!(pending.get(Table::Downloads, &[2]), None);
        pending.add(vec![put(2, &large[..large.len() - 1000])]).unwrap();
        assert_eq!(pending.add(vec![put(3, &[0; 2000])]), Err(TooMuch));
        pending.add(vec![Change::remove(Table::Downloads, &[1])]).unwrap();
        pending.add(vec![put(3, &[0; 2000])]).unwrap();
    }
}
