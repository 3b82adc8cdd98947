//! A key press: to the dialog, the field or the pane it is meant for.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{actions, interrupt};
use crate::action::Action;
use crate::dialogs;
use crate::keymap::{Found, Key, is_interrupt};
use crate::model::{Model, Pane, Tone};
use crate::msg::Effect;
use crate::panes::files::update::{filtering, marks};
use crate::panes::log;
use crate::screens::welcome;

/// Largest count typed before a key.
const MAX_COUNT: u32 = 100_000;

pub(super) fn key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    if is_interrupt(key) && interrupt::interrupt(model, "^C again", out) {
        return;
    }
    model.last_key = Some(model.now.mono);
    if !model.dialogs.is_empty() {
        dialogs::update::key(model, key, out);
    } else if model.is_welcome() {
        welcome::update::welcome_key(model, key, out);
    } else {
        match model.typing {
            Some(Pane::Log) => log::update::search_key(model, key),
            Some(_) => filtering::filter_key(model, key, out),
            None => pane_key(model, key, out),
        }
    }
}

fn pane_key(model: &mut Model, event: KeyEvent, out: &mut Vec<Effect>) {
    // Alt belongs to multiplexers; and Esc followed quickly by q arrives as Alt-q, which must not quit.
    if event.modifiers.contains(KeyModifiers::ALT) {
        return;
    }
    let key = Key::of(event);
    if model.prefix.is_empty()
        && let Some(digit) = key.digit()
        && is_count(model, digit)
    {
        let count = model.count.unwrap_or(0).saturating_mul(10).saturating_add(digit);
        model.count = Some(count.min(MAX_COUNT));
        return;
    }
    let mut sequence = std::mem::take(&mut model.prefix);
    if event.code == KeyCode::Esc && !sequence.is_empty() {
        model.count = None;
        return;
    }
    sequence.push(key);
    match model.keymap.find(model.focus.place(), &sequence) {
        Found::Action(action) => {
            let count = model.count.take();
            if actions::run(model, action, count, out) {
                marks::extend(model, action);
            }
        }
        Found::Prefix => model.prefix = sequence,
        Found::Nothing => {
            model.count = None;
            let keys = crate::keymap::show(&sequence);
            let help = model.keymap.and(" · ", Action::Help, "shows the keys");
            let text = format!("{keys} does nothing here{help}");
            model.toast(Tone::Dim, text);
        }
    }
}

/// 1 to 5 focus panes, so a count begins with another digit; after that all count.
fn is_count(model: &Model, digit: u32) -> bool {
    model.count.is_some() || digit >= 6
}
