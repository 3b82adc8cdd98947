//! What the library remembers about shares and downloads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use common::content::Descriptor;
use common::id::ContentId;
use common::names::PathList;
use common::numbers::saturate;
use serde::{Deserialize, Serialize};

use super::stat::Stat;
use crate::api::command::{Priority, Selection};

/// A change this close to the moment a file was looked at may leave its time stamps as they are: two
/// seconds is the resolution of the coarsest file systems in use (FAT), and covers a file server whose
/// clock is a little off.
pub(crate) const RACY_MS: i64 = 2_000;

/// A file or folder that is shared from where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareRecord {
    /// Absolute path, byte for byte as the operating system has it. Shares are told apart by it.
    pub path: PathBuf,
    /// Name in the catalogue.
    pub name: String,
    /// What it is.
    pub id: ContentId,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// Bytes of all files together.
    pub total: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// Every file as it was when hashed, in manifest order; one for a single file;
    /// [`Stat::ABSENT`] for files of a downloaded folder that were not chosen.
    pub files: Arc<Vec<Stat>>,
    /// Where the files of a folder lie, as path components below `path` in manifest order; `None` for
    /// a single file. Differs from the manifest where names were made safe on download.
    pub rel: Option<Arc<PathList>>,
    /// When the files were looked at before hashing, milliseconds since 1970.
    pub hashed_at: u64,
    /// Whether this program wrote the files itself, having verified every chunk.
    pub downloaded: bool,
}

impl ShareRecord {
    /// Whether a file may have been changed after it was hashed without a trace in its stat, so that
    /// it has to be hashed again at the next start. Files this program wrote itself
    /// were hashed in memory, before anybody could see them.
    pub fn is_racy(&self, stat: &Stat) -> bool {
        let looked = saturate::<i64>(self.hashed_at);
        !self.downloaded && stat.mtime_ms().abs_diff(looked) < RACY_MS.unsigned_abs()
    }

    /// Whether files of it were found damaged ([`Self::doubted`]).
    pub fn is_doubted(&self) -> bool {
        self.files.iter().any(|stat| stat.ino == 0 && *stat != Stat::ABSENT)
    }

    /// The same, with the stats of these files forgotten: at the next look they count as changed and are
    /// read, whatever the disk says of them.
    #[must_use]
    pub fn doubted(mut self, files: impl Iterator<Item = usize>) -> Self {
        let stats = Arc::make_mut(&mut self.files);
        for file in files {
            if let Some(stat) = stats.get_mut(file).filter(|stat| **stat != Stat::ABSENT) {
                // No file has inode 0.
                *stat = Stat { ino: 0, ..*stat };
            }
        }
        self
    }
}

/// A download that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadRecord {
    /// What.
    pub id: ContentId,
    /// Its name as others gave it, not yet made safe.
    pub name: String,
    /// Folder it is saved in.
    pub dir: PathBuf,
    /// Kind, size and root, once known.
    pub descriptor: Option<Descriptor>,
    /// Which files of a folder.
    pub selection: Selection,
    /// Whether it rests.
    pub paused: bool,
    /// When the user asked for it, milliseconds since 1970.
    pub added_ms: u64,
    /// Where it lies, once finished.
    pub finished: Option<PathBuf>,
    /// What the user wishes for it.
    pub options: DownloadOptions,
}

/// What the user wishes for a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DownloadOptions {
    /// How important it is.
    pub priority: Priority,
    /// Its place among those of its priority: the lowest first.
    pub rank: i64,
    /// Chunks in order.
    pub sequential: bool,
    /// Bytes per second that may go out of it.
    pub up: Option<u64>,
    /// Bytes per second that may come in of it.
    pub down: Option<u64>,
    /// It starts when somebody has it.
    pub watch: bool,
}

/// All that a start needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Shares, by path.
    pub shares: Vec<ShareRecord>,
    /// Downloads, by id.
    pub downloads: Vec<DownloadRecord>,
    /// Downloads that were removed and whose data is still to be deleted, by id.
    pub tombstones: Vec<DownloadRecord>,
    /// Settings that are no secrets.
    pub settings: BTreeMap<String, String>,
}

/// A [`ShareRecord`] as it is stored under its path; fields by position.
#[derive(Serialize, Deserialize)]
struct StoredShare {
    name: String,
    descriptor: Descriptor,
    total: u64,
    chunks: u32,
    hashed_at: u64,
    downloaded: bool,
}

/// A [`DownloadRecord`] as it is stored under its id; fields by position.
#[derive(Serialize, Deserialize)]
struct StoredDownload {
    name: String,
    dir: Vec<u8>,
    descriptor: Option<Descriptor>,
    /// `None` is all.
    selection: Option<Vec<String>>,
    paused: bool,
    added_ms: u64,
    finished: Option<Vec<u8>>,
    /// Absent in records of earlier versions, which knew no wishes.
    #[serde(default)]
    options: Option<StoredOptions>,
}

/// A [`DownloadOptions`] as it is stored; fields by position.
#[derive(Serialize, Deserialize)]
struct StoredOptions {
    /// Place in [`Priority::ALL`].
    priority: u8,
    rank: i64,
    sequential: bool,
    up: Option<u64>,
    down: Option<u64>,
    watch: bool,
}

