//! The welcome screen: fields with live checks, and what Enter does on each line.

use crossterm::event::{KeyCode, KeyEvent};

use ::settings::Item;
use common::near::Near;

use super::queries::{downloads_text, listen_text, nick_text, stops};
use crate::action::Action;
use crate::field::Field;
use crate::keymap::ctrl;
use crate::model::{Dialog, Model, Picker, Stop};
use crate::msg::{Asked, Effect, ExitReason};
use crate::probes::{Found, Probe};
use crate::queries::expand;
use crate::screens::settings;
use crate::update::actions;
use engine::api::command::Command;

/// A key on the welcome screen.
pub(crate) fn welcome_key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    match key.code {
        KeyCode::Down | KeyCode::Tab => turn(model, 1),
        KeyCode::Up | KeyCode::BackTab => turn(model, -1),
        KeyCode::Enter => enter(model, out),
        KeyCode::Esc => escape(model),
        KeyCode::F(1) => _ = actions::run(model, Action::Help, None, out),
        KeyCode::F(2) => _ = actions::run(model, Action::Settings, None, out),
        KeyCode::Char('l') if ctrl(key) => out.push(Effect::Redraw),
        KeyCode::Char('z') if ctrl(key) => _ = actions::run(model, Action::Suspend, None, out),
        KeyCode::Char(c) if !ctrl(key) && !is_typing(model) && shortcut(model, c, out) => {}
        KeyCode::Char('a') if !ctrl(key) && model.welcome.stop == Stop::Listen => {
            let mut any = listen_text(model).parse().unwrap_or(model.snap.me.listen);
            any.set_port(0);
            model.welcome.listen_check = Some((any, None));
            out.push(Effect::Probe(Probe::Listen(any)));
        }
        _ => {
            let welcome = &model.welcome;
            let offered = welcome.stop == Stop::Downloads && welcome.downloads.is_none();
            edit(model, |field| field.path_key(key, offered), out);
        }
    }
}

/// Pasted text goes into the chosen field, or is a join string.
pub(crate) fn paste(model: &mut Model, text: &str, out: &mut Vec<Effect>) {
    if text.trim_start().starts_with("shoal:") || current(model).is_none() {
        model.welcome.stop = Stop::Tracker;
    }
    edit(
        model,
        |field| {
            field.paste(text);
            true
        },
        out,
    );
}

fn turn(model: &mut Model, by: isize) {
    model.welcome.error = None;
    let stops = stops(model);
    let at = stops.iter().position(|stop| *stop == model.welcome.stop).unwrap_or(0);
    let n = isize::try_from(stops.len()).unwrap_or(1);
    let next = (isize::try_from(at).unwrap_or(0) + by).rem_euclid(n.max(1));
    let next = usize::try_from(next).ok().and_then(|at| stops.get(at));
    model.welcome.stop = next.copied().unwrap_or_default();
}

/// Whether letters belong to a field.
fn is_typing(model: &Model) -> bool {
    match model.welcome.stop {
        Stop::Tracker => !model.welcome.field.text().is_empty(),
        Stop::Listen | Stop::Downloads | Stop::Nick => true,
        Stop::Near(_) | Stop::Share | Stop::Host | Stop::Demo => false,
    }
}

fn shortcut(model: &mut Model, c: char, out: &mut Vec<Effect>) -> bool {
    match c {
        'q' => _ = actions::run(model, Action::Quit, None, out),
        '?' => _ = actions::run(model, Action::Help, None, out),
        'h' => {
            model.welcome.stop = Stop::Host;
            enter(model, out);
        }
        'd' if model.setting.demo => out.push(Effect::Exit(ExitReason::Demo)),
        _ => return false,
    }
    true
}

/// Esc takes back what was typed on this line.
fn escape(model: &mut Model) {
    let welcome = &mut model.welcome;
    welcome.error = None;
    match welcome.stop {
        Stop::Tracker => {
            welcome.field.set("");
            welcome.tracker_check = None;
        }
        Stop::Listen => (welcome.listen, welcome.listen_check) = (None, None),
        Stop::Downloads => (welcome.downloads, welcome.folder_check) = (None, None),
        Stop::Nick => welcome.nick = None,
        Stop::Near(_) | Stop::Share | Stop::Host | Stop::Demo => welcome.stop = Stop::Tracker,
    }
}

/// The text of the chosen field.
fn current(model: &Model) -> Option<String> {
    match model.welcome.stop {
        Stop::Tracker => Some(model.welcome.field.text().to_owned()),
        Stop::Listen => Some(listen_text(model)),
        Stop::Downloads => Some(downloads_text(model)),
        Stop::Nick => Some(nick_text(model)),
        Stop::Near(_) | Stop::Share | Stop::Host | Stop::Demo => None,
    }
}

/// Changes the chosen field and has the new text checked.
fn edit(model: &mut Model, change: impl FnOnce(&mut Field) -> bool, out: &mut Vec<Effect>) {
    let Some(text) = current(model) else { return };
    let welcome = &mut model.welcome;
    let field = match welcome.stop {
        Stop::Listen => welcome.listen.get_or_insert_with(|| Field::with(&text)),
        Stop::Downloads => welcome.downloads.get_or_insert_with(|| Field::with(&text)),
        Stop::Nick => welcome.nick.get_or_insert_with(|| Field::with(&text)),
        _ => &mut welcome.field,
    };
    if change(field) && field.text() != text {
        welcome.error = None;
        check(model, out);
    }
}

