//! `get`: downloads by name, id or link; the exit code says how it went.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::ContentId;
use common::join::{Link, parse_any};
use common::names::show as show_path;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::fetch::{Found, LIST, Search, passes, row};
use super::output::{Output, Row, with_path};
use super::signals::{Heard, Signals};
use super::together;
use super::unreached::Told;
use super::wait::no_way;
use crate::args::{Get, exit};
use engine::api::command::{Command, CommandErrorKind, Download, Selection};
use engine::api::event::{Event, NO_SUCH_FILE, TAKEN, What};
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{Copying, NetState, Snapshot, Transfer, TransferState};

/// Progress events and the bottom line at most this often.
const PROGRESS: Duration = Duration::from_millis(500);

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Unresolved,
    Getting,
    Done,
    Failed(u8),
}

/// Runs until everything is there, or cannot be; returns the exit code.
pub async fn get(engine: EngineHandle, wish: Get, out: &mut Output) -> u8 {
    let mut events = engine.events();
    let mut snapshots = engine.snapshots();
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    if out.is_told() {
        // Bars and the last sentence say how it goes.
        out.only_warnings();
    }
    let began = Instant::now();
    let mut search = Search::new(wish.wait);
    out.ready(&engine.snapshot(), None);
    let mut wanted: Vec<(String, Option<ContentId>, Fate)> =
        wish.what.iter().map(|what| (what.clone(), None, Fate::Unresolved)).collect();
    let mut ticker = tokio::time::interval(PROGRESS);
    let mut reported: HashMap<ContentId, u32> = HashMap::new();
    let mut seen = HashMap::new();
    let mut told = Told::default();
    let (mut stopped_by, mut was_on) = (None, false);
    loop {
        resolve(&engine, &wish, &mut wanted, &mut search, out).await;
        let open = |fate: &Fate| matches!(fate, Fate::Unresolved | Fate::Getting);
        let all_ended = !wanted.iter().any(|(_, _, fate)| open(fate));
        if (all_ended && !wish.seed) || out.broken {
            break;
        }
        if wish.timeout.is_some_and(|s| began.elapsed() >= Duration::from_secs(s)) && !all_ended {
            out.note("not done in time; run the same command again to go on");
            stopped_by = Some(exit::OTHER);
            break;
        }
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    told.hear(&event);
                    on_event(&event, &mut wanted, &engine, out, &mut reported);
                }
                Err(RecvError::Lagged(_)) => unheard(&engine.snapshot(), &mut wanted, out),
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
                    told.hear(&event);
                    on_event(&event, &mut wanted, &engine, out, &mut reported);
                }
                show(&snapshot, &wanted, out, &mut reported);
                for transfer in snapshot.transfers.iter().filter(|t| is_wanted(&wanted, &t.id)) {
                    told.programs(transfer, out);
                    told.people(transfer, out);
                }
                was_on |= snapshot.network.state == NetState::On;
                if let Some(why) = stranded(&snapshot, &wish, was_on, began) {
                    out.error("tracker", &why, "check the link, and that the other side still sends");
                    stopped_by = Some(exit::TRACKER);
                    break;
                }
                catch_up(&snapshot, &mut wanted, &mut seen, out);
            }
        }
    }
    engine.stop(Stop::Gracefully);
    out.rows(&[], "");
    out.status("leaving the network …");
    while let Some(event) = next_until_stopped(&mut events, &engine, &mut signals).await {
        told.hear(&event);
        on_event(&event, &mut wanted, &engine, out, &mut reported);
    }
    out.clear();
    out.exit(&engine.snapshot());
    stopped_by.unwrap_or_else(|| code(&wanted))
}

fn is_wanted(wanted: &[(String, Option<ContentId>, Fate)], id: &ContentId) -> bool {
    wanted.iter().any(|(_, wanted, fate)| *wanted == Some(*id) && *fate == Fate::Getting)
}

