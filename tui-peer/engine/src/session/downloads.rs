//! The life of a download: asked for → (described, manifest) → opened → getting → finishing → a share.

use std::path::PathBuf;
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::{ContentId, PeerId};
use common::layout::Layout;
use common::manifest::Manifest;
use common::merkle::ChunkHashes;
use common::wire::tracker::FileMeta;

use super::Session;
use super::clock::unix_ms;
use super::content::{Content, Role, disk_name};
use super::done::Done;
use super::download::{Existing, ManifestParts, Phase};
use super::helpers::when_free;
use super::moves::bring_along;
use super::opened::{Files, Open};
use super::path_lookups::real_path;
use super::selection::wanted_chunks;
use crate::api::command::{self, CommandError, Reply, Selection};
use crate::api::event::{Level, Target};
use crate::disk::{Buf, DiskError, Elsewhere, Opened, Partial, PartialSpec};
use crate::library::{DownloadOptions, DownloadRecord};
use swarm::event::{ConnId, Input, Ready};

/// A download as it was found on disk.
struct OpenedDownload {
    layout: Arc<Layout>,
    hashes: Vec<ChunkHashes>,
    found: ChunkSet,
    /// May be here too: to be compared when their hashes are known.
    doubted: ChunkSet,
    /// Whether there is room for what was wanted of it.
    room: Result<(), DiskError>,
    outcome: Outcome,
}

impl OpenedDownload {
    /// Closes it. A part in which there is nothing, as far as anybody can say, goes.
    fn abandon(self) {
        let Outcome::Going(partial) = self.outcome else { return };
        // What lies elsewhere is deleted with the part that takes it over.
        let empty = self.found.is_empty() && self.doubted.is_empty();
        if empty
            && !partial.comes_from_elsewhere()
            && let Err(error) = partial.delete()
        {
            tracing::debug!(%error, "an empty part file stays");
        }
    }
}

enum Outcome {
    Going(Arc<Partial>),
    /// A crash came between the rename and the end of the record: it is finished.
    InPlace(Result<PathBuf, CommandError>),
}

impl Session {
    /// Begins a download of something that is not known yet.
    pub(super) fn download_new(
        &mut self,
        request: command::Download,
    ) -> Result<Reply, CommandError> {
        // What there is of it is not deleted after all.
        let removed = self.take_removed(&request.id);
        self.background.close(removed);
        let named = request.dir.is_some();
        let record = self.new_record(request);
        self.remember(&record);
        let id = record.id;
        let mut content = Content::download(record);
        let looks = content.as_download().is_some_and(|download| {
            (download.asked.new, download.asked.named) = (true, named);
            download.only_looks()
        });
        let what = if looks { "fetching the list of files" } else { "download started" };
        let text = format!("{what}: {}", content.shown);
        self.log(Level::Info, Target::Fetch, text);
        self.insert(content);
        if looks {
            // Somebody waits for it: it does not stand in line.
            self.begin(id);
        }
        self.start_queued();
        Ok(Reply::Accepted)
    }

    /// A download as the user asks for it, last in the queue.
    pub(super) fn new_record(&self, request: command::Download) -> DownloadRecord {
        let row = self.net.row(&request.id);
        let name = request.name.clone().or_else(|| row.map(|meta| meta.name.clone()));
        let added_ms = unix_ms();
        DownloadRecord {
            id: request.id,
            name: name.unwrap_or_else(|| request.id.short()),
            dir: request.dir.unwrap_or_else(|| self.downloads_folder().to_path_buf()),
            // Bound to the id, so whoever says so is right.
            descriptor: row.map(|meta| meta.descriptor).filter(|d| d.id() == request.id),
            selection: request.files,
            paused: false,
            added_ms,
            finished: None,
            options: DownloadOptions { rank: self.last_rank(), ..DownloadOptions::default() },
        }
    }

    /// Takes the next step towards `Getting`, as far as is known what the content is.
    pub(super) fn begin(&mut self, id: ContentId) {
        if !self.has_room(id) {
            return;
        }
        let Some(content) = self.contents.get_mut(&id) else { return };
        match content.as_download().map(|download| &download.files) {
            Some(Files::Open(_)) => return self.go_on(id),
            // Paused and resumed while it is being opened.
            Some(Files::Opening(_)) => return self.set_phase(&id, Phase::Opening),
            Some(Files::Closed) | None => {}
        }
        let (descriptor, has_list) = (content.descriptor, content.manifest.is_some());
        let known = match descriptor.map(|descriptor| descriptor.kind) {
            Some(Kind::Folder) if !has_list && self.recalls(&id) => {
                return self.set_phase(&id, Phase::Opening);
            }
            Some(Kind::Folder) => has_list,
            Some(Kind::File) => true,
            None => false,
        };
        if known {
            self.open_unless_looking(id);
        } else {
            self.set_phase(&id, Phase::Resolving);
            self.feed(Input::ContentAdded { id, ready: None });
            // It may have been paused before it was known.
            self.feed(Input::PausedChanged { id, paused: false });
            self.tell_policy(&id);
        }
        if let Some(announcer) = &self.net.announcer {
            announcer.locate(id);
        }
    }

