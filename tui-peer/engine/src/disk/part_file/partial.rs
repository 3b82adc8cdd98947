//! A download in progress: `.<name>.<id8>.part` (a file, or a folder with the files inside) and its
//! journal `.<name>.<id8>.state`, both in the target folder.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash, PeerId};
use common::layout::Layout;
use common::limits::MAX_HASHES;
use common::lock::Unpoisoned as _;
use common::names::PathList;
use common::numbers::saturate;

use super::files::remove_part;
use super::journal::{Bounds, Journal, Record, room_of};
use super::names::Names;
use super::open::Opening;
use super::write_mode::WriteModes;
use crate::disk::claim::{Claim, Norm};
use crate::disk::donors::Donors;
use crate::disk::elsewhere::{self, Elsewhere};
use crate::disk::error::{DiskError, ReadError};
use crate::disk::file_tree::{ChunkSource, FileTree};
use crate::disk::room::{enough_room, in_blocks};
use crate::disk::spec::{HashRun, PartialSpec};
use crate::disk::syscalls::{self, Access, Hook, NoHook, Step};

/// What [`Partial::open_from`] found or made.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A download in progress.
    Going {
        /// It.
        partial: Arc<Partial>,
        /// Chunks that are certainly on disk.
        durable: ChunkSet,
        /// Chunks that were written and perhaps lost since, or of which something is there that nothing
        /// vouches for: see [`Partial::check`].
        written: ChunkSet,
        /// Proven chunk hashes of earlier: file, number of the first within the file, hashes.
        hashes: Vec<HashRun>,
    },
    /// It was finished when the program stopped, and is there.
    Finished(PathBuf),
}

/// A download in progress. Its methods block; any thread may call any of them.
pub(crate) struct Partial {
    pub(in crate::disk) id: ContentId,
    pub(in crate::disk) descriptor: Descriptor,
    pub(in crate::disk) names: Names,
    pub(in crate::disk) dir_path: PathBuf,
    volume: u64,
    pub(in crate::disk) dir: Arc<OwnedFd>,
    pub(in crate::disk) norm: Norm,
    pub(in crate::disk) owner: Option<PeerId>,
    keep_free: Option<u64>,
    pub(in crate::disk) tree: FileTree,
    /// The part's inode when it was opened.
    pub(in crate::disk) ino: u64,
    /// The part itself, which others may be able to put another in the place of: what is written goes
    /// here, and only this is put in place at the end. Open, it keeps its inode to itself too. `None`:
    /// it is finished, or gone.
    pub(in crate::disk) own: Mutex<Option<Arc<fs::File>>>,
    /// Parts that others can write to, or wrote: read, compared, and left alone.
    pub(in crate::disk) donors: Donors,
    pub(in crate::disk) hook: Arc<dyn Hook>,
    /// Taken before `state` where both are.
    pub(in crate::disk) journal: Mutex<Journal>,
    pub(in crate::disk) state: Mutex<State>,
    /// Held during a sync: one at a time.
    pub(in crate::disk) syncing: Mutex<()>,
    pub(in crate::disk) modes: Mutex<WriteModes>,
    note: Option<&'static str>,
}

/// What is where.
pub(in crate::disk) struct State {
    pub(in crate::disk) written: ChunkSet,
    pub(in crate::disk) durable: ChunkSet,
    /// Written since the last sync began.
    pub(in crate::disk) pending: Vec<u32>,
    /// Compared, and not right wherever it was looked for.
    pub(in crate::disk) refuted: ChunkSet,
    /// Files written to since the last sync began.
    pub(in crate::disk) dirty: HashSet<usize>,
    /// Whether files were created since then.
    pub(in crate::disk) created: bool,
    /// Bytes written and not synced, those in a running sync included.
    pub(in crate::disk) unsynced: u64,
    /// Files for which as much room was reserved as can be.
    pub(in crate::disk) ready: ChunkSet,
    /// Files all of whose room on the disk is their own: what others fill does not matter to them.
    pub(in crate::disk) reserved: ChunkSet,
    /// The same of the journal.
    pub(in crate::disk) journal_has_room: bool,
    /// Counts failed syncs: a write that began before one and ended after it may be lost too.
    pub(in crate::disk) failures: u32,
    /// Finished or deleted: nothing is written any more.
    pub(in crate::disk) closed: bool,
    /// Where it was put at the end.
    pub(in crate::disk) placed: Option<PathBuf>,
}

