//! Which pane has the keys, and which tab is open.

use crate::layout::{Class, class};
use crate::model::{Model, Pane, Tab};

pub(crate) fn turn_pane(model: &mut Model, by: usize) {
    if model.details {
        model.focus = if model.focus == Pane::Chunks { Pane::Sources } else { Pane::Chunks };
        return;
    }
    let n = Pane::ALL.len();
    let at = Pane::ALL.iter().position(|p| *p == model.focus).unwrap_or(0);
    // The Transfers pane is only there where there is room.
    let there = |pane: &Pane| *pane != Pane::Transfers || has_transfers(model);
    let next = (1..=n).map(|step| Pane::ALL[(at + step * by) % n]).find(there);
    focus(model, next.unwrap_or(Pane::Files));
}

/// Whether the Transfers pane has a place.
fn has_transfers(model: &Model) -> bool {
    class(model.size.0, model.size.1) == Class::Huge
}

/// Gives a pane the keys. Where there is no Transfers pane, its list is a tab.
pub(crate) fn focus(model: &mut Model, pane: Pane) {
    if pane == Pane::Transfers && !has_transfers(model) {
        return open_tab(model, Tab::Downloads);
    }
    match pane {
        Pane::Files => model.in_transfers = false,
        Pane::Transfers => {
            model.in_transfers = true;
            model.details = false;
            model.marks.clear();
        }
        _ => {}
    }
    model.focus = pane;
}

/// A pane that is gone after a change of size has no keys, and no field has them in a pane that has not.
pub(crate) fn settle(model: &mut Model) {
    if model.in_transfers && !has_transfers(model) {
        model.in_transfers = false;
        if model.focus == Pane::Transfers {
            model.tab = Tab::Downloads;
            model.focus = Pane::Files;
        }
    }
    if model.typing.is_some_and(|pane| pane != model.focus) {
        model.typing = None;
    }
}

pub(crate) fn turn_tab(model: &mut Model, by: usize) {
    let at = Tab::ALL.iter().position(|t| *t == model.tab).unwrap_or(0);
    open_tab(model, Tab::ALL[(at + by) % Tab::ALL.len()]);
}

pub(crate) fn open_tab(model: &mut Model, tab: Tab) {
    model.tab = tab;
    model.details = false;
    model.in_transfers = false;
    model.focus = Pane::Files;
    model.marks.clear();
}

/// The focused pane takes all the room, or gives it back.
pub(crate) fn zoom(model: &mut Model) {
    if model.details {
        model.details = false;
    } else {
        model.zoom = !model.zoom;
    }
}

/// Opens the filter of the list, or the search of the log.
pub(crate) fn filter(model: &mut Model) {
    if model.focus != Pane::Log {
        focus(model, Pane::Files);
        model.details = false;
    }
    model.typing = Some(model.focus);
}
