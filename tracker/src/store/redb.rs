//! Records in one redb file: checksummed, copy on write, whole after any crash.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use ::redb::{
    Database, DatabaseError, Error, ReadOnlyDatabase, ReadableDatabase, ReadableTable,
    StorageError, Table, TableDefinition, WriteTransaction,
};
use common::id::{ContentId, ID_LEN, PeerId};
use common::names::check_component;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::damage::{clear_unborn, close, guarded, set_aside, sync_folder};
use super::{MetaStore, StoreError};
use crate::record::{Change, FileRecord, Saved, Target};

/// Format of the tables and records.
const SCHEMA: u64 = 1;
const SCHEMA_KEY: &str = "schema";
/// Pages held in memory: read once at start, then only written.
const CACHE_LEN: usize = 32 * 1024 * 1024;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FILES: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("files");
const PEERS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("peers");
/// Peer and content → name.
const SHARES: TableDefinition<'_, &[u8; 2 * ID_LEN], &str> = TableDefinition::new("shares");
/// Who may not join. Not in the files of older programs, which leave it alone.
const BANS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bans");

/// Keeps records in a file. One process at a time.
///
/// A damaged file is set aside under another name, and a new one begun: what the tracker knows it has from its
/// peers, and they say it again.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    /// `None` after a failed write: redb wants to be opened anew then.
    db: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    db: Database,
    /// The same open file as redb's.
    file: File,
}

/// An error, and what was open when it came.
struct Broken {
    error: StoreError,
    db: Option<Database>,
    file: Option<File>,
}

impl Broken {
    /// The error, when nothing more is to be done with the file.
    fn give_up(self) -> StoreError {
        close(self.db);
        self.error
    }
}

impl RedbStore {
    /// Opens or creates the file (mode 0600). A damaged one is set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut store = Self { path: path.to_owned(), db: None };
        if let Err(broken) = store.reopen() {
            store.begin_anew(broken)?;
        }
        Ok(store)
    }

    /// Opens the file, if it is not open.
    fn reopen(&mut self) -> Result<(), Broken> {
        if self.db.is_some() {
            return Ok(());
        }
        let file = open_file(&self.path).map_err(|error| Broken { error, db: None, file: None })?;
        let opened = match file.try_clone() {
            Ok(redbs) => guarded(&self.path, || open_database(&self.path, redbs)),
            Err(error) => Err(explain(&self.path, StorageError::Io(error).into())),
        };
        match opened {
            Ok(db) => {
                self.db = Some(Opened { db, file });
                Ok(())
            }
            Err(error) => Err(Broken { error, db: None, file: Some(file) }),
        }
    }

    /// Does `work` with the open database. After an error it is not open any more.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, Broken> {
        self.reopen()?;
        let Some(opened) = self.db.take() else {
            return Err(Broken { error: StoreError::Closed, db: None, file: None });
        };
        match guarded(&self.path, || work(&opened.db)) {
            Ok(value) => {
                self.db = Some(opened);
                Ok(value)
            }
            Err(error) => Err(Broken { error, db: Some(opened.db), file: Some(opened.file) }),
        }
    }

    /// Sets a damaged file aside and begins a new one with what can still be read of it; returns that. Any other
    /// error stays one.
    fn begin_anew(&mut self, broken: Broken) -> Result<Saved, StoreError> {
        let Broken { error: damage, db, file } = broken;
        let (StoreError::Corrupt { .. }, Some(file)) = (&damage, file) else {
            close(db);
            return Err(damage);
        };
        let saved = match &db {
            Some(db) => self.salvage(db),
            // To be read only it may still be opened.
            None => {
                let open = || {
                    ReadOnlyDatabase::open(&self.path)
                        .map_err(|error| explain_open(&self.path, error))
                };
                let db = guarded(&self.path, open).ok();
                let saved = db.as_ref().map(|db| self.salvage(db)).unwrap_or_default();
                close(db);
                saved
            }
        };
        close(db);
        let aside = set_aside(&self.path, &file)?;
        let kept = saved.clone().into_changes();
        tracing::error!(
            "{damage}. It is kept as {}, and a new one begun with {} records that could be read; peers register again by themselves",
            aside.display(),
            kept.len()
        );
        let path = self.path.clone();
        self.with(|db| write_all(db, &kept).map_err(|error| explain(&path, error)))
            .map_err(Broken::give_up)?;
        Ok(saved)
    }

    /// What can be read of a damaged file.
    fn salvage(&self, db: &dyn ReadableDatabase) -> Saved {
        let mut saved = Saved::default();
        // Each kind by itself: damage of one says nothing about the others. What was read before a bad record is
        // as good as any.
        for read in READERS {
            let _ = guarded(&self.path, || Ok(read(db, &mut saved).is_ok()));
        }
        saved
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        close(self.db.take());
    }
}

