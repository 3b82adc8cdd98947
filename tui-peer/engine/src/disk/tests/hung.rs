//! Volumes and files that hang, which hold up nothing else; and disks that fail for a while.

use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::workers::SYNC_HUNG;
use super::threads::job_cut;
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes of chunks that hang, like those to a file server that is dead; or syncs alone, while the system
/// takes writes into its memory.
struct Hang {
    volume: u64,
    hangs: fn(u32) -> bool,
    syncs: bool,
    free: Mutex<bool>,
    freed: Condvar,
    held: AtomicBool,
}

impl Hang {
    fn new(volume: u64, hangs: fn(u32) -> bool) -> Arc<Self> {
        let (free, freed) = (Mutex::new(false), Condvar::new());
        Arc::new(Self { volume, hangs, syncs: false, free, freed, held: AtomicBool::new(false) })
    }

    fn of_syncs(volume: u64) -> Arc<Self> {
        let (free, freed) = (Mutex::new(false), Condvar::new());
        let held = AtomicBool::new(false);
        Arc::new(Self { volume, hangs: |_| false, syncs: true, free, freed, held })
    }

    fn free(&self) {
        *self.free.lock().unwrap() = true;
        self.freed.notify_all();
    }
}

impl Hook for Hang {
    fn before(&self, step: Step) -> io::Result<()> {
        let hangs = match step {
            Step::Write { chunk } => (self.hangs)(chunk),
            Step::SyncData => self.syncs,
            _ => false,
        };
        if hangs {
            self.held.store(true, Ordering::SeqCst);
            let free = self.free.lock().unwrap();
            drop(self.freed.wait_while(free, |free| !*free).unwrap());
        }
        Ok(())
    }

    fn volume(&self, _: u64) -> u64 {
        self.volume
    }
}

/// Whatever the test does, nothing hangs after it.
struct Free(Arc<Hang>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.free();
    }
}

fn open(content: &Content, dir: &Path, hook: &Arc<Hang>) -> Arc<Partial> {
    going(Partial::open_with(content.spec(dir), hook.clone()).unwrap()).partial
}

fn job(content: &Content, partial: &Arc<Partial>, pool: &BufPool, chunk: u32) -> VerifyJob {
    job_cut(content, partial, pool, chunk, content.chunk(chunk).len())
}

