//! Pages of the catalogue, filtered and sorted.
//!
//! A cursor is the sort key of the last row, not a position: rows that come and go in between shift
//! nothing. Only the order by name is kept, so only it has further pages: a cursor costs a look-up and not a
//! pass over everything. The whole catalogue by name costs what a page holds; any other search is one pass, in
//! slices, between which others get their turn (see [`Search`]).

use std::collections::BinaryHeap;
use std::ops::Bound;
use std::sync::Arc;

use common::id::{ContentId, ID_LEN};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::{FileRow, Sort};

use super::file::File;
use super::query::Query;
use super::{Index, Refusal};

/// Bytes of rows in one page: a frame holds 256 KiB, and an estimate may be short by a little.
pub(super) const MAX_PAGE_BYTES: usize = 200 * 1024;
/// Sort, number and id before the text of a cursor.
const CURSOR_HEAD: usize = 1 + 8 + ID_LEN;
/// Comparisons in one slice of a search: at 0.1 to 0.3 us each about 1 ms, so that nobody who waits for the
/// index notices.
pub const SLICE: usize = 4096;
/// What a row in an answer costs, in comparisons: it is copied and encoded.
pub(super) const ROW_COST: usize = 5;

/// A page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the asked order.
    pub rows: Vec<FileRow>,
    /// Rows that matched in all when the first page was made.
    pub total: u32,
    /// For the next page; empty at the end, and always in an order that is not kept.
    pub cursor: Vec<u8>,
}

/// A search under way. It holds no reference into the index, which may change between two slices: a row that
/// is there all the time is found exactly once.
#[derive(Debug)]
pub struct Search {
    query: Query,
    limit: usize,
    /// Matches so far; of later pages what the first one counted.
    total: u32,
    /// Comparisons so far.
    looked: usize,
    /// Most comparisons between two calls so far.
    longest: usize,
    at: At,
}

/// A row by its place in the order by name.
type Named = (Arc<str>, ContentId);

/// How far a search has come, by the order it goes in.
#[derive(Debug)]
enum At {
    Name(ByName),
    Best(Best),
}

/// In the order that is kept: the page is full at the first match that does not fit.
#[derive(Debug, Default)]
struct ByName {
    /// The last row that was looked at.
    after: Option<Named>,
    rows: Vec<FileRow>,
    bytes: usize,
    /// The last row of the page.
    last: Option<Named>,
    /// There is a match behind the page.
    more: bool,
    /// Only the first page counts all matches.
    counts: bool,
}

/// In any other order: the best rows of one pass.
#[derive(Debug)]
struct Best {
    sort: Sort,
    /// The next place of the slab.
    next: usize,
    rows: BinaryHeap<Key>,
}

/// Where a row stands: the asked property, then name, then id, so that no two are equal.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Smaller comes first: what is to be descending is stored as its complement.
    number: u64,
    text: Arc<str>,
    id: ContentId,
}

impl Search {
    /// Whether it is through after one slice: a page of the whole catalogue in the order that is kept.
    pub fn is_short(&self) -> bool {
        matches!(self.at, At::Name(_)) && self.query.is_all()
    }

    /// Comparisons so far: what the asking side is charged.
    pub fn looked(&self) -> usize {
        self.looked
    }

    /// Most comparisons in one slice so far.
    pub fn longest_slice(&self) -> usize {
        self.longest
    }
}

impl Index {
    /// Begins a search for at most `limit` rows that match `query`, after `cursor`.
    ///
    /// # Errors
    /// [`Refusal`] for a cursor that was not given for this order, and for a query with too many words.
    pub fn search(
        &self,
        query: &str,
        cursor: &[u8],
        limit: usize,
        sort: Sort,
    ) -> Result<Search, Refusal> {
        let query = Query::parse(query)?;
        let mut search = Search {
            query,
            limit,
            total: 0,
            looked: 0,
            longest: 0,
            at: At::Best(Best { sort, next: 0, rows: BinaryHeap::new() }),
        };
        if sort == Sort::Name {
            let mut at = ByName { counts: cursor.is_empty(), ..ByName::default() };
            if !cursor.is_empty() {
                let (total, after) = decode(cursor)?;
                (search.total, at.after) = (total, Some(after));
            }
            search.at = At::Name(at);
        } else if !cursor.is_empty() {
            return Err(Refusal::new(
                Code::BadData,
                "only the order by name has further pages; ask for the first rows, or by name",
            ));
        }
        Ok(search)
    }

    /// Goes on for one slice; the page, when the search is through.
    pub fn advance(&self, search: &mut Search) -> Option<Page> {
        let before = search.looked;
        let Search { query, limit, total, looked, at, .. } = search;
        let page = match at {
            At::Name(at) if query.is_all() => {
                *total = saturate::<u32>(self.by_name.len());
                at.counts = false;
                self.by_name(at, query, *limit, total, looked)
            }
            At::Name(at) => self.by_name(at, query, *limit, total, looked),
            At::Best(best) => self.best(best, query, *limit, total, looked),
        };
        search.longest = search.longest.max(search.looked - before);
        page
    }