impl MetaStore for RedbStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        let path = self.path.clone();
        let loaded = self.with(|db| {
            let mut saved = Saved::default();
            READERS.iter().try_for_each(|read| read(db, &mut saved)).map_err(
                |error| match error {
                    ReadError::Redb(error) => explain(&path, error),
                    ReadError::Record(why) => StoreError::Corrupt { path: path.clone(), why },
                },
            )?;
            Ok(saved)
        });
        loaded.or_else(|broken| self.begin_anew(broken))
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        let write = |db: &Database| write_all(db, changes).map_err(|error| explain(&path, error));
        let Err(broken) = self.with(write) else { return Ok(()) };
        self.begin_anew(broken)?;
        self.with(write).map_err(Broken::give_up)
    }
}

#[derive(Debug)]
enum ReadError {
    Redb(Error),
    Record(String),
}

impl<E: Into<Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

fn open_file(path: &Path) -> Result<File, StoreError> {
    let failed = |error| explain(path, StorageError::Io(error).into());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    clear_unborn(&mut file).map_err(failed)?;
    Ok(file)
}

fn open_database(path: &Path, file: File) -> Result<Database, StoreError> {
    let fresh = file.metadata().is_ok_and(|meta| meta.len() == 0);
    let db = Database::builder()
        .set_cache_size(CACHE_LEN)
        .create_file(file)
        .map_err(|error| explain_open(path, error))?;
    let found = prepare(&db).map_err(|error| explain(path, error))?;
    if fresh {
        // So that a power cut does not take the name of the new file.
        sync_folder(path).map_err(|error| explain(path, StorageError::Io(error).into()))?;
    }
    if found == SCHEMA {
        Ok(db)
    } else {
        Err(StoreError::TooNew { path: path.to_owned(), found, known: SCHEMA })
    }
}

