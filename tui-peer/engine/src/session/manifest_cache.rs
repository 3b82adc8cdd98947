//! What is remembered of a download beside its chunks: its list of files from an earlier run, and its
//! hashes for a later one.

use std::sync::Arc;

use common::id::{ContentId, Hash};
use common::manifest::Manifest;
use tokio::sync::oneshot;

use super::Session;
use super::commands::Answer;
use super::done::Done;
use super::download::{Phase, Recall};
use super::opened::HashRange;
use crate::api::event::{Level, Target};
use crate::disk::{DiskError, Partial};

impl Session {
    /// Whether a download has to wait for what the library knows of its files, which is asked once.
    pub(super) fn recalls(&mut self, id: &ContentId) -> bool {
        let Ok(download) = self.contents.download_of(id) else { return false };
        let before = download.recall;
        if before == Recall::NotYet {
            download.recall = Recall::Asked;
            self.recall_manifest(*id, None);
        }
        before != Recall::Done
    }

    /// Looks for a manifest fetched in an earlier run: for somebody who asks, or to go on.
    pub(super) fn recall_manifest(&self, id: ContentId, reply: Option<oneshot::Sender<Answer>>) {
        let library = self.write_queue.library().clone();
        self.background.own(move || {
            let bytes = library.manifest(&id).ok().flatten();
            let manifest = bytes.and_then(|bytes| Manifest::parse(bytes).ok());
            Done::new(move |session| session.on_recalled(id, manifest, reply))
        });
    }

    /// The library was asked for a manifest of an earlier run, by somebody who waits or by the download.
    fn on_recalled(
        &mut self,
        id: ContentId,
        manifest: Option<Manifest>,
        reply: Option<oneshot::Sender<Answer>>,
    ) {
        if let Some(content) = self.contents.get_mut(&id).filter(|c| c.manifest.is_none())
            && let Some(manifest) = manifest
        {
            content.manifest = Some(Arc::new(manifest));
        }
        if let Some(reply) = reply {
            // A caller that no longer waits is fine.
            let _ = reply.send(self.known_files(&id));
            return;
        }
        let Some(download) = self.contents.download_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut download.recall, Recall::Done) == Recall::Asked
            && download.phase == Phase::Opening
        {
            self.begin(id);
        }
    }

    /// Hash ranges just learned go into the journal, so that a restart can check what is on disk
    /// without asking anybody.
    pub(super) fn on_hashes(&mut self, id: ContentId, file: u32, index: u32, hashes: &[Hash]) {
        let download = self.contents.download_mut(&id);
        if let Some(open) = download.and_then(|download| download.files.get_mut()) {
            open.hashes.add(file, index, hashes);
            self.save_hashes(id);
        }
    }

    /// Writes what is not in the journal yet, beside the session and one lot after the other.
    fn save_hashes(&mut self, id: ContentId) {
        let Some(download) = self.contents.download_mut(&id) else { return };
        let Some(open) = download.files.get_mut() else { return };
        let Some(hashes) = open.hashes.begin() else { return };
        let (number, partial) = (open.number(), open.partial().clone());
        let dir = download.record.dir.clone();
        self.background.on_path(dir, move |_| {
            let result = save_hashes(&partial, &hashes);
            // Closed here if that was the last hand on it: closing may block too.
            drop(partial);
            Done::new(move |session| session.on_hashes_saved(id, number, result))
        });
    }

    /// Hashes of what the attempt of this number has opened are in its journal, or could not be written there.
    fn on_hashes_saved(&mut self, id: ContentId, number: u64, result: Result<(), DiskError>) {
        if let Err(error) = result {
            self.log(Level::Warn, Target::Disk, error.to_string());
        }
        let download = self.contents.download_mut(&id);
        if let Some(open) = download.and_then(|download| download.files.of(number)) {
            open.hashes.end();
            self.save_hashes(id);
        }
    }
}

/// Writes hashes into the journal of a download, so that a restart needs nobody to check what is there;
/// blocks.
pub(super) fn save_hashes(partial: &Partial, hashes: &[HashRange]) -> Result<(), DiskError> {
    let save = |(file, index, list): &HashRange| partial.record_hashes(*file, *index, list);
    hashes.iter().try_for_each(save)
}
