//! What each action does, and when it makes sense.

use common::content::Kind;
use common::id::ContentId;
use common::join::{FileLink, JoinString};

use crate::engine::command::{Command, Download, Selection};
use crate::engine::snapshot::{NetState, Transfer, TransferState};

use super::super::action::Action;
use super::super::heatmap::{Standing, standing};
use super::super::layout::inside;
use super::super::model::{
    Button, Choice, Confirm, Contents, Dialog, GetLink, Line, Model, Pane, SharePath, Sort, Tab,
    Tone,
};
use super::super::msg::{Asked, Effect, ExitReason};
use super::super::{format, verdict, words};
use super::{dialogs, lists};

/// Names listed in a question before "and n more".
const LISTED: usize = 4;

/// Whether an action makes sense now; if not, why.
pub fn can(model: &Model, action: Action) -> Result<(), &'static str> {
    let need = |ok: bool, why: &'static str| if ok { Ok(()) } else { Err(why) };
    let target = !model.targets().is_empty();
    let transfer = model.selected_transfer();
    let on = matches!(
        model.snap.network.state,
        NetState::On | NetState::Lost { .. } | NetState::Connecting
    );
    match action {
        Action::Download => {
            need(target, "no file is selected")?;
            let all_here = model
                .targets()
                .iter()
                .all(|id| model.transfer(id).is_some_and(|t| t.state == TransferState::Sharing));
            need(!all_here, "it is here already")
        }
        Action::Pause => {
            need(target && transfer.is_some_and(words::is_unfinished), "no download is selected")
        }
        Action::PauseAll => {
            need(model.snap.transfers.iter().any(words::is_unfinished), "there are no downloads")
        }
        Action::Retry => need(transfer.is_some_and(words::is_wrong), "nothing failed here"),
        Action::Verify => need(transfer.is_some_and(|t| t.have > 0), "nothing of it is on disk"),
        Action::VerifyAll => need(!model.snap.transfers.is_empty(), "nothing of yours is here"),
        Action::Remove => {
            need(transfer.is_some_and(|t| t.downloaded), "no download is selected (u unshares)")
        }
        Action::Unshare => need(
            transfer.is_some_and(|t| t.state == TransferState::Sharing || !t.downloaded),
            "you do not share it",
        ),
        Action::CopyLink => {
            need(target, "no file is selected")?;
            need(model.snap.network.join.is_some(), "there is no network")
        }
        Action::CopyHash | Action::Why | Action::Mark => {
            need(target || model.selected().is_some(), "no file is selected")
        }
        Action::CopyPath => need(transfer.is_some(), "it is not on this machine"),
        Action::Contents => need(kind(model) == Some(Kind::Folder), "it is not a folder"),
        Action::NextActive => {
            need(model.snap.transfers.iter().any(words::is_unfinished), "there are no downloads")
        }
        Action::Leave => need(on, "you are not in a network"),
        Action::Announce => need(on, "you are not in a network · J joins"),
        Action::CopyJoin => need(model.snap.network.join.is_some(), "there is no network"),
        Action::NextMatch | Action::PrevMatch => {
            need(model.map.counts.none + model.map.counts.bad > 0, "every chunk has a source")
        }
        Action::Suspend => need(model.setting.job_control, "no shell is waiting for us"),
        Action::Wider | Action::Narrower => {
            need(!model.zoom && !model.details, "one pane fills the screen")
        }
        _ => Ok(()),
    }
}

