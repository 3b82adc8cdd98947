//! `verify`: shared and downloaded files are read again and compared with what was hashed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::id::ContentId;
use common::numbers::saturate;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{interval, sleep_until};

use super::output::{Output, with_name, with_path};
use super::signals::Signals;
use super::wait::{Ended, deadline};
use super::working::{Working, reading};
use super::{library_code, missed};
use crate::args::{Verify, exit};
use crate::control::Attached;
use engine::api::command::Command;
use engine::api::event::{Event, What};
use engine::api::handle::{EngineHandle, Events};
use engine::api::library::{Compared, Library, ShareRecord, compare};
use engine::api::snapshot::{Transfer, TransferState};
use frontend::find::{self, ALL, Miss, Named, Wanted};

/// How often bars move.
const LOOK: Duration = Duration::from_millis(500);
/// What there is none of.
const NOTHING: &str = "nothing shared or downloaded here";

/// Checks everything the library at `state` knows that `what` names; returns the exit code.
pub async fn verify(state: &Path, what: &[String], out: &mut Output) -> u8 {
    let (library, loaded) = match Library::open(state) {
        Ok((library, loaded)) => (Arc::new(library), loaded),
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let wanted: Vec<Wanted<'_>> = what.iter().map(|what| Wanted::new(what)).collect();
    let all = what.is_empty() || what.iter().any(|what| what == ALL);
    let chosen: Vec<&ShareRecord> = loaded
        .shares
        .iter()
        .filter(|record| all || wanted.iter().any(|wanted| wanted.means(*record)))
        .collect();
    let mut code = exit::OK;
    for (what, wanted) in what.iter().zip(&wanted) {
        if !all && !chosen.iter().any(|record| wanted.means(*record)) {
            let names: Vec<String> = loaded.shares.iter().map(Named::shown).collect();
            let miss = Miss::nothing(what, names.iter().map(String::as_str));
            code = missed(miss, NOTHING, "tui-peer verify checks all there is", out);
        }
    }
    for record in chosen {
        let shown = common::names::show(&record.name);
        let (library, path) = (library.clone(), record.path.clone());
        let work = move |progress: &_, cancel: &_| compare(&library, &path, progress, cancel);
        let result = match reading(shown.clone(), out, work).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(code) => return code,
        };
        if let Ok(Compared { remembered: Err(error), .. }) = &result {
            out.note(&format!("{shown}: what was found is not remembered: {error}"));
        }
        let result = result.map(|compared| compared.bad);
        if result != Ok(0) {
            code = exit::DAMAGED;
        }
        let names = (record.name.as_str(), shown.as_str());
        tell(&record.id, names, &record.path, record.chunks, result, out);
    }
    code
}

/// What became of one: chunks that are wrong, or why that cannot be said.
fn tell(
    id: &ContentId,
    (name, shown): (&str, &str),
    path: &Path,
    chunks: u32,
    result: Result<usize, String>,
    out: &mut Output,
) {
    let (bad, why) = match result {
        Ok(bad) => (bad, None),
        Err(why) => (0, Some(why)),
    };
    let id = id.to_string();
    let object = json!({"event": "verified", "id": id, "bad_chunks": bad, "error": why});
    out.json(&with_path(with_name(object, name, shown), "path", path));
    out.line(&match (&why, bad) {
        (Some(why), _) => format!("FAILED   {shown}: {why}"),
        (None, 0) => format!("ok       {shown}"),
        (None, bad) => format!("DAMAGED  {shown}: {bad} of {chunks} chunks"),
    });
}

/// The same by the running peer, which goes on serving meanwhile; returns the exit code.
pub async fn verify_there(peer: Attached, request: &Verify, out: &mut Output) -> u8 {
    let mut events = peer.engine.events();
    let first = peer.engine.snapshot();
    let mut chosen: Vec<&Transfer> = Vec::new();
    let all = request.what.is_empty() || request.what.iter().any(|what| what == ALL);
    for what in &request.what {
        match find::one(what, first.transfers.iter()) {
            _ if all => break,
            Ok(transfer) => chosen.push(transfer),
            Err(miss) => return missed(miss, NOTHING, "tui-peer status lists what there is", out),
        }
    }
    if all {
        let complete = |t: &&Transfer| t.state == TransferState::Sharing;
        chosen = first.transfers.iter().filter(complete).collect();
    }
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let end = deadline(request.timeout);
    let mut code = exit::OK;
    for transfer in chosen {
        if transfer.state == TransferState::Hashing {
            let why = "it is being hashed just now, which reads all of it; verify it after that";
            out.error("verify", &format!("{}: {why}", transfer.name), "tui-peer status");
            code = exit::OTHER;
            continue;
        }
        if let Err(error) = peer.engine.call(Command::Verify { id: transfer.id }).await {
            out.error("verify", &error.message, "tui-peer status lists what there is");
            code = exit::of(error.kind);
            continue;
        }
        let verdict = verdict(&peer.engine, &transfer.id, &mut events);
        tokio::pin!(verdict);
        let (mut working, mut ticker) = (Working::default(), interval(LOOK));
        let result = loop {
            tokio::select! {
                result = &mut verdict => match result {
                    Some(result) => break result,
                    None => return gave_up(Ended::Stopped, out),
                },
                _ = ticker.tick() => working.show(&peer.engine.snapshot(), out),
                () = peer.engine.stopped() => return gave_up(Ended::Stopped, out),
                () = sleep_until(end) => return gave_up(Ended::TooLate, out),
                code = signals.stop(&peer.engine) => return gave_up(Ended::Signal(code), out),
            }
        };
        out.clear();
        if result != Ok(0) {
            code = exit::DAMAGED;
        }
        let names = (transfer.raw_name(), &*transfer.name);
        tell(&transfer.id, names, &transfer.path, transfer.chunks, result, out);
    }
    code
}

