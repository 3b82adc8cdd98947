//! The threads of one volume: workers that verify, write and read, and one that syncs beside them. A
//! volume that hangs (a dead file server, a stick that was pulled out) holds these and no others.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use common::clock::millis;
use common::id::Hash;
use common::lock::Unpoisoned as _;
use common::numbers::saturate;
use tokio::sync::mpsc;

use super::event::DiskEvent;
use super::part_file::partial::Partial;
use super::queue::{Job, Queue};
use super::turns::Turns;
use super::verify::{VerifyJob, hashes_of};

/// A download is synced after so many bytes…
const SYNC_BYTES: u64 = 64 * 1024 * 1024;
/// …or so long after the first unsynced one.
const SYNC_AFTER: Duration = Duration::from_secs(2);
/// Most unsynced bytes of a download: what a restart may have to hash again.
pub(super) const MAX_UNSYNCED: u64 = 256 * 1024 * 1024;
/// Pause before the next look at a full event queue. The receiver is far behind then.
const EVENT_RETRY: Duration = Duration::from_millis(2);

/// What all lanes share.
pub(super) struct Common {
    pub(super) events: mpsc::Sender<DiskEvent>,
    /// Nobody may be reading events any more: do not wait for that.
    pub(super) leaving: AtomicBool,
    pub(super) hashing: AtomicU64,
    pub(super) writing: AtomicU64,
    pub(super) began: Instant,
    /// Most unsynced bytes of a download: [`MAX_UNSYNCED`], in tests less.
    pub(super) max_unsynced: u64,
}

/// The threads of a volume and what waits for them.
pub(super) struct Lane {
    pub(super) queue: Queue,
    turns: Turns<(u64, Turn), Writing>,
    due: Mutex<Due>,
    wake: Condvar,
    common: Arc<Common>,
    threads: Mutex<Threads>,
    ended: Condvar,
    /// Most workers.
    most: usize,
    /// Workers that have a job.
    busy: AtomicUsize,
    /// Milliseconds after [`Common::began`] at which a job ended last, or the first of several began.
    moved: AtomicU64,
    /// When the running sync began.
    syncing_since: Mutex<Option<Instant>>,
}

/// What only one worker does at a time. Beside each other they would meet inside the system, which lets
/// them spin until the other is done (a sixth of all CPU time where memory is slow to come by).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Writing to this file of a download.
    File(usize),
    /// Adding to its journal.
    Journal,
}

/// A chunk on its way to the disk; its hash is right.
struct Writing {
    job: VerifyJob,
    file: usize,
    /// What [`Partial::begin_write`] said.
    failures: u32,
}

/// Threads that have not ended.
#[derive(Default)]
struct Threads {
    workers: usize,
    syncing: bool,
}

/// Downloads with unsynced data, and when they are to be synced.
#[derive(Default)]
struct Due {
    partials: HashMap<u64, (Arc<Partial>, Instant)>,
    closing: bool,
}

impl Lane {
    /// Starts one worker and the thread that syncs; up to `most` workers come when there is work for
    /// them. `bound`: most jobs that wait. `None` if the system gives no threads.
    pub(super) fn start(common: Arc<Common>, most: usize, bound: usize) -> Option<Arc<Self>> {
        let lane = Arc::new(Self {
            queue: Queue::new(bound),
            turns: Turns::new(),
            due: Mutex::default(),
            wake: Condvar::new(),
            common,
            threads: Mutex::default(),
            ended: Condvar::new(),
            most: most.max(1),
            busy: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            syncing_since: Mutex::default(),
        });
        lane.lock_threads().syncing = true;
        if !lane.spawn("sync", Self::sync) {
            return None;
        }
        if !lane.add_worker() {
            lane.close();
            return None;
        }
        Some(lane)
    }

    /// Adds a job; gives it back if the lane is closed.
    pub(super) fn push(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        if self.queue.push(job)? {
            // Where there is none to be had, those that are there do it.
            self.add_worker();
        }
        Ok(())
    }

