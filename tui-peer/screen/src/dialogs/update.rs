//! Keys and pastes while a dialog is open.

use crossterm::event::KeyEvent;

use super::{confirm, picks, sort};
use crate::dialogs::contents::update::contents_key;
use crate::dialogs::link::update::link_key;
use crate::dialogs::palette::update::palette_key;
use crate::dialogs::picker::update::picker_key;
use crate::dialogs::share::update::{look_again, share_key};
use crate::keymap::cancels;
use crate::model::{Dialog, Model, ShareField, Tone};
use crate::msg::Effect;
use crate::screens::help;
use crate::screens::settings::update::settings_key;
use crate::update::actions;

/// A key while a dialog is open. The dialog is taken out, changed, and put back unless it is done.
pub(crate) fn key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    let Some(mut dialog) = model.dialogs.pop() else { return };
    let keep = match &mut dialog {
        Dialog::Contents(contents) => contents_key(model, contents, key, out),
        Dialog::Picker(picker) => picker_key(model, picker, key, out),
        Dialog::Settings(panel) => settings_key(model, panel, key, out),
        _ if cancels(key) => false,
        Dialog::Help { scroll, query } => help::update::help_key(model, scroll, query, key),
        Dialog::Palette { query, cursor } => match palette_key(model, query, cursor, key) {
            Ok(keep) => keep,
            Err(action) => {
                _ = actions::run(model, action, None, out);
                return;
            }
        },
        Dialog::Sort { cursor } => sort::update::sort_key(model, cursor, key, out),
        Dialog::Picks(picks) => picks::update::picks_key(model, picks, key, out),
        Dialog::Limit(limit) => picks::update::limit_key(limit, key, out),
        Dialog::Why { .. } => false,
        Dialog::Share(share) => share_key(model, share, key, out),
        Dialog::Link(link) => link_key(model, link, key, out),
        Dialog::Confirm(confirm) => match confirm::update::confirm_key(confirm, key) {
            None => true,
            Some(choice) => {
                confirm::update::chosen(model, confirm, choice, out);
                false
            }
        },
    };
    if keep {
        model.dialogs.push(dialog);
    }
}

/// Pasted text, if an open field takes it.
pub(crate) fn paste(model: &mut Model, text: &str, out: &mut Vec<Effect>) -> bool {
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
            Dialog::Contents(contents) => crate::dialogs::contents::update::paste(contents, text),
            Dialog::Picker(picker) if picker.filtering => picker.query.paste(text),
            Dialog::Settings(panel) => crate::screens::settings::update::paste(panel, text),
            Dialog::Limit(limit) => limit.field().paste(text),
            Dialog::Picks(_)
            | Dialog::Picker(_)
            | Dialog::Confirm(_)
            | Dialog::Sort { .. }
            | Dialog::Why { .. } => {
                let hint = "Pasted text ignored: there is no field here";
                model.toast(Tone::Plain, hint);
            }
        }
        model.dialogs.push(dialog);
        return true;
    }
    if model.is_welcome() {
        crate::screens::welcome::update::paste(model, text, out);
        return true;
    }
    false
}
