//! Questions before something is lost: who loses what.

use common::id::ContentId;

use settings::AskQuit;

use super::transfers::unshare;
use crate::action::Action;
use crate::model::{Button, Choice, Confirm, Dialog, Line, Model, Tone, WhenIdle, banner};
use crate::msg::{Asked, Effect, ExitReason};
use crate::queries::takes;
use crate::theme::Theme;
use crate::{format, labels};
use engine::api::command::Command;
use engine::api::snapshot::{NetState, Transfer, TransferState};

/// Names listed in a question before "and n more".
const LISTED: usize = 4;

/// Who loses what if we stop serving: files that only we have all of.
pub(crate) fn losses<'a>(theme: Theme, transfers: impl Iterator<Item = &'a Transfer>) -> Vec<Line> {
    let only: Vec<&Transfer> =
        transfers.filter(|t| t.state == TransferState::Sharing && t.other_complete == 0).collect();
    if only.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![(
        Tone::Warn,
        format!(
            "You are the only complete source of {}:",
            format::plural(only.len() as u64, "file")
        ),
    )];
    let mut sorted = only.clone();
    let waiting = |t: &Transfer| t.wanted_by.max(t.plan.waiting);
    sorted.sort_by_key(|t| std::cmp::Reverse(waiting(t)));
    for t in sorted.iter().take(LISTED) {
        let wait = match waiting(t) {
            0 => String::new(),
            1 => "  1 peer waits".to_owned(),
            n => format!("  {n} peers wait"),
        };
        lines.push((Tone::Plain, format!("  {}{wait}", theme.fit(&t.name, 40))));
    }
    if only.len() > LISTED {
        lines.push((Tone::Dim, format!("  and {} more", only.len() - LISTED)));
    }
    lines
}

/// Who loses what if everything stops.
pub(crate) fn all_losses(model: &Model) -> Vec<Line> {
    let transfers = &model.snap.transfers;
    // Without a network nobody fetches from us.
    let alone = model.snap.network.state == NetState::NoNetwork;
    let mut lines = if alone { Vec::new() } else { losses(model.theme, transfers.iter()) };
    let unfinished: Vec<&Transfer> =
        transfers.iter().filter(|t| t.is_unfinished() && labels::is_running(t)).collect();
    if !unfinished.is_empty() {
        let kept = format::size(unfinished.iter().map(|t| t.done).sum(), model.units);
        let (what, verb) = match unfinished.len() {
            1 => ("1 download".to_owned(), "stops"),
            n => (format!("{n} downloads"), "stop"),
        };
        lines.push((Tone::Plain, format!("{what} {verb}; progress is kept ({kept}).")));
    }
    lines.extend(uploads(model));
    lines
}

/// Seconds to go beyond which a guess helps nobody.
const FAR: f64 = 86_400.0;

/// Who is downloading from us, and for how long at the most.
fn uploads(model: &Model) -> Option<Line> {
    let busy: Vec<_> = model.snap.peers.iter().filter(|p| takes(model, p)).collect();
    let count = busy.len() as u64;
    if count == 0 {
        // Known by content only.
        let wanted = model.snap.transfers.iter().map(|t| u64::from(t.wanted_by)).max()?;
        return (wanted > 0).then(|| (Tone::Warn, downloading(wanted, "")));
    }
    // They may fetch from others as well, so this is the most it can take.
    let left = busy
        .iter()
        .flat_map(|peer| &peer.takes)
        .filter_map(|take| {
            let size = model.transfer(&take.id)?.size;
            (take.rate >= 1.0).then(|| size.saturating_sub(take.sent) as f64 / take.rate)
        })
        .fold(0.0, f64::max);
    let text = if left > 0.0 && left < FAR {
        // In range: below a day.
        format!(" (at most {} left)", format::eta(left.ceil() as u64))
    } else {
        String::new()
    };
    Some((Tone::Warn, downloading(count, &text)))
}

