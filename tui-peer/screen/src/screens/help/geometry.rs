//! Where the help is, and how much of it can be seen.

use ratatui::layout::Rect;

use super::text::{COLUMN, rows};
use crate::layout::centred;
use crate::model::Model;

/// The box, its columns, and rows in each of them.
pub(crate) fn places(model: &Model) -> (Rect, u16, usize) {
    let whole = Rect::new(0, 0, model.size.0, model.size.1);
    let columns = ((whole.width.saturating_sub(4)) / COLUMN).clamp(1, 3);
    let area = centred(whole, columns * COLUMN + 4, whole.height.saturating_sub(2));
    (area, columns, usize::from(area.height.saturating_sub(3)))
}

/// How far the help can be scrolled.
pub(crate) fn last_scroll(model: &Model, query: &str) -> usize {
    let (_, columns, height) = places(model);
    let n = rows(model, query).len().div_ceil(usize::from(columns));
    n.saturating_sub(height)
}
