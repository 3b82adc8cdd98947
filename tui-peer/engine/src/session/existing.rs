//! What is to be downloaded may lie in its folder already: a download that was unshared, a copy by other
//! means. What has the right name and the right shape is read and compared: if all of it is right it is
//! shared as it lies, and if not, what is right of it is copied. It is never written to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::content::Descriptor;
use common::id::ContentId;
use common::manifest::Manifest;
use common::merkle::ChunkHashes;
use common::names::{components, top_component};

use super::Session;
use super::content::Role;
use super::done::Done;
use super::download::{Ends, Existing, Phase};
use super::helpers::threads;
use super::opened::Files;
use super::write_queue::{hint, unkept_words};
use crate::api::command::Selection;
use crate::api::event::{Level, Target, What};
use crate::disk::holds_part;
use crate::library::hash::prepared::FolderParts;
use crate::library::{LibraryError, Prepared, Progress, ShareError, Stat, hash, prepare, scan};

/// What is to be compared.
#[derive(Clone)]
pub(super) struct Sought {
    pub(super) id: ContentId,
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Option<Arc<Manifest>>,
    /// As its owner called it.
    pub(super) name: String,
}

impl Sought {
    /// What lies in `dir` under the name that a download gets on disk, if it has the right shape and there
    /// is no part to go on with. Blocks.
    pub(super) fn candidate(&self, dir: &Path, disk_name: &str) -> Option<PathBuf> {
        if holds_part(dir, disk_name, &self.id).unwrap_or(true) {
            return None;
        }
        let path = dir.join(top_component(disk_name));
        let meta = path.symlink_metadata().ok()?;
        let fits = match &self.manifest {
            None => meta.is_file() && meta.len() == self.descriptor.size && meta.len() > 0,
            Some(manifest) => meta.is_dir() && has_files(&path, manifest),
        };
        fits.then_some(path)
    }

    /// Reads what lies at `path`; it as a share if it is all that was sought, and nothing besides. Blocks.
    fn compare(&self, path: &Path, cancel: &AtomicBool) -> Result<Option<Prepared>, ShareError> {
        let found = scan(path)?;
        let files = self.manifest.as_ref().map_or(1, |manifest| manifest.layout().files());
        if found.files.len() != files {
            return Ok(None);
        }
        let progress = Progress::default();
        let mut prepared = prepare(&found, &hash::reuse_nothing, threads(), &progress, cancel)?;
        let Some(manifest) = &self.manifest else {
            // As if it had been put there just now.
            (prepared.name, prepared.path) = (self.name.clone(), path.to_path_buf());
            return Ok((prepared.id == self.id).then_some(prepared));
        };
        let Some((stats, hashes)) = in_order(manifest, &prepared) else { return Ok(None) };
        let (manifest, rel) = (manifest.clone(), manifest.disk_paths().clone());
        let folder = Some(FolderParts { manifest, rel });
        let (path, name) = (path.to_path_buf(), self.name.clone());
        let mut same = Prepared::downloaded(path, name, self.descriptor, folder, hashes)?;
        // As they were before they were read.
        (same.stats, same.hashed_at) = (Arc::new(stats), prepared.hashed_at);
        Ok(Some(same))
    }
}

/// Whether all files of a folder are there, each of the right length.
fn has_files(path: &Path, manifest: &Manifest) -> bool {
    let layout = manifest.layout();
    layout.files() > 0
        && manifest.disk_paths().iter().enumerate().all(|(file, rel)| {
            let mut at = path.to_path_buf();
            at.extend(components(rel));
            at.symlink_metadata()
                .is_ok_and(|meta| meta.is_file() && layout.file_size(file) == Some(meta.len()))
        })
}

/// Stats and hashes of the files of a folder as its manifest orders them, if every file is what it says.
fn in_order(manifest: &Manifest, found: &Prepared) -> Option<(Vec<Stat>, Vec<ChunkHashes>)> {
    let (rel, read) = (found.rel.as_ref()?, found.manifest.as_ref()?);
    if found.layout.chunk_level() != manifest.layout().chunk_level() {
        return None;
    }
    let places: HashMap<&str, usize> =
        rel.iter().enumerate().map(|(place, path)| (path, place)).collect();
    let roots: Vec<_> = read.files().map(|entry| entry.root).collect();
    let (mut stats, mut hashes) = (Vec::new(), Vec::new());
    for (entry, path) in manifest.files().zip(manifest.disk_paths().iter()) {
        let place = *places.get(path)?;
        if *roots.get(place)? != entry.root {
            return None;
        }
        stats.push(*found.stats.get(place)?);
        hashes.push(found.hashes.get(place)?.clone());
    }
    Some((stats, hashes))
}

