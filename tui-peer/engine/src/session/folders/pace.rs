//! When the new state of a folder is taken. Pure.

use std::time::{Duration, Instant};

use crate::library::SETTLED;

/// How long nothing may have moved.
pub(super) const SETTLE: Duration = SETTLED;
/// From one new state to the next: each is a row in the tracker's list and a connection anew for whoever fetches. A
/// folder in which something moves all the time is taken so often too, without what moves.
pub(super) const STATE_EVERY: Duration = Duration::from_secs(60);
/// A state that cannot be hashed is tried again after a minute, two, four and so on, up to this.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);
/// What moved while it was hashed is tried sooner once it has been still for this part of the wait: a copy that took
/// hours does not wait for one more, and a log that somebody writes to every minute is not read every two.
const STILL_PART: u32 = 4;

/// What a folder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// It is as it is shared, or is being hashed.
    #[default]
    Still,
    /// It differs since `first`, in this way since `since`.
    Settling { picture: u64, first: Instant, since: Instant },
}

/// A state that could not be hashed.
#[derive(Debug, Clone, Copy)]
struct Failed {
    /// Which; `None` for whichever it is, since it moved while it was hashed.
    picture: Option<u64>,
    wait: Duration,
    /// It is not tried before.
    until: Instant,
}

/// When the next state of one folder is taken, by what its looks showed.
#[derive(Debug, Default)]
pub(super) struct Pace {
    phase: Phase,
    /// When the last new state was taken.
    taken: Option<Instant>,
    /// What is being hashed, or was last.
    tried: Option<u64>,
    failed: Option<Failed>,
}

impl Pace {
    /// A look has ended. `picture` tells its difference from others, if there is one. Whether it is to be taken now.
    pub(super) fn seen(&mut self, picture: Option<u64>, now: Instant) -> bool {
        let Some(picture) = picture else {
            self.phase = Phase::Still;
            return false;
        };
        let failed = self.failed.and_then(|failed| failed.picture);
        let is_other = failed.is_some_and(|failed| failed != picture);
        if is_other {
            self.failed = None;
        }
        let (first, since) = match self.phase {
            Phase::Still => (now, now),
            // The long wait was for what could not be hashed.
            Phase::Settling { .. } if is_other => (now, now),
            Phase::Settling { picture: before, first, since } if before == picture => {
                (first, since)
            }
            Phase::Settling { first, .. } => (first, now),
        };
        let ripe = self.ripe(first, since) <= now;
        self.phase = Phase::Settling { picture, first, since };
        if ripe {
            (self.phase, self.taken, self.tried) = (Phase::Still, Some(now), Some(picture));
        }
        ripe
    }

    /// What lies there is shared from now on, whoever asked for it.
    pub(super) fn took(&mut self, now: Instant) {
        (self.taken, self.failed) = (Some(now), None);
    }

    /// There is nothing to be taken: what could not be hashed is as it is shared.
    pub(super) fn nothing(&mut self) {
        (self.phase, self.failed) = (Phase::Still, None);
    }

    /// What was to be taken could not be hashed; `moved`: since it was written to meanwhile. Whether that is news.
    pub(super) fn failed(&mut self, moved: bool, now: Instant) -> bool {
        let Some(tried) = self.tried.take() else { return true };
        let is_same = |failed: &Failed| failed.picture.is_none_or(|picture| picture == tried);
        let before = self.failed.filter(is_same);
        let wait = before.map_or(STATE_EVERY, |failed| (failed.wait * 2).min(MAX_WAIT));
        let picture = (!moved).then_some(tried);
        self.failed = Some(Failed { picture, wait, until: now + wait });
        before.is_none_or(|before| before.picture.is_none() != moved)
    }

