//! Keys and pastes while a dialog or the welcome screen is open.

use crossterm::event::{KeyCode, KeyEvent};

use super::actions;
use super::contents::contents_key;
use super::link::link_key;
use super::palette::palette_key;
use super::picker::picker_key;
use super::settings::settings_key;
use super::share::{look_again, share_key};
use crate::engine::command::Command;
use crate::tui::action::Action;
use crate::tui::keymap::{Key, cancels};
use crate::tui::model::{Choice, Confirm, Dialog, Model, ShareField, Sort, Tone, WhenIdle};
use crate::tui::msg::{Asked, Effect, ExitReason};
use crate::tui::panes::files::update::lists;
use crate::tui::screens::help::geometry::last_scroll;

/// A key while a dialog is open. The dialog is taken out, changed, and put back unless it is done.
pub(super) fn key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    let Some(mut dialog) = model.dialogs.pop() else { return };
    let cancelled = cancels(key);
    let keep = match &mut dialog {
        Dialog::Contents(contents) => contents_key(model, contents, key, out),
        Dialog::Picker(picker) => picker_key(model, picker, key, out),
        Dialog::Settings(panel) => settings_key(model, panel, key, out),
        _ if cancelled => false,
        Dialog::Help { scroll, query } => help_key(model, scroll, query, key),
        Dialog::Palette { query, cursor } => match palette_key(model, query, cursor, key) {
            Ok(keep) => keep,
            Err(action) => {
                actions::run(model, action, None, out);
                return;
            }
        },
        Dialog::Sort { cursor } => sort_key(model, cursor, key, out),
        Dialog::Picks(picks) => super::wishes::picks_key(model, picks, key, out),
        Dialog::Limit(limit) => super::wishes::limit_key(limit, key, out),
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

/// Pasted text, if an open field takes it.
pub(super) fn paste(model: &mut Model, text: &str, out: &mut Vec<Effect>) -> bool {
    if let Some(mut dialog) = model.dialogs.pop() {
        match &mut dialog {
            Dialog::Help { query, .. } => query.paste(text),
            Dialog::Palette { query, cursor } => {
                query.paste(text);
                *cursor = 0;
            }
            Dialog::Share(share) if share.active == ShareField::Name => share.name.paste(text),
            Dialog::Share(share) => {
                share.field.paste(text);
                look_again(model, share, out);
            }
            Dialog::Link(link) => {
                link.error = None;
                link.field.paste(text);
            }
            Dialog::Contents(contents) => super::contents::paste(contents, text),
            Dialog::Picker(picker) if picker.filtering => picker.query.paste(text),
            Dialog::Settings(panel) => super::settings::paste(panel, text),
            Dialog::Limit(limit) => limit.field().paste(text),
            Dialog::Picks(_)
            | Dialog::Picker(_)
            | Dialog::Confirm(_)
            | Dialog::Sort { .. }
            | Dialog::Why { .. } => {
                let hint = "Pasted text ignored: there is no field here".to_owned();
                model.toasts.push(Tone::Plain, hint, model.now.mono);
            }
        }
        model.dialogs.push(dialog);
        return true;
    }
    if model.is_welcome() {
        super::welcome::paste(model, text, out);
        return true;
    }
    false
}

fn help_key(
    model: &Model,
    scroll: &mut usize,
    query: &mut crate::tui::field::Field,
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

fn sort_key(model: &mut Model, cursor: &mut usize, key: KeyEvent, out: &mut Vec<Effect>) -> bool {
    let choices = Sort::choices(model.tab);
    match key.code {
        _ if model.keymap.is(Action::Reverse, Key::of(key)) => {
            actions::act(model, Action::Reverse, None, out);
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
            // A letter marks its button; Enter presses it, so no single key destroys.
            let c = c.to_ascii_lowercase();
            let meant = confirm.letters().iter().position(|letter| *letter == Some(c));
            confirm.selected = meant.unwrap_or(confirm.selected);
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
            super::ask::when_idle(model, out);
        }
        Choice::Rejoin => {
            actions::act(model, Action::Rejoin, None, out);
        }
        Choice::Leave => super::ask::leave_now(model, out),
        Choice::Remove => {
            let delete_partial = confirm.tick.is_some_and(|(_, ticked)| ticked);
            for id in ids {
                out.push(Effect::Call(Command::Remove { id: *id, delete_partial }, Asked::Quietly));
            }
            model.marks.clear();
            super::wishes::removed(model, ids);
        }
        Choice::Unshare => super::transfers::unshare(model, ids, out),
        Choice::Ban(peer, for_ever) => super::wishes::ban(model, peer, for_ever, out),
        Choice::Suspend => {
            model.suspend_confirmed = true;
            out.push(Effect::Suspend);
        }
    }
}
