//! Moving about: cursors, panes, tabs.

use common::content::Kind;

use crate::engine::snapshot::Transfer;

use super::super::layout::{Class, class, inside};
use super::super::model::{Model, Pane, Tab, Tone};
use super::super::msg::Effect;
use super::actions::toast;
use super::can::kind;
use super::{contents, lists, map, swarm};

/// From left to right, from top to bottom.
const PANES: [Pane; 5] = [Pane::Files, Pane::Chunks, Pane::Sources, Pane::Log, Pane::Transfers];

pub(super) fn page(model: &Model) -> isize {
    let areas = model.areas();
    let area = areas.of(model.focus);
    isize::try_from(inside(area).height.saturating_sub(1).max(1)).unwrap_or(1)
}

pub(super) fn step(model: &mut Model, by: isize) {
    match model.focus {
        Pane::Files => {
            let tab = model.tab;
            model.list_mut(tab).step(by);
        }
        Pane::Transfers => model.list_mut(Tab::Downloads).step(by),
        Pane::Sources if model.swarm.open => model.swarm.list.step(by),
        Pane::Sources => model.sources.step(by),
        Pane::Log => model.log.step(by),
        Pane::Chunks => {
            let width = isize::try_from(super::super::view::chunks::map_area(model).width.max(1))
                .unwrap_or(1);
            map::step(model, by.saturating_mul(width));
        }
    }
}

pub(super) fn scroll(model: &mut Model, by: isize) {
    if model.focus == Pane::Files {
        let height = lists::height(&model.areas(), model.filtering);
        let tab = model.tab;
        model.list_mut(tab).scroll(by, height);
    } else {
        step(model, by);
    }
}

pub(super) fn sideways(model: &mut Model, by: isize) {
    match model.focus {
        Pane::Chunks => map::step(model, by),
        Pane::Files => turn_tab(model, if by > 0 { 1 } else { 3 }),
        Pane::Sources | Pane::Log | Pane::Transfers => {}
    }
}

pub(super) fn edge(model: &mut Model, end: bool) {
    let far = isize::MAX / 2;
    match model.focus {
        Pane::Log if !end => model.log.set_paused(false),
        Pane::Log => model.log.step(far),
        Pane::Chunks => map::edge(model, end),
        _ => step(model, if end { far } else { -far }),
    }
}

pub(super) fn next_active(model: &mut Model) {
    if !matches!(model.tab, Tab::Network | Tab::Downloads) {
        open_tab(model, Tab::Downloads);
    }
    let list = model.list();
    let n = list.rows.len();
    let found = (1..=n).map(|i| (list.cursor + i) % n).find(|at| match model.tab {
        Tab::Network => model
            .catalogue_row(*at)
            .and_then(|row| model.transfer(&row.id))
            .is_some_and(Transfer::is_unfinished),
        tab => model.transfer_row(tab, *at).is_some_and(Transfer::is_unfinished),
    });
    let tab = model.tab;
    if let Some(at) = found {
        model.list_mut(tab).cursor = at;
    }
}

pub(super) fn enter(model: &mut Model, out: &mut Vec<Effect>) {
    match model.focus {
        _ if model.swarm.open => swarm::about(model),
        _ if model.details && kind(model) == Some(Kind::Folder) => contents::open(model, out),
        Pane::Files if model.tab == Tab::Peers => super::crowd::browse(model, out),
        Pane::Files | Pane::Transfers if model.selected().is_some() => {
            model.details = true;
            model.zoom = false;
            model.focus = Pane::Chunks;
        }
        Pane::Files => {}
        Pane::Chunks | Pane::Sources if !model.details => {
            model.details = model.selected().is_some();
            model.zoom = false;
        }
        _ => {}
    }
}

/// One step back: details, filter, zoom, marks, then nothing.
pub(super) fn back(model: &mut Model, out: &mut Vec<Effect>) {
    if model.when_idle.take().is_some() {
        toast(model, Tone::Good, "staying");
    } else if model.count.take().is_some() {
        // Only the count.
    } else if model.swarm.open {
        model.swarm.open = false;
    } else if model.details {
        model.details = false;
        model.focus = if model.in_transfers { Pane::Transfers } else { Pane::Files };
    } else if model.focus == Pane::Log && !model.log.field.text().is_empty() {
        model.log.field.set("");
    } else if model.focus == Pane::Log && model.log.paused.is_some() {
        model.log.set_paused(false);
    } else if !model.list().field.text().is_empty() {
        lists::clear_filter(model, out);
    } else if model.zoom {
        model.zoom = false;
    } else if !model.marks.is_empty() {
        model.range = None;
        model.marks.clear();
    } else {
        model.toasts.clear();
    }
}

pub(super) fn turn_pane(model: &mut Model, by: usize) {
    if model.details {
        model.focus = if model.focus == Pane::Chunks { Pane::Sources } else { Pane::Chunks };
        return;
    }
    let n = PANES.len();
    let at = PANES.iter().position(|p| *p == model.focus).unwrap_or(0);
    // The Transfers pane is only there where there is room.
    let there = |pane: &Pane| *pane != Pane::Transfers || has_transfers(model);
    let next = (1..=n).map(|step| PANES[(at + step * by) % n]).find(there);
    focus(model, next.unwrap_or(Pane::Files));
}

/// Whether the Transfers pane has a place.
fn has_transfers(model: &Model) -> bool {
    class(model.size.0, model.size.1) == Class::Huge
}

/// Gives a pane the keys. Where there is no Transfers pane, its list is a tab.
pub(super) fn focus(model: &mut Model, pane: Pane) {
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

/// After a change of size: a pane that is gone has no keys.
pub(super) fn settle_focus(model: &mut Model) {
    if model.in_transfers && !has_transfers(model) {
        model.in_transfers = false;
        if model.focus == Pane::Transfers {
            model.tab = Tab::Downloads;
            model.focus = Pane::Files;
        }
    }
}

pub(super) fn turn_tab(model: &mut Model, by: usize) {
    let at = Tab::ALL.iter().position(|t| *t == model.tab).unwrap_or(0);
    open_tab(model, Tab::ALL[(at + by) % Tab::ALL.len()]);
}

pub(super) fn open_tab(model: &mut Model, tab: Tab) {
    model.tab = tab;
    model.details = false;
    model.in_transfers = false;
    model.focus = Pane::Files;
    model.marks.clear();
}
