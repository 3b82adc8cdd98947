//! `share` and `unshare`: by the running peer, or in its library for the next start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::id::ContentId;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{interval, sleep_until};

use super::output::{Output, with_name, with_path};
use super::signals::Signals;
use super::status::unkept_line;
use super::wait::{Ended, deadline};
use super::working::{Working, label, reading};
use super::{library_code, missed, together};
use crate::args::{Share, Unshare, exit};
use crate::control::Attached;
use crate::engine::command::Command;
use crate::engine::event::{Event, What};
use crate::engine::handle::{EngineHandle, Events};
use crate::engine::library::{Library, ShareError, hash_watched};
use crate::engine::snapshot::{NetState, Snapshot, Transfer, TransferState};
use crate::find::{self, Wanted};

/// How often bars move.
const LOOK: Duration = Duration::from_millis(500);
/// What there is none of.
const NOTHING: &str = "nothing shared here";

/// By the running peer; returns the exit code.
pub async fn share(peer: Attached, wish: &Share, out: &mut Output) -> u8 {
    let mut events = peer.engine.events();
    let end = deadline(wish.timeout);
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let mut failed = Vec::new();
    for path in &wish.paths {
        // The peer runs in another folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mut waiting = Waiting::new(&peer.engine, &path);
        let command = Command::Share { path: path.clone(), name: wish.name.clone() };
        if let Err(error) = peer.engine.call(command).await {
            out.error("share", &error.message, "check the path");
            failed.push(error.kind.exit());
            continue;
        }
        if !wish.wait {
            out.json(&with_path(json!({"event": "sharing"}), "path", &path));
            out.line(&format!(
                "{}: the running peer hashes and shares it (tui-peer status)",
                path.display()
            ));
            if let Some(unkept) = &peer.engine.snapshot().unkept {
                out.note(&unkept_line(unkept));
            }
            continue;
        }
        let (mut working, mut ticker) = (Working::default(), interval(LOOK));
        let shared = loop {
            tokio::select! {
                shared = waiting.shared(&peer.engine, &mut events) => break shared,
                _ = ticker.tick() => working.show(&peer.engine.snapshot(), out),
                () = peer.engine.stopped() => break Err(Failed::Ended(Ended::Stopped)),
                () = sleep_until(end) => break Err(Failed::Ended(Ended::TooLate)),
                code = signals.stop(&peer.engine) => break Err(Failed::Ended(Ended::Signal(code))),
            }
        };
        out.clear();
        let ended = match shared {
            Ok(shared) => {
                failed.extend(said(&shared, out).err());
                continue;
            }
            Err(Failed::Share(why, hint)) => {
                out.error("share", &why, &hint);
                failed.push(exit::IO);
                continue;
            }
            Err(Failed::Tracker(why)) => {
                let hint = "it is shared once the tracker takes it: tui-peer status";
                out.error("tracker", &why, hint);
                failed.push(exit::TRACKER);
                continue;
            }
            Err(Failed::Ended(ended)) => ended,
        };
        let (why, code) = ended.words();
        out.error("wait", why, "it goes on: tui-peer status shows how far it is");
        return code;
    }
    together(&failed, wish.paths.len())
}

/// What others can download now.
pub(super) struct Shared {
    pub(super) row: Transfer,
    /// Why a restart would forget it.
    unkept: Option<String>,
}

/// The final word on something shared; the exit code unless all is well.
fn said(shared: &Shared, out: &mut Output) -> Result<(), u8> {
    let Shared { row, unkept } = shared;
    let object = json!({
        "event": "shared", "id": row.id.to_string(), "size": row.size, "chunks": row.chunks,
        "remembered": unkept.is_none(),
    });
    out.json(&with_name(object, row.raw_name(), &row.name));
    out.line(&format!("{}  {}", row.id, row.name));
    match unkept {
        Some(why) => {
            out.error("not-remembered", &format!("{}: {why}", row.name), "tui-peer status");
            Err(exit::IO)
        }
        None => Ok(()),
    }
}

