//! Keys on the settings screen.

use crossterm::event::{KeyCode, KeyEvent};

use settings::{Item, Kind, Page};

use crate::action::Action;
use crate::field::Field;
use crate::keymap::{Key, cancels};
use crate::model::{Capture, Edit, Model, Panel, Row, Tone};
use crate::msg::Effect;
use crate::screens::settings::update::{bind, capture, change, reset};

/// Rows that PgUp and PgDn move by.
const PAGE: usize = 10;

/// Handles a key; says whether the screen stays open.
pub(crate) fn settings_key(
    model: &mut Model,
    panel: &mut Panel,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let cancelled = cancels(key);
    if panel.capture.is_some() {
        capture::key(model, panel, key, cancelled, out);
        return true;
    }
    if panel.edit.is_some() {
        edit_key(model, panel, key, cancelled, out);
        return true;
    }
    if panel.query.is_some() {
        query_key(model, panel, key, cancelled);
        return true;
    }
    let closes = model.keymap.is_closing(Action::Settings, Key::of(key));
    if cancelled || closes || key.code == KeyCode::Char('q') {
        return false;
    }
    panel.note = None;
    match key.code {
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l' | ']') => turn(panel, 1),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h' | '[') => turn(panel, -1),
        KeyCode::Char('/') => {
            panel.query = Some(Field::default());
            panel.cursor = 0;
        }
        KeyCode::Enter | KeyCode::Char(' ' | '+') => enter(model, panel, 1, out),
        KeyCode::Char('-') => enter(model, panel, -1, out),
        KeyCode::Char('a') => {
            if let Some(Row::Keys(action)) = panel.row(model) {
                panel.capture = Some(Capture { action, add: true, pressed: Vec::new() });
            }
        }
        KeyCode::Char('r') => {
            let result = match panel.row(model) {
                Some(Row::Item(item)) => reset(model, item, out),
                Some(Row::Keys(action)) => bind(model, action, None, out),
                None => Ok(()),
            };
            tell(panel, result);
        }
        _ => {
            step(model, panel, key.code);
        }
    }
    true
}

/// Moves the cursor, if the key is for that.
fn step(model: &Model, panel: &mut Panel, code: KeyCode) -> bool {
    let last = panel.rows(model).len().saturating_sub(1);
    panel.cursor = match code {
        KeyCode::Down | KeyCode::Char('j') => panel.cursor + 1,
        KeyCode::Up | KeyCode::Char('k') => panel.cursor.saturating_sub(1),
        KeyCode::PageDown => panel.cursor + PAGE,
        KeyCode::PageUp => panel.cursor.saturating_sub(PAGE),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => return false,
    }
    .min(last);
    true
}

fn turn(panel: &mut Panel, by: isize) {
    let pages = Page::ALL;
    let now = pages.iter().position(|page| *page == panel.page).unwrap_or(0);
    let to = now.checked_add_signed(by).unwrap_or(pages.len() - 1) % pages.len();
    open_page(panel, pages.get(to).copied().unwrap_or(Page::General));
}

pub(crate) fn open_page(panel: &mut Panel, page: Page) {
    panel.page = page;
    panel.query = None;
    panel.note = None;
    panel.cursor = 0;
}

/// Changes the value of the row, or begins to.
pub(crate) fn enter(model: &mut Model, panel: &mut Panel, by: isize, out: &mut Vec<Effect>) {
    match panel.row(model) {
        Some(Row::Item(item)) => {
            if let Err(why) = crate::screens::settings::update::unlocked(model, item) {
                panel.note = Some((Tone::Warn, why));
                return;
            }
            let table = &model.prefs.table;
            let words = item.kind().words(&table.themes);
            if words.is_empty() {
                let text = table.text(item);
                // A word such as "none" is not begun with: what is typed would be added to it.
                let keep = match item.kind() {
                    Kind::Join => table.is_set(item),
                    Kind::Rate | Kind::Size | Kind::Number(..) => {
                        text.starts_with(|c: char| c.is_ascii_digit())
                    }
                    _ => true,
                };
                let field = if keep { Field::with(&text) } else { Field::default() };
                panel.edit = Some(Edit { item, field });
                return;
            }
            let now = table.text(item).into_owned();
            let at = words.iter().position(|word| *word == now).unwrap_or(0);
            let to = at.checked_add_signed(by).unwrap_or(words.len() - 1) % words.len();
            if let Some(word) = words.get(to) {
                let result = change(model, item, word, out);
                tell(panel, result);
            }
        }
        Some(Row::Keys(action)) => {
            panel.capture = Some(Capture { action, add: false, pressed: Vec::new() });
        }
        None => {}
    }
}

fn edit_key(
    model: &mut Model,
    panel: &mut Panel,
    key: KeyEvent,
    cancelled: bool,
    out: &mut Vec<Effect>,
) {
    let Some(mut edit) = panel.edit.take() else { return };
    if cancelled {
        panel.note = None;
        return;
    }
    if key.code != KeyCode::Enter {
        let offered = matches!(edit.item.kind(), Kind::Path)
            && edit.field.text() == model.prefs.table.text(edit.item);
        if edit.field.path_key(key, offered) {
            panel.note = None;
        }
        panel.edit = Some(edit);
        return;
    }
    let text = edit.field.text().trim();
    // Emptied is as reset, where empty means nothing.
    let result = if text.is_empty() && is_left_alone(model, edit.item) {
        Ok(())
    } else if text.is_empty() && item_may_be_empty(edit.item) {
        reset(model, edit.item, out)
    } else {
        change(model, edit.item, text, out)
    };
    match result {
        Ok(()) => panel.note = None,
        Err(why) => {
            panel.note = Some((Tone::Bad, format!("{why}. The old value stays in use.")));
            panel.edit = Some(edit);
        }
    }
}

/// Whether a number was not given before either: an empty field leaves it so.
fn is_left_alone(model: &Model, item: Item) -> bool {
    matches!(item.kind(), Kind::Rate | Kind::Size | Kind::Number(..))
        && !model.prefs.table.text(item).starts_with(|c: char| c.is_ascii_digit())
}

fn item_may_be_empty(item: Item) -> bool {
    matches!(item.kind(), Kind::Join | Kind::Nick | Kind::Path)
}

fn query_key(model: &Model, panel: &mut Panel, key: KeyEvent, cancelled: bool) {
    let moves =
        matches!(key.code, KeyCode::Down | KeyCode::Up | KeyCode::PageDown | KeyCode::PageUp);
    if cancelled {
        panel.query = None;
        panel.cursor = 0;
    } else if key.code == KeyCode::Enter {
        if let Some(row) = panel.row(model) {
            panel.go_to(model, row);
        }
    } else if moves {
        step(model, panel, key.code);
    } else if let Some(query) = &mut panel.query {
        if key.code == KeyCode::Backspace && query.text().is_empty() {
            panel.query = None;
        } else {
            query.key(key);
        }
        panel.cursor = 0;
    }
}

fn tell(panel: &mut Panel, result: Result<(), String>) {
    panel.note = result.err().map(|why| (Tone::Warn, why));
}

/// Text from the clipboard, for the field that is open.
pub(crate) fn paste(panel: &mut Panel, text: &str) {
    if let Some(edit) = &mut panel.edit {
        edit.field.paste(text);
        panel.note = None;
    } else if let Some(query) = &mut panel.query {
        query.paste(text);
        panel.cursor = 0;
    }
}
