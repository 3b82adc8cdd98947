//! How peers have behaved.
//!
//! Some break off what they began. What arrived of such a chunk has to be fetched again, so a peer that does it over
//! and over could fill the whole line with beginnings. It may do so as often as it likes; what it wastes stays a
//! small share of what the others bring meanwhile.

use std::time::Duration;

use common::id::PeerId;
use common::net::AddrGroup;

use super::conn::Conn;
use super::remembered::Remembered;
use super::suspects::Suspects;
use super::time::Time;

/// Peers whose bad chunks are remembered; beyond it those with the fewest are forgotten.
const MAX_STRUCK: usize = 4096;
/// Whoever wasted bytes is asked again when the others have brought so many times more: a line whose
/// sources are honest but for one loses a tenth at most. Alone it is asked at once; nobody is held up.
const TIMES: f64 = 10.0;
/// Longest rest: a link that breaks in the middle of a large chunk is no crime.
const LONGEST: Duration = Duration::from_secs(30);
/// Peers whose rest is remembered beyond their connection.
const MAX_RESTING: usize = 4096;

/// What is remembered of peers beyond their connections.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// Addresses of which a key was banned.
    suspects: Suspects,
    /// Bad chunks per peer.
    strikes: Remembered<PeerId, u8, MAX_STRUCK>,
    /// Peers that broke off what they had begun: not asked until then.
    resting: Remembered<PeerId, Time, MAX_RESTING>,
}

impl Conduct {
    /// A peer sent a bad chunk; how many it has sent.
    pub(super) fn strike(&mut self, peer: PeerId) -> u8 {
        let strikes = self.strikes.get(&peer).unwrap_or(0).saturating_add(1);
        self.strikes.remember(peer, strikes);
        strikes
    }

    /// Until when a peer is not asked for anything.
    pub(super) fn rests_until(&self, peer: &PeerId) -> Time {
        self.resting.get(peer).unwrap_or_default()
    }

    /// A peer broke off `wasted` bytes, while the others brought so many bytes per second; until when it rests for
    /// that, if it does.
    pub(super) fn wasted(
        &mut self,
        peer: PeerId,
        wasted: u64,
        others: f64,
        now: Time,
    ) -> Option<Time> {
        if wasted == 0 || others < 1.0 {
            return None;
        }
        let rest = Duration::try_from_secs_f64(wasted as f64 * TIMES / others).unwrap_or(LONGEST);
        let until = self.rests_until(&peer).max(now + rest.min(LONGEST));
        self.rest(peer, until);
        Some(until)
    }

    /// A peer is not asked for anything until then.
    pub(super) fn rest(&mut self, peer: PeerId, until: Time) {
        self.resting.remember(peer, until);
    }

    /// Nobody rests any more.
    pub(super) fn wake_all(&mut self) {
        self.resting.forget_all();
    }

    /// Until when a peer that connects from this address is suspect.
    pub(super) fn suspect_until(&self, peer: &PeerId, group: Option<AddrGroup>) -> Time {
        self.suspects.until(peer, group)
    }

    /// A key at this address was banned.
    pub(super) fn suspect(&mut self, group: AddrGroup, now: Time) {
        self.suspects.add(group, now);
    }

    /// A peer is banned: that it was of use before does not help it.
    pub(super) fn banned(&mut self, peer: &PeerId) {
        self.suspects.forget(peer);
    }

    /// A peer begins anew.
    pub(super) fn pardon(&mut self, peer: &PeerId) {
        self.strikes.forget(peer);
        self.resting.forget(peer);
    }

    /// A connection ended, of a peer that is not banned.
    pub(super) fn left(&mut self, conn: &Conn, now: Time) {
        self.suspects.left(conn, now);
    }

    #[cfg(test)]
    pub(super) fn resting(&self) -> usize {
        self.resting.len()
    }
}
