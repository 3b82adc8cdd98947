//! A text field with the terminal's own cursor in it.

use ratatui::Frame;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::field::Field;
use crate::theme::Theme;
use crate::ui::paint;

/// Draws a field on one line; `ghost` is what completion would add.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    theme: Theme,
    at: (u16, u16),
    width: u16,
    field: &Field,
    ghost: &str,
) {
    let (cursor, scroll) = field.cursor(usize::from(width.saturating_sub(1)));
    let shown = harmless(field.text(), scroll);
    let (x, y) = at;
    let end = paint::text(frame.buffer_mut(), x, y, width, &shown, Style::new());
    let room = (x + width).saturating_sub(end);
    paint::text(frame.buffer_mut(), end, y, room, ghost, theme.dim());
    let column = u16::try_from(cursor.saturating_sub(scroll)).unwrap_or(0);
    let area = frame.area();
    let position =
        ((x + column.min(width.saturating_sub(1))).min(area.right().saturating_sub(1)), y);
    if y < area.bottom() {
        frame.set_cursor_position(position);
    }
}

/// Draws the text of a field that has not the keys: its end, if it is too long.
pub(crate) fn still(frame: &mut Frame<'_>, at: (u16, u16), width: u16, text: &str) {
    let skip = text.width().saturating_sub(usize::from(width));
    paint::text(frame.buffer_mut(), at.0, at.1, width, &harmless(text, skip), Style::new());
}

/// The text without its first columns. Fields take no control characters, but a bidi mark is none: it
/// is shown as one cell.
fn harmless(text: &str, skip: usize) -> String {
    let mut shown = String::new();
    let mut column = 0;
    for c in text.chars() {
        if column >= skip {
            let safe = common::names::show(c.encode_utf8(&mut [0; 4]));
            if safe.chars().count() == 1 { shown.push(c) } else { shown.push('?') }
        }
        column += c.width().unwrap_or(0);
    }
    shown
}
