//! Changes of settings while the app runs.

use crate::settings::Item;

use super::super::model::{Model, Tone};
use super::super::msg::Effect;
use super::super::theme;
use super::actions::toast;

/// Shows the next theme.
pub(super) fn next_theme(model: &mut Model, _out: &mut Vec<Effect>) {
    let name = theme::next_theme(&model.prefs.table, model.theme);
    if model.prefs.table.set(Item::Theme, &name).is_ok() {
        model.theme = model.prefs.theme();
        toast(model, Tone::Plain, &format!("theme: {name}"));
    }
}
