//! `ls`: what the network has.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use common::content::Kind as ContentKind;
use common::id::ContentId;
use serde_json::json;

use super::output::{Cell, Column, Kind, Output, Paint, bytes, with_name};
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::signals::Signals;
use super::wait::{Ended, deadline, within};
use crate::args::{Ls, exit};
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{
    CatalogueRow, FoundInside, NetState, Snapshot, Transfer, TransferState,
};
use frontend::filter::{Filter, Misread, Subject};
use frontend::find::Miss;
use frontend::format;
use frontend::inside::{Question, and_more, folded};
use frontend::members::Owners;

/// How long the catalogue is waited for.
const WAIT: Duration = Duration::from_secs(20);
/// How often it is looked at when nothing changes.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is asked whose the files are, and what is inside folders, while something is waited for.
const ASK: Duration = Duration::from_secs(2);
/// What to do where it is not known whose they are.
const PEERS_HINT: &str = "tui-peer peers --all lists who is in the network";
/// What to do about a tracker.
const HINT: &str = "check the join string and that the tracker runs";

/// What a search finds.
#[derive(Default)]
struct Finds {
    /// Rows that fit by themselves.
    rows: Vec<CatalogueRow>,
    /// Folders that fit by files inside.
    inside: Vec<FoundInside>,
}

impl Finds {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.inside.is_empty()
    }
}

/// Prints what a search finds in the catalogue; returns the exit code.
pub async fn ls(engine: EngineHandle, request: &Ls, filter: &Filter, out: &mut Output) -> u8 {
    let end = deadline(request.timeout);
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let mut snapshots = engine.snapshots();
    let began = Instant::now();
    let question = Question::of(filter);
    let (mut ask_at, mut seen) = (began, None);
    let listed = loop {
        let snapshot = engine.snapshot();
        let catalogue = &snapshot.catalogue;
        // What is downloaded and shared here, and whose files are, change without the catalogue.
        // So does what is known of folders.
        let asks = filter.needs_peers() || request.wait && question.is_some();
        let news = filter.needs_own() || asks || seen != Some(catalogue.version);
        if catalogue.whole && news && Instant::now() >= ask_at {
            seen = Some(catalogue.version);
            let asked = search_all(&engine, &snapshot, filter, question.as_ref());
            let asked = within(&engine, end, &mut signals, asked).await;
            match asked {
                Err(Ended::Signal(code)) => {
                    engine.stopped().await;
                    return code;
                }
                Err(ended) => break Err(gave_up(ended)),
                Ok(Ok(found)) => {
                    if !request.wait || !found.is_empty() {
                        break Ok(found);
                    }
                }
                Ok(Err(error)) if error.kind == CommandErrorKind::NotFound => {
                    if !request.wait {
                        let why = format!("{}; {PEERS_HINT}", error.message);
                        break Err(("not-found", why, PEERS_HINT, exit::NOT_FOUND));
                    }
                }
                Ok(Err(error)) => break Err(("members", error.message, PEERS_HINT, exit::TRACKER)),
            }
            if asks {
                ask_at = Instant::now() + ASK;
            }
        }
        let late = !request.wait && began.elapsed() > WAIT;
        if let Some(why) = no_list(&snapshot.network.state, late) {
            break Err(why);
        }
        let news = tokio::time::timeout(LOOK, snapshots.changed());
        match within(&engine, end, &mut signals, news).await {
            Ok(Ok(Err(_))) => break Err(gave_up(Ended::Stopped)),
            // Something changed, or nothing for a while.
            Ok(_) => {}
            Err(Ended::Signal(code)) => {
                engine.stopped().await;
                return code;
            }
            Err(ended) => break Err(gave_up(ended)),
        }
    };
    engine.stop(Stop::Gracefully);
    let code = match &listed {
        Err((word, why, hint, code)) => {
            out.error(word, why, hint);
            *code
        }
        Ok(found) => {
            print_all(found, request, &engine.snapshot(), out);
            exit::OK
        }
    };
    engine.stopped().await;
    code
}

