//! Sources of the selected file: who sends how fast, and why somebody does not.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::engine::snapshot::{SourceRow, SourceState};

use super::super::format;
use super::super::model::{Model, Pane};
use super::super::verdict::source_name;
use super::cells::rtt;
use super::paint::{self, Piece};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Address,
    Rate,
    Spark,
    Got,
    Has,
    Pipe,
    Rtt,
    Up,
    State,
    Why,
}

impl Column {
    const ALL: [Self; 10] = [
        Self::Address,
        Self::Rate,
        Self::Spark,
        Self::Got,
        Self::Has,
        Self::Pipe,
        Self::Rtt,
        Self::Up,
        Self::State,
        Self::Why,
    ];
    /// First to go when it gets narrow first.
    const DROPS: [Self; 8] = [
        Self::Up,
        Self::Pipe,
        Self::Address,
        Self::Has,
        Self::Why,
        Self::Rtt,
        Self::Spark,
        Self::Got,
    ];

    fn head(self) -> &'static str {
        match self {
            Self::Address => "Address",
            Self::Rate => "Down",
            Self::Spark => "",
            Self::Got => "Got",
            Self::Has => "Has",
            Self::Pipe => "Pipe",
            Self::Rtt => "RTT",
            Self::Up => "Up",
            Self::State => "State",
            Self::Why => "Why",
        }
    }

    fn width(self) -> u16 {
        match self {
            Self::Address => 21,
            Self::Rate | Self::Up => format::RATE_WIDTH,
            Self::Spark => 6,
            Self::Got | Self::Has | Self::Pipe => 5,
            Self::Rtt => 6,
            Self::State => 8,
            Self::Why => 18,
        }
    }

    fn left(self) -> bool {
        matches!(self, Self::Address | Self::State | Self::Why)
    }
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let focused = model.focus == Pane::Sources;
    let rows = model.source_rows();
    let active = rows.iter().filter(|s| s.down_rate >= 1.0).count();
    let total: f64 = rows.iter().map(|s| s.down_rate).sum();
    let count =
        if rows.is_empty() { String::new() } else { format!(" {active} of {} active", rows.len()) };
    let height = usize::from(area.height.saturating_sub(3));
    let frame = paint::Frame {
        title: vec![
            ("3 Sources".to_owned(), if focused { theme.bold() } else { theme.dim() }),
            (count, Style::new()),
        ],
        note: vec![(format::rate(total, theme.dash(), model.units), Style::new())],
        scroll: Some((model.sources.offset, height, rows.len())),
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if inner.is_empty() {
        return;
    }
    if rows.is_empty() {
        let (first, second) = nobody(model);
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), &first, theme.dim());
        paint::text(
            buf,
            inner.x + 1,
            inner.y + 1,
            inner.width.saturating_sub(1),
            second,
            theme.dim(),
        );
        return;
    }
    let (columns, name) = fit(inner.width);
    heads(model, buf, inner, &columns, name);
    for (y, at) in (inner.y + 1..inner.bottom()).zip(model.sources.visible(height)) {
        let Some(source) = rows.get(at) else { break };
        row(model, buf, Rect { y, height: 1, ..inner }, source, &columns, name);
        if at == model.sources.cursor && focused {
            paint::text(buf, inner.x, y, 1, theme.bar(), Style::new());
            for x in inner.x..inner.right() {
                if let Some(cell) = buf.cell_mut((x, y)) {
                    cell.set_style(Style::reset().patch(theme.selected()));
                }
            }
        }
    }
}

fn nobody(model: &Model) -> (String, &'static str) {
    match (model.selected(), model.selected_row()) {
        (None, _) => ("Select a file to see its sources.".to_owned(), ""),
        (_, Some(row)) if row.sources == 0 && model.selected_transfer().is_none() => {
            ("No sources online for this file.".to_owned(), "W  watch: starts when somebody has it")
        }
        (_, Some(row)) if model.selected_transfer().is_none() => (
            format!("{} online.", format::plural(u64::from(row.sources), "source")),
            "d  downloads it from all of them",
        ),
        _ => ("No sources are connected.".to_owned(), ""),
    }
}