impl Session {
    /// What is to be looked for before a download is opened: once, and only where all of it is wanted.
    pub(super) fn sought(&self, id: &ContentId) -> Option<Sought> {
        let content = self.contents.get(id)?;
        let Role::Download(download) = &content.role else { return None };
        let whole = download.record.selection == Selection::All;
        let first = matches!(download.existing, Existing::Unknown)
            && self.storage.moves.from(id).is_empty();
        if !whole || !first {
            return None;
        }
        Some(Sought {
            id: *id,
            descriptor: content.descriptor?,
            manifest: content.manifest.clone(),
            name: content.name.clone(),
        })
    }

    /// Something of the right shape lies where a download is to go: it is compared first.
    pub(super) fn compare_existing(&mut self, sought: Sought, path: PathBuf) {
        let (id, number, cancel) =
            (sought.id, self.background.new_number(), Arc::new(AtomicBool::new(false)));
        let Ok(download) = self.contents.download_of(&id) else { return };
        download.files = Files::Opening(number);
        download.existing = Existing::Comparing(Ends::new(cancel.clone()));
        let text = format!(
            "{}: {} may be it: reading it, to compare",
            self.shown_name(&id),
            path.display()
        );
        self.log(Level::Info, Target::Fetch, text);
        self.background.reading(path, move |path| {
            let result = sought.compare(&path, &cancel).map(|same| same.map(Box::new));
            Done::new(move |session| {
                if session.end_opening(&id, number) {
                    session.on_compared(id, path, result);
                    session.move_on(&id);
                }
            })
        });
    }

    /// It was compared.
    fn on_compared(
        &mut self,
        id: ContentId,
        path: PathBuf,
        result: Result<Option<Box<Prepared>>, ShareError>,
    ) {
        let shown = self.shown_name(&id);
        let Some(download) = self.contents.download_mut(&id) else {
            return;
        };
        let text = match result {
            Ok(Some(prepared)) => {
                download.existing = Existing::Nothing;
                // As at the end of any download: nobody takes it away meanwhile.
                download.phase = Phase::Finishing;
                let library = self.write_queue.library().clone();
                self.changed();
                return self.background.own(move || {
                    let remembered = library.put_finished(&prepared.record(false), &prepared);
                    Done::new(move |session| session.on_taken(id, *prepared, remembered))
                });
            }
            Ok(None) => {
                download.existing = Existing::Some(path.clone());
                format!("{shown}: {} is not it; what is right of it is used", path.display())
            }
            Err(error) => {
                download.existing = Existing::Nothing;
                format!("{shown}: {} cannot be compared: {error}", path.display())
            }
        };
        self.log(Level::Info, Target::Fetch, text);
        self.open(id);
    }

    /// What lay there is all of it, and is shared from there.
    fn on_taken(
        &mut self,
        id: ContentId,
        prepared: Prepared,
        remembered: Result<(), LibraryError>,
    ) {
        let Ok(download) = self.contents.download_of(&id) else { return };
        let (seconds, path) = (download.asked.at.elapsed().as_secs_f64(), prepared.path.clone());
        let unkept = remembered.as_ref().err();
        let unkept = unkept.map(|error| unkept_words(&error.to_string(), hint(error)));
        self.note_written(remembered.as_ref().map(drop));
        let mut text = format!(
            "{}: all of it was at {} already, and is shared from there",
            self.shown_name(&id),
            path.display()
        );
        if let Some(unkept) = &unkept {
            text.push_str(": ");
            text.push_str(unkept);
        }
        self.too_late_to_move(&id, &path);
        self.forget(&id);
        self.serve_prepared(prepared, false);
        let what = What::Done { id, path, bytes: 0, seconds, unkept };
        self.tell(Level::Info, Target::Fetch, text, what);
        self.start_queued();
    }
}
