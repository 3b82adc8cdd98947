//! Who keeps its connection when there are not enough for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{AbortHandle, Id};

/// A connection: its task, and whether it has asked for something.
#[derive(Debug)]
struct Place {
    task: AbortHandle,
    asked: Arc<AtomicBool>,
}

/// The connections there are, the oldest first.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Vec<Place>,
}

impl Places {
    /// Room for `most` of them.
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Vec::new() }
    }

    /// Makes room for one more, at the cost of the one that has been silent for longest; false if all are being
    /// answered, which has a deadline.
    pub(super) fn make_room(&mut self) -> bool {
        if self.taken.len() < self.most {
            return true;
        }
        let silent = self.taken.iter().position(|place| !place.asked.load(Ordering::Relaxed));
        let Some(at) = silent else { return false };
        self.taken.remove(at).task.abort();
        true
    }

    /// One more is there.
    pub(super) fn add(&mut self, task: AbortHandle, asked: Arc<AtomicBool>) {
        self.taken.push(Place { task, asked });
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, id: Id) {
        self.taken.retain(|place| place.task.id() != id);
    }
}
