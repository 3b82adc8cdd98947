//! What each action does: a column of the table of actions.

use super::ask::{ask_leave, ask_quit, ask_remove, ask_suspend, ask_unshare};
use super::focus::{filter, focus, open_tab, turn_pane, turn_tab, zoom};
use super::interrupt::interrupt;
use super::moves::{
    back, bottom, edge, enter, half_pages, next_active, pages, scroll, sideways, step,
};
use super::transfers::{
    clear, copy_ids, copy_link, download, explain, open_folder, pause, pause_all, rescan, retry,
    verify, verify_all,
};
use super::{mouse, network, requests};
use crate::action::{Action, action_table};
use crate::dialogs::{contents, link, palette, picks, share, sort};
use crate::model::{Dialog, Model, Pane, PickKind, Tab, Tone};
use crate::msg::Effect;
use crate::panes::files::update::{lists, marks};
use crate::panes::{chunks, graph, holders, log};
use crate::queries::can;
use crate::screens::{help, settings};
use engine::api::command::Reorder;

/// What an action is done with.
pub(crate) struct Call<'a> {
    model: &'a mut Model,
    /// How often: the count that was typed, or once.
    times: isize,
    /// The count that was typed.
    count: Option<u32>,
    out: &'a mut Vec<Effect>,
}

macro_rules! runs {
    (
        $($variant:ident $name:literal $group:ident $place:ident $keys:tt $help:literal, $words:literal,
            $shell:expr, $when:ident, |$it:ident| $run:expr;)*
    ) => {
        fn act(call: Call<'_>, action: Action) {
            match action {
                $(Action::$variant => {
                    let $it = call;
                    $run;
                })*
            }
        }
    };
}

action_table!(runs);

/// Does it if that is possible now, and says else why not; says whether it was.
pub(crate) fn run(
    model: &mut Model,
    action: Action,
    count: Option<u32>,
    out: &mut Vec<Effect>,
) -> bool {
    if let Err(why) = can(model, action) {
        let text = format!("{}: {why}", model.help(action));
        model.toast(Tone::Plain, text);
        return false;
    }
    if marks::repeats(action) {
        model.repeat = Some((action, count));
    }
    let times = isize::try_from(count.unwrap_or(1)).unwrap_or(1);
    act(Call { model, times, count, out }, action);
    true
}

fn repeat(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some((action, count)) = model.repeat {
        run(model, action, count, out);
    }
}

/// Of the peer under the cursor, or of the selected content.
fn explain_selected(model: &mut Model) {
    if model.tab == Tab::Peers && model.focus == Pane::Files {
        requests::about_peer(model);
    } else {
        explain(model);
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
