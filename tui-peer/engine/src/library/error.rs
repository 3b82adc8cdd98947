//! What can go wrong, in words that say what to do.

use std::io;
use std::path::PathBuf;

use common::layout::TooManyChunks;

/// The database of the profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// Another process has it open.
    #[error(
        "another shoal is already running with the state folder {}; stop it, or give this one its own with --state",
        .0.display()
    )]
    Locked(PathBuf),
    /// Written by a newer version.
    #[error(
        "{} was written by a newer shoal (format {found}, this version knows {known}); update shoal, or use another --state",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        known: u32,
    },
    /// It is damaged, or not a library at all.
    #[error(
        "{} is damaged ({what}); move it away and start again: shares are then hashed anew, files are not touched",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Something is missing in it that a share needs; hashing again mends it.
    #[error("the library does not hold the {what} of {}", path.display())]
    Incomplete {
        /// The share.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// So much waits to be written that no more is kept.
    #[error(
        "{} could not be written for so long that no more is kept for it; make room there, or see to its disk",
        path.display()
    )]
    Behind {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl LibraryError {
    /// Whether what was to be written is dropped, and does not wait for the disk.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Behind { .. })
    }
}

/// Something cannot be shared, or not now.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is no such file or folder.
    #[error("{} does not exist", .0.display())]
    NotFound(PathBuf),
    /// Its path leads to another place than when it was shared.
    #[error("{} leads somewhere else than when it was shared (a link?); share it from where it lies", .0.display())]
    Elsewhere(PathBuf),
    /// Neither file nor folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    NotShareable(PathBuf),
    /// A state folder of this program.
    #[error("{} holds the keys and secrets of a shoal peer and is not shared", .0.display())]
    State(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was written to, replaced or removed while it was being hashed.
    #[error("{} changed while it was being hashed; share it again when it is complete", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// It was found damaged, and nobody said that it is meant to be as it is now.
    #[error("{} was found damaged and is not served", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// Too many files and folders in it.
    #[error("{} holds more than {max} files and folders", path.display())]
    TooManyEntries {
        /// Which.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// It needs too many chunks.
    #[error("{} is too large: {source}", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// By how much.
        source: TooManyChunks,
    },
    /// Its list of files cannot be made.
    #[error("cannot describe {}: {what}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The user (or the end of the program) stopped it.
    #[error("stopped")]
    Cancelled,
    /// The library could not be asked.
    #[error(transparent)]
    Library(#[from] LibraryError),
}
