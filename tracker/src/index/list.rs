//! Pages of the catalogue, filtered and sorted.
//!
//! A search first gathers the rows that may match, from the lists of what names have in them ([`super::grams`]); then
//! it takes the page out of them: by a walk in the order by name where they are many, else by going through the numbers
//! that they are sorted by ([`super::pick`]). It does all of that in slices, between which others get their turn (see
//! [`Search`]).

use common::numbers::saturate;
use common::wire::tracker::Sort;
use roaring::RoaringBitmap;

use super::order::Between;
use super::page::{After, Asked, Filling, Page, Rows, decode};
use super::pick::Pick;
use super::query::Query;
use super::{Index, Refusal};

/// Comparisons in one slice of a search: at 0.1 to 0.3 us each about 1 ms, so that nobody who waits for the
/// index notices.
pub const SLICE: usize = 4096;
/// Matches that are counted one by one: one slice of a search. Of more it is said how many rows have in their names
/// what the words are made of, which next to none has by chance.
pub const COUNTED: usize = SLICE;
/// A walk in the order by name is for rows that are one in so many of all, or more: others are picked out sooner.
const WALK_ONE_IN: u64 = 16;
/// Rows passed over in a walk in the time of one comparison.
const WALKED_PER_LOOK: usize = 8;
/// Rows passed over in one walk: when matches stand far behind, they are picked out after all.
const WALK_MOST: usize = 65_536;

/// A search under way. It holds no reference into the index, which may change between two slices: a row that
/// is there all the time is found exactly once.
#[derive(Debug)]
pub struct Search {
    asked: Asked,
    /// Of later pages what the first one counted.
    counted: Option<u32>,
    /// Most comparisons between two calls so far.
    longest: usize,
    at: At,
}

/// How far a search has come.
#[derive(Debug)]
enum At {
    Gathering(Gathered),
    Walking(Walk),
    Picking(Pick),
}

/// Rows that may match, as far as they are known.
#[derive(Debug, Default)]
struct Gathered {
    /// Those of the alternatives that are done.
    all: RoaringBitmap,
    /// Those that have all words so far of the next one.
    some: Option<RoaringBitmap>,
    /// The next alternative, and the next word of it.
    next: (usize, usize),
}

/// In the order by name: the page is full at the first match that does not fit.
#[derive(Debug)]
struct Walk {
    among: Rows,
    total: u32,
    passed: usize,
    /// The last row that was looked at.
    after: Option<After>,
    page: Filling,
}

impl Search {
    /// Whether it is through after one slice: a page of the whole catalogue in the order by name.
    pub fn is_short(&self) -> bool {
        self.asked.sort == Sort::Name && self.asked.query.is_all()
    }

    /// Comparisons so far: what the asking side is charged.
    pub fn looked(&self) -> usize {
        self.asked.looked
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
        let (counted, after) = if cursor.is_empty() {
            (None, None)
        } else {
            let (total, after) = decode(sort, cursor)?;
            (Some(total), Some(after))
        };
        let asked = Asked { query, limit: limit.max(1), sort, after, looked: 0 };
        let at = At::Gathering(Gathered::default());
        Ok(Search { asked, counted, longest: 0, at })
    }

    /// Goes on for one slice; the page, when the search is through.
    pub fn advance(&self, search: &mut Search) -> Option<Page> {
        let Search { asked, counted, longest, at } = search;
        let before = asked.looked;
        let end = before.saturating_add(self.limits.looks);
        let page = loop {
            // What comes in its place if it goes on.
            let now = std::mem::replace(at, At::Gathering(Gathered::default()));
            match now {
                At::Gathering(mut gathered) => {
                    let done = self.gather(asked, &mut gathered, end);
                    *at = if done {
                        self.begin(asked, *counted, gathered.all)
                    } else {
                        At::Gathering(gathered)
                    };
                }
                At::Walking(mut walk) => match self.walk(asked, &mut walk, end) {
                    Some(page) => break Some(page),
                    None if walk.passed >= WALK_MOST && walk.page.rows.len() < asked.limit => {
                        *at = At::Picking(self.pick(asked, walk.among, walk.total));
                    }
                    None => *at = At::Walking(walk),
                },
                At::Picking(mut pick) => {
                    let page = self.advance_pick(asked, &mut pick, end);
                    *at = At::Picking(pick);
                    if page.is_some() {
                        break page;
                    }
                }
            }
            if asked.looked >= end {
                break None;
            }
        };
        *longest = (*longest).max(asked.looked - before);
        page
    }