    /// When the next look is of use, if sooner than usual.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Still => None,
            Phase::Settling { first, since, .. } => Some(self.ripe(first, since)),
        }
    }

    fn ripe(&self, first: Instant, since: Instant) -> Instant {
        let settled = (since + SETTLE).min(first + STATE_EVERY);
        let paced = self.taken.map_or(settled, |taken| settled.max(taken + STATE_EVERY));
        let Some(Failed { picture, wait, until }) = self.failed else { return paced };
        let still = since + wait / STILL_PART;
        paced.max(if picture.is_none() { until.min(still) } else { until })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn c7_what_lands_is_taken_once_it_has_settled_and_not_twice_a_minute() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let at = |ms: u32| begin + MS * ms;
        assert!(!pace.seen(None, at(0)) && pace.due().is_none());
        assert!(!pace.seen(Some(1), at(1_000)));
        assert_eq!(pace.due(), Some(at(3_000)));
        assert!(!pace.seen(Some(2), at(2_000)), "still being written");
        assert!(!pace.seen(Some(2), at(3_999)));
        assert!(pace.seen(Some(2), at(4_000)));
        // Hashing took some time: the minute begins when it is shared.
        pace.took(at(9_000));
        assert!(!pace.seen(Some(3), at(10_000)));
        assert_eq!(pace.due(), Some(at(69_000)));
        assert!(!pace.seen(Some(3), at(68_999)));
        assert!(pace.seen(Some(3), at(69_000)));
        assert!(!pace.seen(Some(4), at(70_000)) && !pace.seen(None, at(71_000)));
        assert_eq!(pace.due(), None, "back as it was");
    }

    #[test]
    fn c7_a_folder_that_never_rests_is_taken_every_minute() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let taken: Vec<u64> = (0..200)
            .filter(|second| {
                pace.seen(Some(*second), begin + MS * 1_000 * u32::try_from(*second).unwrap())
            })
            .collect();
        assert_eq!(taken, [60, 121, 182]);
    }

    #[test]
    fn c7_what_cannot_be_hashed_is_tried_ever_more_seldom_until_it_is_something_else() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut tries = Vec::new();
        for second in 0..20_000 {
            let now = begin + MS * 1_000 * second;
            if pace.seen(Some(7), now) {
                tries.push(second);
                assert_eq!(pace.failed(false, now), tries.len() == 1, "told once");
            }
        }
        let waits: Vec<u32> = tries.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600]);
        let end = begin + MS * 1_000 * 20_000;
        assert!(!pace.seen(Some(8), end) && pace.seen(Some(8), end + SETTLE), "another state");
        // What the user asked for is none of the pace's.
        pace.failed(false, end);
        assert!(pace.failed(false, end), "whoever asked for it is told");
        assert_eq!(pace.failed.map(|failed| failed.wait), Some(STATE_EVERY));
    }

    #[test]
    fn c7_what_moves_whenever_it_is_hashed_is_read_ever_more_seldom_and_soon_once_it_is_still() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let at = |second: u32| begin + MS * 1_000 * second;
        let mut tries = Vec::new();
        for second in 0..10_000 {
            if pace.seen(Some(u64::from(second)), at(second)) {
                tries.push(second);
                assert_eq!(pace.failed(true, at(second)), tries.len() == 1, "told once");
            }
        }
        let waits: Vec<u32> = tries.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(waits, [61, 120, 240, 480, 960, 1_920, 3_600]);
        // The last try was long ago, and it is still from now on.
        let wait = pace.failed.unwrap().wait;
        let begun = 10_000 - tries.last().unwrap();
        assert!(begun + 900 < 3_600, "{begun}");
        let still = (10_000..20_000).find(|second| pace.seen(Some(7), at(*second)));
        assert_eq!(still.map(&at), Some(at(10_000) + wait / STILL_PART));
        // Once it is as it is shared, all that is past.
        pace.failed(true, at(20_000));
        pace.nothing();
        assert!(!pace.seen(Some(8), at(20_001)) && pace.seen(Some(8), at(20_003)));
    }

    proptest! {
        #[test]
        fn c7_never_before_it_settled_never_twice_a_minute_and_never_forgotten(
            looks in prop::collection::vec((1u32..5_000, prop::option::of(0u64..3)), 1..200)
        ) {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            let (mut before, mut since, mut first, mut last) = (None, now, now, None);
            for (wait, picture) in looks {
                now += MS * wait;
                if before.is_none() {
                    first = now;
                }
                if picture != before {
                    (before, since) = (picture, now);
                }
                let taken = pace.seen(picture, now);
                if taken {
                    let settled = now >= since + SETTLE || now >= first + STATE_EVERY;
                    prop_assert!(picture.is_some() && settled);
                    prop_assert!(last.is_none_or(|last| now >= last + STATE_EVERY));
                    last = Some(now);
                    // It is shared as it is now.
                    (before, since) = (None, now);
                    prop_assert!(!pace.seen(None, now));
                } else if picture.is_some() {
                    let due = pace.due().unwrap();
                    prop_assert!(due > now && due <= now + STATE_EVERY + SETTLE, "or nobody would look");
                }
            }
        }
    }
}
