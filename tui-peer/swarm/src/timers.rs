//! When what is due at which time.

use std::time::Duration;

use super::time::Time;

/// See the module. Everything is due at once when a node begins.
#[derive(Debug, Default)]
pub(super) struct Timers {
    tick: Time,
    rechoke: Time,
    halve: Time,
    /// When HAVE is due, if there is news.
    news: Option<Time>,
    /// When it went out last.
    told: Time,
    /// When a chunk of ours was last read again because a peer complained.
    checked: Option<Time>,
}

/// Whether `due` has come; it is `every` later the next time then.
fn pass(due: &mut Time, now: Time, every: Duration) -> bool {
    let is_due = now >= *due;
    if is_due {
        *due = now + every;
    }
    is_due
}

impl Timers {
    /// When something is due next.
    pub(super) fn next(&self) -> Time {
        self.news.map_or(self.tick, |news| news.min(self.tick))
    }

    pub(super) fn is_news_due(&self, now: Time) -> bool {
        self.news.is_some_and(|due| now >= due)
    }

    pub(super) fn is_tick_due(&self, now: Time) -> bool {
        now >= self.tick
    }

    pub(super) fn tick_at(&mut self, at: Time) {
        self.tick = at;
    }

    /// Something moves: time is looked at no later than `at`.
    pub(super) fn tick_by(&mut self, at: Time) {
        self.tick = self.tick.min(at);
    }

    pub(super) fn rechokes(&mut self, now: Time, every: Duration) -> bool {
        pass(&mut self.rechoke, now, every)
    }

    /// Whether what happened lately counts half from now on.
    pub(super) fn halves(&mut self, now: Time, every: Duration) -> bool {
        pass(&mut self.halve, now, every)
    }

    /// There is news. Whether it is told at once: else others heard some less than `delay` ago.
    pub(super) fn tells_at_once(&mut self, now: Time, delay: Duration) -> bool {
        let due = self.told + delay;
        if now < due {
            self.news = Some(due);
        }
        now >= due
    }

    /// All news goes out.
    pub(super) fn told(&mut self, now: Time) {
        (self.news, self.told) = (None, now);
    }

    /// Whether a chunk of ours may be read again: not if that was less than `every` ago. It counts as read then.
    pub(super) fn may_check(&mut self, now: Time, every: Duration) -> bool {
        let soon = self.checked.is_some_and(|last| now.since(last) < every);
        if !soon {
            self.checked = Some(now);
        }
        !soon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn news_waits_for_the_delay_and_what_is_due_again_and_again_waits_for_its_time() {
        let (mut timers, begin) = (Timers::default(), Time::ZERO + 100 * S);
        assert!(timers.tells_at_once(begin, S), "nobody heard anything yet");
        timers.told(begin);
        timers.tick_at(begin + 60 * S);
        assert!(!timers.tells_at_once(begin + S / 2, S) && timers.next() == begin + S);
        assert!(timers.is_news_due(begin + S) && !timers.is_news_due(begin + S / 2));
        timers.told(begin + S);
        timers.tick_by(begin + 2 * S);
        timers.tick_by(begin + 9 * S);
        assert!(timers.next() == begin + 2 * S && timers.is_tick_due(begin + 2 * S));
        assert!(timers.rechokes(begin, 10 * S) && !timers.rechokes(begin + 9 * S, 10 * S));
        assert!(timers.rechokes(begin + 10 * S, 10 * S) && timers.halves(begin, S));
        assert!(timers.may_check(begin, S) && !timers.may_check(begin + S / 2, S));
        assert!(timers.may_check(begin + S, S));
    }
}
