//! Records in one redb file: checksummed, copy on write, whole after any crash.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use ::redb::{
    Database, DatabaseError, Error, ReadOnlyDatabase, ReadableDatabase, StorageError, Table,
    WriteTransaction,
};
use common::id::{ContentId, ID_LEN, PeerId};
use serde::Serialize;

use super::damage::{clear_unborn, close, guarded, put_back, set_aside, sync_folder};
use super::read::{ReadError, Salvaged, read_all, salvage};
use super::tables::{BANS, FILES, INVITES, MEMBERS, META, NAMES, PEERS, SHARES};
use super::{MetaStore, StoreError};
use crate::record::{BanRecord, Change, InviteRecord, MemberRecord, Saved, Target};

/// Format of the tables and records.
const SCHEMA: u64 = 1;
const SCHEMA_KEY: &str = "schema";
/// Pages held in memory: read once at start, then only written.
const CACHE_LEN: usize = 32 * 1024 * 1024;

/// Keeps records in a file. One process at a time.
///
/// A damaged file is set aside under another name, and a new one begun: what the tracker knows it has from its
/// peers, and they say it again.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    /// `None` after a failed write: redb wants to be opened anew then.
    db: Option<Opened>,
    /// Once it was read: peers say again what they share, but nobody says again who is banned or was invited.
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Opened {
    db: Database,
    /// The same open file as redb's.
    file: File,
}

/// What only the operator has said.
#[derive(Debug, Clone)]
struct Kept {
    members: BTreeMap<PeerId, MemberRecord>,
    invites: BTreeMap<u64, InviteRecord>,
    bans: BTreeMap<Target, BanRecord>,
}

impl Kept {
    fn of(saved: &Saved) -> Self {
        Self {
            members: saved.members.iter().cloned().collect(),
            invites: saved.invites.iter().cloned().collect(),
            bans: saved.bans.iter().cloned().collect(),
        }
    }

    fn put_into(&self, saved: &mut Saved) {
        let Self { members, invites, bans } = self.clone();
        saved.members = members.into_iter().collect();
        saved.invites = invites.into_iter().collect();
        saved.bans = bans.into_iter().collect();
    }

    fn note(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Member(id, member) => drop(self.members.insert(*id, member.clone())),
                Change::MemberGone(id) => drop(self.members.remove(id)),
                Change::Invite(number, invite) => {
                    drop(self.invites.insert(*number, invite.clone()))
                }
                Change::InviteGone(number) => drop(self.invites.remove(number)),
                Change::Ban(target, ban) => drop(self.bans.insert(*target, ban.clone())),
                Change::BanGone(target) => drop(self.bans.remove(target)),
                _ => {}
            }
        }
    }
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
        let mut store = Self { path: path.to_owned(), db: None, kept: None };
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

    /// Sets a damaged file aside and begins a new one with what can still be read of it, and with all bans if they are
    /// known; returns that. Any other error stays one.
    fn begin_anew(&mut self, broken: Broken) -> Result<Saved, StoreError> {
        let Broken { error: damage, db, file } = broken;
        let (StoreError::Corrupt { .. }, Some(file)) = (&damage, file) else {
            close(db);
            return Err(damage);
        };
        let salvaged = match &db {
            Some(db) => salvage(&self.path, db),
            // To be read only it may still be opened.
            None => {
                let open = || {
                    ReadOnlyDatabase::open(&self.path)
                        .map_err(|error| explain_open(&self.path, error))
                };
                let db = guarded(&self.path, open).ok();
                let salvaged = db.as_ref().map(|db| salvage(&self.path, db));
                close(db);
                salvaged.unwrap_or_default()
            }
        };
        close(db);
        let Salvaged { mut saved, all_bans } = salvaged;
        if let Some(known) = &self.kept {
            known.put_into(&mut saved);
        }
        let aside = set_aside(&self.path, &file)?;
        let kept = saved.clone().into_changes();
        let bans = if self.kept.is_some() || all_bans {
            "all bans and members are kept"
        } else {
            "BANS AND MEMBERS MAY BE MISSING: compare what `tracker bans` and `tracker members` say with your own lists"
        };
        tracing::error!(
            "{damage}. It is kept as {}, and a new one begun with {} records that could be read; peers register again by themselves; {bans}",
            aside.display(),
            kept.len()
        );
        let path = self.path.clone();
        let written = self.with(|db| write_all(db, &kept).map_err(|error| explain(&path, error)));
        if let Err(broken) = written {
            let error = broken.give_up();
            // An empty file in its place would be taken for all there is.
            if let Err(failed) = put_back(&path, &aside) {
                tracing::error!("cannot rename {} back: {failed}", aside.display());
            }
            return Err(error);
        }
        Ok(saved)
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
            read_all(db).map_err(|error| match error {
                ReadError::Redb(error) => explain(&path, error),
                ReadError::Record(why) => StoreError::Corrupt { path: path.clone(), why },
            })
        });
        let saved = loaded.or_else(|broken| self.begin_anew(broken))?;
        self.kept = Some(Kept::of(&saved));
        Ok(saved)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        let write = |db: &Database| write_all(db, changes).map_err(|error| explain(&path, error));
        if let Err(broken) = self.with(write) {
            self.begin_anew(broken)?;
            self.with(write).map_err(Broken::give_up)?;
        }
        if let Some(kept) = &mut self.kept {
            kept.note(changes);
        }
        Ok(())
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

