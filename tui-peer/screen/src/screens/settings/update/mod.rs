//! Changes of settings while the app runs: in force at once where that is possible, saved as they are
//! made.

pub(crate) mod capture;
pub(crate) mod keys;
pub(crate) mod mouse;

pub(crate) use crate::screens::settings::update::keys::{paste, settings_key};
pub(crate) use crate::screens::settings::update::mouse::mouse;

use settings::{Binding, Change, Item, Origin};

use crate::action::Action;
use crate::keymap::{Keymap, KeymapError};
use crate::model::{Dialog, Model, Panel, Tone};
use crate::msg::{Asked, Effect};
use crate::theme;
use engine::api::command::Command;

/// Opens the settings.
pub(crate) fn open(model: &mut Model) {
    model.dialogs.push(Dialog::Settings(Panel::default()));
}

/// Shows the next theme and remembers it.
pub(crate) fn next_theme(model: &mut Model, out: &mut Vec<Effect>) {
    let name = theme::next_theme(&model.prefs.table, model.theme);
    match change(model, Item::Theme, &name, out) {
        Ok(()) => model.toast(Tone::Plain, format!("theme: {name}")),
        Err(why) => model.toast(Tone::Plain, why),
    }
}

/// Gives a setting another value. Where the engine may refuse it, the value is taken over when the
/// engine has agreed ([`agreed`]).
///
/// # Errors
/// Why not; the old value stays.
pub(crate) fn change(
    model: &mut Model,
    item: Item,
    text: &str,
    out: &mut Vec<Effect>,
) -> Result<(), String> {
    unlocked(model, item)?;
    if item == Item::Downloads {
        // Whether the folder can be used is known only after trying.
        let mut request = model.prefs.table.clone();
        let text = request.set(item, text)?;
        if let Some(dir) = request.path_of(item) {
            let command = Command::Downloads { dir };
            out.push(Effect::Call(command, Asked::Setting(item, Some(text))));
        }
        return Ok(());
    }
    let text = model.prefs.table.set(item, text)?;
    changed(model, item, out);
    out.push(Effect::Save(Change::Item(item, Some(text))));
    Ok(())
}

/// Takes the file's value of a setting away.
///
/// # Errors
/// Why not.
fn reset(model: &mut Model, item: Item, out: &mut Vec<Effect>) -> Result<(), String> {
    unlocked(model, item)?;
    if item == Item::Downloads {
        let mut request = model.prefs.table.clone();
        request.reset(item);
        if let Some(dir) = request.path_of(item) {
            out.push(Effect::Call(Command::Downloads { dir }, Asked::Setting(item, None)));
        }
        return Ok(());
    }
    model.prefs.table.reset(item);
    changed(model, item, out);
    out.push(Effect::Save(Change::Item(item, None)));
    Ok(())
}

fn unlocked(model: &Model, item: Item) -> Result<(), String> {
    match model.prefs.table.origin(item) {
        Origin::Flag => Err(format!("{}: fixed by an option of this run", item.label())),
        Origin::Env => Err(format!("{}: fixed by the environment ({})", item.label(), item.env())),
        Origin::File | Origin::Default => Ok(()),
    }
}

/// The engine has taken a value: it is kept and saved.
pub(crate) fn agreed(model: &mut Model, item: Item, text: Option<String>, out: &mut Vec<Effect>) {
    match &text {
        Some(text) => {
            // It was checked before the engine was asked.
            let _ = model.prefs.table.set(item, text);
        }
        None => model.prefs.table.reset(item),
    }
    out.push(Effect::Save(Change::Item(item, text)));
}

/// Puts a new value into force.
fn changed(model: &mut Model, item: Item, out: &mut Vec<Effect>) {
    let table = &model.prefs.table;
    match item {
        Item::Theme | Item::Color | Item::Glyphs => model.theme = model.prefs.theme(),
        Item::Units => model.units = table.units(),
        Item::Mouse => {
            model.mouse = table.is_on(Item::Mouse);
            out.push(Effect::Mouse(model.mouse));
        }
        Item::Up | Item::Down => {
            let (up, down) = (table.rate(Item::Up), table.rate(Item::Down));
            out.push(Effect::Call(Command::Limits { up, down }, Asked::Quietly));
        }
        Item::Nick => {
            let nick = table.text(Item::Nick).into_owned();
            if !nick.is_empty() {
                out.push(Effect::Call(Command::Nick { nick }, Asked::Quietly));
            }
        }
        Item::KeepFree => {
            let command = Command::KeepFree { bytes: table.keep_free() };
            out.push(Effect::Call(command, Asked::Quietly));
        }
        _ => {}
    }
    if !item.is_live() && !model.prefs.restart.contains(&item) {
        model.prefs.restart.push(item);
    }
}

/// Gives an action other keys; `None` is the default ones.
///
/// # Errors
/// Why not; the old keys stay.
fn bind(
    model: &mut Model,
    action: Action,
    keys: Option<Vec<String>>,
    out: &mut Vec<Effect>,
) -> Result<(), String> {
    // The default keys need no entry.
    let keys = keys.filter(|keys| keys != action.default_keys());
    let mut bindings = model.prefs.table.keys.clone();
    bindings.retain(|binding| binding.action != action.name());
    if let Some(keys) = &keys {
        let action = action.name().to_owned();
        bindings.push(Binding { action, keys: keys.clone(), line: 0 });
    }
    model.keymap = Keymap::new(&bindings).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(KeymapError::to_string).collect();
        all.join("; ")
    })?;
    model.prefs.table.keys = bindings;
    out.push(Effect::Save(Change::Keys(action.name().to_owned(), keys)));
    Ok(())
}

/// The file was written, or not.
pub(crate) fn saved(model: &mut Model, result: Result<(), String>) {
    let note = match &result {
        Ok(()) => (Tone::Dim, "Saved.".to_owned()),
        Err(why) => (Tone::Bad, common::names::show(why)),
    };
    let panel = model.dialogs.iter_mut().rev().find_map(|dialog| match dialog {
        Dialog::Settings(panel) => Some(panel),
        _ => None,
    });
    match (panel, result) {
        // What went wrong on the screen meanwhile is worth more than "saved".
        (Some(panel), Ok(())) if matches!(panel.note, Some((Tone::Bad | Tone::Warn, _))) => {}
        (Some(panel), _) => panel.note = Some(note),
        (None, Ok(())) => {}
        (None, Err(_)) => model.toasts.push(note.0, note.1, model.now.mono),
    }
}
