//! The file of the library: opened, opened anew after a failure, made at the first start.
//!
//! redb wants to be opened anew after one failed read or write; until then it refuses everything. Whoever
//! meets a failure closes it, and whoever comes next opens it again.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use common::lock::Unpoisoned as _;

use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase as _, WriteTransaction};

use super::error::LibraryError;
use super::redb_error::{Failure, closed, guarded, open_error};

/// Name of the database in the state folder.
pub(super) const FILE_NAME: &str = "library.redb";
/// What it is called until it holds its tables: the first start makes it under this name, so that there
/// is never half a library under the right one.
const NEW_NAME: &str = "library.redb.new";
/// Pages held in memory; the whole is read once at start, then hardly at all.
const CACHE_LEN: usize = 16 * 1024 * 1024;
/// The first bytes of every redb file; written last when one is made.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// redb's header lies in the first page.
const PAGE_LEN: usize = 4096;
/// A database that was being made is at most this long; one that held something may be longer.
const MAX_NEW_LEN: u64 = 16 * 1024 * 1024;

/// Makes a database of an open file, which is emptied before for a new one. Tests put faults between.
pub(crate) type Opener = Arc<dyn Fn(File) -> Result<Database, DatabaseError> + Send + Sync>;

/// As the program opens it.
pub(crate) fn plain_opener() -> Opener {
    Arc::new(|file| Database::builder().set_cache_size(CACHE_LEN).create_file(file))
}

/// See the module.
pub(super) struct Base {
    path: PathBuf,
    opener: Opener,
    slot: RwLock<Slot>,
    /// Holds the folder also while the database is closed after a failure. Not every file system can lock
    /// folders; there the database's own lock has to do.
    _folder: Option<File>,
}

struct Slot {
    /// `None` after a failure, and while it is dropped.
    db: Option<Database>,
    /// How many times it was opened.
    opened: u64,
}

impl Drop for Base {
    fn drop(&mut self) {
        let db = self.slot.get_mut().unpoisoned().db.take();
        close(&self.path, db);
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Base {
    /// Opens the library of a state folder, or makes it; `prepare` gives it its tables.
    pub(super) fn open(
        state_dir: &Path,
        opener: Opener,
        prepare: impl Fn(&Database) -> Result<(), Failure>,
    ) -> Result<Self, LibraryError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(|source| LibraryError::Io { path: state_dir.to_path_buf(), source })?;
        let folder = lock_folder(state_dir)?;
        let path = state_dir.join(FILE_NAME);
        let db = match existing(state_dir, &path)? {
            Some(file) => {
                let db = open_file(state_dir, &path, &opener, file)?;
                guarded(&path, || prepare(&db))?;
                db
            }
            None => create(state_dir, &path, &opener, prepare)?,
        };
        let slot = RwLock::new(Slot { db: Some(db), opened: 1 });
        Ok(Self { path, opener, slot, _folder: folder })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes something; one durable commit. Nothing is changed after an error.
    pub(super) fn write<R>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<R, Failure>,
    ) -> Result<R, LibraryError> {
        self.run(|db| {
            let txn = db.begin_write()?;
            let result = change(&txn)?;
            txn.commit()?;
            Ok(result)
        })
    }

    /// Looks something up. What a failure of somebody else spoiled is looked up once more.
    pub(super) fn read<R>(
        &self,
        look: impl Fn(&ReadTransaction) -> Result<R, Failure>,
    ) -> Result<R, LibraryError> {
        let once = || self.run(|db| look(&db.begin_read()?));
        match once() {
            Err(LibraryError::Io { .. }) => once(),
            other => other,
        }
    }

    fn run<R>(
        &self,
        work: impl FnOnce(&Database) -> Result<R, Failure>,
    ) -> Result<R, LibraryError> {
        let slot = self.opened()?;
        let opened = slot.opened;
        let mut spoiled = true;
        let result = guarded(&self.path, || {
            let result = work(slot.db.as_ref().ok_or_else(closed)?);
            spoiled = matches!(result, Err(Failure::Db(_)));
            result
        });
        drop(slot);
        if spoiled {
            self.close(opened);
        }
        result
    }

    /// The database, opened anew if it had to be closed.
    fn opened(&self) -> Result<RwLockReadGuard<'_, Slot>, LibraryError> {
        loop {
            let slot = self.slot.read().unpoisoned();
            if slot.db.is_some() {
                return Ok(slot);
            }
            drop(slot);
            let mut slot = self.slot.write().unpoisoned();
            if slot.db.is_none() {
                let state_dir = self.path.parent().unwrap_or(Path::new(""));
                let file = OpenOptions::new().read(true).write(true).open(&self.path);
                let file = file.map_err(|source| self.io(source))?;
                slot.db = Some(open_file(state_dir, &self.path, &self.opener, file)?);
                slot.opened += 1;
            }
        }
    }

