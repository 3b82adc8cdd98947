//! What tells a file that changed from one that did not, without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use common::clock::unix_ms;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    unix_ms(SystemTime::now())
}

/// A file as `stat` shows it. Two equal ones mean "the same bytes", except within the resolution of
/// the time stamps (see [`super::record::ShareRecord::is_racy`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Last change of the contents, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of contents or attributes, nanoseconds since 1970; programs cannot set it, so it
    /// gives away a rewrite that restored the mtime.
    pub ctime_ns: i64,
}

impl Stat {
    /// Stands for a file of a folder that was not chosen for download: no file has inode 0.
    pub const ABSENT: Self = Self { dev: 0, ino: 0, size: 0, mtime_ns: 0, ctime_ns: 0 };

    /// From what the operating system said.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.len(),
            mtime_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Whether both are the same file unchanged, whatever number its disk has now: those of network
    /// file systems, btrfs and plugged-in disks may differ after a restart, and a copy on another disk
    /// cannot have the same ctime.
    pub fn same_but_for_device(&self, other: &Self) -> bool {
        Self { dev: other.dev, ..*self } == *other
    }

    /// Last change of the contents, milliseconds since 1970.
    pub fn mtime_ms(&self) -> i64 {
        self.mtime_ns.div_euclid(1_000_000)
    }
}

/// Saturates for times more than 292 years from 1970.
fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
