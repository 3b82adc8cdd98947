//! Downloads that the disk refuses, or that must leave room on it: they rest and go on by themselves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::id::ContentId;

use super::Session;
use super::content::{Content, Phase};
use super::room::Room;
use crate::engine::config::{DEFAULT_KEEP_FREE, DEFAULT_KEEP_PART};
use crate::engine::disk::DiskError;
use crate::engine::event::{Level, Target, What};
use crate::swarm::event::Input;

/// How long a full or read-only disk is left alone before the next look.
const BLOCKED_RETRY: Duration = Duration::from_secs(3);
/// How long a disk that could not write (a loose cable, a server that restarts) is left alone before each
/// further try; after the last the download fails.
const SHAKY_RETRY: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];
/// After so long without an error the tries count anew.
const SHAKY_OVER: Duration = Duration::from_secs(120);
/// Room that must be there beyond what is kept free before a download that ran out of it goes on: a few
/// chunks of the largest usual size, so that it does not stop again at once.
const ROOM_TO_RESUME: u64 = 16 * 1024 * 1024;

/// How often the disk could not write a download lately.
#[derive(Debug, Default)]
pub(super) struct Shaky {
    errors: usize,
    last: Option<Instant>,
}

impl Shaky {
    /// It could not; when to try again, if at all.
    fn next_try(&mut self, now: Instant) -> Option<Instant> {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= SHAKY_OVER) {
            self.errors = 0;
        }
        self.last = Some(now);
        let wait = SHAKY_RETRY.get(self.errors);
        self.errors += 1;
        wait.map(|wait| now + *wait)
    }
}

/// Bytes to be left free on a volume of `size` bytes.
fn kept_free(wanted: Option<u64>, size: u64) -> u64 {
    wanted.unwrap_or_else(|| DEFAULT_KEEP_FREE.min(size / DEFAULT_KEEP_PART))
}

/// Why nothing may be written to `dir`, where there is this room, if so.
pub(super) fn lack(dir: &Path, room: Room, wanted: Option<u64>) -> Option<String> {
    let (free, keep) = (room.free, kept_free(wanted, room.size));
    (free < keep).then(|| {
        format!(
            "{}: {} MiB free, {} MiB are to be kept; make room, or lower keep_free",
            dir.display(),
            free >> 20,
            keep >> 20
        )
    })
}

impl Session {
    /// Why nothing may be written to `dir` for now, as far as is known.
    fn lacks_room(&self, dir: &Path) -> Option<String> {
        lack(dir, self.rooms.fresh(dir, Instant::now())?, self.config.keep_free)
    }

    /// The disk refuses: rest, say why, and look again from time to time.
    pub(super) fn block(&mut self, id: ContentId, error: &DiskError) {
        let (why, now) = (error.to_string(), Instant::now());
        let download = self.contents.get_mut(&id).and_then(Content::as_download);
        let again = match download.filter(|_| error.is_shaky()) {
            // What else was on its way to the disk then fails the same way: one try for all.
            Some(download) => match &download.phase {
                Phase::Blocked { retry_at, .. } => Some(*retry_at),
                _ => download.shaky.next_try(now),
            },
            None => error.is_temporary().then(|| now + BLOCKED_RETRY),
        };
        let (phase, code, hint) = if let Some(retry_at) = again {
            let full = error.is_full();
            let code = if full { "disk-full" } else { "disk-blocked" };
            let hint = "it goes on by itself when that is mended";
            (Phase::Blocked { full, why: why.clone(), retry_at }, code, hint)
        } else {
            (Phase::Failed(why.clone()), "io", "resume it when that is mended")
        };
        self.rest(id, phase, &why, code, hint, matches!(error, DiskError::Changed { .. }));
    }

    /// Downloads on volumes that do not answer rest, and take no place from others.
    pub(super) fn rest_hung(&mut self, now: Instant) {
        let mut hung = Vec::new();
        for content in self.contents.values_mut() {
            let id = content.id;
            let Some(download) = content.as_download() else { continue };
            let partial = download.partial.as_ref().filter(|_| download.phase == Phase::Getting);
            if partial.is_some_and(|partial| self.disk.is_hung(partial.volume())) {
                hung.push((id, download.record.dir.clone()));
            }
        }
        for (id, dir) in hung {
            let why = format!("{}: the disk does not answer; is it connected?", dir.display());
            let phase =
                Phase::Blocked { full: false, why: why.clone(), retry_at: now + BLOCKED_RETRY };
            let hint = "it goes on by itself when the disk answers";
            self.rest(id, phase, &why, "disk-blocked", hint, false);
        }
    }

