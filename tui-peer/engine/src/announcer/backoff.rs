//! How long to wait before the next try.

use std::time::Duration;

/// Wait before the first try after a connection that had lasted: with jitter at most this.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait, unless the tracker announced a longer spread: somebody who mends a tracker should not have
/// to wait longer for everybody.
const LONGEST: Duration = Duration::from_secs(15);
/// Longest spread that a tracker may announce: at 2,000 returns a second it is for 120,000 peers.
pub(super) const LONGEST_SPREAD: Duration = Duration::from_secs(60);
/// Wait after the tracker refused us: a person has to do something first.
const REFUSED: Duration = Duration::from_secs(60);
/// Added to what a tracker asks for: a shortest wait that does not have all come at once who were told
/// less than that.
const LEAST_ASKED: Duration = Duration::from_secs(1);
/// Longest wait a tracker may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// Tries that are spread: the second is of those who came before it had started.
const SPREAD_TRIES: u32 = 2;
/// A connection that lasted this long was a good one; a shorter one counts as another failure, so that
/// a tracker that hangs up at once is not dialled every second. One that has just started is forgiven.
const LASTED: Duration = Duration::from_secs(20);

/// Why we wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It could not be reached, or the connection broke.
    Broken,
    /// It does not let us in.
    Refused,
    /// It asked for a pause.
    Asked(Duration),
}

/// Doubling waits with jitter: 1, 2, 4, 8, 15 s, each between half and all of that.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// Over which time the tracker wants peers to come back that lost it.
    spread: Duration,
}

impl Backoff {
    /// The wait before the next try. `lived` is how long the connection lasted, zero if it never came up.
    pub(super) fn wait(&mut self, why: Why, lived: Duration, rng: &mut fastrand::Rng) -> Duration {
        if lived >= LASTED {
            self.failures = 0;
        }
        let longest = LONGEST.max(self.spread);
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(longest);
        let starting = self.failures < SPREAD_TRIES;
        self.failures = self.failures.saturating_add(1);
        match why {
            // Everybody lost it at the same moment, and who found it not there yet was one of a crowd as well.
            Why::Broken if starting && self.spread > doubled => {
                FIRST / 2 + (self.spread - FIRST / 2).mul_f64(rng.f64())
            }
            Why::Broken => jitter(doubled, rng),
            Why::Refused => REFUSED,
            // Everybody was told the same moment or a random one: a little more does no harm. A tracker
            // that says goodbye again and again is not dialled without end.
            Why::Asked(pause) => LEAST_ASKED + pause.min(LONGEST_ASKED) + jitter(FIRST / 4, rng),
        }
    }

    /// The tracker let us in: it says over which time peers should come back, and whether it has just
    /// started. Then earlier failures say nothing about this run of it.
    pub(super) fn welcomed(&mut self, just_started: bool, spread: Duration) {
        self.spread = spread.min(LONGEST_SPREAD);
        if just_started {
            self.failures = 0;
        }
    }

    /// Over which time the tracker wants a crowd to come.
    pub(super) fn spread(&self) -> Duration {
        self.spread
    }

    /// Somebody is impatient: begin anew.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

fn jitter(wait: Duration, rng: &mut fastrand::Rng) -> Duration {
    wait.mul_f64(0.5 + rng.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_good_connection() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut backoff = Backoff::default();
        for full in [1, 2, 4, 8, 15, 15, 15] {
            let wait = backoff.wait(Why::Broken, Duration::ZERO, &mut rng);
            let full = Duration::from_secs(full);
            assert!((full / 2..=full).contains(&wait), "{wait:?} of {full:?}");
        }
        let wait = backoff.wait(Why::Broken, Duration::from_secs(30), &mut rng);
        assert!(wait <= FIRST);
        let wait = backoff.wait(Why::Broken, Duration::from_secs(1), &mut rng);
        assert!(wait >= FIRST, "a tracker that hangs up at once: {wait:?}");
        backoff.reset();
        assert!(backoff.wait(Why::Broken, Duration::ZERO, &mut rng) <= FIRST);
    }

    #[test]
    fn f8_an_announced_spread_is_kept_within_reason() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut backoff = Backoff::default();
        let secs = Duration::from_secs;
        backoff.welcomed(true, secs(10));
        let first: Vec<_> = (0..1000)
            .map(|_| {
                backoff.reset();
                backoff.wait(Why::Broken, Duration::ZERO, &mut rng)
            })
            .collect();
        assert!(first.iter().all(|wait| (FIRST / 2..=secs(10)).contains(wait)));
        let soon = first.iter().filter(|wait| **wait < secs(5)).count();
        assert!(
            (400..600).contains(&soon),
            "all over the spread: {soon} of 1000 in the first half"
        );
        backoff.welcomed(true, secs(10_000));
        let longest = (0..20).map(|_| backoff.wait(Why::Broken, Duration::ZERO, &mut rng)).max();
        assert!(
            longest.is_some_and(|wait| wait > LONGEST && wait <= LONGEST_SPREAD),
            "{longest:?}"
        );
        // Who comes too early is no denser a crowd the second time.
        backoff.welcomed(true, secs(10));
        let second: Vec<_> = (0..1000)
            .map(|_| {
                backoff.reset();
                backoff.wait(Why::Broken, Duration::ZERO, &mut rng);
                backoff.wait(Why::Broken, Duration::ZERO, &mut rng)
            })
            .collect();
        let soon = second.iter().filter(|wait| **wait < secs(5)).count();
        assert!((400..600).contains(&soon), "{soon} of 1000 in the first half");
        backoff.welcomed(true, secs(10_000));
        for _ in 0..20 {
            backoff.wait(Why::Broken, Duration::ZERO, &mut rng);
        }
        // The same run of the tracker: what failed before still counts.
        backoff.welcomed(false, Duration::ZERO);
        assert!(backoff.wait(Why::Broken, Duration::ZERO, &mut rng) >= LONGEST / 2);
    }

    #[test]
    fn what_a_tracker_asks_for_is_honoured_within_reason() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut backoff = Backoff::default();
        let mut asked =
            |ms| backoff.wait(Why::Asked(Duration::from_millis(ms)), Duration::ZERO, &mut rng);
        assert!((1_700..2_000).contains(&asked(700).as_millis()));
        assert!(asked(0) >= Duration::from_secs(1), "s9: a tracker that says goodbye all the time");
        assert!(asked(u64::from(u32::MAX)) <= LONGEST_ASKED + FIRST * 2);
        assert_eq!(backoff.wait(Why::Refused, Duration::ZERO, &mut rng), REFUSED);
    }
}
