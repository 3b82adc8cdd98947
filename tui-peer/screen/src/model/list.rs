//! A list whose cursor stays on its row while rows come, go and move. Knows only positions; what the
//! rows are is the model's business.

use std::path::PathBuf;
use std::sync::Arc;

use common::id::{ContentId, PeerId};

use super::Sort;
use crate::field::Field;
use crate::filter::Filter;

/// What identifies a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// Content.
    Content(ContentId),
    /// A share that is being hashed.
    Path(PathBuf),
    /// A peer.
    Peer(PeerId),
}

/// Rows, cursor and view of a list.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Places of the shown rows in their source, in order. Shared with what made them: there may be 200,000.
    pub rows: Arc<[u32]>,
    /// Rows there are without the filter.
    pub total: usize,
    /// Place of the cursor in `rows`.
    pub cursor: usize,
    /// What is under the cursor.
    pub key: Option<RowKey>,
    /// First visible row.
    pub offset: usize,
    /// Order.
    pub sort: Sort,
    /// Whether it is reversed.
    pub reverse: bool,
    /// Filter being typed.
    pub field: Field,
    /// The same, parsed.
    pub filter: Filter,
}

impl List {
    /// For a list whose source is in its own order: only how many rows there are.
    pub fn count(&mut self, rows: usize) {
        if self.rows.len() != rows {
            self.rows = vec![0; rows].into();
        }
    }

    /// Moves the cursor by `by` rows.
    pub fn step(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
    }

    /// Scrolls the view by `by` rows; the cursor stays visible.
    pub fn scroll(&mut self, by: isize, height: usize) {
        let most = self.rows.len().saturating_sub(height.max(1));
        self.offset = self.offset.saturating_add_signed(by).min(most);
        let last = self.rows.len().saturating_sub(1);
        self.cursor =
            self.cursor.max(self.offset).min(self.offset + height.saturating_sub(1)).min(last);
    }

    /// After the rows changed: puts the cursor back on its row, or, if that is gone, leaves it where it
    /// was.
    pub fn find_again(&mut self, position: Option<usize>) {
        if let Some(position) = position {
            // The row keeps its place on the screen if it can.
            let above = self.cursor.saturating_sub(self.offset);
            self.cursor = position;
            self.offset = position.saturating_sub(above);
        }
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
    }

    /// Makes the cursor visible in a view of `height` rows.
    pub fn settle(&mut self, height: usize) {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = self.cursor.min(last);
        if height == 0 {
            return;
        }
        if self.cursor < self.offset {
            self.offset = self.cursor;
        } else if self.cursor >= self.offset + height {
            self.offset = self.cursor + 1 - height;
        }
        self.offset = self.offset.min(self.rows.len().saturating_sub(height));
    }

    /// Visible positions for a view of `height` rows.
    pub fn visible(&self, height: usize) -> std::ops::Range<usize> {
        let end = (self.offset + height).min(self.rows.len());
        self.offset.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursor_is_always_visible(
            steps in prop::collection::vec((-30isize..30, 0usize..60, 1usize..20, any::<bool>()), 1..60)
        ) {
            let mut list = List::default();
            for (by, rows, height, scroll) in steps {
                list.rows = (0..rows as u32).collect();
                list.find_again(None);
                if scroll { list.scroll(by, height) } else { list.step(by) }
                list.settle(height);
                let visible = list.visible(height);
                prop_assert!(visible.len() == rows.min(height));
                prop_assert!(rows == 0 || visible.contains(&list.cursor));
            }
        }
    }

    #[test]
    fn the_row_keeps_its_place_on_the_screen() {
        let mut list = List { rows: (0..100).collect(), cursor: 50, offset: 45, ..List::default() };
        list.find_again(Some(60));
        list.settle(10);
        assert_eq!((list.cursor, list.offset), (60, 55));
    }
}
