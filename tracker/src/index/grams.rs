//! Which rows have which three bytes in a row somewhere in a name: a word is looked for only where all its threes are.
//!
//! The inverted index of Zobel, Moffat and Sacks-Davis (VLDB 1993) with compressed bitmaps (Lemire and others,
//! "Roaring Bitmaps", 2016) as its lists. Bytes, not letters: UTF-8 keeps the parts of one character from being found
//! in another. Behind each name come two bytes of 0, which no name has, so that a three begins at every byte: what has
//! two certain bytes is all that has a three that begins with them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use roaring::RoaringBitmap;

/// Threes of one word that are intersected, the rarest first: more of them leave out next to nothing.
const MOST_GRAMS: usize = 12;
/// Keys of single bytes stand behind those of threes.
const SINGLE: u32 = 1 << 24;
/// Rows of a list that are gone through in the time of one comparison.
const ROWS_PER_LOOK: u64 = 1024;
/// Looks for lists that cost one comparison.
const LISTS_PER_LOOK: usize = 8;

/// Lists, of some 250 bytes at least. Names of many languages have fewer different threes; more are made up, and share
/// lists.
const MOST_LISTS: usize = 300_000;
/// Lists that are shared then.
const SHARED: u32 = 4096;

/// Rows by what their names have in them, as they are compared.
#[derive(Debug)]
pub(super) struct Grams {
    /// Lists at most.
    most: usize,
    lists: HashMap<u32, RoaringBitmap, Keyed>,
    /// Of threes that came when there were enough lists: who is in one may have any of its threes, or may have had.
    shared: HashMap<u32, RoaringBitmap, Keyed>,
}

impl Default for Grams {
    fn default() -> Self {
        Self { most: MOST_LISTS, lists: HashMap::default(), shared: HashMap::default() }
    }
}

/// Multiplicative hashing (Knuth, volume 3, 6.4) by a factor that nobody knows: dozens of look-ups for each name.
#[derive(Debug, Clone)]
struct Keyed(u64);

#[derive(Debug)]
struct Hashing {
    factor: u64,
    hash: u64,
}

impl Default for Keyed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0u8) | 1)
    }
}

impl BuildHasher for Keyed {
    type Hasher = Hashing;

    fn build_hasher(&self) -> Hashing {
        Hashing { factor: self.0, hash: 0 }
    }
}

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.hash ^ u64::from(number)).wrapping_add(1).wrapping_mul(self.factor);
        self.hash = mixed ^ (mixed >> 29);
    }

    fn finish(&self) -> u64 {
        self.hash.wrapping_mul(self.factor).rotate_left(26)
    }
}

impl Grams {
    /// A row has a name.
    pub(super) fn add(&mut self, row: u32, name: &str) {
        grams_of(name).into_iter().for_each(|gram| self.insert(row, gram));
    }

    /// A row has a three.
    pub(super) fn insert(&mut self, row: u32, gram: u32) {
        if self.lists.len() < self.most || self.lists.contains_key(&gram) {
            self.lists.entry(gram).or_default().insert(row);
        } else {
            self.shared.entry(gram % SHARED).or_default().insert(row);
        }
    }

    /// Whether rows are in no list of a three that they do not have.
    pub(super) fn is_exact(&self) -> bool {
        self.shared.is_empty()
    }

    /// A row has a name no longer, but still those that are left.
    pub(super) fn remove<'a>(&mut self, row: u32, name: &str, left: impl Iterator<Item = &'a str>) {
        let mut kept: Vec<u32> = left.flat_map(grams_of).collect();
        kept.sort_unstable();
        for gram in grams_of(name) {
            if kept.binary_search(&gram).is_err() {
                self.take_out(row, gram);
            }
        }
    }

    /// A row has a three no longer.
    pub(super) fn take_out(&mut self, row: u32, gram: u32) {
        if let Some(rows) = self.lists.get_mut(&gram) {
            rows.remove(row);
            if rows.is_empty() {
                self.lists.remove(&gram);
            }
        }
    }

    /// Those of `rows` (of all, if there are none yet) that may have a word in their names: if the word has at most
    /// three bytes, exactly those that have it. Says what it cost, in comparisons.
    pub(super) fn narrow(&self, rows: Option<RoaringBitmap>, word: &str) -> (RoaringBitmap, usize) {
        let none = RoaringBitmap::new();
        if word.contains('\0') || rows.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return (none, 1);
        }
        let mut looked = 0;
        let mut lists: Vec<Cow<'_, RoaringBitmap>> = Vec::new();
        match word.as_bytes() {
            [one] => lists.extend(self.list(SINGLE | u32::from(*one))),
            [a, b] => {
                looked += usize::from(u8::MAX) / LISTS_PER_LOOK;
                let beginning = (0..=u8::MAX).filter_map(|c| self.list(three([*a, *b, c])));
                let (all, cost) = united(beginning);
                looked += cost;
                lists.push(Cow::Owned(all));
            }
            bytes => {
                let threes = bytes.windows(3).filter_map(|gram| Some(three(gram.try_into().ok()?)));
                lists.extend(threes.map(|gram| self.list(gram).unwrap_or_default()));
                lists.sort_by_key(|list| list.len());
                lists.truncate(MOST_GRAMS);
            }
        }
        if lists.is_empty() {
            return (none, looked);
        }
        let mut found = rows;
        for list in &lists {
            if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
                break;
            }
            looked += 1 + cost(list);
            found = Some(match found {
                None => list.clone().into_owned(),
                Some(mut found) => {
                    found &= &**list;
                    found
                }
            });
        }
        (found.unwrap_or(none), looked)
    }

    fn list(&self, gram: u32) -> Option<Cow<'_, RoaringBitmap>> {
        match (self.lists.get(&gram), self.shared.get(&(gram % SHARED))) {
            (Some(own), Some(shared)) => Some(Cow::Owned(own | shared)),
            (list, None) | (None, list) => list.map(Cow::Borrowed),
        }
    }
}

