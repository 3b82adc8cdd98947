//! PURE: what happens to the model, and what is to be done outside. No clock, no IO.

pub(crate) mod actions;
pub(crate) mod ask;
pub(crate) mod focus;
mod interrupt;
mod keys;
mod mouse;
pub(crate) mod moves;
pub(crate) mod network;
mod probes;
mod reply;
pub(crate) mod requests;
pub(crate) mod transfers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::join::Link;

use super::action::Action;
use super::layout::inside;
use super::model::{Dialog, GetLink, Held, Inside, Model, Owned, Pane, Tab, Tone, banner};
use super::msg::{Effect, Msg};
use crate::dialogs::{self, contents, share};
use crate::panes::files::geometry::height;
use crate::panes::files::update::{crowd, filtering, inside as folders, lists, owned};
use crate::panes::{chunks, graph, holders, log};
use crate::screens::settings;
use engine::api::event::{Event, Level, What};
use engine::api::snapshot::{NetState, Snapshot};

/// Bans told in the banner at once; the others are in the log.
const MAX_BANS: usize = 8;

/// Handles one message. `model.now` must be set before.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut out = Vec::new();
    match msg {
        Msg::Key(key) => keys::key(model, key, &mut out),
        Msg::Paste(text) => paste(model, &text, &mut out),
        Msg::Mouse(event) => mouse::mouse(model, event, &mut out),
        Msg::Resize(width, height) => model.size = (width, height),
        Msg::Attention(has) => model.attention = has,
        Msg::Snapshot(snap) => snapshot(model, snap, &mut out),
        Msg::Event(event) => event_came(model, &event),
        Msg::Events(events) => events.iter().for_each(|event| event_came(model, event)),
        Msg::Traces(entries) => log::update::traces(model, entries),
        Msg::Missed(n) => {
            let text = format!("{n} log lines were lost: too many at once");
            model.log.push(&said(model, Level::Warn, text));
        }
        Msg::Reply(asked, result) => reply::reply(model, asked, result, &mut out),
        Msg::Saved(result) => settings::update::saved(model, result),
        Msg::Dir(dir, entries) => share::update::listed(model, dir, &entries),
        Msg::Probed(probe, found) => probes::found(model, &probe, &found),
        Msg::Nothing => {}
        Msg::Opened(path, result) => probes::opened(model, &path, result),
        Msg::Indexed(generation, job, built) => {
            lists::indexed(model, generation, &job, built, &mut out);
        }
        Msg::Members(number, result) => crowd::told(model, number, result),
        Msg::Owners(words, result) => owned::told(model, &words, result, &mut out),
        Msg::Found(number, answer) => folders::told(model, number, answer, &mut out),
        Msg::Mapped(job, map) => chunks::update::mapped(model, job, map),
        Msg::Copied(what, Ok(way)) => {
            model.toast(Tone::Good, format!("{what} copied ({way})"));
        }
        Msg::Copied(what, Err(why)) => {
            model.toast(Tone::Bad, format!("{what} not copied: {why}"));
        }
        Msg::Panicked(at, text) => {
            let mut event =
                said(model, Level::Error, format!("internal error, the rest goes on: {text}"));
            event.at = at;
            event_came(model, &event);
        }
        Msg::Near(near) => crate::screens::welcome::update::near(model, near),
        Msg::Tick => {}
    }
    model.toasts.expire(model.now.mono);
    settle(model, &mut out);
    out
}

/// The state and effects at start.
pub fn start(model: &mut Model) -> Vec<Effect> {
    let mut out = Vec::new();
    let snap = model.snap.clone();
    snapshot(model, snap, &mut out);
    settle(model, &mut out);
    out
}

/// When the screen changes by itself, if nothing happens before.
pub fn deadline(model: &Model) -> Option<Instant> {
    let now = model.now.mono;
    let second = Duration::from_secs(1);
    let clock = match &model.snap.network.state {
        // An age and a countdown are on the screen.
        NetState::Lost { since, .. } => {
            let into = now.saturating_duration_since(*since).subsec_nanos();
            Some(now + second - Duration::from_nanos(u64::from(into)).min(second))
        }
        _ => None,
    };
    let reorder = model.last_key.filter(|_| model.stale).map(|at| (at + lists::HOLD).max(now));
    let banner = banner::deadline(model);
    [
        model.toasts.deadline(),
        clock,
        reorder,
        banner,
        owned::deadline(model),
        folders::deadline(model),
        crowd::deadline(model),
    ]
    .into_iter()
    .flatten()
    .min()
}

fn snapshot(model: &mut Model, snap: Arc<Snapshot>, out: &mut Vec<Effect>) {
    let same = model.snap.transfers.is_same(&snap.transfers);
    if !same || model.mine.len() != snap.transfers.len() {
        model.mine = snap.transfers.iter().enumerate().map(|(i, t)| (t.id, i)).collect();
        model.held = Held::of(&snap.transfers);
    }
    let out_of_it = matches!(snap.network.state, NetState::Left | NetState::NoNetwork);
    // Its join string changes when its tracker moves.
    let tracker = |snap: &Snapshot| snap.network.joined().map(|join| join.tracker());
    let same = model.snap.network.join == snap.network.join;
    if out_of_it || !same && tracker(&model.snap) != tracker(&snap) {
        // Others are there, or nobody.
        model.crowd.forget();
        model.owned = Owned::default();
        model.inside = Inside::default();
    }
    model.snap = snap;
    let snap = model.snap.clone();
    let focus = snap.focus.as_deref().filter(|focus| Some(focus.id) == model.selected());
    model.history.note(snap.at, &snap.totals, focus);
    model.graph.note(snap.at, &snap.totals);
    if snap.network.state == NetState::On {
        model.welcome = super::model::Welcome::default();
    }
    lists::refresh(model, out);
    ask::ask_start(model);
    contents::update::look(model, out);
    ask::when_idle(model, out);
}

