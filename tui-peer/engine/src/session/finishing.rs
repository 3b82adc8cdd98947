//! The end of a download: everything in place, and shared from there.

use std::path::PathBuf;
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::ContentId;

use super::Session;
use super::content::{Role, Share, ShareState, bytes_of};
use super::done::Done;
use super::download::Phase;
use super::write_queue::{Unclosed, hint, unkept_words};
use crate::api::command::CommandError;
use crate::api::event::{Level, Target, What};
use crate::disk::{DiskError, FileTree, FinishPlan, SharedFiles};
use crate::library::hash::prepared::FolderParts;
use crate::library::{LibraryError, Prepared};
use swarm::event::Input;

/// A download in place.
struct FinishedDownload {
    path: PathBuf,
    /// What to share it as.
    prepared: Prepared,
    remembered: Result<(), LibraryError>,
}

impl Session {
    pub(super) fn on_completed(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(layout), Some(descriptor)) = (content.layout.clone(), content.descriptor) else {
            return;
        };
        let (name, manifest) = (content.name.clone(), content.manifest.clone());
        let Role::Download(download) = &mut content.role else { return };
        let Some(partial) = download.partial().cloned() else { return };
        let (wanted, dir) = (download.wanted.clone(), download.record.dir.clone());
        // Also if it was paused with its last chunks on their way: what removes or changes a download
        // must know that this has begun.
        download.phase = Phase::Finishing;
        self.changed();
        let hashes = self.core.node().hashes(&id).map(<[_]>::to_vec).unwrap_or_default();
        let library = self.write_queue.library().clone();
        // What was taken over is deleted where it was.
        let place = self.place_of(&id, &dir);
        self.background.run(place, move || {
            let finish = || -> Result<FinishedDownload, DiskError> {
                let plan = FinishPlan::new(manifest.as_deref(), &layout, &wanted);
                let path = partial.place(&plan)?;
                let folder = manifest.zip(partial.rel());
                let folder = folder.map(|(manifest, rel)| FolderParts { manifest, rel });
                let prepared = Prepared::downloaded(path.clone(), name, descriptor, folder, hashes)
                    .map_err(|error| DiskError::Io {
                        doing: "look at",
                        path: path.clone(),
                        source: std::io::Error::other(error.to_string()),
                    })?;
                let remembered = library.put_finished(&prepared.record(true), &prepared);
                // Only now: a crash before this line finds its way back here from the journal.
                if remembered.is_ok() {
                    partial.close_journal()?;
                }
                Ok(FinishedDownload { path, prepared, remembered })
            };
            let result = finish();
            Done::new(move |session| match result {
                Ok(finished) => session.on_finished(id, finished),
                Err(error) => {
                    session.block(id, &error);
                    session.distrust(id);
                }
            })
        });
    }

    /// A crash came between the rename and the record: hash it as what it is, a file of ours.
    pub(super) fn finish_in_place(&mut self, id: ContentId, path: Result<PathBuf, CommandError>) {
        if let Ok(path) = &path {
            self.too_late_to_move(&id, path);
        }
        if let Some(content) = self.forget(&id) {
            self.end_moves(&id, &content.name);
        }
        let noted = self.write_queue.library().note_removed(&id);
        self.write_down(noted);
        match path {
            Ok(path) => self.share_real(path, None),
            Err(error) => self.log(Level::Error, Target::Share, error.message),
        }
    }

    fn on_finished(&mut self, id: ContentId, finished: FinishedDownload) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Role::Download(download) = &content.role else { return };
        let bytes = content.layout.as_ref().map_or(0, |l| bytes_of(l, &download.wanted));
        let seconds = download.asked.at.elapsed().as_secs_f64();
        let wanted = download.wanted.clone();
        let unclosed =
            Unclosed { id, dir: download.record.dir.clone(), name: content.name.clone() };
        let FinishedDownload { path, prepared, remembered } = finished;
        let unkept = remembered.as_ref().err().map(|error| {
            let (why, hint) = (error.to_string(), hint(error));
            // One that does not even wait to be written is remembered by its journal alone: the next
            // start finds it there.
            if !error.is_behind() {
                self.leave_journal(unclosed);
            }
            unkept_words(&why, hint)
        });
        self.note_written(remembered.as_ref().map(drop));
        let part = (!wanted.is_complete()).then_some(wanted);
        let name = prepared.name.clone();
        self.end_moves(&id, &name);
        self.too_late_to_move(&id, &path);
        self.become_share(id, prepared, part);
        let text = match &unkept {
            None => format!("downloaded in {seconds:.1} s: {}", path.display()),
            Some(unkept) => format!("downloaded in {seconds:.1} s: {}; {unkept}", path.display()),
        };
        let level = if unkept.is_none() { Level::Info } else { Level::Warn };
        self.tell(level, Target::Fetch, text, What::Done { id, path, bytes, seconds, unkept });
        self.start_queued();
    }

    /// The download goes on as a share, without a moment in which it is not served.
    fn become_share(&mut self, id: ContentId, prepared: Prepared, part: Option<ChunkSet>) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let tree =
            FileTree::new(prepared.layout.clone(), prepared.path.clone(), prepared.rel.clone());
        let files = Arc::new(SharedFiles::new(tree, prepared.stats.clone()));
        let source = content.source.replace(files);
        let complete = part.is_none();
        let share = Role::Share(Share {
            paths: vec![prepared.path],
            state: ShareState::Serving,
            downloaded: true,
            finished_ms: prepared.hashed_at,
            part,
        });
        let role = self.contents.change_role(&id, share);
        self.background.close((source, role));
        self.net.know(&id);
        if complete {
            self.announce(&id);
        }
        self.changed();
    }

    /// A failed end may have lost what was written since the last good sync.
    fn distrust(&mut self, id: ContentId) {
        let download = self.contents.download_mut(&id);
        let Some(download) = download else { return };
        let Some(written) = download.partial().map(|partial| partial.written()) else {
            return;
        };
        let mut lost = ChunkSet::empty(written.chunks());
        for chunk in download.wanted.iter().filter(|chunk| !written.contains(*chunk)) {
            lost.insert(chunk);
        }
        if !lost.is_empty() {
            self.feed(Input::ChunksLost { id, lost });
        }
    }
}
