//! A download in progress: `.<name>.<id8>.part` (a file, or a folder with the files inside) and its
//! journal `.<name>.<id8>.state`, both in the target folder.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash};
use common::layout::{Layout, Place};
use common::limits::MAX_HASHES;
use common::names::PathList;

use super::error::{DiskError, ReadError};
use super::journal::{Bounds, Journal, Record};
use super::names::Names;
use super::open::{Opening, bounds_of, enough_room, remove_part};
use super::sys::{self, Access, Hook, NoHook, Step};
use super::tree::{ChunkSource, FileTree};
use super::way::{Way, Ways};

/// What to download and where to.
#[derive(Debug, Clone)]
pub struct PartialSpec {
    /// Its id.
    pub id: ContentId,
    /// Its kind, size and root.
    pub descriptor: Descriptor,
    /// Its chunks.
    pub layout: Arc<Layout>,
    /// For a folder, the safe path of every file below it, in layout order.
    pub rel: Option<Arc<PathList>>,
    /// What to call it: one safe component.
    pub name: String,
    /// Target folder; created if it is not there.
    pub dir: PathBuf,
}

/// Locks for the files of one download that are written to; files whose numbers are equal modulo this
/// share one, which costs little: more than there are workers on most machines.
const WRITE_LOCKS: usize = 16;

/// What [`Partial::open`] found or made.
#[derive(Debug)]
pub enum Opened {
    /// A download in progress.
    Going {
        /// It.
        partial: Arc<Partial>,
        /// Chunks that are certainly on disk.
        durable: ChunkSet,
        /// Chunks that were written and perhaps lost since: see [`Partial::recheck`].
        written: ChunkSet,
        /// Proven chunk hashes of earlier: file, number of the first within the file, hashes.
        hashes: Vec<(u32, u32, Vec<Hash>)>,
    },
    /// It was finished when the program stopped, and is there.
    Finished(PathBuf),
}

/// A download in progress. Its methods block; any thread may call any of them.
pub struct Partial {
    pub(super) id: ContentId,
    pub(super) descriptor: Descriptor,
    pub(super) names: Names,
    pub(super) dir_path: PathBuf,
    pub(super) dir: OwnedFd,
    pub(super) tree: FileTree,
    pub(super) hook: Arc<dyn Hook>,
    /// Taken before `state` where both are.
    pub(super) journal: Mutex<Journal>,
    pub(super) state: Mutex<State>,
    /// Held during a sync: one at a time.
    pub(super) syncing: Mutex<()>,
    /// Held while a file is written to. Without it workers meet inside the system, which lets them spin
    /// until the other is done (a sixth of all CPU time where memory is slow to come by).
    writing: [Mutex<()>; WRITE_LOCKS],
    pub(super) ways: Mutex<Ways>,
    note: Option<&'static str>,
}

/// What is where.
pub(super) struct State {
    pub(super) written: ChunkSet,
    pub(super) durable: ChunkSet,
    /// Written since the last sync began.
    pub(super) pending: Vec<u32>,
    /// Files written to since the last sync began.
    pub(super) dirty: HashSet<usize>,
    /// Whether files were created since then.
    pub(super) created: bool,
    /// Bytes written and not synced, those in a running sync included.
    pub(super) unsynced: u64,
    /// Files known to have their room reserved.
    ready: ChunkSet,
    /// Counts failed syncs: a write that began before one and ended after it may be lost too.
    pub(super) failures: u32,
    /// Finished or deleted: nothing is written any more.
    pub(super) closed: bool,
    /// Where it was put at the end.
    pub(super) placed: Option<PathBuf>,
}

impl Partial {
    /// Creates a download, or takes up one that is there. A journal of something else, or none, means
    /// starting over; a part that is not the one the journal was written for is hashed again (all its
    /// chunks are in `written` then).
    ///
    /// # Errors
    /// [`DiskError`]; what was there before is kept.
    pub fn open(spec: PartialSpec) -> Result<Opened, DiskError> {
        Self::open_with(spec, Arc::new(NoHook))
    }

