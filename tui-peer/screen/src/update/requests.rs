//! What the user wishes beyond having a file: order, speed, patience, and whom to do without.

use std::time::Duration;

use common::id::{ContentId, PeerId};

use super::ask::button;
use super::transfers::named;
use crate::action::Action;
use crate::field::Field;
use crate::model::{Choice, Confirm, Dialog, LimitOne, Model, Tone};
use crate::msg::{Asked, Effect, call_each};
use crate::queries::{UNDO, peer, words_to_watch};
use crate::{format, labels};
use engine::api::command::{Command, Priority, Reorder};
use engine::api::snapshot::{MemberRow, PeerRow, Transfer};

/// A ban that is not for ever.
const A_WHILE: Duration = Duration::from_secs(600);

/// Raises or lowers the priority of the chosen downloads.
pub(crate) fn prioritize(model: &mut Model, up: bool, out: &mut Vec<Effect>) {
    let chosen: Vec<(ContentId, Priority)> = unfinished(model)
        .map(|t| {
            let now = t.plan.priority;
            (t.id, if up { now.raised() } else { now.lowered() })
        })
        .collect();
    let Some((_, first)) = chosen.first().copied() else { return };
    let ids: Vec<ContentId> = chosen.iter().map(|(id, _)| *id).collect();
    let text = format!("priority {}: {}", first.word(), named(model, &ids));
    let command = |(id, priority)| Command::Prioritize { id, priority };
    call_each(chosen.into_iter().map(command), text, out);
}

/// Moves the download under the cursor in the queue.
pub(crate) fn reorder(model: &Model, to: Reorder, out: &mut Vec<Effect>) {
    if let Some(t) = model.selected_transfer() {
        out.push(Effect::Call(Command::Reorder { id: t.id, to }, Asked::Quietly));
    }
}

/// In order, or rarest first.
pub(crate) fn sequential(model: &Model, out: &mut Vec<Effect>) {
    let Some(t) = model.selected_transfer() else { return };
    let (id, on) = (t.id, !t.plan.sequential);
    let text = if on {
        format!("{}: chunks come in order (slower for everybody)", t.name)
    } else {
        format!("{}: rarest chunks first", t.name)
    };
    out.push(Effect::Call(Command::Sequential { id, on }, Asked::Say(text)));
}

/// Asks for the limits of one content.
pub(crate) fn ask_limit(model: &mut Model) {
    let Some(t) = model.selected_transfer() else { return };
    let show = |rate: Option<u64>| {
        rate.map_or_else(Field::default, |rate| Field::with(&format!("{}K", rate.div_ceil(1024))))
    };
    let downloading = t.is_unfinished();
    let limit = LimitOne {
        id: t.id,
        name: t.name.to_string(),
        downloading,
        down: show(t.plan.down),
        up: show(t.plan.up),
        at_up: !downloading,
        error: None,
    };
    model.dialogs.push(Dialog::Limit(limit));
}

/// Waits for a file that nobody has, or for the words of the filter.
pub(crate) fn watch(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some(words) = words_to_watch(model) {
        let lists = model.keymap.and(" · ", Action::Watches, "lists what you wait for");
        let text = format!("downloads the first \"{words}\" that appears{lists}");
        out.push(Effect::Call(Command::WatchFor { words, on: true }, Asked::Say(text)));
        return;
    }
    let Some(id) = model.selected() else { return };
    let on = !model.selected_transfer().is_some_and(|t| t.plan.watch);
    let name = model.selected_name().unwrap_or_default();
    let text = if on {
        format!("{name}: starts when somebody has it")
    } else {
        format!("{name}: no longer waiting for it")
    };
    out.push(Effect::Call(Command::Watch { id, on }, Asked::Say(text)));
}

/// What can be taken back was removed just now.
pub(crate) fn removed(model: &mut Model, ids: &[ContentId]) {
    let now = model.now.mono;
    let what = named(model, ids);
    model.removed = Some((ids.to_vec(), now));
    let key = model.keymap.way(Action::Undo);
    let back = key.map_or_else(String::new, |key| format!(" · {key} takes it back"));
    model.toasts.push_for(Tone::Good, format!("removed: {what}{back}"), now, UNDO);
}

/// Takes the removal back.
pub(crate) fn undo(model: &mut Model, out: &mut Vec<Effect>) {
    let Some((ids, _)) = model.removed.take() else { return };
    model.toasts.clear();
    let command = |id| Command::Restore { id };
    call_each(ids.into_iter().map(command), "taken back".to_owned(), out);
}