fn check(model: &mut Model, out: &mut Vec<Effect>) {
    match model.welcome.stop {
        Stop::Tracker => {
            let join = model.welcome.parsed().and_then(Result::ok);
            let known = model.welcome.tracker_check.as_ref().map(|(of, _)| of);
            if join.as_ref() != known {
                model.welcome.tracker_check = join.clone().map(|join| (join, None));
                out.extend(join.map(|join| Effect::Probe(Probe::Tracker(join))));
            }
        }
        Stop::Listen => {
            let addr = listen_text(model).parse().ok();
            // Our own address is not free: we listen on it.
            let addr = addr.filter(|addr| *addr != model.snap.me.listen);
            model.welcome.listen_check = addr.map(|addr| (addr, None));
            out.extend(addr.map(|addr| Effect::Probe(Probe::Listen(addr))));
        }
        Stop::Downloads => {
            let path = expand(model, downloads_text(model).trim());
            model.welcome.folder_check = Some((path.clone(), None));
            out.push(Effect::Probe(Probe::Folder(path)));
        }
        Stop::Near(_) | Stop::Nick | Stop::Share | Stop::Host | Stop::Demo => {}
    }
}

/// A check has an answer, if it is still wanted.
pub(crate) fn checked(model: &mut Model, probe: &Probe, found: &Found) {
    let welcome = &mut model.welcome;
    match (probe, found) {
        (Probe::Tracker(of), Found::Tracker(result)) => {
            if let Some((wanted, answer)) = &mut welcome.tracker_check
                && wanted == of
            {
                *answer = Some(result.clone());
            }
        }
        (Probe::Folder(of), Found::Folder(result)) => {
            if let Some((wanted, answer)) = &mut welcome.folder_check
                && wanted == of
            {
                *answer = Some(result.clone());
            }
        }
        (Probe::Listen(of), Found::Listen(result)) => {
            let Some((wanted, answer)) = &mut welcome.listen_check else { return };
            if wanted != of {
                return;
            }
            match result {
                // A free port was looked for: it is the address now.
                Ok(free) if of.port() == 0 => {
                    welcome.listen = Some(Field::with(&free.to_string()));
                    welcome.listen_check = Some((*free, Some(Ok(*free))));
                }
                result => *answer = Some(result.clone()),
            }
        }
        _ => {}
    }
}

fn enter(model: &mut Model, out: &mut Vec<Effect>) {
    if model.welcome.busy {
        return;
    }
    match model.welcome.stop {
        Stop::Tracker => match model.welcome.parsed() {
            Some(Ok(join)) => {
                model.welcome.busy = true;
                out.push(Effect::Call(Command::Join { join }, Asked::Join));
            }
            Some(Err(why)) => model.welcome.error = Some(why),
            None => {
                let text = "paste the line that the tracker printed, shoal://…, or go on with Tab";
                model.welcome.error = Some(text.to_owned());
            }
        },
        Stop::Near(_) => join_near(model, out),
        Stop::Listen => {
            if let Some(field) = &model.welcome.listen {
                let text = field.text().trim().to_owned();
                keep(model, Item::Listen, &text, out);
            } else {
                turn(model, 1);
            }
        }
        Stop::Downloads => {
            if let Some(field) = &model.welcome.downloads {
                let text = field.text().trim().to_owned();
                keep(model, Item::Downloads, &text, out);
            } else {
                turn(model, 1);
            }
        }
        Stop::Nick => {
            if let Some(field) = &model.welcome.nick {
                let text = field.text().trim().to_owned();
                keep(model, Item::Nick, &text, out);
            } else {
                turn(model, 1);
            }
        }
        Stop::Share => {
            let dir = model.setting.home.clone().unwrap_or_else(|| model.setting.cwd.clone());
            out.push(Effect::ListDir(dir.clone()));
            model.dialogs.push(Dialog::Picker(Picker::new(dir, Vec::new())));
        }
        Stop::Host => {
            model.welcome.busy = true;
            out.push(Effect::Call(Command::Host, Asked::Host));
        }
        Stop::Demo => out.push(Effect::Exit(ExitReason::Demo)),
    }
}

/// Joins the chosen network near; of one that needs a secret only the rest of its join string is known.
fn join_near(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(network) = model.welcome.chosen_near() else { return };
    let (join, closed) = (network.join.clone(), network.closed);
    model.welcome.stop = Stop::Tracker;
    if closed {
        // Whoever has the secret has the whole line, which nobody here can have made up.
        let text = "this network needs its secret: paste the whole line that its tracker printed";
        model.welcome.error = Some(text.to_owned());
    } else {
        model.welcome.busy = true;
        out.push(Effect::Call(Command::Join { join }, Asked::Join));
    }
}

/// Other networks are near; the chosen one may be gone.
pub(crate) fn near(model: &mut Model, near: Near) {
    model.welcome.near = near;
    if matches!(model.welcome.stop, Stop::Near(_)) && model.welcome.chosen_near().is_none() {
        model.welcome.stop = Stop::Tracker;
    }
}

/// Makes a changed field the setting.
fn keep(model: &mut Model, item: Item, text: &str, out: &mut Vec<Effect>) {
    let failed = match item {
        Item::Listen => model.welcome.listen_check.as_ref().and_then(|(_, answer)| failure(answer)),
        Item::Nick if text.is_empty() => Some("type a name, or take it back with Esc".to_owned()),
        Item::Nick => None,
        _ => model.welcome.folder_check.as_ref().and_then(|(_, answer)| failure(answer)),
    };
    let done = match failed {
        Some(why) => Err(why),
        None => settings::update::change(model, item, text, out),
    };
    match done {
        Ok(()) => turn(model, 1),
        Err(why) => model.welcome.error = Some(common::names::show(&why)),
    }
}

fn failure<Answer>(answer: &Option<Result<Answer, String>>) -> Option<String> {
    answer.as_ref().and_then(|result| result.as_ref().err()).cloned()
}