/// Does it.
pub(super) fn act(model: &mut Model, action: Action, count: Option<u32>, out: &mut Vec<Effect>) {
    let times = isize::try_from(count.unwrap_or(1)).unwrap_or(1);
    match action {
        Action::Down => step(model, times),
        Action::Up => step(model, -times),
        Action::Left => sideways(model, -times),
        Action::Right => sideways(model, times),
        Action::HalfDown => step(model, times * (page(model) / 2).max(1)),
        Action::HalfUp => step(model, -times * (page(model) / 2).max(1)),
        Action::PageDown => step(model, times * page(model)),
        Action::PageUp => step(model, -times * page(model)),
        Action::ScrollDown => scroll(model, times),
        Action::ScrollUp => scroll(model, -times),
        Action::Top => edge(model, false),
        Action::Bottom => match count {
            Some(row) if model.focus == Pane::Files => {
                edge(model, false);
                step(model, isize::try_from(row).unwrap_or(1) - 1);
            }
            _ => edge(model, true),
        },
        Action::Filter => {
            if model.focus != Pane::Log {
                model.focus = Pane::Files;
                model.details = false;
            }
            model.filtering = true;
        }
        Action::NextMatch => problem(model, true),
        Action::PrevMatch => problem(model, false),
        Action::NextActive => next_active(model),
        Action::Sort => {
            let now = model.list().sort;
            let cursor = Sort::choices(model.tab).iter().position(|s| *s == now).unwrap_or(0);
            model.dialogs.push(Dialog::Sort { cursor });
        }
        Action::Reverse => {
            let tab = model.tab;
            let list = model.list_mut(tab);
            list.reverse = !list.reverse;
            lists::renew(model, out);
        }
        Action::Enter => enter(model, out),
        Action::Download => download(model, out),
        Action::Pause => pause(model, out),
        Action::PauseAll => pause_all(model, out),
        Action::Contents => contents(model, out),
        Action::Retry => each(model, out, |id| Command::Resume { id }, "trying again"),
        Action::Verify => each(model, out, |id| Command::Verify { id }, "verifying"),
        Action::VerifyAll => {
            for t in model.snap.transfers.iter().filter(|t| t.have > 0) {
                out.push(Effect::Call(Command::Verify { id: t.id }, Asked::Quietly));
            }
            toast(model, Tone::Good, "verifying everything on disk");
        }
        Action::Remove => ask_remove(model),
        Action::Unshare => ask_unshare(model, out),
        Action::CopyLink => copy_link(model, out),
        Action::CopyHash => {
            let ids: Vec<String> = model.targets().iter().map(ContentId::to_string).collect();
            out.push(Effect::Copy(ids.join("\n"), "id"));
        }
        Action::CopyPath => {
            if let Some(t) = model.selected_transfer() {
                out.push(Effect::Copy(t.path.to_string_lossy().into_owned(), "path"));
            }
        }
        Action::Why => explain(model),
        Action::Mark => mark(model),
        Action::MarkAll => mark_all(model),
        Action::Share => {
            let mut dialog = SharePath::default();
            if let Some(dir) = dialogs::wanted_dir(model, &dialog) {
                dialog.dir = Some(dir.clone());
                out.push(Effect::ListDir(dir));
            }
            model.dialogs.push(Dialog::Share(dialog));
        }
        Action::GetLink => model.dialogs.push(Dialog::Link(GetLink::default())),
        Action::JoinOther => join(model),
        Action::Rejoin => match model.snap.network.state {
            NetState::Left => {
                out.push(Effect::Call(Command::Rejoin, Asked::Say("rejoining".to_owned())));
            }
            _ => join(model),
        },
        Action::Host => out.push(Effect::Call(Command::Host, Asked::Host)),
        Action::CopyJoin => {
            if let Some(join) = model.snap.network.join.clone() {
                out.push(Effect::Copy(join, "join string"));
            }
        }
        Action::Leave => ask_leave(model, out),
        Action::Serving => {
            let on = !model.snap.me.serving;
            let text = if on {
                "serving others again"
            } else {
                "serving paused: others cannot download from you"
            };
            out.push(Effect::Call(Command::Serve { on }, Asked::Say(text.to_owned())));
        }
        Action::Announce => {
            out.push(Effect::Call(Command::Announce, Asked::Say("asking the tracker".to_owned())));
        }
        Action::Pane1 => model.focus = Pane::Files,
        Action::Pane2 => model.focus = Pane::Chunks,
        Action::Pane3 => model.focus = Pane::Sources,
        Action::Pane4 => model.focus = Pane::Log,
        Action::NextPane => turn_pane(model, 1),
        Action::PrevPane => turn_pane(model, 3),
        Action::NextTab => turn_tab(model, 1),
        Action::PrevTab => turn_tab(model, 3),
        Action::TabNetwork => open_tab(model, Tab::Network),
        Action::TabDownloads => open_tab(model, Tab::Downloads),
        Action::TabShared => open_tab(model, Tab::Shared),
        Action::TabPeers => open_tab(model, Tab::Peers),
        Action::Zoom => {
            if model.details {
                model.details = false;
            } else {
                model.zoom = !model.zoom;
            }
        }
        Action::Wider => model.split = (model.split + 5).min(35),
        Action::Narrower => model.split = (model.split - 5).max(-35),
        Action::Theme => {
            model.theme = model.theme.next(model.setting.full_depth);
            let text = format!("theme: {}", model.theme.name());
            toast(model, Tone::Plain, &text);
        }
        Action::Mouse => {
            model.mouse = !model.mouse;
            out.push(Effect::Mouse(model.mouse));
            let text = if model.mouse {
                "mouse on (Shift-drag selects text)"
            } else {
                "mouse off: the terminal selects text"
            };
            toast(model, Tone::Plain, text);
        }
        Action::Palette => {
            model.dialogs.push(Dialog::Palette { query: Default::default(), cursor: 0 });
        }
        Action::Help => model.dialogs.push(Dialog::Help { scroll: 0, query: Default::default() }),
        Action::Redraw => out.push(Effect::Redraw),
        Action::Suspend => ask_suspend(model, out),
        Action::Back => back(model, out),
        Action::Quit => ask_quit(model, out),
        // Counted before any action is looked up.
        Action::Interrupt => {}
        Action::LogMore => model.log.change_level(true),
        Action::LogLess => model.log.change_level(false),
        Action::Follow => {
            let pause = model.log.paused.is_none();
            model.log.set_paused(pause);
        }
        Action::Wrap => model.log.wrap = !model.log.wrap,
        Action::CopyLine => {
            let at = model.log.position();
            if let Some(line) = model.log.shown().nth(at) {
                out.push(Effect::Copy(line.text.clone(), "line"));
            }
        }
    }
}

