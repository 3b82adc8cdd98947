//! The mouse on the settings screen.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use settings::Page;

use crate::model::{Model, Panel};
use crate::msg::Effect;
use crate::screens::settings::geometry::Places;
use crate::screens::settings::update::keys;

/// A click on a page opens it, one on a row chooses that, one on the chosen row changes it; the wheel
/// moves the cursor.
pub(crate) fn mouse(
    model: &mut Model,
    panel: &mut Panel,
    event: MouseEvent,
    out: &mut Vec<Effect>,
) {
    // What is being typed or waited for is not interrupted.
    if panel.edit.is_some() || panel.capture.is_some() {
        return;
    }
    let last = panel.rows(model).len().saturating_sub(1);
    match event.kind {
        MouseEventKind::ScrollDown => panel.cursor = (panel.cursor + 1).min(last),
        MouseEventKind::ScrollUp => panel.cursor = panel.cursor.saturating_sub(1),
        MouseEventKind::Down(MouseButton::Left) => {
            let places = Places::new(model, panel);
            let at = Position::new(event.column, event.row);
            if places.pages.contains(at) {
                let row = usize::from(at.y - places.pages.y);
                if let Some(page) = Page::ALL.get(row) {
                    keys::open_page(panel, *page);
                }
            } else if places.rows.contains(at) {
                let row = places.first + usize::from(at.y - places.rows.y);
                if row == panel.cursor {
                    keys::enter(model, panel, 1, out);
                } else if row <= last {
                    panel.cursor = row;
                    panel.note = None;
                }
            }
        }
        _ => {}
    }
}
