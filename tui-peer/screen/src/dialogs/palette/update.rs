//! Keys in the command palette.

use crossterm::event::{KeyCode, KeyEvent};

use super::queries::palette_rows;
use crate::action::Action;
use crate::field::Field;
use crate::model::{Dialog, Model};

/// `Err` is the action to run.
pub(crate) fn palette_key(
    model: &Model,
    query: &mut Field,
    cursor: &mut usize,
    key: KeyEvent,
) -> Result<bool, Action> {
    match key.code {
        KeyCode::Enter => {
            let found = palette_rows(model, query.text());
            return found.get(*cursor).copied().map_or(Ok(true), Err);
        }
        KeyCode::Down | KeyCode::Tab => *cursor += 1,
        KeyCode::Up | KeyCode::BackTab => *cursor = cursor.saturating_sub(1),
        KeyCode::PageDown => *cursor += 10,
        KeyCode::PageUp => *cursor = cursor.saturating_sub(10),
        KeyCode::Backspace if query.text().is_empty() => return Ok(false),
        _ => {
            query.key(key);
            *cursor = 0;
        }
    }
    *cursor = (*cursor).min(palette_rows(model, query.text()).len().saturating_sub(1));
    Ok(true)
}

pub(crate) fn open(model: &mut Model) {
    model.dialogs.push(Dialog::Palette { query: Field::default(), cursor: 0 });
}
