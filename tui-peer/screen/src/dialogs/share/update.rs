//! The share dialog: a path with completion, a name, and what sharing it would mean.

use std::path::{Path, PathBuf};

use common::id::ContentId;
use crossterm::event::{KeyCode, KeyEvent};

use crate::model::{Dialog, Measure, Model, PathEntry, Picker, ShareField, SharePath};
use crate::msg::{Asked, Effect};
use crate::probes::Probe;
use crate::queries::{expand, written};
use engine::api::command::{Command, Download, Priority, Selection};
use engine::api::snapshot::{Transfer, TransferState};

/// Opens the dialog for a path to share, or to download `save` to.
pub(crate) fn open(model: &mut Model, save: Vec<ContentId>, out: &mut Vec<Effect>) {
    let mut dialog = SharePath { save, ..SharePath::default() };
    if !dialog.save.is_empty() {
        let downloads = written(model, &model.snap.me.downloads);
        dialog.field.set(&format!("{downloads}/"));
    }
    look_again(model, &mut dialog, out);
    model.dialogs.push(Dialog::Share(dialog));
}

/// The folder whose names can complete what was typed.
fn wanted_dir(model: &Model, share: &SharePath) -> PathBuf {
    let (dir, _) = share.split();
    if share.field.text() == "~" { model.setting.cwd.clone() } else { expand(model, dir) }
}

/// After the path was changed: other names may complete it.
pub(crate) fn look_again(model: &Model, share: &mut SharePath, out: &mut Vec<Effect>) {
    share.error = None;
    share.cursor = None;
    let dir = Some(wanted_dir(model, share));
    if dir != share.dir {
        share.dir.clone_from(&dir);
        share.entries = Ok(Vec::new());
        out.extend(dir.map(Effect::ListDir));
    }
    measure(model, share, out);
}

/// After another path is meant: what would it mean to share it?
fn measure(model: &Model, share: &mut SharePath, out: &mut Vec<Effect>) {
    if !share.save.is_empty() {
        return;
    }
    let meant = share.meant();
    if meant.is_empty() {
        share.measured = None;
        return;
    }
    let path = expand(model, &meant);
    if share.measured.as_ref().is_none_or(|(of, _)| *of != path) {
        share.measured = Some((path.clone(), None));
        out.push(Effect::Probe(Probe::Measure(path)));
    }
}

/// A measure arrived.
pub(crate) fn measured(model: &mut Model, path: &Path, result: &Result<Measure, String>) {
    for dialog in &mut model.dialogs {
        if let Dialog::Share(share) = dialog
            && let Some((of, answer)) = &mut share.measured
            && of == path
        {
            *answer = Some(result.clone());
        }
    }
}

/// Names of a folder arrived.
pub(crate) fn listed(model: &mut Model, dir: PathBuf, entries: &Result<Vec<PathEntry>, String>) {
    let dir = Some(dir);
    for dialog in &mut model.dialogs {
        match dialog {
            Dialog::Share(share) if share.dir == dir => share.entries.clone_from(entries),
            Dialog::Picker(picker) if Some(&picker.dir) == dir.as_ref() => picker.fill(entries),
            _ => {}
        }
    }
}

/// Whether the dialog stays open.
pub(crate) fn share_key(
    model: &mut Model,
    share: &mut SharePath,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    if key.code == KeyCode::Enter {
        return !enter(model, share, out);
    }
    if share.active == ShareField::Name {
        match key.code {
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Up => share.active = ShareField::Path,
            _ => {
                share.name.key(key);
            }
        }
        return true;
    }
    let matching: Vec<PathEntry> = share.matching().into_iter().cloned().collect();
    let n = matching.len();
    match key.code {
        // The name is below the list; a download has none.
        KeyCode::Down => match share.cursor {
            Some(at) if at + 1 < n => share.cursor = Some(at + 1),
            None if n > 0 => share.cursor = Some(0),
            _ if share.save.is_empty() => share.active = ShareField::Name,
            _ => share.cursor = None,
        },
        KeyCode::Up => {
            share.cursor = match share.cursor {
                Some(at) => at.checked_sub(1),
                None => n.checked_sub(1),
            };
        }
        KeyCode::PageDown if n > 0 => {
            share.cursor = Some(share.cursor.map_or(0, |at| (at + 10).min(n - 1)));
        }
        KeyCode::PageUp => share.cursor = share.cursor.and_then(|at| at.checked_sub(10)),
        KeyCode::BackTab if share.save.is_empty() => share.active = ShareField::Name,
        KeyCode::F(5) if !share.save.is_empty() => {
            let at = Priority::ALL.iter().position(|p| *p == share.priority).unwrap_or(0);
            share.priority = Priority::ALL[(at + 1) % Priority::ALL.len()];
        }
        KeyCode::F(6) if !share.save.is_empty() => share.sequential = !share.sequential,
        KeyCode::Tab => complete(model, share, &matching, out),
        KeyCode::Right if share.field.at_end() && n > 0 => complete(model, share, &matching, out),
        KeyCode::F(3) => return !browse(model, share, out),
        _ => {
            // A whole folder is what this dialog offers.
            let offered = share.field.text().ends_with('/');
            if share.field.path_key(key, offered) {
                look_again(model, share, out);
            }
            return true;
        }
    }
    measure(model, share, out);
    true
}

