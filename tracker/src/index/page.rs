//! A page of the catalogue: what it holds, and the cursor that says where the next one begins.
//!
//! A cursor is what the last row is sorted by, not a position: rows that come and go in between shift nothing.

use common::id::{ContentId, ID_LEN};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::{FileRow, Sort};
use roaring::RoaringBitmap;

use super::Refusal;
use super::file::File;
use super::query::Query;

/// Bytes of rows in one page: a frame holds 256 KiB, and an estimate may be short by a little.
pub(super) const MAX_PAGE_BYTES: usize = 200 * 1024;
/// What a row in an answer costs, in comparisons: it is copied and encoded.
pub(super) const ROW_COST: usize = 5;
/// Rows that are passed over, or sorted by their numbers alone, in the time of one comparison.
pub(super) const PASSED_PER_LOOK: usize = 32;
/// Sort, number and id before the text of a cursor.
const CURSOR_HEAD: usize = 1 + 8 + ID_LEN;

/// A page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the asked order.
    pub rows: Vec<FileRow>,
    /// Rows that matched in all when the first page was made. Of more than [`Limits::counted`](super::Limits::counted)
    /// it may be a few more than there are.
    pub total: u32,
    /// For the next page; empty at the end.
    pub cursor: Vec<u8>,
}

/// What is asked for, and what it has cost so far.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) limit: usize,
    pub(super) sort: Sort,
    /// The last row of the page before.
    pub(super) after: Option<After>,
    /// Comparisons so far.
    pub(super) looked: usize,
}

/// A row by what it is sorted by.
#[derive(Debug, Clone)]
pub(super) struct After {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) id: ContentId,
}

/// Rows that may match.
#[derive(Debug)]
pub(super) enum Rows {
    All,
    Some(RoaringBitmap),
}

/// A page that is being filled.
#[derive(Debug, Default)]
pub(super) struct Filling {
    pub(super) rows: Vec<FileRow>,
    bytes: usize,
    last: Option<After>,
}

impl Asked {
    /// Whether a row matches. Pays for it.
    pub(super) fn matches(&mut self, file: &File) -> bool {
        let looks = file.names().saturating_mul(self.query.words());
        self.looked = self.looked.saturating_add(looks);
        self.query.matches(file.all_folded())
    }
}

impl Rows {
    pub(super) fn contains(&self, row: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(rows) => rows.contains(row),
        }
    }
}

impl After {
    pub(super) fn new(number: u64, file: &File) -> Self {
        Self { number, name: file.folded().to_owned(), id: file.id }
    }
}

impl Filling {
    /// Adds a row, if it still fits. Pays for it.
    pub(super) fn take(&mut self, asked: &mut Asked, file: &File, after: After) -> bool {
        let bytes = self.bytes.saturating_add(file.encoded_len());
        if self.rows.len() >= asked.limit || (bytes > MAX_PAGE_BYTES && !self.rows.is_empty()) {
            return false;
        }
        self.bytes = bytes;
        self.rows.push(file.row());
        self.last = Some(after);
        asked.looked = asked.looked.saturating_add(ROW_COST);
        true
    }

    pub(super) fn finish(self, asked: &Asked, total: u32, more: bool) -> Page {
        let sort = asked.sort;
        // All that there is, is counted.
        let is_all = asked.after.is_none() && !more;
        let total = if is_all { saturate::<u32>(self.rows.len()) } else { total };
        let last = self.last.filter(|_| more);
        let cursor = last.map(|last| encode(sort, total, &last)).unwrap_or_default();
        Page { rows: self.rows, total, cursor }
    }
}

/// Sort, matches, id, by what it is sorted unless that is the name, name.
fn encode(sort: Sort, total: u32, after: &After) -> Vec<u8> {
    let mut out = Vec::with_capacity(CURSOR_HEAD + 8 + after.name.len());
    out.push(sort.into());
    out.extend_from_slice(&u64::from(total).to_be_bytes());
    out.extend_from_slice(after.id.as_bytes());
    if sort != Sort::Name {
        out.extend_from_slice(&after.number.to_be_bytes());
    }
    out.extend_from_slice(after.name.as_bytes());
    out
}

/// What a cursor says: the matches that were counted, and the last row. Whoever makes one up deceives
/// nobody else.
pub(super) fn decode(sort: Sort, cursor: &[u8]) -> Result<(u32, After), Refusal> {
    let parse = || {
        let (_, rest) = cursor.split_first().filter(|(kind, _)| **kind == u8::from(sort))?;
        let (total, rest) = rest.split_first_chunk::<8>()?;
        let (id, rest) = rest.split_first_chunk::<ID_LEN>()?;
        let (number, text) = match sort {
            Sort::Name => (0, rest),
            _ => rest.split_first_chunk::<8>().map(|(n, rest)| (u64::from_be_bytes(*n), rest))?,
        };
        let name = std::str::from_utf8(text).ok()?.to_owned();
        let total = saturate::<u32>(u64::from_be_bytes(*total));
        Some((total, After { number, name, id: ContentId::from_bytes(*id) }))
    };
    parse().ok_or_else(|| {
        Refusal::new(Code::BadData, "this cursor is not of this order; start at the first page")
    })
}
