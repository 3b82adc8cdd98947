//! A text field with the terminal's own cursor in it.

use ratatui::Frame;
use ratatui::style::Style;
use unicode_width::UnicodeWidthChar;

use super::super::field::Field;
use super::super::theme::Theme;
use super::paint;

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
    let mut shown = String::new();
    let mut column = 0;
    for c in field.text().chars() {
        let w = c.width().unwrap_or(0);
        if column >= scroll {
            // Fields take no control characters, but a bidi mark is none: show it as one cell.
            let harmless = common::names::show(c.encode_utf8(&mut [0; 4]));
            if harmless.chars().count() == 1 { shown.push(c) } else { shown.push('?') }
        }
        column += w;
    }
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
