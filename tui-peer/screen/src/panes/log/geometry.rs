//! Where the lines of the log are, and how many rows each takes.

use ratatui::layout::Rect;

use crate::layout::inside;
use crate::model::{LogLine, Model, Pane};
use crate::ui::text::wrap;

/// Rows inside a zoomed log from which on what is filtered and the keys get rows of their own.
const ROOMY: u16 = 8;
/// Width from which on the part of the program is named.
pub(crate) const WITH_TARGET: u16 = 60;

/// How lines are laid out: what decides how many rows each takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Columns for the text.
    pub(crate) room: usize,
    pub(crate) wrap: bool,
    pub(crate) details: bool,
}

impl Shape {
    pub(crate) fn of(model: &Model, area: Rect) -> Self {
        // Time, level, margins; and the target.
        let before = if area.width >= WITH_TARGET { 1 + 9 + 6 + 6 } else { 1 + 9 + 6 };
        Self {
            room: usize::from(area.width.saturating_sub(before + 1)),
            wrap: model.log.wrap,
            details: model.log.wrap || is_zoomed(model),
        }
    }

    /// Rows that a line takes.
    pub(crate) fn rows(self, line: &LogLine) -> usize {
        let text = if self.wrap { wrap(&line.text, self.room).len().max(1) } else { 1 };
        text + if self.details { line.details.len() } else { 0 }
    }
}

fn is_zoomed(model: &Model) -> bool {
    model.zoom && model.focus == Pane::Log
}

/// Where the lines are.
pub(crate) fn list_area(model: &Model, area: Rect) -> Rect {
    let inner = inside(area);
    if is_zoomed(model) && inner.height >= ROOMY {
        Rect { y: inner.y + 1, height: inner.height - 3, ..inner }
    } else {
        inner
    }
}