/// What the peer says after it has read a share again; `None` if it stops before that.
async fn verdict(
    engine: &EngineHandle,
    id: &ContentId,
    events: &mut Events,
) -> Option<Result<usize, String>> {
    let mut snapshots = engine.snapshots();
    // Whether it was seen being read since we asked, and whether events were dropped.
    let (mut reading, mut dropped) = (false, false);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => match said(&event, id) {
                    Some(result) => return Some(result),
                    None if !dropped => continue,
                    None => {}
                },
                Err(RecvError::Lagged(_)) => dropped = true,
                Err(RecvError::Closed) => return None,
            },
            changed = snapshots.changed() => changed.ok()?,
        }
        let snapshot = engine.snapshot();
        let Some(transfer) = snapshot.transfers.iter().find(|t| t.id == *id) else {
            // A peer of an earlier version says nothing of a share that is taken away meanwhile.
            return Some(last_word(id, events));
        };
        match transfer.state {
            TransferState::Checking => reading = true,
            _ if !dropped => {}
            // The verdict may have been among what was dropped: how it stands after it was read says
            // the same.
            TransferState::Sharing if reading => return Some(Ok(0)),
            _ if reading => return Some(Err(transfer.plan.why.clone())),
            // As far as this picture shows it may not have been read yet: who asks meanwhile gets the
            // same verdict.
            _ => {
                dropped = false;
                if let Err(error) = engine.call(Command::Verify { id: *id }).await {
                    return Some(Err(error.message));
                }
            }
        }
    }
}

/// What was said of a share that is not there any more.
fn last_word(id: &ContentId, events: &mut Events) -> Result<usize, String> {
    while let Ok(event) = events.try_recv() {
        if let Some(result) = said(&event, id) {
            return result;
        }
    }
    Err("it is no longer shared there".to_owned())
}

fn said(event: &Event, of: &ContentId) -> Option<Result<usize, String>> {
    match &event.what {
        What::Verified { id, bad } if id == of => Some(Ok(saturate::<usize>(*bad))),
        What::Failed { id: Some(id), code: "verify", .. } if id == of => {
            Some(Err(event.text.clone()))
        }
        _ => None,
    }
}

fn gave_up(ended: Ended, out: &mut Output) -> u8 {
    let (why, code) = ended.words();
    out.clear();
    out.error("wait", why, "the running peer goes on with it: tui-peer status");
    code
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use engine::api::command::Reply;
    use engine::api::event::{Level, Target};
    use engine::api::handle::{EVENT_QUEUE, EventSender, HandleParts, channel};
    use engine::api::snapshot::{Me, Snapshot};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn snapshot(id: ContentId, state: TransferState) -> Snapshot {
        let mut snapshot = Snapshot::first(Me::example());
        snapshot.transfers = [Transfer { state, ..Transfer::blank(id) }].into();
        snapshot
    }

    fn tell(events: &EventSender, what: What) {
        let (at, text) = (SystemTime::now(), String::new());
        events.send(Event { at, level: Level::Info, target: Target::Share, text, what });
    }

    /// More than a reader may be behind.
    fn flood(parts: &HandleParts, id: ContentId) {
        for _ in 0..=EVENT_QUEUE {
            tell(&parts.events, What::Failed { id: Some(id), code: "other", hint: String::new() });
        }
    }

    #[tokio::test]
    async fn b12_a_verdict_among_dropped_events_is_asked_for_again_and_not_guessed() {
        let id = ContentId::from_bytes([1; 32]);
        // The picture is still that from before it was read.
        let (engine, mut parts) = channel(snapshot(id, TransferState::Sharing));
        let mut events = engine.live_events();
        flood(&parts, id);
        let mut asked = 0;
        let answers = async {
            while let Some((command, reply)) = parts.commands.recv().await {
                assert!(matches!(command, Command::Verify { id: of } if of == id), "{command:?}");
                reply.send(Ok(Reply::Accepted)).unwrap();
                asked += 1;
                if asked == 1 {
                    tell(&parts.events, What::Verified { id, bad: 3 });
                }
            }
            unreachable!("the other half has it")
        };
        let both = async {
            tokio::select! {
                result = verdict(&engine, &id, &mut events) => result,
                () = answers => None,
            }
        };
        assert_eq!(tokio::time::timeout(PATIENCE, both).await.unwrap(), Some(Ok(3)));
    }

    #[tokio::test]
    async fn b12_a_share_that_was_seen_being_read_is_not_read_twice() {
        let id = ContentId::from_bytes([1; 32]);
        let (engine, mut parts) = channel(snapshot(id, TransferState::Checking));
        let mut events = engine.live_events();
        flood(&parts, id);
        let wait = verdict(&engine, &id, &mut events);
        tokio::pin!(wait);
        // Until it has seen all that and waits again.
        let early = tokio::time::timeout(Duration::ZERO, &mut wait).await;
        assert!(early.is_err(), "it is being read: {early:?}");
        parts.snapshots.send_replace(snapshot(id, TransferState::Sharing).into());
        assert_eq!(tokio::time::timeout(PATIENCE, wait).await.unwrap(), Some(Ok(0)));
        assert!(parts.commands.try_recv().is_err());
    }
}
