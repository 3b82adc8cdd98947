//! The disk as everybody else sees it: chunks to verify and write, bytes to read. Each volume has
//! threads of its own (`Lane`), so that one that hangs stops only itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use common::limits::MAX_DATA_LEN;
use common::lock::Unpoisoned as _;
use tokio::sync::{mpsc, oneshot};

use super::buffers::{Buf, BufPool};
use super::error::ReadError;
use super::event::DiskEvent;
use super::file_tree::ChunkSource;
use super::lane::{Common, Lane, MAX_UNSYNCED};
use super::queue::{Job, Work};
use super::verify::VerifyJob;

/// Volumes with threads of their own; more than a machine has in use at once as a rule. The others share
/// with one that moves.
const MAX_LANES: usize = 32;
/// Most workers of a volume, however many cores there are: no disk takes more at once, and hashing what
/// arrives needs less (one core hashes 1.5 GB/s; without SHA instructions 0.4).
const MAX_WORKERS: usize = 16;
/// Bytes of chunks waiting for a worker beyond which connections hold back for a moment. What has waited
/// behind more has left the processor's cache by the time it is hashed, and memory fills for nothing
/// (512 MiB over loopback: 30 MB at the peak, 80 without).
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// How long they hold back for one frame. The peers must not be blamed for a disk that stands still.
const MAX_HOLD: Duration = Duration::from_millis(100);
/// Connections do not hold back for a volume where nothing has ended for so long: it may hang, and what
/// they bring may be for another.
const STUCK: Duration = Duration::from_secs(2);
/// A volume where nothing has ended for so long hangs. Longer than the system lets a writer wait while it
/// empties its cache onto a slow stick.
const HUNG: Duration = Duration::from_secs(10);
/// A volume on which a sync has lasted for so long, while chunks wait for it, hangs: a slow stick needs
/// 50 s for the [`MAX_UNSYNCED`] bytes of a download (5 MB/s).
pub(super) const SYNC_HUNG: Duration = Duration::from_secs(60);

/// A read that takes longer is given up; what it reads comes too late for whoever asked.
const READ_PATIENCE: Duration = Duration::from_secs(20);
/// When too many files are open to read, it is tried again after these: others close theirs.
const SHORT_WAITS: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// The disk does not take work any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk threads have stopped")]
pub(crate) struct Stopped;

/// The disk threads. Clones share them; when the last is dropped they end after what waits is done.
#[derive(Clone)]
pub(crate) struct Disk {
    guard: Arc<Guard>,
}

/// Closes the lanes when nobody can feed them any more. The threads hold only their own.
struct Guard {
    lanes: Mutex<Lanes>,
    common: Arc<Common>,
    pool: BufPool,
    /// Workers of a volume.
    workers: usize,
}

#[derive(Default)]
struct Lanes {
    by_volume: BTreeMap<u64, Arc<Lane>>,
    closed: bool,
}

/// What the workers spent their time on, summed over all of them since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Verifying.
    pub hashing: Duration,
    /// Writing.
    pub writing: Duration,
}

impl Disk {
    /// A disk with up to `threads` workers (at least one) for each volume. They come with the first
    /// work there.
    pub(crate) fn start(threads: usize, pool: BufPool, events: mpsc::Sender<DiskEvent>) -> Self {
        Self::start_with(threads, pool, events, MAX_UNSYNCED)
    }

    /// The same with another bound on the unsynced bytes of a download.
    pub(super) fn start_with(
        threads: usize,
        pool: BufPool,
        events: mpsc::Sender<DiskEvent>,
        max_unsynced: u64,
    ) -> Self {
        let common = Arc::new(Common {
            events,
            leaving: AtomicBool::new(false),
            hashing: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            began: Instant::now(),
            max_unsynced,
        });
        let workers = threads.clamp(1, MAX_WORKERS);
        Self { guard: Arc::new(Guard { lanes: Mutex::default(), common, pool, workers }) }
    }

