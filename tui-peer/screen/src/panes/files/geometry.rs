//! What stands where in the files pane.

use common::numbers::saturate;

use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr as _;

use super::columns::{Column, fit};
use crate::format;
use crate::layout::inside;
use crate::model::{Model, Pane, Sort, Tab};
use crate::ui::text;
use engine::api::snapshot::NetState;

/// Whether the first row of a tab is its filter: while that is typed, and as long as there is one.
pub(crate) fn has_filter_row(model: &Model, tab: Tab) -> bool {
    model.is_filtering() && tab == model.tab || !model.list_of(tab).field.text().is_empty()
}

/// Lines above the list of peers that say whether others can reach us, in a pane with so much room inside; none elsewhere.
pub(crate) fn reach_lines(model: &Model, tab: Tab, room: u16) -> Vec<String> {
    const MOST: usize = 2;
    let network = &model.snap.network;
    if tab != Tab::Peers || network.state != NetState::On {
        return Vec::new();
    }
    let words = network.reach().words();
    text::wrap(&words, usize::from(room.saturating_sub(2))).into_iter().take(MOST).collect()
}

/// Rows of a tab above its headings.
fn above(model: &Model, area: Rect, tab: Tab) -> u16 {
    let lines = reach_lines(model, tab, inside(area).width).len();
    u16::from(has_filter_row(model, tab)).saturating_add(u16::try_from(lines).unwrap_or(0))
}

/// Row of the headings.
fn heads(model: &Model, area: Rect) -> Rect {
    let inner = inside(area);
    let above = above(model, area, model.tab);
    Rect { y: inner.y + above, height: 1, ..inner }
}

/// Rows for the list of a tab in a pane of this size: its inside without filter, words on reach, and headings.
pub(crate) fn height(model: &Model, area: Rect, tab: Tab) -> usize {
    let above = 1 + above(model, area, tab);
    usize::from(inside(area).height.saturating_sub(above))
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
    let list = model.list_of(model.tab);
    let row = usize::from(at.y.checked_sub(first)?);
    let place = list.offset + row;
    (inside(area).contains(at) && place < list.rows.len()).then_some(place)
}

/// A part of the pane's title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Title {
    /// The name of the pane.
    Pane,
    /// What stands between tabs.
    Gap,
    Tab(Tab),
}

/// The parts of the title in a pane of this width, from left to right.
pub(crate) fn titles(model: &Model, width: u16) -> Vec<(String, Title)> {
    let mut title = Vec::new();
    if width >= 70 {
        title.push((format!("{}  ", Pane::Files.title(&model.keymap)), Title::Pane));
    }
    for tab in Tab::ALL {
        let list = model.list_of(tab);
        // Who is there is only known while it is looked at.
        let unseen = tab == Tab::Peers && tab != model.tab;
        let count = if list.filter.is_empty() || unseen {
            format::count(list.total as u64)
        } else {
            format!(
                "{} of {}",
                format::count(list.rows.len() as u64),
                format::count(list.total as u64)
            )
        };
        if tab != Tab::Network {
            title.push((format!(" {} ", model.theme.separator()), Title::Gap));
        }
        let open = tab == model.tab;
        let mut text = tab.title().to_owned();
        if open || width >= 56 {
            text = format!("{text} {count}");
        }
        if open {
            text = format!("[{text}]");
        }
        title.push((text, Title::Tab(tab)));
    }
    title
}

/// The tab whose title is at column `x` of the pane's upper border.
pub(crate) fn tab_at(model: &Model, area: Rect, x: u16) -> Option<Tab> {
    let mut at = area.x + 3;
    for (text, title) in titles(model, area.width) {
        let end = at + saturate::<u16>(text.width());
        if (at..end).contains(&x) {
            return match title {
                Title::Tab(tab) => Some(tab),
                Title::Pane | Title::Gap => None,
            };
        }
        at = end;
    }
    None
}
