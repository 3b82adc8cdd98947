//! The share dialog: a path with completion.

use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent};

use crate::engine::command::{Command, Download, Priority, Selection};

use super::super::model::{Dialog, Model, PathEntry, SharePath};
use super::super::msg::{Asked, Effect};

/// A path as typed, absolute.
pub(super) fn expand(model: &Model, text: &str) -> PathBuf {
    let path = match (text.strip_prefix('~'), &model.setting.home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    };
    model.setting.cwd.join(path)
}

/// The folder whose names can complete what was typed.
pub(super) fn wanted_dir(model: &Model, share: &SharePath) -> Option<PathBuf> {
    let (dir, _) = share.split();
    Some(if share.field.text() == "~" { model.setting.cwd.clone() } else { expand(model, dir) })
}

pub(super) fn look_again(model: &Model, share: &mut SharePath, out: &mut Vec<Effect>) {
    share.error = None;
    share.cursor = None;
    let dir = wanted_dir(model, share);
    if dir != share.dir {
        share.dir.clone_from(&dir);
        share.entries = Ok(Vec::new());
        out.extend(dir.map(Effect::ListDir));
    }
}

/// Names of a folder arrived.
pub(super) fn listed(model: &mut Model, dir: PathBuf, entries: &Result<Vec<PathEntry>, String>) {
    let dir = Some(dir);
    for dialog in &mut model.dialogs {
        if let Dialog::Share(share) = dialog
            && share.dir == dir
        {
            share.entries.clone_from(entries);
        }
    }
}

pub(super) fn share_key(
    model: &mut Model,
    share: &mut SharePath,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let matching: Vec<PathEntry> = share.matching().into_iter().cloned().collect();
    let n = matching.len();
    let chosen = share.cursor.and_then(|at| matching.get(at).cloned());
    match key.code {
        KeyCode::Down if n > 0 => share.cursor = Some(share.cursor.map_or(0, |at| (at + 1) % n)),
        KeyCode::Up if n > 0 => {
            share.cursor = Some(share.cursor.map_or(n - 1, |at| (at + n - 1) % n));
        }
        KeyCode::F(5) if !share.save.is_empty() => {
            let at = Priority::ALL.iter().position(|p| *p == share.priority).unwrap_or(0);
            share.priority = Priority::ALL[(at + 1) % Priority::ALL.len()];
        }
        KeyCode::F(6) if !share.save.is_empty() => share.sequential = !share.sequential,
        KeyCode::Tab => complete(model, share, &matching, out),
        KeyCode::BackTab if n > 0 => {
            share.cursor = Some(share.cursor.map_or(n - 1, |at| (at + n - 1) % n));
        }
        KeyCode::Right if share.field.at_end() && n > 0 => complete(model, share, &matching, out),
        KeyCode::Enter => {
            if let Some(entry) = chosen {
                take(model, share, &entry, out);
                if entry.is_dir {
                    return true;
                }
            }
            return !share_now(model, share, out);
        }
        _ => {
            if share.field.key(key) {
                look_again(model, share, out);
            }
        }
    }
    true
}

/// Tab: the longest common beginning, then one name after the other.
pub(super) fn complete(
    model: &Model,
    share: &mut SharePath,
    matching: &[PathEntry],
    out: &mut Vec<Effect>,
) {
    let Some(first) = matching.first() else { return };
    let stem_len = share.split().1.len();
    let mut common = first.name.clone();
    for entry in matching {
        while !entry.name.starts_with(&common) && common.pop().is_some() {}
    }
    if matching.len() == 1 {
        take(model, share, &first.clone(), out);
    } else if common.len() > stem_len {
        let (dir, _) = share.split();
        let text = format!("{dir}{common}");
        share.field.set(&text);
        look_again(model, share, out);
    } else {
        let n = matching.len();
        share.cursor = Some(share.cursor.map_or(0, |at| (at + 1) % n));
    }
}

pub(super) fn take(model: &Model, share: &mut SharePath, entry: &PathEntry, out: &mut Vec<Effect>) {
    let (dir, _) = share.split();
    let slash = if entry.is_dir { "/" } else { "" };
    let text = format!("{dir}{}{slash}", entry.name);
    share.field.set(&text);
    look_again(model, share, out);
}

/// Says whether the dialog is done.
pub(super) fn share_now(model: &mut Model, share: &mut SharePath, out: &mut Vec<Effect>) -> bool {
    let text = share.field.text().trim();
    if text.is_empty() {
        share.error = Some("type a path, or choose a name with the arrow keys".to_owned());
        return false;
    }
    let path = expand(model, text);
    if path == Path::new("/") {
        share.error = Some("the whole machine is too much: choose a folder".to_owned());
        return false;
    }
    if !share.save.is_empty() {
        let text = format!("downloading to {}", model.show_path(&path));
        for (i, id) in share.save.iter().enumerate() {
            let asked = if i == 0 { Asked::Say(text.clone()) } else { Asked::Quietly };
            let dir = Some(path.clone());
            let download = Download { id: *id, name: None, dir, files: Selection::All };
            out.push(Effect::Call(Command::Download(download), asked));
            if share.priority != Priority::Normal {
                let command = Command::Prioritize { id: *id, priority: share.priority };
                out.push(Effect::Call(command, Asked::Quietly));
            }
            if share.sequential {
                out.push(Effect::Call(Command::Sequential { id: *id, on: true }, Asked::Quietly));
            }
        }
        model.marks.clear();
        return true;
    }
    let say = format!("hashing {} · others see it when that is done", model.show_path(&path));
    out.push(Effect::Call(Command::Share { path, name: None }, Asked::Say(say)));
    true
}
