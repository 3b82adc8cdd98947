//! What is wrong that the user may want to act on: the line below the header says it, the worst first, and it
//! goes away by itself.

use std::time::{Duration, Instant};

use super::{Model, Tone};
use crate::action::Action;
use crate::format;
use crate::layout::{Class, class};
use engine::api::cause;
use engine::api::event::What;
use engine::api::snapshot::{BanRow, NetState, Transfer, TransferState};

/// Lowest terminal that gives a row to it; the header and the rows say the same in short.
const MIN_HEIGHT: u16 = 20;
/// How long a ban is told, of the ten minutes or more that it lasts.
const BAN_SHOWN: Duration = Duration::from_secs(60);

/// Whether there is room for a banner: what it says is then said nowhere else but in the log.
pub(crate) fn fits(model: &Model) -> bool {
    let (width, height) = model.size;
    height >= MIN_HEIGHT && class(width, height) != Class::Card && !model.is_welcome()
}

/// Whether the banner says what happened, for as long as it is so: that its first line does, others are only
/// counted. The header says of the tracker what the banner has no room for.
pub(crate) fn tells(model: &Model, what: &What) -> bool {
    let told = match what {
        What::Failed { code: "tracker" | "rejected", .. } => true,
        What::Failed { code: "disk-full", id, .. } => {
            let mut others = full_disks(model).filter(|t| Some(t.id) != *id);
            let here = id.and_then(|id| model.transfer(&id)).and_then(|t| t.path.parent());
            others.all(|t| t.path.parent() == here)
        }
        What::Banned { peer } => {
            urgent(model).is_empty() && bans(model).all(|(ban, _)| ban.peer == *peer)
        }
        _ => false,
    };
    told && fits(model)
}

fn full_disks(model: &Model) -> impl Iterator<Item = &Transfer> {
    model.snap.transfers.iter().filter(|t| t.state == TransferState::DiskFull)
}

/// Whether there is a banner.
pub(crate) fn has(model: &Model) -> bool {
    fits(model) && !lines(model).is_empty()
}

/// When a banner goes away by itself though nothing happens.
pub(crate) fn deadline(model: &Model) -> Option<Instant> {
    model.told_bans.iter().map(|(_, at)| *at + BAN_SHOWN).filter(|at| *at > model.now.mono).min()
}

/// Everything to be said, the worst first.
pub(crate) fn lines(model: &Model) -> Vec<(Tone, String)> {
    let theme = model.theme;
    let snap = &model.snap;
    let also = |action, what| model.keymap.and(&format!(" {} ", theme.dot()), action, what);
    let mut out = urgent(model);
    for (ban, until) in bans(model) {
        let name = if ban.nick.is_empty() { ban.peer.short() } else { ban.nick.clone() };
        out.push((Tone::Warn, format!("! {name} banned{until}: {}", ban.why)));
    }
    let port = snap.me.listen.port();
    if let Some(wanted) = model.setting.wanted_port.filter(|wanted| *wanted != 0 && *wanted != port)
    {
        let changes = also(Action::Settings, "changes it");
        let text = format!("! port {wanted} is in use: listening on {port}{changes}");
        out.push((Tone::Warn, text));
    }
    if !snap.me.serving {
        let key = model.keymap.aside(Action::Serving, "");
        let text =
            format!("{} serving paused{key}: others cannot download from you", theme.pause());
        out.push((Tone::Warn, text));
    }
    out
}

/// Bans of the last minute that we did not ask for, and how long they last.
fn bans(model: &Model) -> impl Iterator<Item = (&BanRow, String)> {
    let told = model.told_bans.iter().filter(|(_, at)| model.now.mono < *at + BAN_SHOWN);
    told.filter_map(|(peer, _)| {
        let ban = model.snap.bans.iter().find(|ban| ban.peer == *peer && !ban.by_user)?;
        let until = ban.until.map_or_else(String::new, |until| {
            let left = until.saturating_duration_since(model.now.mono).as_secs();
            // To the minute: it need not be painted every second.
            format!(" for {} min", left.div_ceil(60))
        });
        Some((ban, until))
    })
}

/// What stands before all else.
fn urgent(model: &Model) -> Vec<(Tone, String)> {
    let theme = model.theme;
    let dot = theme.dot();
    let snap = &model.snap;
    let also = |action, what| model.keymap.and(&format!(" {dot} "), action, what);
    let aside = |action| model.keymap.aside(action, "");
    let mut out = Vec::new();
    let full: Vec<_> = full_disks(model).collect();
    if let Some(first) = full.first() {
        let folder = first.path.parent().map_or_else(String::new, |dir| model.show_path(dir));
        let retry = also(Action::Retry, "retry");
        let text =
            format!("! disk full {folder}: {} paused{retry} {dot} resumes by itself", full.len());
        out.push((Tone::Bad, text));
    }
    if let Some(unkept) = &snap.unkept {
        let why = common::names::show(&unkept.why);
        let text =
            format!("! a restart forgets {} changes: {why} {dot} {}", unkept.waiting, unkept.hint);
        out.push((Tone::Bad, text));
    }
    match &snap.network.state {
        NetState::Rejected { why } => {
            let why = common::names::show(why);
            let joins = also(Action::JoinOther, "joins another");
            out.push((Tone::Bad, format!("! the tracker refuses us{joins} {dot} {why}")));
        }
        NetState::Lost { retry_at, why, .. } if snap.network.is_unmet() => {
            let left = retry_at.saturating_duration_since(model.now.mono).as_secs_f64().ceil();
            let (asks, joins) =
                (also(Action::Announce, "now"), also(Action::JoinOther, "joins another"));
            let text = format!(
                "{} {} never reached: check the address{joins} {dot} retry in {left} s{asks} {dot} {}",
                theme.off(),
                snap.network.tracker,
                common::names::show(why)
            );
            out.push((Tone::Warn, text));
        }
        NetState::Lost { since, retry_at, why } => {
            let now = model.now;
            let left = retry_at.saturating_duration_since(now.mono).as_secs_f64().ceil();
            let age = now.mono.saturating_duration_since(*since);
            let then = now.wall.checked_sub(age).unwrap_or(now.wall);
            let when = format::time_of_day(then, &model.setting.zone);
            let peers = match snap.peers.len() {
                0 => String::new(),
                n => format!("{} still usable, ", format::plural(n as u64, "peer")),
            };
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(" {dot} {}", common::names::show(why))
            };
            let asks = also(Action::Announce, "now");
            let text = format!(
                "{} retry in {left} s{asks} {dot} {peers}list from {when}{why}",
                theme.off()
            );
            out.push((Tone::Warn, text));
        }
        NetState::Left => {
            let (key, rejoins) = (aside(Action::Leave), also(Action::Rejoin, "rejoins"));
            let text = format!("{} you left the network{key}{rejoins}", theme.off());
            out.push((Tone::Warn, text));
        }
        NetState::NoNetwork | NetState::Connecting | NetState::On => {}
    }
    if let Some(ahead) = snap.network.clock_ahead_s {
        let text = format!("! {} {dot} set whichever is wrong", cause::clocks(ahead));
        out.push((Tone::Warn, text));
    }
    out
}
