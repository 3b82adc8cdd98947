//! `ls`: what the network has.

use std::time::{Duration, Instant};

use common::content::Kind;
use serde_json::json;

use super::output::{Output, bytes};
use crate::args::exit;
use crate::engine::handle::{EngineHandle, Stop};
use crate::engine::snapshot::NetState;

/// How long the catalogue is waited for.
const WAIT: Duration = Duration::from_secs(20);

/// Prints the catalogue; returns the exit code.
pub async fn ls(engine: EngineHandle, query: Option<&str>, out: &mut Output) -> u8 {
    let mut snapshots = engine.snapshots();
    let began = Instant::now();
    let catalogue = loop {
        let snapshot = engine.snapshot();
        if snapshot.catalogue.whole {
            break Ok(snapshot.catalogue.clone());
        }
        match &snapshot.network.state {
            NetState::NoNetwork => {
                break Err("no network: give a join string with --tracker".into());
            }
            NetState::Rejected { why } => break Err(why.clone()),
            NetState::Lost { why, .. } if began.elapsed() > WAIT => {
                break Err(format!("the tracker cannot be reached: {why}"));
            }
            _ if began.elapsed() > WAIT => break Err("the tracker does not answer".to_owned()),
            _ => {}
        }
        let _ = tokio::time::timeout(Duration::from_millis(500), snapshots.changed()).await;
    };
    engine.stop(Stop::Gracefully);
    let code = match catalogue {
        Err(why) => {
            out.note(&why);
            out.json(&json!({"event": "error", "code": "tracker", "message": why,
                "hint": "check the join string and that the tracker runs"}));
            exit::TRACKER
        }
        Ok(catalogue) => {
            let words: Vec<String> =
                query.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
            for row in &catalogue.rows {
                let name = row.name.to_lowercase();
                if !words.iter().all(|word| name.contains(word)) {
                    continue;
                }
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
