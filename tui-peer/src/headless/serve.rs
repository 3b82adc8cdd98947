//! `--serve-only`: shares and serves until told to stop.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::output::{Output, bytes};
use super::signals::Signals;
use crate::args::exit;
use crate::engine::command::{Command, Reply};
use crate::engine::handle::{EngineHandle, Stop};
use crate::engine::snapshot::{NetState, Snapshot, TransferState};

/// How often the bottom line of a terminal changes.
const STATUS: Duration = Duration::from_secs(1);

/// Runs until a signal; returns the exit code.
pub async fn serve(engine: EngineHandle, paths: Vec<PathBuf>, host: bool, out: &mut Output) -> u8 {
    let mut events = engine.events();
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let join = if host {
        match engine.call(Command::Host).await {
            Ok(Reply::Hosting(join)) => Some(join.to_string()),
            Ok(_) => None,
            Err(error) => {
                out.note(&error.message);
                out.json(&json!({"event": "error", "code": "host", "message": error.message,
                    "hint": "free the port or the state folder, then start again"}));
                engine.stop(Stop::Now);
                engine.stopped().await;
                return exit::OTHER;
            }
        }
    } else {
        None
    };
    let first = engine.snapshot();
    out.ready(&first, join.as_deref());
    if let Some(join) = &join {
        out.line(&format!("join {join}"));
    }
    out.line(&format!("listening on {}, peer {}", first.me.listen, first.me.peer.short()));
    if matches!(first.network.state, NetState::NoNetwork) && join.is_none() {
        out.note("no network: give a join string with --tracker, or use --host");
    }
    let mut code = exit::OK;
    for path in paths {
        if let Err(error) = engine.call(Command::Share { path, name: None }).await {
            out.note(&error.message);
            out.json(&json!({"event": "error", "code": "share", "message": error.message,
                "hint": "check the path"}));
            code = exit::PARTIAL;
        }
    }
    let mut ticker = tokio::time::interval(STATUS);
    let mut open = true;
    while open {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => out.event(&event),
                Err(RecvError::Lagged(n)) => out.note(&format!("{n} log lines dropped")),
                Err(RecvError::Closed) => open = false,
            },
            twice = signals.next(&engine) => {
                if twice {
                    code = exit::INTERRUPTED;
                }
            }
            _ = ticker.tick() => {
                out.status(&status(&engine.snapshot()));
                if out.broken {
                    engine.stop(Stop::Gracefully);
                }
            }
            () = engine.stopped() => open = false,
        }
    }
    while let Ok(event) = events.try_recv() {
        out.event(&event);
    }
    out.clear();
    out.exit(&engine.snapshot());
    code
}

fn status(snapshot: &Snapshot) -> String {
    let sharing = snapshot
        .transfers
        .iter()
        .filter(|transfer| transfer.state == TransferState::Sharing)
        .count();
    let tracker = match &snapshot.network.state {
        NetState::NoNetwork => "no network",
        NetState::Connecting => "tracker …",
        NetState::On => "tracker ok",
        NetState::Lost { .. } => "tracker lost",
        NetState::Rejected { .. } => "tracker refuses us",
        NetState::Left => "left",
    };
    format!(
        "↑ {}/s · {} peers · {sharing} shared · {} served · {tracker} · ^C stops",
        bytes(snapshot.totals.up_rate),
        snapshot.peers.len(),
        bytes(snapshot.totals.up as f64),
    )
}
