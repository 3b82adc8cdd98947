//! What stands in a list without rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::engine::snapshot::NetState;

use super::super::action::Action;
use super::super::model::{Model, Tab};
use super::paint;

/// Why there are no rows, and what to do next.
pub(super) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    let list = model.list_of(model.tab);
    let near = model.meant.as_ref().filter(|(_, word, _)| !word.is_empty());
    let meant = near.map(|(_, _, near)| {
        let then = if model.filtering { "Tab takes it" } else { "/ then Tab takes it" };
        format!("Did you mean \"{near}\"? {then} {} Esc clears the filter", model.theme.dot())
    });
    let (first, second) = if let Some(meant) = &meant {
        (format!("No match for \"{}\".", list.field.text()), meant.as_str())
    } else if !list.filter.is_empty() {
        let second = if super::super::update::can(model, Action::Watch).is_ok() {
            "W  watch: download the first that appears    Esc clears the filter"
        } else {
            "Esc clears the filter"
        };
        (format!("No match for \"{}\".", list.field.text()), second)
    } else {
        match (model.tab, &model.snap.network.state) {
            (Tab::Network, NetState::Connecting) => {
                ("Asking the tracker for the list of files.".to_owned(), "")
            }
            (Tab::Network, NetState::Rejected { why }) => (
                format!("The tracker does not let us in: {}", common::names::show(why)),
                "g j  join another network",
            ),
            (Tab::Network, NetState::Left) => ("You left the network.".to_owned(), "J  rejoin"),
            (Tab::Network, _)
                if !model.snap.catalogue.whole && model.snap.catalogue.rows.is_empty() =>
            {
                ("The list of files is on its way.".to_owned(), "")
            }
            (Tab::Network, _) if model.snap.catalogue.rows.is_empty() => (
                "No files on the network yet.".to_owned(),
                "s  share the first one    g y  copy the join string for others",
            ),
            (Tab::Network, _) => ("Ordering the list.".to_owned(), ""),
            (Tab::Downloads, _) => {
                ("No downloads.".to_owned(), "g n  pick a file of the network, then press d")
            }
            (Tab::Shared, _) => ("Nothing shared yet.".to_owned(), "s  share a file or a folder"),
            (Tab::Peers, _) => (
                "Not connected to any peer.".to_owned(),
                "Connections open when something is fetched or served",
            ),
        }
    };
    paint::text(buf, area.x + 3, area.y, area.width.saturating_sub(4), &first, Style::new());
    let room = area.width.saturating_sub(6);
    let below = area.y.saturating_add(1)..area.bottom();
    for (y, line) in below.zip(paint::wrap(second, usize::from(room))) {
        paint::text(buf, area.x + 5, y, room, &line, model.theme.dim());
    }
}
