//! Who keeps a place when there are not enough for all: among strangers, and among peers.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard};

use common::lock::Unpoisoned as _;
use common::net::{FairTable, HalfOpen, Interfaces, Links, Slot, half_open_for};
use common::numbers::saturate;

use crate::config::ServerLimits;
use crate::controls::Closing;
use crate::index::SessionId;
use crate::shared::Shared;

/// Descriptors that are kept for other things: the store, the log, the port for metrics, looks whether peers can be
/// reached, what is just being closed; and five of each thread that serves peers.
const RESERVED_DESCRIPTORS: u64 = 192 + 8 * 8;

/// Part of all places that peers never take: else nobody could come in who would take the place of another.
const FOR_STRANGERS: usize = 8;

/// Even a process with next to no descriptors listens.
const FEWEST_STRANGERS: usize = 32;

/// Addresses of its own in the other family that a tracker tells: a peer has to try them one after the other.
const OTHER_FAMILY: usize = 2;

/// Places for half-open connections and for peers, as many as the configuration wants and the process has
/// descriptors for. There is always room for one more: a full table takes from the address that has most.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) links: Links,
    pub(crate) half_open: HalfOpen,
    /// If we listen on all of them.
    own: Option<Interfaces>,
    sessions: Mutex<FairTable<SessionId>>,
    /// Descriptors for both.
    all: usize,
}

/// The place of a session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    entrance: &'a Entrance,
    slot: Slot,
}

impl Entrance {
    /// For a process that may open so many descriptors; `everywhere` if it listens on all its addresses.
    pub(crate) fn new(limits: &ServerLimits, descriptors: u64, everywhere: bool) -> Self {
        let Sizes { handshakes, connections, all } = sizes(limits, descriptors);
        tracing::debug!("room for {connections} peers and {handshakes} half-open connections");
        Self {
            links: Links::new(),
            half_open: HalfOpen::new(handshakes),
            own: everywhere.then(Interfaces::new),
            sessions: Mutex::new(FairTable::new(connections)),
            all,
        }
    }

    /// Our addresses in the other of IPv4 and IPv6, for who reached us at `via`; those are enough of them.
    pub(crate) fn other_family(&self, via: SocketAddr) -> Vec<SocketAddr> {
        // Who is on this machine has no other family.
        let Some(own) = self.own.as_ref().filter(|_| !via.ip().is_loopback()) else {
            return Vec::new();
        };
        let all = own.other_family(via.ip()).into_iter().map(|ip| SocketAddr::new(ip, via.port()));
        all.take(OTHER_FAMILY).collect()
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

    /// Whether strangers and peers together take more descriptors than there are for them: one of the strangers has to
    /// go then.
    pub(crate) fn is_over_full(&self) -> bool {
        let sessions = self.lock().len();
        self.half_open.count().saturating_add(sessions) > self.all
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

/// How many places there are.
#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    handshakes: usize,
    connections: usize,
    all: usize,
}

/// Places for half-open connections and for peers. Both together could be more than there are descriptors: what one
/// does not use the other has, but for an eighth that is kept for strangers.
fn sizes(limits: &ServerLimits, descriptors: u64) -> Sizes {
    let handshakes = half_open_for(descriptors, RESERVED_DESCRIPTORS, limits.handshakes);
    let all = saturate::<usize>(descriptors.saturating_sub(RESERVED_DESCRIPTORS));
    let kept = (all / FOR_STRANGERS).min(handshakes);
    let connections = limits.connections.min(all.saturating_sub(kept)).max(1);
    let least = kept.max(handshakes.min(FEWEST_STRANGERS));
    Sizes { handshakes, connections, all: all.max(connections.saturating_add(least)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_places_follow_from_the_descriptors() {
        let limits = ServerLimits::default();
        let sizes = |descriptors| {
            let Sizes { handshakes, connections, all } = sizes(&limits, descriptors);
            assert!(connections + FEWEST_STRANGERS <= all, "strangers always have places");
            (handshakes, connections)
        };
        assert_eq!(sizes(1 << 20), (16_384, 100_000));
        assert_eq!(sizes(60_000), (16_384, 52_276));
        assert_eq!(sizes(20_000), (9_872, 17_276));
        assert_eq!(sizes(1024), (384, 672));
        assert_eq!(sizes(0), (32, 1));
    }
}
