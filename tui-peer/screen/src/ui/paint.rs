//! Small brushes. Everything is clipped: no coordinate can panic.

use common::numbers::saturate;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::model::Tone;
use crate::theme::Theme;

pub(crate) use crate::ui::text::{Piece, width, wrap};

/// Writes at most `width` columns; returns the column after the text.
pub(crate) fn text(buf: &mut Buffer, x: u16, y: u16, width: u16, s: &str, style: Style) -> u16 {
    let area = buf.area;
    if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() || width == 0 {
        return x;
    }
    buf.set_stringn(x, y, s, usize::from(width), style).0
}

/// Writes right-aligned into `width` columns that begin at `x`.
pub(crate) fn right(buf: &mut Buffer, x: u16, y: u16, width: u16, s: &str, style: Style) {
    let wide = saturate::<u16>(s.width()).min(width);
    text(buf, x + (width - wide), y, wide, s, style);
}

/// Writes pieces one after the other; returns the column after them.
pub(crate) fn pieces(buf: &mut Buffer, x: u16, y: u16, width: u16, pieces: &[Piece]) -> u16 {
    let end = x.saturating_add(width);
    let mut at = x;
    for (s, style) in pieces {
        at = text(buf, at, y, end.saturating_sub(at), s, *style);
    }
    at
}

/// Empties an area.
pub(crate) fn clear(buf: &mut Buffer, area: Rect) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buf.cell_mut((x, y)) {
                cell.reset();
            }
        }
    }
}

/// What stands in the borders of a box.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Top left.
    pub(crate) title: Vec<Piece>,
    /// Top right.
    pub(crate) note: Vec<Piece>,
    /// Bottom left.
    pub(crate) foot: Vec<Piece>,
    /// Position in a list: first visible, visible, all.
    pub(crate) scroll: Option<(usize, usize, usize)>,
}

/// Draws a box and returns its inside.
pub(crate) fn boxed(
    buf: &mut Buffer,
    area: Rect,
    theme: Theme,
    focused: bool,
    frame: &Frame,
) -> Rect {
    if area.width < 2 || area.height < 2 {
        return Rect::ZERO;
    }
    let lines = theme.lines(focused);
    let style = if focused { theme.bold() } else { theme.line() };
    let (x0, y0, x1, y1) = (area.left(), area.top(), area.right() - 1, area.bottom() - 1);
    for x in x0..=x1 {
        text(buf, x, y0, 1, lines.horizontal, style);
        text(buf, x, y1, 1, lines.horizontal, style);
    }
    for y in y0..=y1 {
        text(buf, x0, y, 1, lines.vertical, style);
        text(buf, x1, y, 1, lines.vertical, style);
    }
    for (x, y, corner) in [(x0, y0, 0), (x1, y0, 1), (x1, y1, 2), (x0, y1, 3)] {
        text(buf, x, y, 1, lines.corners[corner], style);
    }
    let room = area.width.saturating_sub(4);
    let end = edge(buf, x0 + 2, y0, room, &frame.title);
    let note = width(&frame.note);
    // A note that would touch the title is left out rather than cut.
    if note > 0 && end + note + 3 < x1 {
        let at = x1 - note - 3;
        edge(buf, at, y0, note + 2, &frame.note);
    }
    edge(buf, x0 + 2, y1, room, &frame.foot);
    if let Some((first, visible, all)) = frame.scroll
        && all > visible
        && area.height > 3
    {
        let track = usize::from(area.height - 2);
        let most = all - visible;
        let at = (first.min(most) * (track - 1) + most / 2) / most;
        text(buf, x1, y0 + 1 + u16::try_from(at).unwrap_or(0), 1, theme.thumb(), Style::new());
    }
    Rect { x: x0 + 1, y: y0 + 1, width: area.width - 2, height: area.height - 2 }
}

fn edge(buf: &mut Buffer, x: u16, y: u16, room: u16, content: &[Piece]) -> u16 {
    if content.is_empty() || room < 3 {
        return x;
    }
    let x = text(buf, x, y, 1, " ", Style::new());
    let x = pieces(buf, x, y, room.saturating_sub(2), content);
    text(buf, x, y, 1, " ", Style::new())
}

/// Style of a tone.
pub(crate) fn tone(theme: Theme, tone: Tone) -> Style {
    match tone {
        Tone::Good | Tone::Plain => Style::new(),
        Tone::Dim => theme.dim(),
        Tone::Warn => theme.warn(),
        Tone::Bad => theme.error(),
    }
}