fn downloading(peers: u64, left: &str) -> String {
    match peers {
        1 => format!("1 peer is downloading from you{left}."),
        n => format!("{} peers are downloading from you{left}.", format::count(n)),
    }
}

pub(crate) fn button(label: &'static str, choice: Choice) -> Button {
    Button { label, choice }
}

pub(crate) fn ask(model: &mut Model, title: &str, lines: Vec<Line>, buttons: Vec<Button>) {
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: title.to_owned(),
        lines,
        buttons,
        selected: 0,
        tick: None,
        ids: Vec::new(),
    }));
}

/// Closing a screen that only looks at a peer costs nobody anything.
fn ask_close(model: &mut Model, pid: u32, out: &mut Vec<Effect>) {
    if model.prefs.table.ask_quit() != AskQuit::Always {
        out.push(Effect::Exit(ExitReason::Quit));
        return;
    }
    let text = format!("The peer is process {pid}: it downloads and serves on.");
    let lines = vec![
        (Tone::Plain, text),
        (Tone::Dim, "tui-peer attach shows it again, tui-peer stop ends it.".to_owned()),
    ];
    let buttons = vec![button("Stay", Choice::Stay), button("Close", Choice::Quit)];
    ask(model, "Close this screen?", lines, buttons);
}

pub(crate) fn ask_quit(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some(pid) = model.setting.attached {
        return ask_close(model, pid, out);
    }
    let mut lines = all_losses(model);
    let asks = match model.prefs.table.ask_quit() {
        AskQuit::IfBusy => !lines.is_empty(),
        AskQuit::Always => true,
        AskQuit::Never => false,
    };
    if !asks {
        out.push(Effect::Exit(ExitReason::Quit));
        return;
    }
    if lines.is_empty() {
        lines.push((Tone::Plain, "Nothing is running, and nobody loses anything.".to_owned()));
    }
    let serve_on = "Serve on: the screen closes, the peer runs on in the background.";
    lines.push((Tone::Dim, serve_on.to_owned()));
    let buttons = vec![
        button("Stay", Choice::Stay),
        button("Quit when idle", Choice::QuitWhenIdle),
        button("Serve on", Choice::ServeOn),
        button("Quit now", Choice::Quit),
    ];
    ask(model, "Quit?", lines, buttons);
}

/// At the start, if the settings say so: whether to go on where the last run ended.
pub(crate) fn ask_start(model: &mut Model) {
    if !model.snap.network.asking || std::mem::replace(&mut model.asked_start, true) {
        return;
    }
    let waiting = model.snap.transfers.iter().filter(|t| t.is_unfinished()).count();
    let network = format!("The network at {} was left when you quit.", model.snap.network.tracker);
    let downloads = match waiting {
        0 => "No downloads are waiting.".to_owned(),
        n => format!("{} would resume.", format::plural(n as u64, "download")),
    };
    let mut lines = vec![(Tone::Plain, network), (Tone::Plain, downloads)];
    let what = "changes whether this is asked (On start).";
    lines.extend(model.keymap.does(Action::Settings, what).map(|text| (Tone::Dim, text)));
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: "Rejoin and resume?".to_owned(),
        lines,
        buttons: vec![button("Stay off", Choice::Stay), button("Rejoin", Choice::Rejoin)],
        // What the app was started for; staying off is one Esc away.
        selected: 1,
        tick: None,
        ids: Vec::new(),
    }));
}

pub(crate) fn ask_leave(model: &mut Model, out: &mut Vec<Effect>) {
    let lines = all_losses(model);
    if lines.is_empty() {
        leave_now(model, out);
        return;
    }
    let buttons = vec![
        button("Stay", Choice::Stay),
        button("Leave when idle", Choice::LeaveWhenIdle),
        button("Leave now", Choice::Leave),
    ];
    ask(model, "Leave the network?", lines, buttons);
}