async fn stored(events: &mut mpsc::Receiver<DiskEvent>) -> u32 {
    loop {
        match tokio::time::timeout(PATIENCE, events.recv()).await.expect("nothing").unwrap() {
            DiskEvent::ChunkStored { chunk, .. } => return chunk,
            DiskEvent::Synced { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_volume_that_hangs_stops_only_itself_and_not_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let (slow, fast) = (Content::folder(&[("a", 400_000), ("b", 70_000)]), Content::file(400_000));
    let (hang, well) = (Hang::new(1, |_| true), Hang::new(2, |_| false));
    let _free = Free(hang.clone());
    let on_slow = open(&slow, temp.path(), &hang);
    let on_fast = open(&fast, temp.path(), &well);
    let pool = BufPool::new(8 << 20);
    let (tx, mut events) = mpsc::channel(100);
    let disk = Disk::start(2, pool.clone(), tx);
    for chunk in 0..slow.layout.chunks() {
        disk.verify(job(&slow, &on_slow, &pool, chunk));
    }
    for chunk in 0..fast.layout.chunks() {
        disk.verify(job(&fast, &on_fast, &pool, chunk));
    }
    let mut there: Vec<u32> = Vec::new();
    for _ in 0..fast.layout.chunks() {
        there.push(stored(&mut events).await);
    }
    there.sort_unstable();
    assert_eq!(there, (0..fast.layout.chunks()).collect::<Vec<_>>());
    let source: Arc<dyn ChunkSource> = on_fast.clone();
    assert_eq!(*disk.read(source, 1, 0, 100).await.unwrap(), fast.chunk(1)[..100]);
    assert!(!disk.is_hung(2));
    while !disk.is_hung(1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let source: Arc<dyn ChunkSource> = on_slow.clone();
    let read = disk.read(source, 0, 0, 100).await;
    assert!(matches!(read, Err(ReadError::Busy(_))), "nobody waits there: {read:?}");
    // The end waits for the one that answers, and for the other no longer than it may.
    let ending = disk.clone();
    let ended = tokio::task::spawn_blocking(move || {
        ending.close();
        let began = Instant::now();
        let fast = ending.wait_ended(2, began + PATIENCE);
        (fast, ending.wait_ended(1, Instant::now() + Duration::from_millis(100)))
    });
    assert_eq!(ended.await.unwrap(), (true, false));
    assert_eq!(on_fast.unsynced(), 0);
    hang.free();
    assert!(disk.shutdown(Instant::now() + PATIENCE));
    assert_eq!((on_slow.written().is_complete(), on_slow.unsynced()), (true, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_volume_whose_sync_does_not_end_hangs_once_chunks_wait_for_it() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(400_000);
    let hang = Hang::of_syncs(1);
    let _free = Free(hang.clone());
    let partial = open(&content, temp.path(), &hang);
    let pool = BufPool::new(8 << 20);
    let (tx, mut events) = mpsc::channel(100);
    // One chunk and a half.
    let disk = Disk::start_with(2, pool.clone(), tx, 100_000);
    disk.verify(job(&content, &partial, &pool, 0));
    assert_eq!(stored(&mut events).await, 0);
    let end = Instant::now() + PATIENCE;
    while !hang.held.load(Ordering::SeqCst) {
        assert!(Instant::now() < end, "nobody syncs");
        tokio::task::yield_now().await;
    }
    let later = |time: Duration| disk.is_hung_at(1, Instant::now() + time);
    assert!(!later(2 * SYNC_HUNG), "nothing waits for it");
    disk.verify(job(&content, &partial, &pool, 1));
    assert_eq!(stored(&mut events).await, 1);
    disk.verify(job(&content, &partial, &pool, 2));
    while !later(SYNC_HUNG) {
        assert!(Instant::now() < end, "it is not seen");
        tokio::task::yield_now().await;
    }
    assert!(!later(Duration::ZERO), "a slow stick takes its time");
    let source: Arc<dyn ChunkSource> = partial.clone();
    assert_eq!(*disk.read(source, 0, 0, 100).await.unwrap(), content.chunk(0)[..100]);

    hang.free();
    assert_eq!(stored(&mut events).await, 2);
    assert!(disk.shutdown(Instant::now() + PATIENCE));
    assert!(!later(2 * SYNC_HUNG));
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_workers_do_not_wait_for_a_file_whose_writer_hangs() {
    let temp = tempfile::tempdir().unwrap();
    // Chunks 0 to 6 are of the first file.
    let content = Content::folder(&[("a", 400_000), ("b", 200_000)]);
    let hang = Hang::new(1, |chunk| chunk == 0);
    let _free = Free(hang.clone());
    let partial = open(&content, temp.path(), &hang);
    let pool = BufPool::new(8 << 20);
    let (tx, mut events) = mpsc::channel(100);
    let disk = Disk::start(2, pool.clone(), tx);
    disk.verify(job(&content, &partial, &pool, 0));
    while !hang.held.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    // More of the same file than there are workers, then of another.
    for chunk in 1..content.layout.chunks() {
        disk.verify(job(&content, &partial, &pool, chunk));
    }
    let first = content.layout.file_chunks(0).unwrap().end;
    for _ in first..content.layout.chunks() {
        assert!(stored(&mut events).await >= first, "of the other file");
    }
    hang.free();
    let mut rest = Vec::new();
    for _ in 0..first {
        rest.push(stored(&mut events).await);
    }
    assert_eq!(rest, (0..first).collect::<Vec<_>>(), "in the order in which they came");
    assert!(disk.shutdown(Instant::now() + PATIENCE));
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_more_volumes_than_lanes_share_one_that_moves() {
    let pool = BufPool::new(8 << 20);
    let (tx, _events) = mpsc::channel(100);
    let disk = Disk::start(1, pool, tx);
    struct On(u64);
    impl ChunkSource for On {
        fn read(&self, _: u32, _: u32, out: &mut [u8]) -> Result<(), ReadError> {
            out.fill(u8::try_from(self.0 % 251).unwrap());
            Ok(())
        }

        fn volume(&self, _: u32) -> u64 {
            self.0
        }
    }
    for volume in 0..200 {
        let read = disk.read(Arc::new(On(volume)), 0, 0, 1);
        let read = tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert_eq!(u64::from(read[0]), volume);
    }
    assert!(disk.shutdown(Instant::now() + PATIENCE));
}

/// A source that is short of descriptors so many times.
struct Short(Mutex<u32>);

impl ChunkSource for Short {
    fn read(&self, _: u32, _: u32, out: &mut [u8]) -> Result<(), ReadError> {
        let mut left = self.0.lock().unwrap();
        if *left == 0 {
            out.fill(7);
            return Ok(());
        }
        *left -= 1;
        Err(super::super::file_tree::gone(rustix::io::Errno::MFILE.into()))
    }

    fn volume(&self, _: u32) -> u64 {
        0
    }
}

#[tokio::test]
async fn f9_being_short_of_descriptors_is_waited_out_and_then_said_to_be_busy() {
    let (tx, _events) = mpsc::channel(100);
    let disk = Disk::start(1, BufPool::new(1 << 20), tx);
    let a_while = Arc::new(Short(Mutex::new(3)));
    assert_eq!(*disk.read(a_while, 0, 0, 2).await.unwrap(), [7, 7]);
    let for_ever = Arc::new(Short(Mutex::new(u32::MAX)));
    let read = disk.read(for_ever.clone(), 0, 0, 2).await;
    assert!(matches!(read, Err(ReadError::Busy(_))), "{read:?}");
    assert_eq!(u32::MAX - *for_ever.0.lock().unwrap(), 4);
}
