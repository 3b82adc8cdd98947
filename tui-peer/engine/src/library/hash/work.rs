//! Reading and hashing on all cores.
//!
//! The content is cut into units of neighbouring chunks; worker threads take them from one counter, so
//! that one huge file and twenty thousand small ones both keep every core busy, and a disk sees nearly
//! sequential reads.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::id::Hash;
use common::layout::Layout;
use common::limits::BLOCK_LEN;
use common::merkle::{block_hashes, block_hashes_of, chunk_hash};
use common::numbers::saturate;
use rustix::fs::{Advice, OFlags, fadvise};

use crate::library::error::ShareError;
use crate::library::skip::Skipped;

/// Bytes of neighbouring chunks one thread takes at a time: long enough for a disk to stream, short
/// enough that the last unit does not leave cores idle.
const UNIT_LEN: u64 = 4 * 1024 * 1024;
/// Read at once, then hashed while still in the second-level cache.
const READ_LEN: usize = 256 * 1024;
const _: () = assert!(READ_LEN.is_multiple_of(BLOCK_LEN as usize));
/// A read that takes longer than this waited for the disk (one of cached data takes a tenth): the system
/// is told what comes next. Of cached data it would look at every page for nothing, 7 % of all the time.
const SLOW_READ: Duration = Duration::from_micros(500);
/// What it is told then: two units, so that the disk streams while we hash.
const READ_AHEAD: u64 = 2 * UNIT_LEN;
/// Small files are read one after the other into one buffer of [`READ_LEN`] and hashed together, so
/// that all lanes have something to do; at most so many, so that progress moves and errors are not late.
const BATCH_FILES: usize = 64;
/// Most threads: more than this no disk feeds.
const MAX_THREADS: usize = 64;

/// How far hashing has come, and what it leaves out, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that have to be read.
    pub total: AtomicU64,
    /// Bytes read and hashed.
    pub done: AtomicU64,
    left_out: OnceLock<String>,
}

impl Progress {
    /// What lies in the folder and is not shared with it, in words, if there is something.
    pub fn left_out(&self) -> Option<String> {
        self.left_out.get().cloned()
    }

    /// Notes that for whoever asks. Of several looks at the same folder the first counts.
    pub(in crate::library) fn leave_out(&self, skipped: &Skipped) {
        if let Some(words) = skipped.words() {
            let _ = self.left_out.set(words);
        }
    }
}

/// Neighbouring chunks of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) struct Unit {
    /// Index of the file.
    pub(in crate::library) file: usize,
    /// First chunk within the file.
    pub(in crate::library) first: u32,
    /// How many; none for an empty file, which is still opened.
    pub(in crate::library) count: u32,
}

impl Unit {
    /// Offset within the file and length, in bytes.
    pub(in crate::library) fn span(&self, layout: &Layout) -> (u64, u64) {
        let chunk_len = u64::from(layout.chunk_len());
        let start = u64::from(self.first) * chunk_len;
        let size = layout.file_size(self.file).unwrap_or(0);
        let end = (start + u64::from(self.count) * chunk_len).min(size);
        (start, end.saturating_sub(start))
    }

    /// Whether it is all of a file that fits into one chunk and one buffer.
    pub(in crate::library) fn is_small_file(&self, layout: &Layout) -> bool {
        let size = layout.file_size(self.file).unwrap_or(0);
        size <= READ_LEN.min(layout.chunk_len() as usize) as u64
    }
}

/// Units of file `file`.
pub(in crate::library) fn units_of(layout: &Layout, file: usize, out: &mut Vec<Unit>) {
    let chunks = layout.file_chunks(file).map_or(0, |range| range.end - range.start);
    let step = u32::try_from(UNIT_LEN / u64::from(layout.chunk_len())).unwrap_or(1).max(1);
    let mut first = 0;
    loop {
        let count = step.min(chunks - first);
        out.push(Unit { file, first, count });
        first += count;
        if first >= chunks {
            return;
        }
    }
}

/// Threads to use: `wanted`, or as many as there are cores if that is 0, never more than batches.
fn threads_for(wanted: usize, batches: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let wanted = if wanted == 0 { cores } else { wanted };
    wanted.min(MAX_THREADS).min(batches).max(1)
}

