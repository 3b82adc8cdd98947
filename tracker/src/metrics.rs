//! Counters, and their text exposition. No labels per peer or file.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::index::Counts;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted while a tracker runs.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) crowded: Counter,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) registered: Counter,
    pub(crate) chunk_updates: Counter,
    pub(crate) deltas: Counter,
    pub(crate) looked: Counter,
    pub(crate) throttled: Counter,
    pub(crate) skipped_pushes: Counter,
    pub(crate) stalled: Counter,
    pub(crate) store_errors: Counter,
}

impl Metrics {
    /// The text that Prometheus and its relatives read.
    pub(crate) fn exposition(&self, counts: Counts) -> String {
        let mut out = String::new();
        let gauge = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (name, kind, help, value) in [
            ("connections", "gauge", "Connected peers", gauge(counts.sessions)),
            ("peers", "gauge", "Peers known, connected or remembered", gauge(counts.peers)),
            ("files", "gauge", "Contents in the catalogue", gauge(counts.files)),
            ("memberships", "gauge", "Pairs of connected peer and content", counts.memberships),
            ("bytes", "gauge", "Memory that peers and contents take, estimated", counts.bytes),
            ("bans", "gauge", "Keys and addresses that are banned", gauge(counts.bans)),
            ("accepted_total", "counter", "Connections accepted", self.accepted.get()),
            ("refused_total", "counter", "Connections refused before hello", self.refused.get()),
            (
                "crowded_total",
                "counter",
                "Connections ended because their address had most in a full table",
                self.crowded.get(),
            ),
            ("frames_in_total", "counter", "Messages received", self.frames_in.get()),
            ("frames_out_total", "counter", "Messages sent", self.frames_out.get()),
            ("registered_total", "counter", "Contents registered", self.registered.get()),
            ("chunk_updates_total", "counter", "Progress updates", self.chunk_updates.get()),
            ("deltas_total", "counter", "Deltas pushed", self.deltas.get()),
            ("looked_total", "counter", "Comparisons made by searches", self.looked.get()),
            ("throttled_total", "counter", "Requests over a rate limit", self.throttled.get()),
            (
                "skipped_pushes_total",
                "counter",
                "Pushes put off for slow readers",
                self.skipped_pushes.get(),
            ),
            (
                "stalled_total",
                "counter",
                "Connections closed because nothing was read",
                self.stalled.get(),
            ),
            (
                "store_errors_total",
                "counter",
                "Registrations that could not be stored",
                self.store_errors.get(),
            ),
        ] {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP shoal_tracker_{name} {help}.");
            let _ = writeln!(out, "# TYPE shoal_tracker_{name} {kind}");
            let _ = writeln!(out, "shoal_tracker_{name} {value}");
        }
        out
    }
}
