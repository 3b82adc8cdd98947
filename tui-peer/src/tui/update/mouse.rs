//! The mouse: wheel scrolls what is under it, a click focuses and selects.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::super::layout::inside;
use super::super::model::{Dialog, Model, Pane, Tab};
use super::super::msg::Effect;
use super::lists;

/// Rows per notch of the wheel.
const WHEEL: isize = 3;

pub(super) fn mouse(model: &mut Model, event: MouseEvent, out: &mut Vec<Effect>) {
    if let Some(Dialog::Settings(panel)) = model.dialogs.last() {
        let mut panel = panel.clone();
        super::settings::mouse(model, &mut panel, event, out);
        model.dialogs.pop();
        model.dialogs.push(Dialog::Settings(panel));
        return;
    }
    if !model.dialogs.is_empty() || model.is_welcome() {
        return;
    }
    let at = Position::new(event.column, event.row);
    let areas = model.areas();
    let Some(pane) = Pane::ALL.into_iter().find(|pane| areas.of(*pane).contains(at)) else {
        return;
    };
    match event.kind {
        MouseEventKind::ScrollDown => wheel(model, pane, WHEEL),
        MouseEventKind::ScrollUp => wheel(model, pane, -WHEEL),
        MouseEventKind::Down(MouseButton::Left) => {
            super::moves::focus(model, pane);
            if pane == Pane::Files && at.y == areas.files.y {
                if let Some(tab) = super::super::view::files::tab_at(model, areas.files, at.x) {
                    super::moves::open_tab(model, tab);
                }
                return;
            }
            click(model, pane, inside(areas.of(pane)), at);
        }
        _ => {}
    }
}

fn wheel(model: &mut Model, pane: Pane, by: isize) {
    match pane {
        Pane::Files => {
            let height = lists::height(&model.areas(), model.filtering);
            let tab = model.tab;
            model.list_mut(tab).scroll(by, height);
        }
        Pane::Sources => model.sources.step(by),
        Pane::Log => model.log.step(by),
        Pane::Transfers => model.list_mut(Tab::Downloads).step(by),
        Pane::Chunks => {}
    }
}

fn click(model: &mut Model, pane: Pane, inner: Rect, at: Position) {
    let row = usize::from(at.y.saturating_sub(inner.y));
    if !inner.contains(at) {
        return;
    }
    match pane {
        Pane::Files => {
            let filter = model.filtering || !model.list().field.text().is_empty();
            let above = 1 + usize::from(filter);
            let tab = model.tab;
            let list = model.list_mut(tab);
            let to = list.offset + row.saturating_sub(above);
            if row >= above && to < list.rows.len() {
                list.cursor = to;
            }
        }
        Pane::Transfers => {
            let to = super::super::view::transfers::first(model, inner) + row;
            let list = model.list_mut(Tab::Downloads);
            if to < list.rows.len() {
                list.cursor = to;
            }
        }
        Pane::Sources => {
            let to = model.sources.offset + row.saturating_sub(1);
            if row >= 1 && to < model.sources.rows.len() {
                model.sources.cursor = to;
            }
        }
        Pane::Log => {
            let to = isize::try_from(model.log.offset + row).unwrap_or(0);
            let from = isize::try_from(model.log.position()).unwrap_or(0);
            model.log.step(to - from);
        }
        Pane::Chunks => {
            let map = super::super::view::chunks::map_area(model);
            if map.contains(at) {
                let cell =
                    usize::from(at.y - map.y) * usize::from(map.width) + usize::from(at.x - map.x);
                super::map::point(model, cell);
            }
        }
    }
}