/// Units that one thread takes at once: one long one, or some small files that fit into its buffer
/// together. `len` says how many bytes a unit has.
fn batches_of(units: &[Unit], len: impl Fn(&Unit) -> u64) -> Vec<&[Unit]> {
    let mut batches = Vec::new();
    let (mut first, mut bytes) = (0, 0u64);
    for (n, unit) in units.iter().enumerate() {
        let unit_len = len(unit);
        if n > first && (bytes + unit_len > READ_LEN as u64 || n - first >= BATCH_FILES) {
            batches.extend(units.get(first..n));
            (first, bytes) = (n, 0);
        }
        bytes += unit_len;
    }
    batches.extend(units.get(first..).filter(|rest| !rest.is_empty()));
    batches
}

/// Runs `work` for all units, a few small or one long at a time, on `threads` threads (0: one per core).
/// The first error stops all. Results come in no particular order.
pub(in crate::library) fn for_units<R: Send>(
    layout: &Layout,
    units: &[Unit],
    threads: usize,
    cancel: &AtomicBool,
    work: impl Fn(&mut Reader, &[Unit]) -> Result<Vec<R>, ShareError> + Sync,
) -> Result<Vec<R>, ShareError> {
    let batches = batches_of(units, |unit| unit.span(layout).1);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let one_thread = || -> Result<Vec<R>, ShareError> {
        let mut reader = Reader::new();
        let mut results = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(ShareError::Cancelled);
            }
            match work(&mut reader, batch) {
                Ok(result) => results.extend(result),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(results)
    };
    let threads = threads_for(threads, batches.len());
    if threads == 1 {
        return one_thread();
    }
    let outcomes: Vec<Result<Vec<R>, ShareError>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one_thread)).collect();
        workers
            .into_iter()
            .map(|worker| match worker.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    let mut all = Vec::with_capacity(units.len());
    for outcome in outcomes {
        all.extend(outcome?);
    }
    Ok(all)
}

/// One thread's buffer and the file it has open.
pub(in crate::library) struct Reader {
    buffer: Vec<u8>,
    open: Option<(usize, File)>,
}

