//! Choosing files of a folder.

use crossterm::event::{KeyCode, KeyEvent};

use crate::keymap::cancels;
use crate::model::{Contents, Dialog, Model, Tone};
use crate::msg::{Asked, Effect};
use engine::api::command::{Command, Download, Selection};
use engine::api::snapshot::TransferState;

/// Opens the dialog. The list of a folder that is not ours has to be fetched first.
pub(crate) fn open(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(id) = model.selected() else { return };
    let name = model.selected_name().map(|n| n.to_string()).unwrap_or_default();
    let mut contents = Contents::new(id, name);
    if model.transfer(&id).is_some() {
        contents.asked = true;
        out.push(Effect::Call(Command::ListFiles { id }, Asked::Files(id)));
    } else {
        contents.looking = true;
        let files = Selection::Paths(Vec::new());
        let look = Command::Download(Download { id, name: None, dir: None, files });
        out.push(Effect::Call(look, Asked::Quietly));
    }
    model.dialogs.push(Dialog::Contents(contents));
}

/// Asks for the list once it is there.
pub(crate) fn look(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Contents(contents)) = model.dialogs.last_mut() else { return };
    if contents.asked {
        return;
    }
    let id = contents.id;
    let place = model.mine.get(&id).copied();
    let transfer = place.and_then(|at| model.snap.transfers.get(at));
    contents.error = match transfer.map(|t| &t.state) {
        Some(TransferState::Paused) => {
            contents.asked = true;
            out.push(Effect::Call(Command::ListFiles { id }, Asked::Files(id)));
            None
        }
        Some(TransferState::NoSource) => {
            Some("Nobody online has its list of files; it comes when somebody does.".to_owned())
        }
        Some(TransferState::Failed(why)) => Some(common::names::show(why)),
        _ => None,
    };
}

/// Says whether the dialog stays open.
pub(crate) fn contents_key(
    model: &mut Model,
    contents: &mut Contents,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let stays = pressed(model, contents, key, out);
    if !stays && contents.looking {
        let id = contents.id;
        out.push(Effect::Call(Command::Remove { id, delete_partial: true }, Asked::Quietly));
    }
    stays
}

fn pressed(
    model: &mut Model,
    contents: &mut Contents,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let page = Contents::rows_shown(model.size);
    let close = cancels(key);
    if contents.filtering {
        match key.code {
            _ if close => {
                contents.filtering = false;
                contents.query.set("");
                contents.refresh();
            }
            KeyCode::Enter => contents.filtering = false,
            KeyCode::Backspace if contents.query.text().is_empty() => contents.filtering = false,
            KeyCode::Down => contents.cursor += 1,
            KeyCode::Up => contents.cursor = contents.cursor.saturating_sub(1),
            _ => {
                if contents.query.key(key) {
                    contents.cursor = 0;
                    contents.refresh();
                }
            }
        }
    } else {
        match key.code {
            KeyCode::Esc if contents.is_flat() => {
                contents.query.set("");
                contents.refresh();
            }
            _ if close => return false,
            KeyCode::Char('q') => return false,
            KeyCode::Down | KeyCode::Char('j') => contents.cursor += 1,
            KeyCode::Up | KeyCode::Char('k') => contents.cursor = contents.cursor.saturating_sub(1),
            KeyCode::PageDown => contents.cursor += page,
            KeyCode::PageUp => contents.cursor = contents.cursor.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => contents.cursor = 0,
            KeyCode::End | KeyCode::Char('G') => contents.cursor = contents.rows.len(),
            KeyCode::Right | KeyCode::Char('l' | '+') => contents.unfold(true),
            KeyCode::Left | KeyCode::Char('h' | '-') => contents.unfold(false),
            KeyCode::Char('/') => contents.filtering = true,
            KeyCode::Char(' ') => {
                contents.toggle();
                contents.cursor += 1;
            }
            KeyCode::Char('*' | 'a') => contents.toggle_all(),
            KeyCode::Enter | KeyCode::Char('d') => return !select(model, contents, out),
            _ => {}
        }
    }
    contents.settle(page);
    true
}

/// Pasted text goes into the query.
pub(crate) fn paste(contents: &mut Contents, text: &str) {
    if contents.filtering {
        contents.query.paste(text);
        contents.refresh();
    }
}

/// Fetches what is chosen; says whether that was possible.
fn select(model: &mut Model, contents: &mut Contents, out: &mut Vec<Effect>) -> bool {
    if !contents.ready {
        return false;
    }
    let wanted = contents.wanted();
    if wanted.is_empty() {
        let text = "no file is chosen · Space chooses";
        model.toast(Tone::Warn, text);
        return false;
    }
    let id = contents.id;
    let text = format!("{} of {} chosen: {}", wanted.len(), contents.len(), contents.name);
    let files =
        if wanted.len() == contents.len() { Selection::All } else { Selection::Paths(wanted) };
    let command = if model.transfer(&id).is_some() {
        Command::Select { id, files }
    } else {
        Command::Download(Download { id, name: None, dir: None, files })
    };
    out.push(Effect::Call(command, Asked::Say(text)));
    contents.looking = false;
    true
}