    /// A whole search at once: for callers that nobody waits for.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn list(
        &self,
        query: &str,
        cursor: &[u8],
        limit: usize,
        sort: Sort,
    ) -> Result<Page, Refusal> {
        let mut search = self.search(query, cursor, limit, sort)?;
        loop {
            if let Some(page) = self.advance(&mut search) {
                return Ok(page);
            }
        }
    }

    fn by_name(
        &self,
        at: &mut ByName,
        query: &Query,
        limit: usize,
        total: &mut u32,
        looked: &mut usize,
    ) -> Option<Page> {
        let end = looked.saturating_add(SLICE);
        let start = at.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        for ((name, id), handle) in self.by_name.range((start, Bound::Unbounded)) {
            let Some(file) = self.files.get(*handle) else { continue };
            *looked = looked.saturating_add(cost(file, query));
            if query.matches(file.all_folded()) {
                let fits = at.bytes + file.encoded_len() <= MAX_PAGE_BYTES || at.rows.is_empty();
                if at.counts {
                    *total = total.saturating_add(1);
                }
                if at.more || at.rows.len() >= limit || !fits {
                    at.more = true;
                    if !at.counts {
                        return Some(at.page(*total));
                    }
                } else {
                    at.bytes += file.encoded_len();
                    at.rows.push(file.row());
                    at.last = Some((Arc::clone(name), *id));
                    *looked = looked.saturating_add(ROW_COST);
                }
            }
            if *looked >= end {
                at.after = Some((Arc::clone(name), *id));
                return None;
            }
        }
        Some(at.page(*total))
    }

    fn best(
        &self,
        best: &mut Best,
        query: &Query,
        limit: usize,
        total: &mut u32,
        looked: &mut usize,
    ) -> Option<Page> {
        let before = *looked;
        let end = before.saturating_add(SLICE);
        let places = self.files.places(best.next, SLICE);
        let at_end = places.len() < SLICE;
        for place in places {
            if *looked >= end {
                return None;
            }
            best.next += 1;
            let Some((_, file)) = place else {
                // A free place is passed over, which costs something too.
                *looked = looked.saturating_add(1);
                continue;
            };
            *looked = looked.saturating_add(cost(file, query));
            if query.matches(file.all_folded()) {
                *total = total.saturating_add(1);
                best.offer(file, limit);
            }
        }
        let answer = best.rows.len().saturating_mul(ROW_COST);
        // The answer is part of a slice that has room for it, or a slice of its own.
        if !at_end || (looked.saturating_add(answer) > end && *looked > before) {
            return None;
        }
        *looked = looked.saturating_add(answer);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for key in std::mem::take(&mut best.rows).into_sorted_vec() {
            // It may have gone since it was found.
            let handle = self.by_id.get(&key.id);
            let Some(file) = handle.and_then(|handle| self.files.get(*handle)) else { continue };
            bytes += file.encoded_len();
            if bytes > MAX_PAGE_BYTES && !rows.is_empty() {
                break;
            }
            rows.push(file.row());
        }
        Some(Page { rows, total: *total, cursor: Vec::new() })
    }
}

/// Comparisons that a row costs.
fn cost(file: &File, query: &Query) -> usize {
    file.names().saturating_mul(query.words()).max(1)
}

impl ByName {
    fn page(&mut self, total: u32) -> Page {
        let last = self.last.take().filter(|_| self.more);
        let cursor = last.map(|(name, id)| encode(total, &name, id)).unwrap_or_default();
        Page { rows: std::mem::take(&mut self.rows), total, cursor }
    }
}

impl Best {
    /// Takes a row in if it is one of the best so far.
    fn offer(&mut self, file: &File, limit: usize) {
        let number = match self.sort {
            Sort::Name => 0,
            Sort::Size => !file.total,
            Sort::Sources => !(file.swarm.len() as u64),
            Sort::Newest => !file.first_seen,
        };
        let full = self.rows.len() >= limit;
        let this = (number, file.folded(), file.id);
        if full && self.rows.peek().is_none_or(|last| (last.number, &*last.text, last.id) <= this) {
            return;
        }
        if full {
            self.rows.pop();
        }
        // Rows in the index are always in the order by name, so this copies no text.
        let text = file.ordered_as.clone().unwrap_or_else(|| file.folded().into());
        self.rows.push(Key { number, text, id: file.id });
    }
}

fn encode(total: u32, name: &str, id: ContentId) -> Vec<u8> {
    let mut out = Vec::with_capacity(CURSOR_HEAD + name.len());
    out.push(Sort::Name.into());
    out.extend_from_slice(&u64::from(total).to_be_bytes());
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out
}

/// What a cursor by name says: the matches that were counted, and the last row. Whoever makes one up deceives
/// nobody else.
fn decode(cursor: &[u8]) -> Result<(u32, Named), Refusal> {
    let parse = || {
        let (_, rest) = cursor.split_first().filter(|(kind, _)| **kind == u8::from(Sort::Name))?;
        let (total, rest) = rest.split_first_chunk::<8>()?;
        let (id, text) = rest.split_first_chunk::<ID_LEN>()?;
        let text = std::str::from_utf8(text).ok()?;
        let total = saturate::<u32>(u64::from_be_bytes(*total));
        Some((total, (text.into(), ContentId::from_bytes(*id))))
    };
    parse().ok_or_else(|| {
        Refusal::new(Code::BadData, "this cursor is not of this order; start at the first page")
    })
}
