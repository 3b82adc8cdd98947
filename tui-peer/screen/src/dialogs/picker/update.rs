//! The file picker: browsing, marking, sharing what is marked or downloading to a folder.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent};

use crate::dialogs::share::update::{save_to, share_path};
use crate::keymap::cancels;
use crate::model::{Dialog, MAX_MARKED, Marked, Model, Picker, SharePath, Tone, typed};
use crate::msg::{Effect, call_each};
use engine::api::command::Command;

/// What a key did.
enum After {
    Stay,
    Close,
    /// It is done: the dialog behind it closes as well.
    Done,
}

/// Whether the picker stays open.
pub(crate) fn picker_key(
    model: &mut Model,
    picker: &mut Picker,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let after = if picker.filtering {
        query_key(model, picker, key, out)
    } else {
        plain_key(model, picker, key, out)
    };
    let rows = picker.rows();
    picker.cursor = picker.cursor.min(rows.saturating_sub(1));
    let page = Picker::rows_shown(model.size);
    if picker.cursor < picker.offset {
        picker.offset = picker.cursor;
    } else if picker.cursor >= picker.offset + page {
        picker.offset = picker.cursor + 1 - page;
    }
    match after {
        After::Stay => true,
        After::Close => false,
        After::Done => {
            if matches!(model.dialogs.last(), Some(Dialog::Share(_))) {
                model.dialogs.pop();
            }
            false
        }
    }
}

fn query_key(
    model: &mut Model,
    picker: &mut Picker,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> After {
    match key.code {
        _ if cancels(key) => {
            picker.filtering = false;
            picker.query.set("");
        }
        KeyCode::Enter => {
            picker.filtering = false;
            // With one name left, Enter means that name.
            if picker.shown().len() == 1 {
                return enter(model, picker, out);
            }
        }
        KeyCode::Down => picker.cursor += 1,
        KeyCode::Up => picker.cursor = picker.cursor.saturating_sub(1),
        KeyCode::Backspace if picker.query.text().is_empty() => picker.filtering = false,
        _ => {
            picker.query.key(key);
            picker.cursor = 0;
        }
    }
    After::Stay
}

fn plain_key(
    model: &mut Model,
    picker: &mut Picker,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> After {
    let page = Picker::rows_shown(model.size);
    match key.code {
        KeyCode::Esc if !picker.query.text().is_empty() => picker.query.set(""),
        _ if cancels(key) => return After::Close,
        KeyCode::Char('q') | KeyCode::F(3) => return After::Close,
        KeyCode::Down | KeyCode::Char('j') => picker.cursor += 1,
        KeyCode::Up | KeyCode::Char('k') => picker.cursor = picker.cursor.saturating_sub(1),
        KeyCode::PageDown => picker.cursor += page,
        KeyCode::PageUp => picker.cursor = picker.cursor.saturating_sub(page),
        KeyCode::Home | KeyCode::Char('g') => picker.cursor = 0,
        KeyCode::End | KeyCode::Char('G') => picker.cursor = picker.rows(),
        KeyCode::Backspace | KeyCode::Left | KeyCode::Char('h') => up(picker, out),
        KeyCode::Right | KeyCode::Char('l')
            if picker.under_cursor().is_some_and(|entry| entry.is_dir) =>
        {
            return enter(model, picker, out);
        }
        KeyCode::Char('.') => picker.hidden = !picker.hidden,
        KeyCode::Char('~') => {
            if let Some(home) = model.setting.home.clone() {
                go(picker, home, None, out);
            }
        }
        KeyCode::Char('/') => picker.filtering = true,
        KeyCode::Char(' ') if picker.save.is_empty() => {
            mark(model, picker);
            picker.cursor += 1;
        }
        KeyCode::Char('*') if picker.save.is_empty() => mark_all(model, picker),
        KeyCode::Char('s' | 'd') => return take(model, picker, out),
        KeyCode::Enter => return enter(model, picker, out),
        _ => {}
    }
    After::Stay
}

fn go(picker: &mut Picker, dir: PathBuf, seek: Option<String>, out: &mut Vec<Effect>) {
    picker.go(&dir, seek);
    out.push(Effect::ListDir(dir));
}

fn up(picker: &mut Picker, out: &mut Vec<Effect>) {
    let here = picker.dir.file_name().map(typed);
    if let Some(parent) = picker.dir.parent().map(std::path::Path::to_owned) {
        go(picker, parent, here, out);
    }
}

/// Opens a folder; takes a file.
fn enter(model: &mut Model, picker: &mut Picker, out: &mut Vec<Effect>) -> After {
    match picker.under_cursor().cloned() {
        None if picker.has_up() => up(picker, out),
        None => {}
        Some(entry) if entry.is_dir => {
            let dir = picker.path_of(&entry);
            go(picker, dir, None, out);
        }
        Some(_) => return take(model, picker, out),
    }
    After::Stay
}

fn mark(model: &mut Model, picker: &mut Picker) {
    let Some(entry) = picker.under_cursor().cloned() else { return };
    let path = picker.path_of(&entry);
    if picker.marked.remove(&path).is_some() {
        return;
    }
    if !entry.readable {
        let text = "not readable: it cannot be shared";
        model.toast(Tone::Warn, text);
    } else if picker.marked.len() < MAX_MARKED {
        let what = (entry.size, entry.is_dir);
        picker.marked.insert(path, what);
    }
}

/// All readable files shown here, or none of them if all are marked.
fn mark_all(model: &mut Model, picker: &mut Picker) {
    let here: Marked = picker
        .shown()
        .into_iter()
        .filter(|entry| entry.readable && !entry.is_dir)
        .map(|entry| (picker.path_of(entry), (entry.size, false)))
        .collect();
    if here.keys().all(|path| picker.marked.contains_key(path)) {
        picker.marked.retain(|path, _| !here.contains_key(path));
    } else if picker.marked.len() + here.len() > MAX_MARKED {
        let text = "too many to mark: share the folder instead";
        model.toast(Tone::Warn, text);
    } else {
        picker.marked.extend(here);
    }
}

/// Shares what is marked, or what the cursor is on; or downloads to the folder shown.
fn take(model: &mut Model, picker: &mut Picker, out: &mut Vec<Effect>) -> After {
    if !picker.save.is_empty() {
        // What else is wished for stands in the dialog behind.
        let behind = match model.dialogs.last() {
            Some(Dialog::Share(share)) => share.clone(),
            _ => SharePath { save: picker.save.clone(), ..SharePath::default() },
        };
        save_to(model, &behind, &picker.dir, out);
        return After::Done;
    }
    if picker.marked.is_empty() {
        mark(model, picker);
    }
    let paths: Vec<PathBuf> = std::mem::take(&mut picker.marked).into_keys().collect();
    match paths.as_slice() {
        [] => return After::Stay,
        [one] => share_path(model, one.clone(), None, out),
        many => {
            let text = format!("hashing {} · others see them when that is done", many.len());
            let command = |path: &PathBuf| Command::Share { path: path.clone(), name: None };
            call_each(many.iter().map(command), text, out);
        }
    }
    After::Done
}