fn toast(model: &mut Model, tone: Tone, text: &str) {
    model.toasts.push(tone, text.to_owned(), model.now.mono);
}

fn page(model: &Model) -> isize {
    let areas = model.areas();
    let area = areas.of(model.focus);
    isize::try_from(inside(area).height.saturating_sub(1).max(1)).unwrap_or(1)
}

fn step(model: &mut Model, by: isize) {
    match model.focus {
        Pane::Files => {
            let tab = model.tab;
            model.list_mut(tab).step(by);
        }
        Pane::Sources => model.sources.step(by),
        Pane::Log => model.log.step(by),
        Pane::Chunks => {
            let width = isize::try_from(super::super::view::chunks::map_area(model).width.max(1))
                .unwrap_or(1);
            move_cell(model, by.saturating_mul(width));
        }
    }
}

fn scroll(model: &mut Model, by: isize) {
    if model.focus == Pane::Files {
        let height = lists::height(&model.areas(), model.filtering);
        let tab = model.tab;
        model.list_mut(tab).scroll(by, height);
    } else {
        step(model, by);
    }
}

fn sideways(model: &mut Model, by: isize) {
    match model.focus {
        Pane::Chunks => move_cell(model, by),
        Pane::Files => turn_tab(model, if by > 0 { 1 } else { 3 }),
        Pane::Sources | Pane::Log => {}
    }
}

/// Moves the map's cursor by cells.
fn move_cell(model: &mut Model, by: isize) {
    let cells = model.map.cell_of(model.map.chunks().saturating_sub(1)) + 1;
    let stride = match model.map.mode {
        super::super::heatmap::Mode::Brick(k) if by.unsigned_abs() == 1 => k,
        _ => 1,
    };
    let by = by.saturating_mul(isize::try_from(stride).unwrap_or(1));
    let cell =
        model.map.cell_of(model.chunk).saturating_add_signed(by).min(cells.saturating_sub(1));
    if let Some(chunks) = model.map.chunks_at(cell) {
        model.chunk = chunks.start;
    }
}

fn edge(model: &mut Model, end: bool) {
    let far = isize::MAX / 2;
    match model.focus {
        Pane::Log if !end => model.log.set_paused(false),
        Pane::Log => model.log.step(far),
        Pane::Chunks => model.chunk = if end { model.map.chunks().saturating_sub(1) } else { 0 },
        _ => step(model, if end { far } else { -far }),
    }
}

/// Jumps to the next chunk that nobody has or that was bad.
fn problem(model: &mut Model, forward: bool) {
    let Some(focus) = model.focus_data().cloned() else { return };
    let n = focus.chunks.len();
    let is_problem = |i: &usize| {
        matches!(
            standing(&focus.chunks, &focus.availability, *i),
            Standing::Lack(0) | Standing::Bad
        )
    };
    let here = model.chunk;
    let found = if forward {
        (here + 1..n).chain(0..(here + 1).min(n)).find(is_problem)
    } else {
        (0..here.min(n)).rev().chain((here.min(n)..n).rev()).find(is_problem)
    };
    if let Some(chunk) = found {
        model.chunk = chunk;
    }
}

