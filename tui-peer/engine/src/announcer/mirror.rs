//! The catalogue as the tracker tells it: pages first, then changes. It outlives connections, so that
//! a front end goes on showing what was last known.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::id::ContentId;
use common::names::show;
use common::numbers::saturate;
use common::wire::tracker::{Counts, FileMeta, FileRow};

use crate::api::snapshot::{Catalogue, CatalogueRow, OtherNames, Rows, raw_of};

/// Rows mirrored at most: at twice what one peer may share, the list is past what anybody reads, and
/// a tracker must not fill our memory. What comes later is left out.
const MAX_ROWS: usize = 200_000;
/// Bytes of names mirrored at most: long names and aliases must not make the rows large either.
const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;
/// Pages of one listing: far more than [`MAX_ROWS`] need even if every page is cut short by the
/// length of its frame. Ends a listing that never ends.
const MAX_PAGES: u32 = 20_000;
/// Catalogue snapshots at most this often …
const EVERY: Duration = Duration::from_millis(250);
/// … and this much less often per row: making one takes a copy of every row (measured: 0.15 µs each at
/// 200,000 rows), and should stay at a few per cent of a core however large the catalogue is.
const PER_ROW: Duration = Duration::from_micros(5);

/// What changed since the last time.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) catalogue: Arc<Catalogue>,
    /// Contents that are new or different, with their names as they were sent.
    pub(super) metas: Vec<FileMeta>,
    /// Contents that are gone.
    pub(super) gone: Vec<ContentId>,
}

/// A row in its place: sorted by its name in lower case, then by id.
#[derive(Debug, Clone)]
struct Placed {
    row: Arc<CatalogueRow>,
    /// Its name in lower case, where that is not its name.
    lower: Option<Box<str>>,
}

/// A row by its id, which is stored once.
#[derive(Debug)]
struct ById(Arc<CatalogueRow>);

/// All rows, and how far listing them has come.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    rows: BTreeSet<Placed>,
    /// By id, so that a row is found by the beginning of it.
    ids: BTreeSet<ById>,
    text_bytes: usize,
    whole: bool,
    /// Whether it was when it was last taken.
    taken_whole: bool,
    version: u64,
    dirty: bool,
    /// News since the last snapshot; `None` is a row that is gone.
    changed: HashMap<ContentId, Option<FileMeta>>,
    listing: Listing,
    /// Ids named while listing: what is not among them is gone.
    seen: HashSet<ContentId>,
    pages: u32,
    /// The list has to be read again after the present time.
    again: bool,
}

/// How far reading the list has come.
#[derive(Debug, Default, PartialEq, Eq)]
enum Listing {
    #[default]
    Idle,
    /// The page after this cursor is to be asked for.
    Next(Vec<u8>),
    /// It has been asked for.
    Asked(Vec<u8>),
}

impl Mirror {
    /// A new connection: all has to be listed again. Rows stay until the new list is whole.
    pub(super) fn connected(&mut self) {
        self.listing = Listing::Idle;
        self.again = false;
        self.begin();
    }

    /// The list has to be read from the start, because the tracker's log does not reach back far enough.
    pub(super) fn resync(&mut self) {
        match &self.listing {
            Listing::Next(cursor) if cursor.is_empty() => {}
            Listing::Idle => self.begin(),
            Listing::Next(_) | Listing::Asked(_) => self.again = true,
        }
    }

    fn begin(&mut self) {
        (self.whole, self.taken_whole) = (false, false);
        self.seen.clear();
        self.pages = 0;
        self.listing = Listing::Next(Vec::new());
    }

    /// The cursor of the page to ask for now.
    pub(super) fn ask_page(&mut self) -> Option<Vec<u8>> {
        let Listing::Next(cursor) = &mut self.listing else { return None };
        let cursor = std::mem::take(cursor);
        self.listing = Listing::Asked(cursor.clone());
        Some(cursor)
    }

    /// The page that was asked for.
    pub(super) fn page(&mut self, rows: Vec<FileRow>, cursor: Vec<u8>) {
        let Listing::Asked(asked) = &self.listing else { return };
        // A cursor that does not move would lead round in circles.
        let last = cursor.is_empty() || cursor == *asked || self.pages >= MAX_PAGES;
        self.pages += 1;
        for row in rows {
            self.upsert(row);
        }
        if !last && !self.is_full() {
            self.listing = Listing::Next(cursor);
            return;
        }
        self.listing = Listing::Idle;
        let ids = self.ids.iter().map(|known| known.0.id);
        let gone: Vec<_> = ids.filter(|id| !self.seen.contains(id)).collect();
        gone.iter().for_each(|id| self.remove(id));
        self.seen = HashSet::new();
        self.whole = true;
        self.dirty = true;
        if std::mem::take(&mut self.again) {
            self.begin();
        }
    }