/// Makes the tables if there are none; returns the format of the file.
fn prepare(db: &Database) -> Result<u64, Error> {
    let found = match db.begin_read()?.open_table(META) {
        Ok(meta) => meta.get(SCHEMA_KEY)?.map(|value| value.value()),
        Err(::redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let txn = db.begin_write()?;
    txn.open_table(META)?.insert(SCHEMA_KEY, SCHEMA)?;
    txn.open_table(FILES)?;
    txn.open_table(PEERS)?;
    txn.open_table(SHARES)?;
    txn.commit()?;
    Ok(SCHEMA)
}

type Reader = fn(&dyn ReadableDatabase, &mut Saved) -> Result<(), ReadError>;
const READERS: [Reader; 4] = [read_bans, read_peers, read_files, read_shares];

fn read_files(db: &dyn ReadableDatabase, saved: &mut Saved) -> Result<(), ReadError> {
    for item in db.begin_read()?.open_table(FILES)?.iter()? {
        let (key, value) = item?;
        let record: FileRecord = unpack(value.value())?;
        named(&record.name)?;
        saved.files.push((ContentId::from_bytes(*key.value()), record));
    }
    Ok(())
}

/// A name as the index lets it in. What was zeroed is still text, but no name.
fn named(name: &str) -> Result<&str, ReadError> {
    check_component(name).map_err(|error| ReadError::Record(format!("a name: {error}")))?;
    Ok(name)
}

fn read_peers(db: &dyn ReadableDatabase, saved: &mut Saved) -> Result<(), ReadError> {
    for item in db.begin_read()?.open_table(PEERS)?.iter()? {
        let (key, value) = item?;
        saved.peers.push((PeerId::from_bytes(*key.value()), unpack(value.value())?));
    }
    Ok(())
}

fn read_shares(db: &dyn ReadableDatabase, saved: &mut Saved) -> Result<(), ReadError> {
    for item in db.begin_read()?.open_table(SHARES)?.iter()? {
        let (key, value) = item?;
        let (peer, id) = key.value().split_at(ID_LEN);
        let bad = |_| ReadError::Record("a key has the wrong length".to_owned());
        let peer = PeerId::try_from(peer).map_err(bad)?;
        let id = ContentId::try_from(id).map_err(bad)?;
        saved.shares.push((peer, id, named(value.value())?.into()));
    }
    Ok(())
}

fn read_bans(db: &dyn ReadableDatabase, saved: &mut Saved) -> Result<(), ReadError> {
    let bans = match db.begin_read()?.open_table(BANS) {
        Ok(bans) => bans,
        Err(::redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for item in bans.iter()? {
        let (key, value) = item?;
        let bad = || ReadError::Record("a ban is of nobody".to_owned());
        let target = Target::from_bytes(key.value()).ok_or_else(bad)?;
        saved.bans.push((target, unpack(value.value())?));
    }
    Ok(())
}

fn write_all(db: &Database, changes: &[Change]) -> Result<(), Error> {
    let txn = db.begin_write()?;
    {
        let mut tables = Tables::open(&txn)?;
        changes.iter().try_for_each(|change| tables.apply(change))?;
    }
    txn.commit()?;
    Ok(())
}

struct Tables<'txn> {
    files: Table<'txn, &'static [u8; ID_LEN], &'static [u8]>,
    peers: Table<'txn, &'static [u8; ID_LEN], &'static [u8]>,
    shares: Table<'txn, &'static [u8; 2 * ID_LEN], &'static str>,
    bans: Table<'txn, &'static [u8], &'static [u8]>,
}

impl<'txn> Tables<'txn> {
    fn open(txn: &'txn WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            files: txn.open_table(FILES)?,
            peers: txn.open_table(PEERS)?,
            shares: txn.open_table(SHARES)?,
            bans: txn.open_table(BANS)?,
        })
    }

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        match change {
            Change::File(id, record) => {
                self.files.insert(id.as_bytes(), pack(record).as_slice())?;
            }
            Change::FileGone(id) => drop(self.files.remove(id.as_bytes())?),
            Change::Peer(id, record) => {
                self.peers.insert(id.as_bytes(), pack(record).as_slice())?;
            }
            Change::PeerGone(id) => drop(self.peers.remove(id.as_bytes())?),
            Change::Share(peer, id, name) => {
                self.shares.insert(&share_key(peer, id), &**name)?;
            }
            Change::ShareGone(peer, id) => drop(self.shares.remove(&share_key(peer, id))?),
            Change::Ban(target, ban) => {
                self.bans.insert(target.to_bytes().as_slice(), pack(ban).as_slice())?;
            }
            Change::BanGone(target) => drop(self.bans.remove(target.to_bytes().as_slice())?),
        }
        Ok(())
    }
}

fn share_key(peer: &PeerId, id: &ContentId) -> [u8; 2 * ID_LEN] {
    let mut key = [0; 2 * ID_LEN];
    let (front, back) = key.split_at_mut(ID_LEN);
    front.copy_from_slice(peer.as_bytes());
    back.copy_from_slice(id.as_bytes());
    key
}

fn pack(record: &impl Serialize) -> Vec<u8> {
    common::wire::pack::encode(record)
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    common::wire::pack::decode("stored", bytes)
        .map_err(|error| ReadError::Record(error.to_string()))
}

fn explain_open(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: path.to_owned() },
        DatabaseError::UpgradeRequired(version) => {
            let why =
                format!("it has redb's file format {version}, which this program cannot read");
            StoreError::Io { path: path.to_owned(), kind: io::ErrorKind::Unsupported, why }
        }
        other => explain(path, other.into()),
    }
}

fn explain(path: &Path, error: Error) -> StoreError {
    let path = path.to_owned();
    match error {
        // What redb says of a file that is not its own.
        Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Corrupt { path, why: error.to_string() }
        }
        Error::Io(error) => StoreError::Io { path, kind: error.kind(), why: error.to_string() },
        Error::Corrupted(why) => StoreError::Corrupt { path, why },
        Error::TableTypeMismatch { .. } | Error::TableDoesNotExist(_) => {
            StoreError::Corrupt { path, why: "its tables are not a tracker's".to_owned() }
        }
        other => StoreError::Io { path, kind: io::ErrorKind::Other, why: other.to_string() },
    }
}
