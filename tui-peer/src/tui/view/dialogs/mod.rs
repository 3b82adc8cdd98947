//! Dialogs in front of the panes, one file each.

mod confirm;
mod contents;
mod link;
mod palette;
mod picker;
mod share;
mod sort;
mod why;

use ratatui::Frame;

use crate::tui::model::{Dialog, Model};
use crate::tui::ui::dialog;
use crate::tui::verdict;

/// Draws the open dialog, if any, over what is there.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let Some(dialog) = model.dialogs.last() else { return };
    dialog::shade(model, frame);
    match dialog {
        Dialog::Help { scroll, query } => super::help::draw(model, frame, *scroll, query),
        Dialog::Palette { query, cursor } => palette::draw(model, frame, query, *cursor),
        Dialog::Sort { cursor } => sort::draw(model, frame, *cursor),
        Dialog::Why { title, about: Some(id), .. } if Some(*id) == model.selected() => {
            // As it is now, not as it was when it was asked.
            why::draw(model, frame, title, &verdict::why(&model.case()));
        }
        Dialog::Why { title, lines, .. } => why::draw(model, frame, title, lines),
        Dialog::Share(share) => share::draw(model, frame, share),
        Dialog::Picker(picker) => picker::draw(model, frame, picker),
        Dialog::Link(link) => link::draw(model, frame, link),
        Dialog::Confirm(confirm) => confirm::draw(model, frame, confirm),
        Dialog::Contents(contents) => contents::draw(model, frame, contents),
        Dialog::Picks(picks) => super::picks::draw(model, frame, picks),
        Dialog::Limit(limit) => super::picks::limit(model, frame, limit),
        Dialog::Settings(panel) => super::settings::draw(model, frame, panel),
    }
}
