//! Threads for blocking work beside the session: so many for each place where it may hang, and no more.
//! What comes while all of a place have something to do waits there, and keeps nobody elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use common::lock::Unpoisoned as _;

use crate::disk::DiskError;

/// Threads in all. The runtime has 512, and others need some.
const MAX_THREADS: usize = 256;

/// What a piece of work may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Our own state folder, or only a processor.
    Own,
    /// Closing files, wherever they are.
    Closing,
    /// A volume, for a moment if all is well.
    Volume(u64),
    /// Two volumes, the second of which is not to wait for the first.
    Moving(u64, u64),
    /// A volume of which copies are made and the one they are written to, which can take hours.
    Copying(u64, u64),
    /// A volume all of whose bytes may be read, which can take hours.
    Reading(u64),
}

impl Place {
    /// Most threads that work there at once.
    fn most(self) -> usize {
        match self {
            // The library lets one write at a time; reading manifests takes memory.
            Self::Own | Self::Volume(_) => 8,
            Self::Closing => 32,
            // More than two readers and writers make a disk slower.
            Self::Moving(..) | Self::Copying(..) => 2,
            // Each hashes on all cores.
            Self::Reading(_) => 4,
        }
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Runs work; clones share the threads.
#[derive(Clone, Default)]
pub(super) struct Helpers {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    waiting: BTreeMap<Place, VecDeque<Work>>,
    /// Threads at work, by place; none that is nought.
    working: BTreeMap<Place, usize>,
    /// Where the search for the next work begins, so that every place has its turn.
    after: Option<Place>,
}

impl Helpers {
    /// Runs `work` beside the caller, after what waits for the same place.
    pub(super) fn run(&self, place: Place, work: impl FnOnce() + Send + 'static) {
        let mut inner = self.lock();
        if inner.has_room(place) {
            inner.begin(place);
            drop(inner);
            self.spawn(place, Box::new(work));
        } else {
            inner.waiting.entry(place).or_default().push_back(Box::new(work));
        }
    }

    fn spawn(&self, mut place: Place, mut work: Work) {
        let helpers = self.clone();
        tokio::task::spawn_blocking(move || {
            loop {
                // The panic message is out; what waits needs this thread.
                let _ = catch_unwind(AssertUnwindSafe(work));
                match helpers.lock().next(place) {
                    Some(next) => (place, work) = next,
                    None => return,
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unpoisoned()
    }
}

impl Inner {
    fn has_room(&self, place: Place) -> bool {
        self.working.values().sum::<usize>() < MAX_THREADS
            && self.working.get(&place).is_none_or(|working| *working < place.most())
    }

    fn begin(&mut self, place: Place) {
        *self.working.entry(place).or_default() += 1;
    }

    /// A thread has finished its work at `place`: what it does next, if there is anything.
    fn next(&mut self, place: Place) -> Option<(Place, Work)> {
        if let Some(working) = self.working.get_mut(&place) {
            *working -= 1;
            if *working == 0 {
                self.working.remove(&place);
            }
        }
        let all = || self.waiting.keys().copied();
        let turn = self.after;
        let later = all().filter(|place| turn.is_none_or(|turn| *place > turn));
        let next = later.chain(all()).find(|place| self.has_room(*place))?;
        let queue = self.waiting.get_mut(&next)?;
        let work = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&next);
        }
        self.after = Some(next);
        self.begin(next);
        Some((next, work?))
    }
}

/// Threads for hashing: all cores.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How long a download that was removed and wanted again waits for what was still being written of it
/// before.
const FREE_TRIES: u32 = 150;
const FREE_WAIT: Duration = Duration::from_millis(20);

/// Opens once nobody else has it open any more: mostly that is ourselves, before a removal was taken back.
/// Blocks.
pub(super) fn when_free<T>(mut open: impl FnMut() -> Result<T, DiskError>) -> Result<T, DiskError> {
    for _ in 0..FREE_TRIES {
        match open() {
            Err(DiskError::InUse { .. }) => std::thread::sleep(FREE_WAIT),
            result => return result,
        }
    }
    open()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Work that waits for the end of the test.
    fn hang(helpers: &Helpers, place: Place) -> std::sync::mpsc::Sender<()> {
        let (free, held): (_, Receiver<()>) = channel();
        helpers.run(place, move || _ = held.recv());
        free
    }

    #[tokio::test]
    async fn f3_a_volume_that_hangs_holds_its_own_threads_and_no_others() {
        let helpers = Helpers::default();
        let hung: Vec<_> = (0..1000).map(|_| hang(&helpers, Place::Volume(1))).collect();
        assert_eq!(helpers.lock().working.get(&Place::Volume(1)), Some(&8));
        let (tx, rx) = channel();
        for (n, place) in [Place::Own, Place::Reading(1), Place::Volume(2)].into_iter().enumerate()
        {
            let tx = tx.clone();
            helpers.run(place, move || tx.send(n).unwrap());
        }
        let mut done: Vec<_> = (0..3).map(|_| rx.recv_timeout(PATIENCE).unwrap()).collect();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2]);
        // What waited is done in order, and a panic takes no thread away.
        helpers.run(Place::Volume(1), || panic!("of the work"));
        helpers.run(Place::Volume(1), move || tx.send(3).unwrap());
        drop(hung);
        assert_eq!(rx.recv_timeout(PATIENCE), Ok(3));
    }

    #[tokio::test]
    async fn f11_ten_thousand_pieces_of_work_take_few_threads() {
        let helpers = Helpers::default();
        let (tx, rx) = channel();
        for n in 0..10_000u64 {
            let tx = tx.clone();
            helpers.run(Place::Reading(n % 2), move || tx.send(n).unwrap());
            assert!(helpers.lock().working.values().sum::<usize>() <= 8);
        }
        let sum: u64 = (0..10_000).map(|_| rx.recv_timeout(PATIENCE).unwrap()).sum();
        assert_eq!(sum, 9_999 * 5_000);
    }

    #[test]
    fn a_removal_taken_back_waits_for_the_old_handle_instead_of_failing() {
        let mut tries = 0;
        let result = when_free(|| {
            tries += 1;
            if tries < 3 { Err(DiskError::InUse { path: PathBuf::new() }) } else { Ok(tries) }
        });
        assert!(matches!(result, Ok(3)));
        let other: Result<(), _> = when_free(|| Err(DiskError::TooLarge));
        assert!(matches!(other, Err(DiskError::TooLarge)), "everything else is said at once");
    }
}
