//! `ls`: what the network has.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use common::content::Kind;
use common::id::ContentId;
use serde_json::json;

use super::output::{Output, bytes, with_name};
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::signals::Signals;
use super::wait::deadline;
use crate::args::{Ls, exit};
use crate::engine::command::{CommandError, CommandErrorKind};
use crate::engine::handle::{EngineHandle, Stop};
use crate::engine::snapshot::{CatalogueRow, NetState, Snapshot, Transfer};
use crate::filter::{ALIAS, Filter, Subject, fold};
use crate::members::Owners;

/// How long the catalogue is waited for.
const WAIT: Duration = Duration::from_secs(20);
/// How often it is looked at when nothing changes.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is asked whose the files are while something is waited for.
const ASK: Duration = Duration::from_secs(2);
/// What to do where it is not known whose they are.
const PEERS_HINT: &str = "tui-peer peers --all lists who is in the network";
/// What to do about a tracker.
const HINT: &str = "check the join string and that the tracker runs";

/// Prints the catalogue; returns the exit code.
pub async fn ls(engine: EngineHandle, wish: &Ls, out: &mut Output) -> u8 {
    let query = wish.query.as_deref().or(wish.filter.as_deref()).unwrap_or_default();
    let filter = match Filter::checked(query) {
        Ok(filter) => filter,
        Err(misread) => {
            let hint = "quote what is to be found as it stands; / in the app takes the same words";
            out.error("query", &misread.to_string(), hint);
            engine.stop(Stop::Gracefully);
            engine.stopped().await;
            return exit::QUERY;
        }
    };
    let end = deadline(wish.timeout);
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let mut snapshots = engine.snapshots();
    let began = Instant::now();
    let mut ask_at = began;
    let listed = loop {
        let snapshot = engine.snapshot();
        let catalogue = &snapshot.catalogue;
        if catalogue.whole && Instant::now() >= ask_at {
            match owners(&engine, &filter).await {
                Ok(owners) => {
                    let found = found(&snapshot, &filter, &owners);
                    if !wish.wait || !found.is_empty() {
                        break Ok(found);
                    }
                }
                Err(error) if error.kind == CommandErrorKind::NotFound => {
                    if !wish.wait {
                        break Err(("not-found", error.message, PEERS_HINT, exit::NOT_FOUND));
                    }
                }
                Err(error) => break Err(("members", error.message, PEERS_HINT, exit::TRACKER)),
            }
            if filter.needs_peers() {
                ask_at = Instant::now() + ASK;
            }
        }
        let late = !wish.wait && began.elapsed() > WAIT;
        match &snapshot.network.state {
            NetState::NoNetwork => {
                break Err(("no-network", NO_NETWORK.to_owned(), NO_NETWORK_HINT, exit::TRACKER));
            }
            NetState::Rejected { why } => {
                break Err(("tracker", why.clone(), HINT, exit::TRACKER));
            }
            NetState::Lost { why, .. } if late => {
                let why = format!("the tracker cannot be reached: {why}");
                break Err(("tracker", why, HINT, exit::TRACKER));
            }
            _ if late => {
                let why = "the tracker does not answer".to_owned();
                break Err(("tracker", why, HINT, exit::TRACKER));
            }
            _ => {}
        }
        tokio::select! {
            _ = snapshots.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = tokio::time::sleep_until(end) => {
                engine.stop(Stop::Gracefully);
                engine.stopped().await;
                out.error("wait", "not within the time given", "give it more with --timeout");
                return exit::OTHER;
            }
            code = signals.stop(&engine) => {
                engine.stopped().await;
                return code;
            }
        }
    };
    engine.stop(Stop::Gracefully);
    let code = match listed {
        Err((word, why, hint, code)) => {
            out.error(word, &why, hint);
            code
        }
        Ok(found) => {
            found.iter().for_each(|row| print(row, out));
            exit::OK
        }
    };
    engine.stopped().await;
    code
}

/// Whose the files are, if the search asks for that.
async fn owners(engine: &EngineHandle, filter: &Filter) -> Result<Owners, CommandError> {
    if filter.needs_peers() { Owners::of(engine, filter).await } else { Ok(Owners::default()) }
}

/// The files that a search means, by name; with `~` the best first.
fn found(snapshot: &Snapshot, filter: &Filter, owners: &Owners) -> Vec<CatalogueRow> {
    let own: HashMap<ContentId, &Transfer> = match filter.needs_own() {
        true => snapshot.transfers.iter().map(|transfer| (transfer.id, transfer)).collect(),
        false => HashMap::new(),
    };
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut rows, mut names): (Vec<&CatalogueRow>, Vec<String>) = Default::default();
    for row in &snapshot.catalogue.rows {
        let mut folded = fold(&row.name);
        for alias in &row.aliases {
            folded.push(ALIAS);
            folded.push_str(&fold(alias));
        }
        let own = own.get(&row.id);
        let subject = Subject {
            name: &row.name,
            aliases: &row.aliases,
            folded: &folded,
            size: row.size,
            sources: row.sources,
            availability: own.and_then(|t| t.availability).unwrap_or(row.complete as f32),
            kind: row.kind,
            state: own.map_or("none", |t| t.state.word()),
            id: Some(row.id),
            age: now.saturating_sub(row.first_seen),
            peer: owners.text(&row.id),
        };
        if filter.matches(&subject) {
            rows.push(row);
            names.extend(filter.ranks().then_some(folded));
        }
    }
    if filter.ranks() {
        let scores = filter.scores(names.iter().map(String::as_str));
        let mut best: Vec<_> = scores.into_iter().map(Reverse).zip(rows).collect();
        best.sort_by_key(|(score, _)| *score);
        rows = best.into_iter().map(|(_, row)| row).collect();
    }
    rows.into_iter().cloned().collect()
}

fn print(row: &CatalogueRow, out: &mut Output) {
    let kind = if row.kind == Kind::Folder { "folder" } else { "file" };
    let object = json!({
        "id": row.id.to_string(), "kind": kind, "size": row.size, "chunks": row.chunks,
        "sources": row.sources, "complete": row.complete,
    });
    out.json(&with_name(object, row.raw_name(), &row.name));
    let (id, size) = (row.id.short(), bytes(row.size as f64));
    let slash = if row.kind == Kind::Folder { "/" } else { "" };
    out.line(&format!("{id}  {size:>9}  {:>3} src  {}{slash}", row.sources, row.name));
}
