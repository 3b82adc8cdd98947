//! `verify`: shared and downloaded files are read again and compared with what was hashed.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::id::ContentId;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep_until;

use super::output::Output;
use super::signals::Signals;
use super::wait::{Ended, deadline};
use super::{find, library_code, refused};
use crate::args::{Verify, exit};
use crate::control::Attached;
use crate::engine::command::Command;
use crate::engine::event::What;
use crate::engine::library::{Library, Progress, ShareRecord, restore, verify as check};
use crate::engine::snapshot::{Transfer, TransferState};

/// Checks everything the library at `state` knows that `what` names; returns the exit code.
pub fn verify(state: &Path, what: &[String], out: &mut Output) -> u8 {
    let (library, loaded) = match Library::open(state) {
        Ok(opened) => opened,
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let chosen: Vec<&ShareRecord> = loaded
        .shares
        .iter()
        .filter(|r| what.is_empty() || what.iter().any(|w| find::means(w, &r.name, &r.id, &r.path)))
        .collect();
    if chosen.is_empty() && !what.is_empty() {
        out.error("not-found", "nothing here goes by that name, id or path", "tui-peer verify");
        return exit::NOT_FOUND;
    }
    let mut code = exit::OK;
    for record in chosen {
        let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
        let result =
            restore(&library, record).map_err(|error| error.to_string()).and_then(|prepared| {
                check(&prepared, 0, &progress, &cancel).map_err(|error| error.to_string())
            });
        let shown = common::names::show(&record.name);
        let result = result.map(|bad| bad.len());
        if result != Ok(0) {
            code = exit::DAMAGED;
        }
        tell(&record.id, &shown, &record.path, record.chunks, result, out);
    }
    code
}

/// What became of one: chunks that are wrong, or why that cannot be said.
fn tell(
    id: &ContentId,
    shown: &str,
    path: &Path,
    chunks: u32,
    result: Result<usize, String>,
    out: &mut Output,
) {
    let (bad, why) = match result {
        Ok(bad) => (bad, None),
        Err(why) => (0, Some(why)),
    };
    out.json(&json!({
        "event": "verified", "id": id.to_string(), "name": shown,
        "path": path.to_string_lossy(), "bad_chunks": bad, "error": why,
    }));
    out.line(&match (&why, bad) {
        (Some(why), _) => format!("FAILED   {shown}: {why}"),
        (None, 0) => format!("ok       {shown}"),
        (None, bad) => format!("DAMAGED  {shown}: {bad} of {chunks} chunks"),
    });
}

/// The same by the running peer, which goes on serving meanwhile; returns the exit code.
pub async fn verify_there(peer: Attached, wish: &Verify, out: &mut Output) -> u8 {
    let mut events = peer.engine.events();
    let first = peer.engine.snapshot();
    let mut chosen: Vec<&Transfer> = Vec::new();
    for what in &wish.what {
        match find::one(&first, what) {
            Ok(transfer) => chosen.push(transfer),
            Err(why) => {
                out.error("not-found", &why, "tui-peer status lists what there is");
                return exit::NOT_FOUND;
            }
        }
    }
    if wish.what.is_empty() {
        let complete = |t: &&Transfer| t.state == TransferState::Sharing;
        chosen = first.transfers.iter().filter(complete).collect();
    }
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let end = deadline(wish.timeout);
    let mut code = exit::OK;
    for transfer in chosen {
        let asked = peer.engine.call(Command::Verify { id: transfer.id }).await;
        let result = match asked {
            Err(error) => {
                out.error("verify", &error.message, "tui-peer status lists what there is");
                return refused(&error);
            }
            Ok(_) => loop {
                let event = tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) => event,
                        Err(RecvError::Lagged(_)) => continue,
                        Err(RecvError::Closed) => return gave_up(Ended::Stopped, out),
                    },
                    () = peer.engine.stopped() => return gave_up(Ended::Stopped, out),
                    () = sleep_until(end) => return gave_up(Ended::TooLate, out),
                    code = signals.stop(&peer.engine) => {
                        return gave_up(Ended::Signal(code), out);
                    }
                };
                match event.what {
                    What::Verified { id, bad } if id == transfer.id => {
                        break Ok(usize::try_from(bad).unwrap_or(usize::MAX));
                    }
                    What::Failed { id: Some(id), code: "verify", .. } if id == transfer.id => {
                        break Err(event.text);
                    }
                    _ => {}
                }
            },
        };
        if result != Ok(0) {
            code = exit::DAMAGED;
        }
        tell(&transfer.id, &transfer.name, &transfer.path, transfer.chunks, result, out);
    }
    code
}

fn gave_up(ended: Ended, out: &mut Output) -> u8 {
    let (why, code) = ended.words();
    out.error("wait", why, "the running peer goes on with it: tui-peer status");
    code
}
