//! Reading files and comparing them with their hashes, or making these.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::id::Hash;

use super::error::ShareError;
use super::hash::prepared::Prepared;
use super::hash::work::{ReadError, Reader, Unit, for_units, units_of};
use super::hash::{Progress, prepare, reuse_nothing};
use super::scan::scan;
use super::stat::Stat;

/// Hashes everything again and returns the numbers of the chunks that are not (or no longer) what
/// `prepared` says, in order. A file that is missing, unreadable or too short costs the chunks that
/// cannot be read; one that grew, its last.
///
/// # Errors
/// [`ShareError::Cancelled`] soon after `cancel` is set.
pub(crate) fn verify(
    prepared: &Prepared,
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<u32>, ShareError> {
    let present = prepared.stats.iter().enumerate().filter(|(_, stat)| **stat != Stat::ABSENT);
    let files: Vec<usize> = present.map(|(file, _)| file).collect();
    verify_files(prepared, &files, threads, progress, cancel)
}

/// The same for some files, by their index.
pub(super) fn verify_files(
    prepared: &Prepared,
    files: &[usize],
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<u32>, ShareError> {
    let layout = &prepared.layout;
    let mut units = Vec::new();
    for file in files {
        units_of(layout, *file, &mut units);
        progress.total.fetch_add(layout.file_size(*file).unwrap_or(0), Ordering::Relaxed);
    }
    let mut bad = for_units(layout, &units, threads, cancel, |reader, batch| {
        let mut bad = Vec::new();
        for unit in batch {
            bad.extend(bad_in(prepared, reader, *unit, progress, cancel)?);
        }
        Ok(bad)
    })?;
    bad.sort_unstable();
    Ok(bad)
}

/// Chunks of one unit, by their number in the content, that are not what `prepared` says.
fn bad_in(
    prepared: &Prepared,
    reader: &mut Reader,
    unit: Unit,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Vec<u32>, ShareError> {
    let layout = &prepared.layout;
    let size = layout.file_size(unit.file).unwrap_or(0);
    let path = || prepared.file_path(unit.file).unwrap_or_default();
    let opened = reader.file(unit.file, path).and_then(|(file, _)| Ok(file.metadata()?.len()));
    let Ok(actual_size) = opened else { return Ok(numbers(prepared, unit, |_| true)) };
    let known = prepared.hashes.get(unit.file);
    let mut bad = Vec::new();
    let mut compare = |first: u32, hashes: &[Hash]| {
        let differ = (first..).zip(hashes).filter(|(chunk, hash)| {
            known.and_then(|known| known.get(*chunk)).as_ref() != Some(*hash)
        });
        bad.extend(differ.map(|(chunk, _)| chunk));
    };
    match reader.hash(unit, layout, progress, cancel) {
        Ok(hashes) => compare(unit.first, &hashes),
        Err(ReadError::Cancelled) => return Err(ShareError::Cancelled),
        // Chunk by chunk, so that one that cannot be read does not take its neighbours with it.
        Err(ReadError::Short | ReadError::Io(_)) => {
            let silent = Progress::default();
            for chunk in unit.first..unit.first + unit.count {
                let one = Unit { first: chunk, count: 1, ..unit };
                match reader.hash(one, layout, &silent, cancel) {
                    Ok(hashes) => compare(chunk, &hashes),
                    Err(ReadError::Cancelled) => return Err(ShareError::Cancelled),
                    Err(ReadError::Short | ReadError::Io(_)) => compare(chunk, &[Hash::ZERO]),
                }
            }
        }
    }
    let last = layout.file_chunks(unit.file).map_or(0, |range| range.end - range.start);
    let grew = actual_size > size;
    Ok(numbers(prepared, unit, |chunk| bad.contains(&chunk) || (grew && chunk + 1 == last)))
}

/// Content-wide numbers of the chunks of a unit for which `is` holds.
fn numbers(prepared: &Prepared, unit: Unit, is: impl Fn(u32) -> bool) -> Vec<u32> {
    let base = prepared.layout.file_chunks(unit.file).map_or(0, |range| range.start);
    (unit.first..unit.first + unit.count).filter(|chunk| is(*chunk)).map(|c| base + c).collect()
}

/// Hashes a file or folder that need not be in any library.
///
/// # Errors
/// As `scan` and `prepare`.
pub fn hash_path(path: &Path, threads: usize) -> Result<Prepared, ShareError> {
    hash_watched(path, threads, &Progress::default(), &AtomicBool::new(false))
}

/// The same; says how far it is, and can be told to stop.
///
/// # Errors
/// As `scan` and `prepare`.
pub fn hash_watched(
    path: &Path,
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Prepared, ShareError> {
    prepare(&scan(path)?, &reuse_nothing, threads, progress, cancel)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn bad_chunks(prepared: &Prepared) -> Vec<u32> {
        verify(prepared, 2, &Progress::default(), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn flipped_truncated_grown_and_missing_chunks_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, vec![1; 300_000]).unwrap();
        fs::write(&b, vec![2; 100_000]).unwrap();
        let prepared = hash_path(dir.path(), 2).unwrap();
        assert_eq!(prepared.layout.chunks(), 7);
        assert!(bad_chunks(&prepared).is_empty());

        let file = fs::OpenOptions::new().write(true).open(&a).unwrap();
        file.write_all_at(&[9], 70_000).unwrap();
        assert_eq!(bad_chunks(&prepared), [1]);
        file.set_len(200_000).unwrap();
        assert_eq!(bad_chunks(&prepared), [1, 3, 4]);
        fs::OpenOptions::new().write(true).open(&b).unwrap().set_len(100_001).unwrap();
        assert_eq!(bad_chunks(&prepared), [1, 3, 4, 6]);
        fs::remove_file(&b).unwrap();
        assert_eq!(bad_chunks(&prepared), [1, 3, 4, 5, 6]);
    }

    #[test]
    fn verifying_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), vec![1; 300_000]).unwrap();
        let prepared = hash_path(dir.path(), 1).unwrap();
        let outcome = verify(&prepared, 1, &Progress::default(), &AtomicBool::new(true));
        assert!(matches!(outcome, Err(ShareError::Cancelled)));
    }
}