    pub(super) fn open_with(spec: PartialSpec, hook: Arc<dyn Hook>) -> Result<Opened, DiskError> {
        let names = Names::new(&spec.name, &spec.id)?;
        let files = spec.rel.as_ref().map_or(1, |rel| rel.len());
        if (spec.descriptor.kind == Kind::Folder) != spec.rel.is_some()
            || files != spec.layout.files()
        {
            return Err(DiskError::BadName(spec.name));
        }
        let dir_error = |error| DiskError::sort("open", &spec.dir, 0, error);
        fs::create_dir_all(&spec.dir).map_err(dir_error)?;
        let dir = sys::open_root_dir(&spec.dir).map_err(dir_error)?;
        let opening = Opening { spec: &spec, names: &names, dir: &dir, hook: &*hook };
        let found = match opening.open()? {
            Ok(found) => found,
            Err(path) => return Ok(Opened::Finished(path)),
        };
        let chunks = spec.layout.chunks();
        let part = spec.dir.join(&names.part);
        let state = State {
            written: found.durable.clone(),
            durable: found.durable.clone(),
            pending: Vec::new(),
            dirty: HashSet::new(),
            created: false,
            unsynced: 0,
            // A single file had its room reserved when it was created.
            ready: match &spec.rel {
                Some(_) => ChunkSet::empty(u32::try_from(files).unwrap_or(u32::MAX)),
                None => ChunkSet::full(1),
            },
            failures: 0,
            closed: false,
            placed: None,
        };
        let partial = Arc::new(Self {
            id: spec.id,
            descriptor: spec.descriptor,
            ways: Mutex::new(Ways::new(spec.layout.total())),
            tree: FileTree::new(spec.layout, part, spec.rel),
            writing: Default::default(),
            names,
            dir_path: spec.dir,
            dir,
            hook,
            journal: Mutex::new(found.journal),
            state: Mutex::new(state),
            syncing: Mutex::new(()),
            note: found.note,
        });
        debug_assert_eq!(chunks, partial.tree.layout().chunks());
        Ok(Opened::Going {
            partial,
            durable: found.durable,
            written: found.written,
            hashes: found.hashes,
        })
    }

    /// Which content.
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// Tells it apart from every other of this process.
    pub(super) fn serial(&self) -> u64 {
        self.tree.number()
    }

    /// Its chunks.
    pub fn layout(&self) -> &Arc<Layout> {
        self.tree.layout()
    }

    /// For a folder, where its files are below it.
    pub fn rel(&self) -> Option<Arc<PathList>> {
        self.tree.rel()
    }

    /// Where it is now: the part, or after [`Self::finish`] the finished file or folder.
    pub fn path(&self) -> PathBuf {
        self.tree.root()
    }