pub(super) enum Failed {
    /// It could not be shared: why, and what to do.
    Share(String, String),
    /// The tracker does not take it.
    Tracker(String),
    Ended(Ended),
}

/// Something that is to be shared, until others can download it.
pub(super) struct Waiting {
    path: PathBuf,
    id: Option<ContentId>,
    unkept: Option<String>,
    /// What the tracker has.
    registered: HashSet<ContentId>,
    /// Whether it was seen among our shares.
    seen: bool,
}

impl Waiting {
    /// As it is before it is asked for.
    pub(super) fn new(engine: &EngineHandle, path: &Path) -> Self {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let first = engine.snapshot();
        let old =
            |t: &&Transfer| matches!(t.state, TransferState::Sharing | TransferState::Checking);
        let taken = first.transfers.iter().filter(old).filter(|t| !t.refused);
        let registered = taken.map(|t| t.id).collect();
        // Shared before: nothing will happen, and nothing has to.
        let here = |t: &&Transfer| t.path == path && t.state == TransferState::Sharing;
        let id = first.transfers.iter().find(here).map(|t| t.id);
        let unkept = first.unkept.as_ref().filter(|_| id.is_some()).map(unkept_line);
        Self { path, id, unkept, registered, seen: false }
    }

    /// Waits until others can download it, or it is clear that they never will.
    pub(super) async fn shared(
        &mut self,
        engine: &EngineHandle,
        events: &mut Events,
    ) -> Result<Shared, Failed> {
        let mut snapshots = engine.snapshots();
        loop {
            if let Some(shared) = self.look(&engine.snapshot())? {
                return Ok(shared);
            }
            tokio::select! {
                changed = snapshots.changed() => {
                    changed.map_err(|_| Failed::Ended(Ended::Stopped))?;
                }
                event = events.recv() => match event {
                    Ok(event) => self.hear(event)?,
                    Err(RecvError::Lagged(_)) => self.catch_up(&engine.snapshot())?,
                    Err(RecvError::Closed) => return Err(Failed::Ended(Ended::Stopped)),
                },
            }
        }
    }

    fn hear(&mut self, event: Event) -> Result<(), Failed> {
        match event.what {
            What::Hashed { id, path, unkept } if path == self.path => {
                (self.id, self.unkept) = (Some(id), unkept);
            }
            What::Shared { id, .. } => {
                self.registered.insert(id);
            }
            What::Failed { id: None, code: "share", hint }
                if event.text.contains(&*self.path.to_string_lossy()) =>
            {
                return Err(Failed::Share(event.text, hint));
            }
            What::Failed { id: Some(id), code: "register", .. } if self.id == Some(id) => {
                return Err(Failed::Tracker(event.text));
            }
            _ => {}
        }
        Ok(())
    }

    /// What was missed among the events shows in the snapshot.
    fn catch_up(&mut self, snapshot: &Snapshot) -> Result<(), Failed> {
        let row = snapshot.transfers.iter().find(|t| t.path == self.path);
        match row.map(|row| &row.state) {
            Some(TransferState::Hashing) => Ok(()),
            Some(TransferState::Sharing | TransferState::Checking) => {
                self.id = row.map(|row| row.id);
                self.registered.extend(self.id);
                Ok(())
            }
            _ => {
                let why = format!("{}: it is not shared", self.path.display());
                Err(Failed::Share(why, "the log of the running peer says why".to_owned()))
            }
        }
    }

