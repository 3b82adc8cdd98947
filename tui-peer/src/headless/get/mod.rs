//! `get`: downloads by name, id or link; the exit code says how it went.

mod going;

use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::ContentId;
use common::join::{Link, parse_any};
use tokio::sync::broadcast::error::RecvError;

use self::going::{Fate, Going, say_here};
use super::fetch::{Found, LIST, Search};
use super::output::Output;
use super::signals::{Heard, Signals};
use super::wait::no_way;
use crate::args::{Get, exit};
use engine::api::command::{Command, CommandErrorKind, Download, Selection};
use engine::api::event::Event;
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{NetState, Snapshot, Transfer, TransferState};

/// Progress events and the bottom line at most this often.
const PROGRESS: Duration = Duration::from_millis(500);

/// Runs until everything is there, or cannot be; returns the exit code.
pub async fn get(engine: EngineHandle, request: Get, out: &mut Output) -> u8 {
    let mut events = engine.events();
    let mut snapshots = engine.snapshots();
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    if out.is_told() {
        // Bars and the last sentence say how it goes.
        out.only_warnings();
    }
    let began = Instant::now();
    let mut search = Search::new(request.wait);
    out.ready(&engine.snapshot(), None);
    let mut going = Going::of(&request.what);
    let mut ticker = tokio::time::interval(PROGRESS);
    let (mut stopped_by, mut was_on) = (None, false);
    loop {
        resolve(&engine, &request, &mut going.wanted, &mut search, out).await;
        let all_ended = going.have_all_ended();
        if (all_ended && !request.seed) || out.broken {
            break;
        }
        if request.timeout.is_some_and(|s| began.elapsed() >= Duration::from_secs(s)) && !all_ended
        {
            out.note("not done in time; run the same command again to go on");
            stopped_by = Some(exit::OTHER);
            break;
        }
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => going.hear(&event, &engine, out),
                Err(RecvError::Lagged(_)) => going.unheard(&engine.snapshot(), out),
                Err(RecvError::Closed) => break,
            },
            changed = snapshots.changed() => {
                if changed.is_err() {
                    break;
                }
                snapshots.borrow_and_update();
            }
            code = signals.stop(&engine) => {
                stopped_by = Some(code);
                break;
            }
            // The running peer that does it for us.
            () = engine.stopped() => {
                out.error("stopped", "the running peer stopped", "start it, then run this again");
                stopped_by = Some(exit::OTHER);
                break;
            }
            _ = ticker.tick() => {
                let snapshot = engine.snapshot();
                // What was said before this was seen comes first: it tells why something is gone.
                while let Ok(event) = events.try_recv() {
                    going.hear(&event, &engine, out);
                }
                going.show(&snapshot, out);
                was_on |= snapshot.network.state == NetState::On;
                if let Some(why) = stranded(&snapshot, &request, was_on, began) {
                    out.error("tracker", &why, "check the link, and that the other side still sends");
                    stopped_by = Some(exit::TRACKER);
                    break;
                }
                going.catch_up(&snapshot, out);
            }
        }
    }
    engine.stop(Stop::Gracefully);
    out.rows(&[], "");
    out.status("leaving the network …");
    while let Some(event) = next_until_stopped(&mut events, &engine, &mut signals).await {
        going.hear(&event, &engine, out);
    }
    out.clear();
    out.exit(&engine.snapshot());
    stopped_by.unwrap_or_else(|| going.code())
}

/// Why nothing will come: the tracker refuses us, or cannot be reached by a peer of this run, which knows
/// nobody else.
fn stranded(snapshot: &Snapshot, request: &Get, was_on: bool, began: Instant) -> Option<String> {
    let refused = matches!(snapshot.network.state, NetState::Rejected { .. });
    let alone = (request.once || refused) && !was_on && !request.wait;
    no_way(snapshot, began.elapsed()).filter(|_| alone)
}

