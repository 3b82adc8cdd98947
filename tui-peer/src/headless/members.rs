//! `peers --all`: who is in the network.

use std::time::{Duration, SystemTime};

use common::id::PeerId;
use serde_json::json;
use tokio::time::Instant;

use super::output::{Cell, Column, Kind, Output, Paint};
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::signals::Signals;
use super::wait::{Ended, TRACKER_WAIT, deadline, no_way, until, within};
use crate::args::{Peers, exit};
use engine::api::command::{CommandError, CommandErrorKind};
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::{MemberRow, NetState, Snapshot};
use frontend::format;
use frontend::members;

/// How often somebody else is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Members listed at most: as many peers as a tracker knows.
const MAX_LISTED: usize = 1_000_000;
/// Members whose columns are aligned with each other on a terminal; those behind them begin a table of their own.
/// Some 3 MB, and a second or two of the tracker.
const MAX_TABLE: usize = 10_000;
/// What to do about a tracker.
const HINT: &str = "tui-peer peers without --all lists those this peer is connected to";

/// Why there is no list: a word for programs, for people, what to do, the exit code.
type Failed = (&'static str, String, &'static str, u8);

/// Prints who is in the network; returns the exit code.
pub async fn members(engine: EngineHandle, request: &Peers, out: &mut Output) -> u8 {
    let listed = list(&engine, request, out).await;
    engine.stop(Stop::Gracefully);
    engine.stopped().await;
    match listed {
        Ok(()) => exit::OK,
        Err((word, why, hint, code)) => {
            out.error(word, &why, hint);
            code
        }
    }
}

async fn list(engine: &EngineHandle, request: &Peers, out: &mut Output) -> Result<(), Failed> {
    let end = deadline(request.timeout);
    let me = joined(engine, if request.wait { end } else { Instant::now() + TRACKER_WAIT }).await?;
    if request.wait {
        alone_no_more(engine, end).await?;
    }
    let mut listing = Listing { me, count: 0, table: Vec::new() };
    let ended = listing.read(engine, end, out).await;
    // What came before an error is shown too, as a program would have read it.
    listing.show(out);
    if ended.is_ok() && out.is_read() {
        let sum = format::plural(listing.count as u64, "member");
        let sum = out.looks().paint(Paint::Dim, &sum).into_owned();
        out.line(&sum);
    }
    ended
}

/// What was listed so far.
struct Listing {
    me: PeerId,
    count: usize,
    /// For a table on a terminal.
    table: Vec<MemberRow>,
}

impl Listing {
    async fn read(
        &mut self,
        engine: &EngineHandle,
        end: Instant,
        out: &mut Output,
    ) -> Result<(), Failed> {
        let mut signals = Signals::new().map_err(|_| interrupted(Ended::Stopped))?;
        let mut cursor = Vec::new();
        for _ in 0..members::MAX_PAGES {
            let page = members::page(engine, "", cursor);
            let page = within(engine, end, &mut signals, page).await.map_err(interrupted)?;
            let page = page.map_err(failed)?;
            self.count += page.rows.len();
            if out.is_read() {
                self.table.extend(page.rows);
            } else {
                page.rows.iter().for_each(|row| print(row, row.peer == self.me, out));
            }
            if self.table.len() >= MAX_TABLE {
                self.show(out);
            }
            cursor = page.cursor;
            if cursor.is_empty() || out.broken {
                return Ok(());
            }
            if self.count >= MAX_LISTED {
                break;
            }
        }
        out.note("there are more members than can be: the rest is not listed");
        Ok(())
    }

    /// For a person at a terminal: those that were not shown yet.
    fn show(&mut self, out: &mut Output) {
        if self.table.is_empty() {
            return;
        }
        let dash = out.looks().signs.dash;
        let rows = self.table.drain(..).map(|row| {
            let addr = row.addrs.first().map_or_else(|| dash.to_owned(), ToString::to_string);
            let own = row.peer == self.me;
            vec![
                if row.nick.is_empty() { dash.into() } else { row.nick.clone().into() },
                row.peer.short().into(),
                addr.into(),
                format::short_count(u64::from(row.shares)).into(),
                format::lasting(since(&row)).into(),
                if own { Cell::painted("this peer", Paint::Dim) } else { Cell::default() },
            ]
        });
        let rows: Vec<Vec<Cell>> = rows.collect();
        out.table(&COLUMNS, &rows);
    }
}

