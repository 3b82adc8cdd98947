//! Who may talk to us: the membership we show, and the check of the one a peer shows. Pure but for the
//! channel that carries it to the connections: the clocks are passed in.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::id::PeerId;
use common::membership::{GRACE_SECS, Membership, MembershipError};
use tokio::sync::watch;

use super::tracker_clock::{Reading, TrackerClock};

/// Our place in a network.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// The tracker whose signature counts.
    tracker: PeerId,
    /// Our own signed membership.
    pub(crate) membership: Vec<u8>,
    /// Whether we have a session with the tracker, or could have one.
    pub(crate) in_touch: bool,
    clock: TrackerClock,
}

/// The current admission; `None` while we are in no network, when nobody is talked to.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    admission: watch::Sender<Option<Arc<Admission>>>,
}

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self { admission: watch::Sender::new(None) }
    }

    /// The tracker welcomed us, for the first time or again: `membership` is ours, and `time` what its
    /// clock said.
    pub(crate) fn welcome(
        &self,
        tracker: PeerId,
        membership: Vec<u8>,
        time: Reading,
        (now, wall): (Instant, SystemTime),
    ) {
        self.admission.send_modify(|admission| match admission {
            Some(old) if old.tracker == tracker => {
                let old = Arc::make_mut(old);
                old.membership = membership;
                old.in_touch = true;
                old.clock.learn(time, now);
            }
            other => {
                let clock = TrackerClock::new(time, wall);
                *other = Some(Arc::new(Admission { tracker, membership, in_touch: true, clock }));
            }
        });
    }

    /// We are in no network any more.
    pub(crate) fn close(&self) {
        self.admission.send_replace(None);
    }

    /// Whether the tracker can be reached.
    pub(crate) fn set_in_touch(&self, in_touch: bool) {
        self.change(|admission| admission.in_touch = in_touch);
    }

    /// This machine slept for so long.
    pub(crate) fn slept(&self, time: Duration, now: Instant) {
        self.change(|admission| admission.clock.slept(time, now));
    }

    /// How many seconds the tracker's clock is ahead of ours, if it told its time.
    pub(crate) fn ahead_secs(&self, now: Instant, wall: SystemTime) -> Option<i64> {
        self.admission.borrow().as_ref()?.clock.ahead_secs(now, wall)
    }

    /// The current admission.
    pub(crate) fn get(&self) -> Option<Arc<Admission>> {
        self.admission.borrow().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Admission)) {
        self.admission.send_modify(|admission| {
            if let Some(admission) = admission {
                change(Arc::make_mut(admission));
            }
        });
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Checks a membership shown by the peer whose key the TLS handshake proved. `in_touch` is what that
    /// peer says of itself: whether it can reach the tracker.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub(crate) fn check(
        &self,
        peer: &PeerId,
        shown: &[u8],
        in_touch: Option<bool>,
        now: Instant,
    ) -> Result<(), MembershipError> {
        let member = Membership::verify(shown, &self.tracker, peer)?;
        let grace = self.grace_secs(in_touch);
        self.clock.judge(now, |secs| member.holds_at(secs, grace))
    }

    /// How long a membership is accepted after its end: only while its holder cannot get a new one. A holder
    /// may lie about that, which gains it a day at most. Older programs do not say; they are believed to be
    /// cut off while we are ourselves.
    fn grace_secs(&self, in_touch: Option<bool>) -> u64 {
        if in_touch.unwrap_or(self.in_touch) { 0 } else { GRACE_SECS }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use common::identity::Identity;
    use common::membership::{LIFETIME_SECS, MAX_LIFETIME_SECS, MAX_SKEW_SECS};

    use super::*;

    /// When the tracker of these tests welcomed us, by its clock, in seconds.
    const NOON: u64 = 1_800_000_000;
    const S: Duration = Duration::from_secs(1);
    const DAY: u64 = 86_400;

    struct World {
        gate: Gate,
        tracker: Identity,
        peer: PeerId,
        at: Instant,
    }

    impl World {
        /// We were welcomed at noon by the tracker's clock; ours was so many seconds ahead of it.
        fn new(ahead: i64) -> Self {
            let tracker = Identity::from_seed(&[1; 32]).unwrap();
            let peer = Identity::from_seed(&[2; 32]).unwrap().peer_id();
            let world = Self { gate: Gate::new(), tracker, peer, at: Instant::now() };
            world.welcome(NOON, world.at, NOON.saturating_add_signed(ahead));
            world
        }

        fn welcome(&self, secs: u64, now: Instant, wall: u64) {
            let wall = UNIX_EPOCH + Duration::from_secs(wall);
            let time = Reading { at: now, unix_ms: secs * 1000 };
            self.gate.welcome(self.tracker.peer_id(), vec![], time, (now, wall));
        }

        fn issue(&self, from: u64, secs: u64) -> Vec<u8> {
            Membership::issue(&self.tracker, &self.peer, 1, from, from + secs)
        }

        /// Whether we accept it so many seconds after noon.
        fn check(
            &self,
            shown: &[u8],
            in_touch: Option<bool>,
            after: u64,
        ) -> Result<(), MembershipError> {
            let now = self.at + Duration::from_secs(after);
            self.gate.get().unwrap().check(&self.peer, shown, in_touch, now)
        }
    }

    #[test]
    fn f4_memberships_are_judged_by_the_trackers_clock_whatever_ours_says() {
        for ahead in [0, 900, -900, 2 * 86_400, -2 * 86_400, 40 * 86_400] {
            let world = World::new(ahead);
            let member = world.issue(NOON, LIFETIME_SECS);
            for after in [0, 1, LIFETIME_SECS] {
                assert_eq!(world.check(&member, Some(true), after), Ok(()), "{ahead}, {after}");
            }
            let late = LIFETIME_SECS + MAX_SKEW_SECS + 1;
            let expired = Err(MembershipError::Expired { not_after: NOON + LIFETIME_SECS });
            assert_eq!(world.check(&member, Some(true), late), expired, "{ahead}");
        }
    }

    #[test]
    fn f4_after_a_jump_of_the_tracker_old_and_new_memberships_hold() {
        for jump in [40 * 86_400, -40 * 86_400] {
            let world = World::new(0);
            let before = world.issue(NOON, LIFETIME_SECS);
            let then = NOON.saturating_add_signed(jump) + 60;
            let after = world.issue(then, LIFETIME_SECS);
            assert!(world.check(&after, Some(true), 60).is_err(), "we were not told yet");
            world.welcome(then, world.at + 60 * S, NOON + 60);
            assert_eq!(world.check(&before, Some(true), 61), Ok(()), "{jump}");
            assert_eq!(world.check(&after, Some(true), 61), Ok(()), "{jump}");
            // Nobody gains time by a jump.
            let end = LIFETIME_SECS + MAX_SKEW_SECS;
            assert_eq!(world.check(&before, Some(true), end), Ok(()));
            assert!(world.check(&before, Some(true), end + 1).is_err());
            assert!(world.check(&before, Some(false), end + GRACE_SECS + 60).is_err());
            assert!(world.check(&after, Some(true), end + 61).is_err());
        }
    }

    #[test]
    fn s10_grace_is_only_for_who_says_that_it_cannot_reach_the_tracker() {
        let world = World::new(0);
        let member = world.issue(NOON, LIFETIME_SECS);
        let end = LIFETIME_SECS + MAX_SKEW_SECS;
        let (late, latest) = (end + 1, end + GRACE_SECS);
        assert_eq!(world.check(&member, Some(false), late), Ok(()));
        assert_eq!(world.check(&member, Some(false), latest), Ok(()));
        assert!(world.check(&member, Some(false), latest + 1).is_err(), "a day at most");
        assert!(world.check(&member, Some(true), late).is_err());
        assert!(world.check(&member, None, late).is_err(), "the tracker answers us");
        world.gate.set_in_touch(false);
        assert!(world.check(&member, Some(true), late).is_err());
        assert_eq!(
            world.check(&member, None, latest),
            Ok(()),
            "an older program, cut off as we are"
        );
        assert!(world.check(&member, None, latest + 1).is_err());
        world.welcome(NOON + late, world.at + Duration::from_secs(late), NOON);
        assert!(world.check(&member, None, late).is_err());
    }

    #[test]
    fn s10_only_the_own_tracker_the_peer_itself_and_usual_lifetimes_count() {
        let world = World::new(0);
        let forever = world.issue(NOON, 100 * 365 * DAY);
        let too_long = Err(MembershipError::TooLong { secs: 100 * 365 * DAY });
        assert_eq!(world.check(&forever, Some(true), 0), too_long);
        assert_eq!(world.check(&world.issue(NOON, MAX_LIFETIME_SECS), Some(true), 0), Ok(()));
        let other = Identity::from_seed(&[3; 32]).unwrap();
        let foreign = Membership::issue(&other, &world.peer, 1, NOON, NOON + DAY);
        let wrong = Err(MembershipError::WrongTracker(other.peer_id()));
        assert_eq!(world.check(&foreign, Some(true), 0), wrong);
        let theirs = Membership::issue(&world.tracker, &other.peer_id(), 1, NOON, NOON + DAY);
        let wrong = Err(MembershipError::WrongSubject(other.peer_id()));
        assert_eq!(world.check(&theirs, Some(false), 0), wrong);
        assert!(world.check(b"rubbish", Some(false), 0).is_err());
    }

    #[test]
    fn another_network_begins_with_nothing_of_the_one_before() {
        let world = World::new(0);
        let member = world.issue(NOON, LIFETIME_SECS);
        let other = Identity::from_seed(&[3; 32]).unwrap();
        let time = Reading { at: world.at, unix_ms: NOON * 1000 };
        let wall = UNIX_EPOCH;
        world.gate.welcome(other.peer_id(), vec![], time, (world.at, wall));
        assert!(world.check(&member, Some(true), 0).is_err());
        world.gate.close();
        assert!(world.gate.get().is_none());
        assert_eq!(world.gate.ahead_secs(world.at, wall), None);
    }
}