impl State {
    /// As it is when the part is opened.
    fn opened(
        spec: &PartialSpec,
        durable: ChunkSet,
        reserved: ChunkSet,
        journal_has_room: bool,
    ) -> Self {
        let files = saturate::<u32>(spec.layout.files());
        Self {
            written: durable.clone(),
            pending: Vec::new(),
            refuted: ChunkSet::empty(spec.layout.chunks()),
            durable,
            dirty: HashSet::new(),
            created: false,
            unsynced: 0,
            // A single file had its room reserved when it was created.
            ready: match &spec.rel {
                Some(_) => ChunkSet::empty(files),
                None => ChunkSet::full(1),
            },
            reserved,
            journal_has_room,
            failures: 0,
            closed: false,
            placed: None,
        }
    }
}

/// Whether the name can be one, and kind and files fit together.
fn check(spec: &PartialSpec) -> Result<(), DiskError> {
    Names::new(&spec.name, &spec.id)?;
    let files = spec.rel.as_ref().map_or(1, |rel| rel.len());
    let is_folder = spec.descriptor.kind == Kind::Folder;
    if is_folder != spec.rel.is_some() || files != spec.layout.files() {
        return Err(DiskError::BadName(spec.name.clone()));
    }
    Ok(())
}

impl Partial {
    /// Creates a download, or takes up one that is there. Where the journal is damaged, missing, or not
    /// of this part, what there is of the part is in `written`. What is not ours alone (another owner,
    /// writable for others, more than one name) is believed in nothing, written to never, and deleted
    /// never; a part of ours is made beside it, and the bytes of the other are in `written` too. So are
    /// chunks that may be in one of these places.
    ///
    /// # Errors
    /// [`DiskError`]; what was there before is kept.
    pub(crate) fn open_from(spec: PartialSpec, places: &[Elsewhere]) -> Result<Opened, DiskError> {
        Self::open_all(spec, Arc::new(NoHook), places)
    }

    #[cfg(test)]
    pub(crate) fn open(spec: PartialSpec) -> Result<Opened, DiskError> {
        Self::open_with(spec, Arc::new(NoHook))
    }

    #[cfg(test)]
    pub(in crate::disk) fn open_with(
        spec: PartialSpec,
        hook: Arc<dyn Hook>,
    ) -> Result<Opened, DiskError> {
        Self::open_all(spec, hook, &[])
    }

    pub(in crate::disk) fn open_all(
        spec: PartialSpec,
        hook: Arc<dyn Hook>,
        places: &[Elsewhere],
    ) -> Result<Opened, DiskError> {
        check(&spec)?;
        let dir_error = |error| DiskError::sort("open", &spec.dir, 0, error);
        fs::create_dir_all(&spec.dir).map_err(dir_error)?;
        let dir = Arc::new(syscalls::open_root_dir(&spec.dir).map_err(dir_error)?);
        let volume = hook.volume(syscalls::stat(&*dir).map_err(dir_error)?.dev);
        let whole = places.iter().find_map(|place| match place {
            Elsewhere::Whole(path) => Some(path.as_path()),
            _ => None,
        });
        let opening = Opening { spec: &spec, dir: &dir, hook: &*hook, whole };
        let elsewhere = elsewhere::find(&spec, &*hook, places)?;
        let mut found = match opening.open()? {
            Ok(found) => *found,
            Err(path) => return Ok(Opened::Finished(path)),
        };
        let chunks = spec.layout.chunks();
        let own = Arc::new(found.own);
        let mut tree = opening.tree(&found.names);
        if spec.rel.is_some() {
            tree = tree.below(own.clone());
        }
        for donor in &elsewhere.donors {
            for chunk in donor.chunks.iter().filter(|chunk| !found.durable.contains(*chunk)) {
                found.unsure.insert(chunk);
            }
        }
        let (mut donors, hashes) = (found.donors, elsewhere.hashes);
        donors.extend(elsewhere.donors);
        let journal_has_room = found.journal.reserve(room_of(Bounds::of(&spec.layout)));
        let reserved = reserved_of(&spec, &tree, &own, &found.durable, &found.unsure);
        let state = State::opened(&spec, found.durable.clone(), reserved, journal_has_room);
        let partial = Arc::new(Self {
            id: spec.id,
            descriptor: spec.descriptor,
            modes: Mutex::new(WriteModes::new(spec.layout.total())),
            tree,
            donors: Donors::new(donors, elsewhere.missed),
            names: found.names,
            norm: found.norm,
            ino: found.ino,
            own: Mutex::new(Some(own)),
            owner: spec.owner,
            keep_free: spec.keep_free,
            dir_path: spec.dir,
            dir,
            volume,
            hook,
            journal: Mutex::new(found.journal),
            state: Mutex::new(state),
            syncing: Mutex::new(()),
            note: found.note,
        });
        debug_assert_eq!(chunks, partial.tree.layout().chunks());
        for (file, index, list) in &hashes {
            if let Err(error) = partial.record_hashes(*file, *index, list) {
                // Learned again after a restart.
                tracing::debug!(%error, "hashes not kept");
            }
        }
        found.hashes.extend(hashes);
        Ok(Opened::Going {
            partial,
            durable: found.durable,
            written: found.unsure,
            hashes: found.hashes,
        })
    }

