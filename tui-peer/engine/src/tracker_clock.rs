//! The tracker's clock as this peer knows it. Pure: both clocks of this machine are passed in.
//!
//! Every WELCOME tells the tracker's time; from then on our monotonic clock counts on, so that nothing that
//! is done to our own wall clock matters. When the tracker's time turns out to be another one than we
//! thought (its clock was set, or it came back with another one), memberships made by the time before are
//! judged by that time for as long as they may hold: their owners get new ones as fast as we do, but not at
//! the same moment.

use std::time::{Duration, Instant, SystemTime};

use common::clock::{millis, unix_ms};
use common::membership::{CLOCK_GAP_SECS, GRACE_SECS, LIFETIME_SECS, MembershipError};
use common::numbers::saturate;

/// How long a time that the tracker told before is remembered: until the last membership made by it has
/// expired, grace included.
const EARLIER_KEPT: Duration = Duration::from_secs(LIFETIME_SECS + GRACE_SECS);
/// Times told before that are remembered; the oldest goes first. More than a clock that is set, found wrong
/// and set again; few enough that a tracker whose clock wanders costs nothing.
const MAX_EARLIER: usize = 4;

/// What a clock said at a moment of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// When it was read.
    pub(crate) at: Instant,
    /// What it said: milliseconds since 1970.
    pub(crate) unix_ms: u64,
}

impl Reading {
    /// What it says now.
    fn unix_ms(&self, now: Instant) -> u64 {
        match now.checked_duration_since(self.at) {
            Some(since) => self.unix_ms.saturating_add(millis(since)),
            None => self.unix_ms.saturating_sub(millis(self.at - now)),
        }
    }

