//! The threads of the disk: workers that verify, write and read, and others that sync beside them.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::error::{DiskError, ReadError};
use super::partial::Partial;
use super::pool::{Buf, BufPool};
use super::queue::{Job, Queue, Work};
use super::tree::ChunkSource;
use super::verify::{VerifyJob, hashes_of};

/// A download is synced after so many bytes…
const SYNC_BYTES: u64 = 64 * 1024 * 1024;
/// …or so long after the first unsynced one (protocol.md 8).
const SYNC_AFTER: Duration = Duration::from_secs(2);
/// Most unsynced bytes of a download: what a restart may have to hash again.
const MAX_UNSYNCED: u64 = 256 * 1024 * 1024;
/// Threads that sync: a slow disk must not keep a fast one waiting.
const SYNC_THREADS: usize = 2;
/// Bytes of chunks waiting for a worker beyond which connections hold back for a moment. What has waited
/// behind more has left the processor's cache by the time it is hashed, and memory fills for nothing
/// (512 MiB over loopback: 30 MB at the peak, 80 without).
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// How long they hold back for one frame. The peers must not be blamed for a disk that stands still.
const MAX_HOLD: Duration = Duration::from_millis(100);
/// Other work waiting or running; users and restarts cause it, so more is a mistake.
const MAX_MISC: usize = 64;
/// Pause before the next look at a full event queue. The receiver is far behind then.
const EVENT_RETRY: Duration = Duration::from_millis(2);

/// What became of chunks.
#[derive(Debug)]
pub enum DiskEvent {
    /// Verified and written: it can be read.
    ChunkStored {
        /// Of which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
    },
    /// It does not have the right hash; not written.
    ChunkCorrupt {
        /// Of which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// Hash of what arrived.
        actual: Hash,
    },
    /// It was right but could not be written.
    ChunkNotStored {
        /// Of which content.
        id: ContentId,
        /// Which chunk.
        chunk: u32,
        /// Why.
        error: DiskError,
    },
    /// These became durable.
    Synced {
        /// Of which content.
        id: ContentId,
        /// Which chunks.
        chunks: ChunkSet,
    },
    /// A sync failed: `lost` is to be treated as missing.
    SyncFailed {
        /// Of which content.
        id: ContentId,
        /// Chunks written since the last good sync.
        lost: ChunkSet,
        /// Why.
        error: DiskError,
    },
}

/// The disk does not take work any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk threads have stopped")]
pub struct Stopped;

/// The disk threads. Clones share them; when the last is dropped they end after what waits is done.
#[derive(Clone)]
pub struct Disk {
    guard: Arc<Guard>,
}

/// Closes the queue when nobody can feed it any more. The threads hold only `shared`.
struct Guard {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    syncers: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    queue: Queue,
    pool: BufPool,
    misc: Arc<Semaphore>,
    due: Mutex<Due>,
    wake: Condvar,
    events: mpsc::Sender<DiskEvent>,
    /// Nobody may be reading events any more: do not wait for that.
    leaving: AtomicBool,
    /// Workers that have not ended; the last one lets the syncs end.
    working: AtomicUsize,
    spent: SpentNanos,
}

/// What [`Spent`] is made of, in nanoseconds.
#[derive(Default)]
struct SpentNanos {
    hashing: AtomicU64,
    writing: AtomicU64,
}

/// What the workers spent their time on, summed over all of them since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Verifying.
    pub hashing: Duration,
    /// Writing.
    pub writing: Duration,
}

/// Downloads with unsynced data, and when they are to be synced.
#[derive(Default)]
struct Due {
    partials: HashMap<u64, (Arc<Partial>, Instant)>,
    closing: bool,
}