fn event_came(model: &mut Model, event: &Event) {
    model.log.push(event);
    let visible = !model.areas().log.is_empty();
    if event.level == Level::Error && !visible {
        model.log.unread += 1;
    }
    let now = model.now.mono;
    match &event.what {
        What::Done { id, .. } => {
            let mut text = common::names::show(&event.text);
            let key = model.keymap.key(Action::OpenFolder);
            if let Some(key) = key.filter(|_| model.selected() == Some(*id)) {
                let does =
                    if model.setting.desktop { "opens its folder" } else { "copies its path" };
                text = format!("{text} · {key} {does}");
            }
            model.toasts.push(Tone::Good, text, now);
        }
        // That a download is shared from now on would hide that it is done.
        What::Shared { id, .. } if model.transfer(id).is_some_and(|t| t.downloaded) => {}
        What::Shared { .. } => model.toasts.push(Tone::Good, common::names::show(&event.text), now),
        // Less is for those who wait for it.
        what @ What::Failed { .. } if banner::tells(model, what) => {}
        What::Failed { hint, .. } if event.level <= Level::Warn => {
            let text = if hint.is_empty() {
                event.text.clone()
            } else {
                format!("{} · {hint}", event.text)
            };
            model.toasts.push(Tone::Bad, common::names::show(&text), now);
        }
        What::Banned { peer } => {
            if !banner::tells(model, &event.what) {
                model.toasts.push(Tone::Warn, common::names::show(&event.text), now);
            }
            if model.told_bans.len() >= MAX_BANS {
                model.told_bans.remove(0);
            }
            model.told_bans.push((*peer, now));
        }
        What::Said if event.level == Level::Error => {
            model.toasts.push(Tone::Bad, common::names::show(&event.text), now);
        }
        What::Said
        | What::Failed { .. }
        | What::Peer { .. }
        | What::HasAll { .. }
        | What::Unreached { .. }
        | What::Hashed { .. }
        | What::Verified { .. } => {}
    }
}

fn said(model: &Model, level: Level, text: String) -> Event {
    Event {
        at: model.now.wall,
        level,
        target: engine::api::event::Target::Net,
        text,
        what: What::Said,
    }
}

/// Pasted text goes into the field that is open; a link opens its dialog; anything else is left alone.
fn paste(model: &mut Model, text: &str, out: &mut Vec<Effect>) {
    if dialogs::update::paste(model, text, out) {
        return;
    }
    match model.typing {
        Some(Pane::Log) => return log::update::search_paste(model, text),
        Some(_) => return filtering::paste(model, text, out),
        None => {}
    }
    match common::join::parse_any(text.trim()) {
        Ok(link) => {
            let joining = matches!(link, Link::Join(_));
            let mut dialog = GetLink { joining, ..GetLink::default() };
            dialog.field.paste(text);
            model.dialogs.push(Dialog::Link(dialog));
        }
        Err(error) if text.trim_start().starts_with("shoal://") => {
            model.toast(Tone::Bad, error.to_string());
        }
        Err(_) => {
            let also = |action, what| model.keymap.and(" · ", action, what);
            let (filter, share) = (also(Action::Filter, "filter"), also(Action::Share, "share"));
            let text = "Pasted text ignored: only shoal:// links are taken here";
            model.toast(Tone::Plain, format!("{text}{filter}{share}"));
        }
    }
}

/// After every message: everything is where it can be seen, the engine knows what is looked at.
fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    if model.stale && model.last_key.is_none_or(|at| model.now.mono >= at + lists::HOLD) {
        lists::refresh(model, out);
    }
    crowd::open(model);
    focus::settle(model);
    holders::update::settle_open(model);
    if model.details && !matches!(model.focus, Pane::Chunks | Pane::Sources) {
        model.focus = Pane::Chunks;
    }
    let areas = model.areas();
    for tab in Tab::ALL {
        let height = height(model, areas.files, tab);
        model.list_mut(tab).settle(height);
    }
    let tab = model.at();
    let at = model.list().cursor;
    let key = model.row_key(tab, at);
    let list = model.list_mut(tab);
    if list.key != key {
        list.key = key;
        model.chunks.cursor = 0;
        model.chunks.follows = false;
        model.history.sources.clear();
    }
    filtering::settle(model);
    owned::settle(model, &mut *out);
    folders::settle(model, &mut *out);
    crowd::settle(model, &mut *out);
    settle_row(model);
    let sources = model.source_rows().len();
    model.sources.count(sources);
    model.sources.settle(usize::from(inside(areas.sources).height.saturating_sub(1)));
    log::update::settle(model, areas.log);
    chunks::update::settle(model, &mut *out);
    graph::update::settle(model);
    let wanted = (model.selected(), holders::update::look(model));
    if wanted != model.asked_focus {
        model.asked_focus = wanted;
        out.push(Effect::Focus(wanted.0, wanted.1));
    }
}

/// Looks up the selected download or share in the catalogue when it may have moved.
fn settle_row(model: &mut Model) {
    let Some(id) = model.selected().filter(|_| model.at() != Tab::Network) else { return };
    let rows = &model.catalogue.rows;
    let known = model
        .row_place
        .filter(|(of, at)| *of == id && rows.get(*at).is_some_and(|row| row.id == id));
    if known.is_none() {
        model.row_place = rows.iter().position(|row| row.id == id).map(|at| (id, at));
    }
}
