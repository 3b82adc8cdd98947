//! How many contents have no or one complete source, counted as sources come and go: nobody has to walk over the
//! catalogue to know.

use super::Index;

/// Contents with complete sources. Those without any are all others.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// At least one.
    any: usize,
    /// Exactly one.
    one: usize,
}

impl Copies {
    /// A content has `after` complete sources, and had `before`. Its row goes only when it has none.
    pub(super) fn moved(&mut self, before: u32, after: u32) {
        // Added first: a sum must not go below zero on its way.
        self.any = (self.any + usize::from(after > 0)).saturating_sub(usize::from(before > 0));
        self.one = (self.one + usize::from(after == 1)).saturating_sub(usize::from(before == 1));
    }
}

impl Index {
    /// Contents of which no connected peer has every chunk.
    pub(super) fn uncopied(&self) -> usize {
        self.by_id.len().saturating_sub(self.copies.any)
    }

    /// Contents of which exactly one connected peer has every chunk.
    pub(super) fn copied_once(&self) -> usize {
        self.copies.one
    }
}
