//! The life of a download: asked for → (described, manifest) → opened → getting → finishing → a share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash};
use common::layout::Layout;
use common::manifest::Manifest;
use common::merkle::ChunkHashes;
use common::names::{safe_component, show};

use super::content::{Content, Download, Phase, Role, bytes_of, wanted_chunks};
use super::shares::Done;
use super::{Session, refuse};
use crate::engine::command::{self, CommandError, CommandErrorKind, Reply, Selection};
use crate::engine::disk::{Buf, DiskError, FinishPlan, Opened, Partial, PartialSpec, free_space};
use crate::engine::event::{Level, Target, What};
use crate::engine::library::prepared::FolderParts;
use crate::engine::library::{DownloadRecord, LibraryError, Prepared};
use crate::engine::snapshot::FolderEntry;
use crate::swarm::event::{ConnId, Input, Ready};

/// How long a full or read-only disk is left alone before the next look.
const BLOCKED_RETRY: Duration = Duration::from_secs(3);
/// Room that must be there before a download that ran out of it goes on: a few chunks of the largest
/// usual size, so that it does not stop again at once.
const ROOM_TO_RESUME: u64 = 16 * 1024 * 1024;

/// Background work of a download that is done.
pub(super) enum Step {
    /// The manifest was checked and parsed.
    Manifest { id: ContentId, conn: ConnId, manifest: Option<(Manifest, Bytes)> },
    /// The `.part` file was created or found again.
    Opened { id: ContentId, result: Result<Box<OpenedDownload>, DiskError> },
    /// It is in place, and remembered as a share.
    Finished { id: ContentId, result: Result<Box<FinishedDownload>, DiskError> },
    /// What was fetched so far is deleted (or could not be).
    Deleted { result: Result<(), DiskError> },
}

/// A download as it was found on disk.
pub(super) struct OpenedDownload {
    layout: Arc<Layout>,
    hashes: Vec<ChunkHashes>,
    found: ChunkSet,
    outcome: Outcome,
}

enum Outcome {
    Going(Arc<Partial>),
    /// A crash came between the rename and the end of the record: it is finished.
    InPlace(PathBuf),
}

/// A download in place.
pub(super) struct FinishedDownload {
    path: PathBuf,
    /// What to share it as.
    prepared: Prepared,
    remembered: Result<(), LibraryError>,
}

impl Session {
    pub(super) fn download(&mut self, wish: command::Download) -> Result<Reply, CommandError> {
        if let Some(content) = self.contents.get_mut(&wish.id) {
            return match &content.role {
                Role::Share(share) if share.part.is_none() => Ok(Reply::Accepted),
                Role::Share(_) => Err(refuse(
                    CommandErrorKind::Invalid,
                    "some files of this folder are here already; unshare it first to choose others",
                )),
                Role::Download(_) => self.resume(&wish.id),
            };
        }
        let row = self.net.row(&wish.id);
        let name = wish.name.clone().or_else(|| row.map(|meta| meta.name.clone()));
        let record = DownloadRecord {
            id: wish.id,
            name: name.unwrap_or_else(|| wish.id.short()),
            dir: wish.dir.unwrap_or_else(|| self.config.downloads.clone()),
            // Bound to the id, so whoever says so is right.
            descriptor: row.map(|meta| meta.descriptor).filter(|d| d.id() == wish.id),
            selection: wish.files,
            paused: false,
            added_ms: unix_ms(),
            finished: None,
        };
        self.remember(&record);
        let content = Content::download(record);
        let text = format!("{}: download begun", content.shown);
        self.say(Level::Info, Target::Fetch, text);
        self.insert(content);
        self.start_queued();
        Ok(Reply::Accepted)
    }

    /// Puts remembered downloads back into the queue.
    pub(super) fn restore_downloads(&mut self, records: Vec<DownloadRecord>) {
        for record in records {
            if record.finished.is_none() {
                self.insert(Content::download(record));
            }
        }
        self.start_queued();
    }