/// Asks for how long.
pub(crate) fn ask_ban(model: &mut Model) {
    let Some((peer, name)) = peer(model) else { return };
    let mut lines = vec![(
        Tone::Plain,
        format!("Nothing will be downloaded from {name}, and nothing served to it."),
    )];
    let bans = model.keymap.does(Action::Bans, "lists the bans and lifts them.");
    lines.extend(bans.map(|text| (Tone::Dim, text)));
    let buttons = vec![
        button("Cancel", Choice::Stay),
        button("10 minutes", Choice::Ban(peer, false)),
        button("For ever", Choice::Ban(peer, true)),
    ];
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: format!("Ban {name}?"),
        lines,
        buttons,
        selected: 0,
        tick: None,
        ids: Vec::new(),
    }));
}

pub(crate) fn ban(model: &Model, peer: PeerId, for_ever: bool, out: &mut Vec<Effect>) {
    let time = (!for_ever).then_some(A_WHILE);
    let text = if for_ever { "banned for ever" } else { "banned for 10 minutes" };
    let lists = model.keymap.and(" · ", Action::Bans, "lists the bans");
    let say = Asked::Say(format!("{} {text}{lists}", peer.short()));
    out.push(Effect::Call(Command::Ban { peer, time }, say));
}

/// What a peer takes from us, and gives.
pub(crate) fn about_peer(model: &mut Model) {
    let Some(row) = model.peer_row(model.list().cursor) else { return };
    let Some((_, name)) = peer(model) else { return };
    let mut lines = vec![(Tone::Dim, row.peer.to_string())];
    match row.member {
        Some(member) => lines.extend(member_lines(model, member)),
        None if model.crowd.has_members() => {
            lines.push((Tone::Dim, "The tracker did not name it.".to_owned()));
        }
        None => {}
    }
    match row.connected {
        Some(row) => lines.extend(peer_lines(model, row)),
        None if row.peer == model.snap.me.peer => {
            lines.push((Tone::Dim, "That is this peer.".to_owned()));
        }
        None => lines.push((Tone::Dim, "Not connected to it.".to_owned())),
    }
    model.dialogs.push(Dialog::Why { title: name, lines, about: None });
}

/// Addresses of a member that are told: it may announce as many as it likes.
const MAX_ADDRS: usize = 8;

fn member_lines(model: &Model, row: &MemberRow) -> Vec<crate::model::Line> {
    let online = format::lasting(model.now.unix().saturating_sub(row.since));
    let shares = format::plural(u64::from(row.shares), "share");
    let mut lines = vec![(Tone::Plain, format!("In the network for {online}, with {shares}."))];
    if row.addrs.is_empty() {
        lines.push((Tone::Dim, "It has no address where it can be dialled.".to_owned()));
    }
    for addr in row.addrs.iter().take(MAX_ADDRS) {
        lines.push((Tone::Plain, format!("at {addr}")));
    }
    lines
}

pub(crate) fn peer_lines(model: &Model, row: &PeerRow) -> Vec<crate::model::Line> {
    let units = model.units;
    let dash = model.theme.dash();
    let mut connected = format!("{}   connected {}", row.addr, labels::age(model.age(row.since)));
    if let Some(ms) = row.rtt_ms {
        connected.push_str(&format!("   round trip {ms} ms"));
    }
    let open = format::count(u64::from(row.contents));
    let mut lines = vec![
        (Tone::Plain, connected),
        (
            Tone::Plain,
            format!("It is {}; files open between us: {open}.", labels::upload(row.upload)),
        ),
    ];
    if row.takes.is_empty() {
        lines.push((Tone::Dim, "It is not downloading from us right now.".to_owned()));
    } else {
        lines.push((Tone::Plain, "It is downloading:".to_owned()));
    }
    for take in &row.takes {
        lines.push((
            Tone::Good,
            format!(
                "  {}  {}  {} sent",
                model.theme.fit(&take.name, 36),
                format::rate(take.rate, dash, units),
                format::size(take.sent, units)
            ),
        ));
    }
    lines.push((
        Tone::Dim,
        format!(
            "{} sent, {} received in this run",
            format::size(row.up, units),
            format::size(row.down, units)
        ),
    ));
    lines
}

fn unfinished(model: &Model) -> impl Iterator<Item = &Transfer> {
    model.targets().into_iter().filter_map(|id| model.transfer(&id)).filter(|t| t.is_unfinished())
}
