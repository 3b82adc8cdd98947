//! What stands where in the files pane, for the mouse.

use ratatui::layout::{Position, Rect};

use super::super::layout::inside;
use super::super::model::{Model, Sort, Tab};
use super::columns::{Column, fit};

/// Row of the headings.
fn heads(model: &Model, area: Rect) -> Rect {
    let inner = inside(area);
    let filter = model.filtering || !model.list().field.text().is_empty();
    Rect { y: inner.y + u16::from(filter), height: 1, ..inner }
}

/// The order that the heading at a place stands for.
pub(crate) fn sort_at(model: &Model, area: Rect, at: Position) -> Option<Sort> {
    let heads = heads(model, area);
    if !heads.contains(at) || !inside(area).contains(at) {
        return None;
    }
    let (columns, name) = fit(model, heads.width);
    let mut end = heads.x + 3 + name;
    let mut sort = Some(Sort::Name);
    for column in columns {
        if at.x < end {
            break;
        }
        end += column.width() + 1;
        sort = match column {
            Column::Size | Column::Shares => Some(Sort::Size),
            Column::Online => Some(Sort::Newest),
            // The order of that list knows no rates.
            Column::Rate | Column::Pace if model.tab == Tab::Network => None,
            Column::Sources | Column::Rate | Column::Pace | Column::Up | Column::Down => {
                Some(Sort::Sources)
            }
            Column::Done | Column::Bar => Some(Sort::Done),
            _ => None,
        };
    }
    sort.filter(|sort| Sort::choices(model.tab).contains(sort))
}

/// Place in the list of the row at a place.
pub(crate) fn row_at(model: &Model, area: Rect, at: Position) -> Option<usize> {
    let first = heads(model, area).bottom();
    let list = model.list();
    let row = usize::from(at.y.checked_sub(first)?);
    let place = list.offset + row;
    (inside(area).contains(at) && place < list.rows.len()).then_some(place)
}
