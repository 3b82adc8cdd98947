//! What redb says, turned into what a user can act on.

use std::io;
use std::path::Path;

use redb::{DatabaseError, StorageError};

use super::error::LibraryError;

/// Whatever redb said, or a record that cannot be read.
pub(super) enum Failure {
    Db(Box<redb::Error>),
    Bad(String),
}

impl Failure {
    pub(super) fn bad(what: &(impl ToString + ?Sized)) -> Self {
        Self::Bad(what.to_string())
    }

    pub(super) fn at(self, path: &Path) -> LibraryError {
        let path = path.to_path_buf();
        match self {
            Self::Bad(what) => LibraryError::Corrupt { path, what },
            Self::Db(error) => match *error {
                redb::Error::Io(source) => LibraryError::Io { path, source },
                redb::Error::PreviousIo => {
                    LibraryError::Io { path, source: io::Error::other("an earlier write failed") }
                }
                other => LibraryError::Corrupt { path, what: other.to_string() },
            },
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Db(Box::new(error.into()))
    }
}

pub(super) fn unencodable(error: &rmp_serde::encode::Error) -> Failure {
    Failure::Bad(format!("cannot write a record: {error}"))
}

pub(super) fn open_error(state_dir: &Path, path: &Path, error: DatabaseError) -> LibraryError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LibraryError::Locked(state_dir.to_path_buf()),
        DatabaseError::Storage(StorageError::Io(source))
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            LibraryError::Io { path: path.to_path_buf(), source }
        }
        other => LibraryError::Corrupt { path: path.to_path_buf(), what: other.to_string() },
    }
}

pub(super) fn closed() -> Failure {
    Failure::Bad("closed".to_owned())
}

/// redb finds most damage by checksum, but trips over some (a test makes it): that must not take the
/// peer down.
pub(super) fn guarded<R>(
    path: &Path,
    work: impl FnOnce() -> Result<R, Failure>,
) -> Result<R, LibraryError> {
    // On a panic nothing of the transaction is kept, so nothing half-changed is seen afterwards.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    let damaged = |_| Err(Failure::Bad("its pages contradict each other".to_owned()));
    outcome.unwrap_or_else(damaged).map_err(|failure| failure.at(path))
}
