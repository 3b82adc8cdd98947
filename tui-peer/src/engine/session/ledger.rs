//! What the session writes into the library, in the order in which it was decided: a removal must not be
//! overtaken by an older wish for the same download, or a restart would bring it back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Session;
use super::shares::Done;
use crate::engine::library::{Library, LibraryError};

/// One thing to write.
type Write = Box<dyn FnOnce(&Library) -> Result<(), LibraryError> + Send>;

/// Writes that wait. A user's commands cause them, each some hundred bytes; they are as many as were
/// given within the few milliseconds that a commit takes.
#[derive(Default)]
pub(super) struct Ledger {
    waiting: Mutex<VecDeque<Write>>,
    /// Held by whoever writes.
    turn: Mutex<()>,
}

impl Ledger {
    /// Adds a write; says whether somebody has to be sent to [`Self::settle`] it.
    fn add(&self, write: Write) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.push_back(write);
        waiting.len() == 1
    }

    /// Does everything that waits, in order; blocks. What was added before is done afterwards.
    ///
    /// # Errors
    /// The first; the others are tried all the same.
    pub(super) fn settle(&self, library: &Library) -> Result<(), LibraryError> {
        let _turn = lock(&self.turn);
        let mut result = Ok(());
        loop {
            let next = lock(&self.waiting).pop_front();
            let Some(write) = next else { return result };
            result = result.and(write(library));
        }
    }
}

impl Session {
    /// Writes into the library, beside the session and after everything that was to be written before.
    pub(super) fn write_down(
        &self,
        write: impl FnOnce(&Library) -> Result<(), LibraryError> + Send + 'static,
    ) {
        if self.ledger.add(Box::new(write)) {
            let (ledger, library) = (self.ledger.clone(), self.library.clone());
            self.background(move || Done::Forgotten { result: ledger.settle(&library) });
        }
    }

    /// For background work that writes by itself: to be settled first.
    pub(super) fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_write_is_never_overtaken_by_an_earlier_one() {
        let temp = tempfile::tempdir().unwrap();
        let (library, _) = Library::open(temp.path()).unwrap();
        let (library, ledger) = (Arc::new(library), Arc::new(Ledger::default()));
        let mut threads = Vec::new();
        for n in 0..50 {
            let text = n.to_string();
            let first = ledger.add(Box::new(move |library| library.set_setting("n", Some(&text))));
            // As many threads as may come, in whatever order they come.
            if first || n % 7 == 0 {
                let (library, ledger) = (library.clone(), ledger.clone());
                threads.push(std::thread::spawn(move || ledger.settle(&library).unwrap()));
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let loaded = library.load().unwrap();
        assert_eq!(loaded.settings.get("n").map(String::as_str), Some("49"));
    }
}
