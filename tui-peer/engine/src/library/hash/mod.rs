//! From a scan to something that can be shared.

pub(crate) mod prepared;
pub(in crate::library) mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::content::{Descriptor, Kind};
use common::id::Hash;
use common::merkle::ChunkHashes;
use common::names::PathList;
use common::numbers::saturate;

use self::prepared::Prepared;
pub use self::work::Progress;
use self::work::{ReadError, Reader, Unit, for_units, units_of};
use crate::library::error::ShareError;
use crate::library::folder;
use crate::library::scan::Scan;
use crate::library::stat::Stat;

/// What is known already of a file: its root and chunk hashes (for the scan's chunk length; may be
/// empty for files of at most one chunk). Asked with its components below the folder (none for a
/// single file) and its stat.
pub(crate) type Reuse<'a> = dyn Fn(&[String], &Stat) -> Option<(Hash, Vec<Hash>)> + 'a;

/// For [`prepare`] when nothing is known.
pub(crate) fn reuse_nothing(_: &[String], _: &Stat) -> Option<(Hash, Vec<Hash>)> {
    None
}

/// Hashes what `scan` found, on `threads` threads (0: one per core), except what `reuse` knows. Every
/// file's stat is compared before and after.
///
/// # Errors
/// [`ShareError::Changed`] when a file is not (or no longer) what the scan saw, [`ShareError::Unreadable`],
/// [`ShareError::Cancelled`] soon after `cancel` is set.
pub(crate) fn prepare(
    scan: &Scan,
    reuse: &Reuse<'_>,
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Prepared, ShareError> {
    let level = scan.layout.chunk_level();
    let mut done: Vec<Option<ChunkHashes>> = Vec::with_capacity(scan.files.len());
    let mut units = Vec::new();
    let mut to_read = 0u64;
    for (index, file) in scan.files.iter().enumerate() {
        let chunks = chunks_of(scan, index);
        let known = reuse(&file.rel, &file.stat)
            .and_then(|(root, hashes)| known_hashes(root, chunks, file.stat.size, hashes, level));
        if known.is_none() {
            units_of(&scan.layout, index, &mut units);
            to_read = to_read.saturating_add(file.stat.size);
        }
        done.push(known);
    }
    progress.total.fetch_add(to_read, Ordering::Relaxed);
    progress.leave_out(&scan.skipped);

    let mut hashed = hash_units(scan, &units, threads, progress, cancel)?;
    // In order, so that the parts of a file follow each other.
    hashed.sort_unstable_by_key(|(unit, _)| (unit.file, unit.first));
    let mut parts = hashed.into_iter().peekable();
    let mut hashes = Vec::with_capacity(done.len());
    for (index, (file, known)) in scan.files.iter().zip(done).enumerate() {
        if let Some(known) = known {
            hashes.push(known);
            continue;
        }
        let mut list = Vec::with_capacity(chunks_of(scan, index) as usize);
        while let Some((_, part)) = parts.next_if(|(unit, _)| unit.file == index) {
            list.extend(part);
        }
        hashes.push(complete(file.stat.size, list, level));
    }
    finish(scan, hashes)
}

fn chunks_of(scan: &Scan, file: usize) -> u32 {
    scan.layout.file_chunks(file).map_or(0, |range| range.end - range.start)
}

/// Chunk hashes of a file in the form that takes least room: those of one chunk are the root alone.
fn complete(size: u64, hashes: Vec<Hash>, level: u8) -> ChunkHashes {
    match u32::try_from(hashes.len()) {
        Ok(chunks @ 0..=1) => {
            ChunkHashes::unknown(ChunkHashes::complete(size, hashes, level).root(), chunks, level)
        }
        _ => ChunkHashes::complete(size, hashes, level),
    }
}

/// Takes over known hashes if they are complete and lead to the root.
fn known_hashes(
    root: Hash,
    chunks: u32,
    size: u64,
    hashes: Vec<Hash>,
    level: u8,
) -> Option<ChunkHashes> {
    if chunks <= 1 {
        return Some(ChunkHashes::unknown(root, chunks, level));
    }
    let fits = u32::try_from(hashes.len()) == Ok(chunks);
    let known = fits.then(|| ChunkHashes::complete(size, hashes, level))?;
    (known.root() == root).then_some(known)
}

fn hash_units(
    scan: &Scan,
    units: &[Unit],
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<(Unit, Vec<Hash>)>, ShareError> {
    // Units left of each file: whoever does the last one looks at the file again.
    let left: Vec<AtomicU32> = {
        let mut counts = vec![0u32; scan.files.len()];
        for unit in units {
            if let Some(count) = counts.get_mut(unit.file) {
                *count += 1;
            }
        }
        counts.into_iter().map(AtomicU32::new).collect()
    };
    for_units(&scan.layout, units, threads, cancel, |reader, batch| {
        let mut hashed = Vec::with_capacity(batch.len());
        let (small, long): (Vec<Unit>, Vec<Unit>) =
            batch.iter().partition(|unit| unit.is_small_file(&scan.layout));
        for unit in long {
            let Some(left) = left.get(unit.file) else { continue };
            hashed.push((unit, hash_unit(scan, reader, unit, left, progress, cancel)?));
        }
        hashed.extend(hash_small(scan, reader, &small, progress)?);
        Ok(hashed)
    })
}

/// Hashes whole files that fit into the reader's buffer together.
fn hash_small(
    scan: &Scan,
    reader: &mut Reader,
    units: &[Unit],
    progress: &Progress,
) -> Result<Vec<(Unit, Vec<Hash>)>, ShareError> {
    let mut sizes = Vec::with_capacity(units.len());
    let mut filled = 0;
    for unit in units {
        let Some(file) = scan.files.get(unit.file) else { continue };
        let path = || scan.file_path(file);
        reader.file(unit.file, path).map_err(|e| gone_or(path(), e))?;
        match reader.gather(filled, file.stat.size) {
            // The batch was made to fit.
            Ok(true) => {}
            Ok(false) | Err(ReadError::Short) => return Err(ShareError::Changed { path: path() }),
            Err(ReadError::Cancelled) => return Err(ShareError::Cancelled),
            Err(ReadError::Io(source)) => {
                return Err(ShareError::Unreadable { path: path(), source });
            }
        }
        // As the scan saw it after it was read: then it was so before, too.
        let (open, _) = reader.file(unit.file, path).map_err(|e| gone_or(path(), e))?;
        unchanged(open, &file.stat, path)?;
        let size = saturate::<usize>(file.stat.size);
        filled += size;
        sizes.push(size);
    }
    let hashes = reader.hash_gathered(&sizes, &scan.layout);
    progress.done.fetch_add(filled as u64, Ordering::Relaxed);
    Ok(units
        .iter()
        .copied()
        .zip(hashes.into_iter().map(|hash| hash.into_iter().collect()))
        .collect())
}

/// Hashes one unit; `left` are the units of its file that nobody has finished.
fn hash_unit(
    scan: &Scan,
    reader: &mut Reader,
    unit: Unit,
    left: &AtomicU32,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<Hash>, ShareError> {
    let Some(file) = scan.files.get(unit.file) else { return Ok(Vec::new()) };
    let path = || scan.file_path(file);
    let (open, fresh) = reader.file(unit.file, path).map_err(|e| gone_or(path(), e))?;
    if fresh {
        unchanged(open, &file.stat, path)?;
    }
    let hashed = reader.hash(unit, &scan.layout, progress, cancel);
    let hashes = hashed.map_err(|error| match error {
        ReadError::Short => ShareError::Changed { path: path() },
        ReadError::Io(source) => ShareError::Unreadable { path: path(), source },
        ReadError::Cancelled => ShareError::Cancelled,
    })?;
    if left.fetch_sub(1, Ordering::AcqRel) == 1 {
        let (open, _) = reader.file(unit.file, path).map_err(|e| gone_or(path(), e))?;
        unchanged(open, &file.stat, path)?;
    }
    Ok(hashes)
}

fn unchanged(
    open: &std::fs::File,
    was: &Stat,
    path: impl Fn() -> PathBuf,
) -> Result<(), ShareError> {
    match open.metadata() {
        Ok(meta) if Stat::of(&meta) == *was => Ok(()),
        Ok(_) => Err(ShareError::Changed { path: path() }),
        Err(source) => Err(ShareError::Unreadable { path: path(), source }),
    }
}

/// A file that was there when scanned and is not (or is a link) now has changed.
fn gone_or(path: PathBuf, source: std::io::Error) -> ShareError {
    let replaced = source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    if source.kind() == std::io::ErrorKind::NotFound || replaced {
        ShareError::Changed { path }
    } else {
        ShareError::Unreadable { path, source }
    }
}

/// Descriptor, id and manifest from the hashes.
fn finish(scan: &Scan, hashes: Vec<ChunkHashes>) -> Result<Prepared, ShareError> {
    let (descriptor, folder) = match scan.kind {
        Kind::File => {
            let root = hashes.first().map_or(Hash::ZERO, ChunkHashes::root);
            (Descriptor { kind: Kind::File, size: scan.layout.total(), root }, None)
        }
        Kind::Folder => {
            let made = folder::describe(scan, &hashes)
                .map_err(|what| ShareError::Manifest { path: scan.path.clone(), what })?;
            (made.descriptor, Some(made))
        }
    };
    let paths = || PathList::collect(scan.files.iter().map(|file| &file.rel));
    let rel = folder.is_some().then(paths).transpose();
    let rel = rel.map_err(|error| ShareError::Manifest {
        path: scan.path.clone(),
        what: error.to_string(),
    })?;
    Ok(Prepared {
        path: scan.path.clone(),
        name: scan.name.clone(),
        kind: scan.kind,
        descriptor,
        id: descriptor.id(),
        layout: Arc::clone(&scan.layout),
        manifest: folder.map(|made| made.manifest),
        rel: rel.map(Arc::new),
        stats: Arc::new(scan.files.iter().map(|file| file.stat).collect()),
        hashes,
        hashed_at: scan.looked_at,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::library::scan::scan;

    /// As a file that is being copied does: it was as the scan saw it when hashing began.
    #[test]
    fn a_file_that_grows_while_it_is_hashed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, vec![7; 5 << 20]).unwrap();
        let found = scan(&path).unwrap();
        let mut units = Vec::new();
        units_of(&found.layout, 0, &mut units);
        assert_eq!(units.len(), 2);
        let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
        let hash_both = |between: &dyn Fn()| {
            let (mut reader, left) = (Reader::new(), AtomicU32::new(2));
            let mut hash = |unit| hash_unit(&found, &mut reader, unit, &left, &progress, &cancel);
            hash(units[0]).unwrap();
            between();
            hash(units[1])
        };
        assert_eq!(hash_both(&|| ()).unwrap().len(), 16);
        let append = || {
            let mut file = std::fs::File::options().append(true).open(&path).unwrap();
            file.write_all(b"more").unwrap();
        };
        let outcome = hash_both(&append);
        assert!(matches!(outcome, Err(ShareError::Changed { path }) if path.ends_with("log")));
    }
}
