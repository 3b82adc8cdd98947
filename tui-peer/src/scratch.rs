//! Folders of one run: the state of a peer that nothing is to be remembered of, and bytes on their way
//! through. Only their owner may enter them; they are gone with the run, whatever ends it: a signal too
//! ([`crate::leave`]), and what was killed at once leaves is removed by the next run.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::leave;

/// How the names of all of them begin.
const PREFIX: &str = "shoal-once-";
/// The file in it that is locked while the run lives.
const LOCK: &str = "lock";
/// Entries of a folder for temporary files that are looked at for what earlier runs left: a folder with
/// more is somebody else's to tidy up.
const MAX_LOOKED: usize = 10_000;

/// The same error, with the place where it was met.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    /// A folder for little: the state of a peer.
    ///
    /// # Errors
    /// From the file system; it names the place.
    pub(crate) fn small() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// A folder for much: where `TMPDIR` says, else on a disk rather than in memory.
    ///
    /// # Errors
    /// From the file system; it names the place.
    pub(crate) fn large() -> io::Result<Self> {
        let disk = Path::new("/var/tmp");
        let said = std::env::var_os("TMPDIR").is_some_and(|dir| !dir.is_empty());
        if said || !disk.is_dir() { Self::small() } else { Self::within(disk) }
    }

    fn within(base: &Path) -> io::Result<Self> {
        sweep(base);
        Self::made(base).map_err(|error| at(base, &error))
    }

    fn made(base: &Path) -> io::Result<Self> {
        let private = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(base)?;
        let mut options = File::options();
        let lock = options.write(true).create_new(true).mode(0o600).open(dir.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        leave::remove_folder(dir.path().to_path_buf());
        Ok(Self { dir, _lock: lock })
    }

    /// A folder in it, made now.
    ///
    /// # Errors
    /// From the file system; it names the place.
    pub(crate) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).map_err(|error| at(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        leave::keep_folder(self.dir.path());
    }
}

/// Removes what runs that were killed left: ours, and nobody holds its lock.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.take(MAX_LOOKED).flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            let _ = remove_left(&entry.path());
        }
    }
}

fn remove_left(dir: &Path) -> io::Result<()> {
    let seen = fs::symlink_metadata(dir)?;
    if !seen.is_dir() || seen.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    // One that is being made has none yet, and fails here.
    let lock = File::options().write(true).open(dir.join(OsStr::new(LOCK)))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    fs::remove_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_what_a_killed_run_left_is_removed_and_what_lives_is_not() {
        let base = tempfile::tempdir().unwrap();
        let living = Scratch::within(base.path()).unwrap();
        fs::write(living.folder("state").unwrap().join("x"), b"x").unwrap();
        let mode = fs::metadata(living.dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let left = base.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), b"").unwrap();
        let young = base.path().join(format!("{PREFIX}young"));
        fs::create_dir(&young).unwrap();
        let second = Scratch::within(base.path()).unwrap();
        assert!(!left.exists() && young.exists() && living.dir.path().exists());
        let paths = [living.dir.path().to_path_buf(), second.dir.path().to_path_buf()];
        drop((living, second));
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
