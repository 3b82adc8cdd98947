//! Searches for folders by the files inside.
//!
//! First the rows that may match, from the lists of what names and paths have in them; of many those with most sources.
//! Then their paths are looked at, a few rows at a time, without the index ([`Find::look`]): unpacking them takes longer
//! than anybody should wait for it.

use std::ops::Range;
use std::sync::Arc;

use common::fold::fold;
use common::id::ContentId;
use common::inside::Names;
use common::limits::{MAX_FIND_PATHS, MAX_FIND_ROWS};
use common::numbers::saturate;
use common::wire::tracker::{FoundRow, Sort};
use roaring::RoaringBitmap;

use super::page::{MAX_PAGE_BYTES, PASSED_PER_LOOK, ROW_COST};
use super::query::Query;
use super::{Index, Refusal};

/// Shortest word that folders are found by: of shorter ones nearly all have some file.
const MIN_WORD: usize = 3;
/// Rows whose paths are looked at by one search, at most: those with most sources.
const MOST_ROWS: usize = 4096;
/// Bytes of paths that one search looks at, at most: some 40 ms.
const MOST_BYTES: usize = 8 << 20;
/// Rows that are looked at in one go, and bytes of their paths but for those of the last one: some 1 ms.
const BATCH: (usize, usize) = (64, 128 * 1024);
/// Bytes of paths that are unpacked and searched in the time of one comparison.
const BYTES_PER_LOOK: usize = 32;

/// A search under way. It holds no reference into the index, which may change meanwhile.
#[derive(Debug)]
pub struct Find {
    query: Query,
    limit: usize,
    /// Comparisons so far.
    looked: usize,
    /// Bytes of paths so far.
    read: usize,
    at: At,
    rows: Vec<FoundRow>,
    /// Of `rows`, as they are encoded.
    bytes: usize,
}

#[derive(Debug)]
enum At {
    /// Rows that have the words: the next alternative, and those of the alternatives before it.
    Gathering(usize, RoaringBitmap),
    /// The best of them, of those that are gone through.
    Choosing {
        rows: RoaringBitmap,
        left: Range<u32>,
        best: Vec<(u64, u32)>,
    },
    Looking(Looking),
}

#[derive(Debug)]
struct Looking {
    rows: std::vec::IntoIter<(u32, ContentId)>,
    /// Taken from the index, to be looked at without it.
    batch: Vec<Candidate>,
    /// Found in them.
    hits: Vec<Hit>,
    /// There were more rows than are looked at.
    cut: bool,
}

#[derive(Debug)]
struct Candidate {
    row: u32,
    id: ContentId,
    /// The folder's names, folded.
    names: Vec<String>,
    packed: Arc<[u8]>,
}

#[derive(Debug)]
struct Hit {
    row: u32,
    id: ContentId,
    paths: Vec<String>,
    files: u32,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Those with most sources first.
    pub rows: Vec<FoundRow>,
    /// There may be more.
    pub more: bool,
}

impl Find {
    /// Comparisons so far: what the asking side is charged.
    pub fn looked(&self) -> usize {
        self.looked
    }

    /// Looks at the paths that the last call of [`Index::advance_find`] brought, if any.
    pub fn look(&mut self) {
        let At::Looking(Looking { batch, hits, .. }) = &mut self.at else { return };
        for candidate in batch.drain(..) {
            // What was read once, and is damaged, cannot be found by.
            let Ok(names) = Names::unpack(&candidate.packed) else { continue };
            self.read = self.read.saturating_add(names.len());
            self.looked = self.looked.saturating_add(1 + names.len() / BYTES_PER_LOOK);
            hits.extend(candidate.look(&names, &self.query));
        }
    }
}

