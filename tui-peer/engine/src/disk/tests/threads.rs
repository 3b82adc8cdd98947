//! The worker threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::queue::{Job, Queue};
use super::super::verify::hashes_of;
use super::*;

fn job(content: &Content, partial: &Arc<Partial>, pool: &BufPool, chunk: u32) -> VerifyJob {
    // Frames of an unusual length.
    job_cut(content, partial, pool, chunk, 20_000)
}

pub(super) fn job_cut(
    content: &Content,
    partial: &Arc<Partial>,
    pool: &BufPool,
    chunk: u32,
    frame: usize,
) -> VerifyJob {
    let place = content.layout.place(content.layout.chunk(chunk).unwrap());
    let bufs = content.chunk(chunk).chunks(frame).map(|bytes| {
        let mut buf = pool.get_now(bytes.len()).unwrap();
        buf.copy_from_slice(bytes);
        buf
    });
    VerifyJob {
        id: content.descriptor.id(),
        chunk,
        expected: content.hash(chunk).unwrap(),
        chunk_level: content.layout.chunk_level(),
        single_chunk_file: content.layout.file_chunks(place.file).unwrap().len() == 1,
        target: partial.clone(),
        read_soon: true,
        bufs: bufs.collect(),
    }
}

/// Longest any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn next(events: &mut mpsc::Receiver<DiskEvent>) -> DiskEvent {
    tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}

struct Panics;

impl ChunkSource for Panics {
    fn read(&self, _: u32, _: u32, _: &mut [u8]) -> Result<(), ReadError> {
        panic!("of a read")
    }

    fn volume(&self, _: u32) -> u64 {
        0
    }
}

/// Whose bytes the system never has in memory.
struct Uncached(Arc<dyn ChunkSource>);

impl ChunkSource for Uncached {
    fn read(&self, chunk: u32, off: u32, out: &mut [u8]) -> Result<(), ReadError> {
        self.0.read(chunk, off, out)
    }

    fn volume(&self, _: u32) -> u64 {
        0
    }
}

#[tokio::test]
async fn chunks_are_verified_written_read_back_and_synced() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::folder(&[("a", 200_000), ("b", 5)]);
    let Going { partial, .. } = content.open(temp.path());
    let pool = BufPool::new(4 << 20);
    let (tx, mut events) = mpsc::channel(100);
    let disk = Disk::start(2, pool.clone(), tx);
    for chunk in 0..content.layout.chunks() {
        disk.verify(job(&content, &partial, &pool, chunk));
    }
    let mut bad = job(&content, &partial, &pool, 1);
    bad.bufs[0][7] ^= 1;
    disk.verify(bad);
    let (mut stored, mut corrupt, mut synced) = (Vec::new(), 0, ChunkSet::empty(5));
    while !(stored.len() == 5 && corrupt == 1 && synced.count() == 5) {
        match next(&mut events).await {
            DiskEvent::ChunkStored { chunk, .. } => stored.push(chunk),
            DiskEvent::ChunkCorrupt { chunk: 1, actual, .. } => {
                assert_ne!(Some(actual), content.hash(1));
                corrupt += 1;
            }
            DiskEvent::Synced { chunks } => {
                chunks.iter().for_each(|chunk| _ = synced.insert(chunk));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pool.in_use(), 0, "memory is back");
    let source: Arc<dyn ChunkSource> = partial.clone();
    let buf = disk.read(source.clone(), 1, 100, 200).await.unwrap();
    assert_eq!(*buf, content.chunk(1)[100..300]);
    assert!(matches!(disk.read(source.clone(), 9, 0, 1).await, Err(ReadError::OutOfRange)));
    let panics = disk.read(Arc::new(Panics), 0, 0, 1).await;
    assert!(matches!(panics, Err(ReadError::Io(_))));
    assert!(!disk.read(Arc::new(Uncached(source.clone())), 1, 0, 1).await.unwrap().is_empty());
    assert!(disk.shutdown(Instant::now() + PATIENCE));
    assert!(matches!(disk.read(source, 1, 0, 1).await, Err(ReadError::Io(_))));
}

#[test]
fn shutting_down_writes_and_syncs_what_waits_even_if_nobody_listens() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(40 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    let pool = BufPool::new(8 << 20);
    let (tx, events) = mpsc::channel(1);
    let disk = Disk::start(1, pool.clone(), tx);
    for chunk in 0..40 {
        disk.verify(job(&content, &partial, &pool, chunk));
    }
    assert!(disk.shutdown(Instant::now() + PATIENCE));
    assert_eq!((partial.unsynced(), partial.written().count()), (0, 40));
    drop((partial, disk, events));
    assert_eq!(content.open(temp.path()).durable.count(), 40);
}

#[test]
fn small_chunks_hashed_together_are_told_apart() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::folder(&[("a", 200_000), ("b", 5), ("c", 16_384), ("d", 65_537)]);
    let Going { partial, .. } = content.open(temp.path());
    let pool = BufPool::new(4 << 20);
    let chunks = content.layout.chunks();
    let expected: Vec<_> = (0..chunks).map(|chunk| content.hash(chunk).unwrap()).collect();
    for frames in [[65_536, 65_536], [32_768, 16_384], [65_536, 20_000]] {
        let cut = |chunk: u32| frames[chunk as usize % 2];
        let mut jobs: Vec<VerifyJob> = (0..chunks)
            .map(|chunk| job_cut(&content, &partial, &pool, chunk, cut(chunk)))
            .collect();
        assert_eq!(hashes_of(&jobs), expected, "{frames:?}");
        jobs[2].bufs[0][9] ^= 1;
        let wrong: Vec<_> = hashes_of(&jobs).iter().zip(&expected).map(|(a, b)| a == b).collect();
        assert_eq!(wrong.iter().position(|same| !same), Some(2));
        assert_eq!(wrong.iter().filter(|same| !**same).count(), 1);
    }
}