    /// Closes what was opened as number `opened`, if nobody has yet.
    fn close(&self, opened: u64) {
        let mut slot = self.slot.write().unpoisoned();
        if slot.opened == opened {
            close(&self.path, slot.db.take());
        }
    }

    fn io(&self, source: io::Error) -> LibraryError {
        LibraryError::Io { path: self.path.clone(), source }
    }
}

/// Closing writes; what was committed is safe whether that works or not.
fn close(path: &Path, db: Option<Database>) {
    let _ = guarded(path, || {
        drop(db);
        Ok(())
    });
}

/// One process for each folder.
fn lock_folder(state_dir: &Path) -> Result<Option<File>, LibraryError> {
    let Ok(folder) = File::open(state_dir) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(LibraryError::Locked(state_dir.to_path_buf())),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn open_file(
    state_dir: &Path,
    path: &Path,
    opener: &Opener,
    file: File,
) -> Result<Database, LibraryError> {
    guarded(path, || Ok(opener(file)))?.map_err(|error| open_error(state_dir, path, error))
}

/// The library that is there, unless it never held anything: earlier versions made it in place, and were
/// killed or found no room.
fn existing(state_dir: &Path, path: &Path) -> Result<Option<File>, LibraryError> {
    let io = |source| LibraryError::Io { path: path.to_path_buf(), source };
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if holds_something(&mut file).map_err(io)? {
        return Ok(Some(file));
    }
    match file.try_lock() {
        // An earlier version is making it just now.
        Err(TryLockError::WouldBlock) => Err(LibraryError::Locked(state_dir.to_path_buf())),
        _ => Ok(None),
    }
}

/// Whether a database was ever completed in a file. redb writes its first bytes last, and only the first
/// page before; damage to that page leaves others that are not empty.
fn holds_something(file: &mut File) -> io::Result<bool> {
    let len = file.metadata()?.len();
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(PAGE_LEN as u64).read_to_end(&mut head)?;
    let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let begins_blank = head.get(..MAGIC.len()).is_none_or(is_blank);
    if len == 0 || !begins_blank || len > MAX_NEW_LEN {
        return Ok(len > 0);
    }
    let mut page = Vec::with_capacity(PAGE_LEN);
    loop {
        page.clear();
        if file.take(PAGE_LEN as u64).read_to_end(&mut page)? == 0 {
            return Ok(false);
        }
        if !is_blank(&page) {
            return Ok(true);
        }
    }
}

/// Makes a library under another name, and gives it its own when it is complete and on disk.
fn create(
    state_dir: &Path,
    path: &Path,
    opener: &Opener,
    prepare: impl Fn(&Database) -> Result<(), Failure>,
) -> Result<Database, LibraryError> {
    let new = state_dir.join(NEW_NAME);
    let io = |at: &Path| {
        let path = at.to_path_buf();
        move |source| LibraryError::Io { path, source }
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&new)
        .map_err(io(&new))?;
    // Only where folders cannot be locked can there be another who makes one, or who has just done so: what
    // we hold may have its right name by now.
    let locked = || LibraryError::Locked(state_dir.to_path_buf());
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(locked());
    }
    let (ours, there) = (file.metadata().map_err(io(&new))?, fs::metadata(&new));
    if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
        return Err(locked());
    }
    // What an earlier try left.
    file.set_len(0).map_err(io(&new))?;
    let make = || -> Result<Database, LibraryError> {
        let db = open_file(state_dir, &new, opener, file)?;
        guarded(&new, || prepare(&db))?;
        fs::rename(&new, path).map_err(io(path))?;
        File::open(state_dir).and_then(|dir| dir.sync_all()).map_err(io(state_dir))?;
        Ok(db)
    };
    make().inspect_err(|_| {
        // Nothing of it is needed; the next try begins anew either way.
        let _ = fs::remove_file(&new);
    })
}