    /// Which content.
    pub(crate) fn id(&self) -> ContentId {
        self.id
    }

    /// The number of the device that it lies on.
    pub(crate) fn volume(&self) -> u64 {
        self.volume
    }

    /// Tells it apart from every other of this process.
    pub(in crate::disk) fn serial(&self) -> u64 {
        self.tree.number()
    }

    /// Its chunks.
    pub(crate) fn layout(&self) -> &Arc<Layout> {
        self.tree.layout()
    }

    /// For a folder, where its files are below it.
    pub(crate) fn rel(&self) -> Option<Arc<PathList>> {
        self.tree.rel()
    }

    /// Where it is now: the part, or after [`Self::finish`] the finished file or folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.tree.root()
    }

    /// Something the user should know about how it was opened.
    pub(crate) fn note(&self) -> Option<&'static str> {
        self.note
    }

    /// Chunks that can be read.
    pub(crate) fn written(&self) -> ChunkSet {
        self.state().written.clone()
    }

    /// Whether chunks of it are still in another folder, or may be.
    pub(crate) fn comes_from_elsewhere(&self) -> bool {
        self.donors.are_elsewhere()
    }

    /// Deletes those parts in other folders all of whose chunks are durable here, or were found wrong.
    pub(crate) fn leave_donors(&self) {
        let settled = {
            let state = self.state();
            let mut settled = state.durable.clone();
            settled.union_with(&state.refuted);
            settled
        };
        self.donors.leave(&settled);
    }

    /// Bytes written and not yet synced.
    pub(crate) fn unsynced(&self) -> u64 {
        self.state().unsynced
    }

    /// Whether there is room for the chunks of `wanted` that are not here yet, beside what is to stay
    /// free.
    ///
    /// # Errors
    /// [`DiskError::Full`].
    pub(crate) fn check_room(&self, wanted: &ChunkSet) -> Result<(), DiskError> {
        enough_room(&self.dir_path, self.keep_free, self.unreserved(wanted))
    }

    /// Bytes of the disk that the chunks of `wanted` that are not here yet have still to be given, and
    /// what their records in the journal take. Nought: all of that is reserved, and what others fill does
    /// not matter. A single file has its room reserved when it is created, the files of a folder one by
    /// one; not every file system can do that. Does not look at the disk.
    pub(crate) fn unreserved(&self, wanted: &ChunkSet) -> u64 {
        let layout = self.layout();
        let state = self.state();
        let missing = wanted.iter().filter(|chunk| !state.written.contains(*chunk));
        let places = missing.filter_map(|chunk| Some(layout.place(layout.chunk(chunk)?)));
        let without = places.filter(|place| !contains(&state.reserved, place.file));
        let needed: u64 = without.map(|place| in_blocks(u64::from(place.len))).sum();
        match needed {
            0 => 0,
            _ if state.journal_has_room => needed,
            _ => needed.saturating_add(room_of(self.bounds())),
        }
    }

    /// Keeps proven chunk hashes of file `file` from chunk `index` (within the file) on, so that a
    /// restart can check what is on disk without asking anybody.
    ///
    /// # Errors
    /// [`DiskError`]; nothing but that is lost.
    pub(crate) fn record_hashes(
        &self,
        file: u32,
        index: u32,
        hashes: &[Hash],
    ) -> Result<(), DiskError> {
        let lists = hashes.chunks(MAX_HASHES).zip((index..).step_by(MAX_HASHES));
        let records: Vec<Record> = lists
            .map(|(list, index)| Record::Hashes { file, index, hashes: list.to_vec() })
            .collect();
        self.append(&mut self.journal(), &records)
    }

    /// The part itself.
    pub(in crate::disk) fn own(&self) -> Result<Arc<fs::File>, DiskError> {
        let own = self.own.lock().unpoisoned().clone();
        own.ok_or_else(|| DiskError::Changed { path: self.path() })
    }

    /// Closes the part.
    pub(in crate::disk) fn close_own(&self) {
        let own = self.own.lock().unpoisoned().take();
        // Closing may have to write: nobody waits for the lock meanwhile.
        drop(own);
        self.tree.close();
    }

    /// Whether the part still has its name, and nothing else stands there.
    pub(in crate::disk) fn check_own(&self) -> Result<(), DiskError> {
        let error = |error| self.error("look at", 0, error);
        let own = syscalls::stat(&*self.own()?).map_err(error)?;
        let there = syscalls::stat_at(&self.dir, self.names.part.as_str()).map_err(error)?;
        let same = there.is_some_and(|there| (there.dev, there.ino) == (own.dev, own.ino));
        if same && !own.unlinked {
            return Ok(());
        }
        Err(DiskError::Changed { path: self.path() })
    }

    /// A file of a folder is gone: none of its chunks is here, now and after a restart.
    pub(in crate::disk) fn lose_file(&self, file: usize) {
        self.forget_file(file);
        if let Err(error) = self.compact() {
            // Said again at the end, when its length is looked at.
            tracing::warn!(%error, "a file that is gone is still in the journal");
        }
    }

    /// None of a file's chunks counts as written any more.
    pub(in crate::disk) fn forget_file(&self, file: usize) {
        let chunks = self.layout().file_chunks(file).unwrap_or(0..0);
        let mut state = self.state();
        for chunk in chunks.clone() {
            state.written.remove(chunk);
            state.durable.remove(chunk);
        }
        state.dirty.remove(&file);
        state.pending.retain(|chunk| !chunks.contains(chunk));
        state.ready.remove(saturate::<u32>(file));
        state.reserved.remove(saturate::<u32>(file));
    }

    /// Deletes what has been fetched, and the journal. A finished download is not touched.
    ///
    /// # Errors
    /// [`DiskError`] if something of it could not be deleted.
    pub(crate) fn delete(&self) -> Result<(), DiskError> {
        // A sync opens the files it syncs, which would make them anew.
        let _one = self.syncing.lock().unpoisoned();
        let placed = {
            let mut state = self.state();
            state.closed = true;
            state.written = ChunkSet::empty(self.layout().chunks());
            state.placed.is_some()
        };
        let there = syscalls::stat_at(&self.dir, self.names.part.as_str());
        let there = there.map_err(|e| self.error("delete", 0, e))?;
        // Somebody may have put his own there meanwhile.
        let ours = there
            .is_some_and(|seen| seen.ino == self.ino || self.norm.judge(&seen) != Claim::Other);
        self.close_own();
        if !placed && ours {
            remove_part(&self.dir, &self.dir_path, &self.names.part)
                .map_err(|e| self.error("delete", 0, e))?;
        }
        self.forget_journal()?;
        self.donors.forget();
        Ok(())
    }

    /// The target folder as it is called now: it may have been renamed since.
    pub(in crate::disk) fn dir_now(&self) -> PathBuf {
        let same = |seen: &syscalls::Seen| {
            syscalls::stat(&*self.dir)
                .is_ok_and(|here| (here.dev, here.ino) == (seen.dev, seen.ino))
        };
        let there = syscalls::open_root_dir(&self.dir_path).and_then(syscalls::stat);
        let renamed = || syscalls::path_of(&self.dir);
        match there {
            Ok(seen) if same(&seen) => self.dir_path.clone(),
            _ => renamed().unwrap_or_else(|| self.dir_path.clone()),
        }
    }

    /// Removes the journal.
    pub(in crate::disk) fn forget_journal(&self) -> Result<(), DiskError> {
        let removed = self
            .hook
            .before(Step::Unlink)
            .and_then(|()| syscalls::remove_file(&self.dir, self.names.state.as_str()))
            .and_then(|()| syscalls::remove_file(&self.dir, self.names.state_new.as_str()));
        removed.map_err(|error| self.error("delete the journal of", 0, error))
    }

    pub(in crate::disk) fn append(
        &self,
        journal: &mut Journal,
        records: &[Record],
    ) -> Result<(), DiskError> {
        let len = records.iter().map(Record::encoded_len).sum();
        let appended =
            self.hook.before(Step::Append { len }).and_then(|()| journal.append(records));
        appended.map_err(|error| self.error("write the journal of", len as u64, error))
    }

    pub(in crate::disk) fn bounds(&self) -> Bounds {
        Bounds::of(self.layout())
    }

    /// Forgets which files have their room: after they may have been replaced. What is open is to be
    /// closed then, without holding the state: closing may have to write, and a disk may hang.
    pub(in crate::disk) fn forget_room(state: &mut State) {
        state.ready = ChunkSet::empty(state.ready.chunks());
        state.reserved = ChunkSet::empty(state.reserved.chunks());
    }

    /// The state, unless nothing may be written any more.
    pub(in crate::disk) fn open_state(&self) -> Result<MutexGuard<'_, State>, DiskError> {
        let state = self.state();
        if state.closed { Err(self.misuse("the download has ended")) } else { Ok(state) }
    }

    pub(in crate::disk) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }

    pub(in crate::disk) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unpoisoned()
    }

    pub(in crate::disk) fn error(
        &self,
        doing: &'static str,
        needed: u64,
        error: io::Error,
    ) -> DiskError {
        if error.kind() == ErrorKind::NotFound {
            return DiskError::Changed { path: self.path() };
        }
        DiskError::sort(doing, &self.path(), needed, error)
    }

    pub(in crate::disk) fn misuse(&self, what: &'static str) -> DiskError {
        DiskError::Io { doing: "write", path: self.path(), source: io::Error::other(what) }
    }
}

