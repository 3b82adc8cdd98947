//! A question with buttons.

use ratatui::Frame;
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::model::{Confirm, Model};
use crate::ui::dialog::{lines, open, tall, text_width, wrapped};
use crate::ui::paint::{self, Piece};

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, confirm: &Confirm) {
    let theme = model.theme;
    let content = wrapped(&confirm.lines, text_width(frame));
    let tick = usize::from(confirm.tick.is_some()) * 2;
    let mut rows: Vec<Vec<Piece>> = vec![Vec::new()];
    let room = text_width(frame);
    let mut used = 0;
    for (i, (button, letter)) in confirm.buttons.iter().zip(confirm.letters()).enumerate() {
        let chosen = i == confirm.selected;
        let (open, close) = if chosen { ("[", "]") } else { (" ", " ") };
        let style = if chosen { theme.selected().patch(theme.bold()) } else { Style::new() };
        let key = style.patch(theme.bold()).add_modifier(Modifier::UNDERLINED);
        // Its letter is marked where it stands.
        let is_key = |c: char| letter == Some(c.to_ascii_lowercase());
        let (before, rest) = match button.label.find(is_key) {
            Some(at) => button.label.split_at(at),
            None => (button.label, ""),
        };
        let after = rest.get(1..).unwrap_or_default();
        let marked = rest.get(..1).unwrap_or_default();
        let width = button.label.width() + 2;
        if used + width > room {
            rows.push(Vec::new());
            used = 0;
        }
        used += width + 1;
        if let Some(row) = rows.last_mut() {
            row.extend([(format!("{open}{before}"), style), (marked.to_owned(), key)]);
            row.push((format!("{after}{close}"), style));
            row.push((" ".to_owned(), Style::new()));
        }
    }
    let foot = if confirm.tick.is_some() {
        "arrows or marked letters choose - Space ticks - Enter - Esc"
    } else {
        "arrows or marked letters choose - Enter - Esc is the safe answer"
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
