//! When a source is given extra connections, and when they are taken back.
//!
//! A TCP connection carries one window in a round trip. That its window is the limit, and not the line, shows only when
//! others are tried beside it: if together they carry more than it ever did alone, they stay.

use std::time::{Duration, Instant};

use crate::api::config::ExtraPolicy;

/// Rates are taken over so many round trips,
const WINDOW_ROUNDS: u32 = 2;
/// but no less than this: a machine that looks away for a moment is not slow,
const LEAST_WINDOW: Duration = Duration::from_millis(100);
/// and no more.
const MOST_WINDOW: Duration = Duration::from_secs(1);
/// A new connection has gathered its speed after so many round trips: ten and a few losses.
const JUDGE_ROUNDS: u32 = 20;
/// It is judged no sooner than this,
const LEAST_TRIAL: Duration = Duration::from_secs(1);
/// and no later.
const MOST_TRIAL: Duration = Duration::from_secs(6);
/// After a trial in vain the next comes no sooner; after each further one twice as late,
const REST: Duration = Duration::from_secs(60);
/// so often: an hour.
const MOST_DOUBLED: u32 = 6;
/// When all that had stayed are gone, the next come no sooner than this.
const AGAIN: Duration = Duration::from_secs(10);
/// In slow start a connection carries twice as much in each round trip. It is steady when a window brings no more than
/// so many times the one before.
const STEADY: f64 = 1.25;
/// What a connection carried at best counts less with each window: one in which much came after little says little.
const FADES: f64 = 0.9;
/// How often connections that have stayed are looked at again,
const REVIEW: Duration = Duration::from_secs(10);
/// and which part (one in so many) of all they have to carry.
const LEAST_PART: u64 = 8;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Verdict {
    /// Nothing.
    Wait,
    /// Open extra connections.
    Open,
    /// Close all of them.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There are none, and none will be opened before this.
    Alone { until: Option<Instant> },
    /// They are being opened.
    Opening,
    /// They are there, and have time to gather speed until the first; from there to the second is counted what came of
    /// the source, and of all sources, in which time.
    Tried { from: Instant, until: Instant, time: Duration, all: u64, everything: u64 },
    /// They have carried something: since then so many bytes, of so many.
    Kept { since: Instant, extra: u64, all: u64 },
}

/// See the module.
#[derive(Debug)]
pub(in crate::session) struct Trial {
    policy: ExtraPolicy,
    rtt: Duration,
    state: State,
    /// Since when bytes are counted, over the connection itself and over extra ones.
    since: Instant,
    main: u64,
    extra: u64,
    /// What all sources had brought then.
    total: u64,
    /// The most bytes per second that the connection itself carried lately, alone or beside others.
    best_main: f64,
    /// The most bytes per second that all sources brought while it was alone: what one gains others may lose.
    best_total: f64,
    /// For so many windows the connection has carried about the same.
    steady: u32,
    /// Trials in vain, one after the other.
    failed: u32,
}

impl Trial {
    /// Of a connection that takes `rtt` for a round trip.
    pub(in crate::session) fn new(policy: ExtraPolicy, rtt: Duration, now: Instant) -> Self {
        Self {
            policy,
            rtt,
            state: State::Alone { until: None },
            since: now,
            main: 0,
            extra: 0,
            total: 0,
            best_main: 0.0,
            best_total: 0.0,
            steady: 0,
            failed: 0,
        }
    }

    /// Payload came.
    pub(in crate::session) fn count(&mut self, extra: bool, bytes: u64) {
        match extra {
            true => self.extra += bytes,
            false => self.main += bytes,
        }
    }

    /// An extra connection is there, and took `rtt` to connect. `false` if it is not wanted: the source is not far away,
    /// it was only that this machine was busy when it was dialled first; or the trial is over.
    pub(in crate::session) fn opened(&mut self, rtt: Duration, now: Instant) -> bool {
        self.rtt = self.rtt.min(rtt);
        if self.state == State::Opening && !self.is_limited() {
            self.lost(now);
        }
        if matches!(self.state, State::Alone { .. }) {
            return false;
        }
        if self.state == State::Opening {
            let time = (self.rtt * JUDGE_ROUNDS).clamp(LEAST_TRIAL, MOST_TRIAL);
            let (from, until) = (now + time / 2, now + time);
            self.state = State::Tried { from, until, time: Duration::ZERO, all: 0, everything: 0 };
        }
        true
    }