    /// A download that rested is its turn again.
    fn go_on(&mut self, id: ContentId) {
        self.set_phase(&id, Phase::Getting);
        self.feed(Input::PausedChanged { id, paused: false });
        self.check_doubts(id);
        // One whose last step failed (no room for the rename's folder, say) tries that step again.
        if self.core.node().is_complete(&id) {
            self.on_completed(id);
        }
        if let Some(announcer) = &self.net.announcer {
            announcer.locate(id);
        }
    }

    /// An attempt to open a download is over. `false`: it has been removed since, and perhaps begun anew.
    pub(super) fn end_opening(&mut self, id: &ContentId, number: u64) -> bool {
        self.contents.download_mut(id).is_some_and(|download| download.end_opening(number))
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
            self.open_unless_looking(id);
        }
    }

    /// The tracker says what it is, which is bound to the id like a peer's word: a download that only waited for that
    /// goes on while its sources are dialled. One that nobody gave a name takes the tracker's.
    pub(super) fn on_located(&mut self, id: ContentId, meta: &FileMeta) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let waits = content.descriptor.is_none() && content.phase() == Some(&Phase::Resolving);
        if !waits || meta.descriptor.id() != id {
            return;
        }
        let nameless = content.name == id.short();
        if let Some(download) = content.as_download().filter(|_| nameless) {
            download.record.name.clone_from(&meta.name);
            content.rename(meta.name.clone());
        }
        self.feed(Input::Described { id, descriptor: meta.descriptor });
        self.on_described(id, meta.descriptor);
    }

    /// The next bytes of a manifest are here.
    pub(super) fn on_manifest_part(&mut self, id: ContentId, conn: ConnId, bufs: &[Buf]) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let len = content.descriptor.filter(Descriptor::is_sane).map_or(0, |d| d.size);
        let len = usize::try_from(len).unwrap_or(0);
        let Some(download) = content.as_download() else { return };
        if download.manifest.as_ref().is_none_or(|parts| parts.from != conn) {
            // Its length is bound by the id and was checked; what does not come is never touched.
            let bytes = Vec::with_capacity(len);
            download.manifest = Some(ManifestParts { from: conn, bytes });
        }
        if let Some(parts) = &mut download.manifest {
            bufs.iter().for_each(|buf| parts.bytes.extend_from_slice(buf));
        }
    }

    /// All of a manifest is here: check and parse it beside the session, it may be long.
    pub(super) fn on_manifest(&mut self, id: ContentId, conn: ConnId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let expected = content.descriptor;
        let Some(download) = content.as_download() else { return };
        let bytes = download.manifest.take().map_or_else(Vec::new, |parts| parts.bytes);
        let library = self.write_queue.library().clone();
        self.background.own(move || {
            let right = expected == Some(Manifest::descriptor_of(&bytes));
            let manifest = right.then(|| Manifest::parse(bytes).ok()).flatten();
            if let Some(manifest) = &manifest
                && let Err(error) = library.put_manifest(&id, manifest.bytes())
            {
                // It is fetched again after a restart.
                tracing::warn!(%error, "manifest not remembered");
            }
            Done::new(move |session| session.on_manifest_checked(id, conn, manifest))
        });
    }

    fn on_manifest_checked(&mut self, id: ContentId, conn: ConnId, manifest: Option<Manifest>) {
        let Some(manifest) = manifest else {
            return self.feed(Input::ManifestRejected { id, conn });
        };
        if let Some(content) = self.contents.get_mut(&id) {
            content.manifest = Some(Arc::new(manifest));
            self.open_unless_looking(id);
        }
    }

    /// The `.part` file was created or found again, by the attempt of this number.
    fn on_attempt(
        &mut self,
        id: ContentId,
        number: u64,
        result: Result<OpenedDownload, DiskError>,
    ) {
        match (self.end_opening(&id, number), result) {
            (true, Ok(opened)) => {
                self.on_opened(id, number, opened);
                self.move_on(&id);
            }
            (true, Err(error)) => {
                self.block(id, &error);
                self.move_on(&id);
            }
            (false, Ok(opened)) => self.abandon(opened),
            (false, Err(_)) => {}
        }
    }

    /// Goes on with what is known now; rests if only the list of files was wanted.
    fn open_unless_looking(&mut self, id: ContentId) {
        if !self.settle_selection(&id) {
            return;
        }
        let download = self.contents.download_mut(&id);
        if download.is_some_and(|download| download.only_looks()) {
            // It cannot fail: it is a download, and not finishing.
            let _ = self.pause(&id);
        } else {
            self.open(id);
        }
    }

    /// Whose parts and journals are ours.
    pub(super) fn owner(&self) -> PeerId {
        self.config.owner.unwrap_or(self.core.me())
    }

    /// Creates or finds the `.part` file, and hashes again what a crash left unsure.
    pub(super) fn open(&mut self, id: ContentId) {
        match self.contents.download_mut(&id).map(|download| &download.files) {
            Some(Files::Closed) => {}
            Some(Files::Opening(_)) => return self.set_phase(&id, Phase::Opening),
            // A second list of its files was checked after it was opened: it goes on as it is.
            Some(Files::Open(_)) | None => return,
        }
        self.set_phase(&id, Phase::Opening);
        let dir = self.contents.download_of(&id).map(|download| download.record.dir.clone());
        let Some(dir) = dir.ok().filter(|dir| !self.is_unsure_of(dir)) else { return };
        let (keep_free, owner) = (self.config.keep_free, self.owner());
        let (number, sought) = (self.background.new_number(), self.sought(&id));
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(descriptor), name) = (content.descriptor, content.name.clone()) else { return };
        let manifest = content.manifest.clone();
        let Some(download) = content.as_download() else { return };
        download.files = Files::Opening(number);
        let selection = download.record.selection.clone();
        let lies = match &download.existing {
            Existing::Some(path) => Some(Elsewhere::Lies(path.clone())),
            _ => None,
        };
        let (library, from) = (self.write_queue.library().clone(), self.storage.moves.from(&id));
        let place = self.place_of(&id, &dir);
        self.background.run_at(place, dir, move |dir| {
            let manifest = manifest.as_deref();
            let name = disk_name(&name, &id);
            if let Some(sought) = sought
                && let Some(path) = sought.candidate(&dir, &name)
            {
                return Done::new(move |session| {
                    if session.end_opening(&id, number) {
                        session.compare_existing(sought, path);
                    }
                });
            }
            let open = || {
                let mut places = bring_along(&library, &from, &dir, &name, &id)?;
                places.extend(lies.clone());
                let (dir, name, owner) = (dir.clone(), name.clone(), Some(owner));
                let what = Wanted { id, descriptor, manifest, selection: &selection, keep_free };
                open_partial(&what, name, dir, owner, &places)
            };
            let result = when_free(open);
            Done::new(move |session| session.on_attempt(id, number, result))
        });
    }

    /// Nobody wants what was opened any more. A part in which there is nothing yet goes.
    fn abandon(&self, opened: OpenedDownload) {
        self.background.closing(move || opened.abandon());
    }

    fn on_opened(&mut self, id: ContentId, number: u64, opened: OpenedDownload) {
        let Some(content) = self.contents.get_mut(&id) else {
            return self.background.close(opened);
        };
        let manifest = content.manifest.clone();
        content.layout = Some(opened.layout.clone());
        let Some(descriptor) = content.descriptor else { return };
        let Role::Download(download) = &mut content.role else {
            return self.background.close(opened);
        };
        let wanted = wanted_chunks(manifest.as_deref(), &opened.layout, &download.record.selection);
        download.wanted = wanted.clone();
        download.found = opened.found.clone();
        let partial = match opened.outcome {
            Outcome::Going(partial) => partial,
            Outcome::InPlace(path) => {
                return self.finish_in_place(id, path);
            }
        };
        download.files = Files::Open(Open::new(number, partial.clone()));
        let (note, together) = (partial.note(), !partial.comes_from_elsewhere());
        content.source = Some(partial);
        if let Some(note) = note {
            let text = format!("{}: {note}", content.shown);
            self.log(Level::Warn, Target::Disk, text);
        }
        if together {
            self.forget_moves(&id);
        }
        let Some(content) = self.contents.get_mut(&id) else { return };
        if opened.found.count() > 0 {
            let text = format!(
                "{}: {} of {} chunks are here already",
                content.shown,
                opened.found.count(),
                opened.layout.chunks()
            );
            self.log(Level::Info, Target::Fetch, text);
        }
        let have = opened.found.clone();
        let (layout, hashes, doubted) = (opened.layout, opened.hashes, opened.doubted);
        let ready = Ready { descriptor, layout, have, wanted, hashes, doubted };
        let paused = self.contents.get(&id).and_then(Content::phase) == Some(&Phase::Paused);
        if !paused {
            self.set_phase(&id, Phase::Getting);
        }
        if self.core.node().knows(&id) {
            self.feed(Input::ContentReady { id, ready });
        } else {
            self.feed(Input::ContentAdded { id, ready: Some(ready) });
        }
        // At once: it may be here before the next snapshot.
        if self.publisher.focus() == Some(id) {
            self.core.watch_chunks(&id);
        }
        self.feed(Input::PausedChanged { id, paused });
        self.tell_policy(&id);
        if let Some(announcer) = &self.net.announcer {
            announcer.set_partial(id, opened.found);
        }
        if let Err(error) = opened.room {
            self.block(id, &error);
        }
    }

    pub(super) fn set_phase(&mut self, id: &ContentId, phase: Phase) {
        if let Some(download) = self.contents.download_mut(id)
            && download.phase != Phase::Paused
        {
            download.phase = phase;
        }
        self.changed();
    }

    pub(super) fn remember(&mut self, record: &DownloadRecord) {
        let noted = self.write_queue.library().note_download(record);
        self.write_down(noted);
    }
}

