//! Whose turn it is where only one may work at a time. Nobody waits for a turn: who comes meanwhile
//! leaves the work with the one whose turn it is, and goes on with something else. A lock instead would
//! hold every worker as soon as one of them does not come back from the system.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use common::lock::Unpoisoned as _;

/// Work by what it is done to. Holds as much as its users bring, and nothing when nobody works.
pub(super) struct Turns<K, T> {
    /// What waits for each key that somebody is working on.
    waiting: Mutex<BTreeMap<K, VecDeque<T>>>,
}

impl<K: Ord + Copy, T> Turns<K, T> {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(BTreeMap::new()) }
    }

    /// Gives the work back if it is the caller's turn, who then asks [`Self::next`] until there is
    /// nothing more; otherwise the one whose turn it is does it.
    pub(super) fn enter(&self, key: K, work: T) -> Option<T> {
        let mut waiting = self.lock();
        match waiting.get_mut(&key) {
            Some(queue) => {
                queue.push_back(work);
                None
            }
            None => {
                waiting.insert(key, VecDeque::new());
                Some(work)
            }
        }
    }

    /// What else there is to do, in the order in which it came; ends the turn if that is nothing.
    pub(super) fn next(&self, key: K) -> Option<T> {
        let mut waiting = self.lock();
        let next = waiting.get_mut(&key).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(&key);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, VecDeque<T>>> {
        self.waiting.lock().unpoisoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_meanwhile_leaves_the_work_and_nobody_waits() {
        let turns = Turns::new();
        assert_eq!(turns.enter('a', 1), Some(1));
        assert_eq!((turns.enter('a', 2), turns.enter('a', 3)), (None, None));
        assert_eq!(turns.enter('b', 4), Some(4), "something else is free");
        assert_eq!((turns.next('a'), turns.next('a'), turns.next('a')), (Some(2), Some(3), None));
        assert_eq!(turns.enter('a', 5), Some(5));
        assert_eq!((turns.next('a'), turns.next('b')), (None, None));
        assert!(turns.lock().is_empty());
    }
}
