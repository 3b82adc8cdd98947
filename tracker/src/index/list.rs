//! Pages of the catalogue, filtered and sorted.
//!
//! A cursor is the sort key of the last row, not a position: rows that come and go in between shift
//! nothing. A page is one pass over the catalogue that keeps the best `limit` rows after the cursor, except for the
//! whole catalogue by name, which is kept in order.

use std::collections::BinaryHeap;
use std::ops::Bound;

use common::id::{ContentId, ID_LEN};
use common::wire::Code;
use common::wire::tracker::{FileRow, Sort};

use super::file::File;
use super::query::Query;
use super::{Index, Refusal};

/// Bytes of rows in one page: a frame holds 256 KiB, and an estimate may be short by a little.
const MAX_PAGE_BYTES: usize = 200 * 1024;
/// Sort, number and id before the text of a cursor.
const CURSOR_HEAD: usize = 1 + 8 + ID_LEN;

/// A page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the asked order.
    pub rows: Vec<FileRow>,
    /// Rows that match in all.
    pub total: u32,
    /// For the next page; empty at the end.
    pub cursor: Vec<u8>,
}

/// Where a row stands: the asked property, then name, then id, so that no two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    /// Smaller comes first: what is to be descending is stored as its complement.
    number: u64,
    text: &'a str,
    id: ContentId,
}

impl Index {
    /// At most `limit` rows that match `query`, after `cursor`.
    ///
    /// # Errors
    /// [`Refusal`] for a cursor that was not given for this order.
    pub fn list(
        &self,
        query: &str,
        cursor: &[u8],
        limit: usize,
        sort: Sort,
    ) -> Result<Page, Refusal> {
        let query = Query::parse(query);
        let after = if cursor.is_empty() { None } else { Some(Key::decode(cursor, sort)?) };
        if query.is_all() && sort == Sort::Name {
            return Ok(self.page_by_name(after, limit));
        }
        let (mut total, mut later) = (0u32, 0usize);
        let mut best: BinaryHeap<(Key<'_>, u32)> = BinaryHeap::with_capacity(limit + 1);
        for (handle, file) in self.files.iter() {
            if !query.matches(file.all_folded()) {
                continue;
            }
            total = total.saturating_add(1);
            let key = Key::of(file, sort);
            if after.is_some_and(|after| key <= after) {
                continue;
            }
            later += 1;
            if best.len() < limit {
                best.push((key, handle));
            } else if let Some(mut last) = best.peek_mut()
                && key < last.0
            {
                *last = (key, handle);
            }
        }
        let files = best.into_sorted_vec().into_iter().map(|(_, handle)| handle);
        Ok(self.page(files, total, later, sort))
    }

    /// A page of the whole catalogue by name: what a peer that mirrors it asks for. O(limit).
    fn page_by_name(&self, after: Option<Key<'_>>, limit: usize) -> Page {
        let start =
            after.map_or(Bound::Unbounded, |key| Bound::Excluded((key.text.into(), key.id)));
        // One more than wanted shows whether there is a next page.
        let files = self.by_name.range((start, Bound::Unbounded)).map(|(_, handle)| *handle);
        let later: Vec<u32> = files.take(limit + 1).collect();
        let total = u32::try_from(self.by_name.len()).unwrap_or(u32::MAX);
        self.page(later.iter().copied().take(limit), total, later.len(), Sort::Name)
    }

    /// The rows of `files` as far as they fit; `later` is how many there are from the first of them on.
    fn page(&self, files: impl Iterator<Item = u32>, total: u32, later: usize, sort: Sort) -> Page {
        let mut rows = Vec::new();
        let (mut bytes, mut last) = (0, None);
        for file in files.filter_map(|handle| self.files.get(handle)) {
            bytes += file.encoded_len();
            if bytes > MAX_PAGE_BYTES && !rows.is_empty() {
                break;
            }
            rows.push(file.row());
            last = Some(Key::of(file, sort));
        }
        let cursor = last.filter(|_| later > rows.len()).map(|key| key.encode(sort));
        Page { rows, total, cursor: cursor.unwrap_or_default() }
    }
}

impl<'a> Key<'a> {
    fn of(file: &'a File, sort: Sort) -> Self {
        let number = match sort {
            Sort::Name => 0,
            Sort::Size => !file.total,
            Sort::Sources => !(file.swarm.len() as u64),
            Sort::Newest => !file.first_seen,
        };
        Self { number, text: file.folded(), id: file.id }
    }

    fn encode(self, sort: Sort) -> Vec<u8> {
        let mut out = Vec::with_capacity(CURSOR_HEAD + self.text.len());
        out.push(sort.into());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.text.as_bytes());
        out
    }

    fn decode(cursor: &'a [u8], sort: Sort) -> Result<Self, Refusal> {
        let parse = || {
            let (_, rest) = cursor.split_first().filter(|(kind, _)| **kind == u8::from(sort))?;
            let (number, rest) = rest.split_first_chunk::<8>()?;
            let (id, text) = rest.split_first_chunk::<ID_LEN>()?;
            let text = std::str::from_utf8(text).ok()?;
            Some(Self { number: u64::from_be_bytes(*number), text, id: ContentId::from_bytes(*id) })
        };
        parse().ok_or_else(|| {
            Refusal::new(Code::BadData, "this cursor is not of this order; start at the first page")
        })
    }
}