fn next_active(model: &mut Model) {
    if !matches!(model.tab, Tab::Network | Tab::Downloads) {
        open_tab(model, Tab::Downloads);
    }
    let list = model.list();
    let n = list.rows.len();
    let found = (1..=n).map(|i| (list.cursor + i) % n).find(|at| match model.tab {
        Tab::Network => model
            .catalogue_row(*at)
            .and_then(|row| model.transfer(&row.id))
            .is_some_and(words::is_unfinished),
        tab => model.transfer_row(tab, *at).is_some_and(words::is_unfinished),
    });
    let tab = model.tab;
    if let Some(at) = found {
        model.list_mut(tab).cursor = at;
    }
}

fn enter(model: &mut Model, out: &mut Vec<Effect>) {
    match model.focus {
        _ if model.details && kind(model) == Some(Kind::Folder) => contents(model, out),
        Pane::Files if model.selected().is_some() => {
            model.details = true;
            model.zoom = false;
            model.focus = Pane::Chunks;
        }
        Pane::Files => {}
        Pane::Chunks | Pane::Sources if !model.details => {
            model.details = model.selected().is_some();
            model.zoom = false;
        }
        _ => {}
    }
}

/// One step back: details, filter, zoom, marks, then nothing.
fn back(model: &mut Model, out: &mut Vec<Effect>) {
    if model.when_idle.take().is_some() {
        toast(model, Tone::Good, "staying");
    } else if model.count.take().is_some() {
        // Only the count.
    } else if model.details {
        model.details = false;
        model.focus = Pane::Files;
    } else if model.focus == Pane::Log && !model.log.field.text().is_empty() {
        model.log.field.set("");
    } else if model.focus == Pane::Log && model.log.paused.is_some() {
        model.log.set_paused(false);
    } else if !model.list().field.text().is_empty() {
        lists::clear_filter(model, out);
    } else if model.zoom {
        model.zoom = false;
    } else if !model.marks.is_empty() {
        model.marks.clear();
    } else {
        model.toasts.clear();
    }
}

fn turn_pane(model: &mut Model, by: usize) {
    if model.details {
        model.focus = if model.focus == Pane::Chunks { Pane::Sources } else { Pane::Chunks };
        return;
    }
    let at = Pane::ALL.iter().position(|p| *p == model.focus).unwrap_or(0);
    model.focus = Pane::ALL[(at + by) % Pane::ALL.len()];
}

fn turn_tab(model: &mut Model, by: usize) {
    let at = Tab::ALL.iter().position(|t| *t == model.tab).unwrap_or(0);
    open_tab(model, Tab::ALL[(at + by) % Tab::ALL.len()]);
}

fn open_tab(model: &mut Model, tab: Tab) {
    model.tab = tab;
    model.details = false;
    model.focus = Pane::Files;
    model.marks.clear();
}

/// File or folder, of the selected content.
fn kind(model: &Model) -> Option<Kind> {
    model.selected_transfer().map(|t| t.kind).or_else(|| model.selected_row().map(|r| r.kind))
}

fn each(model: &mut Model, out: &mut Vec<Effect>, make: fn(ContentId) -> Command, say: &str) {
    let ids = model.targets();
    let what = named(model, &ids);
    for (i, id) in ids.into_iter().enumerate() {
        let asked = if i == 0 { Asked::Say(format!("{say}: {what}")) } else { Asked::Quietly };
        out.push(Effect::Call(make(id), asked));
    }
    model.marks.clear();
}

fn download(model: &mut Model, out: &mut Vec<Effect>) {
    each(
        model,
        out,
        |id| Command::Download(Download { id, name: None, dir: None, files: Selection::All }),
        "downloading",
    );
}

fn pause(model: &mut Model, out: &mut Vec<Effect>) {
    let resting =
        |t: &Transfer| matches!(t.state, TransferState::Paused | TransferState::Failed(_));
    if model.selected_transfer().is_some_and(resting) {
        each(model, out, |id| Command::Resume { id }, "resumed");
    } else {
        each(model, out, |id| Command::Pause { id }, "paused");
    }
}

fn pause_all(model: &mut Model, out: &mut Vec<Effect>) {
    let unfinished: Vec<&Transfer> =
        model.snap.transfers.iter().filter(|t| words::is_unfinished(t)).collect();
    let resume = unfinished.iter().all(|t| t.state == TransferState::Paused);
    for t in unfinished {
        let id = t.id;
        let command = if resume { Command::Resume { id } } else { Command::Pause { id } };
        out.push(Effect::Call(command, Asked::Quietly));
    }
    toast(model, Tone::Good, if resume { "all downloads resumed" } else { "all downloads paused" });
}