pub(crate) fn leave_now(model: &mut Model, out: &mut Vec<Effect>) {
    model.when_idle = None;
    let rejoins = model.keymap.and(" · ", Action::Rejoin, "rejoins");
    let say = Asked::Say(format!("you left the network{rejoins}"));
    // Where there is a banner it says so.
    let asked = if banner::fits(model) { Asked::Quietly } else { say };
    out.push(Effect::Call(Command::Leave, asked));
}

pub(crate) fn ask_remove(model: &mut Model) {
    let ids: Vec<ContentId> = model
        .targets()
        .into_iter()
        .filter(|id| model.transfer(id).is_some_and(|t| t.downloaded && !t.plan.cleared))
        .collect();
    let transfers: Vec<&Transfer> = ids.iter().filter_map(|id| model.transfer(id)).collect();
    let mut lines: Vec<Line> = transfers
        .iter()
        .take(LISTED)
        .map(|t| {
            let done = format::percent(t.done, t.size);
            (
                Tone::Plain,
                format!(
                    "{}  {done} of {}",
                    model.theme.fit(&t.name, 40),
                    format::size(t.size, model.units)
                ),
            )
        })
        .collect();
    if transfers.len() > LISTED {
        lines.push((Tone::Dim, format!("and {} more", transfers.len() - LISTED)));
    }
    if transfers.iter().any(|t| !t.is_unfinished()) {
        let unshares = model.keymap.aside(Action::Unshare, "unshares");
        let text = format!("Finished files stay on disk and are still shared{unshares}.");
        lines.push((Tone::Dim, text));
    }
    let partial: u64 = transfers.iter().filter(|t| t.is_unfinished()).map(|t| t.done).sum();
    let tick = (partial > 0).then_some(("also delete what has been fetched so far", false));
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: if ids.len() == 1 {
            "Remove from the list?".to_owned()
        } else {
            format!("Remove {} from the list?", ids.len())
        },
        lines,
        buttons: vec![button("Keep", Choice::Stay), button("Remove", Choice::Remove)],
        selected: 0,
        tick,
        ids,
    }));
}

pub(crate) fn ask_unshare(model: &mut Model, out: &mut Vec<Effect>) {
    let ids = model.targets();
    let shares: Vec<&Transfer> = ids.iter().filter_map(|id| model.transfer(id)).collect();
    let mut lines = losses(model.theme, shares.iter().copied());
    if shares.iter().any(|t| t.wanted_by > 0) && lines.is_empty() {
        lines.push((Tone::Warn, "Somebody is downloading it from you right now.".to_owned()));
    }
    if lines.is_empty() {
        unshare(model, &ids, out);
        return;
    }
    lines.push((Tone::Dim, "The files on disk are not touched.".to_owned()));
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: "Stop sharing?".to_owned(),
        lines,
        buttons: vec![button("Keep sharing", Choice::Stay), button("Unshare", Choice::Unshare)],
        selected: 0,
        tick: None,
        ids,
    }));
}

pub(crate) fn ask_suspend(model: &mut Model, out: &mut Vec<Effect>) {
    // On a peer that runs elsewhere nothing rests but the screen.
    if model.suspend_confirmed || model.setting.attached.is_some() {
        out.push(Effect::Suspend);
        return;
    }
    let lines = vec![
        (
            Tone::Warn,
            "While suspended, nothing is served or downloaded: the whole program stops.".to_owned(),
        ),
        (Tone::Plain, "fg in the shell brings it back. You are asked only once.".to_owned()),
    ];
    let buttons = vec![button("Stay", Choice::Stay), button("Suspend", Choice::Suspend)];
    ask(model, "Suspend?", lines, buttons);
}

/// Does what was put off until nothing runs, once nothing does.
pub(crate) fn when_idle(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(what) = model.when_idle else { return };
    if model.snap.transfers.iter().any(|t| labels::is_running(t) || t.wanted_by > 0) {
        return;
    }
    model.when_idle = None;
    match what {
        WhenIdle::Quit => out.push(Effect::Exit(ExitReason::Quit)),
        WhenIdle::Leave => leave_now(model, out),
    }
}
