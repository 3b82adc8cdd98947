//! Counters, and their text exposition. No labels per peer or file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use common::http::Exposition;

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
#[derive(Debug)]
pub(crate) struct Metrics {
    began: Instant,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) crowded: Counter,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    /// Bytes of messages, their heads included; TLS adds some.
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) registered: Counter,
    pub(crate) chunk_updates: Counter,
    pub(crate) deltas: Counter,
    pub(crate) looked: Counter,
    pub(crate) throttled: Counter,
    pub(crate) skipped_pushes: Counter,
    pub(crate) stalled: Counter,
    pub(crate) store_errors: Counter,
    pub(crate) relayed_pairs: Counter,
    pub(crate) relayed_bytes: Counter,
    pub(crate) relay_refused: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            accepted: Counter::default(),
            refused: Counter::default(),
            crowded: Counter::default(),
            frames_in: Counter::default(),
            frames_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            registered: Counter::default(),
            chunk_updates: Counter::default(),
            deltas: Counter::default(),
            looked: Counter::default(),
            throttled: Counter::default(),
            skipped_pushes: Counter::default(),
            stalled: Counter::default(),
            store_errors: Counter::default(),
            relayed_pairs: Counter::default(),
            relayed_bytes: Counter::default(),
            relay_refused: Counter::default(),
        }
    }

    /// The text that Prometheus and its relatives read.
    pub(crate) fn exposition(&self, counts: Counts, relayed: usize) -> Exposition {
        let mut out = Exposition::new("shoal_tracker");
        out.process(env!("CARGO_PKG_VERSION"), self.began.elapsed());
        for (name, help, value) in [
            ("connections", "Connected peers", counts.sessions),
            ("relayed", "Pairs of peers that are relayed now", relayed),
            ("peers", "Peers known, connected or remembered", counts.peers),
            ("files", "Contents in the catalogue", counts.files),
            (
                "files_without_copy",
                "Contents of which no connected peer has every chunk",
                counts.uncopied,
            ),
            (
                "files_with_one_copy",
                "Contents of which exactly one connected peer has every chunk",
                counts.copied_once,
            ),
            ("bans", "Keys and addresses that are banned", counts.bans),
        ] {
            out.gauge(name, help, value);
        }
        for (name, help, value) in [
            ("memberships", "Pairs of connected peer and content", counts.memberships),
            ("bytes", "Memory that peers and contents take, estimated", counts.bytes),
        ] {
            out.gauge(name, help, value);
        }
        for (name, help, counter) in [
            ("accepted_total", "Connections accepted", &self.accepted),
            ("refused_total", "Connections refused before hello", &self.refused),
            (
                "crowded_total",
                "Connections ended because their address had most in a full table",
                &self.crowded,
            ),
            ("frames_in_total", "Messages received", &self.frames_in),
            ("frames_out_total", "Messages sent", &self.frames_out),
            ("received_bytes_total", "Bytes of messages received, TLS not counted", &self.bytes_in),
            ("sent_bytes_total", "Bytes of messages sent, TLS not counted", &self.bytes_out),
            ("registered_total", "Contents registered", &self.registered),
            ("chunk_updates_total", "Progress updates", &self.chunk_updates),
            ("deltas_total", "Deltas pushed", &self.deltas),
            ("looked_total", "Comparisons made by searches", &self.looked),
            ("throttled_total", "Requests over a rate limit", &self.throttled),
            ("skipped_pushes_total", "Pushes put off for slow readers", &self.skipped_pushes),
            ("stalled_total", "Connections closed because nothing was read", &self.stalled),
            ("relayed_pairs_total", "Connections relayed between two peers", &self.relayed_pairs),
            ("relayed_bytes_total", "Bytes relayed, both ways", &self.relayed_bytes),
            ("relay_refused_total", "Relays refused, and wrong tokens", &self.relay_refused),
            ("store_errors_total", "Registrations that could not be stored", &self.store_errors),
        ] {
            out.counter(name, help, counter.get());
        }
        out
    }
}