#[test]
fn small_chunks_are_taken_together_and_long_ones_alone() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(10 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    let (pool, queue) = (BufPool::new(4 << 20), Queue::new(100));
    for chunk in 0..10 {
        let one = job_cut(&content, &partial, &pool, chunk, 65_536);
        assert!(queue.push(Job::Verify(vec![one])).is_ok());
    }
    let mut long = job_cut(&content, &partial, &pool, 0, 65_536);
    long.bufs.push(pool.get_now(1 << 20).unwrap());
    assert!(queue.push(Job::Verify(vec![long])).is_ok());
    queue.close();
    let mut taken = Vec::new();
    while let Some(Job::Verify(jobs)) = queue.pop(|_| false, |_| {}) {
        taken.push(jobs.len());
    }
    assert_eq!(taken, [4, 4, 2, 1]);
}

#[test]
fn reads_go_first_but_not_for_ever() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(65_536);
    let Going { partial, .. } = content.open(temp.path());
    let (pool, queue) = (BufPool::new(4 << 20), Queue::new(100));
    let one = job(&content, &partial, &pool, 0);
    assert!(queue.push(Job::Verify(vec![one])).is_ok());
    for _ in 0..10 {
        assert!(queue.push(Job::Read(Box::new(|| {}))).is_ok());
    }
    queue.close();
    assert!(queue.push(Job::Read(Box::new(|| {}))).is_err());
    let kind = || match queue.pop(|_| false, |_| {}) {
        Some(Job::Read(_)) => 'r',
        Some(Job::Verify(_)) => 'v',
        None => '-',
    };
    let order: String = (0..12).map(|_| kind()).collect();
    assert_eq!(order, "rrrrrrrrvrr-");
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_download_that_must_wait_for_its_sync_does_not_hold_up_others() {
    let temp = tempfile::tempdir().unwrap();
    let (slow, fast) = (Content::file(100_000), Content::file(200_000));
    let pool = BufPool::new(1 << 20);
    let (a, b) = (slow.open(temp.path()).partial, fast.open(temp.path()).partial);
    let queue = Queue::new(10);
    for (content, partial) in [(&slow, &a), (&fast, &b)] {
        assert!(queue.push(Job::Verify(vec![job(content, partial, &pool, 0)])).is_ok());
    }
    let asked = Mutex::new(0);
    let full = |job: &VerifyJob| Arc::ptr_eq(&job.target, &a);
    let first = queue.pop(full, |_| *asked.lock().unwrap() += 1);
    assert!(
        matches!(first, Some(Job::Verify(jobs)) if jobs.len() == 1 && Arc::ptr_eq(&jobs[0].target, &b))
    );
    assert_eq!((*asked.lock().unwrap(), queue.len()), (1, 1), "parked, and a sync asked for");
    queue.unpark();
    assert!(matches!(queue.pop(|_| false, |_| {}), Some(Job::Verify(_))));
    queue.close();
    assert!(queue.pop(|_| false, |_| {}).is_none());
}

