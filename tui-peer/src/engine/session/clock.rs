//! Noticing that the machine slept, or that somebody set its clock: the two clocks drift apart then.

use std::time::{Duration, Instant, SystemTime};

/// Clocks that differ by less over one look are only being adjusted.
const SLACK: Duration = Duration::from_secs(10);

/// What both clocks said at the last look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    mono: Instant,
    wall: SystemTime,
}

/// What happened to the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// So much more time passed than we ran: the machine slept, or its clock was set forward.
    Ahead(Duration),
    /// The clock was set back.
    Back(Duration),
}

impl Clocks {
    pub(super) fn new(mono: Instant, wall: SystemTime) -> Self {
        Self { mono, wall }
    }

    /// Looks again.
    pub(super) fn look(&mut self, mono: Instant, wall: SystemTime) -> Option<Jump> {
        let ran = mono.saturating_duration_since(self.mono);
        let expected = self.wall + ran;
        (self.mono, self.wall) = (mono, wall);
        match wall.duration_since(expected) {
            Ok(more) => (more >= SLACK).then_some(Jump::Ahead(more)),
            Err(less) => (less.duration() >= SLACK).then(|| Jump::Back(less.duration())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_noticed_and_adjusting_is_not() {
        let (mono, wall) = (Instant::now(), SystemTime::now());
        let mut clocks = Clocks::new(mono, wall);
        let s = Duration::from_secs;
        assert_eq!(clocks.look(mono + s(30), wall + s(31)), None);
        let slept = clocks.look(mono + s(31), wall + s(31 + 3600));
        assert_eq!(slept, Some(Jump::Ahead(s(3599))));
        assert_eq!(clocks.look(mono + s(32), wall + s(3600 + 32)), None, "told once");
        assert_eq!(clocks.look(mono + s(33), wall + s(33)), Some(Jump::Back(s(3600))));
    }
}
