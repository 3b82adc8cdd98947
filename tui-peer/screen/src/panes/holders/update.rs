//! The view of who has what: opened, scrolled, and what is asked of the engine for it.

use common::numbers::saturate;

use crate::model::{Dialog, List, Model, Pane, Tone};
use crate::panes::holders::geometry::{own_strip, peer_rows};
use crate::queries::peer;
use crate::update::requests::peer_lines;
use crate::{format, heatmap};
use engine::api::snapshot::{Look, MAX_BUCKETS, MAX_STRIPS, StripRequest};

/// Opens or closes it.
pub(crate) fn toggle(model: &mut Model) {
    model.swarm.open = !model.swarm.open;
    if model.swarm.open {
        model.swarm.list = List::default();
        model.details = true;
        model.zoom = false;
        model.focus = Pane::Sources;
    }
}

/// It is a part of the details, and has the keys while it is open.
pub(crate) fn settle_open(model: &mut Model) {
    model.swarm.open &= model.details && model.selected().is_some();
    if !model.swarm.open {
        return;
    }
    model.focus = Pane::Sources;
    if let Some(all) = model.holders().map(|holders| holders.all as usize) {
        model.swarm.list.count(all);
    }
    model.swarm.list.settle(peer_rows(model));
}

/// What the engine is to say beside chunks and sources: nothing as long as nobody looks.
pub(crate) fn look(model: &Model) -> Look {
    let senders = crate::panes::chunks::update::senders_wanted(model);
    if !model.swarm.open {
        return Look { senders, ..Look::default() };
    }
    let height = peer_rows(model).max(1);
    // The page on the screen and one on either side: a step of the cursor asks nothing new.
    let first = (model.swarm.list.offset / height).saturating_sub(1) * height;
    let buckets = heatmap::buckets(model.chunk_count(), usize::from(own_strip(model).width));
    Look {
        senders,
        holders: Some(StripRequest {
            first: saturate::<u32>(first),
            rows: u16::try_from(height * 3).unwrap_or(MAX_STRIPS).min(MAX_STRIPS),
            buckets: u16::try_from(buckets).unwrap_or(MAX_BUCKETS).min(MAX_BUCKETS),
        }),
    }
}

/// More about the peer under the cursor.
pub(crate) fn about(model: &mut Model) {
    let Some(row) = model.holders().and_then(|holders| model.swarm.row(holders)).cloned() else {
        return;
    };
    let Some((_, name)) = peer(model) else { return };
    let chunks = model.chunk_count() as u64;
    let share = format::percent(u64::from(row.have).min(chunks), chunks.max(1));
    let has = format!("It has {share} of this: {}", format::plural(row.have.into(), "chunk"));
    let lack = match row.useful {
        0 => "you lack none of them.".to_owned(),
        n => format!("you lack {} of them.", format::count(n.into())),
    };
    let mut lines = vec![(Tone::Plain, format!("{has}; {lack}"))];
    match model.snap.peers.iter().find(|other| other.peer == row.peer) {
        Some(other) => lines.extend(peer_lines(model, other)),
        None => lines.push((Tone::Dim, "Not connected: this is what the tracker says.".to_owned())),
    }
    model.dialogs.push(Dialog::Why { title: name, lines, about: None });
}
