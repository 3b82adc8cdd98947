//! Records as a store has them: all of them, or of a damaged store what is still there.

use std::path::Path;

use ::redb::{Error, ReadableDatabase, ReadableTable};
use common::id::{ContentId, ID_LEN, PeerId};
use common::names::check_component;
use serde::de::DeserializeOwned;

use super::damage::guarded;
use super::tables::{BANS, FILES, INVITES, MEMBERS, NAMES, PEERS, SHARES};
use crate::record::{FileRecord, Saved, Target};

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Redb(Error),
    /// One record is not what a tracker writes; those around it may be.
    Record(String),
}

impl<E: Into<Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

/// What to do about a record that is not what a tracker writes.
enum Bad {
    /// Read no further.
    Stop,
    /// Leave it out; so many were.
    Skip(usize),
}

impl Bad {
    fn meet(&mut self, read: Result<(), ReadError>) -> Result<(), ReadError> {
        match (self, read) {
            (Self::Skip(skipped), Err(ReadError::Record(_))) => {
                *skipped += 1;
                Ok(())
            }
            (_, read) => read,
        }
    }
}

type Reader = fn(&dyn ReadableDatabase, &mut Saved, &mut Bad) -> Result<(), ReadError>;

/// What could be read of a damaged store.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) saved: Saved,
    /// Whether that is all bans there were.
    pub(super) all_bans: bool,
}

pub(super) fn read_all(db: &dyn ReadableDatabase) -> Result<Saved, ReadError> {
    let mut saved = Saved::default();
    let readers: [Reader; 6] =
        [read_bans, read_admitted, read_peers, read_files, read_shares, read_names];
    readers.iter().try_for_each(|read| read(db, &mut saved, &mut Bad::Stop))?;
    Ok(saved)
}

/// What can be read of a damaged file.
pub(super) fn salvage(path: &Path, db: &dyn ReadableDatabase) -> Salvaged {
    let mut saved = Saved::default();
    // Each kind by itself: damage of one says nothing about the others. What was read before a bad page is as good
    // as any.
    let mut read = |read: Reader| {
        let mut bad = Bad::Skip(0);
        let whole = guarded(path, || Ok(read(db, &mut saved, &mut bad).is_ok())).unwrap_or(false);
        whole && matches!(bad, Bad::Skip(0))
    };
    // Nor does anybody say again who was invited.
    let all_bans = read(read_bans) & read(read_admitted);
    for of_peers in [read_peers as Reader, read_files, read_shares, read_names] {
        // They say it again.
        let _ = read(of_peers);
    }
    Salvaged { saved, all_bans }
}

fn read_files(
    db: &dyn ReadableDatabase,
    saved: &mut Saved,
    bad: &mut Bad,
) -> Result<(), ReadError> {
    for item in db.begin_read()?.open_table(FILES)?.iter()? {
        let (key, value) = item?;
        let record = unpack(value.value()).and_then(|record: FileRecord| {
            named(&record.name)?;
            saved.files.push((ContentId::from_bytes(*key.value()), record));
            Ok(())
        });
        bad.meet(record)?;
    }
    Ok(())
}

/// A name as the index lets it in. What was zeroed is still text, but no name.
fn named(name: &str) -> Result<&str, ReadError> {
    check_component(name).map_err(|error| ReadError::Record(format!("a name: {error}")))?;
    Ok(name)
}

fn read_peers(
    db: &dyn ReadableDatabase,
    saved: &mut Saved,
    bad: &mut Bad,
) -> Result<(), ReadError> {
    for item in db.begin_read()?.open_table(PEERS)?.iter()? {
        let (key, value) = item?;
        let record = unpack(value.value())
            .map(|record| saved.peers.push((PeerId::from_bytes(*key.value()), record)));
        bad.meet(record)?;
    }
    Ok(())
}

fn read_shares(
    db: &dyn ReadableDatabase,
    saved: &mut Saved,
    bad: &mut Bad,
) -> Result<(), ReadError> {
    let wrong = |_| ReadError::Record("a key has the wrong length".to_owned());
    for item in db.begin_read()?.open_table(SHARES)?.iter()? {
        let (key, value) = item?;
        let (peer, id) = key.value().split_at(ID_LEN);
        let peer = PeerId::try_from(peer).map_err(wrong)?;
        let id = ContentId::try_from(id).map_err(wrong)?;
        bad.meet(named(value.value()).map(|name| saved.shares.push((peer, id, name.into()))))?;
    }
    Ok(())
}

fn read_names(
    db: &dyn ReadableDatabase,
    saved: &mut Saved,
    bad: &mut Bad,
) -> Result<(), ReadError> {
    let names = match db.begin_read()?.open_table(NAMES) {
        Ok(names) => names,
        Err(::redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for item in names.iter()? {
        let (key, value) = item?;
        let record = unpack(value.value())
            .map(|record| saved.names.push((ContentId::from_bytes(*key.value()), record)));
        bad.meet(record)?;
    }
    Ok(())
}

fn read_admitted(
    db: &dyn ReadableDatabase,
    saved: &mut Saved,
    bad: &mut Bad,
) -> Result<(), ReadError> {
    let txn = db.begin_read()?;
    // Both are made together.
    let members = match txn.open_table(MEMBERS) {
        Ok(members) => members,
        Err(::redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for item in members.iter()? {
        let (key, value) = item?;
        let record = unpack(value.value())
            .map(|record| saved.members.push((PeerId::from_bytes(*key.value()), record)));
        bad.meet(record)?;
    }
    for item in txn.open_table(INVITES)?.iter()? {
        let (number, value) = item?;
        let record =
            unpack(value.value()).map(|record| saved.invites.push((number.value(), record)));
        bad.meet(record)?;
    }
    Ok(())
}

fn read_bans(db: &dyn ReadableDatabase, saved: &mut Saved, bad: &mut Bad) -> Result<(), ReadError> {
    let bans = match db.begin_read()?.open_table(BANS) {
        Ok(bans) => bans,
        Err(::redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for item in bans.iter()? {
        let (key, value) = item?;
        let nobody = || ReadError::Record("a ban is of nobody".to_owned());
        let ban = Target::from_bytes(key.value())
            .ok_or_else(nobody)
            .and_then(|target| Ok((target, unpack(value.value())?)));
        bad.meet(ban.map(|ban| saved.bans.push(ban)))?;
    }
    Ok(())
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    common::wire::pack::decode("stored", bytes)
        .map_err(|error| ReadError::Record(error.to_string()))
}
