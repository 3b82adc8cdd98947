//! Downloads in the order of the queue, where there is room for them all the time.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::action::Action;
use crate::model::{Model, Pane, Tab};
use crate::panes::files::columns::Column;
use crate::panes::files::view::cells::{progress, transfer_cell};
use crate::panes::transfers::geometry::first;
use crate::ui::paint::{self, Piece};
use crate::{format, labels};
use engine::api::command::Priority;
use engine::api::snapshot::{Transfer, TransferState};

/// Cells of the progress bar.
const BAR: u16 = 25;
/// Share (10 columns), rate, and how long or why.
const COLUMNS: [(u16, Cell); 4] =
    [(BAR, Cell::Bar), (5, Cell::Done), (10, Cell::Rate), (18, Cell::Why)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Bar,
    Done,
    Rate,
    Why,
}

/// Draws the pane.
pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let focused = model.focus == Pane::Transfers;
    let list = model.list_of(Tab::Downloads);
    let height = usize::from(area.height.saturating_sub(2));
    let inner = crate::layout::inside(area);
    let first = first(model, inner);
    let title = if focused { theme.bold() } else { theme.dim() };
    let frame = paint::Frame {
        title: vec![(Pane::Transfers.title(&model.keymap), title), (counts(model), theme.dim())],
        note: vec![(rates(model), Style::new())],
        scroll: Some((first, height, list.rows.len())),
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if list.rows.is_empty() {
        let text = if list.filter.is_empty() {
            let key = model.keymap.way(Action::Download);
            let then = key.map_or_else(String::new, |key| format!(" Pick a file, press {key}."));
            format!("No downloads.{then}")
        } else {
            "No download matches the filter of the Downloads tab.".to_owned()
        };
        paint::text(buf, inner.x + 2, inner.y, inner.width, &text, theme.dim());
        return;
    }
    for (y, at) in (inner.y..inner.bottom()).zip(first..) {
        let Some(t) = model.transfer_row(Tab::Downloads, at) else { break };
        let line = Rect { y, height: 1, ..inner };
        row(model, buf, line, t);
        if at == list.cursor && model.in_transfers {
            paint::text(buf, inner.x, y, 1, theme.bar(), Style::new());
            let style = if focused { theme.selected() } else { theme.bold() };
            for x in inner.x..inner.right() {
                if let Some(cell) = buf.cell_mut((x, y)) {
                    if focused {
                        cell.set_style(Style::reset());
                    }
                    cell.set_style(style);
                }
            }
        }
    }
}

/// "1 active · 1 paused".
fn counts(model: &Model) -> String {
    let open: Vec<&Transfer> = model.snap.transfers.iter().filter(|t| t.is_unfinished()).collect();
    let count = |which: fn(&Transfer) -> bool| open.iter().filter(|t| which(t)).count();
    let parts: Vec<String> = [
        (count(|t| t.state == TransferState::Getting), "active"),
        (count(|t| t.state == TransferState::Paused), "paused"),
        (count(|t| t.state == TransferState::Queued), "queued"),
        (count(|t| labels::is_wrong(t) && t.plan.watch), "watched"),
        (count(|t| labels::is_wrong(t) && !t.plan.watch), "wrong"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    format!(" {}", parts.join(&format!(" {} ", model.theme.dot())))
}

fn rates(model: &Model) -> String {
    let (theme, totals) = (model.theme, &model.snap.totals);
    let rate = |rate| format::rate(rate, theme.dash(), model.units).trim().to_owned();
    format!("{} {} {} {}", theme.down(), rate(totals.down_rate), theme.up(), rate(totals.up_rate))
}

fn row(model: &Model, buf: &mut Buffer, area: Rect, t: &Transfer) {
    let theme = model.theme;
    let taken: u16 = COLUMNS.iter().map(|(width, _)| width + 2).sum();
    let room = area.width.saturating_sub(taken + 4);
    let style = if labels::is_wrong(t) { theme.error() } else { Style::new() };
    paint::text(buf, area.x + 1, area.y, 1, labels::state_glyph(t, theme), style);
    let badge = badge(t);
    let width = usize::from(room).saturating_sub(badge.len());
    let name = theme.fit(&t.name, width);
    let end = paint::text(buf, area.x + 3, area.y, room, &name, Style::new());
    paint::text(buf, end, area.y, 12, &badge, theme.dim());
    let mut x = area.x + 3 + room;
    for (width, cell) in COLUMNS {
        let (text, style): Piece = match cell {
            Cell::Bar => (progress(theme, t, usize::from(BAR)), theme.accent()),
            Cell::Done => transfer_cell(model, t, Column::Done),
            Cell::Rate => transfer_cell(model, t, Column::Rate),
            Cell::Why => {
                let (text, style) = transfer_cell(model, t, Column::Outlook);
                let help = match t.state {
                    TransferState::Paused => model.keymap.and("  ", Action::Pause, "resume"),
                    TransferState::DiskFull | TransferState::Failed(_) => {
                        model.keymap.and("  ", Action::Retry, "retry")
                    }
                    _ => String::new(),
                };
                (format!("{text}{help}"), style)
            }
        };
        let width = width.min(area.right().saturating_sub(x + 2));
        paint::right(buf, x + 2, area.y, width, &text, style);
        x += width + 2;
    }
}

/// What is unusual about a download.
fn badge(t: &Transfer) -> String {
    let mut out = String::new();
    if t.plan.priority != Priority::Normal && t.is_unfinished() {
        out.push_str("  ");
        out.push_str(t.plan.priority.word());
    }
    if t.plan.sequential {
        out.push_str("  in order");
    }
    out
}

/// Keys for the footer while the pane has the keys, the most used ones first.
pub(crate) fn footer() -> Vec<(Action, &'static str)> {
    vec![
        (Action::Retry, "retry"),
        (Action::Pause, "pause"),
        (Action::Enter, "details"),
        (Action::Raise, "raise"),
        (Action::Lower, "lower"),
        (Action::QueueUp, "up"),
        (Action::QueueDown, "down"),
        (Action::Remove, "remove"),
        (Action::Clear, "clear finished"),
        (Action::NextPane, "pane"),
    ]
}
