//! Records in one redb file: checksummed, copy on write, whole after any crash.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use ::redb::{
    Database, DatabaseError, Error, ReadableDatabase, ReadableTable, StorageError, Table,
    TableDefinition, WriteTransaction,
};
use common::id::{ContentId, ID_LEN, PeerId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MetaStore, StoreError};
use crate::record::{Change, Saved, Target};

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
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    /// `None` after a failed write: redb wants to be opened anew then.
    db: Option<Database>,
}

impl RedbStore {
    /// Opens or creates the file (mode 0600).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = open_database(path)?;
        Ok(Self { path: path.to_owned(), db: Some(db) })
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        if self.db.is_none() {
            self.db = Some(open_database(&self.path)?);
        }
        self.db.as_ref().ok_or(StoreError::Closed)
    }
}

impl MetaStore for RedbStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        let path = self.path.clone();
        let loaded = read_all(self.database()?);
        loaded.map_err(|error| match error {
            ReadError::Redb(error) => explain(&path, error),
            ReadError::Record(why) => StoreError::Corrupt { path, why },
        })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        let written = write_all(self.database()?, changes);
        written.map_err(|error| {
            self.db = None;
            explain(&path, error)
        })
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

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| explain(path, StorageError::Io(error).into()))?;
    let db = Database::builder()
        .set_cache_size(CACHE_LEN)
        .create_file(file)
        .map_err(|error| explain_open(path, error))?;
    let found = prepare(&db).map_err(|error| explain(path, error))?;
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

fn read_all(db: &Database) -> Result<Saved, ReadError> {
    let txn = db.begin_read()?;
    let mut saved = Saved::default();
    for item in txn.open_table(FILES)?.iter()? {
        let (key, value) = item?;
        saved.files.push((ContentId::from_bytes(*key.value()), unpack(value.value())?));
    }
    for item in txn.open_table(PEERS)?.iter()? {
        let (key, value) = item?;
        saved.peers.push((PeerId::from_bytes(*key.value()), unpack(value.value())?));
    }
    for item in txn.open_table(SHARES)?.iter()? {
        let (key, value) = item?;
        let (peer, id) = key.value().split_at(ID_LEN);
        let bad = |_| ReadError::Record("a key has the wrong length".to_owned());
        let peer = PeerId::try_from(peer).map_err(bad)?;
        let id = ContentId::try_from(id).map_err(bad)?;
        saved.shares.push((peer, id, value.value().into()));
    }
    match txn.open_table(BANS) {
        Ok(bans) => {
            for item in bans.iter()? {
                let (key, value) = item?;
                let bad = || ReadError::Record("a ban is of nobody".to_owned());
                let target = Target::from_bytes(key.value()).ok_or_else(bad)?;
                saved.bans.push((target, unpack(value.value())?));
            }
        }
        Err(::redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(saved)
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
            let why = format!("redb file format {version}");
            StoreError::Corrupt { path: path.to_owned(), why }
        }
        other => explain(path, other.into()),
    }
}

fn explain(path: &Path, error: Error) -> StoreError {
    let path = path.to_owned();
    match error {
        // What redb says of a file that is not its own.
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
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
