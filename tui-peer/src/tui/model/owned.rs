//! Who shares the network's files, as far as the filter asks for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::members::Owners;

/// How long an answer counts: what somebody shares changes seldom, and the tracker has others to serve.
const FRESH: Duration = Duration::from_secs(20);
/// Shortest time between two questions, for the same reason: a name is typed letter by letter.
const GAP: Duration = Duration::from_millis(300);

/// What was asked of the tracker, and what it said.
#[derive(Debug, Default)]
pub struct Owned {
    /// The names that were asked for.
    pub words: Vec<String>,
    /// The answer.
    pub owners: Arc<Owners>,
    /// Why there is none.
    pub error: Option<String>,
    /// Whether it is on its way. One question at a time: what is typed meanwhile waits for its answer.
    pub asking: bool,
    /// When it was asked last.
    pub asked: Option<Instant>,
}

impl Owned {
    /// When it may be asked for `words`; `None` is at once.
    pub fn ask_at(&self, words: &[String]) -> Option<Instant> {
        let pause = if self.words == words { FRESH } else { GAP };
        self.asked.map(|at| at + pause)
    }
}
