//! What each action does, and when it makes sense.

use common::id::ContentId;

use super::ask::{ask_leave, ask_quit, ask_remove, ask_suspend, ask_unshare, invite, join};
use super::focus::{focus, open_tab, turn_pane, turn_tab};
use super::moves::{back, edge, enter, next_active, page, scroll, sideways, step};
use super::transfers::{copy_link, download, each, explain, open_folder, pause, pause_all, retry};
use super::{interrupt, wishes};
use crate::engine::command::{Command, Reorder};
use crate::engine::snapshot::NetState;
use crate::tui::action::Action;
use crate::tui::dialogs::{contents, share};
use crate::tui::model::{Dialog, GetLink, Model, Pane, PickKind, Picks, Sort, Tab, Tone};
use crate::tui::msg::{Asked, Effect};
use crate::tui::panes::files::update::{lists, marks};
use crate::tui::panes::{chunks, graph, log, swarm};
use crate::tui::queries::can;

/// Most rows marked by one key with a count.
const MAX_TIMES: isize = 1000;

/// Runs an action chosen by name.
pub(crate) fn run(model: &mut Model, action: Action, count: Option<u32>, out: &mut Vec<Effect>) {
    match can(model, action) {
        Ok(()) => {
            if marks::repeats(action) {
                model.repeat = Some((action, count));
            }
            act(model, action, count, out);
        }
        Err(why) => {
            model.toasts.push(
                Tone::Plain,
                format!("{}: {why}", model.help(action)),
                model.now.mono,
            );
        }
    }
}

