//! `share` and `unshare`: by the running peer, or in its library for the next start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::content::Kind;
use common::id::ContentId;
use serde_json::json;
use tokio::time::{interval, sleep_until};

use super::output::{Output, with_name, with_path};
use super::sharing::{Failed, Shared, Sharing, ask_for};
use super::signals::Signals;
use super::status::unkept_line;
use super::wait::{Ended, deadline};
use super::working::{Working, label, reading};
use super::{library_code, missed, together};
use crate::args::{Share, Unshare, exit};
use crate::control::Attached;
use engine::api::command::Command;
use engine::api::library::{
    self, Library, LibraryError, MAX_WATCHED, Progress, ShareError, ShareRecord, WATCHED_KEY,
    hash_watched, too_many_watched, watched_text,
};
use frontend::find::{self, Wanted};

/// How often bars move.
const LOOK: Duration = Duration::from_millis(500);
/// What there is none of.
const NOTHING: &str = "nothing shared here";

/// By the running peer; returns the exit code.
pub async fn share(peer: Attached, request: &Share, out: &mut Output) -> u8 {
    if request.wait {
        share_and_wait(peer, request, out).await
    } else {
        ask(peer, request, out).await
    }
}

/// Leaves it at asking.
async fn ask(peer: Attached, request: &Share, out: &mut Output) -> u8 {
    let mut failed = Vec::new();
    for path in &request.paths {
        let path = absolute(path);
        let asked =
            ask_for(&peer.engine, path.clone(), request.name.clone(), watched(request)).await;
        if let Err(error) = asked {
            out.error("share", &error.message, "check the path");
            failed.push(exit::of(error.kind));
            continue;
        }
        out.json(&with_path(json!({"event": "sharing"}), "path", &path));
        out.line(&format!(
            "{}: the running peer hashes and shares it (tui-peer status)",
            path.display()
        ));
        if let Some(unkept) = &peer.engine.snapshot().unkept {
            out.note(&unkept_line(unkept));
        }
    }
    together(&failed, request.paths.len())
}

async fn share_and_wait(peer: Attached, request: &Share, out: &mut Output) -> u8 {
    let mut events = peer.engine.events();
    let end = deadline(request.timeout);
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let mut failed = Vec::new();
    let mut paths = request.paths.iter();
    let mut sharing = Sharing::new(&peer.engine, request.name.clone(), watched(request));
    let (mut working, mut ticker) = (Working::default(), interval(LOOK));
    loop {
        while !sharing.is_full()
            && let Some(path) = paths.next()
        {
            sharing.ask(absolute(path));
        }
        if sharing.is_empty() {
            return together(&failed, request.paths.len());
        }
        let shared = loop {
            tokio::select! {
                shared = sharing.next(&mut events) => break shared,
                _ = ticker.tick() => working.show(&peer.engine.snapshot(), out),
                () = peer.engine.stopped() => break Err(Failed::Ended(Ended::Stopped)),
                () = sleep_until(end) => break Err(Failed::Ended(Ended::TooLate)),
                code = signals.stop(&peer.engine) => break Err(Failed::Ended(Ended::Signal(code))),
            }
        };
        out.clear();
        failed.extend(match shared {
            Ok(shared) => said(&shared, out).err(),
            Err(Failed::Refused(error)) => {
                out.error("share", &error.message, "check the path");
                Some(exit::of(error.kind))
            }
            Err(Failed::Share(why, hint)) => {
                out.error("share", &why, &hint);
                Some(exit::IO)
            }
            Err(Failed::Tracker(why)) => {
                let hint = "it is shared once the tracker takes it: tui-peer status";
                out.error("tracker", &why, hint);
                Some(exit::TRACKER)
            }
            Err(Failed::Ended(ended)) => {
                let (why, code) = ended.words();
                out.error(
                    "wait",
                    why,
                    "what was handed over goes on (tui-peer status); run it again for the rest",
                );
                return code;
            }
        });
    }
}