impl Candidate {
    fn look(self, names: &Names, query: &Query) -> Option<Hit> {
        // Of each alternative those words that the folder's names have not.
        let in_names = |word: &str| self.names.iter().any(|name| name.contains(word));
        let wanted: Vec<(&[String], Vec<&str>)> = searchable(query)
            .map(|words| {
                let missing = words.iter().map(String::as_str).filter(|word| !in_names(word));
                (words, missing.collect())
            })
            .collect();
        let (mut paths, mut files) = (Vec::new(), 0u32);
        for path in names.iter() {
            let folded = fold(path);
            let found = wanted.iter().any(|(words, missing)| match missing.is_empty() {
                // A folder that has all words in its names is found without us; but which file was meant?
                true => words.iter().any(|word| folded.contains(word.as_str())),
                false => missing.iter().all(|word| folded.contains(word)),
            });
            if found {
                files = files.saturating_add(1);
                if paths.len() < MAX_FIND_PATHS {
                    paths.push(path.to_owned());
                }
            }
        }
        (files > 0).then_some(Hit { row: self.row, id: self.id, paths, files })
    }
}

/// Alternatives that have a word to find folders by.
fn searchable(query: &Query) -> impl Iterator<Item = &[String]> {
    let long = |words: &&[String]| words.iter().any(|word| word.len() >= MIN_WORD);
    query.alternatives().iter().map(Vec::as_slice).filter(long)
}

impl Index {
    /// Begins a search for at most `limit` folders in which a file has the words of `query`, some of them perhaps in the
    /// folder's name instead.
    ///
    /// # Errors
    /// [`Refusal`] for a query with too many words.
    pub fn find(&self, query: &str, limit: usize) -> Result<Find, Refusal> {
        Ok(Find {
            query: Query::parse(query)?,
            limit: limit.clamp(1, MAX_FIND_ROWS),
            looked: 0,
            read: 0,
            at: At::Gathering(0, RoaringBitmap::new()),
            rows: Vec::new(),
            bytes: 0,
        })
    }

    /// Goes on for one slice; what was found, when the search is through. Else [`Find::look`] is to be called before the
    /// next slice.
    pub fn advance_find(&self, find: &mut Find) -> Option<Found> {
        let end = find.looked.saturating_add(self.limits.looks);
        while find.looked < end {
            // What comes in its place if it goes on.
            match std::mem::replace(&mut find.at, At::Gathering(0, RoaringBitmap::new())) {
                At::Gathering(next, mut rows) => {
                    let words = searchable(&find.query).nth(next);
                    let Some(words) = words else {
                        let left = 0..self.catalogue.end();
                        find.at = At::Choosing { rows, left, best: Vec::new() };
                        continue;
                    };
                    let (more, looked) = self.rows_with(words);
                    rows |= more;
                    find.looked = find.looked.saturating_add(looked);
                    find.at = At::Gathering(next + 1, rows);
                }
                At::Choosing { rows, mut left, mut best } => {
                    let passed = self.choose(&rows, &mut left, &mut best, end - find.looked);
                    find.looked = find.looked.saturating_add(passed);
                    find.at = if left.is_empty() {
                        At::Looking(self.begin_looking(&rows, best))
                    } else {
                        At::Choosing { rows, left, best }
                    };
                }
                At::Looking(mut looking) => {
                    self.take_hits(find, &mut looking);
                    let full = find.rows.len() >= find.limit || find.bytes > MAX_PAGE_BYTES;
                    let spent = full || find.read >= MOST_BYTES;
                    if spent || looking.rows.len() == 0 {
                        let more =
                            looking.cut || looking.rows.len() > 0 || !looking.hits.is_empty();
                        return Some(Found { rows: std::mem::take(&mut find.rows), more });
                    }
                    self.next_batch(&mut looking);
                    find.looked = find.looked.saturating_add(looking.batch.len());
                    find.at = At::Looking(looking);
                    return None;
                }
            }
        }
        None
    }

