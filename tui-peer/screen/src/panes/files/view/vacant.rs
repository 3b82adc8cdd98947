//! What stands in a list without rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::action::Action;
use crate::model::{Model, Tab};
use crate::queries::can;
use crate::ui::paint;
use engine::api::snapshot::NetState;

/// Between two hints of a line.
const GAP: &str = "    ";

/// Why there are no rows, and what to do next.
pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    let (list, keymap) = (model.list_of(model.tab), &model.keymap);
    // While the filter is typed, Esc is not looked up in the key map.
    let clears = if model.is_filtering() {
        Some("Esc clears the filter".to_owned())
    } else {
        keymap.does(Action::Back, "clears the filter")
    };
    let way = |action, what: &str| keymap.way(action).map(|key| format!("{key}  {what}"));
    let near = model.meant.as_ref().filter(|(_, word, _)| !word.is_empty());
    let meant = near.map(|(_, _, near)| {
        let then = if model.is_filtering() {
            Some("Tab takes it".to_owned())
        } else {
            keymap.does(Action::Filter, "then Tab takes it")
        };
        let hints: Vec<String> = then.into_iter().chain(clears.clone()).collect();
        let hints = hints.join(&format!(" {} ", model.theme.dot()));
        format!("Did you mean \"{near}\"? {hints}")
    });
    let (first, second) = if let Some(meant) = meant {
        (format!("No match for \"{}\".", list.field.text()), meant)
    } else if let Some(why) = unowned(model) {
        (why, clears.unwrap_or_default())
    } else if !list.filter.is_empty() {
        let watch = if can(model, Action::Watch).is_ok() {
            way(Action::Watch, "watch: download the first that appears")
        } else {
            None
        };
        let hints: Vec<String> = watch.into_iter().chain(clears).collect();
        (format!("No match for \"{}\".", list.field.text()), hints.join(GAP))
    } else {
        unfiltered(model)
    };
    paint::text(buf, area.x + 3, area.y, area.width.saturating_sub(4), &first, Style::new());
    let room = area.width.saturating_sub(6);
    let below = area.y.saturating_add(1)..area.bottom();
    for (y, line) in below.zip(paint::wrap(&second, usize::from(room))) {
        paint::text(buf, area.x + 5, y, room, &line, model.theme.dim());
    }
}

/// Why a list without a filter has no rows, and what to do next.
fn unfiltered(model: &Model) -> (String, String) {
    let keymap = &model.keymap;
    let way = |action, what: &str| keymap.way(action).map(|key| format!("{key}  {what}"));
    match (model.tab, &model.snap.network.state) {
        (Tab::Network, NetState::Connecting) => {
            ("Asking the tracker for the list of files.".to_owned(), String::new())
        }
        (Tab::Network, NetState::Rejected { why }) => (
            format!("The tracker does not let us in: {}", common::names::show(why)),
            way(Action::JoinOther, "join another network").unwrap_or_default(),
        ),
        (Tab::Network, NetState::Left) => {
            ("You left the network.".to_owned(), way(Action::Rejoin, "rejoin").unwrap_or_default())
        }
        (Tab::Network, NetState::Lost { .. }) if model.snap.network.is_unmet() => (
            format!("{} was never reached: check the address.", model.snap.network.tracker),
            way(Action::JoinOther, "join another network").unwrap_or_default(),
        ),
        (Tab::Network, NetState::Lost { .. })
            if !model.snap.catalogue.whole && model.snap.catalogue.rows.is_empty() =>
        {
            let first = "The tracker cannot be reached, so there is no list of files yet.";
            (first.to_owned(), way(Action::Announce, "try now").unwrap_or_default())
        }
        (Tab::Network, _)
            if !model.snap.catalogue.whole && model.snap.catalogue.rows.is_empty() =>
        {
            ("The list of files is on its way.".to_owned(), String::new())
        }
        (Tab::Network, _) if model.snap.catalogue.rows.is_empty() => {
            let hints = [
                way(Action::Share, "share the first one"),
                way(Action::CopyJoin, "copy the join string for others"),
            ];
            let hints: Vec<String> = hints.into_iter().flatten().collect();
            ("No files on the network yet.".to_owned(), hints.join(GAP))
        }
        (Tab::Network, _) => ("Sorting the list.".to_owned(), String::new()),
        (Tab::Downloads, _) => {
            let pick = way(Action::TabNetwork, "pick a file from the network");
            let press = keymap.way(Action::Download).map(|key| format!("then press {key}"));
            let hints: Vec<String> = pick.into_iter().chain(press).collect();
            ("No downloads.".to_owned(), hints.join(", "))
        }
        (Tab::Shared, _) => (
            "Nothing shared yet.".to_owned(),
            way(Action::Share, "share a file or a folder").unwrap_or_default(),
        ),
        (Tab::Peers, NetState::On) => match &model.crowd.error {
            None => ("Asking the tracker who is in the network.".to_owned(), String::new()),
            Some(why) => ("Not connected to any peer.".to_owned(), why.clone()),
        },
        (Tab::Peers, NetState::Lost { .. } | NetState::Connecting) => (
            "Not connected to any peer.".to_owned(),
            "Who is in the network is known once the tracker answers".to_owned(),
        ),
        (Tab::Peers, _) => {
            ("Not connected to any peer.".to_owned(), "You are in no network".to_owned())
        }
    }
}

/// Why no file is shown of those whose files are looked for, if that is not because they share none.
fn unowned(model: &Model) -> Option<String> {
    if model.tab != Tab::Network || !model.list_of(Tab::Network).filter.needs_peers() {
        return None;
    }
    let owned = &model.owned;
    match (&owned.error, &model.snap.network.state) {
        (_, state) if *state != NetState::On && owned.owners.is_none() => {
            Some("Who shares what is known once the tracker answers.".to_owned())
        }
        (Some(why), _) => Some(format!("No files: {why}.")),
        (None, _) if owned.asking => Some("Asking the tracker what they share.".to_owned()),
        (None, _) => None,
    }
}