/// Why there is no list: a word for programs, why, what to do, the exit code.
type NoList = (&'static str, String, &'static str, u8);

/// Why no list will come, after having waited long enough for it if that is `late`.
fn no_list(state: &NetState, late: bool) -> Option<NoList> {
    let tracker = |why| Some(("tracker", why, HINT, exit::TRACKER));
    match state {
        NetState::NoNetwork => {
            Some(("no-network", NO_NETWORK.to_owned(), NO_NETWORK_HINT, exit::TRACKER))
        }
        NetState::Rejected { why } => tracker(why.clone()),
        NetState::Lost { why, .. } if late => {
            tracker(format!("the tracker cannot be reached: {why}"))
        }
        _ if late => tracker("the tracker does not answer".to_owned()),
        _ => None,
    }
}

/// Why it was not waited for any longer, if not for a signal.
fn gave_up(ended: Ended) -> NoList {
    let (why, code) = ended.words();
    let (word, hint) = match ended {
        Ended::Stopped => ("stopped", "start it, then run this again"),
        _ => ("wait", "give it more with --timeout"),
    };
    (word, why.to_owned(), hint, code)
}

/// All that a search finds.
async fn search_all(
    engine: &EngineHandle,
    snapshot: &Snapshot,
    filter: &Filter,
    question: Option<&Question>,
) -> Result<Finds, CommandError> {
    let owners = owners(engine, filter).await?;
    let rows = found(snapshot, filter, &owners);
    let mut finds = Finds { rows, inside: Vec::new() };
    let Some(question) = question else { return Ok(finds) };
    let query = question.query.clone();
    // A tracker that does not look inside folders, or has no time, is no reason to find nothing else.
    if let Ok(Reply::Found(answer)) = engine.call(Command::Find { query }).await {
        let own = own(snapshot, filter);
        let now = now();
        finds.inside = question.keep(answer, |row, name, folded| {
            filter.matches(&subject(row, (name, folded), own.get(&row.id), &owners, now))
        });
        // What fits by its name is there already.
        let there: HashSet<ContentId> = finds.rows.iter().map(|row| row.id).collect();
        finds.inside.retain(|found| !there.contains(&found.row.id));
    }
    Ok(finds)
}

/// Whose the files are, if the search asks for that.
async fn owners(engine: &EngineHandle, filter: &Filter) -> Result<Owners, CommandError> {
    if filter.needs_peers() { Owners::of(engine, filter).await } else { Ok(Owners::default()) }
}

fn print_all(found: &Finds, request: &Ls, snapshot: &Snapshot, out: &mut Output) {
    if out.is_read() {
        show(found, snapshot, out);
    } else {
        found.rows.iter().for_each(|row| print(row, None, out));
        found.inside.iter().for_each(|found| print(&found.row, Some(found), out));
    }
    if found.is_empty() && out.is_told() {
        out.always(&nothing(request, snapshot));
    }
}

/// What is looked for, if every word of it means something among the network's files.
///
/// # Errors
/// The word that means nothing, and what to write.
pub fn search(request: &Ls) -> Result<Filter, Misread> {
    let query = request.query.as_deref().or(request.filter.as_deref()).unwrap_or_default();
    Filter::checked(query)
}

/// What of it is here, if the search asks for that.
fn own<'s>(snapshot: &'s Snapshot, filter: &Filter) -> HashMap<ContentId, &'s Transfer> {
    match filter.needs_own() {
        true => snapshot.transfers.iter().map(|transfer| (transfer.id, transfer)).collect(),
        false => HashMap::new(),
    }
}

/// A row as a search looks at it, under a name and with all its names folded.
fn subject<'s>(
    row: &'s CatalogueRow,
    (name, folded): (&'s str, &'s str),
    own: Option<&&Transfer>,
    owners: &'s Owners,
    now: u64,
) -> Subject<'s> {
    Subject {
        name,
        aliases: row.aliases(),
        folded,
        size: row.size,
        sources: row.sources,
        availability: own.and_then(|t| t.availability).unwrap_or(row.complete as f32),
        kind: row.kind,
        state: own.map_or("none", |t| t.state.word()),
        id: Some(row.id),
        age: now.saturating_sub(row.first_seen),
        peer: "",
        owners: Some(owners.of_file(&row.id)),
    }
}

