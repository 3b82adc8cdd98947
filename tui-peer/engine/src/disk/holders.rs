//! Who holds memory of the pool while a stranger decides for how long: a connection in the middle of a
//! frame. When memory is short, whoever has stood still longest loses it, and its connection with it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use common::lock::Unpoisoned as _;

use tokio::sync::Notify;

/// A frame that takes longer than this is not in the way of a working link: senders cut them so that one
/// takes a tenth of a second.
const STALLED: Duration = Duration::from_secs(2);
/// Not waiting for anybody.
const MOVING: u64 = u64::MAX;

/// The part of the memory that somebody holds some of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// For payload that arrives.
    Receiving,
    /// For payload that is to be sent.
    Sending,
    /// For messages that arrive.
    Messages,
}

/// All who may hold memory like that.
#[derive(Debug)]
pub(super) struct Holders {
    list: Mutex<Vec<Weak<State>>>,
    began: Instant,
}

#[derive(Debug)]
struct State {
    part: Part,
    /// Milliseconds from the start of the pool to the moment since which it waits for its peer.
    since: AtomicU64,
    /// What it holds meanwhile.
    bytes: AtomicUsize,
    blamed: Notify,
}

/// Somebody who may hold memory while a stranger decides for how long.
#[derive(Debug)]
pub(crate) struct Holder {
    state: Arc<State>,
    began: Instant,
}

/// As long as this lives its holder waits for its peer.
#[derive(Debug)]
pub(crate) struct Waits<'a>(&'a State);

impl Holders {
    pub(super) fn new() -> Self {
        Self { list: Mutex::default(), began: Instant::now() }
    }

    pub(super) fn add(&self, part: Part) -> Holder {
        let (since, bytes) = (AtomicU64::new(MOVING), AtomicUsize::new(0));
        let state = Arc::new(State { part, since, bytes, blamed: Notify::new() });
        let mut list = self.list();
        // Those that are gone make room, so the list is as long as there are connections.
        list.retain(|holder| holder.strong_count() > 0);
        list.push(Arc::downgrade(&state));
        Holder { state, began: self.began }
    }

    /// Takes their memory from those that have stood still longest, until `bytes` come free; not from
    /// those that move, and where one part is used up, not from those that hold none of it.
    pub(super) fn blame(&self, part: Option<Part>, bytes: usize) {
        let now = millis(self.began.elapsed());
        let stalled = millis(STALLED);
        let holders: Vec<Arc<State>> = self.list().iter().filter_map(Weak::upgrade).collect();
        let mut still: Vec<(u64, Arc<State>)> = holders
            .into_iter()
            .filter(|state| part.is_none_or(|part| state.part == part))
            .map(|state| (state.since.load(Ordering::Relaxed), state))
            .filter(|(since, _)| since.saturating_add(stalled) <= now)
            .collect();
        still.sort_by_key(|(since, _)| *since);
        let mut freed = 0;
        for (_, state) in still {
            if freed >= bytes {
                break;
            }
            freed += state.bytes.load(Ordering::Relaxed);
            state.blamed.notify_one();
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Weak<State>>> {
        self.list.lock().unpoisoned()
    }
}

impl Holder {
    /// From now on it waits for its peer, and holds `bytes`.
    pub(crate) fn waits(&self, bytes: usize) -> Waits<'_> {
        self.state.bytes.store(bytes, Ordering::Relaxed);
        self.state.since.store(millis(self.began.elapsed()), Ordering::Relaxed);
        Waits(&self.state)
    }

    /// Waits until others need the memory more.
    pub(crate) async fn blamed(&self) {
        self.state.blamed.notified().await;
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.since.store(MOVING, Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(MOVING - 1)
}