    /// Starts queued downloads while fewer than the limit run.
    pub(super) fn start_queued(&mut self) {
        let active = |session: &Self| {
            session.contents.values().filter(|c| c.phase().is_some_and(Phase::is_active)).count()
        };
        while active(self) < self.config.max_active && self.stopping.is_none() {
            let next = self.order.iter().copied().find(|id| {
                self.contents.get(id).is_some_and(|c| c.phase() == Some(&Phase::Queued))
            });
            let Some(id) = next else { break };
            self.begin(id);
        }
        self.watch_sources();
    }

    /// Takes the next step towards `Getting`, as far as is known what the content is.
    fn begin(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let descriptor = content.descriptor;
        let known = match descriptor {
            Some(descriptor) if descriptor.kind == Kind::File => true,
            Some(_) => content.manifest.is_some() || self.recall_manifest(id),
            None => false,
        };
        if known {
            self.open(id);
        } else {
            self.set_phase(&id, Phase::Resolving);
            self.feed(Input::ContentAdded { id, ready: None });
        }
        if let Some(announcer) = &self.net.announcer {
            announcer.locate(id);
        }
    }

    /// A manifest fetched in an earlier run.
    fn recall_manifest(&mut self, id: ContentId) -> bool {
        let Ok(Some(bytes)) = self.library.manifest(&id) else { return false };
        let Ok(manifest) = Manifest::parse(&bytes) else { return false };
        if let Some(content) = self.contents.get_mut(&id) {
            content.manifest = Some(Arc::new(manifest));
            content.manifest_bytes = Some(Bytes::from(bytes));
        }
        true
    }

