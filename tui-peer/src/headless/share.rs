//! `share` and `unshare`: by the running peer, or in its library for the next start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use common::id::ContentId;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::output::Output;
use super::signals::Signals;
use super::wait::{Ended, deadline};
use super::{find, library_code, refused};
use crate::args::{Share, Unshare, exit};
use crate::control::Attached;
use crate::engine::command::Command;
use crate::engine::event::What;
use crate::engine::handle::Events;
use crate::engine::library::{Library, hash_path};
use crate::engine::snapshot::{NetState, TransferState};

/// The exit code of several things of which some failed.
fn together(failed: &[u8], all: usize) -> u8 {
    match failed {
        [] => exit::OK,
        some if some.len() < all => exit::PARTIAL,
        [first, ..] => *first,
    }
}

/// By the running peer; returns the exit code.
pub async fn share(peer: Attached, wish: &Share, out: &mut Output) -> u8 {
    let mut events = peer.engine.events();
    let end = deadline(wish.timeout);
    let mut failed = Vec::new();
    for path in &wish.paths {
        // The peer runs in another folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let command = Command::Share { path: path.clone(), name: wish.name.clone() };
        match peer.engine.call(command).await {
            Ok(_) if wish.wait => match hashed(&peer, &path, &mut events, end, out).await {
                Ok(()) => {}
                Err(Failed::Share) => failed.push(exit::IO),
                Err(Failed::Ended(ended)) => {
                    let (why, code) = ended.words();
                    out.error("wait", why, "it goes on: tui-peer status shows how far it is");
                    return code;
                }
            },
            Ok(_) => {
                out.json(&json!({"event": "sharing", "path": path.to_string_lossy()}));
                out.line(&format!(
                    "{}: the running peer hashes and shares it (tui-peer status)",
                    path.display()
                ));
            }
            Err(error) => {
                out.error("share", &error.message, "check the path");
                failed.push(refused(&error));
            }
        }
    }
    together(&failed, wish.paths.len())
}

enum Failed {
    /// It could not be shared; that was said.
    Share,
    Ended(Ended),
}

/// Waits until others can download what was just shared.
async fn hashed(
    peer: &Attached,
    path: &Path,
    events: &mut Events,
    end: Instant,
    out: &mut Output,
) -> Result<(), Failed> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut signals = Signals::new().map_err(|_| Failed::Ended(Ended::Stopped))?;
    let mut snapshots = peer.engine.snapshots();
    let mut registered = HashSet::new();
    // Shared before: nothing will happen, and nothing has to.
    let first = peer.engine.snapshot();
    let old = |state: &TransferState| *state == TransferState::Sharing;
    let mut id = first.transfers.iter().find(|t| t.path == real && old(&t.state)).map(|t| t.id);
    registered.extend(first.transfers.iter().filter(|t| old(&t.state)).map(|t| t.id));
    loop {
        if let Some(id) = id
            && done(peer, &id, &registered, out)
        {
            return Ok(());
        }
        let event = tokio::select! {
            changed = snapshots.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Err(Failed::Ended(Ended::Stopped)),
            },
            event = events.recv() => match event {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Err(Failed::Ended(Ended::Stopped)),
            },
            () = peer.engine.stopped() => return Err(Failed::Ended(Ended::Stopped)),
            () = sleep_until(end) => return Err(Failed::Ended(Ended::TooLate)),
            code = signals.stop(&peer.engine) => return Err(Failed::Ended(Ended::Signal(code))),
        };
        match event.what {
            What::Hashed { id: new, path, .. } if path == real => id = Some(new),
            What::Shared { id, .. } => {
                registered.insert(id);
            }
            What::Failed { id: None, code: "share", hint }
                if event.text.contains(&*real.to_string_lossy()) =>
            {
                out.error("share", &event.text, &hint);
                return Err(Failed::Share);
            }
            _ => {}
        }
    }
}