impl StoredOptions {
    fn of(options: &DownloadOptions) -> Self {
        let place = Priority::ALL.iter().position(|priority| *priority == options.priority);
        Self {
            priority: place.and_then(|place| u8::try_from(place).ok()).unwrap_or(1),
            rank: options.rank,
            sequential: options.sequential,
            up: options.up,
            down: options.down,
            watch: options.watch,
        }
    }

    fn options(&self) -> DownloadOptions {
        DownloadOptions {
            priority: Priority::ALL.get(usize::from(self.priority)).copied().unwrap_or_default(),
            rank: self.rank,
            sequential: self.sequential,
            up: self.up,
            down: self.down,
            watch: self.watch,
        }
    }
}

/// A share taken apart for storing: head, stats, relative paths.
pub(super) struct ShareBytes {
    pub(super) head: Vec<u8>,
    pub(super) files: Vec<u8>,
}

impl ShareRecord {
    pub(super) fn key(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    /// The descriptor alone, which is all that collecting garbage needs.
    pub(super) fn descriptor_in(head: &[u8]) -> Result<Descriptor, rmp_serde::decode::Error> {
        rmp_serde::from_slice::<StoredShare>(head).map(|head| head.descriptor)
    }

    pub(super) fn encode(&self) -> Result<ShareBytes, rmp_serde::encode::Error> {
        let head = StoredShare {
            name: self.name.clone(),
            descriptor: self.descriptor,
            total: self.total,
            chunks: self.chunks,
            hashed_at: self.hashed_at,
            downloaded: self.downloaded,
        };
        Ok(ShareBytes {
            head: rmp_serde::to_vec(&head)?,
            files: rmp_serde::to_vec(&(self.files.as_ref(), self.rel.as_deref()))?,
        })
    }

    pub(super) fn decode(
        key: &[u8],
        head: &[u8],
        files: &[u8],
    ) -> Result<Self, rmp_serde::decode::Error> {
        let head: StoredShare = rmp_serde::from_slice(head)?;
        let (files, rel): (Vec<Stat>, Option<PathList>) = rmp_serde::from_slice(files)?;
        Ok(Self {
            path: path_from(key.to_vec()),
            name: head.name,
            id: head.descriptor.id(),
            descriptor: head.descriptor,
            total: head.total,
            chunks: head.chunks,
            files: Arc::new(files),
            rel: rel.map(Arc::new),
            hashed_at: head.hashed_at,
            downloaded: head.downloaded,
        })
    }
}

/// Decodes a row as it may stand in the library: a byte for its table, then its value. For
/// `crate::fuzzing`.
pub(crate) fn decode_any(bytes: &[u8]) {
    let Some((table, value)) = bytes.split_first() else { return };
    if table % 2 == 0 {
        let (head, files) = value.split_at(value.len() / 2);
        let _ = ShareRecord::decode(b"/share", head, files);
        let _ = ShareRecord::descriptor_in(value);
    } else if let Ok(record) = DownloadRecord::decode(ContentId::from_bytes([1; 32]), value)
        && let Ok(bytes) = record.encode()
    {
        let again = DownloadRecord::decode(record.id, &bytes);
        assert_eq!(again.ok().as_ref(), Some(&record));
    }
}

impl DownloadRecord {
    pub(super) fn encode(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec(&StoredDownload {
            name: self.name.clone(),
            dir: self.dir.as_os_str().as_bytes().to_vec(),
            descriptor: self.descriptor,
            selection: match &self.selection {
                Selection::All => None,
                Selection::Paths(paths) => Some(paths.clone()),
            },
            paused: self.paused,
            added_ms: self.added_ms,
            finished: self.finished.as_ref().map(|path| path.as_os_str().as_bytes().to_vec()),
            options: Some(StoredOptions::of(&self.options)),
        })
    }

    pub(super) fn decode(id: ContentId, bytes: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        let stored: StoredDownload = rmp_serde::from_slice(bytes)?;
        Ok(Self {
            id,
            name: stored.name,
            dir: path_from(stored.dir),
            descriptor: stored.descriptor,
            selection: stored.selection.map_or(Selection::All, Selection::Paths),
            paused: stored.paused,
            added_ms: stored.added_ms,
            finished: stored.finished.map(path_from),
            options: stored.options.as_ref().map_or_else(
                || DownloadOptions {
                    rank: i64::try_from(stored.added_ms).unwrap_or(0),
                    ..DownloadOptions::default()
                },
                StoredOptions::options,
            ),
        })
    }
}

fn path_from(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_version_without_wishes_is_read() {
        let old = (
            "name",
            b"/d".to_vec(),
            None::<Descriptor>,
            None::<Vec<String>>,
            true,
            7u64,
            None::<Vec<u8>>,
        );
        let id = ContentId::from_bytes([1; 32]);
        let record = DownloadRecord::decode(id, &rmp_serde::to_vec(&old).unwrap()).unwrap();
        assert_eq!((record.name.as_str(), record.paused, record.options.rank), ("name", true, 7));
        assert_eq!(record.options.priority, Priority::Normal);
    }
}