/// Does it.
pub(crate) fn act(model: &mut Model, action: Action, count: Option<u32>, out: &mut Vec<Effect>) {
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
                focus(model, Pane::Files);
                model.details = false;
            }
            model.filtering = true;
        }
        Action::NextMatch => chunks::update::problem(model, true),
        Action::PrevMatch => chunks::update::problem(model, false),
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
        Action::Contents => contents::update::open(model, out),
        Action::Retry => retry(model, out),
        Action::Verify => each(model, out, |id| Command::Verify { id }, "verifying"),
        Action::Rescan => each(model, out, |id| Command::Rescan { id }, "hashing it as it is now"),
        Action::VerifyAll => {
            for t in model.snap.transfers.iter().filter(|t| t.have > 0) {
                out.push(Effect::Call(Command::Verify { id: t.id }, Asked::Quietly));
            }
            model.toast(Tone::Good, "verifying everything on disk");
        }
        Action::Remove => ask_remove(model),
        Action::Undo => wishes::undo(model, out),
        Action::Clear => {
            let say = Asked::Say("finished downloads cleared · they are still shared".to_owned());
            out.push(Effect::Call(Command::ClearFinished, say));
        }
        Action::Raise => wishes::prioritize(model, true, out),
        Action::Lower => wishes::prioritize(model, false, out),
        Action::QueueUp => wishes::reorder(model, Reorder::Up, out),
        Action::QueueDown => wishes::reorder(model, Reorder::Down, out),
        Action::InOrder => wishes::sequential(model, out),
        Action::LimitOne => wishes::ask_limit(model),
        Action::Watch => wishes::watch(model, out),
        Action::Ban => wishes::ask_ban(model),
        Action::Bans => {
            model.dialogs.push(Dialog::Picks(Picks { kind: PickKind::Bans, cursor: 0 }))
        }
        Action::Watches => {
            model.dialogs.push(Dialog::Picks(Picks { kind: PickKind::Watches, cursor: 0 }));
        }
        Action::Unshare => ask_unshare(model, out),
        Action::CopyLink => copy_link(model, out),
        Action::CopyHash => {
            let ids: Vec<String> = model.targets().iter().map(ContentId::to_string).collect();
            out.push(Effect::Copy(ids.join("\n"), "id"));
        }
        Action::OpenFolder => open_folder(model, out),
        Action::Why if model.tab == Tab::Peers && model.focus == Pane::Files => {
            wishes::about_peer(model);
        }
        Action::Why => explain(model),
        Action::Holders => swarm::update::toggle(model),
        Action::Senders => {
            let text = chunks::update::toggle_senders(model);
            model.toast(Tone::Plain, text);
        }
        Action::Mark => {
            // Not twice on the last row: that would take the mark back.
            let below = model.list().rows.len().saturating_sub(model.list().cursor);
            let below = isize::try_from(below).unwrap_or(MAX_TIMES);
            (0..times.min(below).clamp(1, MAX_TIMES)).for_each(|_| marks::mark(model));
        }
        Action::MarkRange => marks::range(model),
        Action::Repeat => {
            if let Some((action, count)) = model.repeat {
                run(model, action, count, out);
            }
        }
        Action::Version => version(model),
        Action::MarkAll => marks::mark_all(model),
        Action::Share | Action::DownloadTo => {
            let save = if action == Action::DownloadTo { model.targets() } else { Vec::new() };
            share::update::open(model, save, out);
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
                invite(model, &join);
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
        Action::Pane1 => focus(model, Pane::Files),
        Action::Pane2 => focus(model, Pane::Chunks),
        Action::Pane3 => focus(model, Pane::Sources),
        Action::Pane4 => focus(model, Pane::Log),
        Action::Pane5 => focus(model, Pane::Transfers),
        Action::NextPane => turn_pane(model, 1),
        Action::PrevPane => turn_pane(model, 4),
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
        Action::Window => graph::update::turn_window(model),
        Action::Wider => model.split = (model.split + 5).min(35),
        Action::Narrower => model.split = (model.split - 5).max(-35),
        Action::Settings => crate::tui::screens::settings::update::open(model),
        Action::Theme => crate::tui::screens::settings::update::next_theme(model, out),
        Action::Mouse => {
            model.mouse = !model.mouse;
            out.push(Effect::Mouse(model.mouse));
            let text = if model.mouse {
                "mouse on (Shift-drag selects text)"
            } else {
                "mouse off: the terminal selects text"
            };
            model.toast(Tone::Plain, text);
        }
        Action::Palette => {
            model.dialogs.push(Dialog::Palette { query: Default::default(), cursor: 0 });
        }
        Action::Help => model.dialogs.push(Dialog::Help { scroll: 0, query: Default::default() }),
        Action::Redraw => out.push(Effect::Redraw),
        Action::Suspend => ask_suspend(model, out),
        Action::Back => back(model, out),
        Action::Quit => ask_quit(model, out),
        Action::Interrupt => _ = interrupt::interrupt(model, "once more", out),
        Action::LogMore => model.log.change_level(true),
        Action::LogLess => model.log.change_level(false),
        Action::FollowMap => {
            let text = chunks::update::toggle_follow(model);
            model.toast(Tone::Plain, text);
        }
        Action::Follow => {
            let pause = model.log.paused.is_none();
            model.log.set_paused(pause);
        }
        Action::Wrap => model.log.wrap = !model.log.wrap,
        Action::LogTarget => model.log.next_target(),
        Action::LogNext => log::update::search(model, true),
        Action::LogPrev => log::update::search(model, false),
        Action::CopyLine => log::update::copy_line(model, out),
        Action::CopyLog => log::update::copy_all(model, out),
    }
}

fn version(model: &mut Model) {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let lines = vec![
        (Tone::Plain, format!("tui-peer {} ({build} build)", env!("CARGO_PKG_VERSION"))),
        (Tone::Plain, format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)),
        (Tone::Dim, format!("protocol version {}", common::limits::PROTOCOL_VERSION)),
        (Tone::Dim, format!("this peer is {}", model.snap.me.peer)),
    ];
    model.dialogs.push(Dialog::Why { title: "Shoal".to_owned(), lines, about: None });
}
