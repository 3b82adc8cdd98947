//! Downloads that the disk refuses, or that must leave room on it: they rest and go on by themselves.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::id::ContentId;

use super::Session;
use super::download::Phase;
use crate::api::event::{Level, Target, What};
use crate::disk::{DiskError, Space, kept_free, lack};
use swarm::event::Input;

/// How long a full or read-only disk is left alone before the next look.
const BLOCKED_RETRY: Duration = Duration::from_secs(3);
/// Least that a step which found no room is taken to need, in bytes: what file systems give out at once.
const LEAST_STEP: u64 = 4096;

/// Whether what came to rest for want of room finds it now: all that is still to be written fits beside
/// what is to stay free. Whose room is reserved takes nothing of that, and waits only for the step that
/// failed (a record in the journal).
fn fits(space: Space, keep_free: Option<u64>, unreserved: Option<u64>, lacking: u64) -> bool {
    let kept = if unreserved == Some(0) { 0 } else { kept_free(keep_free, space.size) };
    let needed = unreserved.unwrap_or(0).max(lacking);
    kept.saturating_add(needed) <= space.free
}

impl Session {
    /// What was seen just now of the volume of a folder.
    fn space_of(&self, dir: &Path) -> Option<Space> {
        self.storage.rooms.fresh(dir, Instant::now()).map(|room| room.space)
    }

    /// The disk refuses: rest, say why, and look again from time to time.
    pub(super) fn block(&mut self, id: ContentId, error: &DiskError) {
        let (why, now) = (error.to_string(), Instant::now());
        let mut download = self.contents.download_mut(&id);
        if let (Some(download), true) = (&mut download, error.is_full()) {
            download.trouble.lacking = error.needed().max(LEAST_STEP);
        }
        let again = match download.filter(|_| error.is_shaky()) {
            // What else was on its way to the disk then fails the same way: one try for all.
            Some(download) => match &download.phase {
                Phase::Blocked { retry_at, .. } => Some(*retry_at),
                _ => download.trouble.shaky.next_try(now),
            },
            None => error.is_temporary().then(|| now + BLOCKED_RETRY),
        };
        let (phase, code, hint) = if let Some(retry_at) = again {
            let full = error.is_full();
            let (code, hint) = match full {
                true => ("disk-full", "it resumes by itself when there is room"),
                false => ("disk-blocked", "it resumes by itself once that is fixed"),
            };
            (Phase::Blocked { full, why: why.clone(), retry_at }, code, hint)
        } else {
            (Phase::Failed(why.clone()), "io", "resume it once that is fixed")
        };
        self.rest(id, phase, &why, code, hint, matches!(error, DiskError::Changed { .. }));
    }

    /// Downloads on volumes that do not answer rest, and take no place from others.
    pub(super) fn rest_hung(&mut self, now: Instant) {
        let mut hung = Vec::new();
        for content in self.contents.downloads_mut() {
            let id = content.id;
            let Some(download) = content.as_download() else { continue };
            let partial = download.partial().filter(|_| download.phase == Phase::Getting);
            if partial.is_some_and(|partial| self.ours.disk.is_hung(partial.volume())) {
                hung.push((id, download.record.dir.clone()));
            }
        }
        for (id, dir) in hung {
            let why = format!("{}: the disk does not answer; is it connected?", dir.display());
            let phase =
                Phase::Blocked { full: false, why: why.clone(), retry_at: now + BLOCKED_RETRY };
            let hint = "it resumes by itself when the disk answers";
            self.rest(id, phase, &why, "disk-blocked", hint, false);
        }
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
        let first = !std::mem::replace(&mut download.trouble.told, true);
        // What we wrote is not there any more: the next start looks at the disk anew.
        let open = if replaced { download.files.close() } else { None };
        if !matches!(download.phase, Phase::Paused) {
            download.phase = phase;
        }
        if replaced {
            let source = self.contents.get_mut(&id).and_then(|content| content.source.take());
            self.background.close((open, source));
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

    /// Downloads on volumes that are getting full rest before they are, but for those that take nothing
    /// more of it.
    pub(super) fn leave_room(&mut self) {
        let mut getting: Vec<(PathBuf, ContentId)> = Vec::new();
        for content in self.contents.downloads_mut() {
            let id = content.id;
            if let Some(download) = content.as_download()
                && download.phase == Phase::Getting
            {
                getting.push((download.record.dir.clone(), id));
            }
        }
        for (dir, id) in getting {
            let Some(space) = self.space_of(&dir) else { continue };
            if space.free >= kept_free(self.config.keep_free, space.size) {
                continue;
            }
            let download = self.contents.download_mut(&id);
            let needed = download.and_then(|download| download.unreserved()).unwrap_or(0);
            if let Err(error) = lack(&dir, space, self.config.keep_free, needed) {
                self.block(id, &error);
            }
        }
    }

    /// Whether a download may begin to write, as far as is known; it rests if not. How much it needs that
    /// was not opened yet is seen when it is.
    pub(super) fn has_room(&mut self, id: ContentId) -> bool {
        let download = self.contents.download_mut(&id);
        let Some(download) = download else { return false };
        let needed = match download.record.descriptor {
            Some(_) => download.unreserved().unwrap_or(0),
            // Not even its length is known: it takes something.
            None => LEAST_STEP,
        };
        let dir = download.record.dir.clone();
        let Some(space) = self.space_of(&dir) else { return true };
        match lack(&dir, space, self.config.keep_free, needed) {
            Ok(()) => true,
            Err(error) => {
                self.block(id, &error);
                false
            }
        }
    }

    /// Looks at once at what rests for lack of room.
    pub(super) fn retry_blocked_now(&mut self, now: Instant) {
        for content in self.contents.downloads_mut() {
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
        for content in self.contents.downloads_mut() {
            let Some(download) = content.as_download() else { continue };
            if let Phase::Blocked { full, retry_at, .. } = &mut download.phase
                && *retry_at <= now
            {
                let full = *full;
                *retry_at = now + BLOCKED_RETRY;
                // What is on its way to a volume that hangs is not there yet.
                let partial = download.partial();
                if partial.is_none_or(|partial| !self.ours.disk.is_hung(partial.volume())) {
                    let need = full.then(|| (download.unreserved(), download.trouble.lacking));
                    due.push((download.record.id, need, download.record.dir.clone()));
                }
            }
        }
        for (id, need, dir) in due {
            let enough = need
                .zip(self.storage.rooms.last(&dir))
                .is_none_or(|(need, room)| fits(room.space, self.config.keep_free, need.0, need.1));
            if enough {
                self.try_again(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f11_what_rests_for_want_of_room_goes_on_when_the_rest_of_it_fits() {
        let fits = |free, unreserved, lacking| {
            fits(Space { free, size: 1 << 40 }, Some(1000), unreserved, lacking)
        };
        assert!(fits(51_000, Some(50_000), 4096), "no margin on top");
        assert!(!fits(50_999, Some(50_000), 4096), "what is kept free stays free");
        assert!(fits(51_000, None, 50_000) && !fits(50_999, None, 50_000), "not opened yet");
        // All of it is reserved: only the record that found no room is waited for.
        assert!(fits(4096, Some(0), 4096) && !fits(4095, Some(0), 4096));
    }
}
