//! Keys and pastes while a dialog or the welcome screen is open.

use std::path::{Path, PathBuf};

use common::join::Link;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::engine::command::{Command, Download, Selection};

use super::super::action::Action;
use super::super::model::{
    Choice, Confirm, Contents, Dialog, GetLink, Model, PathEntry, SharePath, Sort, Tone, WhenIdle,
};
use super::super::msg::{Asked, Effect, ExitReason};
use super::{actions, keys, lists};

/// A key while a dialog is open. The dialog is taken out, changed, and put back unless it is done.
pub(super) fn key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    let Some(mut dialog) = model.dialogs.pop() else { return };
    let cancelled = key.code == KeyCode::Esc || key.code == KeyCode::Char('c') && ctrl(key);
    let keep = match &mut dialog {
        Dialog::Contents(contents) => contents_key(model, contents, key, out),
        _ if cancelled => false,
        Dialog::Help { scroll, query } => help_key(model, scroll, query, key),
        Dialog::Palette { query, cursor } => match palette_key(model, query, cursor, key) {
            Ok(keep) => keep,
            Err(action) => {
                keys::run(model, action, out);
                return;
            }
        },
        Dialog::Sort { cursor } => sort_key(model, cursor, key, out),
        Dialog::Why { .. } => false,
        Dialog::Share(share) => share_key(model, share, key, out),
        Dialog::Link(link) => link_key(model, link, key, out),
        Dialog::Confirm(confirm) => match confirm_key(confirm, key) {
            None => true,
            Some(choice) => {
                chosen(model, confirm, choice, out);
                false
            }
        },
    };
    if keep {
        model.dialogs.push(dialog);
    }
}

fn ctrl(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Pasted text, if an open field takes it.
pub(super) fn paste(model: &mut Model, text: &str, out: &mut Vec<Effect>) -> bool {
    if let Some(mut dialog) = model.dialogs.pop() {
        match &mut dialog {
            Dialog::Help { query, .. } => query.paste(text),
            Dialog::Palette { query, cursor } => {
                query.paste(text);
                *cursor = 0;
            }
            Dialog::Share(share) => {
                share.field.paste(text);
                look_again(model, share, out);
            }
            Dialog::Link(link) => {
                link.error = None;
                link.field.paste(text);
            }
            Dialog::Contents(contents) if contents.filtering => contents.query.paste(text),
            Dialog::Contents(_) | Dialog::Confirm(_) | Dialog::Sort { .. } | Dialog::Why { .. } => {
            }
        }
        model.dialogs.push(dialog);
        return true;
    }
    if model.is_welcome() {
        model.welcome.choice = 0;
        model.welcome.error = None;
        model.welcome.field.paste(text);
        return true;
    }
    false
}

/// A key on the welcome screen.
pub(super) fn welcome_key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    let choices = 2 + usize::from(model.setting.demo);
    let typing = model.welcome.choice == 0 && !model.welcome.field.text().is_empty();
    match key.code {
        KeyCode::Down | KeyCode::Tab => model.welcome.choice = (model.welcome.choice + 1) % choices,
        KeyCode::Up | KeyCode::BackTab => {
            model.welcome.choice = (model.welcome.choice + choices - 1) % choices;
        }
        KeyCode::Enter => welcome_enter(model, out),
        KeyCode::Esc => model.welcome.field.set(""),
        KeyCode::F(1) => keys::run(model, Action::Help, out),
        KeyCode::Char('l') if ctrl(key) => out.push(Effect::Redraw),
        KeyCode::Char('z') if ctrl(key) => keys::run(model, Action::Suspend, out),
        KeyCode::Char('q') if !typing && !ctrl(key) => out.push(Effect::Exit(ExitReason::Quit)),
        KeyCode::Char('?') if !typing => keys::run(model, Action::Help, out),
        KeyCode::Char('h') if !typing && !ctrl(key) => {
            model.welcome.choice = 1;
            welcome_enter(model, out);
        }
        KeyCode::Char('d') if !typing && !ctrl(key) && model.setting.demo => {
            out.push(Effect::Exit(ExitReason::Demo));
        }
        _ => {
            model.welcome.error = None;
            if model.welcome.field.key(key) {
                model.welcome.choice = 0;
            }
        }
    }
}