impl Disk {
    /// Starts `threads` workers (at least one) and the threads that sync.
    pub fn start(threads: usize, pool: BufPool, events: mpsc::Sender<DiskEvent>) -> Self {
        let shared = Arc::new(Shared {
            // Every chunk and read holds at least one unit of the pool.
            queue: Queue::new(pool.max_bufs() + MAX_MISC),
            pool,
            misc: Arc::new(Semaphore::new(MAX_MISC)),
            due: Mutex::default(),
            wake: Condvar::new(),
            events,
            leaving: AtomicBool::new(false),
            working: AtomicUsize::new(0),
            spent: SpentNanos::default(),
        });
        let spawn = |name: String, run: fn(&Shared)| {
            let shared = shared.clone();
            let spawned = thread::Builder::new().name(name).spawn(move || run(&shared));
            spawned.inspect_err(|error| tracing::error!(%error, "cannot start a disk thread")).ok()
        };
        let mut workers = Vec::new();
        for n in 0..threads.max(1) {
            shared.working.fetch_add(1, Ordering::Relaxed);
            match spawn(format!("disk-{n}"), Shared::work) {
                Some(worker) => workers.push(worker),
                None => shared.worker_ended(),
            }
        }
        let syncers: Vec<_> =
            (0..SYNC_THREADS).filter_map(|n| spawn(format!("sync-{n}"), Shared::sync)).collect();
        if workers.is_empty() || syncers.is_empty() {
            // Better to refuse everything than to let it wait for ever.
            shared.queue.close();
        }
        let (workers, syncers) = (Mutex::new(workers), Mutex::new(syncers));
        Self { guard: Arc::new(Guard { shared, workers, syncers }) }
    }

    /// Verifies a chunk and writes it, beside the caller; the outcome is a [`DiskEvent`].
    pub fn verify(&self, job: VerifyJob) {
        let shared = &self.guard.shared;
        if let Err(Job::Verify(jobs)) = shared.queue.push(Job::Verify(vec![job])) {
            for job in jobs {
                let (id, chunk) = (job.id, job.chunk);
                let error = job.target.misuse("the disk threads have stopped");
                // Stopping: nobody may be there to hear it.
                let _ = shared.events.try_send(DiskEvent::ChunkNotStored { id, chunk, error });
            }
        }
    }

    /// Waits a moment for the workers if they do not keep up with what arrives. Only chunks that are
    /// complete count, so this never waits for a connection.
    pub async fn keep_up(&self) {
        // What comes of it does not matter: memory has a bound of its own.
        let _ = tokio::time::timeout(MAX_HOLD, self.guard.shared.queue.below(MAX_WAITING)).await;
    }

    /// Reads `len` bytes of a chunk from `off` on: at once if the system has them in memory (a worker
    /// would cost two wake-ups, and have them in the wrong core's cache), otherwise on a worker. Waits
    /// for memory of ours first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(
        &self,
        source: Arc<dyn ChunkSource>,
        chunk: u32,
        off: u32,
        len: u32,
    ) -> Result<Buf, ReadError> {
        let shared = &self.guard.shared;
        let mut buf = shared.pool.get(len as usize).await;
        let stopped = || ReadError::Io(io::Error::other(Stopped));
        if shared.leaving.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        if source.read_cached(chunk, off, &mut buf) {
            return Ok(buf);
        }
        let (tx, rx) = oneshot::channel();
        let work: Work = Box::new(move || {
            // Whoever asked may be gone (a closed connection).
            if !tx.is_closed() {
                let read = source.read(chunk, off, &mut buf);
                let _ = tx.send(read.map(|()| buf));
            }
        });
        shared.queue.push(Job::Read(work)).map_err(|_| stopped())?;
        rx.await.map_err(|_| stopped())?
    }

    /// Runs other blocking work on a worker.
    ///
    /// # Errors
    /// [`Stopped`] after [`Self::shutdown`], and if `work` panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let shared = &self.guard.shared;
        let permit = shared.misc.clone().acquire_owned().await.map_err(|_| Stopped)?;
        let (tx, rx) = oneshot::channel();
        let work: Work = Box::new(move || {
            let _permit = permit;
            // The caller may have stopped waiting; the work is done all the same.
            let _ = tx.send(work());
        });
        shared.queue.push(Job::Misc(work)).map_err(|_| Stopped)?;
        rx.await.map_err(|_| Stopped)
    }

    /// Jobs waiting.
    pub fn waiting(&self) -> usize {
        self.guard.shared.queue.len()
    }

    /// What the workers have spent their time on.
    pub fn spent(&self) -> Spent {
        let spent = &self.guard.shared.spent;
        let read = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        Spent { hashing: read(&spent.hashing), writing: read(&spent.writing) }
    }

    /// Does what waits, syncs everything, ends the threads. Blocks until then; do not call it from one
    /// of the disk's own jobs. Events that do not fit into their queue are dropped meanwhile.
    pub fn shutdown(&self) {
        let Guard { shared, workers, syncers } = &*self.guard;
        shared.leaving.store(true, Ordering::Relaxed);
        shared.queue.close();
        join_all(workers);
        join_all(syncers);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.shared.queue.close();
    }
}