/// Why nothing will come: the tracker refuses us, or cannot be reached by a peer of this run, which knows
/// nobody else.
fn stranded(snapshot: &Snapshot, wish: &Get, was_on: bool, began: Instant) -> Option<String> {
    let refused = matches!(snapshot.network.state, NetState::Rejected { .. });
    let alone = (wish.once || refused) && !was_on && !wish.wait;
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

/// In how many snapshots in a row something has to look as if it were over, if no event said so: snapshots
/// come a little later than answers, and a folder that was complete may be about to get more files.
const STEADY: u32 = 2;

/// How often in a row something was seen here, or missed.
#[derive(Debug, Default)]
struct Seen {
    here: u32,
    gone: u32,
}

/// Turns names into ids as the catalogue allows, and starts what can start.
async fn resolve(
    engine: &EngineHandle,
    wish: &Get,
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
        if here(&snapshot, &found.0, wish, out) {
            (*id, *fate) = (Some(found.0), Fate::Done);
            continue;
        }
        let files = if wish.files.is_empty() {
            Selection::All
        } else {
            Selection::Paths(wish.files.clone())
        };
        let dir = wish.output.clone();
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

/// Word and hint of a wish that the engine does not carry out.
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
fn here(snapshot: &Snapshot, id: &ContentId, wish: &Get, out: &mut Output) -> bool {
    let whole = |t: &&Transfer| {
        t.state == TransferState::Sharing && t.have == t.chunks && t.kind == Kind::File
    };
    let Some(transfer) = snapshot.transfers.iter().filter(whole).find(|t| t.id == *id) else {
        return false;
    };
    if wish.output.as_deref().is_some_and(|dir| transfer.path.parent() != Some(dir)) {
        // The engine knows of all places where it lies.
        return false;
    }
    say_here(transfer, out);
    true
}

fn say_here(transfer: &Transfer, out: &mut Output) {
    let id = transfer.id.to_string();
    let object = json!({"event": "done", "id": id, "bytes": 0, "seconds": 0.0});
    out.json(&with_path(object, "path", &transfer.path));
    out.here(&transfer.path);
}

fn on_event(
    event: &Event,
    wanted: &mut [(String, Option<ContentId>, Fate)],
    engine: &EngineHandle,
    out: &mut Output,
    reported: &mut HashMap<ContentId, u32>,
) {
    let mut size = None;
    if let What::Done { id, .. } = &event.what {
        // The last progress before the end, so that programs see all chunks.
        let snapshot = engine.snapshot();
        if let Some(transfer) = snapshot.transfers.iter().find(|t| t.id == *id) {
            let whole = Transfer { have: transfer.chunks, ..transfer.clone() };
            out.progress(id, &whole);
            reported.insert(*id, whole.have);
            size = Some(whole.size);
        }
    }
    out.event(event);
    for (_, id, fate) in wanted.iter_mut().filter(|(_, id, _)| id.is_some()) {
        match &event.what {
            What::Done { id: done, path, bytes, seconds, .. } if *id == Some(*done) => {
                *fate = Fate::Done;
                // Nothing came of it, though it is not empty: it turned out to be here.
                match *bytes == 0 && size != Some(0) {
                    true => out.here(path),
                    false => out.fetched(path, *bytes, *seconds),
                }
            }
            What::Failed { id: failed, code, .. }
                if id == failed && *fate == Fate::Getting && !passes(code) =>
            {
                *fate = Fate::Failed(match *code {
                    NO_SUCH_FILE => exit::NOT_FOUND,
                    TAKEN => exit::OTHER,
                    _ => exit::IO,
                });
            }
            _ => {}
        }
    }
}

/// Events were dropped, among them perhaps what failed: the state says it as well.
fn unheard(
    snapshot: &Snapshot,
    wanted: &mut [(String, Option<ContentId>, Fate)],
    out: &mut Output,
) {
    for (what, id, fate) in wanted.iter_mut().filter(|(_, _, fate)| *fate == Fate::Getting) {
        let row = snapshot.transfers.iter().find(|row| Some(row.id) == *id);
        if let Some(TransferState::Failed(why)) = row.map(|row| &row.state) {
            out.error("failed", &format!("{what}: {why}"), "tui-peer status shows it");
            *fate = Fate::Failed(exit::IO);
        }
    }
}

/// A wish whose content is complete already ends without an event, and so does one that somebody else takes
/// back.
fn catch_up(
    snapshot: &Snapshot,
    wanted: &mut [(String, Option<ContentId>, Fate)],
    seen: &mut HashMap<ContentId, Seen>,
    out: &mut Output,
) {
    for (what, id, fate) in wanted.iter_mut().filter(|(_, _, fate)| *fate == Fate::Getting) {
        let Some(id) = *id else { continue };
        if snapshot.copies.iter().any(|copy| copy.id == id) {
            // It ends with an event.
            seen.remove(&id);
            continue;
        }
        let transfer = snapshot.transfers.iter().find(|t| t.id == id);
        match transfer.map(|t| (t, &t.state)) {
            Some((transfer, TransferState::Sharing)) => {
                let seen = seen.entry(id).or_default();
                (seen.here, seen.gone) = (seen.here + 1, 0);
                if seen.here >= STEADY {
                    say_here(transfer, out);
                    *fate = Fate::Done;
                }
            }
            Some(_) => _ = seen.insert(id, Seen::default()),
            None if seen.get(&id).is_none_or(|seen| seen.gone + 1 < STEADY) => {
                if let Some(seen) = seen.get_mut(&id) {
                    seen.gone += 1;
                }
            }
            None => {
                let why = format!("{what}: somebody else removed it from the running peer");
                out.error("removed", &why, "run the same command again to go on");
                *fate = Fate::Failed(exit::OTHER);
            }
        }
    }
}

fn show(
    snapshot: &Snapshot,
    wanted: &[(String, Option<ContentId>, Fate)],
    out: &mut Output,
    reported: &mut HashMap<ContentId, u32>,
) {
    let mut rows = Vec::new();
    for (_, id, fate) in wanted {
        let transfer = snapshot.transfers.iter().find(|t| Some(t.id) == *id);
        let Some(transfer) = transfer else { continue };
        let copy = snapshot.copies.iter().find(|copy| copy.id == transfer.id);
        let copied = copy.map(|copy| copied(transfer, copy));
        let shown = copied.as_ref().unwrap_or(transfer);
        if reported.insert(shown.id, shown.have) != Some(shown.have) {
            out.progress(&shown.id, shown);
        }
        if *fate == Fate::Getting {
            let to = copy.map(|copy| show_path(&copy.path.to_string_lossy()));
            let note = to.map(|to| format!("copying to {to}"));
            rows.push(match note {
                Some(note) => Row { note: Some(note), ended: false, ..row(shown) },
                None => row(shown),
            });
        }
    }
    let asks = wanted.iter().any(|(_, _, fate)| *fate == Fate::Unresolved);
    out.rows(&rows, "downloads");
    out.status(match snapshot.network.state {
        NetState::Connecting if asks => "asking the tracker …",
        _ if asks && !snapshot.catalogue.whole => "asking the tracker …",
        _ if asks => "waiting for what is not in the network yet · ^C ends",
        _ => "",
    });
}

/// A copy of what is here, as if it were on its way.
fn copied(transfer: &Transfer, copy: &Copying) -> Transfer {
    let chunks = u64::from(transfer.chunks);
    let have = u128::from(chunks) * u128::from(copy.done) / u128::from(copy.size.max(1));
    Transfer {
        size: copy.size,
        done: copy.done,
        have: u32::try_from(have).unwrap_or(transfer.chunks).min(transfer.chunks),
        ..transfer.clone()
    }
}

fn code(wanted: &[(String, Option<ContentId>, Fate)]) -> u8 {
    let failed: Vec<u8> = wanted
        .iter()
        .filter_map(|(_, _, fate)| match fate {
            Fate::Done => None,
            Fate::Failed(code) => Some(*code),
            Fate::Unresolved | Fate::Getting => Some(exit::OTHER),
        })
        .collect();
    together(&failed, wanted.len())
}
