//! The welcome screen, and the dialog for links and join strings.

use common::join::Link;
use crossterm::event::{KeyCode, KeyEvent};

use crate::engine::command::{Command, Download, Selection};

use super::super::action::Action;
use super::super::model::{GetLink, Model};
use super::super::msg::{Asked, Effect, ExitReason};
use super::dialogs::ctrl;
use super::keys;

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
        KeyCode::F(2) => keys::run(model, Action::Settings, out),
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

pub(super) fn welcome_enter(model: &mut Model, out: &mut Vec<Effect>) {
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

pub(super) fn join_of(dialog: &GetLink) -> Result<Command, String> {
    match dialog.parsed() {
        None => Err("paste the line that the tracker printed, shoal://…".to_owned()),
        Some(Err(why)) => Err(why),
        Some(Ok(Link::Join(join))) => Ok(Command::Join { join }),
        Some(Ok(Link::File(link))) => Ok(Command::Join { join: link.join().clone() }),
    }
}

pub(super) fn link_key(
    model: &mut Model,
    link: &mut GetLink,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
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
