//! Noticing that the machine slept, that somebody set its clock, and that its clock is not the tracker's.

use std::time::{Duration, Instant, SystemTime};

use common::membership::CLOCK_GAP_SECS;

use super::Session;
use crate::api::cause;
use crate::api::event::{Level, Target, What};
use swarm::event::Input;

/// Clocks that differ by less over one look are only being adjusted. Also more than the second to which the
/// system tells how long it has been up.
const SLACK: Duration = Duration::from_secs(10);
/// Least time between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// A difference from the tracker's clock that was told counts as over below this, in seconds: a little less
/// than what is told, so that one at the limit is not told again and again.
const GAP_OVER_SECS: u64 = CLOCK_GAP_SECS * 3 / 4;
/// Least time between two words about that difference: a tracker whose clock wanders does not fill the log.
const GAP_PAUSE: Duration = Duration::from_secs(60);

/// What the clocks said at the last look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    mono: Instant,
    wall: SystemTime,
    up: Option<Duration>,
}

/// What happened to the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// The machine slept for so long; or, where the system does not tell that apart, its clock was set ahead.
    Slept(Duration),
    /// The clock was set ahead.
    Ahead(Duration),
    /// The clock was set back.
    Back(Duration),
}

impl Clocks {
    /// `up` is how long the system has been up, sleep included, if it tells.
    pub(super) fn new(mono: Instant, wall: SystemTime, up: Option<Duration>) -> Self {
        Self { mono, wall, up }
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&self, mono: Instant) -> bool {
        mono.saturating_duration_since(self.mono) >= LOOK_PAUSE
    }

    /// Looks again.
    pub(super) fn look(
        &mut self,
        mono: Instant,
        wall: SystemTime,
        up: Option<Duration>,
    ) -> Option<Jump> {
        let ran = mono.saturating_duration_since(self.mono);
        let passed = up.zip(self.up).map(|(up, before)| up.saturating_sub(before));
        let expected = self.wall + ran;
        (self.mono, self.wall, self.up) = (mono, wall, up);
        if let Some(slept) = passed.map(|passed| passed.saturating_sub(ran))
            && slept >= SLACK
        {
            return Some(Jump::Slept(slept));
        }
        match wall.duration_since(expected) {
            Ok(more) if more < SLACK => None,
            Ok(more) if passed.is_some() => Some(Jump::Ahead(more)),
            Ok(more) => Some(Jump::Slept(more)),
            Err(less) => (less.duration() >= SLACK).then(|| Jump::Back(less.duration())),
        }
    }
}

/// How long the system has been up, sleep included, to the second; `None` where it does not tell.
pub(super) fn system_up() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return u64::try_from(rustix::system::sysinfo().uptime).ok().map(Duration::from_secs);
    #[cfg(not(target_os = "linux"))]
    None
}

/// How far the tracker's clock is ahead of ours, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Gap {
    told: Option<i64>,
    told_at: Option<Instant>,
}

/// Something to tell about the two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GapNews {
    /// The tracker's is ahead by so many seconds.
    Differ(i64),
    /// They agree again.
    Agree,
}

impl Gap {
    /// Seconds by which the tracker's clock is ahead, while that is worth a word.
    pub(super) fn secs(&self) -> Option<i64> {
        self.told
    }

    /// Looks again; `ahead` is `None` while no tracker tells its time.
    pub(super) fn look(&mut self, now: Instant, ahead: Option<i64>) -> Option<GapNews> {
        let Some(ahead) = ahead else {
            *self = Self::default();
            return None;
        };
        if self.told_at.is_some_and(|at| now.saturating_duration_since(at) < GAP_PAUSE) {
            return None;
        }
        let news = match self.told {
            None if ahead.unsigned_abs() > CLOCK_GAP_SECS => GapNews::Differ(ahead),
            Some(_) if ahead.unsigned_abs() < GAP_OVER_SECS => GapNews::Agree,
            Some(told) if told.abs_diff(ahead) > CLOCK_GAP_SECS => GapNews::Differ(ahead),
            _ => return None,
        };
        self.told = (news != GapNews::Agree).then_some(ahead);
        self.told_at = Some(now);
        Some(news)
    }
}

impl Session {
    pub(super) fn check_clocks(&mut self, now: Instant, wall: SystemTime) {
        if self.clocks.is_due(now)
            && let Some(jump) = self.clocks.look(now, wall, system_up())
        {
            self.on_jump(jump, now);
        }
        if let Some(news) = self.net.gap.look(now, self.ours.gate.ahead_secs(now, wall)) {
            self.on_gap(news);
        }
    }

