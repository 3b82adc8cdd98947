//! `peers --all`: who is in the network.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::time::Instant;

use super::output::Output;
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::signals::Signals;
use super::wait::{Ended, TRACKER_WAIT, deadline, no_way, until, within};
use crate::args::{Peers, exit};
use crate::engine::command::{CommandError, CommandErrorKind};
use crate::engine::handle::{EngineHandle, Stop};
use crate::engine::snapshot::{MemberRow, NetState, Snapshot};
use crate::members;

/// How often somebody else is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Members listed at most: as many peers as a tracker knows.
const MAX_LISTED: usize = 1_000_000;
/// What to do about a tracker.
const HINT: &str = "tui-peer peers without --all lists those this peer is connected to";

/// Why there is no list: a word for programs, for people, what to do, the exit code.
type Failed = (&'static str, String, &'static str, u8);

/// Prints who is in the network; returns the exit code.
pub async fn members(engine: EngineHandle, wish: &Peers, out: &mut Output) -> u8 {
    let listed = list(&engine, wish, out).await;
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

async fn list(engine: &EngineHandle, wish: &Peers, out: &mut Output) -> Result<(), Failed> {
    let end = deadline(wish.timeout);
    let me = joined(engine, if wish.wait { end } else { Instant::now() + TRACKER_WAIT }).await?;
    if wish.wait {
        alone_no_more(engine, end).await?;
    }
    let mut signals = Signals::new().map_err(|_| interrupted(Ended::Stopped))?;
    let (mut cursor, mut listed) = (Vec::new(), 0);
    for _ in 0..members::MAX_PAGES {
        let page = members::page(engine, "", cursor);
        let page = within(engine, end, &mut signals, page).await.map_err(interrupted)?;
        let page = page.map_err(failed)?;
        for row in &page.rows {
            print(row, row.peer == me, out);
        }
        listed += page.rows.len();
        cursor = page.cursor;
        if cursor.is_empty() || out.broken {
            return Ok(());
        }
        if listed >= MAX_LISTED {
            break;
        }
    }
    out.note("there are more members than can be: the rest is not listed");
    Ok(())
}

/// Waits until we are in the network; who we are there.
async fn joined(engine: &EngineHandle, end: Instant) -> Result<common::id::PeerId, Failed> {
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
        time_since(row.since, SystemTime::now()),
    ));
}

/// How long ago that is, in its largest unit. A clock that is behind the tracker's sees no future.
fn time_since(unix: u64, now: SystemTime) -> String {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    match now.saturating_sub(unix) {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min", s / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_how_long_somebody_has_been_there_is_short() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let said: Vec<String> = [0, 59, 60, 3599, 3600, 47 * 3600, 48 * 3600, 1_000_000]
            .map(|ago| time_since(1_000_000 - ago, now))
            .into();
        assert_eq!(said, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d", "11 d"]);
        assert_eq!(time_since(u64::MAX, now), "0 s");
    }
}
