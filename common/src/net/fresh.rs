//! What the system is asked for again from time to time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock::Unpoisoned as _;

/// How long a look at the interfaces counts: a laptop that changes its network waits no longer, and a
/// flood of connections does not make us ask the kernel for each.
const FRESH: Duration = Duration::from_secs(30);

/// What a look at the system showed, half a minute ago at most.
#[derive(Debug)]
pub(super) struct Fresh<T> {
    look: fn() -> T,
    seen: Mutex<(Instant, Arc<T>)>,
}

impl<T> Fresh<T> {
    pub(super) fn new(look: fn() -> T) -> Self {
        Self { look, seen: Mutex::new((Instant::now(), Arc::new(look()))) }
    }

    pub(super) fn now(&self) -> Arc<T> {
        let mut seen = self.seen.lock().unpoisoned();
        if seen.0.elapsed() >= FRESH {
            *seen = (Instant::now(), Arc::new((self.look)()));
        }
        Arc::clone(&seen.1)
    }
}