    /// Something the user should know about how it was opened.
    pub fn note(&self) -> Option<&'static str> {
        self.note
    }

    /// Chunks that can be read.
    pub fn written(&self) -> ChunkSet {
        self.state().written.clone()
    }

    /// Bytes written and not yet synced.
    pub fn unsynced(&self) -> u64 {
        self.state().unsynced
    }

    /// Whether there is room for the chunks of `wanted` that are not here yet. Single files had their
    /// room reserved when they were created; the files of a folder get theirs one by one.
    ///
    /// # Errors
    /// [`DiskError::Full`].
    pub fn check_room(&self, wanted: &ChunkSet) -> Result<(), DiskError> {
        if self.descriptor.kind == Kind::File {
            return Ok(());
        }
        let layout = self.layout();
        let state = self.state();
        let missing = wanted.iter().filter(|chunk| !state.written.contains(*chunk));
        let lens = missing.filter_map(|n| layout.chunk(n)).map(|c| u64::from(layout.len_of(c)));
        let needed = lens.sum();
        drop(state);
        enough_room(&self.dir_path, needed)
    }

    /// Keeps proven chunk hashes of file `file` from chunk `index` (within the file) on, so that a
    /// restart can check what is on disk without asking anybody.
    ///
    /// # Errors
    /// [`DiskError`]; nothing but that is lost.
    pub fn record_hashes(&self, file: u32, index: u32, hashes: &[Hash]) -> Result<(), DiskError> {
        let lists = hashes.chunks(MAX_HASHES).zip((index..).step_by(MAX_HASHES));
        let records: Vec<Record> = lists
            .map(|(list, index)| Record::Hashes { file, index, hashes: list.to_vec() })
            .collect();
        self.append(&mut self.journal(), &records)
    }

    /// Writes a verified chunk: its bytes in order, exactly as many as it has. `read_soon` if somebody is
    /// about to ask for it: it stays in the system's memory then.
    ///
    /// # Errors
    /// [`DiskError`]; the chunk does not count as written then.
    pub fn write_chunk(
        &self,
        chunk: u32,
        bufs: &[&[u8]],
        read_soon: bool,
    ) -> Result<(), DiskError> {
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        let place = self.tree.place(chunk, 0, len).ok().filter(|p| p.len as usize == len);
        let place = place.ok_or_else(|| self.misuse("a chunk of the wrong length"))?;
        let failures = self.open_state()?.failures;
        let error = |error| self.error("write", u64::from(place.len), error);
        self.hook.before(Step::Write { chunk }).map_err(error)?;
        let file = self.tree.open(place.file, Access::Write).map_err(error)?;
        self.reserve(place.file, &file)?;
        let mut way = self.ways().next(len, read_soon);
        let mut began = Instant::now();
        if way == Way::Cached || !self.write_direct(&place, bufs) {
            // Waiting for the lock counts: only one worker at a time can go this way.
            (way, began) = (Way::Cached, Instant::now());
            let turn = place.file % WRITE_LOCKS;
            let _alone = self.writing.get(turn).map(|file| file.lock());
            sys::write_all(&file, bufs, place.offset).map_err(error)?;
        }
        self.ways().note(way, len, began.elapsed());

        let mut journal = self.journal();
        self.append(&mut journal, &[Record::Written { start: chunk, run: 1 }])?;
        let mut state = self.open_state()?;
        if state.failures != failures {
            return Err(DiskError::Unsure { path: self.path() });
        }
        state.written.insert(chunk);
        state.pending.push(chunk);
        state.dirty.insert(place.file);
        state.unsynced += u64::from(place.len);
        Ok(())
    }

    /// Writes past the system's cache; `false` if it has to be written as usual.
    fn write_direct(&self, place: &Place, bufs: &[&[u8]]) -> bool {
        let file = self.tree.open(place.file, Access::Direct);
        match file.and_then(|file| sys::write_direct(&file, bufs, place.offset)) {
            Ok(written) => written,
            Err(error) => {
                if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) {
                    self.ways().refuse_direct();
                }
                // A real trouble with the disk shows itself again the usual way.
                tracing::debug!(%error, "not written past the cache");
                false
            }
        }
    }

    /// Deletes what has been fetched, and the journal. A finished download is not touched.
    ///
    /// # Errors
    /// [`DiskError`] if something of it could not be deleted.
    pub fn delete(&self) -> Result<(), DiskError> {
        // A sync opens the files it syncs, which would make them anew.
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let placed = {
            let mut state = self.state();
            state.closed = true;
            state.written = ChunkSet::empty(self.layout().chunks());
            state.placed.is_some()
        };
        self.tree.close();
        if !placed {
            remove_part(&self.dir, &self.dir_path, &self.names.part)
                .map_err(|e| self.error("delete", 0, e))?;
        }
        self.forget_journal()
    }

    /// Removes the journal.
    pub(super) fn forget_journal(&self) -> Result<(), DiskError> {
        let removed = self
            .hook
            .before(Step::Unlink)
            .and_then(|()| sys::remove_file(&self.dir, self.names.state.as_str()))
            .and_then(|()| sys::remove_file(&self.dir, self.names.state_new.as_str()));
        removed.map_err(|error| self.error("delete the journal of", 0, error))
    }

    /// Makes room for a whole file before its first write; one chunk is written at once anyway.
    fn reserve(&self, file: usize, handle: &fs::File) -> Result<(), DiskError> {
        let number = u32::try_from(file).unwrap_or(u32::MAX);
        if self.state().ready.contains(number) {
            return Ok(());
        }
        let size = self.layout().file_size(file).unwrap_or(0);
        let error = |error| self.error("reserve room for", size, error);
        let is = handle.metadata().map_err(error)?.len();
        if is < size && size > u64::from(self.layout().chunk_len()) {
            sys::reserve(handle, size).map_err(error)?;
        }
        let mut state = self.state();
        state.ready.insert(number);
        state.created |= is == 0;
        Ok(())
    }

    pub(super) fn append(
        &self,
        journal: &mut Journal,
        records: &[Record],
    ) -> Result<(), DiskError> {
        let len = records.iter().map(Record::encoded_len).sum();
        let appended =
            self.hook.before(Step::Append { len }).and_then(|()| journal.append(records));
        appended.map_err(|error| self.error("write the journal of", len as u64, error))
    }

    pub(super) fn bounds(&self) -> Bounds {
        bounds_of(self.layout())
    }

    /// Forgets which files have their room: after they may have been replaced.
    pub(super) fn reopen(&self, state: &mut State) {
        state.ready = ChunkSet::empty(state.ready.chunks());
        self.tree.close();
    }

    /// The state, unless nothing may be written any more.
    pub(super) fn open_state(&self) -> Result<MutexGuard<'_, State>, DiskError> {
        let state = self.state();
        if state.closed { Err(self.misuse("the download has ended")) } else { Ok(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, doing: &'static str, needed: u64, error: io::Error) -> DiskError {
        if error.kind() == ErrorKind::NotFound {
            return DiskError::Changed { path: self.path() };
        }
        DiskError::sort(doing, &self.path(), needed, error)
    }

    pub(super) fn misuse(&self, what: &'static str) -> DiskError {
        DiskError::Io { doing: "write", path: self.path(), source: io::Error::other(what) }
    }
}

impl ChunkSource for Partial {
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