fn write_all(db: &Database, changes: &[Change]) -> Result<(), Error> {
    let txn = db.begin_write()?;
    {
        let mut tables = Tables::open(&txn)?;
        // A page is changed once, however many of its records are. What is about one record stays in order.
        let mut ordered: Vec<&Change> = changes.iter().collect();
        ordered.sort_by_key(|change| place(change));
        ordered.into_iter().try_for_each(|change| tables.apply(change))?;
    }
    txn.commit()?;
    Ok(())
}

struct Tables<'txn> {
    files: Table<'txn, &'static [u8; ID_LEN], &'static [u8]>,
    peers: Table<'txn, &'static [u8; ID_LEN], &'static [u8]>,
    shares: Table<'txn, &'static [u8; 2 * ID_LEN], &'static str>,
    names: Table<'txn, &'static [u8; ID_LEN], &'static [u8]>,
    members: Table<'txn, &'static [u8; ID_LEN], &'static [u8]>,
    invites: Table<'txn, u64, &'static [u8]>,
    bans: Table<'txn, &'static [u8], &'static [u8]>,
}

impl<'txn> Tables<'txn> {
    fn open(txn: &'txn WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            files: txn.open_table(FILES)?,
            peers: txn.open_table(PEERS)?,
            shares: txn.open_table(SHARES)?,
            names: txn.open_table(NAMES)?,
            members: txn.open_table(MEMBERS)?,
            invites: txn.open_table(INVITES)?,
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
            Change::Names(id, record) => {
                self.names.insert(id.as_bytes(), pack(record).as_slice())?;
            }
            Change::NamesGone(id) => drop(self.names.remove(id.as_bytes())?),
            Change::Member(id, member) => {
                self.members.insert(id.as_bytes(), pack(member).as_slice())?;
            }
            Change::MemberGone(id) => drop(self.members.remove(id.as_bytes())?),
            Change::Invite(number, invite) => {
                self.invites.insert(*number, pack(invite).as_slice())?;
            }
            Change::InviteGone(number) => drop(self.invites.remove(*number)?),
            Change::Ban(target, ban) => {
                self.bans.insert(target.to_bytes().as_slice(), pack(ban).as_slice())?;
            }
            Change::BanGone(target) => drop(self.bans.remove(target.to_bytes().as_slice())?),
        }
        Ok(())
    }
}

/// Where the record of a change stands: in which table, and there in which order. Of bans there are few.
fn place(change: &Change) -> (u8, &[u8], &[u8]) {
    match change {
        Change::File(id, _) | Change::FileGone(id) => (0, id.as_bytes(), &[]),
        Change::Peer(id, _) | Change::PeerGone(id) => (1, id.as_bytes(), &[]),
        Change::Share(peer, id, _) | Change::ShareGone(peer, id) => {
            (2, peer.as_bytes(), id.as_bytes())
        }
        Change::Names(id, _) | Change::NamesGone(id) => (3, id.as_bytes(), &[]),
        Change::Member(id, _) | Change::MemberGone(id) => (4, id.as_bytes(), &[]),
        Change::Invite(..) | Change::InviteGone(_) => (5, &[], &[]),
        Change::Ban(..) | Change::BanGone(_) => (6, &[], &[]),
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn ban(n: u8) -> (Target, BanRecord) {
        (
            Target::Key(PeerId::from_bytes([n; ID_LEN])),
            BanRecord { reason: "spam".into(), since: 1, revoked: false },
        )
    }

    /// The store as a running tracker has it, with these bans.
    fn running(path: &Path, bans: &[(Target, BanRecord)]) -> RedbStore {
        let mut store = RedbStore::open(path).unwrap();
        store.load().unwrap();
        let changes: Vec<Change> =
            bans.iter().map(|(target, ban)| Change::Ban(*target, ban.clone())).collect();
        store.apply(&changes).unwrap();
        store
    }

    /// Nothing of the file can be read any more.
    fn ruin(store: &mut RedbStore) -> Broken {
        let Opened { db, file } = store.db.take().unwrap();
        close(Some(db));
        let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
        file.write_all_at(&vec![0xee; len], 0).unwrap();
        let error = StoreError::Corrupt { path: store.path.clone(), why: "ruined".to_owned() };
        Broken { error, db: None, file: Some(file) }
    }

    #[test]
    fn f10_damage_that_shows_while_running_takes_no_bans() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let mut store = running(&path, &[ban(1), ban(2), ban(3)]);
        store.apply(&[Change::BanGone(ban(2).0)]).unwrap();
        let broken = ruin(&mut store);
        store.begin_anew(broken).unwrap();
        drop(store);
        let saved = RedbStore::open(&path).unwrap().load().unwrap();
        assert_eq!(saved.bans, [ban(1), ban(3)]);
    }

    #[test]
    fn f10_a_bad_record_takes_none_of_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let store = running(&path, &[ban(1), ban(2), ban(3)]);
        let txn = store.db.as_ref().unwrap().db.begin_write().unwrap();
        let key = ban(2).0.to_bytes();
        txn.open_table(BANS).unwrap().insert(key.as_slice(), &[0xc1u8][..]).unwrap();
        txn.commit().unwrap();
        drop(store);
        let saved = RedbStore::open(&path).unwrap().load().unwrap();
        assert_eq!(saved.bans, [ban(1), ban(3)]);
        assert!(dir.path().join("store.redb.damaged-1").exists());
        assert_eq!(RedbStore::open(&path).unwrap().load().unwrap(), saved);
    }

    #[test]
    fn f10_what_was_set_aside_can_be_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let aside = dir.path().join("store.redb.damaged-1");
        std::fs::write(&aside, "old").unwrap();
        std::fs::write(&path, "new").unwrap();
        put_back(&path, &aside).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert!(!aside.exists());
    }
}