fn contents(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(id) = model.selected() else { return };
    let name = model.selected_name().map(|n| n.to_string()).unwrap_or_default();
    model.dialogs.push(Dialog::Contents(Contents {
        id,
        name,
        entries: None,
        wanted: Default::default(),
        cursor: 0,
        offset: 0,
        query: Default::default(),
        filtering: false,
    }));
    out.push(Effect::Call(Command::ListFiles { id }, Asked::Files(id)));
}

fn copy_link(model: &mut Model, out: &mut Vec<Effect>) {
    let join = model.snap.network.join.as_deref().and_then(|text| text.parse::<JoinString>().ok());
    let Some(join) = join else {
        toast(model, Tone::Bad, "the network has no usable join string");
        return;
    };
    let links: Vec<String> = model
        .targets()
        .iter()
        .map(|id| {
            let transfer = model.transfer(id);
            let row = model.catalogue.rows.iter().find(|row| row.id == *id);
            let kind = transfer.map(|t| t.kind).or_else(|| row.map(|r| r.kind));
            let name = transfer.map(|t| t.name.clone()).or_else(|| row.map(|r| r.name.clone()));
            FileLink::new(&join, *id, kind, name.as_deref()).to_string()
        })
        .collect();
    out.push(Effect::Copy(links.join("\n"), "link"));
}

fn explain(model: &mut Model) {
    let title = model.selected_name().map(|n| n.to_string()).unwrap_or_default();
    let lines = verdict::why(
        model.selected_transfer(),
        model.selected_row(),
        model.focus_data().map(AsRef::as_ref),
        &model.map.counts,
    );
    model.dialogs.push(Dialog::Why { title, lines });
}

fn mark(model: &mut Model) {
    if let Some(id) = model.selected() {
        if !model.marks.remove(&id) {
            model.marks.insert(id);
        }
        step(model, 1);
    }
}

fn mark_all(model: &mut Model) {
    /// More marks than this are a mistake, and every one becomes a command.
    const MOST: usize = 1000;
    if !model.marks.is_empty() {
        model.marks.clear();
        return;
    }
    let tab = model.tab;
    let n = model.list().rows.len();
    if n > MOST {
        toast(model, Tone::Warn, "too many to mark at once: filter first");
        return;
    }
    let ids: Vec<ContentId> = (0..n)
        .filter_map(|at| match model.row_key(tab, at) {
            Some(super::super::model::RowKey::Content(id)) => Some(id),
            _ => None,
        })
        .collect();
    model.marks.extend(ids);
}

fn join(model: &mut Model) {
    model.dialogs.push(Dialog::Link(GetLink { joining: true, ..GetLink::default() }));
}

/// "a, b and 3 more".
fn named(model: &Model, ids: &[ContentId]) -> String {
    let name = |id: &ContentId| {
        model
            .transfer(id)
            .map(|t| t.name.to_string())
            .or_else(|| {
                model.catalogue.rows.iter().find(|r| r.id == *id).map(|r| r.name.to_string())
            })
            .unwrap_or_else(|| id.short())
    };
    match ids {
        [] => String::new(),
        [one] => name(one),
        [first, rest @ ..] => format!("{} and {} more", name(first), rest.len()),
    }
}

/// Who loses what if we stop serving: files that only we have all of.
fn losses<'a>(transfers: impl Iterator<Item = &'a Transfer>) -> Vec<Line> {
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
    sorted.sort_by_key(|t| std::cmp::Reverse(t.wanted_by));
    for t in sorted.iter().take(LISTED) {
        let wait = match t.wanted_by {
            0 => String::new(),
            1 => "  1 peer waits".to_owned(),
            n => format!("  {n} peers wait"),
        };
        lines.push((Tone::Plain, format!("  {}{wait}", format::middle(&t.name, 40, "..."))));
    }
    if only.len() > LISTED {
        lines.push((Tone::Dim, format!("  and {} more", only.len() - LISTED)));
    }
    lines
}