/// Why the chunks of a unit could not be hashed.
pub(in crate::library) enum ReadError {
    /// The file is shorter than it was.
    Short,
    /// The operating system refused.
    Io(std::io::Error),
    /// Stopped.
    Cancelled,
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Reader {
    pub(in crate::library) fn new() -> Self {
        Self { buffer: vec![0; READ_LEN], open: None }
    }

    /// File number `file` at `path`, opened at most once in a row; says whether it was opened just now.
    pub(in crate::library) fn file(
        &mut self,
        file: usize,
        path: impl FnOnce() -> std::path::PathBuf,
    ) -> std::io::Result<(&File, bool)> {
        let fresh = self.open.as_ref().is_none_or(|(open, _)| *open != file);
        if fresh {
            self.open = None;
            let opened = open_plain(&path())?;
            self.open = Some((file, opened));
        }
        match &self.open {
            Some((_, open)) => Ok((open, fresh)),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// Hashes of the unit's chunks, read from the file opened last.
    pub(in crate::library) fn hash(
        &mut self,
        unit: Unit,
        layout: &Layout,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<Hash>, ReadError> {
        let Some((_, file)) = &self.open else { return Err(ReadError::Short) };
        let (start, len) = unit.span(layout);
        let (mut at, end) = (start, start + len);
        let mut advised = false;
        let mut blocks =
            Vec::with_capacity(usize::try_from(len / u64::from(BLOCK_LEN)).unwrap_or(0) + 1);
        while at < end {
            if cancel.load(Ordering::Relaxed) {
                return Err(ReadError::Cancelled);
            }
            let want = usize::try_from(end - at).unwrap_or(READ_LEN).min(READ_LEN);
            let Some(span) = self.buffer.get_mut(..want) else { return Err(ReadError::Short) };
            let begun = Instant::now();
            read_exact_at(file, span, at)?;
            at += want as u64;
            if !advised && begun.elapsed() > SLOW_READ {
                advised = true;
                let len = std::num::NonZeroU64::new(READ_AHEAD);
                // Only a hint: a file system that does not take it is read all the same.
                let _ = fadvise(file, at, len, Advice::WillNeed);
            }
            blocks.extend(block_hashes(span));
            progress.done.fetch_add(want as u64, Ordering::Relaxed);
        }
        let only_chunk = layout.file_chunks(unit.file).is_some_and(|chunks| chunks.len() == 1);
        let level = layout.chunk_level();
        Ok(blocks.chunks(1 << level).map(|chunk| chunk_hash(chunk, level, only_chunk)).collect())
    }

    /// Reads all of a small file, opened last, behind the `filled` bytes that are in the buffer already;
    /// `false` if there is no room for it.
    pub(in crate::library) fn gather(
        &mut self,
        filled: usize,
        size: u64,
    ) -> Result<bool, ReadError> {
        let Some((_, file)) = &self.open else { return Err(ReadError::Short) };
        let len = saturate::<usize>(size);
        let Some(span) = self.buffer.get_mut(filled..filled.saturating_add(len)) else {
            return Ok(false);
        };
        read_exact_at(file, span, 0)?;
        Ok(true)
    }

    /// The hash of each of the files of `sizes` that [`Self::gather`] put one behind the other; each is
    /// the only chunk of its file. An empty file has none.
    pub(in crate::library) fn hash_gathered(
        &self,
        sizes: &[usize],
        layout: &Layout,
    ) -> Vec<Option<Hash>> {
        let mut rest = self.buffer.as_slice();
        let files: Vec<&[u8]> = sizes
            .iter()
            .map(|size| {
                let (file, more) = rest.split_at(*size.min(&rest.len()));
                rest = more;
                file
            })
            .collect();
        let mut blocks = block_hashes_of(&files).into_iter();
        sizes
            .iter()
            .map(|size| {
                let own: Vec<Hash> =
                    blocks.by_ref().take(size.div_ceil(BLOCK_LEN as usize)).collect();
                (!own.is_empty()).then(|| chunk_hash(&own, layout.chunk_level(), true))
            })
            .collect()
    }
}

fn read_exact_at(file: &File, span: &mut [u8], at: u64) -> Result<(), ReadError> {
    file.read_exact_at(span, at).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ReadError::Short,
        _ => ReadError::Io(error),
    })
}

/// Opens a file for reading; a symbolic link put in its place is refused, and a pipe does not block.
pub(in crate::library) fn open_plain(path: &Path) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or(0)).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_cover_every_chunk_once_and_empty_files_too() {
        let sizes = [0, 1, 10 << 20, 70 << 10, 0];
        let layout = Layout::for_folder(&sizes).unwrap();
        for (file, size) in sizes.iter().enumerate() {
            let mut units = Vec::new();
            units_of(&layout, file, &mut units);
            let mut at = 0;
            for unit in &units {
                assert_eq!((unit.file, unit.first), (file, at));
                at += unit.count;
            }
            assert_eq!(u64::from(at), size.div_ceil(u64::from(layout.chunk_len())));
            assert!(!units.is_empty());
        }
    }

    #[test]
    fn batches_hold_every_unit_once_and_fit_into_the_buffer() {
        let sizes: Vec<u64> = (0..500u64).map(|n| n * n * 7 % 70_000).chain([9 << 20]).collect();
        let layout = Layout::for_folder(&sizes).unwrap();
        let mut units = Vec::new();
        for file in 0..sizes.len() {
            units_of(&layout, file, &mut units);
        }
        let len = |unit: &Unit| unit.span(&layout).1;
        let batches = batches_of(&units, len);
        assert_eq!(batches.concat(), units);
        for batch in &batches {
            assert!((1..=BATCH_FILES).contains(&batch.len()));
            assert!(batch.len() == 1 || batch.iter().map(len).sum::<u64>() <= READ_LEN as u64);
        }
        assert!(batches.len() < units.len() / 3);
        assert!(batches_of(&[], len).is_empty());
    }

    #[test]
    fn the_first_error_stops_the_others() {
        let units = vec![Unit { file: 0, first: 0, count: 0 }; 10_000];
        let layout = Layout::for_file(0).unwrap();
        let ran = AtomicUsize::new(0);
        let outcome = for_units(&layout, &units, 1, &AtomicBool::new(false), |_, _| {
            if ran.fetch_add(1, Ordering::Relaxed) == 5 {
                Err(ShareError::Cancelled)
            } else {
                Ok(vec![()])
            }
        });
        assert!(matches!(outcome, Err(ShareError::Cancelled)));
        assert_eq!(ran.load(Ordering::Relaxed), 6);
    }
}