/// Waits until we are in the network; who we are there.
async fn joined(engine: &EngineHandle, end: Instant) -> Result<PeerId, Failed> {
    let began = Instant::now();
    let settled = |snapshot: &Snapshot| {
        let state = &snapshot.network.state;
        matches!(state, NetState::On | NetState::NoNetwork | NetState::Left)
            || no_way(snapshot, began.elapsed()).is_some()
    };
    let snapshot = match until(engine, end, settled).await {
        Ok(snapshot) => snapshot,
        Err(Ended::TooLate) => {
            let why = no_way(&engine.snapshot(), TRACKER_WAIT + Duration::from_secs(1))
                .unwrap_or_else(|| "the tracker does not answer".to_owned());
            return Err(("tracker", why, HINT, exit::TRACKER));
        }
        Err(ended) => return Err(interrupted(ended)),
    };
    match &snapshot.network.state {
        NetState::On => Ok(snapshot.me.peer),
        NetState::NoNetwork => {
            Err(("no-network", NO_NETWORK.to_owned(), NO_NETWORK_HINT, exit::TRACKER))
        }
        NetState::Left => {
            let why = "this peer has left the network".to_owned();
            Err(("no-network", why, "tui-peer rejoin comes back", exit::TRACKER))
        }
        _ => {
            let why = no_way(&snapshot, began.elapsed()).unwrap_or_default();
            Err(("tracker", why, HINT, exit::TRACKER))
        }
    }
}

/// Waits until somebody else is there.
async fn alone_no_more(engine: &EngineHandle, end: Instant) -> Result<(), Failed> {
    let mut signals = Signals::new().map_err(|_| interrupted(Ended::Stopped))?;
    loop {
        let page = members::page(engine, "", Vec::new());
        let page = within(engine, end, &mut signals, page).await.map_err(interrupted)?;
        if page.map_err(failed)?.total >= 2 {
            return Ok(());
        }
        let pause = tokio::time::sleep(LOOK);
        within(engine, end, &mut signals, pause).await.map_err(interrupted)?;
    }
}

fn interrupted(ended: Ended) -> Failed {
    let (why, code) = ended.words();
    ("wait", why.to_owned(), "tui-peer status shows how the network does", code)
}

fn failed(error: CommandError) -> Failed {
    let code = match error.kind {
        CommandErrorKind::Stopped => exit::OTHER,
        _ => exit::TRACKER,
    };
    ("members", error.message, HINT, code)
}

/// What stands in the table of members.
const COLUMNS: [Column; 6] = [
    Column { title: "NAME", kind: Kind::Text },
    Column { title: "KEY", kind: Kind::Word },
    Column { title: "ADDRESS", kind: Kind::Word },
    Column { title: "SHARES", kind: Kind::Number },
    Column { title: "ONLINE", kind: Kind::Number },
    Column { title: "", kind: Kind::Word },
];

/// Seconds since it came. A clock that is behind the tracker's sees no future.
fn since(row: &MemberRow) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(row.since)
}

fn print(row: &MemberRow, own: bool, out: &mut Output) {
    let addrs: Vec<String> = row.addrs.iter().map(ToString::to_string).collect();
    out.json(&json!({
        "event": "member", "peer": row.peer.to_string(), "nick": row.nick, "addrs": addrs,
        "shares": row.shares, "since": row.since, "own": own,
    }));
    let nick = if row.nick.is_empty() { "-" } else { &row.nick };
    let addr = addrs.first().map_or("-", String::as_str);
    let own = if own { "  (this peer)" } else { "" };
    let shares =
        if row.shares == 1 { "1 share ".to_owned() } else { format!("{} shares", row.shares) };
    out.line(&format!(
        "{}  {nick:<16} {addr:<21} {shares:>12}  for {}{own}",
        row.peer.short(),
        format::lasting(since(row)),
    ));
}