fn welcome_enter(model: &mut Model, out: &mut Vec<Effect>) {
    if model.welcome.busy {
        return;
    }
    match model.welcome.choice {
        0 => {
            let dialog = GetLink { field: model.welcome.field.clone(), joining: true, error: None };
            match join_of(&dialog) {
                Ok(command) => {
                    model.welcome.busy = true;
                    out.push(Effect::Call(command, Asked::Join));
                }
                Err(why) => model.welcome.error = Some(why),
            }
        }
        1 => {
            model.welcome.busy = true;
            out.push(Effect::Call(Command::Host, Asked::Host));
        }
        _ => out.push(Effect::Exit(ExitReason::Demo)),
    }
}

fn join_of(dialog: &GetLink) -> Result<Command, String> {
    match dialog.parsed() {
        None => Err("paste the line that the tracker printed, shoal://…".to_owned()),
        Some(Err(why)) => Err(why),
        Some(Ok(Link::Join(join))) => Ok(Command::Join { join }),
        Some(Ok(Link::File(link))) => Ok(Command::Join { join: link.join().clone() }),
    }
}

fn help_key(
    model: &Model,
    scroll: &mut usize,
    query: &mut super::super::field::Field,
    key: KeyEvent,
) -> bool {
    let page = usize::from(model.size.1.saturating_sub(6)).max(1);
    let empty = query.text().is_empty();
    match key.code {
        KeyCode::Char('?') | KeyCode::F(1) => return false,
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
    *scroll = (*scroll).min(super::super::view::help::last_scroll(model, query.text()));
    true
}

/// `Err` is the action to run.
fn palette_key(
    model: &Model,
    query: &mut super::super::field::Field,
    cursor: &mut usize,
    key: KeyEvent,
) -> Result<bool, Action> {
    let found = palette_rows(model, query.text());
    match key.code {
        KeyCode::Enter => return found.get(*cursor).copied().map_or(Ok(true), Err),
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

/// Commands that match, best first: by name, help, other words and key.
pub(crate) fn palette_rows(model: &Model, query: &str) -> Vec<Action> {
    let words: Vec<String> = query.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let mut found: Vec<(u8, Action)> = Action::ALL
        .iter()
        .filter(|action| action.palette())
        .filter_map(|action| {
            let help = action.help().to_lowercase();
            let keys = model.keymap.keys(*action);
            let all = format!("{help} {} {}", action.name(), action.words());
            if keys.iter().any(|k| k == query) {
                return Some((0, *action));
            }
            let hit = words.iter().all(|word| all.contains(word.as_str()));
            let begins = words.first().is_none_or(|word| help.starts_with(word.as_str()));
            hit.then_some((if begins { 1 } else { 2 }, *action))
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, action)| action).collect()
}

fn sort_key(model: &mut Model, cursor: &mut usize, key: KeyEvent, out: &mut Vec<Effect>) -> bool {
    let choices = Sort::choices(model.tab);
    match key.code {
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

/// A path as typed, absolute.
fn expand(model: &Model, text: &str) -> PathBuf {
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

fn look_again(model: &Model, share: &mut SharePath, out: &mut Vec<Effect>) {
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

fn share_key(
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
fn complete(model: &Model, share: &mut SharePath, matching: &[PathEntry], out: &mut Vec<Effect>) {
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

fn take(model: &Model, share: &mut SharePath, entry: &PathEntry, out: &mut Vec<Effect>) {
    let (dir, _) = share.split();
    let slash = if entry.is_dir { "/" } else { "" };
    let text = format!("{dir}{}{slash}", entry.name);
    share.field.set(&text);
    look_again(model, share, out);
}

/// Says whether the dialog is done.
fn share_now(model: &mut Model, share: &mut SharePath, out: &mut Vec<Effect>) -> bool {
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
    let say = format!("hashing {} · others see it when that is done", model.show_path(&path));
    out.push(Effect::Call(Command::Share { path, name: None }, Asked::Say(say)));
    true
}

fn link_key(model: &mut Model, link: &mut GetLink, key: KeyEvent, out: &mut Vec<Effect>) -> bool {
    if key.code != KeyCode::Enter {
        link.error = None;
        link.field.key(key);
        return true;
    }
    if link.joining {
        return match join_of(link) {
            Ok(command) => {
                out.push(Effect::Call(command, Asked::Join));
                false
            }
            Err(why) => {
                link.error = Some(why);
                true
            }
        };
    }
    match link.parsed() {
        Some(Ok(Link::File(file))) => {
            // A link of another network cannot be fetched from this one.
            let here = model
                .snap
                .network
                .join
                .as_deref()
                .and_then(|j| j.parse::<common::join::JoinString>().ok());
            if here.is_none_or(|here| here.tracker() != file.join().tracker()) {
                out.push(Effect::Call(Command::Join { join: file.join().clone() }, Asked::Join));
            }
            let name = file.name().map(str::to_owned);
            let shown = name.as_deref().map_or_else(|| file.id().short(), common::names::show);
            let command = Command::Download(Download {
                id: file.id(),
                name,
                dir: None,
                files: Selection::All,
            });
            out.push(Effect::Call(command, Asked::Say(format!("downloading: {shown}"))));
            false
        }
        Some(Ok(Link::Join(_))) => {
            link.joining = true;
            true
        }
        Some(Err(why)) => {
            link.error = Some(why);
            true
        }
        None => {
            link.error = Some("paste a link, shoal://…".to_owned());
            true
        }
    }
}

fn confirm_key(confirm: &mut Confirm, key: KeyEvent) -> Option<Choice> {
    let n = confirm.buttons.len().max(1);
    match key.code {
        KeyCode::Right | KeyCode::Tab | KeyCode::Down => {
            confirm.selected = (confirm.selected + 1) % n;
        }
        KeyCode::Left | KeyCode::BackTab | KeyCode::Up => {
            confirm.selected = (confirm.selected + n - 1) % n;
        }
        KeyCode::Enter => return confirm.buttons.get(confirm.selected).map(|b| b.choice),
        KeyCode::Char(' ') => {
            if let Some((_, ticked)) = &mut confirm.tick {
                *ticked = !*ticked;
            }
        }
        KeyCode::Char(c) => {
            // The first letter marks the button; Enter presses it, so no single key destroys.
            let matches: Vec<usize> = confirm
                .buttons
                .iter()
                .enumerate()
                .filter(|(_, b)| b.label.to_lowercase().starts_with(c.to_ascii_lowercase()))
                .map(|(i, _)| i)
                .collect();
            let next = matches.iter().find(|i| **i > confirm.selected).or(matches.first());
            confirm.selected = next.copied().unwrap_or(confirm.selected);
        }
        _ => {}
    }
    None
}

fn chosen(model: &mut Model, confirm: &Confirm, choice: Choice, out: &mut Vec<Effect>) {
    let ids = confirm.ids.as_slice();
    match choice {
        Choice::Stay => {}
        Choice::Quit => out.push(Effect::Exit(ExitReason::Quit)),
        Choice::ServeOn => out.push(Effect::Exit(ExitReason::ServeOn)),
        Choice::QuitWhenIdle | Choice::LeaveWhenIdle => {
            let quit = choice == Choice::QuitWhenIdle;
            model.when_idle = Some(if quit { WhenIdle::Quit } else { WhenIdle::Leave });
            super::when_idle(model, out);
        }
        Choice::Leave => actions::leave_now(model, out),
        Choice::Remove => {
            let delete_partial = confirm.tick.is_some_and(|(_, ticked)| ticked);
            for id in ids {
                out.push(Effect::Call(Command::Remove { id: *id, delete_partial }, Asked::Quietly));
            }
            model.marks.clear();
            model.toasts.push(Tone::Good, "removed from the list".to_owned(), model.now.mono);
        }
        Choice::Unshare => actions::unshare(model, ids, out),
        Choice::Suspend => {
            model.suspend_confirmed = true;
            out.push(Effect::Suspend);
        }
    }
}

/// Says whether the dialog stays open.
fn contents_key(
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
fn toggle_all(contents: &mut Contents, shown: &[usize]) {
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
fn select(model: &mut Model, contents: &Contents, out: &mut Vec<Effect>) -> bool {
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
