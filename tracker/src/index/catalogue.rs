//! By what rows are found and put in order, beside the rows themselves: so that a search among a million of them goes
//! through short lists and columns of numbers, and looks at few rows.

use common::numbers::saturate;
use common::wire::tracker::Sort;

use super::file::File;
use super::grams::Grams;
use super::order::{Between, Order};
use super::slab::Slab;

#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) grams: Grams,
    pub(super) order: Order,
    /// By row; of one that is gone they mean nothing.
    numbers: Vec<Numbers>,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    total: u64,
    first_seen: u32,
    sources: u32,
}

/// Where a row stands in some order: a number by which it is sorted, of which the smaller comes first, and its place in
/// the order by name.
pub(super) type Standing = (u64, u64);

impl Catalogue {
    /// Handles that rows may have: all below this.
    pub(super) fn end(&self) -> u32 {
        saturate::<u32>(self.numbers.len())
    }

    /// By what a row is sorted: the smaller comes first.
    pub(super) fn number(&self, sort: Sort, row: u32) -> u64 {
        let numbers = self.numbers.get(row as usize).copied().unwrap_or_default();
        match sort {
            Sort::Name => 0,
            Sort::Size => !numbers.total,
            Sort::Sources => !u64::from(numbers.sources),
            Sort::Newest => !u64::from(numbers.first_seen),
        }
    }

    /// Where a row stands; `None` if there is none.
    pub(super) fn standing(&self, sort: Sort, row: u32) -> Option<Standing> {
        Some((self.number(sort, row), self.order.number(row)?))
    }

    /// Takes over what a row is sorted by.
    pub(super) fn note(&mut self, row: u32, file: &File) {
        if row as usize >= self.numbers.len() {
            self.numbers.resize(row as usize + 1, Numbers::default());
        }
        if let Some(numbers) = self.numbers.get_mut(row as usize) {
            *numbers = Numbers {
                total: file.total,
                first_seen: saturate::<u32>(file.first_seen),
                sources: file.sources(),
            };
        }
    }

    /// Puts a row where its name belongs.
    pub(super) fn place(&mut self, row: u32, files: &Slab<File>) {
        self.order.remove(row);
        if let Some(file) = files.get(row) {
            let key = (file.folded(), file.id);
            let is_before = |other| files.get(other).is_some_and(|o| (o.folded(), o.id) < key);
            self.order.insert(row, is_before);
        }
    }

    /// A row that is being removed: it had these names.
    pub(super) fn remove(&mut self, row: u32, file: &File) {
        self.order.remove(row);
        for name in file.all_folded() {
            self.grams.remove(row, name, std::iter::empty());
        }
    }

    /// Behind the row of this name and id, or where it would be.
    pub(super) fn behind(
        &self,
        files: &Slab<File>,
        name: &str,
        id: &common::id::ContentId,
    ) -> Between {
        self.order
            .find(|row| files.get(row).is_some_and(|file| (file.folded(), &file.id) <= (name, id)))
    }
}
