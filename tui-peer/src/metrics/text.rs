//! The numbers of a peer, in the text format of Prometheus. No labels per peer, file or chunk.

use common::http::{Exposition, Kind};

use engine::api::figures::{Errors, Figures};
use engine::api::snapshot::{NetState, Rows, Snapshot, Transfer, TransferState};

/// States of a transfer as labels: all of them are told, also those in which there is none.
const STATES: [&str; 12] = [
    "hashing",
    "checking",
    "sharing",
    "queued",
    "resolving",
    "getting",
    "no_source",
    "finishing",
    "paused",
    "disk_full",
    "changed",
    "failed",
];

/// The label of a state.
fn label(state: &TransferState) -> String {
    state.code().replace('-', "_")
}

/// Everything there is to say.
pub(super) fn exposition(snapshot: &Snapshot, figures: &Figures) -> Exposition {
    let mut out = Exposition::new("shoal_peer");
    out.process(env!("CARGO_PKG_VERSION"), figures.uptime);
    traffic(&mut out, snapshot, figures);
    network(&mut out, snapshot, figures);
    transfers(&mut out, &snapshot.transfers);
    disk(&mut out, snapshot, figures);
    out
}

fn traffic(out: &mut Exposition, snapshot: &Snapshot, figures: &Figures) {
    let totals = &snapshot.totals;
    for (name, help, value) in [
        ("payload_received_bytes_total", "Payload received from peers", totals.down),
        ("payload_sent_bytes_total", "Payload sent to peers", totals.up),
        ("payload_wasted_bytes_total", "Payload received and not used", totals.wasted),
        (
            "received_bytes_total",
            "All bytes received over connections with peers, TLS included",
            figures.received,
        ),
        (
            "sent_bytes_total",
            "All bytes sent over connections with peers, TLS included",
            figures.sent,
        ),
    ] {
        out.counter(name, help, value);
    }
    // A rate fades to a zero that may be negative.
    for (name, help, value) in [
        ("receive_bytes_per_second", "Payload coming in, smoothed", totals.down_rate.abs()),
        ("send_bytes_per_second", "Payload going out, smoothed", totals.up_rate.abs()),
    ] {
        out.gauge(name, help, value);
    }
}

fn network(out: &mut Exposition, snapshot: &Snapshot, figures: &Figures) {
    let uploads = &snapshot.uploads;
    let on = snapshot.network.state == NetState::On;
    out.gauge("tracker_connected", "Whether the tracker is connected", on);
    out.gauge("serving", "Whether others are served", snapshot.me.serving);
    for (name, help, value) in [
        ("peers", "Peers connected", snapshot.peers.len()),
        ("connections", "Connections with peers", figures.connections),
        ("catalogue_files", "Contents in the network's catalogue", snapshot.catalogue.rows.len()),
    ] {
        out.gauge(name, help, value);
    }
    for (name, help, value) in [
        ("upload_slots", "Peers that may be served at once", uploads.slots),
        ("upload_slots_used", "Peers that are being served", uploads.used),
        ("upload_waiting", "Peers that wait to be served", uploads.waiting),
    ] {
        out.gauge(name, help, value);
    }
    let help = "What uploads are held at so that the line stays free; 0 while they are not";
    out.gauge("upload_held_bytes_per_second", help, uploads.up_held.unwrap_or(0));
}

fn transfers(out: &mut Exposition, transfers: &Rows<Transfer>) {
    let sharing = |row: &&Transfer| row.state == TransferState::Sharing;
    let shares = || transfers.iter().filter(sharing);
    out.gauge("shares", "Complete contents that are shared", shares().count());
    let bytes = shares().fold(0u64, |sum, row| sum.saturating_add(row.size));
    out.gauge("share_bytes", "Their bytes", bytes);
    let mut family =
        out.family("transfers", Kind::Gauge, "Shares and downloads by what they are doing");
    for state in STATES {
        let count = transfers.iter().filter(|row| label(&row.state) == state).count();
        family.add(&[("state", state)], count);
    }
}

fn disk(out: &mut Exposition, snapshot: &Snapshot, figures: &Figures) {
    if !figures.volumes.is_empty() {
        let help = "Free on each volume to which downloads go, by a folder on it";
        let mut family = out.family("disk_free_bytes", Kind::Gauge, help);
        for volume in &figures.volumes {
            family.add(&[("dir", &volume.dir.to_string_lossy())], volume.free);
        }
    }
    let waiting = figures.writes_waiting;
    out.gauge("disk_writes_waiting", "Chunks that wait to be verified and written", waiting);
    let Errors { hash, write, read, sync } = figures.errors;
    let help = "What the disk could not do, by what it was";
    let mut family = out.family("disk_errors_total", Kind::Counter, help);
    for (what, count) in [("write", write), ("read", read), ("sync", sync)] {
        family.add(&[("what", what)], count);
    }
    let help = "Chunks received whose bytes were not what they should be";
    out.counter("hash_errors_total", help, hash);
    let unkept = snapshot.unkept.as_ref().map_or(0, |unkept| unkept.waiting);
    out.gauge("library_waiting", "Records that cannot be written to the library just now", unkept);
}

#[cfg(test)]
mod tests {
    use common::content::Kind as Content;
    use common::id::ContentId;

    use super::*;

    #[test]
    fn c6_every_state_is_counted_under_its_label() {
        let id = ContentId::from_bytes([1; 32]);
        let row = |state| Transfer { state, kind: Content::File, size: 7, ..Transfer::blank(id) };
        let rows = Rows::from([
            row(TransferState::Sharing),
            row(TransferState::Sharing),
            row(TransferState::Failed("why".into())),
            row(TransferState::NoSource),
        ]);
        let mut out = Exposition::new("t");
        transfers(&mut out, &rows);
        for line in [
            "t_shares 2",
            "t_share_bytes 14",
            "t_transfers{state=\"sharing\"} 2",
            "t_transfers{state=\"failed\"} 1",
            "t_transfers{state=\"no_source\"} 1",
            "t_transfers{state=\"paused\"} 0",
        ] {
            assert!(out.as_str().lines().any(|other| other == line), "{line}: {}", out.as_str());
        }
    }
}