/// The peer runs in another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Whether the folders are watched from now on, if that was said.
fn watched(request: &Share) -> Option<bool> {
    (request.watch || request.no_watch).then_some(request.watch)
}

/// The final word on something shared; the exit code unless all is well.
fn said(shared: &Shared, out: &mut Output) -> Result<(), u8> {
    let Shared { row, unkept, left_out } = shared;
    let object = json!({
        "event": "shared", "id": row.id.to_string(), "size": row.size, "chunks": row.chunks,
        "remembered": unkept.is_none(),
    });
    out.json(&with_name(object, row.raw_name(), &row.name));
    out.line(&format!("{}  {}", row.id, row.name));
    note_left_out(&row.name, left_out.as_deref(), out);
    match unkept {
        Some(why) => {
            out.error("not-remembered", &format!("{}: {why}", row.name), "tui-peer status");
            Err(exit::IO)
        }
        None => Ok(()),
    }
}

/// Says what of a folder others do not get.
pub(super) fn note_left_out(name: &str, left_out: Option<&str>, out: &Output) {
    if let Some(left_out) = left_out {
        out.note(&format!("{name}: not shared with it: {left_out}"));
    }
}

/// Without a running peer: hashed here, remembered for the next start; returns the exit code.
pub async fn share_later(state: &Path, request: &Share, out: &mut Output) -> u8 {
    let (library, mut folders) = match open_watched(state) {
        Ok((library, folders)) => (Arc::new(library), folders),
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let mut failed = Vec::new();
    for path in &request.paths {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let (kept, path, name) = (library.clone(), real.clone(), request.name.clone());
        let work = move |progress: &Progress, cancel: &_| {
            let mut prepared = hash_watched(&path, 0, progress, cancel)?;
            if let Some(name) = name {
                prepared.name = name;
            }
            kept.put_share(&prepared.record(false), &prepared)?;
            Ok((prepared, progress.left_out()))
        };
        let shared: Result<_, ShareError> = match reading(label(&real), out, work).await {
            Ok(shared) => shared,
            Err(code) => return code,
        };
        match shared {
            Ok((prepared, left_out)) => {
                let on = watched(request).filter(|_| prepared.kind == Kind::Folder);
                let more = on == Some(true) && !folders.contains(&real);
                if more && folders.len() >= MAX_WATCHED {
                    let why = format!("{}: {}", real.display(), too_many_watched());
                    out.error("share", &why, "it will be shared, and not watched");
                    failed.push(exit::OTHER);
                    continue;
                }
                if let Some(on) = on
                    && let Err(error) = watch(&library, &mut folders, &real, on)
                {
                    out.error("state", &error.to_string(), "check the disk");
                    failed.push(library_code(&error));
                    continue;
                }
                let name = common::names::show(&prepared.name);
                let object = json!({
                    "event": "remembered", "id": prepared.id.to_string(),
                    "size": prepared.layout.total(), "chunks": prepared.layout.chunks(),
                });
                let object = with_name(object, &prepared.name, &name);
                out.json(&with_path(object, "path", &real));
                out.line(&format!("{}  {name}", prepared.id));
                note_left_out(&name, left_out.as_deref(), out);
            }
            Err(error) => {
                out.error("share", &error.to_string(), "check the path");
                failed.push(super::share_code(&error));
            }
        }
    }
    if failed.len() < request.paths.len() {
        out.note("no tui-peer runs here: it will be shared when one does (tui-peer --serve-only)");
    }
    together(&failed, request.paths.len())
}

/// The library, and the folders that the next start watches. One that is shared no more is none of them from now on:
/// if it is shared again now, that does not say that it is to be watched.
fn open_watched(state: &Path) -> Result<(Library, BTreeSet<PathBuf>), LibraryError> {
    let (library, loaded) = Library::open(state)?;
    let shared = loaded.shares.iter().map(|record| &record.path);
    let (folders, stale) = library::watched(&loaded.settings, shared);
    if stale {
        library.set_setting(WATCHED_KEY, watched_text(&folders).as_deref())?;
    }
    Ok((library, folders))
}

/// Has the next start watch a folder, or not.
fn watch(
    library: &Library,
    folders: &mut BTreeSet<PathBuf>,
    path: &Path,
    on: bool,
) -> Result<(), LibraryError> {
    if on {
        folders.insert(path.to_path_buf());
    } else {
        folders.remove(path);
    }
    library.set_setting(WATCHED_KEY, watched_text(folders).as_deref())
}

/// By the running peer; returns the exit code.
pub async fn unshare(peer: Attached, request: &Unshare, out: &mut Output) -> u8 {
    let mut failed = Vec::new();
    for what in &request.what {
        let snapshot = peer.engine.snapshot();
        let (id, name) = match find::one(what, snapshot.transfers.iter()) {
            Ok(transfer) => (transfer.id, transfer.raw_name().to_owned()),
            Err(miss) => {
                failed.push(missed(miss, NOTHING, "tui-peer status lists what there is", out));
                continue;
            }
        };
        match peer.engine.call(Command::Unshare { id }).await {
            Ok(_) => gone(&id, &name, out),
            Err(error) => {
                out.error("unshare", &error.message, "tui-peer status lists what there is");
                failed.push(exit::of(error.kind));
            }
        }
    }
    together(&failed, request.what.len())
}

/// Without a running peer: out of the library; returns the exit code.
pub fn unshare_later(state: &Path, request: &Unshare, out: &mut Output) -> u8 {
    let (library, loaded) = match Library::open(state) {
        Ok(opened) => opened,
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let mut failed = Vec::new();
    let shared = loaded.shares.iter().map(|record| &record.path);
    let (mut folders, _) = library::watched(&loaded.settings, shared);
    for what in &request.what {
        let record = match find::one(what, loaded.shares.iter()) {
            Ok(record) => record,
            Err(miss) => {
                failed.push(missed(miss, NOTHING, "tui-peer verify lists what there is", out));
                continue;
            }
        };
        // The same content may lie at several places; all that are meant.
        let wanted = Wanted::new(what);
        let mut fits = loaded.shares.iter().filter(|record| wanted.means(*record));
        let mut forget = |record: &ShareRecord| {
            if folders.contains(&record.path) {
                watch(&library, &mut folders, &record.path, false)?;
            }
            library.remove_share(&record.path).map(drop)
        };
        match fits.try_for_each(&mut forget) {
            Ok(()) => gone(&record.id, &record.name, out),
            Err(error) => {
                out.error("state", &error.to_string(), "check the disk");
                failed.push(library_code(&error));
            }
        }
    }
    together(&failed, request.what.len())
}

fn gone(id: &ContentId, name: &str, out: &mut Output) {
    let shown = common::names::show(name);
    out.json(&with_name(json!({"event": "unshared", "id": id.to_string()}), name, &shown));
    out.line(&format!("no longer shared: {shown}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c7_a_folder_that_is_shared_again_is_not_watched_by_a_word_of_long_ago() {
        let temp = tempfile::tempdir().unwrap();
        let (state, one, two) =
            (temp.path().join("state"), temp.path().join("one"), temp.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        std::fs::write(one.join("file"), "x").unwrap();
        let prepared = library::hash_path(&one, 1).unwrap();
        {
            let (library, _) = Library::open(&state).unwrap();
            library.put_share(&prepared.record(false), &prepared).unwrap();
            let both = BTreeSet::from([prepared.path.clone(), two]);
            library.set_setting(WATCHED_KEY, watched_text(&both).as_deref()).unwrap();
        }
        let only = BTreeSet::from([prepared.path.clone()]);
        assert_eq!(open_watched(&state).unwrap().1, only);
        // Also on disk, or a later start would find it shared and watched.
        let (_, loaded) = Library::open(&state).unwrap();
        assert_eq!(loaded.settings.get(WATCHED_KEY), watched_text(&only).as_ref());
    }
}