    /// Leaves room on the volume.
    pub(super) fn keep_room(&mut self, id: ContentId, why: String) {
        let retry_at = Instant::now() + BLOCKED_RETRY;
        let phase = Phase::Blocked { full: true, why: why.clone(), retry_at };
        self.rest(id, phase, &why, "disk-full", "it goes on by itself when there is room", false);
    }

    fn rest(
        &mut self,
        id: ContentId,
        phase: Phase,
        why: &str,
        code: &'static str,
        hint: &str,
        replaced: bool,
    ) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let shown = content.shown.clone();
        let Some(download) = content.as_download() else { return };
        // The same trouble again after a try that nobody asked for is not told again.
        let first = !std::mem::replace(&mut download.told, true);
        // What we wrote is not there any more: the next start looks at the disk anew.
        let partial = if replaced { download.partial.take() } else { None };
        if !matches!(download.phase, Phase::Paused) {
            download.phase = phase;
        }
        if replaced {
            let source = self.contents.get_mut(&id).and_then(|content| content.source.take());
            self.let_go((partial, source));
            self.feed(Input::ContentRemoved { id });
        } else {
            self.feed(Input::PausedChanged { id, paused: true });
        }
        if first {
            let what = What::Failed { id: Some(id), code, hint: hint.to_owned() };
            self.tell(Level::Error, Target::Disk, format!("{shown}: paused: {why}"), what);
        }
        self.start_queued();
    }

    /// Downloads on volumes that are getting full rest before they are.
    pub(super) fn leave_room(&mut self) {
        let mut by_dir: HashMap<PathBuf, Vec<ContentId>> = HashMap::new();
        for content in self.contents.values_mut() {
            let id = content.id;
            if let Some(download) = content.as_download()
                && download.phase == Phase::Getting
            {
                by_dir.entry(download.record.dir.clone()).or_default().push(id);
            }
        }
        for (dir, ids) in by_dir {
            if let Some(why) = self.lacks_room(&dir) {
                ids.into_iter().for_each(|id| self.keep_room(id, why.clone()));
            }
        }
    }

    /// Whether a download may begin to write, as far as is known; it rests if not.
    pub(super) fn has_room(&mut self, id: ContentId) -> bool {
        let dir = self.contents.get_mut(&id).and_then(Content::as_download);
        let Some(dir) = dir.map(|download| download.record.dir.clone()) else { return false };
        match self.lacks_room(&dir) {
            Some(why) => {
                self.keep_room(id, why);
                false
            }
            None => true,
        }
    }

    /// Looks at once at what rests for lack of room.
    pub(super) fn retry_blocked_now(&mut self, now: Instant) {
        for content in self.contents.values_mut() {
            if let Some(download) = content.as_download()
                && let Phase::Blocked { retry_at, .. } = &mut download.phase
            {
                *retry_at = now;
            }
        }
        self.retry_blocked(now);
    }

    /// Downloads that the disk refused: go on if it might work now.
    pub(super) fn retry_blocked(&mut self, now: Instant) {
        let mut due = Vec::new();
        for content in self.contents.values_mut() {
            let Some(download) = content.as_download() else { continue };
            if let Phase::Blocked { full, retry_at, .. } = &mut download.phase
                && *retry_at <= now
            {
                *retry_at = now + BLOCKED_RETRY;
                // What is on its way to a volume that hangs is not there yet.
                let partial = download.partial.as_ref();
                if partial.is_none_or(|partial| !self.disk.is_hung(partial.volume())) {
                    due.push((download.record.id, *full, download.record.dir.clone()));
                }
            }
        }
        for (id, full, dir) in due {
            let enough = self.rooms.last(&dir).is_none_or(|room| {
                let keep = kept_free(self.config.keep_free, room.size);
                room.free >= keep.saturating_add(ROOM_TO_RESUME)
            });
            if !full || enough {
                self.try_again(&id);
            }
        }
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

    #[test]
    fn a_gibibyte_or_a_hundredth_is_kept_whichever_is_less() {
        assert_eq!(kept_free(None, 1 << 40), 1 << 30);
        assert_eq!(kept_free(None, 10_000 << 20), 100 << 20);
        assert_eq!(kept_free(Some(7), 1 << 40), 7);
    }
}