/// The files that a search means, by name; with `~` the best first.
fn found(snapshot: &Snapshot, filter: &Filter, owners: &Owners) -> Vec<CatalogueRow> {
    let own = own(snapshot, filter);
    let now = now();
    let (mut rows, mut names): (Vec<&CatalogueRow>, Vec<String>) = Default::default();
    for row in &snapshot.catalogue.rows {
        let folded = folded(&row.name, row.aliases());
        if filter.matches(&subject(row, (&row.name, &folded), own.get(&row.id), owners, now)) {
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

/// For a program, or a file: a line for each row, and for each file inside by which it was found.
fn print(row: &CatalogueRow, inside: Option<&FoundInside>, out: &mut Output) {
    let kind = if row.kind == ContentKind::Folder { "folder" } else { "file" };
    let mut object = json!({
        "id": row.id.to_string(), "kind": kind, "size": row.size, "chunks": row.chunks,
        "sources": row.sources, "complete": row.complete,
    });
    if let Some(FoundInside { paths, files, .. }) = inside {
        object["inside"] = json!(paths);
        object["inside_files"] = json!(files);
    }
    out.json(&with_name(object, row.raw_name(), &row.name));
    let (id, size) = (row.id.short(), bytes(row.size as f64));
    let slash = if row.kind == ContentKind::Folder { "/" } else { "" };
    out.line(&format!("{id}  {size:>9}  {:>3} src  {}{slash}", row.sources, row.name));
    for line in inside.into_iter().flat_map(inside_lines) {
        out.line(&format!("{:29}{line}", ""));
    }
}

/// Below a folder: the files inside by which it was found.
fn inside_lines(found: &FoundInside) -> impl Iterator<Item = String> {
    found.paths.iter().cloned().chain(and_more(found)).map(|line| format!("  {line}"))
}

/// What stands in the table.
const COLUMNS: [Column; 8] = [
    Column { title: "NAME", kind: Kind::Text },
    Column { title: "SIZE", kind: Kind::Number },
    Column { title: "SOURCES", kind: Kind::Number },
    Column { title: "COPIES", kind: Kind::Number },
    Column { title: "WEAKEST", kind: Kind::Number },
    Column { title: "HERE", kind: Kind::Number },
    Column { title: "ID", kind: Kind::Word },
    Column { title: "SINCE", kind: Kind::Number },
];

/// For a person at a terminal.
fn show(found: &Finds, snapshot: &Snapshot, out: &mut Output) {
    if found.is_empty() {
        return;
    }
    let own: HashMap<ContentId, &Transfer> =
        snapshot.transfers.iter().map(|transfer| (transfer.id, transfer)).collect();
    let now = now();
    let units = out.looks().units;
    let plain = found.rows.iter().map(|row| (row, None));
    let inside = found.inside.iter().map(|found| (&found.row, Some(found)));
    let mut rows = Vec::with_capacity(found.rows.len() + found.inside.len());
    let (mut count_of_rows, mut bytes) = (0, 0u64);
    for (row, inside) in plain.chain(inside) {
        count_of_rows += 1;
        bytes = bytes.saturating_add(row.size);
        let own = own.get(&row.id).copied();
        let slash = if row.kind == ContentKind::Folder { "/" } else { "" };
        let age = now.saturating_sub(row.first_seen);
        let count = |n: u32| match n {
            0 => Cell::painted("0", Paint::Dim),
            n => format::short_count(u64::from(n)).into(),
        };
        rows.push(vec![
            format!("{}{slash}", row.name).into(),
            format::size(row.size, units).into(),
            count(row.sources),
            count(row.complete),
            weakest(row, own),
            own.map_or_else(Cell::default, here),
            row.id.short().into(),
            if row.first_seen == 0 { Cell::default() } else { format::eta(age).into() },
        ]);
        let lines = inside.into_iter().flat_map(inside_lines);
        rows.extend(lines.map(|line| vec![Cell::painted(line, Paint::Dim)]));
    }
    out.table(&COLUMNS, &rows);
    let sum = format!("{}, {}", format::plural(count_of_rows, "row"), format::size(bytes, units));
    let sum = out.looks().paint(Paint::Dim, &sum).into_owned();
    out.line(&sum);
}

/// Copies of the chunk that fewest have, as far as that can be said: of what is fetched it is known, of the rest
/// that it is at least as many as have all of it.
pub(super) fn weakest(row: &CatalogueRow, own: Option<&Transfer>) -> Cell {
    match own.and_then(|own| own.availability) {
        Some(copies) => availability(copies),
        None if row.sources == 0 => Cell::painted("none", Paint::Error),
        None if row.sources == row.complete => format::short_count(u64::from(row.complete)).into(),
        None if row.complete == 0 => Cell::painted("?", Paint::Warn),
        None => format!("{}+", format::short_count(u64::from(row.complete))).into(),
    }
}

/// Copies of the rarest chunk that is missing.
pub(super) fn availability(copies: f32) -> Cell {
    let text = format::availability(copies);
    if copies < 1.0 { Cell::painted(format!("{text}!"), Paint::Error) } else { text.into() }
}

/// How much of it is here.
fn here(own: &Transfer) -> Cell {
    match own.state {
        TransferState::Sharing => Cell::painted("all", Paint::Accent),
        _ if own.done >= own.size => Cell::default(),
        _ => Cell::painted(format::percent(own.done, own.size), Paint::Accent),
    }
}

/// Why there is nothing, and what was probably meant.
fn nothing(request: &Ls, snapshot: &Snapshot) -> String {
    let query = request.query.as_deref().or(request.filter.as_deref()).unwrap_or_default();
    let rows = &snapshot.catalogue.rows;
    if rows.is_empty() {
        return "nothing is shared in this network yet".to_owned();
    }
    let miss = Miss::nothing(query, rows.iter().map(|row| &*row.name));
    format!("{} ({} in the network)", miss.message("nothing here"), rows.len())
}

fn now() -> u64 {
    common::clock::unix_secs(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::handle::channel;
    use engine::api::snapshot::Me;

    /// Longest it may take on a busy machine; for ever if nobody notices.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    #[test]
    fn c1_a_list_that_is_waited_for_ends_with_the_peer_that_is_asked() {
        let (told, end) = std::sync::mpsc::channel();
        // On a thread of its own: what turns round for ever cannot be stopped.
        std::thread::spawn(move || {
            let mut snapshot = Snapshot::first(Me::example());
            snapshot.network.state = NetState::On;
            let (engine, parts) = channel(snapshot);
            let request = Ls {
                query: Some("nothing".to_owned()),
                filter: None,
                near: false,
                wait: true,
                timeout: None,
                common: crate::args::Common::default(),
            };
            let filter = search(&request).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let code = runtime.unwrap().block_on(async {
                let mut out = Output::new(true, 0);
                let ended = async {
                    tokio::task::yield_now().await;
                    drop(parts);
                };
                tokio::join!(ls(engine, &request, &filter, &mut out), ended).0
            });
            told.send(code).unwrap();
        });
        assert_eq!(end.recv_timeout(PATIENCE), Ok(exit::OTHER));
    }

    #[test]
    fn p6_the_weakest_chunk_is_told_as_far_as_it_is_known() {
        let row = |sources, complete| CatalogueRow {
            id: ContentId::from_bytes([1; 32]),
            name: "x".into(),
            others: None,
            kind: ContentKind::File,
            size: 1,
            chunks: 1,
            sources,
            complete,
            first_seen: 0,
        };
        let of = |sources, complete| weakest(&row(sources, complete), None).text;
        assert_eq!(
            (of(0, 0), of(3, 0), of(3, 1), of(3, 3)),
            ("none".into(), "?".into(), "1+".into(), "3".into())
        );
        let own = Transfer { availability: Some(0.5), ..Transfer::blank(row(1, 0).id) };
        assert_eq!(weakest(&row(3, 1), Some(&own)).text, "0.50!");
    }
}
