//! The one thread that writes: a bounded queue of changes in, one commit for all that wait.
//!
//! A failed commit is not the end. Its changes are kept and written with the next ones, in order, so that
//! what memory says and what the disk says meet again when the disk recovers; until then everybody who
//! waits is told of the failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::{MetaStore, StoreError};
use crate::record::{Change, Saved};

/// Batches that may wait: one per request in flight; more makes the sender wait.
const QUEUE: usize = 256;
/// Changes in one commit, at which no more waiting batches are added.
const GROUP: usize = 1000;
/// Changes kept after failures (about 30 MB), before registrations are refused outright.
const MAX_BACKLOG: usize = 100_000;

/// Resolves when a batch is on disk, or says why it is not.
pub(crate) type Commit = oneshot::Receiver<Result<(), StoreError>>;

/// Hands changes to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
    thread: JoinHandle<()>,
}

/// The right to add one batch without waiting: taken before a lock, used under it.
#[derive(Debug)]
pub(crate) struct Permit<'a>(mpsc::Permit<'a, Job>);

#[derive(Debug)]
enum Job {
    Write { changes: Vec<Change>, done: oneshot::Sender<Result<(), StoreError>> },
    Read(oneshot::Sender<Result<Saved, StoreError>>),
}

#[derive(Debug, Default)]
struct State {
    failing: AtomicBool,
    backlog: AtomicUsize,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(mut store: Box<dyn MetaStore>) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("tracker-store".to_owned())
            .spawn(move || work(&mut *store, &mut queue, &shared))?;
        Ok(Self { jobs, state, thread })
    }

    /// Waits for room in the queue.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(crate) async fn reserve(&self) -> Result<Permit<'_>, StoreError> {
        self.jobs.reserve().await.map(Permit).map_err(|_| StoreError::Closed)
    }

    /// Whether the last commit failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.state.failing.load(Ordering::Relaxed)
    }

    /// Whether so much waits for a failing disk that nothing new should be taken on.
    pub(crate) fn is_full(&self) -> bool {
        self.state.backlog.load(Ordering::Relaxed) >= MAX_BACKLOG
    }

    /// Commits what waits and these last changes, and ends the thread. Blocking.
    pub(crate) fn close(self, changes: Vec<Change>) {
        let (done, _) = oneshot::channel();
        // Fails only if the thread has ended, which is seen below.
        let _ = self.jobs.blocking_send(Job::Write { changes, done });
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the store thread had panicked");
        }
    }
}

impl Permit<'_> {
    /// Adds a batch. An empty one is a barrier: it resolves after all before it.
    pub(crate) fn send(self, changes: Vec<Change>) -> Commit {
        let (done, commit) = oneshot::channel();
        self.0.send(Job::Write { changes, done });
        commit
    }

    /// Asks for everything that is stored, with all batches before. Nothing is written meanwhile.
    pub(crate) fn read(self) -> oneshot::Receiver<Result<Saved, StoreError>> {
        let (done, saved) = oneshot::channel();
        self.0.send(Job::Read(done));
        saved
    }
}

fn work(store: &mut dyn MetaStore, queue: &mut mpsc::Receiver<Job>, state: &State) {
    let mut backlog: Vec<Change> = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let (mut waiting, mut readers) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        let from = backlog.len();
        while let Some(job) = next {
            match job {
                Job::Write { changes, done } => {
                    backlog.extend(changes);
                    waiting.push(done);
                }
                Job::Read(done) => readers.push(done),
            }
            // Whatever came in while the last commit was being written goes into this one.
            next = if backlog.len() - from < GROUP { queue.try_recv().ok() } else { None };
        }
        let result = store.apply(&backlog);
        match &result {
            Ok(()) => {
                backlog.clear();
                if state.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the state folder can be written again");
                }
            }
            Err(error) => {
                if !state.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!("registrations cannot be stored: {error}");
                }
            }
        }
        state.backlog.store(backlog.len(), Ordering::Relaxed);
        for done in waiting {
            // Nobody may be waiting any more.
            let _ = done.send(result.clone());
        }
        for done in readers {
            let _ = done.send(result.clone().and_then(|()| store.load()));
        }
    }
}