    /// Verifies a chunk and writes it, beside the caller; the outcome is a [`DiskEvent`].
    pub(crate) fn verify(&self, job: VerifyJob) {
        let volume = job.target.volume();
        if let Err(Job::Verify(jobs)) = self.push(volume, Job::Verify(vec![job])) {
            for job in jobs {
                let (id, chunk) = (job.id, job.chunk);
                let error = job.target.misuse("the disk threads have stopped");
                // Stopping: nobody may be there to hear it.
                let _ = self.guard.common.events.try_send(DiskEvent::ChunkNotStored {
                    id,
                    chunk,
                    error,
                });
            }
        }
    }

    /// Waits a moment for the workers if they do not keep up with what arrives. Only chunks that are
    /// complete count, so this never waits for a connection.
    pub(crate) async fn keep_up(&self) {
        let full = |lane: &&Arc<Lane>| lane.queue.bytes() >= MAX_WAITING && !lane.is_stuck(STUCK);
        let behind = self.lanes().by_volume.values().find(full).cloned();
        if let Some(lane) = behind {
            // What comes of it does not matter: memory has a bound of its own.
            let _ = tokio::time::timeout(MAX_HOLD, lane.queue.below(MAX_WAITING)).await;
        }
    }

    /// Reads `len` bytes of a chunk from `off` on: at once if the system has them in memory (a worker
    /// would cost two wake-ups, and have them in the wrong core's cache), otherwise on a worker. Waits
    /// for memory of ours first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn read(
        &self,
        source: Arc<dyn ChunkSource>,
        chunk: u32,
        off: u32,
        len: u32,
    ) -> Result<Buf, ReadError> {
        let mut waits = SHORT_WAITS.iter();
        loop {
            let read = self.read_once(source.clone(), chunk, off, len).await;
            match (read, waits.next()) {
                (Err(ReadError::Busy(_)), Some(wait)) => tokio::time::sleep(*wait).await,
                (read, _) => return read,
            }
        }
    }

    /// Reads all of a chunk of `len` bytes, and shows it piece by piece, each of whole blocks.
    ///
    /// # Errors
    /// [`ReadError`], after what could be read.
    pub(crate) async fn read_chunk(
        &self,
        source: Arc<dyn ChunkSource>,
        chunk: u32,
        len: u32,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        let step = u32::try_from(MAX_DATA_LEN).unwrap_or(len);
        let mut off = 0;
        while off < len {
            let part = step.min(len - off);
            each(&self.read(source.clone(), chunk, off, part).await?);
            off += part;
        }
        Ok(())
    }

    async fn read_once(
        &self,
        source: Arc<dyn ChunkSource>,
        chunk: u32,
        off: u32,
        len: u32,
    ) -> Result<Buf, ReadError> {
        let volume = source.volume(chunk);
        let hangs = || ReadError::Busy(io::Error::new(io::ErrorKind::TimedOut, "the disk hangs"));
        if self.is_lane(volume, |lane| lane.is_stuck(HUNG)) {
            // Whoever asks may get it elsewhere; memory that waits here is missing there.
            return Err(hangs());
        }
        let mut buf = self.guard.pool.get_to_send(len as usize).await;
        let stopped = || ReadError::Io(io::Error::other(Stopped));
        if self.guard.common.leaving.load(Ordering::Relaxed) {
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
        self.push(volume, Job::Read(work)).map_err(|_| stopped())?;
        match tokio::time::timeout(READ_PATIENCE, rx).await {
            Ok(read) => read.map_err(|_| stopped())?,
            Err(_) => Err(hangs()),
        }
    }

    /// Jobs waiting.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes().by_volume.values().map(|lane| lane.queue.len()).sum()
    }

    /// Chunks waiting to be verified and written.
    pub(crate) fn writes_waiting(&self) -> usize {
        self.lanes().by_volume.values().map(|lane| lane.queue.writes()).sum()
    }

    /// Whether a volume does not answer: its workers have work, and nothing of it has ended for long; or
    /// chunks wait for a sync that does not end.
    pub(crate) fn is_hung(&self, volume: u64) -> bool {
        self.is_hung_at(volume, Instant::now())
    }

    pub(super) fn is_hung_at(&self, volume: u64, now: Instant) -> bool {
        let hangs = |lane: &Lane| lane.is_stuck(HUNG) || lane.is_sync_stuck(SYNC_HUNG, now);
        self.is_lane(volume, hangs)
    }

    fn is_lane(&self, volume: u64, is: impl Fn(&Lane) -> bool) -> bool {
        let lane = self.lanes().by_volume.get(&volume).cloned();
        lane.is_some_and(|lane| is(&lane))
    }

    /// What the workers have spent their time on.
    pub(crate) fn spent(&self) -> Spent {
        let common = &self.guard.common;
        let read = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        Spent { hashing: read(&common.hashing), writing: read(&common.writing) }
    }

    /// Takes no more work; what waits is done and synced, then the threads end. Events that do not fit
    /// into their queue are dropped meanwhile.
    pub(crate) fn close(&self) {
        self.guard.close();
    }

    /// Waits until the threads of a volume have ended after [`Self::close`], at most until then; whether
    /// they have. Blocks; do not call it from one of the disk's own jobs.
    pub(crate) fn wait_ended(&self, volume: u64, until: Instant) -> bool {
        let lane = self.lanes().by_volume.get(&volume).cloned();
        lane.is_none_or(|lane| lane.wait_ended(until))
    }

    /// [`Self::close`], and waits for all volumes as [`Self::wait_ended`] does.
    #[cfg(test)]
    pub(crate) fn shutdown(&self, until: Instant) -> bool {
        self.close();
        let lanes: Vec<_> = self.lanes().by_volume.values().cloned().collect();
        // Every one is waited for, though one has not ended in time.
        lanes.into_iter().filter(|lane| !lane.wait_ended(until)).count() == 0
    }

    /// Gives a job to the threads of its volume; gives it back when there are none.
    fn push(&self, volume: u64, mut job: Job) -> Result<(), Job> {
        // Twice: between the look and the push others may have taken the lane out.
        for _ in 0..2 {
            let Some(lane) = self.guard.lane(volume) else { return Err(job) };
            match lane.push(job) {
                Ok(()) => return Ok(()),
                Err(back) => job = back,
            }
        }
        Err(job)
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.guard.lock()
    }
}

