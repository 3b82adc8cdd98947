//! The two files of a download, its part and its journal: locked, replaced, removed.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FlockOperation;

use super::journal::{Header, Journal, Record};
use super::names::Names;
use crate::disk::error::DiskError;
use crate::disk::syscalls::{self, Access};

/// Keeps a second program (or a second run) from writing the same download. Where locks do not work
/// (some network file systems), nothing is kept.
pub(in crate::disk) fn lock(file: &fs::File) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// The same of the journal at `path`.
///
/// # Errors
/// [`DiskError::InUse`] if somebody else has it.
pub(in crate::disk) fn lock_journal(file: &fs::File, path: &Path) -> Result<(), DiskError> {
    lock(file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => DiskError::InUse { path: path.to_path_buf() },
        _ => DiskError::sort("lock", path, 0, error),
    })
}

/// Writes a new journal beside the old one and puts it in its place.
pub(in crate::disk) fn replace_journal(
    dir: &OwnedFd,
    names: &Names,
    header: &Header,
    records: &[Record],
) -> io::Result<Journal> {
    put_journal(dir, names, |file| {
        let journal = Journal::create(file, header, records)?;
        journal.file().sync_all()?;
        Ok(journal)
    })
}

/// Puts what `write` writes and syncs, locked, in the place of a journal.
pub(in crate::disk) fn put_journal<T>(
    dir: &OwnedFd,
    names: &Names,
    write: impl FnOnce(fs::File) -> io::Result<T>,
) -> io::Result<T> {
    // Whoever chose these names has seen that what stands there is ours.
    syscalls::remove_file(dir, names.state_new.as_str())?;
    let file = syscalls::open_private(dir, names.state_new.as_str(), Access::CreateNew)?;
    lock(&file)?;
    let written = write(file)?;
    rustix::fs::renameat(dir, names.state_new.as_str(), dir, names.state.as_str())?;
    rustix::fs::fsync(dir)?;
    Ok(written)
}

/// Removes a part of ours, a file or a folder.
pub(in crate::disk) fn remove_part(dir: &OwnedFd, dir_path: &Path, part: &str) -> io::Result<()> {
    match syscalls::stat_at(dir, part)? {
        // Does not follow links.
        Some(seen) if seen.is_dir => {
            let now = syscalls::path_of(dir).unwrap_or_else(|| dir_path.to_path_buf());
            fs::remove_dir_all(now.join(part))
        }
        Some(_) => syscalls::remove_file(dir, part),
        None => Ok(()),
    }
}
