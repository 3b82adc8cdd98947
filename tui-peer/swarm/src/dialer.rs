//! Whom to connect to: back-off after failures, bans, limits.

use std::collections::BTreeSet;
use std::time::Duration;

use common::id::PeerId;

use super::dial_rate::DialRate;
use super::remembered::Remembered;
use super::time::Time;
use super::view::DialState;

/// Wait after the first failed dial; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between dials of one peer.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A connection that lasted so long was a good one.
const LASTING: Duration = Duration::from_secs(60);
/// Wait after a dial that told us not to try again.
const PERMANENT_WAIT: Duration = Duration::from_secs(600);
/// Peers remembered with a back-off, and with a ban; beyond that those go that end first: a crowd of new keys
/// must not outlast an old ban.
const MAX_REMEMBERED: usize = 4096;

/// A peer's last dial or connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    /// It is not dialled again before.
    until: Time,
    /// Failures in a row.
    fails: u32,
    /// The last dial came to nothing, or HELLO did not pass.
    refused: bool,
}

/// Dials under way, waits and bans.
#[derive(Debug, Default)]
pub(super) struct Dialer {
    dialing: BTreeSet<PeerId>,
    /// Those of them that were asked for by who is dialled.
    asked: BTreeSet<PeerId>,
    waits: Remembered<PeerId, Wait, MAX_REMEMBERED>,
    bans: Remembered<PeerId, Time, MAX_REMEMBERED>,
    pub(super) rate: DialRate,
}

impl Dialer {
    pub(super) fn dialing(&self) -> usize {
        self.dialing.len()
    }

    pub(super) fn is_dialing(&self, peer: &PeerId) -> bool {
        self.dialing.contains(peer)
    }

    pub(super) fn may_dial(&self, peer: &PeerId, now: Time) -> bool {
        !self.dialing.contains(peer)
            && !self.is_banned(peer, now)
            && self.waits.get(peer).is_none_or(|wait| wait.until <= now)
    }

    pub(super) fn state(&self, peer: &PeerId, now: Time) -> DialState {
        if self.dialing.contains(peer) {
            DialState::Dialing
        } else if let Some(until) = self.bans.get(peer).filter(|until| *until > now) {
            DialState::Banned { left: until.since(now) }
        } else if let Some(wait) = self.waits.get(peer).filter(|wait| wait.until > now) {
            DialState::Waiting { fails: wait.fails, left: wait.until.since(now) }
        } else {
            DialState::Free
        }
    }

    pub(super) fn started(&mut self, peer: PeerId) {
        self.dialing.insert(peer);
    }

    /// The same, because it asked for it.
    pub(super) fn started_for(&mut self, peer: PeerId) {
        self.started(peer);
        self.asked.insert(peer);
    }

    /// How many are dialled because they asked for it.
    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    fn over(&mut self, peer: &PeerId) {
        self.dialing.remove(peer);
        self.asked.remove(peer);
    }

    /// Whether the last dial of this peer came to nothing.
    pub(super) fn was_refused(&self, peer: &PeerId) -> bool {
        self.waits.get(peer).is_some_and(|wait| wait.refused)
    }

    /// A dial came to nothing, or HELLO did not pass.
    pub(super) fn failed(
        &mut self,
        peer: PeerId,
        permanent: bool,
        now: Time,
        rng: &mut fastrand::Rng,
    ) {
        self.wait(peer, permanent, true, now, rng);
    }

    fn wait(
        &mut self,
        peer: PeerId,
        permanent: bool,
        refused: bool,
        now: Time,
        rng: &mut fastrand::Rng,
    ) {
        self.over(&peer);
        let fails = self.waits.get(&peer).map_or(0, |wait| wait.fails);
        let wait = if permanent {
            PERMANENT_WAIT
        } else {
            FIRST_WAIT.saturating_mul(1 << fails.min(16)).min(LONGEST_WAIT)
        };
        // Half to one and a half times, so that a crowd does not come back at once.
        let wait = wait.mul_f64(0.5 + rng.f64());
        let (until, fails) = (now + wait, fails.saturating_add(1));
        self.waits.remember(peer, Wait { until, fails, refused });
    }

    pub(super) fn connected(&mut self, peer: &PeerId) {
        self.over(peer);
    }

    /// A connection ended: one that did not last is a failure like any other, so that a peer that
    /// closes at once is not dialled every second.
    pub(super) fn ended(
        &mut self,
        peer: PeerId,
        lived: Duration,
        now: Time,
        rng: &mut fastrand::Rng,
    ) {
        if lived >= LASTING {
            self.waits.forget(&peer);
        }
        self.wait(peer, false, false, now, rng);
    }

    pub(super) fn ban(&mut self, peer: PeerId, until: Time) {
        self.bans.remember(peer, until);
    }

    pub(super) fn unban(&mut self, peer: &PeerId) {
        self.bans.forget(peer);
        self.waits.forget(peer);
    }

    /// Forgets all waits: what failed may work now.
    pub(super) fn forgive(&mut self) {
        self.waits.forget_all();
    }

    pub(super) fn is_banned(&self, peer: &PeerId, now: Time) -> bool {
        self.bans.get(peer).is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_with_success() {
        let (mut dialer, mut rng) = (Dialer::default(), fastrand::Rng::with_seed(1));
        let peer = PeerId::from_bytes([1; 32]);
        let mut now = Time::ZERO;
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(dialer.may_dial(&peer, now));
            dialer.started(peer);
            assert!(!dialer.may_dial(&peer, now));
            dialer.failed(peer, false, now, &mut rng);
            assert!(dialer.was_refused(&peer));
            let mut waited = Duration::ZERO;
            while !dialer.may_dial(&peer, now + waited) {
                waited += Duration::from_millis(100);
            }
            waits.push(waited);
            now = now + waited;
        }
        assert!(waits[0] <= Duration::from_millis(1500));
        assert!(waits[11] >= LONGEST_WAIT / 2 && waits[11] <= LONGEST_WAIT.mul_f64(1.5));
        dialer.connected(&peer);
        dialer.ended(peer, Duration::from_secs(1), now, &mut rng);
        assert!(!dialer.was_refused(&peer), "it was up");
        assert!(!dialer.may_dial(&peer, now + LONGEST_WAIT / 3), "it did not last");
        dialer.ended(peer, LASTING, now, &mut rng);
        now = now + FIRST_WAIT * 2;
        assert!(dialer.may_dial(&peer, now));
        dialer.ban(peer, now + Duration::from_secs(5));
        assert!(!dialer.may_dial(&peer, now));
        assert!(dialer.may_dial(&peer, now + Duration::from_secs(6)));
    }
}
