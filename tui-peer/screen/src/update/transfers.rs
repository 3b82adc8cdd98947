//! What is done with the selected or marked files.

use common::content::Kind;
use common::id::ContentId;
use common::join::FileLink;

use crate::model::{Dialog, Model, Tone};
use crate::msg::{Asked, Effect, call_each};
use crate::verdict;
use engine::api::command::{Command, Download, Selection};
use engine::api::snapshot::{Transfer, TransferState};

fn each(model: &mut Model, out: &mut Vec<Effect>, make: fn(ContentId) -> Command, say: &str) {
    let ids = model.targets();
    let say = format!("{say}: {}", named(model, &ids));
    call_each(ids.into_iter().map(make), say, out);
    model.marks.clear();
}

pub(crate) fn download(model: &mut Model, out: &mut Vec<Effect>) {
    let ids = model.targets();
    let say = format!("downloading: {}", named(model, &ids));
    // What is on its way goes on with the files that are wanted of it.
    let command = |id| match model.transfer(&id).is_some_and(Transfer::is_on_its_way) {
        true => Command::Resume { id },
        false => Command::Download(Download { id, name: None, dir: None, files: Selection::All }),
    };
    call_each(ids.into_iter().map(command), say, out);
    model.marks.clear();
}

pub(crate) fn retry(model: &mut Model, out: &mut Vec<Effect>) {
    // What changed or vanished after it was complete is looked at again, not resumed.
    if model.selected_transfer().is_some_and(|t| t.state == TransferState::Changed) {
        each(model, out, |id| Command::Verify { id }, "looking again");
    } else {
        each(model, out, |id| Command::Resume { id }, "trying again");
    }
}

pub(crate) fn pause(model: &mut Model, out: &mut Vec<Effect>) {
    let resting =
        |t: &Transfer| matches!(t.state, TransferState::Paused | TransferState::Failed(_));
    if model.selected_transfer().is_some_and(resting) {
        each(model, out, |id| Command::Resume { id }, "resumed");
    } else {
        each(model, out, |id| Command::Pause { id }, "paused");
    }
}

pub(crate) fn pause_all(model: &mut Model, out: &mut Vec<Effect>) {
    let unfinished: Vec<&Transfer> =
        model.snap.transfers.iter().filter(|t| t.is_unfinished()).collect();
    let resume = unfinished.iter().all(|t| t.state == TransferState::Paused);
    for t in unfinished {
        let id = t.id;
        let command = if resume { Command::Resume { id } } else { Command::Pause { id } };
        out.push(Effect::Call(command, Asked::Quietly));
    }
    model.toast(Tone::Good, if resume { "all downloads resumed" } else { "all downloads paused" });
}

pub(crate) fn copy_link(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(join) = model.snap.network.joined() else {
        model.toast(Tone::Bad, "the network has no usable join string");
        return;
    };
    let links: Vec<String> = model
        .targets()
        .iter()
        .map(|id| {
            let transfer = model.transfer(id);
            let row = model.catalogue.rows.iter().find(|row| row.id == *id);
            let kind = transfer.map(|t| t.kind).or_else(|| row.map(|r| r.kind));
            let name = transfer.map(|t| t.name.clone()).or_else(|| row.map(|r| (*r.name).into()));
            FileLink::new(&join, *id, kind, name.as_deref()).to_string()
        })
        .collect();
    out.push(Effect::Copy(links.join("\n"), "link"));
}

pub(crate) fn explain(model: &mut Model) {
    let title = model.selected_name().map(|n| n.to_string()).unwrap_or_default();
    let lines = verdict::why(&model.case());
    model.dialogs.push(Dialog::Why { title, lines, about: model.selected() });
}

/// "a, b and 3 more".
pub(crate) fn named(model: &Model, ids: &[ContentId]) -> String {
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

pub(crate) fn unshare(model: &mut Model, ids: &[ContentId], out: &mut Vec<Effect>) {
    let say = format!("no longer shared: {}", named(model, ids));
    call_each(ids.iter().map(|id| Command::Unshare { id: *id }), say, out);
    model.marks.clear();
}

/// Opens the folder of the selected file where there is a desktop, else copies the path.
pub(crate) fn open_folder(model: &Model, out: &mut Vec<Effect>) {
    let Some(t) = model.selected_transfer() else { return };
    if !model.setting.desktop {
        out.push(Effect::Copy(t.path.to_string_lossy().into_owned(), "path"));
        return;
    }
    let dir = match t.kind {
        Kind::Folder => Some(t.path.as_path()),
        Kind::File => t.path.parent(),
    };
    out.extend(dir.map(|dir| Effect::Open(dir.to_owned())));
}

pub(crate) fn verify(model: &mut Model, out: &mut Vec<Effect>) {
    each(model, out, |id| Command::Verify { id }, "verifying");
}

pub(crate) fn verify_all(model: &mut Model, out: &mut Vec<Effect>) {
    for t in model.snap.transfers.iter().filter(|t| t.have > 0) {
        out.push(Effect::Call(Command::Verify { id: t.id }, Asked::Quietly));
    }
    model.toast(Tone::Good, "verifying everything on disk");
}

pub(crate) fn rescan(model: &mut Model, out: &mut Vec<Effect>) {
    each(model, out, |id| Command::Rescan { id }, "hashing it as it is now");
}

/// Finished downloads leave the list.
pub(crate) fn clear(out: &mut Vec<Effect>) {
    let say = Asked::Say("finished downloads cleared · they are still shared".to_owned());
    out.push(Effect::Call(Command::ClearFinished, say));
}

pub(crate) fn copy_ids(model: &Model, out: &mut Vec<Effect>) {
    let ids: Vec<String> = model.targets().iter().map(ContentId::to_string).collect();
    out.push(Effect::Copy(ids.join("\n"), "id"));
}
