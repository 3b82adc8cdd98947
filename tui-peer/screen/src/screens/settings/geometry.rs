//! Where everything of the settings screen is; for drawing and for the mouse.

use ratatui::layout::Rect;

use crate::layout::{centred, inside};
use crate::model::{Model, Panel};

/// Widest box: longer lines are harder to read than to scroll.
const WIDE: u16 = 100;
/// Tallest box.
const TALL: u16 = 28;
/// Columns of the pages' names.
pub(crate) const PAGES: u16 = 12;
/// Narrower boxes show the open page in the title instead.
const NARROW: u16 = 64;
/// Lines below the rows: preview, explanation (two), message (two).
pub(crate) const BELOW: u16 = 6;

/// Where everything is.
pub(crate) struct Places {
    /// The box.
    pub(crate) area: Rect,
    /// Names of the pages; empty where it is too narrow.
    pub(crate) pages: Rect,
    /// The field to find rows by, if it is open.
    pub(crate) find: Rect,
    /// The rows.
    pub(crate) rows: Rect,
    /// First visible row.
    pub(crate) first: usize,
    /// What is said below.
    pub(crate) below: Rect,
}

impl Places {
    /// For the present size.
    pub(crate) fn new(model: &Model, panel: &Panel) -> Self {
        let whole = Rect::new(0, 0, model.size.0, model.size.1);
        let width = whole.width.saturating_sub(2).clamp(10, WIDE);
        let height = whole.height.min(TALL);
        let height = height.saturating_sub(u16::from(height > 20)).max(6);
        let area = centred(whole, width, height);
        let inner = inside(area);
        let narrow = area.width < NARROW;
        let pages = Rect { width: if narrow { 0 } else { PAGES }, ..inner };
        let right = Rect {
            x: inner.x + 1 + pages.width,
            width: inner.width.saturating_sub(2 + pages.width),
            ..inner
        };
        let below = BELOW.min(right.height / 2);
        let find = u16::from(panel.query.is_some()).min(right.height - below);
        let rows = Rect { y: right.y + find, height: right.height - below - find, ..right };
        let height = usize::from(rows.height);
        // With room to spare, the cursor is not at the very edge.
        let first = panel.cursor.saturating_sub(height.saturating_sub(2).max(1).min(height));
        let first = first.min(panel.rows(model).len().saturating_sub(height));
        Self {
            area,
            pages,
            find: Rect { height: find, ..right },
            rows,
            first,
            below: Rect { y: rows.bottom(), height: below, ..right },
        }
    }
}
