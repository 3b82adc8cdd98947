//! A key press: to the dialog, the field or the pane it is meant for.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::super::action::Action;
use super::super::keymap::{Found, Key};
use super::super::model::{INTERRUPT_WINDOW, Model, Pane, Tone};
use super::super::msg::{Effect, ExitReason};
use super::{actions, can, dialogs, lists, marks, welcome};

/// Largest count typed before a key.
const MAX_COUNT: u32 = 100_000;

pub(super) fn key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    if is_interrupt(key) && interrupt(model, "^C again", out) {
        return;
    }
    model.last_key = Some(model.now.mono);
    if !model.dialogs.is_empty() {
        dialogs::key(model, key, out);
    } else if model.is_welcome() {
        welcome::welcome_key(model, key, out);
    } else if model.filtering {
        filter_key(model, key, out);
    } else {
        pane_key(model, key, out);
    }
}

fn is_interrupt(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Twice within two seconds quits at once: `^C` wherever one is, in lists also other keys. Says whether the
/// key is used up.
pub(super) fn interrupt(model: &mut Model, again: &str, out: &mut Vec<Effect>) -> bool {
    let now = model.now.mono;
    let second =
        model.interrupted.is_some_and(|at| now.saturating_duration_since(at) < INTERRUPT_WINDOW);
    model.interrupted = Some(now);
    if second {
        out.push(Effect::Exit(ExitReason::QuitNow));
        return true;
    }
    let (tone, text) = match model.setting.attached {
        Some(pid) => (Tone::Plain, format!("{again} closes this screen; process {pid} runs on")),
        None => {
            let gracefully = model.keymap.and(" · ", Action::Quit, "quits gracefully");
            (Tone::Warn, format!("{again} quits at once (state is saved){gracefully}"))
        }
    };
    model.toasts.push(tone, text, now);
    // In a field or dialog the first one also cancels.
    model.dialogs.is_empty() && !model.filtering
}

fn filter_key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    if model.focus != Pane::Log {
        lists::filter_key(model, key, out);
        return;
    }
    super::log::search_key(model, key);
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
            if let Err(why) = can::can(model, action) {
                model.toasts.push(
                    Tone::Plain,
                    format!("{}: {why}", model.help(action)),
                    model.now.mono,
                );
            } else {
                if marks::repeats(action) {
                    model.repeat = Some((action, count));
                }
                actions::act(model, action, count, out);
                marks::extend(model, action);
            }
        }
        Found::Prefix => model.prefix = sequence,
        Found::Nothing => {
            model.count = None;
            let keys = super::super::keymap::show(&sequence);
            let help = model.keymap.and(" · ", Action::Help, "shows the keys");
            let text = format!("{keys} does nothing here{help}");
            model.toasts.push(Tone::Dim, text, model.now.mono);
        }
    }
}

/// 1 to 5 focus panes, so a count begins with another digit; after that all count.
fn is_count(model: &Model, digit: u32) -> bool {
    model.count.is_some() || digit >= 6
}

/// Runs an action chosen by name.
pub(super) fn run(model: &mut Model, action: Action, count: Option<u32>, out: &mut Vec<Effect>) {
    match can::can(model, action) {
        Ok(()) => {
            if marks::repeats(action) {
                model.repeat = Some((action, count));
            }
            actions::act(model, action, count, out);
        }
        Err(why) => {
            model.toasts.push(
                Tone::Plain,
                format!("{}: {why}", model.help(action)),
                model.now.mono,
            );
        }
    }
}