    /// None is left, or none was to be had.
    pub(in crate::session) fn lost(&mut self, now: Instant) {
        match self.state {
            State::Alone { .. } => {}
            State::Kept { .. } => self.state = State::Alone { until: Some(now + AGAIN) },
            State::Opening | State::Tried { .. } => self.fail(now),
        }
    }

    /// To be asked whenever payload came, and now and then.
    /// `total`: bytes that all sources have brought so far.
    pub(in crate::session) fn look(&mut self, now: Instant, total: u64) -> Verdict {
        let window = (self.rtt * WINDOW_ROUNDS).clamp(LEAST_WINDOW, MOST_WINDOW);
        let passed = now.saturating_duration_since(self.since);
        if passed < window {
            return Verdict::Wait;
        }
        let rate = |bytes: u64| bytes as f64 / passed.as_secs_f64();
        let main = rate(self.main);
        let new_total = total.saturating_sub(self.total);
        let (new_extra, new_all) = (self.extra, self.main + self.extra);
        (self.since, self.main, self.extra, self.total) = (now, 0, 0, total);
        self.steady = if main > self.best_main * STEADY { 0 } else { self.steady + 1 };
        let before = self.best_main;
        self.best_main = before.max(main);
        match &mut self.state {
            State::Alone { until } => {
                let rests = until.is_some_and(|until| now < until);
                self.best_main = main.max(before * FADES);
                self.best_total = rate(new_total).max(self.best_total * FADES);
                if rests || self.steady < self.policy.steady || !self.is_limited() {
                    return Verdict::Wait;
                }
                self.state = State::Opening;
                Verdict::Open
            }
            State::Opening => Verdict::Wait,
            State::Tried { from, until, time, all, everything } => {
                if now < *from {
                    return Verdict::Wait;
                }
                *time += passed;
                (*all, *everything) = (*all + new_all, *everything + new_total);
                if now < *until {
                    return Verdict::Wait;
                }
                let mean = |bytes: u64| bytes as f64 / time.as_secs_f64();
                let gain = self.best_main * (self.policy.least_gain - 1.0);
                let enough = mean(*all) >= self.best_main + gain
                    && mean(*everything) >= self.best_total + gain;
                if !enough {
                    self.fail(now);
                    return Verdict::Close;
                }
                self.failed = 0;
                self.state = State::Kept { since: now, extra: 0, all: 0 };
                Verdict::Wait
            }
            State::Kept { since, extra, all } => {
                (*extra, *all) = (*extra + new_extra, *all + new_all);
                if now.saturating_duration_since(*since) < REVIEW {
                    return Verdict::Wait;
                }
                if *extra > *all / LEAST_PART {
                    self.state = State::Kept { since: now, extra: 0, all: 0 };
                    return Verdict::Wait;
                }
                if *all < self.policy.least_window {
                    // Little is asked for: that says nothing about them.
                    self.state = State::Alone { until: None };
                } else {
                    self.fail(now);
                }
                Verdict::Close
            }
        }
    }

    /// Whether a window may be what holds the connection up.
    fn is_limited(&self) -> bool {
        let under_way = self.best_main * self.rtt.as_secs_f64();
        self.rtt >= self.policy.least_rtt && under_way >= self.policy.least_window as f64
    }

