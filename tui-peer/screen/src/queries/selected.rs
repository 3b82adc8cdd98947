//! What an action would be about.

use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::PeerId;

use crate::model::{Model, Pane, Tab};

/// How long a removal is offered to be taken back.
pub(crate) const UNDO: Duration = Duration::from_secs(8);

/// File or folder, of the selected content.
pub(crate) fn kind(model: &Model) -> Option<Kind> {
    model.selected_transfer().map(|t| t.kind).or_else(|| model.selected_row().map(|r| r.kind))
}

/// The peer that an action is for.
pub(crate) fn peer(model: &Model) -> Option<(PeerId, String)> {
    let shown = |peer: PeerId, nick: &str| {
        let short = peer.short();
        (peer, if nick.is_empty() { short } else { format!("{nick} ({short})") })
    };
    match model.focus {
        Pane::Sources if model.swarm.open => {
            let row = model.swarm.row(model.holders()?)?;
            Some(shown(row.peer, &row.nick))
        }
        Pane::Sources => {
            let row = model.source_rows().get(model.sources.cursor)?;
            Some(shown(row.peer, &row.nick))
        }
        Pane::Files if model.tab == Tab::Peers => {
            let row = model.peer_row(model.list().cursor)?;
            Some(shown(row.peer, row.nick()))
        }
        _ => None,
    }
}

/// The words of a filter that finds nothing, if they are only words.
pub(crate) fn words_to_watch(model: &Model) -> Option<String> {
    let list = model.list();
    let text = list.field.text().trim();
    let empty = model.tab == Tab::Network && list.rows.is_empty() && !text.is_empty();
    let plain = !text.contains([':', '!', '|', '~', '"']);
    (empty && plain).then(|| text.to_owned())
}

/// Whether there is something to take back.
pub(crate) fn can_undo(model: &Model, now: Instant) -> bool {
    model.removed.as_ref().is_some_and(|(_, at)| now < *at + UNDO)
}