/// Bytes compared before a download goes on: what a crash leaves unsure. What is more has its turn while
/// it goes on.
const CHECKED_FIRST: u64 = 256 * 1024 * 1024;

/// What is to be opened.
struct Wanted<'a> {
    id: ContentId,
    descriptor: Descriptor,
    manifest: Option<&'a Manifest>,
    selection: &'a Selection,
    keep_free: Option<u64>,
}

fn open_partial(
    what: &Wanted<'_>,
    name: String,
    dir: PathBuf,
    owner: Option<PeerId>,
    places: &[Elsewhere],
) -> Result<OpenedDownload, DiskError> {
    let Wanted { id, descriptor, manifest, selection, keep_free } = *what;
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
    let rel = manifest.map(|manifest| Arc::clone(manifest.disk_paths()));
    let layout_too = layout.clone();
    let spec = PartialSpec { id, descriptor, layout: layout_too, rel, name, dir, keep_free, owner };
    match Partial::open_from(spec, places)? {
        Opened::Finished(path) => {
            let found = ChunkSet::full(layout.chunks());
            let outcome = Outcome::InPlace(real_path(&path));
            let doubted = ChunkSet::empty(layout.chunks());
            Ok(OpenedDownload { layout, hashes, found, doubted, room: Ok(()), outcome })
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
            let none = ChunkSet::empty(layout.chunks());
            let (mut first, mut doubted, mut bytes) = (none.clone(), none, 0);
            for chunk in written.iter() {
                bytes += layout.chunk(chunk).map_or(0, |c| u64::from(layout.len_of(c)));
                let now = bytes <= CHECKED_FIRST && expected(chunk).is_some();
                _ = if now { first.insert(chunk) } else { doubted.insert(chunk) };
            }
            let mut found = partial.recheck(&first, expected);
            found.union_with(&durable);
            if partial.comes_from_elsewhere() {
                // What is here for certain is not needed there any more.
                partial.sync().map_err(|error| error.error)?;
                partial.leave_donors();
            }
            let room = partial.check_room(&wanted_chunks(manifest, &layout, selection));
            let outcome = Outcome::Going(partial);
            Ok(OpenedDownload { layout, hashes, found, doubted, room, outcome })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h1_what_nobody_wants_any_more_takes_nothing_along_that_lies_elsewhere() {
        let temp = tempfile::tempdir().unwrap();
        let (old, new) = (temp.path().join("old"), temp.path().join("new"));
        let size = 200_000;
        let root = common::hash::sha256(b"whatever");
        let descriptor = Descriptor { kind: Kind::File, size, root };
        let id = descriptor.id();
        let what = Wanted {
            id,
            descriptor,
            manifest: None,
            selection: &Selection::All,
            keep_free: Some(0),
        };
        let open = |dir: &PathBuf, places: &[Elsewhere]| {
            open_partial(&what, "thing".into(), dir.clone(), None, places).unwrap()
        };
        let names = |dir: &PathBuf| std::fs::read_dir(dir).unwrap().count();
        let first = open(&old, &[]);
        let Outcome::Going(partial) = &first.outcome else { panic!() };
        partial.write_chunk(0, &[&[7; 65_536]], true).unwrap();
        partial.sync().unwrap();
        drop(first);
        // Its hashes are not known yet: nothing of it counts as found.
        let second = open(&new, &[Elsewhere::Before(old.clone())]);
        assert!(second.found.is_empty());
        second.abandon();
        assert_eq!((names(&old), names(&new)), (2, 2));
        let empty = open(&temp.path().join("third"), &[]);
        empty.abandon();
        assert_eq!(names(&temp.path().join("third")), 0);
    }
}
