//! Reading and hashing on all cores.
//!
//! The content is cut into units of neighbouring chunks; worker threads take them from one counter, so
//! that one huge file and twenty thousand small ones both keep every core busy, and a disk sees nearly
//! sequential reads.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use common::id::Hash;
use common::layout::Layout;
use common::limits::BLOCK_LEN;
use common::merkle::{block_hashes, chunk_hash};
use rustix::fs::{Advice, OFlags, fadvise};

use super::error::ShareError;

/// Bytes of neighbouring chunks one thread takes at a time: long enough for a disk to stream, short
/// enough that the last unit does not leave cores idle.
const UNIT_LEN: u64 = 4 * 1024 * 1024;
/// Read at once, then hashed while still in the second-level cache.
const READ_LEN: usize = 256 * 1024;
const _: () = assert!(READ_LEN.is_multiple_of(BLOCK_LEN as usize));
/// Files from here on get a hint about reading ahead; for smaller ones the call costs more than it gives.
const ADVISE_FROM: u64 = 1024 * 1024;
/// Most threads: more than this no disk feeds.
const MAX_THREADS: usize = 64;

/// Bytes to hash and bytes hashed so far, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that have to be read.
    pub total: AtomicU64,
    /// Bytes read and hashed.
    pub done: AtomicU64,
}

/// Neighbouring chunks of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// Index of the file.
    pub(super) file: usize,
    /// First chunk within the file.
    pub(super) first: u32,
    /// How many; none for an empty file, which is still opened.
    pub(super) count: u32,
}

/// Units of file `file`.
pub(super) fn units_of(layout: &Layout, file: usize, out: &mut Vec<Unit>) {
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

/// Threads to use: `wanted`, or as many as there are cores if that is 0, never more than units.
fn threads_for(wanted: usize, units: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let wanted = if wanted == 0 { cores } else { wanted };
    wanted.min(MAX_THREADS).min(units).max(1)
}

/// Runs `work` for every unit on `threads` threads (0: one per core). The first error stops all.
/// Results come in no particular order.
pub(super) fn for_units<R: Send>(
    units: &[Unit],
    threads: usize,
    cancel: &AtomicBool,
    work: impl Fn(&mut Reader, Unit) -> Result<R, ShareError> + Sync,
) -> Result<Vec<R>, ShareError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let one_thread = || -> Result<Vec<R>, ShareError> {
        let mut reader = Reader::new();
        let mut results = Vec::new();
        while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(ShareError::Cancelled);
            }
            match work(&mut reader, *unit) {
                Ok(result) => results.push(result),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(results)
    };
    let threads = threads_for(threads, units.len());
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
pub(super) struct Reader {
    buffer: Vec<u8>,
    open: Option<(usize, File)>,
}

/// Why the chunks of a unit could not be hashed.
pub(super) enum ReadError {
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
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; READ_LEN], open: None }
    }

    /// File number `file` at `path`, opened at most once in a row; says whether it was opened just now.
    pub(super) fn file(
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

    /// Hashes of the unit's chunks, read from the file opened last, which has `size` bytes.
    pub(super) fn hash(
        &mut self,
        unit: Unit,
        size: u64,
        layout: &Layout,
        progress: &Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<Hash>, ReadError> {
        let Some((_, file)) = &self.open else { return Err(ReadError::Short) };
        let chunk_len = u64::from(layout.chunk_len());
        let only_chunk = size <= chunk_len;
        if size >= ADVISE_FROM {
            let from = u64::from(unit.first) * chunk_len;
            let len = std::num::NonZeroU64::new(UNIT_LEN.max(chunk_len) * 2);
            // Only a hint: a file system that does not take it is read all the same.
            let _ = fadvise(file, from, len, Advice::WillNeed);
        }
        let mut hashes = Vec::with_capacity(unit.count as usize);
        let mut blocks = Vec::new();
        for chunk in unit.first..unit.first + unit.count {
            let start = u64::from(chunk) * chunk_len;
            let end = (start + chunk_len).min(size);
            let mut at = start;
            blocks.clear();
            while at < end {
                if cancel.load(Ordering::Relaxed) {
                    return Err(ReadError::Cancelled);
                }
                let want = usize::try_from(end - at).unwrap_or(READ_LEN).min(READ_LEN);
                let Some(span) = self.buffer.get_mut(..want) else { return Err(ReadError::Short) };
                read_exact_at(file, span, at)?;
                blocks.extend(block_hashes(span));
                at += want as u64;
                progress.done.fetch_add(want as u64, Ordering::Relaxed);
            }
            hashes.push(chunk_hash(&blocks, layout.chunk_level(), only_chunk));
        }
        Ok(hashes)
    }
}

fn read_exact_at(file: &File, span: &mut [u8], at: u64) -> Result<(), ReadError> {
    file.read_exact_at(span, at).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ReadError::Short,
        _ => ReadError::Io(error),
    })
}

/// Opens a file for reading; a symbolic link put in its place is refused, and a pipe does not block.
pub(super) fn open_plain(path: &Path) -> std::io::Result<File> {
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
    fn the_first_error_stops_the_others() {
        let units = vec![Unit { file: 0, first: 0, count: 0 }; 10_000];
        let ran = AtomicUsize::new(0);
        let outcome = for_units(&units, 1, &AtomicBool::new(false), |_, _| {
            if ran.fetch_add(1, Ordering::Relaxed) == 5 {
                Err(ShareError::Cancelled)
            } else {
                Ok(())
            }
        });
        assert!(matches!(outcome, Err(ShareError::Cancelled)));
        assert_eq!(ran.load(Ordering::Relaxed), 6);
    }
}
