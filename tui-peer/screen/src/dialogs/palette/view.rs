//! All commands, found by typing.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::queries::palette_rows;
use crate::action::Action;
use crate::field::Field;
use crate::model::Model;
use crate::queries::can;
use crate::ui::dialog::{chosen, open};
use crate::ui::{input, paint};

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, query: &Field, cursor: usize) {
    let theme = model.theme;
    let found = palette_rows(model, query.text());
    let height = frame.area().height.saturating_sub(4).min(20);
    let foot = "Enter runs - Esc closes - matches name, synonyms and key";
    let area = open(model, frame, height, "Command palette", foot);
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "> ", theme.bold());
    input::draw(frame, theme, (x, area.y), area.width.saturating_sub(3), query, "");
    // As it would be typed from anywhere, if that is how the palette opens.
    let colon = model.keymap.key(Action::Palette).filter(|key| key == ":").unwrap_or_default();
    let rows = usize::from(area.height.saturating_sub(2));
    let offset = cursor.saturating_sub(rows.saturating_sub(1));
    for (y, (i, action)) in (area.y + 2..area.bottom()).zip(found.iter().enumerate().skip(offset)) {
        let line = Rect { y, height: 1, ..area };
        let why = can(model, *action).err();
        let keys = model.keymap.keys(*action).join(", ");
        let keys = if keys.is_empty() { format!("{colon}{}", action.name()) } else { keys };
        let bar = if i == cursor { theme.bar() } else { " " };
        let help = capital(model.help(*action));
        let text = match &why {
            Some(why) => format!("{bar} {help} ({why})"),
            None => format!("{bar} {help}"),
        };
        chosen(model, frame, line, &text, i == cursor);
        let style = if i == cursor { theme.selected() } else { theme.accent() };
        if why.is_some() && i != cursor {
            frame.buffer_mut().set_style(line, theme.shade());
        }
        paint::right(frame.buffer_mut(), area.x, y, area.width, &format!(" {keys}"), style);
    }
    if found.is_empty() {
        let text = "No such command. Backspace widens the search.";
        paint::text(frame.buffer_mut(), area.x, area.y + 2, area.width, text, theme.dim());
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