    fn is_near(&self, other: &Self, now: Instant) -> bool {
        self.unix_ms(now).abs_diff(other.unix_ms(now)) <= CLOCK_GAP_SECS * 1000
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackerClock {
    current: Reading,
    /// The tracker told `current`; it is not our own clock.
    told: bool,
    /// Other times that it told before, and until when they count; the oldest first.
    earlier: Vec<(Reading, Instant)>,
}

impl TrackerClock {
    /// What the first WELCOME told. A tracker that tells no time (0) is taken to have ours.
    pub(crate) fn new(reading: Reading, wall: SystemTime) -> Self {
        let told = reading.unix_ms != 0;
        let own = Reading { unix_ms: unix_ms(wall), ..reading };
        Self { current: if told { reading } else { own }, told, earlier: Vec::new() }
    }

    /// What a later WELCOME told.
    pub(crate) fn learn(&mut self, reading: Reading, now: Instant) {
        if reading.unix_ms != 0 {
            self.told = true;
            self.replace(reading, now);
        }
    }

    /// This machine slept for so long, while our monotonic clock stood still.
    pub(crate) fn slept(&mut self, time: Duration, now: Instant) {
        let unix_ms = self.current.unix_ms.saturating_add(millis(time));
        self.replace(Reading { unix_ms, ..self.current }, now);
    }

    /// Judges by the tracker's time, or by what it told before. `holds` gets seconds since 1970.
    ///
    /// # Errors
    /// What is wrong by the time of now.
    pub(crate) fn judge(
        &self,
        now: Instant,
        holds: impl Fn(u64) -> Result<(), MembershipError>,
    ) -> Result<(), MembershipError> {
        let verdict = holds(self.current.unix_ms(now) / 1000);
        let mut earlier = self.earlier.iter().filter(|(_, until)| *until > now);
        if earlier.any(|(reading, _)| holds(reading.unix_ms(now) / 1000).is_ok()) {
            return Ok(());
        }
        verdict
    }

    /// How many seconds the tracker's clock is ahead of ours; `None` if it does not tell its time.
    pub(crate) fn ahead_secs(&self, now: Instant, wall: SystemTime) -> Option<i64> {
        let (theirs, ours) = (self.current.unix_ms(now), unix_ms(wall));
        let secs = saturate::<i64>(theirs.abs_diff(ours) / 1000);
        self.told.then_some(if theirs < ours { -secs } else { secs })
    }

    fn replace(&mut self, reading: Reading, now: Instant) {
        let before = std::mem::replace(&mut self.current, reading);
        self.earlier.retain(|(old, until)| *until > now && !old.is_near(&reading, now));
        if before.is_near(&reading, now) {
            return;
        }
        if self.earlier.len() >= MAX_EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.push((before, now + EARLIER_KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const S: Duration = Duration::from_secs(1);
    const NOON: u64 = 1_800_000_000_000;

    fn wall(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// Times by which `clock` judges, in seconds.
    fn times(clock: &TrackerClock, now: Instant) -> Vec<u64> {
        let seen = std::cell::RefCell::new(Vec::new());
        let _ = clock.judge(now, |secs| {
            seen.borrow_mut().push(secs);
            Err(MembershipError::Expired { not_after: 0 })
        });
        seen.into_inner()
    }

    #[test]
    fn f4_the_trackers_time_goes_on_whatever_ours_says() {
        let at = Instant::now();
        let clock = TrackerClock::new(Reading { at, unix_ms: NOON }, wall(0));
        assert_eq!(times(&clock, at + 90 * S), [NOON / 1000 + 90]);
        assert_eq!(clock.ahead_secs(at + S, wall(NOON + 1_000)), Some(0));
        assert_eq!(clock.ahead_secs(at, wall(NOON + 2 * 86_400_000)), Some(-2 * 86_400));
        assert_eq!(clock.ahead_secs(at, wall(NOON - 900_000)), Some(900));
    }

    #[test]
    fn a_tracker_that_tells_no_time_is_taken_to_have_ours() {
        let at = Instant::now();
        let mut clock = TrackerClock::new(Reading { at, unix_ms: 0 }, wall(NOON));
        assert_eq!(times(&clock, at + S), [NOON / 1000 + 1]);
        assert_eq!(clock.ahead_secs(at, wall(0)), None);
        clock.learn(Reading { at, unix_ms: 0 }, at);
        assert_eq!(times(&clock, at + S), [NOON / 1000 + 1]);
        clock.learn(Reading { at, unix_ms: NOON + 5_000 }, at);
        assert_eq!(clock.ahead_secs(at, wall(NOON)), Some(5));
    }

    #[test]
    fn f4_a_time_told_before_counts_until_its_last_membership_has_expired() {
        let at = Instant::now();
        let ahead = 40 * 86_400;
        let mut clock = TrackerClock::new(Reading { at, unix_ms: NOON }, wall(0));
        clock.learn(Reading { at: at + S, unix_ms: NOON + ahead * 1000 }, at + S);
        let now = at + 2 * S;
        assert_eq!(times(&clock, now), [NOON / 1000 + ahead + 1, NOON / 1000 + 2]);
        assert_eq!(times(&clock, now + 2 * DAY).len(), 1, "nothing made by it can hold any more");
        // Set right again: the wrong time is the earlier one now.
        clock.learn(Reading { at: now, unix_ms: NOON + 2_000 }, now);
        assert_eq!(times(&clock, now), [NOON / 1000 + 2, NOON / 1000 + ahead + 1]);
        // A correction is none.
        clock.learn(Reading { at: now, unix_ms: NOON + 60_000 }, now);
        assert_eq!(times(&clock, now).len(), 2);
    }

    #[test]
    fn a_clock_that_wanders_is_bounded() {
        let at = Instant::now();
        let mut clock = TrackerClock::new(Reading { at, unix_ms: NOON }, wall(0));
        for n in 0..1000 {
            clock.learn(Reading { at, unix_ms: NOON + n * 1_000_000 }, at);
        }
        assert_eq!(times(&clock, at).len(), 1 + MAX_EARLIER);
        clock.learn(Reading { at, unix_ms: u64::MAX }, at);
        clock.slept(DAY * 100_000, at);
        assert_eq!(clock.ahead_secs(at + DAY, wall(0)).map(|secs| secs > 0), Some(true));
        assert_eq!(times(&clock, at + DAY)[0], u64::MAX / 1000);
    }

    #[test]
    fn a_machine_that_slept_knows_that_the_tracker_did_not() {
        let at = Instant::now();
        let mut clock = TrackerClock::new(Reading { at, unix_ms: NOON }, wall(0));
        clock.slept(8 * 3600 * S, at + S);
        assert_eq!(times(&clock, at + S), [NOON / 1000 + 8 * 3600 + 1, NOON / 1000 + 1]);
    }
}
