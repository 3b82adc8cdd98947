//! Who shares the network's files, as far as the filter asks for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::numbers::saturate;

use frontend::members::Owners;

/// How long an answer counts: what somebody shares changes seldom, and the tracker has others to serve …
const FRESH: Duration = Duration::from_secs(20);
/// … and this much longer for each page that it took.
const PER_PAGE: Duration = Duration::from_millis(500);
/// Shortest time between two questions, for the same reason: a name is typed letter by letter.
const GAP: Duration = Duration::from_millis(300);

/// What was asked of the tracker, and what it said.
#[derive(Debug, Default)]
pub struct Owned {
    /// The names that were asked for.
    pub words: Vec<String>,
    /// The last answer for these names; it stays where a later question is refused.
    pub owners: Option<Arc<Owners>>,
    /// Why there is none, or no newer one.
    pub error: Option<String>,
    /// Whether one is on its way. A question for other names takes the place of the one before.
    pub asking: bool,
    /// When it was asked last.
    pub asked: Option<Instant>,
}

impl Owned {
    /// When it may be asked for `words`; `None` is at once.
    pub fn ask_at(&self, words: &[String]) -> Option<Instant> {
        let pages = self.owners.as_ref().map_or(0, |owners| owners.pages());
        let pages = saturate::<u32>(pages);
        let again = FRESH + PER_PAGE.saturating_mul(pages);
        let pause = if self.words == words { again } else { GAP };
        self.asked.map(|at| at + pause)
    }
}