fn fit(width: u16) -> (Vec<Column>, u16) {
    const MIN_NAME: u16 = 8;
    let mut columns = Column::ALL.to_vec();
    let mut drops = Column::DROPS.iter();
    loop {
        let taken: u16 = columns.iter().map(|c| c.width() + 1).sum();
        let name = width.saturating_sub(taken + 1);
        if name >= MIN_NAME {
            // What is left over beyond a comfortable name goes to the last column by itself.
            return (columns, name.min(20));
        }
        match drops.next() {
            Some(drop) => columns.retain(|c| c != drop),
            None => return (columns, name),
        }
    }
}

fn heads(model: &Model, buf: &mut Buffer, area: Rect, columns: &[Column], name: u16) {
    let dim = model.theme.dim();
    paint::text(buf, area.x + 1, area.y, name, "Peer", dim);
    let mut x = area.x + 1 + name;
    for column in columns {
        let width = column.width().min(area.right().saturating_sub(x + 1));
        if column.left() {
            paint::text(buf, x + 1, area.y, width, column.head(), dim);
        } else {
            paint::right(buf, x + 1, area.y, width, column.head(), dim);
        }
        x += column.width() + 1;
    }
}

fn row(
    model: &Model,
    buf: &mut Buffer,
    area: Rect,
    source: &SourceRow,
    columns: &[Column],
    name: u16,
) {
    let theme = model.theme;
    let shown = format::middle(&source_name(source), usize::from(name), theme.ellipsis());
    paint::text(buf, area.x + 1, area.y, name, &shown, Style::new());
    let mut x = area.x + 1 + name;
    for column in columns {
        let last = *column == Column::Why;
        let room = area.right().saturating_sub(x + 1);
        let width = if last { room } else { column.width().min(room) };
        let (text, style) = cell(model, source, *column);
        if column.left() {
            paint::text(buf, x + 1, area.y, width, &text, style);
        } else {
            paint::right(buf, x + 1, area.y, width, &text, style);
        }
        x += column.width() + 1;
    }
}

fn cell(model: &Model, source: &SourceRow, column: Column) -> Piece {
    let theme = model.theme;
    let plain = |text: String| (text, Style::new());
    match column {
        Column::Address => {
            plain(source.addr.map_or_else(|| theme.dash().to_owned(), |a| a.to_string()))
        }
        Column::Rate => plain(format::rate(source.down_rate, theme.dash(), model.units)),
        Column::Up => plain(format::rate(source.up_rate, theme.dash(), model.units)),
        Column::Spark => {
            let values =
                model.history.sources.get(&source.peer).map_or_else(|| vec![0.0; 6], |s| s.last(6));
            let top = values.iter().copied().fold(1.0, f64::max);
            (format::sparkline(&values, top, theme.levels()), theme.accent())
        }
        Column::Got => plain(format::short_count(u64::from(source.got))),
        Column::Has => {
            let n = model.focus_data().map_or(0, |f| f.chunks.len() as u64);
            plain(if n == 0 {
                "?".to_owned()
            } else {
                format::percent(u64::from(source.have).min(n), n)
            })
        }
        Column::Pipe => plain(format!("{}/{}", source.pipe.0.min(99), source.pipe.1.min(99))),
        Column::Rtt => plain(rtt(source.rtt_ms, theme.dash())),
        Column::State => {
            let style = match source.state {
                SourceState::Open | SourceState::Fetching => Style::new(),
                SourceState::Slow | SourceState::Choked => theme.warn(),
                SourceState::Snubbed => theme.error(),
                SourceState::NoData | SourceState::Waiting => theme.dim(),
            };
            (source.state.word().to_owned(), style)
        }
        Column::Why => (source.why.clone(), theme.dim()),
    }
}
