//! Keys in the help.

use crossterm::event::{KeyCode, KeyEvent};

use super::geometry::last_scroll;
use crate::action::Action;
use crate::field::Field;
use crate::keymap::Key;
use crate::model::{Dialog, Model};

/// Says whether the help stays open.
pub(crate) fn help_key(
    model: &Model,
    scroll: &mut usize,
    query: &mut Field,
    key: KeyEvent,
) -> bool {
    let page = usize::from(model.size.1.saturating_sub(6)).max(1);
    let empty = query.text().is_empty();
    match key.code {
        _ if model.keymap.is_closing(Action::Help, Key::of(key)) => return false,
        KeyCode::Char('q') if empty => return false,
        KeyCode::Down => *scroll += 1,
        KeyCode::Up => *scroll = scroll.saturating_sub(1),
        KeyCode::PageDown => *scroll += page,
        KeyCode::PageUp => *scroll = scroll.saturating_sub(page),
        _ => {
            if query.key(key) {
                *scroll = 0;
            }
        }
    }
    *scroll = (*scroll).min(last_scroll(model, query.text()));
    true
}

pub(crate) fn open(model: &mut Model) {
    model.dialogs.push(Dialog::Help { scroll: 0, query: Field::default() });
}
