//! Choosing the order of a list.

use crossterm::event::{KeyCode, KeyEvent};

use crate::action::Action;
use crate::keymap::Key;
use crate::model::{Dialog, Model, Sort};
use crate::msg::Effect;
use crate::panes::files::update::lists;

/// Says whether the dialog stays open.
pub(crate) fn sort_key(
    model: &mut Model,
    cursor: &mut usize,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let choices = Sort::choices(model.tab);
    match key.code {
        _ if model.keymap.is(Action::Reverse, Key::of(key)) => {
            lists::reverse(model, out);
        }
        KeyCode::Down | KeyCode::Tab | KeyCode::Char('j' | 'o') => {
            *cursor = (*cursor + 1) % choices.len().max(1);
        }
        KeyCode::Up | KeyCode::Char('k') => {
            *cursor = cursor.checked_sub(1).unwrap_or(choices.len().saturating_sub(1));
        }
        KeyCode::Char('q') => return false,
        KeyCode::Enter | KeyCode::Char(' ') => {
            if let Some(sort) = choices.get(*cursor) {
                let tab = model.tab;
                model.list_mut(tab).sort = *sort;
                lists::renew(model, out);
            }
            return false;
        }
        KeyCode::Char(c) => {
            let tab = model.tab;
            if let Some(at) = choices.iter().position(|s| s.title(tab).starts_with(c)) {
                *cursor = at;
            }
        }
        _ => {}
    }
    true
}

/// Opens the dialog on the order of now.
pub(crate) fn open(model: &mut Model) {
    let now = model.list().sort;
    let cursor = Sort::choices(model.tab).iter().position(|s| *s == now).unwrap_or(0);
    model.dialogs.push(Dialog::Sort { cursor });
}
