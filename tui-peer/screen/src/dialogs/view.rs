//! Draws the open dialog.

use ratatui::Frame;

use crate::dialogs::{confirm, contents, link, palette, picker, share, sort, why};
use crate::model::{Dialog, Model};
use crate::ui::dialog;
use crate::verdict;

/// Draws the open dialog, if any, over what is there.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let Some(dialog) = model.dialogs.last() else { return };
    dialog::shade(model, frame);
    match dialog {
        Dialog::Help { scroll, query } => {
            crate::screens::help::view::draw(model, frame, *scroll, query)
        }
        Dialog::Palette { query, cursor } => palette::view::draw(model, frame, query, *cursor),
        Dialog::Sort { cursor } => sort::view::draw(model, frame, *cursor),
        Dialog::Why { title, about: Some(id), .. } if Some(*id) == model.selected() => {
            // As it is now, not as it was when it was asked.
            why::view::draw(model, frame, title, &verdict::why(&model.case()));
        }
        Dialog::Why { title, lines, .. } => why::view::draw(model, frame, title, lines),
        Dialog::Share(share) => share::view::draw(model, frame, share),
        Dialog::Picker(picker) => picker::view::draw(model, frame, picker),
        Dialog::Link(link) => link::view::draw(model, frame, link),
        Dialog::Confirm(confirm) => confirm::view::draw(model, frame, confirm),
        Dialog::Contents(contents) => contents::view::draw(model, frame, contents),
        Dialog::Picks(picks) => crate::dialogs::picks::view::draw(model, frame, picks),
        Dialog::Limit(limit) => crate::dialogs::picks::view::limit(model, frame, limit),
        Dialog::Settings(panel) => crate::screens::settings::view::draw(model, frame, panel),
    }
}
