//! A question with buttons.

use ratatui::Frame;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::super::super::model::{Confirm, Model};
use super::super::paint::{self, Piece};
use super::base::{lines, open, tall, text_width, wrapped};

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, confirm: &Confirm) {
    let theme = model.theme;
    let content = wrapped(&confirm.lines, text_width(frame));
    let tick = usize::from(confirm.tick.is_some()) * 2;
    let mut rows: Vec<Vec<Piece>> = vec![Vec::new()];
    let room = text_width(frame);
    let mut used = 0;
    for (i, button) in confirm.buttons.iter().enumerate() {
        let text = if i == confirm.selected {
            format!("[ {} ]", button.label)
        } else {
            format!("  {}  ", button.label)
        };
        if used + text.width() + 1 > room {
            rows.push(Vec::new());
            used = 0;
        }
        used += text.width() + 1;
        let style =
            if i == confirm.selected { theme.selected().patch(theme.bold()) } else { Style::new() };
        if let Some(row) = rows.last_mut() {
            row.push((text, style));
            row.push((" ".to_owned(), Style::new()));
        }
    }
    let foot = if confirm.tick.is_some() {
        "arrows choose - Space ticks - Enter - Esc"
    } else {
        "arrows choose - Enter - Esc is the safe answer"
    };
    let area =
        open(model, frame, tall(content.len() + tick + rows.len() + 3), &confirm.title, foot);
    lines(model, frame, area, &content);
    let y = area.bottom().saturating_sub(tall(rows.len()));
    if let Some((label, ticked)) = confirm.tick {
        let mark = if ticked { "[x]" } else { "[ ]" };
        let style = if ticked { theme.error() } else { Style::new() };
        paint::text(
            frame.buffer_mut(),
            area.x,
            y.saturating_sub(2),
            area.width,
            &format!("{mark} {label}"),
            style,
        );
    }
    for (y, row) in (y..).zip(&rows) {
        paint::pieces(frame.buffer_mut(), area.x, y, area.width, row);
    }
}
