//! A download that is not finished: what it is doing, and what is known of it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::Hash;

use crate::engine::command::Selection;
use crate::engine::disk::Partial;
use crate::engine::library::DownloadRecord;
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
    pub(super) partial: Option<Arc<Partial>>,
    /// Just being opened (or taken up again): nobody else can open it meanwhile.
    pub(super) opening: Option<u64>,
    /// All chunks wanted, those already here included.
    pub(super) wanted: ChunkSet,
    /// Chunks found on disk when it was opened.
    pub(super) found: ChunkSet,
    /// Since when nobody has had anything for it.
    pub(super) stuck_since: Option<Instant>,
    /// The user has been told what is wrong with it.
    pub(super) told: bool,
    /// How often the disk could not write it lately.
    pub(super) shaky: Shaky,
    /// Bytes of the disk that it could not have when it came to rest for want of room.
    pub(super) lacking: u64,
    /// When the user (or a restart) asked for it.
    pub(super) asked: Instant,
    /// The user named its folder, since the program began.
    pub(super) named: bool,
    /// The manifest on its way: from whom, and what has come.
    pub(super) manifest: (Option<ConnId>, Vec<u8>),
    /// Hash ranges already written to the journal, per file.
    pub(super) saved_hashes: HashSet<(u32, u32)>,
    /// Those on their way there: file, number of the first within the file, hashes.
    pub(super) unsaved: Vec<HashRange>,
    /// Some are just being written.
    pub(super) saving: bool,
    /// Chunks that may be on disk and are still to be compared.
    pub(super) doubts: ChunkSet,
    /// Some are just being compared.
    pub(super) checking: bool,
    /// How many were compared since the user was told, and how many of them were right.
    pub(super) compared: (u32, u32),
    /// Whether the library was asked for its list of files in this run.
    pub(super) recall: Recall,
    /// Whether something that lies where it is to go was looked for.
    pub(super) existing: Existing,
    /// Asked for in this run, and nothing of it was known before.
    pub(super) new: bool,
}

impl Download {
    /// One of which only the record is known.
    pub(super) fn new(record: DownloadRecord) -> Self {
        Self {
            phase: match &record {
                record if record.paused => Phase::Paused,
                record if record.wish.watch => Phase::Watching,
                _ => Phase::Queued,
            },
            record,
            partial: None,
            opening: None,
            wanted: ChunkSet::empty(0),
            found: ChunkSet::empty(0),
            stuck_since: None,
            told: false,
            shaky: Default::default(),
            lacking: 0,
            asked: Instant::now(),
            named: false,
            manifest: (None, Vec::new()),
            saved_hashes: HashSet::new(),
            unsaved: Vec::new(),
            saving: false,
            doubts: ChunkSet::empty(0),
            checking: false,
            compared: (0, 0),
            recall: Recall::NotYet,
            existing: Default::default(),
            new: false,
        }
    }

    /// Whether it was begun only to see what files there are: none of them is chosen yet.
    pub(super) fn only_looks(&self) -> bool {
        matches!(&self.record.selection, Selection::Paths(paths) if paths.is_empty())
    }

    /// Bytes of the disk that it has still to be given; `None` if nothing was opened yet that could tell.
    pub(super) fn unreserved(&self) -> Option<u64> {
        self.partial.as_ref().map(|partial| partial.unreserved(&self.wanted))
    }

    /// Forgets what was opened: the next opening finds it, wherever it is then. Returns what is to be
    /// closed.
    pub(super) fn begin_anew(&mut self) -> Option<Arc<Partial>> {
        if !matches!(self.phase, Phase::Paused | Phase::Watching) {
            self.phase = Phase::Queued;
        }
        (self.opening, self.checking, self.told, self.lacking) = (None, false, false, 0);
        self.shaky = Default::default();
        self.existing = Default::default();
        (self.doubts, self.compared) = (ChunkSet::empty(0), (0, 0));
        // The core asks anew for the list of files and for hashes, from the first byte on.
        self.manifest = Default::default();
        self.saved_hashes.clear();
        self.unsaved.clear();
        self.partial.take()
    }
}

/// How far asking for a list of files of an earlier run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recall {
    NotYet,
    Asked,
    Done,
}

/// Proven chunk hashes: of which file, from which of its chunks on.
pub(super) type HashRange = (u32, u32, Vec<Hash>);

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
