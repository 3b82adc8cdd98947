//! Where the map is in its pane, and how much room the words below it have.

use ratatui::layout::Rect;

use crate::layout::inside;
use crate::model::Model;
use crate::panes::holders;

/// Rows of the map that words and legend must leave it.
pub(crate) const MIN_MAP: u16 = 3;

/// Where the map itself is; also decides for how many cells it is built. Does not depend on what is
/// said beside it, so that the map stands still while that changes.
pub fn map_area(model: &Model) -> Rect {
    let areas = model.areas();
    if model.swarm.open {
        return holders::geometry::own_strip(model);
    }
    if areas.chunks.is_empty() {
        // The small layout has the map of one line in its summary.
        let line = areas.summary;
        if line.height < 2 {
            return Rect::ZERO;
        }
        return Rect {
            x: line.x + 1,
            y: line.y + 1,
            width: line.width.saturating_sub(2),
            height: 1,
        };
    }
    let inner = inside(areas.chunks);
    let legend = u16::from(inner.height > MIN_MAP);
    let scale = scale_rows(model, inner);
    let height = inner.height.saturating_sub(word_rows(model, inner) + legend + scale);
    Rect { y: inner.y + scale, height, ..inner }
}

/// Rows for words: as many as the pane can spare.
pub(crate) fn word_rows(model: &Model, inner: Rect) -> u16 {
    let most = match inner.height {
        0..=4 => 0,
        5..=7 => 1,
        8..=11 => 2,
        // Long sentences need a second row where it is narrow.
        _ if inner.width >= 70 => 3,
        12..=17 => 4,
        _ => 5,
    };
    // The details have a line for the cursor as well.
    most + u16::from(model.details && inner.height >= 8)
}

/// Whether the scale stands above the map.
pub(crate) fn scale_rows(model: &Model, inner: Rect) -> u16 {
    u16::from(model.details && inner.height >= 7)
}