impl Guard {
    /// The threads of a volume, started if need be.
    fn lane(&self, volume: u64) -> Option<Arc<Lane>> {
        let mut lanes = self.lock();
        if lanes.closed {
            return None;
        }
        if let Some(lane) = lanes.by_volume.get(&volume) {
            return Some(lane.clone());
        }
        if lanes.by_volume.len() >= MAX_LANES {
            // Volumes come and go: the threads of one that nothing is done with make room.
            let idle = lanes.by_volume.iter().find(|(_, lane)| lane.is_idle());
            let idle = idle.map(|(volume, _)| *volume);
            match idle.and_then(|volume| lanes.by_volume.remove(&volume)) {
                Some(idle) => idle.close(),
                None => {
                    let moves = |lane: &&Arc<Lane>| (lane.is_stuck(STUCK), lane.queue.len());
                    return lanes.by_volume.values().min_by_key(moves).cloned();
                }
            }
        }
        // Every chunk and read holds at least one unit of the pool.
        let lane = Lane::start(self.common.clone(), self.workers, self.pool.max_bufs())?;
        lanes.by_volume.insert(volume, lane.clone());
        Some(lane)
    }

    fn close(&self) {
        self.common.leaving.store(true, Ordering::Relaxed);
        let mut lanes = self.lock();
        lanes.closed = true;
        lanes.by_volume.values().for_each(|lane| lane.close());
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unpoisoned()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({} jobs waiting)", self.waiting())
    }
}
