//! Which rows of the transfers pane are visible.

use ratatui::layout::Rect;

use crate::model::{Model, Tab};

/// First visible row: the cursor is always visible.
pub(crate) fn first(model: &Model, inner: Rect) -> usize {
    let list = model.list_of(Tab::Downloads);
    let height = usize::from(inner.height.max(1));
    let cursor = if model.in_transfers { list.cursor } else { 0 };
    (cursor + 1).saturating_sub(height)
}
