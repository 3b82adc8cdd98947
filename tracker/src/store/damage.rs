//! What to do with a store that is not whole: recognise it, keep the process alive, keep the file.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Damaged stores that are kept; the last one is replaced by the next. A machine that damages its disk at every
/// start must not fill it.
const MAX_KEPT: u32 = 9;
/// redb writes these first bytes (its magic number) last of all when it makes a file.
const MAGIC_LEN: u64 = 9;
/// Header that redb writes before them.
const HEADER_LEN: u64 = 512;
/// A file that redb has just made has some 1.1 MiB, of which everything but the header is a hole.
const MAX_UNBORN: u64 = 16 * 1024 * 1024;

/// Runs `work` on redb's file. redb finds most damage by its checksums, but trips over some: that is an error like
/// any other, and not the end of the tracker.
pub(super) fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Nothing of a transaction that panics is kept, and the database is closed after any error.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let why = "its pages contradict each other".to_owned();
        Err(StoreError::Corrupt { path: path.to_owned(), why })
    })
}

/// Drops what may trip over damage while it is being closed.
pub(super) fn close<T>(what: T) {
    // What was committed is on disk whether this works or not.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(what)));
}

/// Empties a file whose making was cut short: it has never held anything, so nothing is lost. Only while nobody
/// else has it locked.
pub(super) fn clear_unborn(file: &mut File) -> io::Result<()> {
    let len = file.metadata()?.len();
    if len == 0 || len > MAX_UNBORN || file.try_lock().is_err() {
        return Ok(());
    }
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(MAX_UNBORN).read_to_end(&mut bytes)?;
    let header = usize::try_from(HEADER_LEN).unwrap_or(0).min(bytes.len());
    let (header, rest) = bytes.split_at(header);
    let magic = header.iter().take(usize::try_from(MAGIC_LEN).unwrap_or(0));
    if magic.chain(rest).all(|byte| *byte == 0) {
        file.set_len(0)?;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// Renames a damaged file, so that it can be looked at, and returns its new name. `file` is the same file: while it
/// is locked nobody else uses it.
pub(super) fn set_aside(path: &Path, file: &File) -> Result<PathBuf, StoreError> {
    let failed = |error: io::Error| StoreError::Io {
        path: path.to_owned(),
        kind: error.kind(),
        why: format!("it is damaged and cannot be set aside: {error}"),
    };
    // Another tracker that found the same damage may have been quicker, and may use a new file of this name.
    if file.try_lock().is_err() || !is_at(file, path).map_err(failed)? {
        return Err(StoreError::Locked { path: path.to_owned() });
    }
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{n}"));
        PathBuf::from(name)
    };
    let kept = (1..MAX_KEPT).map(name).find(|aside| fs::symlink_metadata(aside).is_err());
    let aside = kept.unwrap_or_else(|| name(MAX_KEPT));
    fs::rename(path, &aside).map_err(failed)?;
    sync_folder(path).map_err(failed)?;
    Ok(aside)
}

/// Takes back what [`set_aside`] did; what has its name by now is replaced.
pub(super) fn put_back(path: &Path, aside: &Path) -> io::Result<()> {
    fs::rename(aside, path)?;
    sync_folder(path)
}

/// Makes the names in the folder of `path` outlive a power cut.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let this = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((this.dev(), this.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    Ok(path.exists())
}
