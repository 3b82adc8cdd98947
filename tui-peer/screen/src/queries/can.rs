//! When an action makes sense: a column of the table of actions.

use std::borrow::Cow;

use common::content::Kind;

use super::{can_undo, kind, peer, words_to_watch};
use crate::action::{Action, action_table};
use crate::labels;
use crate::model::{Model, Pane, Tab};
use engine::api::snapshot::{NetState, Transfer, TransferState};

/// Whether something is possible, and why not.
type Possible = Result<(), Cow<'static, str>>;

macro_rules! whens {
    (
        $($variant:ident $name:literal $group:ident $place:ident $keys:tt $help:literal, $words:literal,
            $shell:expr, $when:ident, |$it:ident| $run:expr;)*
    ) => {
        /// Whether an action makes sense now; if not, why.
        pub(crate) fn can(model: &Model, action: Action) -> Possible {
            match action { $(Action::$variant => $when(model),)* }
        }
    };
}

action_table!(whens);

fn need(ok: bool, why: &'static str) -> Possible {
    if ok { Ok(()) } else { Err(Cow::Borrowed(why)) }
}

/// Whether the selected transfer is so.
fn is(model: &Model, so: impl FnOnce(&Transfer) -> bool) -> bool {
    model.selected_transfer().is_some_and(so)
}

fn has_target(model: &Model) -> bool {
    !model.targets().is_empty()
}

fn is_in_network(model: &Model) -> bool {
    matches!(model.snap.network.state, NetState::On | NetState::Lost { .. } | NetState::Connecting)
}

fn always(_: &Model) -> Possible {
    Ok(())
}

fn target(model: &Model) -> Possible {
    need(has_target(model), "no file is selected")
}

fn to_download(model: &Model) -> Possible {
    target(model)?;
    let is_here = |t: &Transfer| t.state == TransferState::Sharing;
    let all_here = model.targets().iter().all(|id| model.transfer(id).is_some_and(is_here));
    need(!all_here, "it is here already")
}

fn to_pause(model: &Model) -> Possible {
    need(has_target(model) && is(model, Transfer::is_unfinished), "no download is selected")
}

fn any_unfinished(model: &Model) -> Possible {
    need(model.snap.transfers.iter().any(Transfer::is_unfinished), "there are no downloads")
}

fn failed(model: &Model) -> Possible {
    need(is(model, labels::is_wrong), "nothing failed here")
}

fn on_disk(model: &Model) -> Possible {
    let is_on_disk = is(model, |t| t.have > 0 || t.state == TransferState::Changed);
    need(is_on_disk, "nothing of it is on disk")
}

fn any_here(model: &Model) -> Possible {
    need(!model.snap.transfers.is_empty(), "nothing of yours is on this machine")
}

fn downloaded(model: &Model) -> Possible {
    if is(model, |t| t.downloaded) {
        return Ok(());
    }
    let unshares = model.keymap.aside(Action::Unshare, "unshares");
    Err(format!("no download is selected{unshares}").into())
}

fn just_removed(model: &Model) -> Possible {
    need(can_undo(model, model.now.mono), "nothing was just removed")
}

fn any_finished(model: &Model) -> Possible {
    let is_finished =
        |t: &Transfer| t.downloaded && t.state == TransferState::Sharing && !t.plan.cleared;
    need(model.snap.transfers.iter().any(is_finished), "no finished download is in the list")
}

fn unfinished(model: &Model) -> Possible {
    need(is(model, Transfer::is_unfinished), "no unfinished download is selected")
}

fn here(model: &Model) -> Possible {
    need(is(model, |t| t.state != TransferState::Hashing), "it is not on this machine")
}

fn to_watch(model: &Model) -> Possible {
    if words_to_watch(model).is_some() {
        return Ok(());
    }
    target(model)?;
    need(!is(model, |t| t.state == TransferState::Sharing), "it is here already")?;
    if model.selected_row().is_none_or(|row| row.sources == 0) {
        return Ok(());
    }
    let downloads = model.keymap.and(": ", Action::Download, "downloads it");
    Err(format!("somebody has it{downloads}").into())
}

fn to_ban(model: &Model) -> Possible {
    let peer = peer(model);
    need(peer.is_some(), "no peer is selected")?;
    need(peer.is_some_and(|(peer, _)| peer != model.snap.me.peer), "that is this peer")
}

fn shared(model: &Model) -> Possible {
    let is_shared = |t: &Transfer| {
        matches!(t.state, TransferState::Sharing | TransferState::Changed) || !t.downloaded
    };
    need(is(model, is_shared), "you do not share it")
}

fn own_folder(model: &Model) -> Possible {
    let is_own = |t: &Transfer| t.kind == Kind::Folder && !t.downloaded && t.have > 0;
    need(is(model, is_own), "no shared folder of your own is selected")
}

fn link(model: &Model) -> Possible {
    target(model)?;
    join_string(model)
}

fn holders(model: &Model) -> Possible {
    need(model.swarm.open || model.selected().is_some(), "no file is selected")
}

fn explained(model: &Model) -> Possible {
    if model.tab == Tab::Peers && model.focus == Pane::Files {
        return need(peer(model).is_some(), "no peer is selected");
    }
    target(model)
}

fn place(model: &Model) -> Possible {
    need(model.selected_transfer().is_some(), "it is not on this machine")?;
    let has_place = is(model, |t| !t.path.as_os_str().is_empty());
    need(has_place, "it is an earlier state of a folder")
}

fn folder(model: &Model) -> Possible {
    need(kind(model) == Some(Kind::Folder), "it is not a folder")
}

fn range(model: &Model) -> Possible {
    if model.range.is_some() { Ok(()) } else { target(model) }
}

fn repeated(model: &Model) -> Possible {
    need(model.repeat.is_some(), "nothing has been done yet")
}

fn network(model: &Model) -> Possible {
    need(is_in_network(model), "you are not in a network")
}

fn to_announce(model: &Model) -> Possible {
    if is_in_network(model) {
        return Ok(());
    }
    let joins = model.keymap.and(" · ", Action::Rejoin, "joins");
    Err(format!("you are not in a network{joins}").into())
}

fn join_string(model: &Model) -> Possible {
    need(model.snap.network.join.is_some(), "there is no network")
}

fn problem(model: &Model) -> Possible {
    let counts = model.chunks.map.counts();
    need(counts.none + counts.bad > 0, "every chunk has a source")
}

fn job_control(model: &Model) -> Possible {
    need(model.setting.job_control, "no shell is waiting for us")
}

fn split(model: &Model) -> Possible {
    need(!model.zoom && !model.details, "one pane fills the screen")
}