    fn fail(&mut self, now: Instant) {
        let rest = REST * 2u32.pow(self.failed.min(MOST_DOUBLED));
        self.failed = self.failed.saturating_add(1);
        self.state = State::Alone { until: Some(now + rest) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const FAR: Duration = Duration::from_millis(100);

    /// A source, in steps of 50 ms.
    struct Run {
        trial: Trial,
        now: Instant,
        /// What came of all sources; of others so much a second.
        total: u64,
        others: u64,
    }

    impl Run {
        fn new(rtt: Duration) -> Self {
            let now = Instant::now();
            let trial = Trial::new(ExtraPolicy::default(), rtt, now);
            Self { trial, now, total: 0, others: 0 }
        }

        /// So many bytes a second over each come for so long, or until something is to be done.
        fn flow(&mut self, main: u64, extra: u64, time: Duration) -> Verdict {
            let end = self.now + time;
            while self.now < end {
                self.now += Duration::from_millis(50);
                self.trial.count(false, main / 20);
                self.trial.count(true, extra / 20);
                self.total += (main + extra + self.others) / 20;
                let verdict = self.trial.look(self.now, self.total);
                if verdict != Verdict::Wait {
                    return verdict;
                }
            }
            Verdict::Wait
        }

        fn open(&mut self, main: u64) {
            assert_eq!(self.flow(main, 0, Duration::from_secs(2)), Verdict::Open);
            assert!(self.trial.opened(FAR, self.now));
        }
    }

    #[test]
    fn a_source_that_is_near_or_slow_is_left_with_one_connection() {
        let near = Duration::from_millis(5);
        for (rtt, rate) in [(near, 2000 * MIB), (FAR, 12 * MIB), (FAR * 3, 3 * MIB)] {
            let verdict = Run::new(rtt).flow(rate, 0, Duration::from_secs(60));
            assert_eq!(verdict, Verdict::Wait, "{rtt:?} at {rate}");
        }
    }

    #[test]
    fn the_trial_begins_when_slow_start_is_over() {
        let mut run = Run::new(FAR);
        let began = run.now;
        // Slow start: ten packets, and twice as many in each round trip.
        let mut round = 14_600;
        while run.flow(round * 10, 0, FAR) == Verdict::Wait {
            round = (round * 2).min(6 * MIB);
        }
        assert!(run.now - began <= FAR * 16 && run.now - began > FAR * 10, "{:?}", run.now - began);
    }

    #[test]
    fn what_carries_more_than_one_did_stays_as_long_as_it_does() {
        let mut run = Run::new(FAR);
        run.open(50 * MIB);
        let gathering = Duration::from_millis(900);
        assert_eq!(run.flow(50 * MIB, 5 * MIB, gathering), Verdict::Wait);
        assert_eq!(run.flow(40 * MIB, 60 * MIB, Duration::from_secs(60)), Verdict::Wait);
        // They stand still beside it: closed, and not tried again soon.
        assert_eq!(run.flow(50 * MIB, MIB, Duration::from_secs(30)), Verdict::Close);
        assert_eq!(run.flow(50 * MIB, 0, Duration::from_secs(50)), Verdict::Wait);
    }

    #[test]
    fn what_only_divides_the_line_is_closed_and_tried_more_and_more_seldom() {
        let mut run = Run::new(FAR);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let began = run.now;
            assert_eq!(run.flow(50 * MIB, 0, Duration::from_secs(4000)), Verdict::Open);
            waits.push((run.now - began).as_secs());
            assert!(run.trial.opened(FAR, run.now));
            assert_eq!(run.flow(20 * MIB, 32 * MIB, Duration::from_secs(10)), Verdict::Close);
        }
        assert_eq!(waits.iter().map(|wait| wait / 60).collect::<Vec<_>>(), [0, 1, 2, 4]);
    }

    #[test]
    fn what_others_lose_is_no_gain() {
        let mut run = Run::new(FAR);
        run.others = 60 * MIB;
        run.open(50 * MIB);
        run.others = 10 * MIB;
        assert_eq!(run.flow(40 * MIB, 60 * MIB, Duration::from_secs(5)), Verdict::Close);
    }

    #[test]
    fn what_nothing_is_asked_of_is_closed_and_may_be_opened_at_once_again() {
        let mut run = Run::new(FAR);
        run.open(50 * MIB);
        assert_eq!(run.flow(40 * MIB, 60 * MIB, Duration::from_secs(15)), Verdict::Wait);
        assert_eq!(run.flow(0, 0, Duration::from_secs(30)), Verdict::Close);
        run.open(50 * MIB);
    }

    #[test]
    fn a_busy_machine_does_not_make_a_source_far() {
        let mut run = Run::new(FAR);
        assert_eq!(run.flow(500 * MIB, 0, Duration::from_secs(2)), Verdict::Open);
        assert!(!run.trial.opened(Duration::from_millis(1), run.now));
        assert_eq!(run.flow(500 * MIB, 0, Duration::from_secs(600)), Verdict::Wait);
    }

    #[test]
    fn none_to_be_had_is_a_trial_in_vain() {
        let mut run = Run::new(FAR);
        assert_eq!(run.flow(50 * MIB, 0, Duration::from_secs(2)), Verdict::Open);
        run.trial.lost(run.now);
        assert_eq!(run.flow(50 * MIB, 0, Duration::from_secs(59)), Verdict::Wait);
        run.open(50 * MIB);
    }
}
