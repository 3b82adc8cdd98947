//! Entries of a shared folder that are left out, and why.

use std::path::PathBuf;

/// Why an entry is left out of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// Symbolic links are not shared: what they point to may lie anywhere.
    Symlink,
    /// A socket, a pipe or a device.
    Special,
    /// Its name is not UTF-8, which all peers must be able to write.
    NotUtf8,
    /// No permission, or the disk failed.
    Unreadable,
    /// Its path is longer or deeper than others could store.
    TooDeep,
    /// A download of ours in progress.
    Partial,
    /// A state folder of this program: it holds keys and secrets.
    State,
}

/// Skipped entries that are listed by name; more than this nobody reads.
const MAX_LISTED: usize = 100;

/// What a scan left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// The first hundred that are worth a warning (not links, devices or our own partial files).
    pub listed: Vec<(PathBuf, Skip)>,
    /// Symbolic links.
    pub symlinks: u64,
    /// Sockets, pipes and devices.
    pub special: u64,
    /// All others worth a warning.
    pub warned: u64,
}

impl Skipped {
    pub(super) fn add(&mut self, path: PathBuf, why: Skip) {
        match why {
            Skip::Symlink => self.symlinks += 1,
            Skip::Special => self.special += 1,
            Skip::Partial => {}
            Skip::NotUtf8 | Skip::Unreadable | Skip::TooDeep | Skip::State => {
                self.warned += 1;
                if self.listed.len() < MAX_LISTED {
                    self.listed.push((path, why));
                }
            }
        }
    }
}
