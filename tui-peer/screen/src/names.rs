//! The folded names of a catalogue in one piece of text, so that a word is searched for in all of them
//! with one pass of a vector search. Pure; about 45 bytes a file.

use common::numbers::saturate;

use memchr::memmem::Finder;

use super::filter::{ALIAS, fold};
use engine::api::snapshot::Catalogue;

/// Ends a row.
const ROW: char = '\n';

/// Names of all rows, other names included, as [`fold`] makes them.
#[derive(Debug, Default)]
pub struct Names {
    text: String,
    /// Where each row ends in `text`.
    ends: Vec<u32>,
}

/// One bit per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits(Vec<u64>);

impl Names {
    /// Reads all names. Rows beyond four gigabytes of names are not found by name.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut names =
            Self { text: String::new(), ends: Vec::with_capacity(catalogue.rows.len()) };
        for row in &catalogue.rows {
            names.push(&row.name);
            for alias in row.aliases() {
                names.text.push(ALIAS);
                names.push(alias);
            }
            names.text.push(ROW);
            let end = saturate::<u32>(names.text.len());
            names.ends.push(end);
        }
        names.text.shrink_to_fit();
        names
    }

    fn push(&mut self, name: &str) {
        // What separates rows must not stand in one; names were made safe to show long before.
        if name.is_ascii() && !name.contains([ROW, ALIAS]) {
            let from = self.text.len();
            self.text.push_str(name);
            if let Some(added) = self.text.get_mut(from..) {
                added.make_ascii_lowercase();
            }
        } else {
            self.text.push_str(&fold(name).replace([ROW, ALIAS], " "));
        }
    }

    /// The folded names of one row, [`ALIAS`] between them.
    pub fn row(&self, at: usize) -> &str {
        let from = at.checked_sub(1).and_then(|i| self.ends.get(i)).map_or(0, |end| *end as usize);
        let to = self.ends.get(at).map_or(0, |end| (*end as usize).saturating_sub(1));
        self.text.get(from..to).unwrap_or_default()
    }

    /// Rows with `word` in one of their names.
    pub fn find(&self, word: &str) -> Hits {
        let mut hits = Hits(vec![0; self.ends.len().div_ceil(64)]);
        let finder = Finder::new(word.as_bytes());
        let bytes = self.text.as_bytes();
        let (mut from, mut row) = (0usize, 0usize);
        while let Some(found) = bytes.get(from..).and_then(|rest| finder.find(rest)) {
            let at = from + found;
            // Hits come in order: the row is ahead, mostly near.
            row += self.ends.get(row..).map_or(0, |ends| gallop(ends, at));
            let Some(end) = self.ends.get(row) else { break };
            if let Some(word) = hits.0.get_mut(row / 64) {
                *word |= 1 << (row % 64);
            }
            from = *end as usize;
        }
        hits
    }

    /// Heap bytes used.
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

/// How many of the sorted `ends` are at most `at`; quick when there are few.
fn gallop(ends: &[u32], at: usize) -> usize {
    let mut step = 1;
    while ends.get(step).is_some_and(|end| *end as usize <= at) {
        step *= 2;
    }
    let (low, high) = (step / 2, (step + 1).min(ends.len()));
    let part = ends.get(low..high).unwrap_or_default();
    low + part.partition_point(|end| *end as usize <= at)
}

impl Hits {
    /// Whether a row is one.
    pub fn contains(&self, row: u32) -> bool {
        self.0.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use common::content::Kind;
    use common::id::ContentId;
    use proptest::prelude::*;

    use super::*;
    use engine::api::snapshot::{CatalogueRow, OtherNames};

    fn catalogue(names: &[(String, Vec<String>)]) -> Catalogue {
        let row = |(name, aliases): &(String, Vec<String>)| CatalogueRow {
            id: ContentId::from_bytes([0; 32]),
            name: name.as_str().into(),
            others: OtherNames::of(None, aliases.iter().map(|a| a.as_str().into()).collect()),
            kind: Kind::File,
            size: 1,
            chunks: 1,
            sources: 1,
            complete: 1,
            first_seen: 0,
        };
        Catalogue { version: 1, rows: names.iter().map(row).collect(), whole: true }
    }

    proptest! {
        #[test]
        fn finds_what_looking_at_every_name_finds(
            names in prop::collection::vec(("[a-cA-C\\.éß]{0,6}", prop::collection::vec("[a-c]{0,3}".prop_map(String::from), 0..2)), 0..200),
            word in "[a-cé]{1,3}",
        ) {
            let names: Vec<(String, Vec<String>)> = names;
            let index = Names::of(&catalogue(&names));
            let word = fold(&word);
            let hits = index.find(&word);
            for (i, (name, aliases)) in names.iter().enumerate() {
                let expected = fold(name).contains(&word) || aliases.iter().any(|a| a.contains(&word));
                prop_assert_eq!(hits.contains(i as u32), expected, "{:?}", name);
                prop_assert!(index.row(i).starts_with(&fold(name)));
            }
        }
    }
}
