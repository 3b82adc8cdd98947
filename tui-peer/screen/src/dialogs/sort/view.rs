//! The order of a list.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::action::Action;
use crate::model::{Model, Sort};
use crate::ui::dialog::{chosen, open, tall};

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, cursor: usize) {
    let choices = Sort::choices(model.tab);
    // A sequence means nothing here.
    let key = model.keymap.single(Action::Reverse);
    let reverses = key.map_or_else(String::new, |key| format!(" - {key} reverses"));
    let area = open(
        model,
        frame,
        tall(choices.len() + 2),
        "Sort by",
        &format!("Enter chooses{reverses} - Esc closes"),
    );
    for (i, (y, sort)) in (area.y..area.bottom()).zip(choices).enumerate() {
        let bar = if i == cursor { model.theme.bar() } else { " " };
        let now = if *sort == model.list().sort { "  (now)" } else { "" };
        let text = format!("{bar} {}{now}", sort.title(model.tab));
        chosen(model, frame, Rect { y, height: 1, ..area }, &text, i == cursor);
    }
}
