//! `stop`: ends the running peer in good order.

use serde_json::json;

use super::output::Output;
use super::wait::{Ended, deadline, until};
use crate::args::{Stop, exit};
use crate::control::Attached;

/// Longer than leaving in good order can take (5 s of transfers, 2 s for the tracker, then the sync).
const PATIENCE: u64 = 30;

/// Asks it to stop and waits for that; returns the exit code.
pub async fn stop(peer: Attached, request: &Stop, out: &mut Output) -> u8 {
    let pid = peer.peer.pid;
    peer.stop(request.now).await;
    let end = deadline(Some(request.timeout.unwrap_or(PATIENCE)));
    match until(&peer.engine, end, |_| false).await {
        Err(Ended::Stopped) | Ok(_) => {
            out.json(&json!({"event": "stopped", "pid": pid}));
            out.line(&format!("process {pid} has stopped"));
            exit::OK
        }
        Err(ended) => {
            let (why, code) = ended.words();
            out.error("wait", &format!("process {pid}: {why}"), "tui-peer stop --now, or kill it");
            code
        }
    }
}
