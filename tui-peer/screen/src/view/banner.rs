//! The line below the header while something is wrong. It takes no keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::format;
use crate::model::Model;
use crate::model::banner::lines;
use crate::ui::paint;

/// As many of the parts between dots as fit; the most important ones stand first.
fn fitting(text: &str, dot: &str, room: usize, ellipsis: &str) -> String {
    let mut rest = text;
    while rest.width() > room {
        match rest.rsplit_once(&format!(" {dot} ")) {
            Some((before, _)) => rest = before,
            None => return format::middle(rest, room, ellipsis),
        }
    }
    rest.to_owned()
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let lines = lines(model);
    let Some((tone, text)) = lines.first() else { return };
    let more = if lines.len() > 1 { format!("  (+{})", lines.len() - 1) } else { String::new() };
    let room = usize::from(area.width.saturating_sub(2)).saturating_sub(more.len());
    let text = fitting(text, model.theme.dot(), room, model.theme.ellipsis());
    let style = paint::tone(model.theme, *tone);
    let x = paint::text(buf, area.x + 1, area.y, area.width.saturating_sub(2), &text, style);
    paint::text(buf, x, area.y, area.right().saturating_sub(x), &more, model.theme.dim());
}