fn add(sum: &AtomicU64, time: Duration) {
    sum.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn join_all(threads: &Mutex<Vec<JoinHandle<()>>>) {
    let threads = std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
    for thread in threads {
        // A thread that panicked has said so itself.
        let _ = thread.join();
    }
}

impl Shared {
    /// A worker.
    fn work(&self) {
        let full = |job: &VerifyJob| job.target.unsynced() >= MAX_UNSYNCED;
        let hurry = |job: &VerifyJob| self.sync_by(&job.target, Instant::now());
        while let Some(job) = self.queue.pop(full, hurry) {
            match job {
                Job::Verify(jobs) => {
                    let began = Instant::now();
                    let hashes = hashes_of(&jobs);
                    add(&self.spent.hashing, began.elapsed());
                    jobs.into_iter().zip(hashes).for_each(|(job, hash)| self.store(job, hash));
                }
                Job::Read(work) | Job::Misc(work) => {
                    // The panic message is out; others still need this thread.
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            }
        }
        self.worker_ended();
    }

    fn worker_ended(&self) {
        if self.working.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.due().closing = true;
            self.wake.notify_all();
        }
    }

    /// Writes a chunk if its hash, which is `actual`, is right.
    fn store(&self, job: VerifyJob, actual: Hash) {
        let VerifyJob { id, chunk, expected, target, read_soon, bufs, .. } = job;
        if actual != expected {
            drop(bufs);
            return self.tell(DiskEvent::ChunkCorrupt { id, chunk, actual });
        }
        let spans: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        let began = Instant::now();
        let stored = target.write_chunk(chunk, &spans, read_soon);
        add(&self.spent.writing, began.elapsed());
        // Back to the pool before the event may have to wait.
        drop(bufs);
        match stored {
            Ok(()) => {
                let full = target.unsynced() >= SYNC_BYTES;
                let wait = if full { Duration::ZERO } else { SYNC_AFTER };
                self.sync_by(&target, Instant::now() + wait);
                self.tell(DiskEvent::ChunkStored { id, chunk });
            }
            Err(error) => self.tell(DiskEvent::ChunkNotStored { id, chunk, error }),
        }
    }

    /// Has a download synced at `when` or before.
    fn sync_by(&self, partial: &Arc<Partial>, when: Instant) {
        let mut due = self.due();
        let known = due.partials.entry(partial.serial());
        let mut sooner = false;
        let entry = known.or_insert_with(|| {
            sooner = true;
            (partial.clone(), when)
        });
        if when < entry.1 {
            entry.1 = when;
            sooner = true;
        }
        drop(due);
        if sooner {
            self.wake.notify_all();
        }
    }

    /// A thread that syncs.
    fn sync(&self) {
        while let Some(partial) = self.next_due() {
            let id = partial.id();
            match partial.sync() {
                Ok(chunks) if chunks.is_empty() => {}
                Ok(chunks) => self.tell(DiskEvent::Synced { id, chunks }),
                Err(error) => {
                    self.tell(DiskEvent::SyncFailed { id, lost: error.lost, error: error.error });
                }
            }
            drop(partial);
            self.queue.unpark();
        }
    }

    fn next_due(&self) -> Option<Arc<Partial>> {
        let mut due = self.due();
        loop {
            let now = Instant::now();
            let first = due.partials.iter().min_by_key(|(_, (_, when))| *when);
            let first = first.map(|(serial, (_, when))| (*serial, *when));
            due = match first {
                Some((serial, when)) if when <= now || due.closing => {
                    return due.partials.remove(&serial).map(|(partial, _)| partial);
                }
                Some((_, when)) => {
                    let waited = self.wake.wait_timeout(due, when - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None if due.closing => return None,
                None => self.wake.wait(due).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room in the event queue, which holds the disk back when the receiver is behind; not
    /// once the program is leaving.
    fn tell(&self, mut event: DiskEvent) {
        while let Err(error) = self.events.try_send(event) {
            match error {
                mpsc::error::TrySendError::Full(back) if !self.leaving.load(Ordering::Relaxed) => {
                    event = back;
                    thread::sleep(EVENT_RETRY);
                }
                _ => return,
            }
        }
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({} jobs waiting)", self.waiting())
    }
}
