//! A download that is not finished: what it is doing, and what is known of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;

use super::opened::{Files, Open};
use crate::api::command::Selection;
use crate::disk::Partial;
use crate::library::DownloadRecord;
use swarm::event::ConnId;

/// How long a disk that could not write (a loose cable, a server that restarts) is left alone before each
/// further try; after the last the download fails.
const SHAKY_RETRY: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];
/// After so long without an error the tries count anew.
const SHAKY_OVER: Duration = Duration::from_secs(120);

/// A download that is not finished.
pub(super) struct Download {
    pub(super) record: DownloadRecord,
    pub(super) phase: Phase,
    pub(super) files: Files,
    /// All chunks wanted, those already here included.
    pub(super) wanted: ChunkSet,
    /// Chunks found on disk when it was opened.
    pub(super) found: ChunkSet,
    /// Since when nobody has had anything for it.
    pub(super) stuck_since: Option<Instant>,
    pub(super) trouble: Trouble,
    pub(super) asked: Asked,
    /// Its manifest, on its way.
    pub(super) manifest: Option<ManifestParts>,
    /// Whether the library was asked for its list of files in this run.
    pub(super) recall: Recall,
    /// Whether something that lies where it is to go was looked for.
    pub(super) existing: Existing,
}

/// What is wrong with a download, since it was begun anew.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// The user has been told, since it was last resumed.
    pub(super) told: bool,
    /// How often the disk could not write it lately.
    pub(super) shaky: Shaky,
    /// Bytes of the disk that it could not have when it came to rest for want of room.
    pub(super) lacking: u64,
}

/// How somebody asked for a download.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// When the user (or a restart) did.
    pub(super) at: Instant,
    /// The user named its folder, since the program began.
    pub(super) named: bool,
    /// In this run, and nothing of it was known before.
    pub(super) new: bool,
}

/// The bytes of a manifest that have come from somebody.
pub(super) struct ManifestParts {
    pub(super) from: ConnId,
    pub(super) bytes: Vec<u8>,
}

impl Download {
    /// One of which only the record is known.
    pub(super) fn new(record: DownloadRecord) -> Self {
        Self {
            phase: match &record {
                record if record.paused => Phase::Paused,
                record if record.options.watch => Phase::Watching,
                _ => Phase::Queued,
            },
            record,
            files: Files::Closed,
            wanted: ChunkSet::empty(0),
            found: ChunkSet::empty(0),
            stuck_since: None,
            trouble: Trouble::default(),
            asked: Asked { at: Instant::now(), named: false, new: false },
            manifest: None,
            recall: Recall::NotYet,
            existing: Existing::Unknown,
        }
    }

    /// Whether it was begun only to see what files there are: none of them is chosen yet.
    pub(super) fn only_looks(&self) -> bool {
        matches!(&self.record.selection, Selection::Paths(paths) if paths.is_empty())
    }

    /// The part that is open.
    pub(super) fn partial(&self) -> Option<&Arc<Partial>> {
        self.files.get().map(Open::partial)
    }

    /// An attempt to open it is over. `false`: it is not that of this number, which somebody has begun anew since.
    pub(super) fn end_opening(&mut self, number: u64) -> bool {
        let current = matches!(self.files, Files::Opening(attempt) if attempt == number);
        if current {
            self.files = Files::Closed;
        }
        current
    }

    /// Bytes of the disk that it has still to be given; `None` if nothing was opened yet that could tell.
    pub(super) fn unreserved(&self) -> Option<u64> {
        self.partial().map(|partial| partial.unreserved(&self.wanted))
    }

    /// Forgets what was opened: the next opening finds it, wherever it is then. Returns what is to be
    /// closed.
    pub(super) fn begin_anew(&mut self) -> Files {
        if !matches!(self.phase, Phase::Paused | Phase::Watching) {
            self.phase = Phase::Queued;
        }
        self.trouble = Trouble::default();
        self.existing = Existing::Unknown;
        // The core asks anew for the list of files and for hashes, from the first byte on.
        self.manifest = None;
        std::mem::take(&mut self.files)
    }
}

/// How far asking for a list of files of an earlier run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recall {
    NotYet,
    Asked,
    Done,
}

/// What a download is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for others to finish.
    Queued,
    /// Waiting for somebody who has it.
    Watching,
    /// Asking sources what it is.
    Resolving,
    /// Looking at what is on disk already.
    Opening,
    /// Chunks may come.
    Getting,
    /// Sync and rename.
    Finishing,
    /// The user paused it.
    Paused,
    /// The disk is full or not writable for now; tried again at `retry_at`.
    Blocked {
        /// Whether it is for lack of room.
        full: bool,
        /// Why, in words.
        why: String,
        /// When to try again.
        retry_at: Instant,
    },
    /// It failed, and why.
    Failed(String),
}

impl Phase {
    /// Whether it counts among the downloads that run at once.
    pub(super) fn is_active(&self) -> bool {
        matches!(
            self,
            Self::Resolving
                | Self::Opening
                | Self::Getting
                | Self::Finishing
                | Self::Blocked { .. }
        )
    }
}

/// How often the disk could not write a download lately.
#[derive(Debug, Default)]
pub(super) struct Shaky {
    errors: usize,
    last: Option<Instant>,
}

impl Shaky {
    /// It could not; when to try again, if at all.
    pub(super) fn next_try(&mut self, now: Instant) -> Option<Instant> {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= SHAKY_OVER) {
            self.errors = 0;
        }
        self.last = Some(now);
        let wait = SHAKY_RETRY.get(self.errors);
        self.errors += 1;
        wait.map(|wait| now + *wait)
    }
}

/// How far the look for it where it is to go has come.
#[derive(Debug, Default)]
pub(super) enum Existing {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It is being compared; dropping this ends that.
    Comparing(#[expect(dead_code, reason = "held for its end")] Ends),
    /// Nothing of use is there.
    Nothing,
    /// Some of it may be right.
    Some(PathBuf),
}

/// Tells work that nobody needs its result any more, when dropped.
#[derive(Debug)]
pub(super) struct Ends(Arc<AtomicBool>);

impl Ends {
    pub(super) fn new(cancel: Arc<AtomicBool>) -> Self {
        Self(cancel)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f9_a_disk_that_cannot_write_is_tried_again_a_few_times() {
        let (mut shaky, begin) = (Shaky::default(), Instant::now());
        let mut now = begin;
        for wait in [2, 10, 30] {
            let next = shaky.next_try(now).unwrap();
            assert_eq!(next, now + Duration::from_secs(wait));
            now = next;
        }
        assert_eq!(shaky.next_try(now), None);
        assert!(shaky.next_try(now + SHAKY_OVER).is_some(), "it was well for long");
    }
}
