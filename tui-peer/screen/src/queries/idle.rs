//! Who would be disturbed by an end.

use crate::model::Model;
use crate::{format, labels};
use engine::api::snapshot::PeerRow;

/// Whether a peer takes something of ours.
pub(crate) fn takes(model: &Model, peer: &PeerRow) -> bool {
    peer.takes.iter().any(|take| model.transfer(&take.id).is_some())
}

/// What "when idle" still waits for.
pub(crate) fn waits_for(model: &Model) -> String {
    let running = model.snap.transfers.iter().filter(|t| labels::is_running(t));
    let (mut downloads, mut eta) = (0u64, None);
    for t in running {
        downloads += 1;
        eta = eta.max(t.eta_s);
    }
    let peers = model.snap.peers.iter().filter(|p| takes(model, p)).count() as u64;
    let mut parts = Vec::new();
    if downloads > 0 {
        let eta = eta.map_or_else(String::new, |s| format!(" {}", format::eta(s)));
        parts.push(format!("{}{eta}", format::plural(downloads, "download")));
    }
    if peers > 0 {
        parts.push(format!("{} served", format::plural(peers, "peer")));
    }
    parts.join(", ")
}
