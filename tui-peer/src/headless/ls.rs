//! `ls`: what the network has.

use std::time::{Duration, Instant};

use common::content::Kind;
use serde_json::json;

use super::output::{Output, bytes};
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::signals::Signals;
use super::wait::deadline;
use crate::args::{Ls, exit};
use crate::engine::handle::{EngineHandle, Stop};
use crate::engine::snapshot::{CatalogueRow, NetState};

/// How long the catalogue is waited for.
const WAIT: Duration = Duration::from_secs(20);
/// How often it is looked at when nothing changes.
const LOOK: Duration = Duration::from_millis(500);
/// What to do about a tracker.
const HINT: &str = "check the join string and that the tracker runs";

/// Prints the catalogue; returns the exit code.
pub async fn ls(engine: EngineHandle, wish: &Ls, out: &mut Output) -> u8 {
    let query = wish.query.as_deref().or(wish.filter.as_deref()).unwrap_or_default();
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let fits = |row: &CatalogueRow| {
        let name = row.name.to_lowercase();
        words.iter().all(|word| name.contains(word))
    };
    let end = deadline(wish.timeout);
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let mut snapshots = engine.snapshots();
    let began = Instant::now();
    let catalogue = loop {
        let snapshot = engine.snapshot();
        let catalogue = &snapshot.catalogue;
        if catalogue.whole && (!wish.wait || catalogue.rows.iter().any(fits)) {
            break Ok(catalogue.clone());
        }
        let late = !wish.wait && began.elapsed() > WAIT;
        match &snapshot.network.state {
            NetState::NoNetwork => {
                break Err(("no-network", NO_NETWORK.to_owned(), NO_NETWORK_HINT));
            }
            NetState::Rejected { why } => break Err(("tracker", why.clone(), HINT)),
            NetState::Lost { why, .. } if late => {
                break Err(("tracker", format!("the tracker cannot be reached: {why}"), HINT));
            }
            _ if late => break Err(("tracker", "the tracker does not answer".to_owned(), HINT)),
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
    let code = match catalogue {
        Err((code, why, hint)) => {
            out.error(code, &why, hint);
            exit::TRACKER
        }
        Ok(catalogue) => {
            for row in catalogue.rows.iter().filter(|row| fits(row)) {
                let kind = if row.kind == Kind::Folder { "folder" } else { "file" };
                out.json(&json!({
                    "id": row.id.to_string(), "name": &*row.name, "kind": kind, "size": row.size,
                    "chunks": row.chunks, "sources": row.sources, "complete": row.complete,
                }));
                let (id, size) = (row.id.short(), bytes(row.size as f64));
                out.line(&format!(
                    "{id}  {size:>9}  {:>3} src  {}{}",
                    row.sources,
                    row.name,
                    if row.kind == Kind::Folder { "/" } else { "" }
                ));
            }
            exit::OK
        }
    };
    engine.stopped().await;
    code
}