    /// Whether no job has ended for `time`, though workers have some.
    pub(super) fn is_stuck(&self, time: Duration) -> bool {
        // In this order: who is seen at work has said before when that began.
        self.busy.load(Ordering::Acquire) > 0 && {
            let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
            self.common.began.elapsed().saturating_sub(moved) >= time
        }
    }

    /// Whether chunks have to wait for a sync that has lasted for `time` already. Writes into the
    /// system's cache, and reads out of it, may go on meanwhile.
    pub(super) fn is_sync_stuck(&self, time: Duration, now: Instant) -> bool {
        let since = *self.syncing_since.lock().unpoisoned();
        since.is_some_and(|since| now.saturating_duration_since(since) >= time)
            && self.queue.is_parking()
    }

    /// Whether nothing waits and nobody works.
    pub(super) fn is_idle(&self) -> bool {
        let unsynced = self.due.lock().unpoisoned().partials.len();
        unsynced + self.queue.len() + self.busy.load(Ordering::Relaxed) == 0
    }

    /// Takes no more jobs; what waits is done and synced, then the threads end.
    pub(super) fn close(&self) {
        self.queue.close();
        if self.lock_threads().workers == 0 {
            self.end_syncs();
        }
    }

    /// Waits until the threads have ended after [`Self::close`]; whether they have.
    pub(super) fn wait_ended(&self, until: Instant) -> bool {
        let mut threads = self.lock_threads();
        while threads.workers > 0 || threads.syncing {
            let now = Instant::now();
            if now >= until {
                return false;
            }
            let waited = self.ended.wait_timeout(threads, until - now);
            threads = waited.unpoisoned().0;
        }
        true
    }

    fn add_worker(self: &Arc<Self>) -> bool {
        {
            let mut threads = self.lock_threads();
            if threads.workers >= self.most {
                return false;
            }
            threads.workers += 1;
        }
        let spawned = self.spawn("disk", Self::work);
        if !spawned {
            self.lock_threads().workers -= 1;
        }
        spawned
    }

