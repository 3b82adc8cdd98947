//! Draws the help.

use ratatui::Frame;

use crate::action::Action;
use crate::field::Field;
use crate::model::Model;
use crate::screens::help::geometry::places;
use crate::screens::help::text::{COLUMN, rows};
use crate::ui::paint;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, scroll: usize, query: &Field) {
    let theme = model.theme;
    let (area, columns, height) = places(model);
    let rows = rows(model, query.text());
    let per_column = rows.len().div_ceil(usize::from(columns)).max(1);
    let below = per_column.saturating_sub(scroll + height);
    let border = paint::Frame {
        title: vec![(format!("Help: keys for {}", model.focus.name()), theme.bold())],
        note: vec![(model.keymap.closes(Action::Help), theme.dim())],
        foot: vec![(
            if below > 0 {
                format!("{below} more below")
            } else {
                "generated from the keys in use".to_owned()
            },
            theme.dim(),
        )],
        scroll: Some((scroll, height, per_column)),
    };
    paint::clear(frame.buffer_mut(), area);
    let inner = paint::boxed(frame.buffer_mut(), area, theme, true, &border);
    if inner.height < 2 {
        return;
    }
    let x =
        paint::text(frame.buffer_mut(), inner.x + 1, inner.y, inner.width, "Search: ", theme.dim());
    crate::ui::input::draw(frame, theme, (x, inner.y), inner.width.saturating_sub(10), query, "");
    let buf = frame.buffer_mut();
    for column in 0..columns {
        let first = usize::from(column) * per_column;
        let lines = rows.iter().take(first + per_column).skip(first + scroll).take(height);
        for (y, line) in (inner.y + 1..inner.bottom()).zip(lines) {
            paint::pieces(buf, inner.x + 1 + column * COLUMN, y, COLUMN - 1, line);
        }
    }
}
