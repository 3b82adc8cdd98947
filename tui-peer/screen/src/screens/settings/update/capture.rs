//! Waiting for the key that an action is to have.

use crossterm::event::{KeyEvent, KeyModifiers};

use crate::action::Where;
use crate::keymap::{self, Key};
use crate::model::{Model, Panel, Tone};
use crate::msg::Effect;
use crate::screens::settings::update::bind;

/// Takes a key, or the second one of a sequence.
pub(crate) fn key(
    model: &mut Model,
    panel: &mut Panel,
    key: KeyEvent,
    cancelled: bool,
    out: &mut Vec<Effect>,
) {
    let Some(mut capture) = panel.capture.take() else { return };
    panel.note = None;
    if cancelled {
        return;
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        panel.note = Some((
            Tone::Warn,
            "Alt belongs to the terminal and multiplexers; press another".into(),
        ));
        panel.capture = Some(capture);
        return;
    }
    capture.pressed.push(Key::of(key));
    if capture.pressed.len() == 1 && begins(model, capture.action.place(), &capture.pressed) {
        panel.capture = Some(capture);
        return;
    }
    let Some(written) = keymap::write(&capture.pressed) else {
        panel.note = Some((Tone::Warn, "that key has no name and cannot be bound".into()));
        return;
    };
    let mut keys = Vec::new();
    if capture.add {
        keys = model.keymap.written(capture.action);
        keys.retain(|key| *key != written);
    }
    keys.push(written);
    panel.note = bind(model, capture.action, Some(keys), out)
        .err()
        .map(|why| (Tone::Bad, format!("{why}. The old keys stay.")));
}

/// Whether longer sequences begin with these keys where the action makes sense.
fn begins(model: &Model, place: Where, pressed: &[Key]) -> bool {
    Where::PANES
        .into_iter()
        .filter(|pane| place.covers(*pane))
        .any(|pane| !model.keymap.continuations(pane, pressed).is_empty())
}