/// Who loses what if everything stops.
fn all_losses(model: &Model) -> Vec<Line> {
    let transfers = &model.snap.transfers;
    let mut lines = losses(transfers.iter());
    let unfinished: Vec<&Transfer> =
        transfers.iter().filter(|t| words::is_unfinished(t) && words::is_running(t)).collect();
    if !unfinished.is_empty() {
        let kept = format::size(unfinished.iter().map(|t| t.done).sum());
        let (what, verb) = match unfinished.len() {
            1 => ("1 download".to_owned(), "stops"),
            n => (format!("{n} downloads"), "stop"),
        };
        lines.push((Tone::Plain, format!("{what} {verb}; progress is kept ({kept}).")));
    }
    let fetching: u32 = transfers.iter().map(|t| t.wanted_by).sum();
    if fetching > 0 {
        let text = match fetching {
            1 => "1 transfer from you to another peer breaks off.".to_owned(),
            n => format!("{n} transfers from you to other peers break off."),
        };
        lines.push((Tone::Warn, text));
    }
    lines
}

fn button(label: &'static str, choice: Choice) -> Button {
    Button { label, choice }
}

fn ask(model: &mut Model, title: &str, lines: Vec<Line>, buttons: Vec<Button>) {
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: title.to_owned(),
        lines,
        buttons,
        selected: 0,
        tick: None,
        ids: Vec::new(),
    }));
}

fn ask_quit(model: &mut Model, out: &mut Vec<Effect>) {
    let lines = all_losses(model);
    if lines.is_empty() {
        out.push(Effect::Exit(ExitReason::Quit));
        return;
    }
    let buttons = vec![
        button("Stay", Choice::Stay),
        button("Quit when idle", Choice::QuitWhenIdle),
        button("Keep serving without screen", Choice::ServeOn),
        button("Quit now", Choice::Quit),
    ];
    ask(model, "Quit?", lines, buttons);
}

fn ask_leave(model: &mut Model, out: &mut Vec<Effect>) {
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

pub(super) fn leave_now(model: &mut Model, out: &mut Vec<Effect>) {
    model.when_idle = None;
    out.push(Effect::Call(
        Command::Leave,
        Asked::Say("you left the network · J rejoins".to_owned()),
    ));
}

fn ask_remove(model: &mut Model) {
    let ids: Vec<ContentId> = model
        .targets()
        .into_iter()
        .filter(|id| model.transfer(id).is_some_and(|t| t.downloaded))
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
                    format::middle(&t.name, 40, "..."),
                    format::size(t.size)
                ),
            )
        })
        .collect();
    if transfers.len() > LISTED {
        lines.push((Tone::Dim, format!("and {} more", transfers.len() - LISTED)));
    }
    lines.extend(losses(transfers.iter().copied()));
    lines.push((Tone::Dim, "Finished files stay on disk.".to_owned()));
    let partial: u64 = transfers.iter().filter(|t| words::is_unfinished(t)).map(|t| t.done).sum();
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

fn ask_unshare(model: &mut Model, out: &mut Vec<Effect>) {
    let ids = model.targets();
    let shares: Vec<&Transfer> = ids.iter().filter_map(|id| model.transfer(id)).collect();
    let mut lines = losses(shares.iter().copied());
    if shares.iter().any(|t| t.wanted_by > 0) && lines.is_empty() {
        lines.push((Tone::Warn, "Somebody is fetching it from you right now.".to_owned()));
    }
    if lines.is_empty() {
        unshare(model, &ids, out);
        return;
    }
    lines.push((Tone::Dim, "The files on disk are not touched.".to_owned()));
    model.dialogs.push(Dialog::Confirm(Confirm {
        title: "No longer share?".to_owned(),
        lines,
        buttons: vec![button("Keep sharing", Choice::Stay), button("Unshare", Choice::Unshare)],
        selected: 0,
        tick: None,
        ids,
    }));
}

pub(super) fn unshare(model: &mut Model, ids: &[ContentId], out: &mut Vec<Effect>) {
    let what = named(model, ids);
    for (i, id) in ids.iter().enumerate() {
        let asked =
            if i == 0 { Asked::Say(format!("no longer shared: {what}")) } else { Asked::Quietly };
        out.push(Effect::Call(Command::Unshare { id: *id }, asked));
    }
    model.marks.clear();
}

fn ask_suspend(model: &mut Model, out: &mut Vec<Effect>) {
    if model.suspend_confirmed {
        out.push(Effect::Suspend);
        return;
    }
    let lines = vec![
        (
            Tone::Warn,
            "While suspended nothing is served or fetched: the whole program rests.".to_owned(),
        ),
        (Tone::Plain, "fg in the shell brings it back. Asked only this once.".to_owned()),
    ];
    let buttons = vec![button("Stay", Choice::Stay), button("Suspend", Choice::Suspend)];
    ask(model, "Suspend?", lines, buttons);
}
