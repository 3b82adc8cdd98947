//! What a disk can answer instead of doing what it should.

use std::io;
use std::path::{Path, PathBuf};

use common::chunk_set::ChunkSet;
use rustix::io::Errno;

/// A chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file is not the one that was hashed any more.
    #[error("the file has changed")]
    Changed,
    /// Not just now: too many files are open, or the disk does not answer. The file may be as it should.
    #[error("not just now: {0}")]
    Busy(io::Error),
    /// There is no such file any more, or the chunk is not there (yet).
    #[error("the file is gone")]
    Gone,
    /// The operating system could not read it.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// No such chunk, or no such bytes in it.
    #[error("no such bytes in this content")]
    OutOfRange,
}

/// A download cannot be created, written, synced or finished: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    /// No room (or no quota) left.
    #[error(
        "no room in {}: {} needed, {} free{}; delete something{} or choose another folder",
        path.display(), Mib(*needed), Mib(*free), Kept(*kept), if *kept > 0 { ", lower keep_free" } else { "" }
    )]
    Full {
        /// Target folder.
        path: PathBuf,
        /// Bytes that did not fit.
        needed: u64,
        /// Bytes free for us.
        free: u64,
        /// Bytes of those that are to stay free.
        kept: u64,
    },
    /// The file system is mounted read-only.
    #[error("{} is read-only; mount it writable or choose another folder", path.display())]
    ReadOnly {
        /// Where.
        path: PathBuf,
    },
    /// We may not write there.
    #[error("no permission to write {}; change its owner or choose another folder", path.display())]
    Permission {
        /// Where.
        path: PathBuf,
    },
    /// Another running program has this download open.
    #[error("{} is in use by another running peer; stop that one first", path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// Too many files are open just now.
    #[error("too many files are open: {} waits; raise the limit (ulimit -n)", path.display())]
    Busy {
        /// What could not be opened.
        path: PathBuf,
    },
    /// Files of others stand at all names that its part could have.
    #[error(
        "{} and the names like it are taken by others; remove them or choose another folder",
        path.display()
    )]
    Occupied {
        /// The first of them.
        path: PathBuf,
    },
    /// The system does not let this program write so large a file.
    #[error(
        "{} grew to the largest size that is allowed here: raise the limit (ulimit -f) or choose \
         another folder",
        path.display()
    )]
    Limit {
        /// Which file.
        path: PathBuf,
    },
    /// The part file was moved, replaced or deleted while we wrote to it.
    #[error("{} was moved, replaced or deleted by somebody; resume to start it over", path.display())]
    Changed {
        /// The part file or folder.
        path: PathBuf,
    },
    /// A name that no file may have. Whoever made the spec should have used `common::names`.
    #[error("the name {0:?} cannot be used on disk")]
    BadName(String),
    /// More than this version (or this file system) can hold in one file.
    #[error("too large for this program or this file system")]
    TooLarge,
    /// A sync failed while a chunk was written: nobody knows whether it is there. The sync's own error
    /// says what is wrong and whether that passes.
    #[error("a sync failed while {} was written", path.display())]
    Unsure {
        /// The part file or folder.
        path: PathBuf,
    },
    /// Some wanted chunks are not here.
    #[error("{missing} wanted chunks are not on disk; resume to fetch them")]
    Incomplete {
        /// How many.
        missing: u32,
    },
    /// Anything else the operating system said.
    #[error("cannot {doing} {}: {source}; check the disk and resume", path.display())]
    Io {
        /// What we were doing, as a verb.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl DiskError {
    /// Sorts an error of the operating system; `needed` bytes were to be written under `path`.
    pub(super) fn sort(doing: &'static str, path: &Path, needed: u64, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let is = |errno: Errno| source.raw_os_error() == Some(errno.raw_os_error());
        if is(Errno::NOSPC) || is(Errno::DQUOT) {
            let dir = path.parent().unwrap_or(&path);
            let free = super::space(dir).map_or(0, |space| space.free);
            Self::Full { path: dir.to_path_buf(), needed, free, kept: 0 }
        } else if is(Errno::ROFS) {
            Self::ReadOnly { path }
        } else if is(Errno::ACCESS) || is(Errno::PERM) {
            Self::Permission { path }
        } else if is_short(&source) {
            Self::Busy { path }
        } else if is(Errno::FBIG) {
            Self::Limit { path }
        } else {
            Self::Io { doing, path, source }
        }
    }

    /// Whether there is no room, or no more is allowed.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Limit { .. })
    }

    /// Bytes that did not fit, as far as is known.
    pub(crate) fn needed(&self) -> u64 {
        match self {
            Self::Full { needed, .. } => *needed,
            _ => 0,
        }
    }

    /// Whether trying again later may help without anybody resuming it.
    pub(crate) fn is_temporary(&self) -> bool {
        self.is_full()
            || matches!(self, Self::ReadOnly { .. } | Self::InUse { .. } | Self::Busy { .. })
    }

    /// Whether the disk could not do it now and may some seconds later, or never.
    pub(crate) fn is_shaky(&self) -> bool {
        let io = Errno::IO.raw_os_error();
        matches!(self, Self::Io { source, .. } if source.raw_os_error() == Some(io))
    }

    /// A word for its kind, which tests compare.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "disk-full",
            Self::Limit { .. } => "file-limit",
            Self::ReadOnly { .. } => "read-only",
            Self::Permission { .. } | Self::Occupied { .. } => "permission",
            Self::InUse { .. } => "in-use",
            Self::Busy { .. } => "busy",
            Self::Changed { .. } => "changed",
            _ => "io",
        }
    }
}

/// Whether this process, or the whole machine, has as many files open as it may.
pub(super) fn is_short(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    is(Errno::MFILE) || is(Errno::NFILE)
}

/// A sync failed: everything written since the last good one is to be treated as missing. Linux may
/// report a lost write only once, so a second try that succeeds proves nothing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct SyncError {
    /// Chunks that must be fetched again.
    pub lost: ChunkSet,
    /// Why.
    pub error: DiskError,
}

/// Bytes as people read them.
struct Mib(u64);

impl std::fmt::Display for Mib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MIB: u64 = 1024 * 1024;
        match self.0 {
            n if n >= 10 * 1024 * MIB => write!(f, "{} GiB", n / (1024 * MIB)),
            n if n >= MIB => write!(f, "{} MiB", n / MIB),
            n => write!(f, "{} KiB", n.div_ceil(1024)),
        }
    }
}

/// What is to stay free, if anything is.
struct Kept(u64);

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, ", of which {} are to be kept", Mib(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_and_say_what_to_do() {
        let sort =
            |errno: Errno| DiskError::sort("write", Path::new("/tmp/x"), 5 << 20, errno.into());
        let full = sort(Errno::NOSPC);
        assert!(full.is_full() && full.is_temporary());
        assert!(full.to_string().contains("/tmp: 5 MiB needed"), "{full}");
        assert!(sort(Errno::DQUOT).is_full());
        assert_eq!(sort(Errno::ROFS).code(), "read-only");
        assert!(matches!(sort(Errno::ACCESS), DiskError::Permission { .. }));
        let busy = sort(Errno::MFILE);
        assert!(busy.is_temporary() && !busy.is_shaky() && sort(Errno::NFILE).is_temporary());
        let io = sort(Errno::IO);
        assert!(!io.is_temporary() && io.is_shaky());
        assert!(io.to_string().starts_with("cannot write /tmp/x"), "{io}");
    }
}
