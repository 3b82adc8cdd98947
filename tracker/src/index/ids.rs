//! Rows by their content's id. The table has handles only, since each row has its id: 8 bytes a row, and not 60.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use common::id::ContentId;
use hashbrown::HashTable;

use super::file::File;
use super::slab::Slab;

#[derive(Debug, Default)]
pub(super) struct Ids {
    rows: HashTable<u32>,
    /// Strangers choose what they register: the hash has a key.
    hasher: RandomState,
}

impl Ids {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: &ContentId, files: &Slab<File>) -> Option<u32> {
        let is_it = |row: &u32| files.get(*row).is_some_and(|file| file.id == *id);
        self.rows.find(self.hasher.hash_one(id), is_it).copied()
    }

    /// Enters a row that is not in it.
    pub(super) fn insert(&mut self, id: &ContentId, row: u32, files: &Slab<File>) {
        let Self { rows, hasher } = self;
        let hash_of = |row: &u32| files.get(*row).map_or(0, |file| hasher.hash_one(file.id));
        rows.insert_unique(hasher.hash_one(id), row, hash_of);
    }

    pub(super) fn remove(&mut self, id: &ContentId, row: u32) {
        if let Ok(found) = self.rows.find_entry(self.hasher.hash_one(id), |known| *known == row) {
            found.remove();
        }
    }
}