    /// Whether others can download it now (or, without a network, could).
    fn look(&mut self, snapshot: &Snapshot) -> Result<Option<Shared>, Failed> {
        let Some(id) = self.id else { return Ok(None) };
        let row = snapshot.transfers.iter().find(|transfer| transfer.id == id);
        let gone = |why: &str| {
            let why = format!("{}: {why}", self.path.display());
            Err(Failed::Share(why, "tui-peer status lists what there is".to_owned()))
        };
        match row.map(|row| &row.state) {
            // Snapshots come a little later than events.
            None if !self.seen => return Ok(None),
            None => return gone("it was unshared"),
            Some(TransferState::Changed) if self.seen => return gone("it changed, or vanished"),
            _ => {}
        }
        self.seen = true;
        let alone = match &snapshot.network.state {
            NetState::NoNetwork | NetState::Left => true,
            NetState::Rejected { why } => return Err(Failed::Tracker(why.clone())),
            _ => false,
        };
        let refused = row.is_some_and(|row| row.refused) && !alone;
        if let (true, Some((_, why))) = (refused, &snapshot.network.refused) {
            return Err(Failed::Tracker(format!("{}: {why}", self.path.display())));
        }
        let there = alone || self.registered.contains(&id);
        let shared = |row: &Transfer| Shared { row: row.clone(), unkept: self.unkept.clone() };
        Ok(row.filter(|_| there).map(shared))
    }
}

/// Without a running peer: hashed here, remembered for the next start; returns the exit code.
pub async fn share_later(state: &Path, wish: &Share, out: &mut Output) -> u8 {
    let library = match Library::open(state) {
        Ok((library, _)) => Arc::new(library),
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let mut failed = Vec::new();
    for path in &wish.paths {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let (library, path, name) = (library.clone(), real.clone(), wish.name.clone());
        let work = move |progress: &_, cancel: &_| {
            let mut prepared = hash_watched(&path, 0, progress, cancel)?;
            if let Some(name) = name {
                prepared.name = name;
            }
            library.put_share(&prepared.record(false), &prepared)?;
            Ok(prepared)
        };
        let shared: Result<_, ShareError> = match reading(label(&real), out, work).await {
            Ok(shared) => shared,
            Err(code) => return code,
        };
        match shared {
            Ok(prepared) => {
                let name = common::names::show(&prepared.name);
                let object = json!({
                    "event": "remembered", "id": prepared.id.to_string(),
                    "size": prepared.layout.total(), "chunks": prepared.layout.chunks(),
                });
                let object = with_name(object, &prepared.name, &name);
                out.json(&with_path(object, "path", &real));
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
                failed.push(error.kind.exit());
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
        match fits.try_for_each(|record| library.remove_share(&record.path).map(drop)) {
            Ok(()) => gone(&record.id, &record.name, out),
            Err(error) => {
                out.error("state", &error.to_string(), "check the disk");
                failed.push(library_code(&error));
            }
        }
    }
    together(&failed, wish.what.len())
}

fn gone(id: &ContentId, name: &str, out: &mut Output) {
    let shown = common::names::show(name);
    out.json(&with_name(json!({"event": "unshared", "id": id.to_string()}), name, &shown));
    out.line(&format!("no longer shared: {shown}"));
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::engine::handle::channel;
    use crate::engine::snapshot::Me;

    #[tokio::test]
    async fn b14_what_is_shared_and_refused_by_the_tracker_is_not_said_to_be_shared() {
        let mut snapshot = Snapshot::first(Me::example());
        let row = |n: u8, refused: bool| Transfer {
            state: TransferState::Sharing,
            path: format!("/nowhere/{n}").into(),
            refused,
            ..Transfer::blank(ContentId::from_bytes([n; 32]))
        };
        snapshot.network.state = NetState::On;
        snapshot.network.refused = Some((1, "this tracker is full".to_owned()));
        snapshot.transfers = [row(1, false), row(2, true)].into();
        let (engine, parts) = channel(snapshot.clone());
        let mut events = engine.events();
        let mut good = Waiting::new(&engine, Path::new("/nowhere/1"));
        assert!(good.shared(&engine, &mut events).await.is_ok());
        let mut bad = Waiting::new(&engine, Path::new("/nowhere/2"));
        let Err(Failed::Tracker(why)) = bad.shared(&engine, &mut events).await else {
            panic!("said to be shared")
        };
        assert!(why.contains("/nowhere/2") && why.contains("full"), "{why}");
        // Without a network there is nobody to refuse it.
        snapshot.network.state = NetState::Left;
        parts.snapshots.send_replace(snapshot.into());
        assert!(bad.shared(&engine, &mut events).await.is_ok());
    }
}
