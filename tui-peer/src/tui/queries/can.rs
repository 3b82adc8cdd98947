//! When an action makes sense.

use std::borrow::Cow;

use common::content::Kind;

use super::{can_undo, kind, peer, words_to_watch};
use crate::engine::snapshot::{NetState, Transfer, TransferState};
use crate::tui::action::Action;
use crate::tui::model::{Model, Pane, Tab};
use crate::tui::words;

/// Whether an action makes sense now; if not, why.
pub fn can(model: &Model, action: Action) -> Result<(), Cow<'static, str>> {
    let need = |ok: bool, why: &'static str| if ok { Ok(()) } else { Err(Cow::Borrowed(why)) };
    let keymap = &model.keymap;
    let target = !model.targets().is_empty();
    let transfer = model.selected_transfer();
    let on = matches!(
        model.snap.network.state,
        NetState::On | NetState::Lost { .. } | NetState::Connecting
    );
    match action {
        // What is here is copied there.
        Action::DownloadTo => need(target, "no file is selected"),
        Action::Download => {
            need(target, "no file is selected")?;
            let all_here = model
                .targets()
                .iter()
                .all(|id| model.transfer(id).is_some_and(|t| t.state == TransferState::Sharing));
            need(!all_here, "it is here already")
        }
        Action::Pause => {
            need(target && transfer.is_some_and(Transfer::is_unfinished), "no download is selected")
        }
        Action::PauseAll => {
            need(model.snap.transfers.iter().any(Transfer::is_unfinished), "there are no downloads")
        }
        Action::Retry => need(transfer.is_some_and(words::is_wrong), "nothing failed here"),
        Action::Verify => need(
            transfer.is_some_and(|t| t.have > 0 || t.state == TransferState::Changed),
            "nothing of it is on disk",
        ),
        Action::VerifyAll => {
            need(!model.snap.transfers.is_empty(), "nothing of yours is on this machine")
        }
        Action::Remove => {
            if transfer.is_some_and(|t| t.downloaded) {
                return Ok(());
            }
            let unshares = keymap.aside(Action::Unshare, "unshares");
            Err(format!("no download is selected{unshares}").into())
        }
        Action::Undo => need(can_undo(model, model.now.mono), "nothing was just removed"),
        Action::Clear => need(
            model
                .snap
                .transfers
                .iter()
                .any(|t| t.downloaded && t.state == TransferState::Sharing && !t.plan.cleared),
            "no finished download is in the list",
        ),
        Action::Raise | Action::Lower | Action::QueueUp | Action::QueueDown | Action::InOrder => {
            need(
                transfer.is_some_and(Transfer::is_unfinished),
                "no unfinished download is selected",
            )
        }
        Action::LimitOne => need(
            transfer.is_some_and(|t| t.state != TransferState::Hashing),
            "it is not on this machine",
        ),
        Action::Watch => {
            if words_to_watch(model).is_some() {
                return Ok(());
            }
            need(target, "no file is selected")?;
            need(
                !transfer.is_some_and(|t| t.state == TransferState::Sharing),
                "it is here already",
            )?;
            let offered = model.selected_row().is_some_and(|row| row.sources > 0);
            if !offered {
                return Ok(());
            }
            let downloads = keymap.and(": ", Action::Download, "downloads it");
            Err(format!("somebody has it{downloads}").into())
        }
        Action::Ban => {
            let peer = peer(model);
            need(peer.is_some(), "no peer is selected")?;
            need(peer.is_some_and(|(peer, _)| peer != model.snap.me.peer), "that is this peer")
        }
        Action::Unshare => need(
            transfer.is_some_and(|t| {
                matches!(t.state, TransferState::Sharing | TransferState::Changed) || !t.downloaded
            }),
            "you do not share it",
        ),
        Action::Rescan => need(
            transfer.is_some_and(|t| t.kind == Kind::Folder && !t.downloaded && t.have > 0),
            "no shared folder of your own is selected",
        ),
        Action::CopyLink => {
            need(target, "no file is selected")?;
            need(model.snap.network.join.is_some(), "there is no network")
        }
        Action::Holders => {
            need(model.swarm.open || model.selected().is_some(), "no file is selected")
        }
        Action::Why if model.tab == Tab::Peers && model.focus == Pane::Files => {
            need(peer(model).is_some(), "no peer is selected")
        }
        Action::CopyHash | Action::Why | Action::Mark => {
            need(target || model.selected().is_some(), "no file is selected")
        }
        Action::OpenFolder => {
            need(transfer.is_some(), "it is not on this machine")?;
            let place = transfer.is_some_and(|t| !t.path.as_os_str().is_empty());
            need(place, "it is an earlier state of a folder")
        }
        Action::Contents => need(kind(model) == Some(Kind::Folder), "it is not a folder"),
        Action::NextActive => {
            need(model.snap.transfers.iter().any(Transfer::is_unfinished), "there are no downloads")
        }
        Action::MarkRange => need(
            target || model.range.is_some() || model.selected().is_some(),
            "no file is selected",
        ),
        Action::Repeat => need(model.repeat.is_some(), "nothing has been done yet"),
        Action::Leave => need(on, "you are not in a network"),
        Action::Announce if !on => {
            let joins = keymap.and(" · ", Action::Rejoin, "joins");
            Err(format!("you are not in a network{joins}").into())
        }
        Action::CopyJoin => need(model.snap.network.join.is_some(), "there is no network"),
        Action::NextMatch | Action::PrevMatch => {
            need(model.map.counts().none + model.map.counts().bad > 0, "every chunk has a source")
        }
        Action::Suspend => need(model.setting.job_control, "no shell is waiting for us"),
        Action::Wider | Action::Narrower => {
            need(!model.zoom && !model.details, "one pane fills the screen")
        }
        _ => Ok(()),
    }
}