    fn on_jump(&mut self, jump: Jump, now: Instant) {
        match jump {
            Jump::Back(by) => {
                let text = format!("the clock was set back by {} s", by.as_secs());
                self.log(Level::Info, Target::Net, text);
            }
            // Whoever we are connected to did not notice; unless we are a virtual machine that stood still,
            // which is told by a tracker that does not answer.
            Jump::Ahead(by) => {
                let text = format!("the clock was set ahead by {} s", by.as_secs());
                self.log(Level::Info, Target::Net, text);
                if let Some(announcer) = &self.net.announcer {
                    announcer.announce_now();
                }
            }
            // Whoever we were connected to is gone or soon will be.
            Jump::Slept(by) => {
                let text = format!("{} s passed at once: reconnecting", by.as_secs());
                self.log(Level::Info, Target::Net, text);
                self.ours.gate.slept(by, now);
                self.feed(Input::Woke);
                if let Some(announcer) = &self.net.announcer {
                    announcer.announce_now();
                }
            }
        }
    }

    /// Our clock and the tracker's differ by more than they should, or do no longer.
    fn on_gap(&mut self, news: GapNews) {
        self.changed();
        match news {
            GapNews::Differ(ahead) => {
                let text = format!("{}; transfers are not affected", cause::clocks(ahead));
                let hint = "set whichever of the two is wrong (timedatectl set-ntp true)";
                let what = What::Failed { id: None, code: "clock", hint: hint.to_owned() };
                self.tell(Level::Warn, Target::Track, text, what);
            }
            GapNews::Agree => {
                self.log(Level::Info, Target::Track, "the tracker's clock and ours agree again");
            }
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    common::clock::unix_ms(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn sleep_is_noticed_and_adjusting_is_not() {
        let (mono, wall) = (Instant::now(), SystemTime::now());
        let mut clocks = Clocks::new(mono, wall, None);
        assert_eq!(clocks.look(mono + 30 * S, wall + 31 * S, None), None);
        let slept = clocks.look(mono + 31 * S, wall + (31 + 3600) * S, None);
        assert_eq!(slept, Some(Jump::Slept(3599 * S)));
        assert_eq!(clocks.look(mono + 32 * S, wall + (3600 + 32) * S, None), None, "told once");
        let back = clocks.look(mono + 33 * S, wall + 33 * S, None);
        assert_eq!(back, Some(Jump::Back(3600 * S)));
    }

    #[test]
    fn f4_a_clock_that_is_set_is_no_sleep() {
        let (mono, wall, up) = (Instant::now(), SystemTime::now(), 1000 * S);
        let mut clocks = Clocks::new(mono, wall, Some(up));
        let days = 40 * 86_400 * S;
        assert_eq!(clocks.look(mono + S, wall + S, Some(up + 2 * S)), None, "told to the second");
        let set = clocks.look(mono + 2 * S, wall + 2 * S + days, Some(up + 2 * S));
        assert_eq!(set, Some(Jump::Ahead(days)));
        let back = clocks.look(mono + 3 * S, wall + 3 * S, Some(up + 3 * S));
        assert_eq!(back, Some(Jump::Back(days)));
        let slept = clocks.look(mono + 4 * S, wall + 3604 * S, Some(up + 3604 * S));
        assert_eq!(slept, Some(Jump::Slept(3600 * S)));
        // Asleep, and set back in that time: what was connected is gone all the same.
        let slept = clocks.look(mono + 5 * S, wall, Some(up + 7205 * S));
        assert_eq!(slept, Some(Jump::Slept(3600 * S)));
    }

    #[test]
    fn f4_a_difference_is_told_once_and_when_it_is_over() {
        let (now, mut gap) = (Instant::now(), Gap::default());
        assert_eq!(gap.look(now, Some(120)), None);
        assert_eq!(gap.look(now, Some(900)), Some(GapNews::Differ(900)));
        assert_eq!(gap.secs(), Some(900));
        let now = now + GAP_PAUSE;
        assert_eq!(gap.look(now, Some(901)), None);
        assert_eq!(gap.look(now, Some(-900)), Some(GapNews::Differ(-900)));
        assert_eq!(gap.look(now + S, Some(i64::MAX)), None, "not every second");
        let now = now + GAP_PAUSE;
        assert_eq!(gap.look(now, Some(-100)), Some(GapNews::Differ(-100)));
        let now = now + GAP_PAUSE;
        assert_eq!(gap.look(now, Some(-89)), Some(GapNews::Agree));
        assert_eq!(gap.secs(), None);
        assert_eq!(gap.look(now, None), None);
        assert_eq!(
            gap.look(now, Some(i64::MIN)),
            Some(GapNews::Differ(i64::MIN)),
            "another network"
        );
    }
}