    pub(super) fn on_described(&mut self, id: ContentId, descriptor: Descriptor) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.descriptor = Some(descriptor);
        content.kind = descriptor.kind;
        let Some(download) = content.as_download() else { return };
        download.record.descriptor = Some(descriptor);
        let record = download.record.clone();
        self.remember(&record);
        if descriptor.kind == Kind::File {
            self.open(id);
        }
    }

    /// The next bytes of a manifest are here.
    pub(super) fn on_manifest_part(&mut self, id: ContentId, conn: ConnId, bufs: &[Buf]) {
        let Some(download) = self.contents.get_mut(&id).and_then(Content::as_download) else {
            return;
        };
        let (from, bytes) = &mut download.manifest;
        if *from != Some(conn) {
            (*from, *bytes) = (Some(conn), Vec::new());
        }
        bufs.iter().for_each(|buf| bytes.extend_from_slice(buf));
    }

    /// All of a manifest is here: check and parse it beside the session, it may be long.
    pub(super) fn on_manifest(&mut self, id: ContentId, conn: ConnId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let expected = content.descriptor;
        let Some(download) = content.as_download() else { return };
        let (_, bytes) = std::mem::take(&mut download.manifest);
        self.background(move || {
            let right = expected == Some(Manifest::descriptor_of(&bytes));
            let manifest = right.then(|| Manifest::parse(&bytes).ok()).flatten();
            let manifest = manifest.map(|manifest| (manifest, Bytes::from(bytes)));
            Done::Download(Step::Manifest { id, conn, manifest })
        });
    }

    pub(super) fn on_step(&mut self, step: Step) {
        match step {
            Step::Manifest { id, conn, manifest } => match manifest {
                Some((manifest, bytes)) => {
                    if let Err(error) = self.library.put_manifest(&id, &bytes) {
                        self.say(Level::Error, Target::Disk, error.to_string());
                    }
                    if let Some(content) = self.contents.get_mut(&id) {
                        content.manifest = Some(Arc::new(manifest));
                        content.manifest_bytes = Some(bytes);
                        self.open(id);
                    }
                }
                None => self.feed(Input::ManifestRejected { id, conn }),
            },
            Step::Opened { id, result } => match result {
                Ok(opened) => self.on_opened(id, *opened),
                Err(error) => self.block(id, &error),
            },
            Step::Finished { id, result } => match result {
                Ok(finished) => self.on_finished(id, *finished),
                Err(error) => {
                    self.block(id, &error);
                    self.distrust(id);
                }
            },
            Step::Deleted { result } => {
                if let Err(error) = result {
                    self.say(Level::Error, Target::Disk, error.to_string());
                }
            }
        }
    }

    /// Creates or finds the `.part` file, and hashes again what a crash left unsure.
    fn open(&mut self, id: ContentId) {
        self.set_phase(&id, Phase::Opening);
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(descriptor), name) = (content.descriptor, content.name.clone()) else { return };
        let manifest = content.manifest.clone();
        let Some(download) = content.as_download() else { return };
        let dir = download.record.dir.clone();
        self.background(move || {
            let result = open_partial(id, descriptor, manifest.as_deref(), &name, dir);
            Done::Download(Step::Opened { id, result: result.map(Box::new) })
        });
    }

    fn on_opened(&mut self, id: ContentId, opened: OpenedDownload) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let manifest = content.manifest.clone();
        content.layout = Some(opened.layout.clone());
        let Some(descriptor) = content.descriptor else { return };
        let Role::Download(download) = &mut content.role else { return };
        let wanted = wanted_chunks(manifest.as_deref(), &opened.layout, &download.record.selection);
        download.wanted = wanted.clone();
        download.found = opened.found.clone();
        download.hashes.clone_from(&opened.hashes);
        let partial = match opened.outcome {
            Outcome::Going(partial) => partial,
            Outcome::InPlace(path) => {
                return self.finish_in_place(id, &path);
            }
        };
        let room = partial.check_room(&wanted);
        download.partial = Some(partial.clone());
        content.source = Some(partial);
        if opened.found.count() > 0 {
            let text = format!(
                "{}: {} of {} chunks are here already",
                content.shown,
                opened.found.count(),
                opened.layout.chunks()
            );
            self.say(Level::Info, Target::Fetch, text);
        }
        let have = opened.found.clone();
        let ready =
            Ready { descriptor, layout: opened.layout, have, wanted, hashes: opened.hashes };
        let paused = self.contents.get(&id).and_then(Content::phase) == Some(&Phase::Paused);
        if !paused {
            self.set_phase(&id, Phase::Getting);
        }
        if self.node.knows(&id) {
            self.feed(Input::ContentReady { id, ready });
        } else {
            self.feed(Input::ContentAdded { id, ready: Some(ready) });
        }
        if paused {
            self.feed(Input::PausedChanged { id, paused: true });
        }
        if let Some(announcer) = &self.net.announcer {
            announcer.set_partial(id, opened.found);
        }
        if let Err(error) = room {
            self.block(id, &error);
        }
    }

    /// Hash ranges just learned go into the journal, so that a restart can check what is on disk
    /// without asking anybody.
    pub(super) fn on_hashes(&mut self, id: ContentId, file: u32, index: u32, hashes: &[Hash]) {
        let Some(download) = self.contents.get_mut(&id).and_then(Content::as_download) else {
            return;
        };
        if !download.saved_hashes.insert((file, index)) {
            return;
        }
        if let Some(partial) = &download.partial
            && let Err(error) = partial.record_hashes(file, index, hashes)
        {
            self.say(Level::Warn, Target::Disk, error.to_string());
        }
    }

    pub(super) fn on_completed(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(layout), Some(descriptor)) = (content.layout.clone(), content.descriptor) else {
            return;
        };
        let (name, manifest) = (content.name.clone(), content.manifest.clone());
        let manifest_bytes = content.manifest_bytes.clone();
        let Role::Download(download) = &mut content.role else { return };
        let Some(partial) = download.partial.clone() else { return };
        let wanted = download.wanted.clone();
        self.set_phase(&id, Phase::Finishing);
        let hashes = self.node.hashes(&id).map(<[_]>::to_vec).unwrap_or_default();
        let library = self.library.clone();
        self.background(move || {
            let finish = || -> Result<FinishedDownload, DiskError> {
                let plan = FinishPlan::new(manifest.as_deref(), &layout, &wanted);
                let path = partial.place(&plan)?.path;
                let folder = match (manifest, manifest_bytes, partial.rel()) {
                    (Some(manifest), Some(bytes), Some(rel)) => {
                        Some(FolderParts { manifest, bytes: Arc::from(bytes.as_ref()), rel })
                    }
                    _ => None,
                };
                let prepared = Prepared::downloaded(path.clone(), name, descriptor, folder, hashes)
                    .map_err(|error| DiskError::Io {
                        doing: "look at",
                        path: path.clone(),
                        source: std::io::Error::other(error.to_string()),
                    })?;
                let remembered = library
                    .put_share(&prepared.record(true), &prepared)
                    .and_then(|()| library.remove_download(&id).map(drop));
                // Only now: a crash before this line finds its way back here from the journal.
                if remembered.is_ok() {
                    partial.close_journal()?;
                }
                Ok(FinishedDownload { path, prepared, remembered })
            };
            Done::Download(Step::Finished { id, result: finish().map(Box::new) })
        });
    }

    /// A crash came between the rename and the record: hash it as what it is, a file of ours.
    fn finish_in_place(&mut self, id: ContentId, path: &Path) {
        self.forget(&id);
        let library = self.library.clone();
        self.background(move || {
            let forgotten = library.remove_download(&id).map(drop);
            Done::Forgotten { result: forgotten }
        });
        if let Err(error) = self.share(path, None) {
            self.say(Level::Error, Target::Share, error.message);
        }
    }

    fn on_finished(&mut self, id: ContentId, finished: FinishedDownload) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Role::Download(download) = &content.role else { return };
        let bytes = content.layout.as_ref().map_or(0, |l| bytes_of(l, &download.wanted));
        let seconds = download.asked.elapsed().as_secs_f64();
        let (shown, wanted) = (content.shown.clone(), download.wanted.clone());
        if let Err(error) = &finished.remembered {
            self.say(Level::Error, Target::Disk, error.to_string());
        }
        let FinishedDownload { path, prepared, .. } = finished;
        let part = (!wanted.is_complete()).then_some(wanted);
        self.become_share(id, prepared, part);
        let text = format!("{shown}: done in {seconds:.1} s, at {}", path.display());
        self.tell(Level::Info, Target::Fetch, text, What::Done { id, path, bytes, seconds });
        self.start_queued();
    }

    /// The download goes on as a share, without a moment in which it is not served.
    fn become_share(&mut self, id: ContentId, prepared: Prepared, part: Option<ChunkSet>) {
        use super::content::{Share, ShareState};
        use crate::engine::disk::{FileTree, SharedFiles};
        let Some(content) = self.contents.get_mut(&id) else { return };
        let tree =
            FileTree::new(prepared.layout.clone(), prepared.path.clone(), prepared.rel.clone());
        content.source = Some(Arc::new(SharedFiles::new(tree, prepared.stats.clone())));
        let complete = part.is_none();
        content.role = Role::Share(Share {
            paths: vec![prepared.path],
            state: ShareState::Serving,
            downloaded: true,
            part,
        });
        if complete {
            self.announce(&id);
        }
        self.changed();
    }

    /// A failed end may have lost what was written since the last good sync.
    fn distrust(&mut self, id: ContentId) {
        let download = self.contents.get_mut(&id).and_then(Content::as_download);
        let Some(download) = download else { return };
        let Some(written) = download.partial.as_ref().map(|partial| partial.written()) else {
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

    pub(super) fn pause(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        let download = self.download_of(id)?;
        if matches!(download.phase, Phase::Finishing) {
            return Ok(Reply::Accepted);
        }
        download.phase = Phase::Paused;
        download.record.paused = true;
        let record = download.record.clone();
        self.remember(&record);
        self.feed(Input::PausedChanged { id: *id, paused: true });
        self.start_queued();
        Ok(Reply::Accepted)
    }

    pub(super) fn resume(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        self.download_of(id)?.told = false;
        self.try_again(id);
        Ok(Reply::Accepted)
    }

    /// Goes on after a pause or an error.
    fn try_again(&mut self, id: &ContentId) {
        let Ok(download) = self.download_of(id) else { return };
        let opened = download.partial.is_some();
        match download.phase {
            Phase::Paused | Phase::Failed(_) | Phase::Blocked { .. } => {}
            _ => return,
        }
        download.record.paused = false;
        let record = download.record.clone();
        download.phase = if opened { Phase::Getting } else { Phase::Queued };
        self.remember(&record);
        if opened {
            self.feed(Input::PausedChanged { id: *id, paused: false });
            self.retry_finish(*id);
        }
        self.start_queued();
    }

    /// A download whose last step failed (no room for the rename's folder, say) tries that step again.
    fn retry_finish(&mut self, id: ContentId) {
        let all_here = self.node.is_complete(&id);
        if all_here {
            self.on_completed(id);
        }
    }

    pub(super) fn remove(
        &mut self,
        id: &ContentId,
        delete_partial: bool,
    ) -> Result<Reply, CommandError> {
        self.download_of(id)?;
        if let Some(content) = self.forget(id) {
            let text = format!("{}: removed", content.shown);
            self.say(Level::Info, Target::Fetch, text);
            let (library, id) = (self.library.clone(), *id);
            let partial = match content.role {
                Role::Download(download) => download.partial,
                Role::Share(_) => None,
            };
            self.background(move || {
                if let Err(error) = library.remove_download(&id) {
                    return Done::Forgotten { result: Err(error) };
                }
                let delete = partial.filter(|_| delete_partial);
                let result = delete.map_or(Ok(()), |partial| partial.delete());
                Done::Download(Step::Deleted { result })
            });
        }
        self.start_queued();
        Ok(Reply::Accepted)
    }

    /// Chooses other files of a folder that is being downloaded.
    pub(super) fn select(
        &mut self,
        id: &ContentId,
        files: Selection,
    ) -> Result<Reply, CommandError> {
        let content = self.contents.get_mut(id);
        let content =
            content.ok_or_else(|| refuse(CommandErrorKind::NotFound, "no such download"))?;
        let (manifest, layout) = (content.manifest.clone(), content.layout.clone());
        let Role::Download(download) = &mut content.role else {
            return Err(refuse(CommandErrorKind::Invalid, "it is finished; nothing to choose"));
        };
        download.record.selection = files;
        let record = download.record.clone();
        if let Some(layout) = layout {
            let wanted = wanted_chunks(manifest.as_deref(), &layout, &record.selection);
            download.wanted = wanted.clone();
            self.feed(Input::WantedChanged { id: *id, wanted });
        }
        self.remember(&record);
        Ok(Reply::Accepted)
    }

    /// What is in a folder, as far as that is known.
    pub(super) fn list_files(&self, id: &ContentId) -> Result<Reply, CommandError> {
        let content = self.contents.get(id);
        let content = content.ok_or_else(|| {
            refuse(CommandErrorKind::NotFound, "neither shared nor downloaded here")
        })?;
        let (Some(manifest), Some(layout)) = (&content.manifest, &content.layout) else {
            return Err(refuse(
                CommandErrorKind::Invalid,
                "not a folder, or its contents are not known yet",
            ));
        };
        let have = self.node.have(id);
        let wanted = match &content.role {
            Role::Download(download) => Some(&download.wanted),
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

    /// The disk refuses: rest, say why, and look again from time to time.
    pub(super) fn block(&mut self, id: ContentId, error: &DiskError) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let shown = content.shown.clone();
        let Some(download) = content.as_download() else { return };
        // The same trouble again after a try that nobody asked for is not told again.
        let first = !std::mem::replace(&mut download.told, true);
        let replaced = matches!(error, DiskError::Changed { .. });
        if replaced {
            // What we wrote is not there any more: the next start looks at the disk anew.
            download.partial = None;
        }
        let why = error.to_string();
        let (phase, code, hint) = if error.is_temporary() {
            let retry_at = Instant::now() + BLOCKED_RETRY;
            let full = error.is_full();
            let code = if full { "disk-full" } else { "disk-blocked" };
            let hint = "it goes on by itself when that is mended".to_owned();
            (Phase::Blocked { full, why: why.clone(), retry_at }, code, hint)
        } else {
            let hint = "resume it when that is mended".to_owned();
            (Phase::Failed(why.clone()), "io", hint)
        };
        if !matches!(download.phase, Phase::Paused) {
            download.phase = phase;
        }
        if replaced {
            if let Some(content) = self.contents.get_mut(&id) {
                content.source = None;
            }
            self.feed(Input::ContentRemoved { id });
        } else {
            self.feed(Input::PausedChanged { id, paused: true });
        }
        if first {
            let what = What::Failed { id: Some(id), code, hint };
            self.tell(Level::Error, Target::Disk, format!("{shown}: paused: {why}"), what);
        }
        self.start_queued();
    }

    /// Downloads that the disk refused: go on if it might work now.
    pub(super) fn retry_blocked(&mut self, now: Instant) {
        let mut ready = Vec::new();
        for content in self.contents.values_mut() {
            let Some(download) = content.as_download() else { continue };
            if let Phase::Blocked { full, retry_at, .. } = &mut download.phase
                && *retry_at <= now
            {
                *retry_at = now + BLOCKED_RETRY;
                let room = free_space(&download.record.dir).unwrap_or(u64::MAX);
                if !*full || room >= ROOM_TO_RESUME {
                    ready.push(download.record.id);
                }
            }
        }
        for id in ready {
            self.try_again(&id);
        }
    }

    fn download_of(&mut self, id: &ContentId) -> Result<&mut Download, CommandError> {
        let content = self.contents.get_mut(id);
        let content =
            content.ok_or_else(|| refuse(CommandErrorKind::NotFound, "no such download"))?;
        match &mut content.role {
            Role::Download(download) => Ok(download),
            Role::Share(_) => {
                Err(refuse(CommandErrorKind::Invalid, "it is complete and shared, not a download"))
            }
        }
    }

    fn set_phase(&mut self, id: &ContentId, phase: Phase) {
        if let Some(download) = self.contents.get_mut(id).and_then(Content::as_download)
            && download.phase != Phase::Paused
        {
            download.phase = phase;
        }
        self.changed();
    }

    fn remember(&self, record: &DownloadRecord) {
        let (library, record) = (self.library.clone(), record.clone());
        self.background(move || Done::Forgotten { result: library.put_download(&record) });
    }
}

fn open_partial(
    id: ContentId,
    descriptor: Descriptor,
    manifest: Option<&Manifest>,
    name: &str,
    dir: PathBuf,
) -> Result<OpenedDownload, DiskError> {
    let too_large = |_| DiskError::TooLarge;
    let layout = match manifest {
        Some(manifest) => manifest.layout().clone(),
        None => Arc::new(Layout::for_file(descriptor.size).map_err(too_large)?),
    };
    let level = layout.chunk_level();
    let file_chunks = |file: usize| {
        let range = layout.file_chunks(file).unwrap_or(0..0);
        u32::try_from(range.len()).unwrap_or(0)
    };
    let mut hashes: Vec<ChunkHashes> = match manifest {
        None => vec![ChunkHashes::unknown(descriptor.root, file_chunks(0), level)],
        Some(manifest) => manifest
            .files()
            .enumerate()
            .map(|(i, entry)| ChunkHashes::unknown(entry.root, file_chunks(i), level))
            .collect(),
    };
    let rel = manifest.map(|manifest| Arc::new(manifest.disk_paths()));
    let safe = safe_component(name).unwrap_or_else(|_| id.short());
    let spec = PartialSpec { id, descriptor, layout: layout.clone(), rel, name: safe, dir };
    match Partial::open(spec)? {
        Opened::Finished(path) => {
            let found = ChunkSet::full(layout.chunks());
            Ok(OpenedDownload { layout, hashes, found, outcome: Outcome::InPlace(path) })
        }
        Opened::Going { partial, durable, written, hashes: stored } => {
            for (file, index, list) in stored {
                if let Some(file) = hashes.get_mut(file as usize) {
                    file.restore(index, &list);
                }
            }
            let expected = |chunk: u32| {
                let place = layout.place(layout.chunk(chunk)?);
                hashes.get(place.file)?.get(place.chunk_in_file)
            };
            let mut found = partial.recheck(&written, expected);
            for run in durable.runs() {
                found.insert_run(run.start, run.end - run.start);
            }
            Ok(OpenedDownload { layout, hashes, found, outcome: Outcome::Going(partial) })
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