/// All that are in one of the lists, and what it cost.
fn united<'a>(lists: impl Iterator<Item = Cow<'a, RoaringBitmap>>) -> (RoaringBitmap, usize) {
    let (mut all, mut looked) = (RoaringBitmap::new(), 0);
    for list in lists {
        looked += cost(&list);
        all |= &*list;
    }
    (all, looked)
}

/// What it costs to go through a list, in comparisons.
fn cost(list: &RoaringBitmap) -> usize {
    usize::try_from(list.len() / ROWS_PER_LOOK).unwrap_or(usize::MAX)
}

/// The key of three bytes.
pub(super) fn three([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// The keys of a name, sorted, each once.
fn grams_of(name: &str) -> Vec<u32> {
    let bytes = name.as_bytes();
    let at = |n: usize| bytes.get(n).copied().unwrap_or(0);
    let mut grams = Vec::with_capacity(2 * bytes.len());
    for (n, byte) in bytes.iter().enumerate() {
        grams.push(three([*byte, at(n + 1), at(n + 2)]));
        grams.push(SINGLE | u32::from(*byte));
    }
    grams.sort_unstable();
    grams.dedup();
    grams
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows_with(grams: &Grams, word: &str) -> Vec<u32> {
        grams.narrow(None, word).0.iter().collect()
    }

    #[test]
    fn a_word_of_at_most_three_bytes_is_found_exactly_and_a_longer_one_never_missed() {
        let names = ["abcd", "bcda", "a", "xa", "\u{e9}t\u{e9}", "abxbcd"];
        let mut grams = Grams::default();
        (0..).zip(names).for_each(|(row, name)| grams.add(row, name));
        for (word, rows) in [
            ("a", &[0, 1, 2, 3, 5][..]),
            ("da", &[1]),
            ("bc", &[0, 1, 5]),
            ("bcd", &[0, 1, 5]),
            ("\u{e9}", &[4]),
            ("zz", &[]),
            ("a\0", &[]),
            ("a\0\0", &[]),
            // "abxbcd" has both threes of it.
            ("abcd", &[0]),
        ] {
            assert_eq!(rows_with(&grams, word), rows, "{word:?}");
        }
    }

    #[test]
    fn nothing_is_left_of_names_that_are_gone() {
        let mut grams = Grams::default();
        grams.add(1, "abc");
        grams.add(1, "bcd");
        grams.remove(1, "abc", ["bcd"].into_iter());
        assert_eq!(rows_with(&grams, "bc"), [1]);
        assert_eq!(rows_with(&grams, "a"), []);
        grams.remove(1, "bcd", std::iter::empty());
        assert!(grams.lists.is_empty());
    }

    proptest! {
        #[test]
        fn what_has_a_word_is_among_what_is_found(
            names in proptest::collection::vec("[ab\u{e9}]{1,8}", 1..20),
            word in "[ab\u{e9}]{1,5}",
            most in prop_oneof![Just(5usize), Just(1000)],
        ) {
            let mut grams = Grams { most, ..Grams::default() };
            (0..).zip(&names).for_each(|(row, name)| grams.add(row, name));
            let found = rows_with(&grams, &word);
            let have: Vec<u32> =
                (0..).zip(&names).filter(|(_, name)| name.contains(&word)).map(|(row, _)| row).collect();
            prop_assert!(have.iter().all(|row| found.contains(row)));
            prop_assert!(grams.lists.len() <= most && (most == 5 || grams.is_exact()));
            if word.len() <= 3 && grams.is_exact() {
                prop_assert_eq!(found, have);
            }
        }
    }
}
