//! Files of a folder: which are there, which are wanted, and more of them later.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};
use common::manifest::Manifest;
use common::merkle::ChunkHashes;
use common::names::show;
use tokio::sync::oneshot;

use super::clock::unix_ms;
use super::commands::Answer;
use super::content::{Content, Role, ShareState, disk_name};
use super::done::Done;
use super::download::Phase;
use super::opened::{Files, HashRange};
use super::selection::{Chosen, UNMATCHED_HINT, settle, wanted_chunks};
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Reply, Selection};
use crate::api::event::{Level, NO_SUCH_FILE, Target, What};
use crate::api::snapshot::FolderEntry;
use crate::disk::{DiskError, PartialSpec, reclaim};
use crate::library::{self, Check, DownloadOptions, DownloadRecord, Library};
use swarm::event::Input;

impl Session {
    /// Chooses other files of a folder that is being downloaded, or more of one that is finished.
    pub(super) fn select(
        &mut self,
        id: &ContentId,
        files: Selection,
    ) -> Result<Reply, CommandError> {
        let files = self.settled(id, files)?;
        let content = self.contents.download_mut(id);
        let Some(download) = content else { return self.widen(id, &files) };
        if download.phase == Phase::Finishing {
            // What is put in place now is what was wanted until now.
            let text = "it is just being put in place; choose more of it when that is done";
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        self.choose(id, files);
        Ok(Reply::Accepted)
    }

    /// A selection with paths that are there, as far as that is known.
    ///
    /// # Errors
    /// Names what chooses nothing.
    pub(super) fn settled(
        &self,
        id: &ContentId,
        files: Selection,
    ) -> Result<Selection, CommandError> {
        let content = self.contents.get(id);
        let content =
            content.ok_or_else(|| refuse(CommandErrorKind::NotFound, "no such download"))?;
        // What is not known yet is looked up when it is.
        let Some(manifest) = &content.manifest else { return Ok(files) };
        settle(manifest, &files).map_err(|unmatched| {
            let text = format!("{}: {unmatched}; {UNMATCHED_HINT}", content.shown);
            refuse(CommandErrorKind::NotFound, text)
        })
    }

    /// These files of a download are wanted from now on.
    pub(super) fn choose(&mut self, id: &ContentId, files: Selection) {
        let Some(content) = self.contents.get_mut(id) else { return };
        let (manifest, layout) = (content.manifest.clone(), content.layout.clone());
        let Some(download) = content.as_download() else { return };
        let looked = download.only_looks();
        download.record.selection = files;
        let goes_on = looked && !download.only_looks();
        let record = download.record.clone();
        if let Some(layout) = layout {
            let wanted = wanted_chunks(manifest.as_deref(), &layout, &record.selection);
            download.wanted = wanted.clone();
            self.feed(Input::WantedChanged { id: *id, wanted });
        }
        self.remember(&record);
        if goes_on {
            self.try_again(id);
        }
    }

    /// Whether only some files of a folder were wanted, and these are here.
    pub(super) fn is_part(&self, id: &ContentId) -> bool {
        matches!(
            self.contents.get(id).map(|content| &content.role),
            Some(Role::Share(share)) if share.part.is_some()
        )
    }

    /// The list of files of a download is known now: what was chosen is looked up in it. `false`: nothing
    /// of that is there, and it is no download any more.
    pub(super) fn settle_selection(&mut self, id: &ContentId) -> bool {
        let Some(content) = self.contents.get_mut(id) else { return false };
        let (manifest, shown) = (content.manifest.clone(), content.shown.clone());
        let Some(manifest) = manifest else { return true };
        let Some(download) = content.as_download() else { return false };
        let before = download.record.selection.clone();
        let (selection, unmatched) = match settle(&manifest, &before) {
            Ok(selection) => (selection, None),
            Err(unmatched) => {
                (Selection::Paths(unmatched.rest.clone()), Some(unmatched.to_string()))
            }
        };
        // What was asked for as a whole just now is taken back as a whole.
        let ends = unmatched.is_some() && (download.asked.new || chooses_nothing(&selection));
        download.record.selection = selection;
        let record = download.record.clone();
        if let Some(why) = unmatched {
            let what =
                What::Failed { id: Some(*id), code: NO_SUCH_FILE, hint: UNMATCHED_HINT.to_owned() };
            self.tell(Level::Error, Target::Fetch, format!("{shown}: {why}"), what);
        }
        if ends {
            self.forget(id);
            let noted = self.write_queue.library().note_removed(id);
            self.write_down(noted);
            self.start_queued();
        } else if record.selection != before {
            self.remember(&record);
        }
        !ends
    }

    /// A finished folder of which only some files were wanted becomes a download of these and more:
    /// what is here stays, is served meanwhile, and is not fetched again.
    fn widen(&mut self, id: &ContentId, files: &Selection) -> Result<Reply, CommandError> {
        let invalid = |text: &str| Err(refuse(CommandErrorKind::Invalid, text));
        let Some(content) = self.contents.get(id) else { return invalid("no such folder") };
        let Role::Share(share) = &content.role else { return invalid("it is not finished") };
        let (Some(part), Some(manifest)) = (&share.part, &content.manifest) else {
            return Ok(Reply::Accepted);
        };
        let (Some(descriptor), Some(layout)) = (content.descriptor, content.layout.clone()) else {
            return invalid("not a folder");
        };
        if share.state != ShareState::Serving {
            return invalid("it is not in order just now: verify it first");
        }
        let path = share.paths.first().cloned().unwrap_or_default();
        let Some(dir) = path.parent().map(PathBuf::from) else {
            return invalid("it is not in a folder");
        };
        let selection = union(manifest, files, |file| {
            let mut chunks = layout.file_chunks(file).unwrap_or(0..0);
            !chunks.is_empty() && chunks.all(|chunk| part.contains(chunk))
        });
        let wanted = wanted_chunks(Some(manifest), &layout, &selection);
        if wanted.count() == part.count() {
            return Ok(Reply::Accepted);
        }
        let record = DownloadRecord {
            id: *id,
            name: content.name.clone(),
            dir: dir.clone(),
            descriptor: Some(descriptor),
            selection,
            paused: false,
            added_ms: unix_ms(),
            finished: None,
            options: DownloadOptions {
                rank: self.last_rank(),
                up: content.limit.as_ref().and_then(|limit| limit.rate()),
                ..DownloadOptions::default()
            },
        };
        let (have, shown) = (part.clone(), content.shown.clone());
        let hashes = known_hashes(self.core.node().hashes(id).unwrap_or_default());
        let spec = PartialSpec {
            id: *id,
            descriptor,
            layout,
            rel: Some(std::sync::Arc::clone(manifest.disk_paths())),
            name: disk_name(&content.name, id),
            dir,
            keep_free: self.config.keep_free,
            owner: Some(self.owner()),
        };
        let mut download = Content::download(record.clone());
        let number = self.background.new_number();
        if let Some(download) = download.as_download() {
            download.files = Files::Opening(number);
        }
        self.contents.change_role(id, download.role);
        self.set_phase(id, Phase::Opening);
        self.changed();
        let text = format!("fetching more files of {shown}");
        self.log(Level::Info, Target::Fetch, text);
        let (library, id) = (self.write_queue.library().clone(), *id);
        self.background.on_path(path, move |path| {
            let result = take_up(&library, &record, &spec, &path, &have, &hashes);
            Done::new(move |session| {
                session.end_opening(&id, number);
                session.on_widened(id, path, result);
            })
        });
        Ok(Reply::Accepted)
    }

    /// The finished folder is a download again; or it stays what it was.
    fn on_widened(&mut self, id: ContentId, path: PathBuf, result: Result<(), DiskError>) {
        let Err(error) = result else {
            return self.begin(id);
        };
        let text = format!("{}: {error}", self.shown_name(&id));
        let hint = "verify it, then choose its files again".to_owned();
        let what = What::Failed { id: Some(id), code: "widen", hint };
        self.tell(Level::Error, Target::Disk, text, what);
        self.forget(&id);
        let noted = self.write_queue.library().note_removed(&id);
        self.write_down(noted);
        self.share_again(path);
    }

    /// What is in a folder, as far as that is known; the answer, unless it comes later.
    pub(super) fn list_files(
        &mut self,
        id: ContentId,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        if self.contents.get(&id).is_some_and(|content| content.manifest.is_none()) {
            self.recall_manifest(id, Some(reply));
            return None;
        }
        Some((self.known_files(&id), reply))
    }

    /// The files of a folder whose manifest is here.
    pub(super) fn known_files(&self, id: &ContentId) -> Answer {
        let content = self.contents.get(id);
        let content = content.ok_or_else(|| {
            refuse(CommandErrorKind::NotFound, "neither shared nor downloaded here")
        })?;
        let Some(manifest) = &content.manifest else {
            return Err(refuse(
                CommandErrorKind::Invalid,
                "not a folder, or its contents are not known yet",
            ));
        };
        let layout = manifest.layout();
        let have = self.core.node().have(id);
        let wanted = match &content.role {
            Role::Download(download) => Some(&download.wanted).filter(|_| !download.only_looks()),
            Role::Share(share) => share.part.as_ref(),
        };
        let entries = manifest.files().enumerate().map(|(i, entry)| {
            let chunks = layout.file_chunks(i).unwrap_or(0..0);
            let inside = |set: &ChunkSet| chunks.clone().filter(|c| set.contains(*c)).count();
            let done = have.map_or(0, |have| {
                let here = chunks.clone().filter(|c| have.contains(*c));
                here.filter_map(|c| layout.chunk(c)).map(|c| u64::from(layout.len_of(c))).sum()
            });
            let raw = entry.path.join("/");
            FolderEntry {
                path: show(&raw),
                raw,
                size: entry.size,
                done,
                wanted: wanted.is_none_or(|set| chunks.is_empty() || inside(set) > 0),
            }
        });
        Ok(Reply::Files(entries.collect()))
    }
}

fn chooses_nothing(selection: &Selection) -> bool {
    matches!(selection, Selection::Paths(paths) if paths.is_empty())
}

/// Makes a download of a finished folder: what is here stays. Blocks.
fn take_up(
    library: &Library,
    record: &DownloadRecord,
    spec: &PartialSpec,
    path: &Path,
    have: &ChunkSet,
    hashes: &[HashRange],
) -> Result<(), DiskError> {
    let other = |why: String| DiskError::Io {
        doing: "take up again",
        path: path.to_path_buf(),
        source: std::io::Error::other(why),
    };
    // The request first: after a crash it is taken up again.
    library.put_download(record).map_err(|error| other(error.to_string()))?;
    let share = library.share(path).map_err(|error| other(error.to_string()))?;
    if !share.is_some_and(|share| library::check(&share) == Check::Unchanged) {
        return Err(DiskError::Changed { path: path.to_path_buf() });
    }
    reclaim(spec, path, have, hashes)?;
    library.remove_share(path).map_err(|error| other(error.to_string()))?;
    Ok(())
}

/// The files that are here and those that are chosen.
fn union(manifest: &Manifest, files: &Selection, here: impl Fn(usize) -> bool) -> Selection {
    let Selection::Paths(chosen) = files else { return Selection::All };
    let chosen = Chosen::new(chosen);
    let mut all = true;
    let paths: HashSet<String> = manifest
        .files()
        .enumerate()
        .filter_map(|(i, entry)| {
            let path = entry.path.join("/");
            let wanted = here(i) || chosen.has(&path);
            all &= wanted || entry.size == 0;
            wanted.then_some(path)
        })
        .collect();
    if all {
        return Selection::All;
    }
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort_unstable();
    Selection::Paths(paths)
}

/// Runs of known chunk hashes: file, first, hashes.
fn known_hashes(files: &[ChunkHashes]) -> Vec<HashRange> {
    let mut runs: Vec<HashRange> = Vec::new();
    for (file, hashes) in (0u32..).zip(files) {
        let mut run: Option<(u32, Vec<Hash>)> = None;
        for chunk in 0..hashes.chunks() {
            match (hashes.get(chunk), &mut run) {
                (Some(hash), Some((_, list))) => list.push(hash),
                (Some(hash), None) => run = Some((chunk, vec![hash])),
                (None, _) => runs.extend(run.take().map(|(first, list)| (file, first, list))),
            }
        }
        runs.extend(run.map(|(first, list)| (file, first, list)));
    }
    runs
}
