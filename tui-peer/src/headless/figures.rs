//! A peer in one line, for the bottom of a terminal, the log, the service manager and programs.

use serde_json::{Value, json};

use super::output::bytes;
use engine::api::snapshot::{NetState, Network, Snapshot, TransferState};

/// How we stand with the tracker, for people.
pub(super) fn tracker(network: &Network) -> &'static str {
    if network.is_unmet() {
        return "tracker never reached: check the address";
    }
    match &network.state {
        NetState::NoNetwork => "no network",
        NetState::Connecting => "tracker …",
        NetState::On if network.is_at_standby() => "standby tracker ok",
        NetState::On => "tracker ok",
        NetState::Lost { .. } => "tracker lost",
        NetState::Rejected { .. } => "tracker refuses us",
        NetState::Left => "left",
    }
}

/// The same for programs.
pub(super) fn network(state: &NetState) -> &'static str {
    match state {
        NetState::NoNetwork => "none",
        NetState::Connecting => "connecting",
        NetState::On => "on",
        NetState::Lost { .. } => "lost",
        NetState::Rejected { .. } => "rejected",
        NetState::Left => "left",
    }
}

fn count(snapshot: &Snapshot, wanted: impl Fn(&TransferState) -> bool) -> usize {
    snapshot.transfers.iter().filter(|transfer| wanted(&transfer.state)).count()
}

/// For people.
pub(super) fn line(snapshot: &Snapshot) -> String {
    let totals = &snapshot.totals;
    let mut text = format!("↑ {}/s", bytes(totals.up_rate));
    if totals.down_rate >= 1.0 {
        text.push_str(&format!(" · ↓ {}/s", bytes(totals.down_rate)));
    }
    let hashing = count(snapshot, |state| *state == TransferState::Hashing);
    if hashing > 0 {
        text.push_str(&format!(" · hashing {hashing}"));
    }
    text.push_str(&format!(
        " · {} connected · {} shared · {} served · {}",
        snapshot.peers.len(),
        count(snapshot, |state| *state == TransferState::Sharing),
        bytes(totals.up as f64),
        tracker(&snapshot.network),
    ));
    text
}

/// For programs.
pub(super) fn object(event: &str, snapshot: &Snapshot) -> Value {
    let totals = &snapshot.totals;
    json!({
        "event": event, "up_rate": totals.up_rate.abs().round(), "down_rate": totals.down_rate.abs().round(),
        "up": totals.up, "down": totals.down, "wasted": totals.wasted,
        "peers": snapshot.peers.len(),
        "shared": count(snapshot, |state| *state == TransferState::Sharing),
        "hashing": count(snapshot, |state| *state == TransferState::Hashing),
        "getting": count(snapshot, |state| *state == TransferState::Getting),
        "network": network(&snapshot.network.state),
    })
}
