//! Lines to read: why something is slow, an invitation, the version.

use ratatui::Frame;
use ratatui::style::Style;

use crate::model::{Line, Model};
use crate::ui::dialog::{lines, open, tall, text_width, wrapped};
use crate::ui::paint;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, title: &str, content: &[Line]) {
    let width = text_width(frame);
    let content = wrapped(content, width);
    let title = model.theme.fit(title, width.saturating_sub(4));
    let area = open(model, frame, tall(content.len().max(1) + 2), &title, "any key closes");
    if content.is_empty() {
        paint::text(
            frame.buffer_mut(),
            area.x,
            area.y,
            area.width,
            "Nothing to explain: no details are known.",
            Style::new(),
        );
    }
    lines(model, frame, area, &content);
}
