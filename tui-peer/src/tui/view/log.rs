//! The log pane.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::engine::event::Level;

use super::super::format;
use super::super::model::{Model, Pane};
use super::super::words;
use super::paint;

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let log = &model.log;
    let focused = model.focus == Pane::Log;
    let mut note = format!("{}+  ", words::level_word(log.level));
    match log.paused {
        None => note.push_str("following"),
        Some(_) if log.newer() > 0 => {
            note.push_str(&format!("PAUSED, {} newer (f follows)", log.newer()));
        }
        Some(_) => note.push_str("PAUSED (f follows)"),
    }
    let title = if log.field.text().is_empty() {
        String::new()
    } else {
        format!(" with \"{}\" (Esc clears)", log.field.text())
    };
    let frame = paint::Frame {
        title: vec![
            ("4 Log".to_owned(), if focused { theme.bold() } else { theme.dim() }),
            (title, Style::new()),
        ],
        note: vec![(note, if log.paused.is_some() { theme.warn() } else { theme.dim() })],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if inner.is_empty() {
        return;
    }
    let cursor = log.position();
    let mut y = inner.y;
    let mut any = false;
    for (at, line) in log.shown().enumerate().skip(log.offset) {
        if y >= inner.bottom() {
            break;
        }
        any = true;
        let selected = focused && at == cursor && log.paused.is_some();
        y = entry(model, buf, Rect { y, height: inner.bottom() - y, ..inner }, line, selected);
    }
    if !any {
        let level = words::level_word(log.level);
        let text = if log.is_empty() {
            "Nothing has happened yet.".to_owned()
        } else if log.field.text().is_empty() {
            format!("Nothing at {level} or above. + shows more.")
        } else {
            "No line has this. Esc clears the search.".to_owned()
        };
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), &text, theme.dim());
    }
}

/// One line, or more when wrapped; returns the row below.
fn entry(
    model: &Model,
    buf: &mut Buffer,
    area: Rect,
    line: &super::super::model::LogLine,
    selected: bool,
) -> u16 {
    let theme = model.theme;
    let style = match line.level {
        Level::Error => theme.error(),
        Level::Warn => theme.warn(),
        Level::Info => Style::new(),
        Level::Debug => theme.dim(),
    };
    let mut x = area.x + 1;
    let time = format::time_of_day(line.at, model.setting.utc_offset);
    x = paint::text(buf, x, area.y, area.right().saturating_sub(x), &time, theme.dim()) + 1;
    let level = format!("{:<5}", words::level_word(line.level));
    x = paint::text(buf, x, area.y, area.right().saturating_sub(x), &level, style) + 1;
    if area.width >= 60 {
        let target = format!("{:<5}", line.target.word());
        x = paint::text(buf, x, area.y, area.right().saturating_sub(x), &target, theme.dim()) + 1;
    }
    let room = area.right().saturating_sub(x + 1);
    let text =
        if line.times > 1 { format!("{} (x{})", line.text, line.times) } else { line.text.clone() };
    let plain = if line.level == Level::Error { style } else { Style::new() };
    let mut y = area.y;
    if model.log.wrap {
        for part in paint::wrap(&text, usize::from(room)) {
            if y >= area.bottom() {
                break;
            }
            paint::text(buf, x, y, room, &part, plain);
            y += 1;
        }
        y = y.max(area.y + 1);
    } else {
        let cut = format::start(&text, usize::from(room));
        let shown = if cut.len() < text.len() {
            format!(
                "{}{}",
                format::start(
                    &text,
                    usize::from(room).saturating_sub(theme.ellipsis().chars().count())
                ),
                theme.ellipsis()
            )
        } else {
            cut
        };
        paint::text(buf, x, y, room, &shown, plain);
        y += 1;
    }
    if selected {
        for x in area.x..area.right() {
            if let Some(cell) = buf.cell_mut((x, area.y)) {
                cell.set_style(Style::reset().patch(theme.selected()));
            }
        }
        paint::text(buf, area.x, area.y, 1, theme.bar(), Style::new());
    }
    y
}

/// The search field, in the bottom border.
pub(crate) fn cursor(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() || !model.filtering || model.focus != Pane::Log || area.height < 2 {
        return;
    }
    let y = area.bottom() - 1;
    let x = paint::text(frame.buffer_mut(), area.x + 2, y, area.width, " / ", model.theme.bold());
    let width = area.width.saturating_sub(8).min(40);
    paint::text(frame.buffer_mut(), x, y, width, &" ".repeat(usize::from(width)), Style::new());
    super::field::draw(frame, model.theme, (x, y), width, &model.log.field, "");
}
