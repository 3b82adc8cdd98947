//! Locks after a panic.

use std::sync::{LockResult, PoisonError};

/// What a lock, or a wait for one, gives, though a thread panicked while it held it.
///
/// A panic is told and ends its task where it happens. What the lock guards is kept whole at each step, and those who
/// share it are better served than not; so nobody else ends of it.
pub trait Unpoisoned {
    /// The guard, or what comes with it.
    type Guard;

    /// Takes it in either case.
    fn unpoisoned(self) -> Self::Guard;
}

impl<T> Unpoisoned for LockResult<T> {
    type Guard = T;

    fn unpoisoned(self) -> T {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}
