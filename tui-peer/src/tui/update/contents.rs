//! Choosing files of a folder.

use crossterm::event::{KeyCode, KeyEvent};

use crate::engine::command::{Command, Download, Selection};

use super::super::model::{Contents, Model, Tone};
use super::super::msg::{Asked, Effect};
use super::dialogs::ctrl;

/// Says whether the dialog stays open.
pub(super) fn contents_key(
    model: &mut Model,
    contents: &mut Contents,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let shown = contents.shown();
    let last = shown.len().saturating_sub(1);
    let page = super::super::view::dialogs::contents_rows(model.size);
    let close = key.code == KeyCode::Esc || key.code == KeyCode::Char('c') && ctrl(key);
    if contents.filtering {
        match key.code {
            _ if close => {
                contents.filtering = false;
                contents.query.set("");
            }
            KeyCode::Enter => contents.filtering = false,
            KeyCode::Down => contents.cursor = (contents.cursor + 1).min(last),
            KeyCode::Up => contents.cursor = contents.cursor.saturating_sub(1),
            _ => {
                contents.query.key(key);
                contents.cursor = 0;
            }
        }
    } else {
        match key.code {
            _ if close => return false,
            KeyCode::Char('q') => return false,
            KeyCode::Down | KeyCode::Char('j') => contents.cursor = (contents.cursor + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => contents.cursor = contents.cursor.saturating_sub(1),
            KeyCode::PageDown => contents.cursor = (contents.cursor + page).min(last),
            KeyCode::PageUp => contents.cursor = contents.cursor.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => contents.cursor = 0,
            KeyCode::End | KeyCode::Char('G') => contents.cursor = last,
            KeyCode::Char('/') => contents.filtering = true,
            KeyCode::Char(' ') => {
                if let Some(raw) = contents.under_cursor().map(|e| e.raw.clone()) {
                    if !contents.wanted.remove(&raw) {
                        contents.wanted.insert(raw);
                    }
                    contents.cursor = (contents.cursor + 1).min(last);
                }
            }
            KeyCode::Char('*' | 'a') => toggle_all(contents, &shown),
            KeyCode::Enter | KeyCode::Char('d') => return !select(model, contents, out),
            _ => {}
        }
    }
    let shown = contents.shown().len();
    contents.cursor = contents.cursor.min(shown.saturating_sub(1));
    if contents.cursor < contents.offset {
        contents.offset = contents.cursor;
    } else if contents.cursor >= contents.offset + page {
        contents.offset = contents.cursor + 1 - page;
    }
    true
}

/// All shown files, or none of them if all are chosen.
pub(super) fn toggle_all(contents: &mut Contents, shown: &[usize]) {
    let Some(Ok(entries)) = &contents.entries else { return };
    let raws: Vec<String> =
        shown.iter().filter_map(|i| entries.get(*i)).map(|e| e.raw.clone()).collect();
    if raws.iter().all(|raw| contents.wanted.contains(raw)) {
        for raw in &raws {
            contents.wanted.remove(raw);
        }
    } else {
        contents.wanted.extend(raws);
    }
}

/// Fetches what is chosen; says whether that was possible.
pub(super) fn select(model: &mut Model, contents: &Contents, out: &mut Vec<Effect>) -> bool {
    let Some(Ok(entries)) = &contents.entries else { return false };
    if contents.wanted.is_empty() {
        model.toasts.push(
            Tone::Warn,
            "no file is chosen · Space chooses".to_owned(),
            model.now.mono,
        );
        return false;
    }
    let id = contents.id;
    let files = if contents.wanted.len() == entries.len() {
        Selection::All
    } else {
        Selection::Paths(
            entries
                .iter()
                .filter(|e| contents.wanted.contains(&e.raw))
                .map(|e| e.raw.clone())
                .collect(),
        )
    };
    let n = contents.wanted.len();
    let say = Asked::Say(format!("{} of {} chosen: {}", n, entries.len(), contents.name));
    let command = if model.transfer(&id).is_some() {
        Command::Select { id, files }
    } else {
        Command::Download(Download { id, name: None, dir: None, files })
    };
    out.push(Effect::Call(command, say));
    true
}
