//! Moving about: cursors.

use common::content::Kind;

use super::focus::{open_tab, turn_tab};
use crate::dialogs::contents;
use crate::layout::inside;
use crate::model::{Model, Pane, Tab, Tone};
use crate::msg::Effect;
use crate::panes::chunks::geometry::map_area;
use crate::panes::files::geometry::height;
use crate::panes::files::update::{crowd, filtering};
use crate::panes::{chunks, holders};
use crate::queries::kind;
use engine::api::snapshot::Transfer;

fn page(model: &Model) -> isize {
    let areas = model.areas();
    let area = areas.of(model.focus);
    isize::try_from(inside(area).height.saturating_sub(1).max(1)).unwrap_or(1)
}

pub(crate) fn step(model: &mut Model, by: isize) {
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
            let width = isize::try_from(map_area(model).width.max(1)).unwrap_or(1);
            chunks::update::step(model, by.saturating_mul(width));
        }
    }
}

pub(crate) fn scroll(model: &mut Model, by: isize) {
    if model.focus == Pane::Files {
        scroll_list(model, by);
    } else {
        step(model, by);
    }
}

/// Scrolls the list of the open tab, whichever pane has the keys.
pub(super) fn scroll_list(model: &mut Model, by: isize) {
    let tab = model.tab;
    let height = height(model, model.areas().files, tab);
    model.list_mut(tab).scroll(by, height);
}

pub(crate) fn sideways(model: &mut Model, by: isize) {
    match model.focus {
        Pane::Chunks => chunks::update::step(model, by),
        Pane::Files => turn_tab(model, if by > 0 { 1 } else { 3 }),
        Pane::Sources | Pane::Log | Pane::Transfers => {}
    }
}

pub(crate) fn edge(model: &mut Model, end: bool) {
    let far = isize::MAX / 2;
    match model.focus {
        Pane::Log if !end => model.log.set_paused(false),
        Pane::Log => model.log.step(far),
        Pane::Chunks => chunks::update::edge(model, end),
        _ => step(model, if end { far } else { -far }),
    }
}

pub(crate) fn next_active(model: &mut Model) {
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

pub(crate) fn enter(model: &mut Model, out: &mut Vec<Effect>) {
    match model.focus {
        _ if model.swarm.open => holders::update::about(model),
        _ if model.details && kind(model) == Some(Kind::Folder) => {
            contents::update::open(model, out)
        }
        Pane::Files if model.tab == Tab::Peers => crowd::browse(model, out),
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
pub(crate) fn back(model: &mut Model, out: &mut Vec<Effect>) {
    if model.when_idle.take().is_some() {
        model.toast(Tone::Good, "staying");
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
        filtering::clear(model, out);
    } else if model.zoom {
        model.zoom = false;
    } else if !model.marks.is_empty() {
        model.range = None;
        model.marks.clear();
    } else {
        model.toasts.clear();
    }
}

/// By pages of the focused pane.
pub(crate) fn pages(model: &mut Model, times: isize) {
    let page = page(model);
    step(model, times * page);
}

/// By half pages.
pub(crate) fn half_pages(model: &mut Model, times: isize) {
    let half = (page(model) / 2).max(1);
    step(model, times * half);
}

/// To the end; in the lists to the row whose number was typed.
pub(crate) fn bottom(model: &mut Model, count: Option<u32>) {
    match count {
        Some(row) if model.focus == Pane::Files => {
            edge(model, false);
            step(model, isize::try_from(row).unwrap_or(1) - 1);
        }
        _ => edge(model, true),
    }
}