    fn spawn(self: &Arc<Self>, name: &str, run: fn(&Self)) -> bool {
        let lane = self.clone();
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || run(&lane));
        spawned.inspect_err(|error| tracing::error!(%error, "cannot start a disk thread")).is_ok()
    }

    /// A worker.
    fn work(&self) {
        let full = |job: &VerifyJob| job.target.unsynced() >= self.common.max_unsynced;
        let hurry = |job: &VerifyJob| self.sync_by(&job.target, Instant::now());
        while let Some(job) = self.queue.pop(full, hurry) {
            // Before it counts as busy: one that was idle for long must not look stuck in between.
            if self.busy.load(Ordering::Relaxed) == 0 {
                self.note_move();
            }
            self.busy.fetch_add(1, Ordering::Release);
            // The panic message is out; others still need this thread.
            let _ = catch_unwind(AssertUnwindSafe(|| self.carry_out(job)));
            self.note_move();
            self.busy.fetch_sub(1, Ordering::Release);
        }
        let last = {
            let mut threads = self.lock_threads();
            threads.workers -= 1;
            threads.workers == 0
        };
        if last {
            self.end_syncs();
        }
        self.ended.notify_all();
    }

    fn note_move(&self) {
        let now = millis(self.common.began.elapsed());
        self.moved.store(now, Ordering::Relaxed);
    }

    fn carry_out(&self, job: Job) {
        match job {
            Job::Verify(jobs) => {
                let began = Instant::now();
                let hashes = hashes_of(&jobs);
                add(&self.common.hashing, began.elapsed());
                jobs.into_iter().zip(hashes).for_each(|(job, hash)| self.store(job, hash));
            }
            Job::Read(work) => work(),
        }
    }

    /// Writes a chunk if its hash, which is `actual`, is right.
    fn store(&self, job: VerifyJob, actual: Hash) {
        let (id, chunk) = (job.id, job.chunk);
        if actual != job.expected {
            drop(job);
            return self.tell(DiskEvent::ChunkCorrupt { id, chunk, actual });
        }
        let began = Instant::now();
        let (file, failures) = match job.target.begin_write(chunk, job.bytes()) {
            Ok(begun) => begun,
            Err(error) => return self.tell(DiskEvent::ChunkNotStored { id, chunk, error }),
        };
        let past = job.target.write_past_cache(chunk, &job.spans(), job.read_soon);
        add(&self.common.writing, began.elapsed());
        let writing = Writing { job, file, failures };
        if past {
            return self.in_turn(Turn::Journal, writing, |writing| self.record(writing));
        }
        self.in_turn(Turn::File(file), writing, |writing| {
            let began = Instant::now();
            let written = writing.job.target.write_cached(writing.job.chunk, &writing.job.spans());
            add(&self.common.writing, began.elapsed());
            match written {
                Ok(()) => self.in_turn(Turn::Journal, writing, |writing| self.record(writing)),
                Err(error) => self.tell(DiskEvent::ChunkNotStored {
                    id: writing.job.id,
                    chunk: writing.job.chunk,
                    error,
                }),
            }
        });
    }

    /// Does this and what others leave meanwhile, or leaves it with the one who is at it.
    fn in_turn(&self, turn: Turn, writing: Writing, mut work: impl FnMut(Writing)) {
        let key = (writing.job.target.serial(), turn);
        let mut next = self.turns.enter(key, writing);
        while let Some(writing) = next {
            // Whoever panics must not keep the turn.
            let _ = catch_unwind(AssertUnwindSafe(|| work(writing)));
            next = self.turns.next(key);
        }
    }

    /// A chunk is written: now it counts.
    fn record(&self, writing: Writing) {
        let Writing { job, file, failures } = writing;
        let VerifyJob { id, chunk, target, bufs, .. } = job;
        // Back to the pool before the event may have to wait.
        drop(bufs);
        match target.record_written(chunk, file, failures) {
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
        let mut due = self.due.lock().unpoisoned();
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

    /// The thread that syncs.
    fn sync(&self) {
        while let Some(partial) = self.next_due() {
            let id = partial.id();
            *self.syncing_since.lock().unpoisoned() = Some(Instant::now());
            let synced = partial.sync();
            *self.syncing_since.lock().unpoisoned() = None;
            match synced {
                #[cfg(test)]
                Ok(chunks) if !chunks.is_empty() => self.tell(DiskEvent::Synced { chunks }),
                Ok(_) => {}
                Err(error) => {
                    self.tell(DiskEvent::SyncFailed { id, lost: error.lost, error: error.error });
                }
            }
            drop(partial);
            self.queue.unpark();
        }
        self.lock_threads().syncing = false;
        self.ended.notify_all();
    }

    fn end_syncs(&self) {
        self.due.lock().unpoisoned().closing = true;
        self.wake.notify_all();
    }

    fn next_due(&self) -> Option<Arc<Partial>> {
        let mut due = self.due.lock().unpoisoned();
        loop {
            let now = Instant::now();
            let first = due.partials.iter().min_by_key(|(serial, (_, when))| (*when, **serial));
            let first = first.map(|(serial, (_, when))| (*serial, *when));
            due = match first {
                Some((serial, when)) if when <= now || due.closing => {
                    return due.partials.remove(&serial).map(|(partial, _)| partial);
                }
                Some((_, when)) => {
                    let waited = self.wake.wait_timeout(due, when - now);
                    waited.unpoisoned().0
                }
                None if due.closing => return None,
                None => self.wake.wait(due).unpoisoned(),
            };
        }
    }

    /// Waits for room in the event queue, which holds the disk back when the receiver is behind; not
    /// once the program is leaving.
    fn tell(&self, mut event: DiskEvent) {
        let common = &self.common;
        while let Err(error) = common.events.try_send(event) {
            match error {
                mpsc::error::TrySendError::Full(back)
                    if !common.leaving.load(Ordering::Relaxed) =>
                {
                    event = back;
                    thread::sleep(EVENT_RETRY);
                }
                _ => return,
            }
        }
    }

    fn lock_threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unpoisoned()
    }
}

fn add(sum: &AtomicU64, time: Duration) {
    sum.fetch_add(saturate::<u64>(time.as_nanos()), Ordering::Relaxed);
}
