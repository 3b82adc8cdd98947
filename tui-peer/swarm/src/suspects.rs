//! Addresses of which a key was banned. A new key is a matter of a moment, so new ones from there are the
//! first to go where places are scarce. Whoever was of use before comes back like anybody else: behind one
//! address there may be a whole house.

use std::time::Duration;

use common::id::PeerId;
use common::net::AddrGroup;

use super::conn::Conn;
use super::remembered::Remembered;
use super::time::Time;

/// New keys from an address one of whose keys was banned are the first to go for so long.
const SUSPECT_TIME: Duration = Duration::from_secs(600);
/// Addresses remembered for that; beyond it the one whose time ends first is forgotten.
const MAX_SUSPECTS: usize = 1024;
/// Peers remembered that were of use; beyond it the one that left first is forgotten.
const MAX_USEFUL: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Until when new keys from an address count as suspect.
    groups: Remembered<AddrGroup, Time, MAX_SUSPECTS>,
    /// Peers that delivered or took something, and when they left.
    useful: Remembered<PeerId, Time, MAX_USEFUL>,
}

impl Suspects {
    /// A key at this address was banned.
    pub(super) fn add(&mut self, group: AddrGroup, now: Time) {
        self.groups.remember(group, now + SUSPECT_TIME);
    }

    /// Until when a peer that connects from this address is suspect.
    pub(super) fn until(&self, peer: &PeerId, group: Option<AddrGroup>) -> Time {
        if self.useful.get(peer).is_some() {
            return Time::ZERO;
        }
        group.and_then(|group| self.groups.get(&group)).unwrap_or(Time::ZERO)
    }

    /// A connection ended, of a peer that is not banned. Who came as a suspect has to deliver: to take
    /// something is no proof.
    pub(super) fn left(&mut self, conn: &Conn, now: Time) {
        let took = conn.suspect_until == Time::ZERO && conn.up.total > 0;
        if took || conn.delivered {
            self.useful.remember(conn.peer, now);
        }
    }

    /// It has proved to be of no use after all.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.useful.forget(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ConnId;

    fn peer(n: u32) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        PeerId::from_bytes(bytes)
    }

    #[test]
    fn s7_addresses_and_peers_remembered_are_bounded() {
        let mut suspects = Suspects::default();
        let at = |n: u32| Time::from_micros(u64::from(n) + 1);
        let mut conn = Conn::new(ConnId(1), peer(0), false, None, 0, at(0));
        conn.delivered = true;
        for n in 0..6000u32 {
            suspects.add(AddrGroup::V6(u64::from(n)), at(n));
            conn.peer = peer(n);
            suspects.left(&conn, at(n));
        }
        assert_eq!((suspects.groups.len(), suspects.useful.len()), (MAX_SUSPECTS, MAX_USEFUL));
        let last = Some(AddrGroup::V6(5999));
        assert!(suspects.until(&peer(1), last) > Time::ZERO, "it left too long ago");
        assert_eq!(suspects.until(&peer(5999), last), Time::ZERO);
        assert_eq!(suspects.until(&peer(1), None), Time::ZERO);
        suspects.forget(&peer(5999));
        assert!(suspects.until(&peer(5999), last) > Time::ZERO);
    }
}