/// Opens the picker in the folder being typed, in front of this dialog; says whether this one is done.
fn browse(model: &mut Model, share: &SharePath, out: &mut Vec<Effect>) -> bool {
    let dir = wanted_dir(model, share);
    out.push(Effect::ListDir(dir.clone()));
    model.dialogs.push(Dialog::Share(share.clone()));
    model.dialogs.push(Dialog::Picker(Picker::new(dir, share.save.clone())));
    // A copy of it stands behind the picker already.
    true
}

/// Tab: the longest common beginning, then one name after the other.
fn complete(model: &Model, share: &mut SharePath, matching: &[PathEntry], out: &mut Vec<Effect>) {
    let Some(first) = matching.first() else { return };
    let stem_len = share.split().1.len();
    let mut common = first.name.clone();
    for entry in matching {
        while !entry.name.starts_with(&common) && common.pop().is_some() {}
    }
    if let [only] = matching {
        take(model, share, only, out);
    } else if common.len() > stem_len {
        let text = format!("{}{common}", share.split().0);
        share.field.set(&text);
        look_again(model, share, out);
    } else {
        share.cursor = Some(share.cursor.map_or(0, |at| (at + 1) % matching.len()));
    }
}

fn take(model: &Model, share: &mut SharePath, entry: &PathEntry, out: &mut Vec<Effect>) {
    let slash = if entry.is_dir { "/" } else { "" };
    let text = format!("{}{}{slash}", share.split().0, entry.name);
    share.field.set(&text);
    look_again(model, share, out);
}

/// Enter: goes into the chosen folder, or does it. Says whether the dialog is done.
fn enter(model: &mut Model, share: &mut SharePath, out: &mut Vec<Effect>) -> bool {
    let chosen = share.cursor.and_then(|at| share.matching().get(at).copied().cloned());
    if let Some(entry) = chosen {
        take(model, share, &entry, out);
        if entry.is_dir {
            return false;
        }
    }
    let text = share.field.text().trim_start().to_owned();
    if text.is_empty() {
        share.error = Some("type a path, or choose a name with the arrow keys".to_owned());
        return false;
    }
    let path = expand(model, &text);
    if !share.save.is_empty() {
        save_to(model, share, &path, out);
        return true;
    }
    if path == Path::new("/") {
        share.error = Some("the whole machine is too much: choose a folder".to_owned());
        return false;
    }
    if let Some((of, Some(Err(why)))) = &share.measured
        && *of == path
    {
        share.error = Some(format!("{}: {why}", model.show_path(&path)));
        return false;
    }
    let name = Some(share.name.text().trim().to_owned()).filter(|name| !name.is_empty());
    share_path(model, path, name, out);
    true
}

/// Downloads these to a folder.
pub(crate) fn save_to(model: &mut Model, share: &SharePath, dir: &Path, out: &mut Vec<Effect>) {
    let here = |id: &ContentId| {
        model.transfer(id).is_some_and(|transfer| transfer.state == TransferState::Sharing)
    };
    let does = if share.save.iter().all(here) { "copying" } else { "downloading" };
    let text = format!("{does} to {}", model.show_path(dir));
    for (i, id) in share.save.iter().enumerate() {
        let asked = if i == 0 { Asked::Say(text.clone()) } else { Asked::Quietly };
        let dir = Some(dir.to_owned());
        // Of what is on its way the same files stay wanted.
        let known = model.transfer(id).is_some_and(Transfer::is_on_its_way);
        let files = if known { Selection::Paths(Vec::new()) } else { Selection::All };
        let download = Download { id: *id, name: None, dir, files };
        out.push(Effect::Call(Command::Download(download), asked));
        if here(id) {
            continue;
        }
        if share.priority != Priority::Normal {
            let command = Command::Prioritize { id: *id, priority: share.priority };
            out.push(Effect::Call(command, Asked::Quietly));
        }
        if share.sequential {
            out.push(Effect::Call(Command::Sequential { id: *id, on: true }, Asked::Quietly));
        }
    }
    model.marks.clear();
}

/// Shares a file or folder.
pub(crate) fn share_path(
    model: &Model,
    path: PathBuf,
    name: Option<String>,
    out: &mut Vec<Effect>,
) {
    let say = format!("hashing {} · others can see it once that is done", model.show_path(&path));
    out.push(Effect::Call(Command::Share { path, name }, Asked::Say(say)));
}

/// Opens the dialog for a folder to download the chosen contents to.
pub(crate) fn open_for_targets(model: &mut Model, out: &mut Vec<Effect>) {
    let save = model.targets();
    open(model, save, out);
}