async fn next_until_stopped(
    events: &mut engine::api::handle::Events,
    engine: &EngineHandle,
    signals: &mut Signals,
) -> Option<Event> {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            },
            () = engine.stopped() => return events.try_recv().ok(),
            // A second one: not in good order.
            Heard::Stop { .. } = signals.next() => engine.stop(Stop::Now),
        }
    }
}

/// Turns names into ids as the catalogue allows, and starts what can start.
async fn resolve(
    engine: &EngineHandle,
    request: &Get,
    wanted: &mut [(String, Option<ContentId>, Fate)],
    search: &mut Search,
    out: &mut Output,
) {
    let snapshot = engine.snapshot();
    for (what, id, fate) in wanted.iter_mut().filter(|(_, _, fate)| *fate == Fate::Unresolved) {
        let found = match search.look_up(what, &snapshot) {
            Found::Yes(id, name) => (id, name),
            Found::NotYet => continue,
            Found::No(refused) => {
                out.refused(&refused);
                *fate = Fate::Failed(refused.exit);
                continue;
            }
        };
        if let Err(code) = enter(engine, &snapshot, what, out).await {
            *fate = Fate::Failed(code);
            continue;
        }
        if here(&snapshot, &found.0, request, out) {
            (*id, *fate) = (Some(found.0), Fate::Done);
            continue;
        }
        let files = if request.files.is_empty() {
            Selection::All
        } else {
            Selection::Paths(request.files.clone())
        };
        let dir = request.output.clone();
        let download = Download { id: found.0, name: found.1, dir, files };
        match engine.call(Command::Download(download)).await {
            Ok(_) => (*id, *fate) = (Some(found.0), Fate::Getting),
            Err(error) => {
                let (word, hint) = refusal(error.kind);
                out.error(word, &format!("{what}: {}", error.message), hint);
                *fate = Fate::Failed(exit::of(error.kind));
            }
        }
    }
    search.looked(&snapshot);
}

/// Into the network that a link names, where there is none yet; a peer that is in another one stays there.
async fn enter(
    engine: &EngineHandle,
    snapshot: &Snapshot,
    what: &str,
    out: &mut Output,
) -> Result<(), u8> {
    let Ok(Link::File(link)) = parse_any(what) else { return Ok(()) };
    let (join, network) = (link.join(), &snapshot.network);
    if network.is_of(&join.tracker()) {
        return Ok(());
    }
    if network.join.is_some() {
        let why = format!(
            "that is a link of the network at {}, and the peer here is in that of {}",
            join.address(),
            network.tracker
        );
        let hint = "give another folder with --state: a peer of its own fetches it there";
        out.error("network", &format!("{why}; {hint}"), hint);
        return Err(exit::LOCKED);
    }
    if let Err(error) = engine.call(Command::Join { join: join.clone() }).await {
        out.note(&error.message);
    }
    Ok(())
}

/// Word and hint of a request that the engine does not carry out.
fn refusal(kind: CommandErrorKind) -> (&'static str, &'static str) {
    match kind {
        CommandErrorKind::NotFound => ("not-found", LIST),
        CommandErrorKind::Io => ("io", "see to that disk, or name another folder"),
        CommandErrorKind::Permission => ("permission", "name another folder"),
        _ => ("refused", "tui-peer status shows what it is doing"),
    }
}

/// Whether all of it is here already, and where it is wanted if that was said; says where. Of a folder the
/// engine knows which of its files are here.
fn here(snapshot: &Snapshot, id: &ContentId, request: &Get, out: &mut Output) -> bool {
    let whole = |t: &&Transfer| {
        t.state == TransferState::Sharing && t.have == t.chunks && t.kind == Kind::File
    };
    let Some(transfer) = snapshot.transfers.iter().filter(whole).find(|t| t.id == *id) else {
        return false;
    };
    if request.output.as_deref().is_some_and(|dir| transfer.path.parent() != Some(dir)) {
        // The engine knows of all places where it lies.
        return false;
    }
    say_here(transfer, out);
    true
}
