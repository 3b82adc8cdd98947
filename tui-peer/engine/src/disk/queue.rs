//! What waits for the workers, by urgency: reads first, for somebody's socket runs dry without them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use common::lock::Unpoisoned as _;

use tokio::sync::Notify;

use super::verify::VerifyJob;

/// After so many reads in a row a chunk is written, if one waits: heavy serving must not stop a
/// download altogether.
const READS_IN_A_ROW: u32 = 8;

/// Small chunks are taken several at once, so that hashing them fills all lanes: up to so many bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// A shorter chunk weighs as much as one of this length (bytes) where connections hold back: making a small
/// file takes longer than writing it, and what waits when the program is killed is fetched again.
const LEAST_WEIGHT: usize = 256 * 1024;

/// How much a chunk counts among those that wait.
fn weight(job: &VerifyJob) -> usize {
    job.bytes().max(LEAST_WEIGHT)
}

/// A read.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// One thing to do.
pub(super) enum Job {
    Read(Work),
    /// One chunk, or some small ones. Pushed one by one.
    Verify(Vec<VerifyJob>),
}

#[derive(Default)]
struct Waiting {
    reads: VecDeque<Work>,
    verifies: VecDeque<VerifyJob>,
    /// Bytes of `verifies`.
    bytes: usize,
    /// Chunks of downloads with too much unsynced data.
    parked: Vec<VerifyJob>,
    reads_in_a_row: u32,
    /// Workers that wait for a job.
    idle: usize,
    closing: bool,
}

/// The queue of the workers of a volume. Bounded by what feeds it: every read and every chunk holds
/// memory of the pool.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Rung when fewer bytes wait.
    taken: Notify,
    bound: usize,
}

impl Queue {
    /// A queue whose feeders keep it within `bound` jobs.
    pub(super) fn new(bound: usize) -> Self {
        Self { waiting: Mutex::default(), wake: Condvar::new(), taken: Notify::new(), bound }
    }

    /// Adds a job, and says whether more wait than workers do; gives it back when the queue is closed.
    pub(super) fn push(&self, job: Job) -> Result<bool, Job> {
        let mut waiting = self.lock();
        if waiting.closing {
            return Err(job);
        }
        match job {
            Job::Read(work) => waiting.reads.push_back(work),
            Job::Verify(jobs) => waiting.add_verifies(jobs),
        }
        debug_assert!(waiting.len() <= self.bound, "more jobs than memory to hold them");
        let behind = waiting.reads.len() + waiting.verifies.len() > waiting.idle;
        drop(waiting);
        self.wake.notify_one();
        Ok(behind)
    }

    /// Waits for a job; `None` when the queue is closed and empty. Chunks for which `must_wait` holds
    /// are parked (and `on_park` told) until [`Self::unpark`].
    pub(super) fn pop(
        &self,
        must_wait: impl Fn(&VerifyJob) -> bool,
        on_park: impl Fn(&VerifyJob),
    ) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            match waiting.take() {
                // Decided under the lock, so that an unpark cannot come between.
                Some(Job::Verify(mut jobs)) => {
                    self.taken.notify_waiters();
                    let Waiting { parked, .. } = &mut *waiting;
                    parked.extend(jobs.extract_if(.., |job| must_wait(job)).inspect(&on_park));
                    if !jobs.is_empty() {
                        return Some(Job::Verify(jobs));
                    }
                }
                Some(job) => return Some(job),
                None if waiting.closing && waiting.parked.is_empty() => return None,
                None => {
                    waiting.idle += 1;
                    waiting = self.wake.wait(waiting).unpoisoned();
                    waiting.idle -= 1;
                }
            }
        }
    }

    /// Lets parked chunks try again.
    pub(super) fn unpark(&self) {
        let mut waiting = self.lock();
        let parked = std::mem::take(&mut waiting.parked);
        waiting.add_verifies(parked);
        drop(waiting);
        self.wake.notify_all();
    }

    /// Takes no more jobs; what waits is done.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Chunks among the jobs.
    pub(super) fn writes(&self) -> usize {
        let waiting = self.lock();
        waiting.verifies.len() + waiting.parked.len()
    }

    /// Whether chunks are parked.
    pub(super) fn is_parking(&self) -> bool {
        !self.lock().parked.is_empty()
    }

    /// Bytes of chunks that a worker could take now.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits until the chunks that a worker could take now are fewer than `bytes` bytes.
    pub(super) async fn below(&self, bytes: usize) {
        loop {
            // Made before the look, so that no ring is missed.
            let taken = self.taken.notified();
            if self.lock().bytes < bytes {
                return;
            }
            taken.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unpoisoned()
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.reads.len() + self.verifies.len() + self.parked.len()
    }

    fn take(&mut self) -> Option<Job> {
        if (self.reads_in_a_row < READS_IN_A_ROW || self.verifies.is_empty())
            && let Some(read) = self.reads.pop_front()
        {
            self.reads_in_a_row += 1;
            return Some(Job::Read(read));
        }
        self.reads_in_a_row = 0;
        self.take_verifies()
    }

    fn take_verifies(&mut self) -> Option<Job> {
        let mut bytes = 0;
        let fit = self.verifies.iter().take_while(|job| {
            bytes += job.bytes();
            bytes <= BATCH_BYTES
        });
        let many = fit.count().max(1).min(self.verifies.len());
        let jobs: Vec<VerifyJob> = self.verifies.drain(..many).collect();
        self.bytes -= jobs.iter().map(weight).sum::<usize>();
        (many > 0).then_some(Job::Verify(jobs))
    }

    fn add_verifies(&mut self, jobs: Vec<VerifyJob>) {
        self.bytes += jobs.iter().map(weight).sum::<usize>();
        self.verifies.extend(jobs);
    }
}