    /// [`Self::search`] and all slices of it at once.
    ///
    /// # Errors
    /// As [`Self::search`].
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

    /// Goes on gathering rows, one word after the other; whether it is done.
    fn gather(&self, asked: &mut Asked, gathered: &mut Gathered, end: usize) -> bool {
        while asked.looked < end {
            let (alternative, word) = gathered.next;
            let Some(words) = asked.query.alternatives().get(alternative) else { return true };
            if let Some(word) = words.get(word) {
                let (rows, looked) = self.catalogue.grams.narrow(gathered.some.take(), word);
                asked.looked = asked.looked.saturating_add(looked);
                gathered.some = Some(rows);
                gathered.next.1 += 1;
            } else {
                gathered.all |= gathered.some.take().unwrap_or_default();
                gathered.next = (alternative + 1, 0);
            }
        }
        false
    }

    /// How the page is to be found among those that were gathered.
    fn begin(&self, asked: &Asked, counted: Option<u32>, gathered: RoaringBitmap) -> At {
        let all = saturate::<u64>(self.catalogue.order.len());
        let rows = if asked.query.is_all() { Rows::All } else { Rows::Some(gathered) };
        let many = match &rows {
            Rows::All => all,
            Rows::Some(rows) => rows.len(),
        };
        // Of all there are it is known without counting.
        let counted = counted.filter(|_| !asked.query.is_all());
        let total = counted.unwrap_or_else(|| saturate::<u32>(many));
        let exact = asked.query.is_plain() && self.catalogue.grams.is_exact();
        let sure = asked.query.is_all() || exact || many > self.counted();
        let dense = many.saturating_mul(WALK_ONE_IN) >= all;
        if asked.sort == Sort::Name && sure && dense {
            let (passed, page) = (0, Filling::default());
            return At::Walking(Walk {
                among: rows,
                total,
                passed,
                after: asked.after.clone(),
                page,
            });
        }
        let mut pick = self.pick(asked, rows, total);
        if !sure {
            pick.look_at_each(counted.is_none());
        }
        At::Picking(pick)
    }

    fn pick(&self, asked: &Asked, rows: Rows, total: u32) -> Pick {
        Pick::new(rows, asked.limit, self.catalogue.end(), total)
    }

    /// Matches up to which all are counted.
    fn counted(&self) -> u64 {
        saturate::<u64>(self.limits.counted)
    }

    fn walk(&self, asked: &mut Asked, walk: &mut Walk, end: usize) -> Option<Page> {
        let (mut passed, mut last) = (0, None);
        let mut page = std::mem::take(&mut walk.page);
        for row in self.catalogue.order.behind(self.point(walk.after.as_ref())) {
            if asked.looked.saturating_add(passed / WALKED_PER_LOOK) >= end {
                break;
            }
            passed += 1;
            last = Some(row);
            let among = walk.among.contains(row);
            let file = self.files.get(row).filter(|_| among);
            let Some(file) = file.filter(|file| asked.matches(file)) else {
                let is_full = page.rows.len() >= asked.limit;
                match walk.passed + passed >= WALK_MOST {
                    // There may be more, or the next page is empty.
                    true if is_full => return Some(page.finish(asked, walk.total, true)),
                    true => break,
                    false => continue,
                }
            };
            if !page.take(asked, file, After::new(0, file)) {
                return Some(page.finish(asked, walk.total, true));
            }
        }
        asked.looked = asked.looked.saturating_add(1 + passed / WALKED_PER_LOOK);
        walk.passed += passed;
        let Some(last) = last.and_then(|row| self.files.get(row)) else {
            return Some(page.finish(asked, walk.total, false));
        };
        walk.page = page;
        walk.after = Some(After::new(0, last));
        None
    }

    /// Behind a row in the order by name.
    pub(super) fn point(&self, after: Option<&After>) -> Between {
        match after {
            Some(After { name, id, .. }) => self.catalogue.behind(&self.files, name, id),
            None => self.catalogue.order.find(|_| false),
        }
    }
}