    /// [`Self::find`] and all of it at once.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_all(&self, query: &str, limit: usize) -> Result<Found, Refusal> {
        let mut find = self.find(query, limit)?;
        loop {
            if let Some(found) = self.advance_find(&mut find) {
                return Ok(found);
            }
            find.look();
        }
    }

    /// Rows with names inside that may have all words, and what it cost.
    fn rows_with(&self, words: &[String]) -> (RoaringBitmap, usize) {
        let (mut rows, mut looked) = (self.inside.listed.clone(), 1);
        for word in words.iter().filter(|word| word.len() >= MIN_WORD) {
            let (inside, cost) = self.inside.grams.narrow(Some(rows.clone()), word);
            let (named, more) = self.catalogue.grams.narrow(Some(rows), word);
            rows = inside | named;
            looked += cost + more;
        }
        (rows, looked)
    }

    /// Goes through rows, and keeps those with most sources; returns what it cost.
    fn choose(
        &self,
        rows: &RoaringBitmap,
        left: &mut Range<u32>,
        best: &mut Vec<(u64, u32)>,
        budget: usize,
    ) -> usize {
        let (mut passed, most) = (0, budget.max(1).saturating_mul(PASSED_PER_LOOK));
        for row in rows.range(left.clone()) {
            if passed >= most {
                left.start = row;
                return passed / PASSED_PER_LOOK;
            }
            passed += 1;
            best.push((self.catalogue.number(Sort::Sources, row), row));
            if best.len() >= 2 * MOST_ROWS {
                best.select_nth_unstable(MOST_ROWS);
                best.truncate(MOST_ROWS);
            }
        }
        *left = 0..0;
        1 + passed / PASSED_PER_LOOK
    }

    fn begin_looking(&self, rows: &RoaringBitmap, mut best: Vec<(u64, u32)>) -> Looking {
        if best.len() > MOST_ROWS {
            best.select_nth_unstable(MOST_ROWS);
            best.truncate(MOST_ROWS);
        }
        // Of as many sources by name.
        best.sort_by_cached_key(|(_, row)| self.catalogue.standing(Sort::Sources, *row));
        let cut = rows.len() > saturate::<u64>(MOST_ROWS);
        let known = |(_, row): (u64, u32)| Some((row, self.files.get(row)?.id));
        let rows: Vec<_> = best.into_iter().filter_map(known).collect();
        Looking { rows: rows.into_iter(), batch: Vec::new(), hits: Vec::new(), cut }
    }

    /// Rows that are looked at next.
    fn next_batch(&self, looking: &mut Looking) {
        let mut bytes = 0;
        while looking.batch.len() < BATCH.0 && bytes < BATCH.1 {
            let Some((row, id)) = looking.rows.next() else { break };
            let file = self.files.get(row).filter(|file| file.id == id);
            // It may be gone since it was found.
            if let (Some(file), Some((packed, text))) = (file, self.inside.packed(row)) {
                bytes += text as usize;
                let names = file.all_folded().map(str::to_owned).collect();
                looking.batch.push(Candidate { row, id, names, packed: Arc::clone(packed) });
            }
        }
    }

    /// Makes rows of what was found, as far as they fit.
    fn take_hits(&self, find: &mut Find, looking: &mut Looking) {
        let hits = std::mem::take(&mut looking.hits);
        let mut hits = hits.into_iter();
        while find.rows.len() < find.limit
            && let Some(hit) = hits.next()
        {
            let Some(file) = self.files.get(hit.row).filter(|file| file.id == hit.id) else {
                continue;
            };
            let paths: usize = hit.paths.iter().map(|path| path.len() + 3).sum();
            let bytes = find.bytes.saturating_add(file.encoded_len() + paths + 16);
            if bytes > MAX_PAGE_BYTES && !find.rows.is_empty() {
                find.bytes = bytes;
                looking.hits.push(hit);
                break;
            }
            find.bytes = bytes;
            find.looked = find.looked.saturating_add(ROW_COST);
            let Hit { paths, files, .. } = hit;
            find.rows.push(FoundRow { row: file.row(), paths, files });
        }
        looking.hits.extend(hits);
    }
}
