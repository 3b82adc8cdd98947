//! The mouse: wheel scrolls what is under it; a click focuses and selects, sorts by a heading, opens a
//! tab; a second click is Enter; the border between panes can be dragged.

use std::time::Duration;

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{focus, moves};
use crate::layout::{Areas, Inputs, inside};
use crate::model::{Dialog, Model, Pane, Tab, Tone};
use crate::msg::Effect;
use crate::panes::chunks::geometry::map_area;
use crate::panes::files::geometry::{row_at, sort_at, tab_at};
use crate::panes::files::update::lists;
use crate::panes::log::geometry::{Shape, list_area};
use crate::panes::transfers;

/// Rows per notch of the wheel.
const WHEEL: isize = 3;
/// A second click on the same cell within this time is Enter.
const DOUBLE: Duration = Duration::from_millis(400);
/// How far a split moves either way, in percent.
pub(super) const MAX_SPLIT: i16 = 35;

pub(super) fn mouse(model: &mut Model, event: MouseEvent, out: &mut Vec<Effect>) {
    if let Some(Dialog::Settings(panel)) = model.dialogs.last() {
        let mut panel = panel.clone();
        crate::screens::settings::update::mouse(model, &mut panel, event, out);
        model.dialogs.pop();
        model.dialogs.push(Dialog::Settings(panel));
        return;
    }
    if !model.dialogs.is_empty() || model.is_welcome() {
        return;
    }
    let at = Position::new(event.column, event.row);
    let areas = model.areas();
    match event.kind {
        MouseEventKind::Drag(MouseButton::Left) if model.pointer.dragging => {
            drag(model, at);
            return;
        }
        MouseEventKind::Up(_) => model.pointer.dragging = false,
        MouseEventKind::Down(MouseButton::Left) => model.pointer.dragging = is_split(&areas, at),
        _ => {}
    }
    let Some(pane) = Pane::ALL.into_iter().find(|pane| areas.of(*pane).contains(at)) else {
        return;
    };
    match event.kind {
        MouseEventKind::ScrollDown => wheel(model, pane, WHEEL),
        MouseEventKind::ScrollUp => wheel(model, pane, -WHEEL),
        MouseEventKind::Down(MouseButton::Left) => {
            focus::focus(model, pane);
            let again = model.pointer.clicked.is_some_and(|(when, place)| {
                place == at && model.now.mono.saturating_duration_since(when) < DOUBLE
            });
            // Three clicks are not two double clicks.
            model.pointer.clicked = (!again).then_some((model.now.mono, at));
            if pane == Pane::Files && at.y == areas.files.y {
                if let Some(tab) = tab_at(model, areas.files, at.x) {
                    focus::open_tab(model, tab);
                }
            } else if let Some(sort) = sort_at(model, areas.files, at) {
                let tab = model.tab;
                let list = model.list_mut(tab);
                list.reverse = list.sort == sort && !list.reverse;
                list.sort = sort;
                lists::renew(model, out);
            } else if inside(areas.of(pane)).contains(at) {
                click(model, pane, areas.of(pane), at);
                if again && is_row(model, pane, &areas, at) {
                    moves::enter(model, out);
                }
            }
        }
        _ => {}
    }
}

/// Whether a double click here means the thing under it.
fn is_row(model: &Model, pane: Pane, areas: &Areas, at: Position) -> bool {
    match pane {
        Pane::Files => row_at(model, areas.files, at).is_some(),
        Pane::Chunks => map_area(model).contains(at),
        Pane::Sources => at.y > areas.sources.y + 1 + u16::from(model.swarm.open),
        Pane::Log | Pane::Transfers => false,
    }
}

fn wheel(model: &mut Model, pane: Pane, by: isize) {
    match pane {
        Pane::Files => moves::scroll_list(model, by),
        Pane::Sources if model.swarm.open => model.swarm.list.step(by),
        Pane::Sources => model.sources.step(by),
        Pane::Log => model.log.step(by),
        Pane::Transfers => model.list_mut(Tab::Downloads).step(by),
        Pane::Chunks => {}
    }
}

/// Whether this is the border that the files share with what is beside or below them.
fn is_split(areas: &Areas, at: Position) -> bool {
    let files = areas.files;
    if files.is_empty() || areas.chunks.is_empty() {
        return false;
    }
    if areas.chunks.x >= files.right() {
        (files.top()..files.bottom()).contains(&at.y)
            && (at.x + 1 == files.right() || at.x == files.right())
    } else {
        // The lower border: the upper one of the panes below has their titles.
        at.y + 1 == files.bottom() && files.x < at.x
    }
}

/// Moves the split so that the border comes as near to the pointer as it can.
fn drag(model: &mut Model, at: Position) {
    let now = model.areas();
    let beside = now.chunks.x >= now.files.right();
    let distance = |split: i16| {
        let request = Inputs { split, ..model.request() };
        let files = Areas::new(model.size.0, model.size.1, request).files;
        if beside { files.right().abs_diff(at.x + 1) } else { files.bottom().abs_diff(at.y + 1) }
    };
    let best = (-MAX_SPLIT..=MAX_SPLIT).min_by_key(|split| (distance(*split), split.abs()));
    model.split = best.unwrap_or(model.split);
}

fn click(model: &mut Model, pane: Pane, area: Rect, at: Position) {
    let inner = inside(area);
    let row = usize::from(at.y.saturating_sub(inner.y));
    match pane {
        Pane::Files => {
            if let Some(to) = row_at(model, area, at) {
                let tab = model.tab;
                model.list_mut(tab).cursor = to;
            }
        }
        Pane::Transfers => {
            let to = transfers::geometry::first(model, inner) + row;
            let list = model.list_mut(Tab::Downloads);
            if to < list.rows.len() {
                list.cursor = to;
            }
        }
        Pane::Sources if model.swarm.open => {
            let list = &mut model.swarm.list;
            let to = list.offset + row.saturating_sub(2);
            if row >= 2 && to < list.rows.len() {
                list.cursor = to;
            }
        }
        Pane::Sources => {
            let to = model.sources.offset + row.saturating_sub(1);
            if row >= 1 && to < model.sources.rows.len() {
                model.sources.cursor = to;
            }
        }
        Pane::Log => log_click(model, area, at),
        Pane::Chunks => {
            let map = map_area(model);
            if map.contains(at) {
                let cell =
                    usize::from(at.y - map.y) * usize::from(map.width) + usize::from(at.x - map.x);
                crate::panes::chunks::update::point(model, cell);
            }
        }
    }
}

/// Lines may take several rows.
fn log_click(model: &mut Model, area: Rect, at: Position) {
    let list = list_area(model, area);
    if !list.contains(at) {
        return;
    }
    let shape = Shape::of(model, list);
    let mut left = usize::from(at.y - list.y);
    let offset = model.log.offset;
    let hit = model.log.shown_from(offset).position(|line| {
        let rows = shape.rows(line);
        let here = left < rows;
        left = left.saturating_sub(rows);
        here
    });
    if let Some(place) = hit {
        let to = isize::try_from(offset + place).unwrap_or(0);
        let from = isize::try_from(model.log.position()).unwrap_or(0);
        model.log.step(to - from);
    }
}

/// Takes the mouse, or leaves it to the terminal.
pub(super) fn toggle(model: &mut Model, out: &mut Vec<Effect>) {
    model.mouse = !model.mouse;
    out.push(Effect::Mouse(model.mouse));
    let text = if model.mouse {
        "mouse on (Shift-drag selects text)"
    } else {
        "mouse off: the terminal selects text"
    };
    model.toast(Tone::Plain, text);
}