#[test]
fn f12_few_small_chunks_wait_to_be_written() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(100);
    let partial = content.open(temp.path()).partial;
    let (pool, queue) = (BufPool::new(1 << 20), Queue::new(100));
    for _ in 0..32 {
        let job = job(&content, &partial, &pool, 0);
        assert!(queue.push(Job::Verify(vec![job])).is_ok());
    }
    assert!(queue.bytes() >= 8 << 20, "connections hold back for {} bytes", queue.bytes());
    while queue.bytes() > 0 {
        assert!(queue.pop(|_| false, |_| {}).is_some());
    }
}

#[tokio::test]
async fn connections_that_hold_back_go_on_when_chunks_are_taken_or_parked() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(200_000);
    let partial = content.open(temp.path()).partial;
    let pool = BufPool::new(1 << 20);
    let queue = Arc::new(Queue::new(10));
    let push = || assert!(queue.push(Job::Verify(vec![job(&content, &partial, &pool, 0)])).is_ok());
    let mut taken = std::pin::pin!(queue.below(1));
    push();
    assert!(futures_util::poll!(&mut taken).is_pending());
    assert!(queue.pop(|_| false, |_| {}).is_some());
    taken.await;

    // A worker that parks a chunk gets nothing to do, and rings all the same.
    let mut parked = std::pin::pin!(queue.below(1));
    push();
    assert!(futures_util::poll!(&mut parked).is_pending());
    let full = Arc::new(AtomicBool::new(true));
    let worker = std::thread::spawn({
        let (queue, full) = (queue.clone(), full.clone());
        move || queue.pop(|_| full.load(Ordering::SeqCst), |_| {}).is_some()
    });
    tokio::time::timeout(Duration::from_secs(20), parked).await.unwrap();
    full.store(false, Ordering::SeqCst);
    queue.unpark();
    assert!(worker.join().unwrap());
}

/// `cargo test --release -p engine disk_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn disk_speed() {
    const SIZE: usize = 1 << 30;
    let dir = std::env::var_os("SHOAL_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let temp = tempfile::tempdir_in(dir).unwrap();
    let content = Content::file(SIZE);
    for threads in [1, 2, 1, 2] {
        let Going { partial, .. } = content.open(temp.path());
        let pool = BufPool::new(96 << 20);
        let (tx, mut events) = mpsc::channel(1024);
        let disk = Disk::start(threads, pool.clone(), tx);
        let begun = Instant::now();
        let mut stored = 0;
        let mut take = |event: Option<DiskEvent>| match event {
            Some(DiskEvent::ChunkStored { .. }) => stored += 1,
            Some(DiskEvent::Synced { .. }) => {}
            other => panic!("{other:?}"),
        };
        for chunk in 0..content.layout.chunks() {
            let mut bufs = Vec::new();
            for bytes in content.chunk(chunk).chunks(256 * 1024) {
                let mut buf = loop {
                    match pool.get_now(bytes.len()) {
                        Some(buf) => break buf,
                        None => take(events.blocking_recv()),
                    }
                };
                buf.copy_from_slice(bytes);
                bufs.push(buf);
            }
            disk.verify(VerifyJob {
                id: content.descriptor.id(),
                chunk,
                expected: content.hash(chunk).unwrap(),
                chunk_level: content.layout.chunk_level(),
                single_chunk_file: false,
                target: partial.clone(),
                read_soon: true,
                bufs,
            });
            while let Ok(event) = events.try_recv() {
                take(Some(event));
            }
        }
        assert!(disk.shutdown(Instant::now() + PATIENCE));
        let written = begun.elapsed();
        let done = partial.finish(&content.plan()).unwrap();
        let finished = begun.elapsed();
        let rate = |time: Duration| SIZE as f64 / 1e6 / time.as_secs_f64();
        println!(
            "{threads} threads: verified, written and synced {:.0} MB/s; with finish {:.0} MB/s",
            rate(written),
            rate(finished)
        );
        fs::remove_file(done).unwrap();
    }
}
