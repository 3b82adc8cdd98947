//! The catalogue as the tracker tells it: pages first, then changes.

use std::collections::HashMap;
use std::sync::Arc;

use common::id::ContentId;
use common::names::show;
use common::wire::tracker::{FileMeta, FileRow};

use crate::engine::snapshot::{Catalogue, CatalogueRow};

/// Rows mirrored at most; a catalogue that is larger is cut (the title then says so).
const MAX_ROWS: usize = 1_000_000;

/// All rows by id.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    rows: HashMap<ContentId, (CatalogueRow, FileMeta)>,
    whole: bool,
    version: u64,
    dirty: bool,
    /// Ids seen while listing anew: what is not among them is gone.
    listing: Option<std::collections::HashSet<ContentId>>,
}

impl Mirror {
    /// A list from the start begins.
    pub(super) fn begin(&mut self) {
        self.whole = false;
        self.listing = Some(std::collections::HashSet::new());
    }

    /// The last page has come.
    pub(super) fn end(&mut self) {
        if let Some(seen) = self.listing.take() {
            self.rows.retain(|id, _| seen.contains(id));
        }
        self.whole = true;
        self.dirty = true;
    }

    pub(super) fn upsert(&mut self, row: FileRow) {
        let id = row.meta.descriptor.id();
        if let Some(seen) = &mut self.listing {
            seen.insert(id);
        }
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&id) {
            return;
        }
        let entry = CatalogueRow {
            id,
            name: show(&row.meta.name).into(),
            aliases: row.aliases.iter().map(|name| show(name).into()).collect(),
            kind: row.meta.descriptor.kind,
            size: row.meta.total,
            chunks: row.meta.chunks,
            sources: row.sources,
            complete: row.complete,
            first_seen: row.first_seen,
        };
        self.rows.insert(id, (entry, row.meta));
        self.dirty = true;
    }

    pub(super) fn remove(&mut self, id: &ContentId) {
        self.dirty |= self.rows.remove(id).is_some();
    }

    /// Whether [`take`](Self::take) has something new.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The catalogue, if it changed since the last time.
    pub(super) fn take(&mut self) -> Option<(Arc<Catalogue>, HashMap<ContentId, FileMeta>)> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        self.version += 1;
        let mut rows: Vec<(String, CatalogueRow)> =
            self.rows.values().map(|(row, _)| (row.name.to_lowercase(), row.clone())).collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        let metas = self.rows.iter().map(|(id, (_, meta))| (*id, meta.clone())).collect();
        Some((Arc::new(Catalogue { version: self.version, rows, whole: self.whole }), metas))
    }
}

#[cfg(test)]
mod tests {
    use common::content::{Descriptor, Kind};
    use common::id::Hash;

    use super::*;

    fn row(n: u8, name: &str) -> FileRow {
        let descriptor = Descriptor { kind: Kind::File, size: 1, root: Hash::from_bytes([n; 32]) };
        let meta = FileMeta { descriptor, name: name.into(), total: 1, chunks: 1 };
        FileRow { meta, aliases: vec![], sources: 1, complete: 1, first_seen: 0 }
    }

    #[test]
    fn rows_are_sorted_and_names_made_safe() {
        let mut mirror = Mirror::default();
        mirror.begin();
        mirror.upsert(row(1, "Zebra"));
        mirror.upsert(row(2, "apple\u{1b}[2J"));
        mirror.end();
        let (catalogue, metas) = mirror.take().unwrap();
        let names: Vec<_> = catalogue.rows.iter().map(|r| r.name.to_string()).collect();
        assert_eq!(names, ["apple\\u{1b}[2J", "Zebra"]);
        assert!(catalogue.whole);
        assert_eq!(metas.len(), 2);
        assert!(mirror.take().is_none(), "nothing new");
    }

    #[test]
    fn a_new_list_drops_what_is_gone() {
        let mut mirror = Mirror::default();
        mirror.begin();
        mirror.upsert(row(1, "a"));
        mirror.upsert(row(2, "b"));
        mirror.end();
        mirror.take();
        mirror.begin();
        mirror.upsert(row(2, "b"));
        mirror.end();
        let (catalogue, _) = mirror.take().unwrap();
        assert_eq!(catalogue.rows.len(), 1);
        mirror.remove(&row(2, "b").meta.descriptor.id());
        assert!(mirror.take().unwrap().0.rows.is_empty());
    }
}
