//! What all dialogs are made of.

use common::numbers::saturate;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::layout::centred;
use crate::model::{Line, Model};
use crate::ui::paint;

/// Widest dialog.
pub(crate) const WIDE: u16 = 72;

pub(crate) fn shade(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let style = model.theme.shade();
    let buf = frame.buffer_mut();
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buf.cell_mut((x, y)) {
                cell.modifier = ratatui::style::Modifier::empty();
                cell.set_style(style);
            }
        }
    }
}

/// Hints that fit, of those separated by " - "; the last one, how to get out, stays longest.
fn fitting(foot: &str, room: usize) -> String {
    let mut parts: Vec<&str> = foot.split(" - ").collect();
    while parts.len() > 1 && parts.join(" - ").width() > room {
        parts.remove(parts.len() - 2);
    }
    parts.join(" - ")
}

/// An empty box in the middle.
pub(crate) fn open(
    model: &Model,
    frame: &mut Frame<'_>,
    height: u16,
    title: &str,
    foot: &str,
) -> Rect {
    let whole = frame.area();
    let area =
        centred(whole, WIDE.min(whole.width.saturating_sub(2).max(10)), height.min(whole.height));
    paint::clear(frame.buffer_mut(), area);
    let border = paint::Frame {
        title: vec![(title.to_owned(), model.theme.bold())],
        foot: vec![(fitting(foot, usize::from(area.width.saturating_sub(6))), model.theme.dim())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(frame.buffer_mut(), area, model.theme, true, &border);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

pub(crate) fn lines(model: &Model, frame: &mut Frame<'_>, area: Rect, content: &[Line]) {
    for (y, (tone, text)) in (area.y..area.bottom()).zip(content) {
        paint::text(
            frame.buffer_mut(),
            area.x,
            y,
            area.width,
            text,
            paint::tone(model.theme, *tone),
        );
    }
}

pub(crate) fn wrapped(content: &[Line], width: usize) -> Vec<Line> {
    content
        .iter()
        .flat_map(|(tone, text)| {
            paint::wrap(text, width).into_iter().map(move |line| (*tone, line))
        })
        .collect()
}

pub(crate) fn text_width(frame: &Frame<'_>) -> usize {
    usize::from(WIDE.min(frame.area().width.saturating_sub(2)).saturating_sub(4))
}

pub(crate) fn tall(n: usize) -> u16 {
    saturate::<u16>(n)
}

pub(crate) fn chosen(model: &Model, frame: &mut Frame<'_>, area: Rect, text: &str, selected: bool) {
    let style = if selected { model.theme.selected() } else { Style::new() };
    // By columns: wide characters count twice.
    let missing = usize::from(area.width).saturating_sub(text.width());
    let padded = format!("{text}{}", " ".repeat(missing));
    paint::text(
        frame.buffer_mut(),
        area.x,
        area.y,
        area.width,
        if selected { &padded } else { text },
        style,
    );
}
