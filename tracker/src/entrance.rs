//! Who keeps a place when there are not enough for all: among strangers, and among peers.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use common::lock::Unpoisoned as _;
use common::net::{FairTable, HalfOpen, Links, Slot, half_open_for};

use crate::config::ServerLimits;
use crate::index::SessionId;
use crate::shared::{Closing, Shared};

/// Descriptors that are kept for other things: the store, the log, the port for metrics, what is just
/// being closed.
const RESERVED_DESCRIPTORS: u64 = 128;

/// Places for half-open connections and for peers, as many as the configuration wants and the process has
/// descriptors for. There is always room for one more: a full table takes from the address that has most.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) links: Links,
    pub(crate) half_open: HalfOpen,
    sessions: Mutex<FairTable<SessionId>>,
}

/// The place of a session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    entrance: &'a Entrance,
    slot: Slot,
}

impl Entrance {
    /// For a process that may open so many descriptors.
    pub(crate) fn new(limits: &ServerLimits, descriptors: u64) -> Self {
        let (handshakes, connections) = sizes(limits, descriptors);
        tracing::debug!("room for {connections} peers and {handshakes} half-open connections");
        Self {
            links: Links::new(),
            half_open: HalfOpen::new(handshakes),
            sessions: Mutex::new(FairTable::new(connections)),
        }
    }

    /// Gives a new session its place; if there is none left, asks a session of the address that has most
    /// to end.
    pub(crate) fn seat(&self, shared: &Shared, session: SessionId, from: IpAddr) -> Seat<'_> {
        let group = self.links.now().group(from);
        let (slot, ended) = self.lock().insert(group, session, fastrand::u64(..));
        if let Some((_, ended)) = ended {
            shared.metrics.crowded.add(1);
            shared.close(ended, Closing::Crowded);
        }
        Seat { entrance: self, slot }
    }

    fn lock(&self) -> MutexGuard<'_, FairTable<SessionId>> {
        self.sessions.lock().unpoisoned()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.entrance.lock().remove(self.slot);
    }
}

/// Places for half-open connections and for peers.
fn sizes(limits: &ServerLimits, descriptors: u64) -> (usize, usize) {
    let handshakes = half_open_for(descriptors, RESERVED_DESCRIPTORS, limits.handshakes);
    let left = usize::try_from(descriptors.saturating_sub(RESERVED_DESCRIPTORS));
    let left = left.unwrap_or(usize::MAX).saturating_sub(handshakes);
    (handshakes, limits.connections.min(left).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_places_follow_from_the_descriptors() {
        let limits = ServerLimits::default();
        assert_eq!(sizes(&limits, 1 << 20), (16_384, 20_000));
        assert_eq!(sizes(&limits, 20_000), (9_936, 9_936));
        assert_eq!(sizes(&limits, 1024), (448, 448));
        assert_eq!(sizes(&limits, 0), (32, 1));
    }
}