/// Files begun before of which it is found out whether they have their room; the others count as having
/// none. More than are ever begun at once.
const MAX_BEGUN: usize = 1024;

/// Files whose room is reserved, as far as the disk tells.
fn reserved_of(
    spec: &PartialSpec,
    tree: &FileTree,
    own: &fs::File,
    durable: &ChunkSet,
    unsure: &ChunkSet,
) -> ChunkSet {
    let layout = &spec.layout;
    let mut reserved = ChunkSet::empty(saturate::<u32>(layout.files()));
    if spec.rel.is_none() {
        if syscalls::stat(own).is_ok_and(|seen| seen.allocated >= spec.descriptor.size) {
            reserved.insert(0);
        }
        return reserved;
    }
    let begun = |file: &usize| {
        let mut chunks = layout.file_chunks(*file).unwrap_or(0..0);
        chunks.len() > 1
            && !chunks.clone().all(|chunk| durable.contains(chunk))
            && chunks.any(|chunk| durable.contains(chunk) || unsure.contains(chunk))
    };
    for file in (0..layout.files()).filter(begun).take(MAX_BEGUN) {
        let size = layout.file_size(file).unwrap_or(u64::MAX);
        let seen = tree.open_uncached(file, Access::Read).and_then(syscalls::stat);
        if seen.is_ok_and(|seen| seen.allocated >= size) {
            reserved.insert(saturate::<u32>(file));
        }
    }
    reserved
}

pub(in crate::disk) fn contains(files: &ChunkSet, file: usize) -> bool {
    files.contains(saturate::<u32>(file))
}

impl ChunkSource for Partial {
    fn volume(&self, _: u32) -> u64 {
        self.volume
    }

    fn read(&self, chunk: u32, off: u32, out: &mut [u8]) -> Result<(), ReadError> {
        let place = self.tree.place(chunk, off, out.len())?;
        if !self.state().written.contains(chunk) {
            return Err(ReadError::Gone);
        }
        self.tree.read_at(place.file, place.offset + u64::from(off), out)
    }

    fn read_cached(&self, chunk: u32, off: u32, out: &mut [u8]) -> bool {
        let Ok(place) = self.tree.place(chunk, off, out.len()) else { return false };
        self.state().written.contains(chunk)
            && self.tree.read_cached(place.file, place.offset + u64::from(off), out).is_some()
    }
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partial({}, {:?})", self.id.short(), self.path())
    }
}