    /// The page that was asked for did not come: it is asked for again, or (if the tracker does not like
    /// the cursor) the first one.
    pub(super) fn page_failed(&mut self, from_start: bool) {
        match &mut self.listing {
            Listing::Asked(cursor) if !from_start => {
                self.listing = Listing::Next(std::mem::take(cursor));
            }
            Listing::Asked(_) => self.begin(),
            _ => {}
        }
    }

    pub(super) fn upsert(&mut self, row: FileRow) {
        let id = row.meta.descriptor.id();
        let listing = self.listing != Listing::Idle;
        let known = self.ids.get(&id);
        if known.is_none() && self.is_full() {
            return;
        }
        if listing {
            self.seen.insert(id);
        }
        let shown = shown(&row);
        if known.is_some_and(|known| *known.0 == shown) {
            return;
        }
        self.take_out(&id);
        let placed = Placed::of(Arc::new(shown));
        self.text_bytes += placed.text_len();
        self.ids.insert(ById(placed.row.clone()));
        self.rows.insert(placed);
        self.changed.insert(id, Some(row.meta));
        self.dirty = true;
    }

    /// New numbers of a row. One that is not here is left alone: it is still to be listed, with its numbers as they
    /// are then, or there was no room for it. Two whose ids begin alike (nobody gets there by chance) keep theirs.
    pub(super) fn count(&mut self, counts: &Counts) {
        let (first, last) = counts.ids();
        let mut alike = self.ids.range::<ContentId, _>(first..=last);
        let (Some(ById(row)), None) = (alike.next(), alike.next()) else { return };
        if self.listing != Listing::Idle {
            self.seen.insert(row.id);
        }
        if (row.sources, row.complete) == (counts.sources, counts.complete) {
            return;
        }
        let (sources, complete) = (counts.sources, counts.complete);
        let mut placed = Placed::of(row.clone());
        placed.row = Arc::new(CatalogueRow { sources, complete, ..(**row).clone() });
        self.ids.replace(ById(placed.row.clone()));
        self.rows.replace(placed);
        self.dirty = true;
    }

    pub(super) fn remove(&mut self, id: &ContentId) {
        self.seen.remove(id);
        if self.take_out(id) {
            self.changed.insert(*id, None);
            self.dirty = true;
        }
    }

    fn take_out(&mut self, id: &ContentId) -> bool {
        let Some(ById(row)) = self.ids.take(id) else { return false };
        if let Some(placed) = self.rows.take(&Placed::of(row)) {
            self.text_bytes = self.text_bytes.saturating_sub(placed.text_len());
        }
        true
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.text_bytes >= MAX_TEXT_BYTES
    }

    /// Whether [`take`](Self::take) has something new.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether it has just become whole: somebody may wait for that to look something up, and it is no matter
    /// of how long ago the first pages of it were taken.
    pub(super) fn is_awaited(&self) -> bool {
        self.dirty && self.whole && !self.taken_whole
    }

    /// How long to wait before the next [`take`](Self::take), unless it [is awaited](Self::is_awaited).
    pub(super) fn pause(&self) -> Duration {
        let rows = saturate::<u32>(self.rows.len());
        EVERY + PER_ROW.saturating_mul(rows)
    }

    /// The catalogue, if it changed since the last time.
    pub(super) fn take(&mut self) -> Option<Changed> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        self.version += 1;
        self.taken_whole = self.whole;
        let rows = Rows::shared(self.rows.iter().map(|placed| placed.row.clone()).collect());
        let catalogue = Arc::new(Catalogue { version: self.version, rows, whole: self.whole });
        let (mut metas, mut gone) = (Vec::new(), Vec::new());
        for (id, meta) in std::mem::take(&mut self.changed) {
            match meta {
                Some(meta) => metas.push(meta),
                None => gone.push(id),
            }
        }
        Some(Changed { catalogue, metas, gone })
    }
}