/// Whether others can download it now (or, without a network, could); says so.
fn done(peer: &Attached, id: &ContentId, known: &HashSet<ContentId>, out: &mut Output) -> bool {
    let snapshot = peer.engine.snapshot();
    let alone = matches!(snapshot.network.state, NetState::NoNetwork | NetState::Left);
    if !known.contains(id) && !alone {
        return false;
    }
    let Some(row) = snapshot.transfers.iter().find(|transfer| transfer.id == *id) else {
        return false;
    };
    out.json(&json!({
        "event": "shared", "id": id.to_string(), "name": &*row.name, "size": row.size,
        "chunks": row.chunks,
    }));
    out.line(&format!("{id}  {}", row.name));
    true
}

/// Without a running peer: hashed here, remembered for the next start; returns the exit code.
pub fn share_later(state: &Path, wish: &Share, out: &mut Output) -> u8 {
    let library = match Library::open(state) {
        Ok((library, _)) => library,
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let mut failed = Vec::new();
    for path in &wish.paths {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let shared = hash_path(&real, 0).and_then(|mut prepared| {
            if let Some(name) = &wish.name {
                prepared.name.clone_from(name);
            }
            library.put_share(&prepared.record(false), &prepared)?;
            Ok(prepared)
        });
        match shared {
            Ok(prepared) => {
                let name = common::names::show(&prepared.name);
                out.json(&json!({
                    "event": "remembered", "id": prepared.id.to_string(), "name": name,
                    "path": real.to_string_lossy(), "size": prepared.layout.total(),
                    "chunks": prepared.layout.chunks(),
                }));
                out.line(&format!("{}  {name}", prepared.id));
            }
            Err(error) => {
                out.error("share", &error.to_string(), "check the path");
                failed.push(super::share_code(&error));
            }
        }
    }
    if failed.len() < wish.paths.len() {
        out.note("no tui-peer runs here: it will be shared when one does (tui-peer --serve-only)");
    }
    together(&failed, wish.paths.len())
}

/// By the running peer; returns the exit code.
pub async fn unshare(peer: Attached, wish: &Unshare, out: &mut Output) -> u8 {
    let mut failed = Vec::new();
    for what in &wish.what {
        let snapshot = peer.engine.snapshot();
        let (id, name) = match find::one(&snapshot, what) {
            Ok(transfer) => (transfer.id, transfer.name.clone()),
            Err(why) => {
                out.error("not-found", &why, "tui-peer status lists what there is");
                failed.push(exit::NOT_FOUND);
                continue;
            }
        };
        match peer.engine.call(Command::Unshare { id }).await {
            Ok(_) => gone(&id, &name, out),
            Err(error) => {
                out.error("unshare", &error.message, "tui-peer status lists what there is");
                failed.push(refused(&error));
            }
        }
    }
    together(&failed, wish.what.len())
}

/// Without a running peer: out of the library; returns the exit code.
pub fn unshare_later(state: &Path, wish: &Unshare, out: &mut Output) -> u8 {
    let (library, loaded) = match Library::open(state) {
        Ok(opened) => opened,
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let mut failed = Vec::new();
    for what in &wish.what {
        let fits: Vec<_> = loaded
            .shares
            .iter()
            .filter(|record| find::means(what, &record.name, &record.id, &record.path))
            .collect();
        let ids: HashSet<ContentId> = fits.iter().map(|record| record.id).collect();
        if ids.len() != 1 {
            let why = match ids.len() {
                0 => format!("nothing shared here goes by {what:?}"),
                n => format!("{what:?} could be {n} things; give the id"),
            };
            out.error("not-found", &why, "tui-peer verify lists what there is");
            failed.push(exit::NOT_FOUND);
            continue;
        }
        let paths: Vec<&PathBuf> = fits.iter().map(|record| &record.path).collect();
        let forgotten = paths.iter().try_for_each(|path| library.remove_share(path).map(drop));
        match (forgotten, fits.first()) {
            (Ok(()), Some(record)) => gone(&record.id, &common::names::show(&record.name), out),
            (Ok(()), None) => {}
            (Err(error), _) => {
                out.error("state", &error.to_string(), "check the disk");
                failed.push(library_code(&error));
            }
        }
    }
    together(&failed, wish.what.len())
}

fn gone(id: &ContentId, name: &str, out: &mut Output) {
    out.json(&json!({"event": "unshared", "id": id.to_string(), "name": name}));
    out.line(&format!("no longer shared: {name}"));
}
