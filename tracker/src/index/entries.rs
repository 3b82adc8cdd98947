//! A peer's entries by the row's handle, in an order in which they can be gone through bit by bit.
//!
//! Sorted chunks: most come in the order of their handles, since rows are made when they are registered, and would fill
//! the nodes of a `BTreeMap` by little more than half. For a million entries that is some 60 MB.

use super::entry::Entry;

/// Entries in a chunk: to move half of them takes no longer than to look for the place.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Entries {
    /// None is empty.
    chunks: Vec<Vec<(u32, Entry)>>,
    len: usize,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, file: &u32) -> Option<&Entry> {
        let (chunk, at) = self.find(*file).ok()?;
        Some(&self.chunks.get(chunk)?.get(at)?.1)
    }

    pub(super) fn get_mut(&mut self, file: &u32) -> Option<&mut Entry> {
        let (chunk, at) = self.find(*file).ok()?;
        Some(&mut self.chunks.get_mut(chunk)?.get_mut(at)?.1)
    }

    pub(super) fn contains_key(&self, file: &u32) -> bool {
        self.find(*file).is_ok()
    }

    /// Enters one that is not there; whether it was not.
    pub(super) fn insert(&mut self, file: u32, entry: Entry) -> bool {
        let Err((at_chunk, at)) = self.find(file) else { return false };
        self.len += 1;
        let Some(chunk) = self.chunks.get_mut(at_chunk) else {
            self.chunks.push(vec![(file, entry)]);
            return true;
        };
        if chunk.len() < MOST {
            chunk.insert(at, (file, entry));
        } else if at == MOST {
            // Behind all of a full chunk: those who come in order leave it full.
            self.chunks.insert(at_chunk + 1, vec![(file, entry)]);
        } else {
            let mut upper = chunk.split_off(MOST / 2);
            match at.checked_sub(MOST / 2) {
                Some(at) => upper.insert(at, (file, entry)),
                None => chunk.insert(at, (file, entry)),
            }
            self.chunks.insert(at_chunk + 1, upper);
        }
        true
    }

    pub(super) fn remove(&mut self, file: &u32) -> Option<Entry> {
        let (at_chunk, at) = self.find(*file).ok()?;
        let chunk = self.chunks.get_mut(at_chunk)?;
        let (_, entry) = chunk.remove(at);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(at_chunk);
        }
        Some(entry)
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&u32, &Entry)> {
        self.chunks.iter().flatten().map(|(file, entry)| (file, entry))
    }

    /// The handles behind one, in order.
    pub(super) fn behind(&self, after: Option<u32>) -> impl Iterator<Item = u32> {
        let start = match after.map(|file| self.find(file)) {
            None => (0, 0),
            Some(Ok((chunk, at))) => (chunk, at + 1),
            Some(Err(place)) => place,
        };
        let chunks = self.chunks.get(start.0..).unwrap_or_default();
        chunks.iter().flatten().skip(start.1).map(|(file, _)| *file)
    }

    /// Where an entry is, or would be: in the last chunk that begins no later.
    fn find(&self, file: u32) -> Result<(usize, usize), (usize, usize)> {
        let begins_later =
            |chunk: &Vec<(u32, Entry)>| chunk.first().is_some_and(|(f, _)| *f > file);
        let chunk = self.chunks.partition_point(|chunk| !begins_later(chunk)).saturating_sub(1);
        let entries = self.chunks.get(chunk).map_or(&[][..], Vec::as_slice);
        let found = entries.binary_search_by_key(&file, |(file, _)| *file);
        found.map(|at| (chunk, at)).map_err(|at| (chunk, at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_those_of_a_map(
            start in 0u32..300,
            ops in proptest::collection::vec((any::<bool>(), 0u32..400), 0..400),
            after in proptest::option::of(0u32..400),
        ) {
            let (mut entries, mut map) = (Entries::default(), BTreeMap::new());
            let all = (0..start).map(|n| (true, n * 2)).chain(ops);
            for (n, (adds, file)) in (0u64..).zip(all) {
                if adds {
                    let entry = Entry { stamp: n, ..Entry::new(0) };
                    prop_assert_eq!(entries.insert(file, entry), !map.contains_key(&file));
                    map.entry(file).or_insert(n);
                } else {
                    prop_assert_eq!(entries.remove(&file).map(|entry| entry.stamp), map.remove(&file));
                }
            }
            let stamps = entries.iter().map(|(file, entry)| (*file, entry.stamp));
            prop_assert!(stamps.eq(map.iter().map(|(file, n)| (*file, *n))));
            prop_assert_eq!((entries.len(), entries.is_empty()), (map.len(), map.is_empty()));
            prop_assert!(entries.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MOST));
            for file in 0..400 {
                prop_assert_eq!(entries.get(&file).map(|entry| entry.stamp), map.get(&file).copied());
                prop_assert_eq!(entries.contains_key(&file), map.contains_key(&file));
                prop_assert_eq!(entries.get_mut(&file).is_some(), map.contains_key(&file));
            }
            let behind: Vec<u32> = map.keys().copied().filter(|file| after.is_none_or(|after| *file > after)).collect();
            prop_assert_eq!(entries.behind(after).collect::<Vec<_>>(), behind);
        }
    }
}