/// A row of the tracker's, made safe to show.
pub(super) fn shown(row: &FileRow) -> CatalogueRow {
    let name = show(&row.meta.name);
    let aliases = row.aliases.iter().map(|name| show(name).into()).collect();
    CatalogueRow {
        id: row.meta.descriptor.id(),
        others: OtherNames::of(raw_of(&row.meta.name, &name), aliases),
        name: name.into(),
        kind: row.meta.descriptor.kind,
        size: row.meta.total,
        chunks: row.meta.chunks,
        sources: row.sources,
        complete: row.complete,
        first_seen: row.first_seen,
    }
}

impl Placed {
    fn of(row: Arc<CatalogueRow>) -> Self {
        let lower = row.name.to_lowercase();
        let lower = (lower != *row.name).then(|| lower.into());
        Self { row, lower }
    }

    fn key(&self) -> (&str, &ContentId) {
        (self.lower.as_deref().unwrap_or(&self.row.name), &self.row.id)
    }

    /// Bytes of its names.
    fn text_len(&self) -> usize {
        self.key().0.len() + self.row.text_len()
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Placed {}

impl Borrow<ContentId> for ById {
    fn borrow(&self) -> &ContentId {
        &self.0.id
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

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

    fn listed(rows: Vec<FileRow>) -> Mirror {
        let mut mirror = Mirror::default();
        mirror.connected();
        assert_eq!(mirror.ask_page(), Some(vec![]));
        mirror.page(rows, vec![]);
        mirror
    }

    fn wants_page(mirror: &Mirror) -> bool {
        matches!(mirror.listing, Listing::Next(_))
    }

    fn names(catalogue: &Catalogue) -> Vec<&str> {
        catalogue.rows.iter().map(|row| &*row.name).collect()
    }

    #[test]
    fn rows_are_sorted_and_names_made_safe() {
        let mut mirror = listed(vec![row(1, "Zebra"), row(2, "apple\u{1b}[2J"), row(3, "zeal")]);
        let Changed { catalogue, metas, gone } = mirror.take().unwrap();
        assert_eq!(names(&catalogue), ["apple\\u{1b}[2J", "zeal", "Zebra"]);
        let raw = |row: &CatalogueRow| row.raw_name().to_owned();
        let raw: Vec<String> = catalogue.rows.iter().map(raw).collect();
        assert_eq!(raw, ["apple\u{1b}[2J", "zeal", "Zebra"]);
        assert_eq!(catalogue.rows.get(1).unwrap().others, None, "kept only where it is different");
        assert!(catalogue.whole);
        assert_eq!((metas.len(), gone.len()), (3, 0));
        assert!(mirror.take().is_none(), "nothing new");
        mirror.upsert(row(1, "Zebra"));
        assert!(!mirror.is_dirty(), "the same row again is no news");
    }

    #[test]
    fn a_row_that_changes_its_name_moves() {
        let mut mirror = listed(vec![row(1, "a"), row(2, "b")]);
        let before = mirror.take().unwrap().catalogue.version;
        mirror.upsert(row(1, "c"));
        let after = mirror.take().unwrap();
        assert_eq!(names(&after.catalogue), ["b", "c"]);
        assert_eq!(after.metas, [row(1, "c").meta]);
        assert!(after.catalogue.version > before);
    }

    #[test]
    fn numbers_alone_change_a_row_that_is_here_and_no_other() {
        let (one, two, three) = (row(1, "B"), row(2, "a"), row(3, "c"));
        let counts = |row: &FileRow, sources| Counts::new(&row.meta.descriptor.id(), sources, 0);
        let mut mirror = listed(vec![one.clone(), two.clone()]);
        mirror.take();
        mirror.count(&counts(&three, 7));
        mirror.count(&Counts::new(&one.meta.descriptor.id(), 1, 1));
        assert!(!mirror.is_dirty(), "one is not here, the other has these numbers");
        mirror.count(&counts(&one, 300));
        let Changed { catalogue, metas, gone } = mirror.take().unwrap();
        let now = FileRow { sources: 300, complete: 0, ..one.clone() };
        let rows: Vec<CatalogueRow> = catalogue.rows.iter().cloned().collect();
        assert_eq!(rows, [shown(&two), shown(&now)]);
        assert!(metas.is_empty() && gone.is_empty(), "its text is no news");
        // While listing anew it counts as named.
        mirror.connected();
        mirror.ask_page();
        mirror.count(&counts(&one, 5));
        mirror.page(vec![], vec![]);
        assert_eq!(names(&mirror.take().unwrap().catalogue), ["B"]);
        // The whole row still finds it, and takes its place.
        mirror.upsert(FileRow { aliases: vec!["d".into()], ..one });
        assert_eq!(mirror.take().unwrap().catalogue.rows.get(0).unwrap().sources, 1);
    }

    #[test]
    fn rows_whose_ids_begin_alike_keep_their_numbers() {
        let mut mirror = listed(vec![row(1, "a")]);
        mirror.take();
        let mine = mirror.ids.first().unwrap().0.clone();
        let mut twin = *mine.id.as_bytes();
        twin[31] ^= 1;
        let twin = CatalogueRow { id: ContentId::from_bytes(twin), ..(*mine).clone() };
        let placed = Placed::of(Arc::new(twin));
        mirror.ids.insert(ById(placed.row.clone()));
        mirror.rows.insert(placed);
        mirror.count(&Counts::new(&mine.id, 9, 9));
        assert!(!mirror.is_dirty());
    }

    #[test]
    fn pages_follow_their_cursor_and_a_new_list_drops_what_is_gone() {
        let mut mirror = listed(vec![row(1, "a"), row(2, "b"), row(3, "c")]);
        mirror.take();
        mirror.connected();
        assert_eq!(mirror.ask_page(), Some(vec![]));
        assert_eq!(mirror.ask_page(), None, "one page at a time");
        mirror.page(vec![row(2, "b")], b"b".to_vec());
        assert_eq!(mirror.ask_page(), Some(b"b".to_vec()));
        // While listing: one row comes and stays, one is listed and goes.
        mirror.upsert(row(4, "aa"));
        mirror.remove(&row(2, "b").meta.descriptor.id());
        assert!(!mirror.is_awaited());
        assert!(!mirror.take().unwrap().catalogue.whole);
        mirror.page(vec![row(3, "c")], vec![]);
        assert!(mirror.is_awaited(), "it is whole");
        let Changed { catalogue, gone, .. } = mirror.take().unwrap();
        assert_eq!(names(&catalogue), ["aa", "c"]);
        assert!(catalogue.whole && !mirror.is_awaited());
        mirror.upsert(row(5, "e"));
        assert!(mirror.is_dirty() && !mirror.is_awaited(), "a change of it can wait");
        assert_eq!(gone, [row(1, "a").meta.descriptor.id()]);
    }

    #[test]
    fn a_resync_while_listing_lists_once_more_afterwards() {
        let mut mirror = Mirror::default();
        mirror.connected();
        mirror.resync();
        assert_eq!(mirror.ask_page(), Some(vec![]));
        for _ in 0..1000 {
            mirror.resync();
        }
        assert!(!wants_page(&mirror));
        mirror.page(vec![row(1, "a")], vec![]);
        assert_eq!(mirror.ask_page(), Some(vec![]));
        mirror.page(vec![row(1, "a")], vec![]);
        assert!(!wants_page(&mirror));
        assert!(mirror.take().unwrap().catalogue.whole);
    }

    #[test]
    fn a_refused_page_is_asked_for_again_and_a_refused_cursor_from_the_start() {
        let mut mirror = Mirror::default();
        mirror.connected();
        mirror.ask_page();
        mirror.page(vec![row(1, "a")], b"a".to_vec());
        mirror.ask_page();
        mirror.page_failed(false);
        assert_eq!(mirror.ask_page(), Some(b"a".to_vec()));
        mirror.page_failed(true);
        assert_eq!(mirror.ask_page(), Some(vec![]));
    }

    #[test]
    fn pages_nobody_asked_for_and_cursors_that_stand_still_end_nowhere() {
        let mut mirror = listed(vec![row(1, "a")]);
        mirror.take();
        mirror.page(vec![row(2, "b")], b"more".to_vec());
        assert!(!mirror.is_dirty() && !wants_page(&mirror));
        mirror.connected();
        mirror.ask_page();
        mirror.page(vec![row(1, "a")], b"x".to_vec());
        mirror.ask_page();
        mirror.page(vec![], b"x".to_vec());
        assert!(!wants_page(&mirror));
    }

    #[test]
    fn names_are_bounded_in_sum() {
        let mut mirror = Mirror::default();
        mirror.connected();
        mirror.ask_page();
        mirror.text_bytes = MAX_TEXT_BYTES;
        mirror.page(vec![row(1, "a")], b"a".to_vec());
        assert!(!wants_page(&mirror), "no further pages are read for nothing");
        assert!(mirror.take().unwrap().catalogue.rows.is_empty());
    }
}
