//! How often those who watch a content are told how far its sources have come. That takes work and bytes in proportion
//! to watchers times the sources they follow, and is the less worth the more there are: sources that are connected tell
//! each other at once. Who comes and who goes is told with the next tick in a swarm of any size.

use std::collections::{BTreeSet, HashMap};

use common::id::ContentId;

use super::SessionId;

/// Milliseconds between two times, for each who watches: with fifty sources followed, each with a list of chunks of
/// some 300 bytes, this is 2.5 MB a second, however many watch.
const MS_PER_WATCHER: usize = 6;
/// So many are told with every tick.
const FEW: usize = 50;
/// Longest time between two: where chunks come seldom, and few are connected.
const LONGEST_MS: u64 = 30_000;

/// Those who watch one content.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    pub(super) sessions: Vec<SessionId>,
    /// How often they have been told of progress.
    pub(super) round: u64,
    /// When they were told last, in milliseconds.
    told_ms: u64,
    /// There is progress that they have not been told of.
    pub(super) waits: bool,
}

/// Progress of sources of watched contents.
#[derive(Debug, Default)]
pub(super) struct Paced {
    /// What has made some since the last tick.
    fresh: BTreeSet<ContentId>,
    /// When what had made some before is to be told, in milliseconds.
    due: BTreeSet<(u64, ContentId)>,
}

impl Watchers {
    /// Whether so few are left that they need not wait as long as the many would have.
    pub(super) fn waits_no_longer(&mut self) -> bool {
        self.sessions.len() <= FEW && std::mem::take(&mut self.waits)
    }

    /// When they are to be told of progress.
    fn due_ms(&self) -> u64 {
        let watchers = self.sessions.len();
        if watchers <= FEW {
            return 0;
        }
        let pause = watchers.saturating_mul(MS_PER_WATCHER);
        self.told_ms.saturating_add(LONGEST_MS.min(pause.try_into().unwrap_or(LONGEST_MS)))
    }
}

impl Paced {
    pub(super) fn add(&mut self, id: ContentId) {
        self.fresh.insert(id);
    }

    /// Of what is to be told now.
    pub(super) fn take_due(
        &mut self,
        now_ms: u64,
        watchers: &mut HashMap<ContentId, Watchers>,
    ) -> Vec<ContentId> {
        for id in std::mem::take(&mut self.fresh) {
            if let Some(watchers) = watchers.get_mut(&id).filter(|watchers| !watchers.waits) {
                watchers.waits = true;
                self.due.insert((watchers.due_ms(), id));
            }
        }
        let mut ids = Vec::new();
        while let Some((_, id)) = self.due.first().copied().filter(|(due, _)| *due <= now_ms) {
            self.due.pop_first();
            if let Some(watchers) = watchers.get_mut(&id).filter(|watchers| watchers.waits) {
                watchers.waits = false;
                watchers.told_ms = now_ms;
                watchers.round += 1;
                ids.push(id);
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_swarm_hears_of_progress_less_often_and_a_small_one_at_once() {
        let id = |n| ContentId::from_bytes([n; 32]);
        let watched = |watchers: usize| Watchers {
            sessions: vec![SessionId(0); watchers],
            ..Watchers::default()
        };
        let mut all = HashMap::from([(id(1), watched(50)), (id(2), watched(1000))]);
        let mut paced = Paced::default();
        let mut told = [0; 2];
        for tick in 0..600 {
            (1..=2).for_each(|n| paced.add(id(n)));
            for id in paced.take_due(1_000_000 + tick * 100, &mut all) {
                told[usize::from(id.as_bytes()[0]) - 1] += 1;
            }
        }
        assert_eq!(told, [600, 10], "in a minute");
        // Nobody watches any more.
        paced.add(id(1));
        all.clear();
        assert!(paced.take_due(9_000_000, &mut all).is_empty());
        assert!(paced.due.is_empty() && paced.fresh.is_empty());
    }
}
