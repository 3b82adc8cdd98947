//! The numbered log of catalogue changes. It says which rows changed, never how: a reader looks the row
//! up, so however many changes it missed it sees each row once, as it is now.

use std::collections::VecDeque;

use common::id::ContentId;

/// Changes remembered; a reader further behind lists again. 100,000 ids are 3.2 MB, and a row is
/// entered once per tick at most.
pub(super) const MAX_CHANGES: usize = 100_000;

/// Ids of changed rows, oldest first. The entry at `position` 1 is the first ever made.
#[derive(Debug)]
pub(super) struct ChangeLog {
    ids: VecDeque<ContentId>,
    /// Position of the front entry.
    first: u64,
    capacity: usize,
}

impl ChangeLog {
    pub(super) fn new(capacity: usize) -> Self {
        Self { ids: VecDeque::new(), first: 1, capacity }
    }

    /// Position of the next entry: what a reader that wants everything from now on starts with.
    pub(super) fn end(&self) -> u64 {
        self.first + self.ids.len() as u64
    }

    /// Enters a change; returns its position.
    pub(super) fn push(&mut self, id: ContentId) -> u64 {
        if self.ids.len() >= self.capacity {
            self.ids.pop_front();
            self.first += 1;
        }
        self.ids.push_back(id);
        self.end() - 1
    }

    /// The entries from `position` on, each with its position; `None` if some are forgotten.
    pub(super) fn since(&self, position: u64) -> Option<impl Iterator<Item = (u64, ContentId)>> {
        let skip = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let ids = self.ids.range(skip.min(self.ids.len())..);
        Some((position..).zip(ids.copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_too_far_behind_is_told_so() {
        let id = |n| ContentId::from_bytes([n; 32]);
        let mut log = ChangeLog::new(3);
        let start = log.end();
        assert_eq!(log.since(start).unwrap().count(), 0);
        let at: Vec<_> = (0..3).map(|n| log.push(id(n))).collect();
        let all: Vec<_> = log.since(start).unwrap().collect();
        assert_eq!(all, [(at[0], id(0)), (at[1], id(1)), (at[2], id(2))]);
        log.push(id(3));
        assert!(log.since(start).is_none());
        assert_eq!(log.since(start + 1).unwrap().count(), 3);
        assert_eq!(log.since(log.end()).unwrap().count(), 0);
    }
}
