//! What limits and weights make of what is asked for and served. As a rule there are none, and then they cost
//! nothing.

use std::time::Duration;

use super::content::Content;
use super::pace::Pace;
use super::policy::NORMAL_WEIGHT;
use super::time::Time;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shaping {
    /// Our limit for all that comes in.
    pace: Option<Pace>,
    /// Some content has another weight than usual.
    mixed: bool,
    /// Contents whose uploads have a limit of their own.
    up_limited: usize,
}

impl Shaping {
    /// Notes whether weights and upload limits of single contents matter at all.
    pub(super) fn weigh<'a>(&mut self, mut contents: impl Iterator<Item = &'a Content> + Clone) {
        self.up_limited = contents.clone().filter(|content| content.up_limited).count();
        self.mixed = contents.any(|content| content.policy.weight != NORMAL_WEIGHT);
    }

    /// Some content has another weight than usual.
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Uploads of some content have a limit of their own.
    pub(super) fn limits_uploads(&self) -> bool {
        self.up_limited > 0
    }

    /// Payload bytes per second that may come in over all contents.
    pub(super) fn limit(&mut self, now: Time, rate: Option<u64>) {
        self.pace = rate.map(|rate| Pace::new(rate, now));
    }

    /// What comes in of this content has a limit, its own or that of all.
    pub(super) fn is_limited(&self, content: &Content) -> bool {
        self.pace.is_some() || content.pace.is_some()
    }

    /// Whether the limits let a content ask for one more chunk. `outstanding`: bytes asked for, of all.
    pub(super) fn may_ask(&self, now: Time, outstanding: u64, content: &Content) -> bool {
        self.pace.is_none_or(|pace| pace.allows(now, outstanding))
            && content.pace.is_none_or(|pace| pace.allows(now, content.outstanding))
    }

    /// Payload came in.
    pub(super) fn spend(&mut self, now: Time, bytes: u64, outstanding: u64) {
        if let Some(pace) = &mut self.pace {
            pace.spend(now, bytes, outstanding);
        }
    }

    /// How long our own limit may keep an answer from us: no reason to blame its sender.
    pub(super) fn delay(&self, outstanding: u64) -> Duration {
        self.pace.map_or(Duration::ZERO, |pace| {
            let seconds = outstanding as f64 / pace.rate().max(1) as f64 * 2.0;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        })
    }
}
