//! The one database of a profile.
//!
//! redb: pure Rust, checksummed commits, one process at a time. What is to be written waits in memory
//! until one durable commit takes all of it ([`Library::settle`]). When that fails it goes on waiting, so
//! that what memory says and what the disk says meet again when the disk recovers; whoever reads sees it
//! already. Chunk hashes are kept by root, so that they serve every share and download of the same file;
//! what nobody needs any more goes with [`Library::collect_garbage`].

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::id::{ContentId, Hash, ID_LEN};
use common::lock::Unpoisoned as _;
use redb::ReadableTable;

use super::database::{Base, Opener, plain_opener};
use super::error::LibraryError;
pub(crate) use super::garbage::Collected;
use super::garbage::collect;
use super::hash::prepared::Prepared;
use super::pending::{Change, Pending, Table, TooMuch};
use super::record::{DownloadRecord, Loaded, ShareRecord};
use super::redb_error::{Failure, unencodable};
use super::tables::{
    DOWNLOADS, GARBAGE_KEY, MANIFESTS, META, SCHEMA, SCHEMA_KEY, SETTINGS, SHARE_FILES, SHARES,
    TOMBSTONES, TREES, TreeKey, apply, prepare_tables, tree_key,
};

/// A share as the library writes it down.
#[derive(Debug)]
pub(crate) struct ShareRows(Vec<Change>);

/// What this profile shares and downloads.
#[derive(Debug)]
pub struct Library {
    base: Base,
    pending: Mutex<Pending>,
    /// Held by whoever writes.
    turn: Mutex<()>,
}

impl Library {
    /// Opens (or creates) the library in `state_dir`, which is created for its owner alone.
    ///
    /// # Errors
    /// [`LibraryError::Locked`] when another process has it, [`LibraryError::TooNew`],
    /// [`LibraryError::Corrupt`], [`LibraryError::Io`].
    pub fn open(state_dir: &Path) -> Result<(Self, Loaded), LibraryError> {
        Self::open_with(state_dir, plain_opener())
    }

    /// The same, with something between redb and the file.
    pub(crate) fn open_with(
        state_dir: &Path,
        opener: Opener,
    ) -> Result<(Self, Loaded), LibraryError> {
        let library = Self::open_unread(state_dir, opener)?;
        let loaded = library.load()?;
        Ok((library, loaded))
    }

    /// The same without a look at what is in it.
    pub(crate) fn open_unread(state_dir: &Path, opener: Opener) -> Result<Self, LibraryError> {
        let base = Base::open(state_dir, opener, prepare_tables)?;
        let library = Self { base, pending: Mutex::default(), turn: Mutex::default() };
        library.check_schema()?;
        Ok(library)
    }

    /// Keeps about so many bytes while the disk takes nothing.
    pub(crate) fn keep(&self, bytes: usize) {
        self.pending.lock().unpoisoned().keep(bytes);
    }

    /// Writes everything that waits in one durable commit; blocks. Returns the number of the last change
    /// that is on disk ([`Self::note_download`] and the like number them).
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed on disk then, and everything goes on waiting.
    pub fn settle(&self) -> Result<u64, LibraryError> {
        self.write(Vec::new())
    }

    /// The same, together with changes that do not wait themselves.
    fn write(&self, more: Vec<Change>) -> Result<u64, LibraryError> {
        let _turn = self.turn.lock().unpoisoned();
        let mut batch = self.pending.lock().unpoisoned().batch();
        // Later than what waits: of two values of a key the last is written last.
        batch.changes.extend(more);
        if !batch.changes.is_empty() {
            self.base.write(|txn| apply(txn, &batch.changes))?;
            self.pending.lock().unpoisoned().written(batch.upto);
        }
        Ok(batch.upto)
    }

    /// Number of the last change that was noted, written or not.
    pub fn newest(&self) -> u64 {
        self.pending.lock().unpoisoned().newest()
    }

    /// Rows that wait to be written.
    pub fn waiting(&self) -> usize {
        self.pending.lock().unpoisoned().len()
    }

    /// Whether everything is on disk.
    pub fn is_settled(&self) -> bool {
        self.pending.lock().unpoisoned().is_empty()
    }

    /// Adds changes to what is to be written; never blocks for the disk.
    fn note(&self, changes: Vec<Change>) -> Result<u64, LibraryError> {
        let added = self.pending.lock().unpoisoned().add(changes);
        added.map_err(|_| self.behind())
    }

    /// Adds changes and writes everything. Where that is more than is kept, they are dropped if it fails.
    fn put(&self, changes: Vec<Change>) -> Result<(), LibraryError> {
        let added = self.pending.lock().unpoisoned().add(changes);
        match added {
            Ok(_) => self.settle().map(drop),
            Err(TooMuch(changes)) => self.write(changes).map(drop).map_err(|error| {
                tracing::debug!(%error, "dropped");
                self.behind()
            }),
        }
    }

    fn behind(&self) -> LibraryError {
        LibraryError::Behind { path: self.base.path().to_path_buf() }
    }

    /// Remembers a share and its hashes; replaces what was known of the same path.
    ///
    /// # Errors
    /// [`LibraryError`]; it goes on waiting to be written then, unless that is
    /// [`LibraryError::Behind`].
    pub fn put_share(&self, record: &ShareRecord, prepared: &Prepared) -> Result<(), LibraryError> {
        self.put_shares(&[(record, prepared)])
    }

    /// Remembers many shares in one commit.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub fn put_shares(&self, shares: &[(&ShareRecord, &Prepared)]) -> Result<(), LibraryError> {
        let mut changes = Vec::new();
        for (record, prepared) in shares {
            changes.extend(self.share_rows(record, prepared)?);
        }
        self.put(changes)
    }

    /// What [`Self::note_share`] takes, made beside whoever calls that: with the manifest of a large folder
    /// and its hashes it is many megabytes.
    ///
    /// # Errors
    /// [`LibraryError`] for a record that cannot be written down.
    pub(crate) fn rows_of(
        &self,
        record: &ShareRecord,
        prepared: &Prepared,
    ) -> Result<ShareRows, LibraryError> {
        self.share_rows(record, prepared).map(ShareRows)
    }

    /// As [`Self::put_share`], without blocking for the disk: shares that are noted while others are being
    /// written are written together. Returns the number of the change, or the rows if too much waits.
    pub(crate) fn note_share(&self, rows: ShareRows) -> Result<u64, ShareRows> {
        self.pending.lock().unpoisoned().add(rows.0).map_err(|TooMuch(rows)| ShareRows(rows))
    }

    /// Writes what [`Self::note_share`] did not take.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub(crate) fn put_rows(&self, rows: ShareRows) -> Result<(), LibraryError> {
        self.put(rows.0)
    }

    /// Remembers a finished download as the share that it is now, and no longer as a download.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub fn put_finished(
        &self,
        record: &ShareRecord,
        prepared: &Prepared,
    ) -> Result<(), LibraryError> {
        let mut changes = self.share_rows(record, prepared)?;
        changes.push(Change::remove(Table::Downloads, record.id.as_bytes()));
        self.put(changes)
    }

    /// Forgets a share; says whether it was known. Files are not touched.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub fn remove_share(&self, path: &Path) -> Result<bool, LibraryError> {
        let known = self.row(Table::Shares, path.as_os_str().as_bytes());
        self.note_unshared(&[path.to_path_buf()], None)?;
        self.settle()?;
        Ok(known?.is_some())
    }

    /// Forgets what is shared at these paths, and the download that it may have been; returns the number
    /// of the change. Never blocks for the disk.
    ///
    /// # Errors
    /// [`LibraryError::Behind`].
    pub fn note_unshared(
        &self,
        paths: &[PathBuf],
        download: Option<&ContentId>,
    ) -> Result<u64, LibraryError> {
        let mut changes = Vec::new();
        for path in paths {
            let key = path.as_os_str().as_bytes();
            changes.push(Change::remove(Table::Shares, key));
            changes.push(Change::remove(Table::ShareFiles, key));
        }
        changes.extend(download.map(|id| Change::remove(Table::Downloads, id.as_bytes())));
        self.note(changes)
    }

    /// Remembers a download, or what became of it. Its tombstone, if it had one, is gone.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub fn put_download(&self, record: &DownloadRecord) -> Result<(), LibraryError> {
        self.note_download(record)?;
        self.settle().map(drop)
    }

    /// The same, without blocking for the disk; returns the number of the change.
    ///
    /// # Errors
    /// [`LibraryError::Behind`].
    pub fn note_download(&self, record: &DownloadRecord) -> Result<u64, LibraryError> {
        let key = record.id.as_bytes();
        let bytes = self.encoded(record)?;
        self.note(vec![
            Change::put(Table::Downloads, key, &bytes),
            Change::remove(Table::Doomed, key),
        ])
    }

    /// Forgets a download, and remembers that what was fetched of it is to be deleted, until that is done
    /// ([`Self::drop_tombstones`]) or it is wanted again ([`Self::put_download`]). Returns the number of
    /// the change; never blocks for the disk.
    ///
    /// # Errors
    /// [`LibraryError::Behind`].
    pub fn note_tombstone(&self, record: &DownloadRecord) -> Result<u64, LibraryError> {
        let key = record.id.as_bytes();
        let bytes = self.encoded(record)?;
        self.note(vec![
            Change::remove(Table::Downloads, key),
            Change::put(Table::Doomed, key, &bytes),
        ])
    }

    /// What was fetched of these downloads is deleted. Returns the number of the change; never blocks for
    /// the disk.
    ///
    /// # Errors
    /// [`LibraryError::Behind`].
    pub fn drop_tombstones(&self, ids: &[ContentId]) -> Result<u64, LibraryError> {
        self.note(ids.iter().map(|id| Change::remove(Table::Doomed, id.as_bytes())).collect())
    }

    /// Forgets a download; says whether it was known. Files are not touched.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    #[cfg(test)]
    pub fn remove_download(&self, id: &ContentId) -> Result<bool, LibraryError> {
        let known = self.row(Table::Downloads, id.as_bytes());
        self.note_removed(id)?;
        self.settle()?;
        Ok(known?.is_some())
    }

    /// The same, without blocking for the disk; returns the number of the change.
    ///
    /// # Errors
    /// [`LibraryError::Behind`].
    pub fn note_removed(&self, id: &ContentId) -> Result<u64, LibraryError> {
        self.note_unshared(&[], Some(id))
    }

    /// Chunk hashes of a file, 32 bytes each, as [`common::merkle::ChunkHashes::to_bytes`] wrote them.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    #[cfg(test)]
    pub fn tree(&self, root: &Hash, chunk_level: u8) -> Result<Option<Vec<u8>>, LibraryError> {
        Ok(self.trees([(*root, chunk_level)])?.pop().flatten())
    }

    /// Chunk hashes of many files, in order.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn trees(
        &self,
        wanted: impl IntoIterator<Item = (Hash, u8)>,
    ) -> Result<Vec<Option<Vec<u8>>>, LibraryError> {
        let wanted: Vec<TreeKey> =
            wanted.into_iter().map(|(root, level)| tree_key(root, level)).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut found: Vec<Option<Vec<u8>>> = {
            let pending = self.pending.lock().unpoisoned();
            let value = |key: &TreeKey| Some(pending.get(Table::Trees, key)??.to_vec());
            wanted.iter().map(value).collect()
        };
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        let stored = self.base.read(|txn| {
            let trees = txn.open_table(TREES)?;
            let mut stored = Vec::with_capacity(wanted.len());
            for (key, known) in wanted.iter().zip(&found) {
                let row = if known.is_none() { trees.get(key)? } else { None };
                stored.push(row.map(|bytes| bytes.value().to_vec()));
            }
            Ok(stored)
        })?;
        for (known, stored) in found.iter_mut().zip(stored) {
            *known = known.take().or(stored);
        }
        Ok(found)
    }

    /// Remembers the chunk hashes of a file that is being downloaded. Kept as long as a share or a
    /// download (with its descriptor, and for a folder its manifest) needs them.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    #[cfg(test)]
    pub fn put_tree(&self, root: &Hash, level: u8, bytes: &[u8]) -> Result<(), LibraryError> {
        self.put(vec![Change::put(Table::Trees, &tree_key(*root, level), bytes)])
    }

    /// A folder's manifest.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn manifest(&self, id: &ContentId) -> Result<Option<Vec<u8>>, LibraryError> {
        self.row(Table::Manifests, id.as_bytes())
    }

    /// Remembers the manifest of a folder that is being downloaded. Kept as long as a share or a
    /// download has this id.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub fn put_manifest(&self, id: &ContentId, bytes: &[u8]) -> Result<(), LibraryError> {
        self.put(vec![Change::put(Table::Manifests, id.as_bytes(), bytes)])
    }

    /// Sets a setting, or removes it. No secrets: those have files of their own.
    ///
    /// # Errors
    /// As [`Self::put_share`].
    pub fn set_setting(&self, key: &str, value: Option<&str>) -> Result<(), LibraryError> {
        self.note_setting(key, value)?;
        self.settle().map(drop)
    }

    /// The same, without blocking for the disk; returns the number of the change.
    ///
    /// # Errors
    /// [`LibraryError::Behind`].
    pub fn note_setting(&self, key: &str, value: Option<&str>) -> Result<u64, LibraryError> {
        let key = key.as_bytes();
        self.note(vec![match value {
            Some(value) => Change::put(Table::Settings, key, value.as_bytes()),
            None => Change::remove(Table::Settings, key),
        }])
    }

    /// What is remembered of one shared path.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn share(&self, path: &Path) -> Result<Option<ShareRecord>, LibraryError> {
        let key = path.as_os_str().as_bytes();
        let head = self.row(Table::Shares, key)?;
        let files = self.row(Table::ShareFiles, key)?;
        let Some(head) = head else { return Ok(None) };
        let record = match files {
            Some(files) => ShareRecord::decode(key, &head, &files),
            None => return Err(Failure::bad("a share has no files").at(self.base.path())),
        };
        record.map(Some).map_err(|error| Failure::bad(&error).at(self.base.path()))
    }

    /// Whether anything is remembered of a path as shared.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn is_shared(&self, path: &Path) -> Result<bool, LibraryError> {
        Ok(self.row(Table::Shares, path.as_os_str().as_bytes())?.is_some())
    }

    /// What is remembered of a path cannot be read any more.
    #[cfg(test)]
    pub(crate) fn spoil(&self, path: &Path) {
        let key = path.as_os_str().as_bytes();
        self.note(vec![Change::put(Table::Shares, key, b"spoilt")]).unwrap();
    }

    /// All that is on disk, as [`open`](Self::open) returned it.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn load(&self) -> Result<Loaded, LibraryError> {
        let (shares, loaded) = self.load_with(|record| record)?;
        Ok(Loaded { shares, ..loaded })
    }

    /// The same, of the shares only where they lie: [`Self::share`] has the rest of each. All at once would
    /// be many megabytes that are needed for a moment.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_paths(&self) -> Result<(Vec<PathBuf>, Loaded), LibraryError> {
        self.load_with(|record| record.path)
    }

    fn load_with<S>(
        &self,
        kept: impl Fn(ShareRecord) -> S,
    ) -> Result<(Vec<S>, Loaded), LibraryError> {
        self.base.read(|txn| {
            let (mut shares, mut loaded) = (Vec::new(), Loaded::default());
            let files = txn.open_table(SHARE_FILES)?;
            for row in txn.open_table(SHARES)?.iter()? {
                let (key, head) = row?;
                let files =
                    files.get(key.value())?.ok_or_else(|| Failure::bad("a share has no files"))?;
                let record = ShareRecord::decode(key.value(), head.value(), files.value());
                shares.push(kept(record.map_err(|error| Failure::bad(&error))?));
            }
            for row in txn.open_table(DOWNLOADS)?.iter()? {
                let (key, bytes) = row?;
                let id = ContentId::from_bytes(*key.value());
                let record = DownloadRecord::decode(id, bytes.value());
                loaded.downloads.push(record.map_err(|error| Failure::bad(&error))?);
            }
            for row in txn.open_table(TOMBSTONES)?.iter()? {
                let (key, bytes) = row?;
                let id = ContentId::from_bytes(*key.value());
                let record = DownloadRecord::decode(id, bytes.value());
                loaded.tombstones.push(record.map_err(|error| Failure::bad(&error))?);
            }
            for row in txn.open_table(SETTINGS)?.iter()? {
                let (key, value) = row?;
                loaded.settings.insert(key.value().to_owned(), value.value().to_owned());
            }
            Ok((shares, loaded))
        })
    }

    /// Removes chunk hashes and manifests that no share and no download needs. Cheap when nothing was
    /// removed since the last time.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is removed then.
    pub fn collect_garbage(&self) -> Result<Collected, LibraryError> {
        // What waits may need what nothing on disk needs.
        self.settle()?;
        let dirty = self.base.read(|txn| {
            Ok(txn.open_table(META)?.get(GARBAGE_KEY)?.is_some_and(|flag| flag.value() != 0))
        })?;
        if !dirty {
            return Ok(Collected::default());
        }
        self.base.write(collect)
    }

    /// One row as it is to be: on disk, unless a change of it waits.
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, LibraryError> {
        if let Some(value) = self.pending.lock().unpoisoned().get(table, key) {
            return Ok(value.map(|bytes| bytes.to_vec()));
        }
        self.base.read(|txn| {
            let id = || <&[u8; ID_LEN]>::try_from(key).map_err(|_| Failure::bad("not an id"));
            Ok(match table {
                Table::Shares => txn.open_table(SHARES)?.get(key)?.map(|b| b.value().to_vec()),
                Table::ShareFiles => {
                    txn.open_table(SHARE_FILES)?.get(key)?.map(|b| b.value().to_vec())
                }
                Table::Downloads => {
                    txn.open_table(DOWNLOADS)?.get(id()?)?.map(|b| b.value().to_vec())
                }
                Table::Manifests => {
                    txn.open_table(MANIFESTS)?.get(id()?)?.map(|b| b.value().to_vec())
                }
                Table::Settings | Table::Doomed | Table::Trees => None,
            })
        })
    }

    fn share_rows(
        &self,
        record: &ShareRecord,
        prepared: &Prepared,
    ) -> Result<Vec<Change>, LibraryError> {
        let bytes = record.encode().map_err(|error| self.unencodable(&error))?;
        let mut rows = vec![
            Change::put(Table::Shares, record.key(), &bytes.head),
            Change::put(Table::ShareFiles, record.key(), &bytes.files),
        ];
        if let Some(manifest) = &prepared.manifest {
            rows.push(Change::put(Table::Manifests, prepared.id.as_bytes(), manifest.bytes()));
        }
        let level = prepared.layout.chunk_level();
        for hashes in prepared.hashes.iter().filter(|hashes| hashes.chunks() > 1) {
            if let Some(bytes) = hashes.to_bytes() {
                rows.push(Change::put(Table::Trees, &tree_key(hashes.root(), level), &bytes));
            }
        }
        Ok(rows)
    }

    fn encoded(&self, record: &DownloadRecord) -> Result<Vec<u8>, LibraryError> {
        record.encode().map_err(|error| self.unencodable(&error))
    }

    fn unencodable(&self, error: &rmp_serde::encode::Error) -> LibraryError {
        unencodable(error).at(self.base.path())
    }

    fn check_schema(&self) -> Result<(), LibraryError> {
        let found = self.base.read(|txn| {
            Ok(txn.open_table(META)?.get(SCHEMA_KEY)?.map(|version| version.value()))
        })?;
        match found.unwrap_or(SCHEMA) {
            SCHEMA => Ok(()),
            found => {
                let path = self.base.path().to_path_buf();
                Err(LibraryError::TooNew { path, found, known: SCHEMA })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::{FileExt, PermissionsExt};
    use std::sync::Arc;

    use common::content::{Descriptor, Kind};

    use super::super::database::FILE_NAME;
    use super::*;
    use crate::api::command::{Priority, Selection};
    use crate::library::{DownloadOptions, hash_path, restore};

    fn download(seed: u8, selection: Selection) -> DownloadRecord {
        DownloadRecord {
            id: ContentId::from_bytes([seed; 32]),
            name: "../\u{1b}[31mname".to_owned(),
            dir: PathBuf::from(OsStr::from_bytes(b"/down\xff")),
            descriptor: Some(Descriptor { kind: Kind::File, size: 5, root: Hash::ZERO }),
            selection,
            paused: seed == 1,
            added_ms: 7,
            finished: (seed == 2).then(|| PathBuf::from("/down/name (1)")),
            options: DownloadOptions {
                priority: Priority::High,
                rank: -5,
                sequential: seed == 1,
                up: Some(1),
                down: None,
                watch: seed == 2,
            },
        }
    }

    /// A folder with a file of three chunks and one of one.
    fn content(dir: &Path, fill: u8) -> Prepared {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("large"), vec![fill; 150_000]).unwrap();
        fs::write(dir.join("small"), [fill]).unwrap();
        hash_path(dir, 1).unwrap()
    }

    #[test]
    fn everything_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        let prepared = content(&dir.path().join("share"), 1);
        let mut odd = prepared.record(true);
        odd.path = PathBuf::from(OsStr::from_bytes(b"/not \xff utf-8"));
        let downloads = vec![
            download(1, Selection::All),
            download(2, Selection::Paths(vec!["a/b".to_owned()])),
        ];
        {
            let (library, loaded) = Library::open(&state).unwrap();
            assert_eq!(loaded, Loaded::default());
            library.put_share(&prepared.record(false), &prepared).unwrap();
            library.put_share(&odd, &prepared).unwrap();
            for record in &downloads {
                library.put_download(record).unwrap();
            }
            library.set_setting("join-file", Some("/a")).unwrap();
            library.set_setting("gone", Some("x")).unwrap();
            library.set_setting("gone", None).unwrap();
        }
        let (library, loaded) = Library::open(&state).unwrap();
        let mut shares = vec![odd.clone(), prepared.record(false)];
        shares.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(loaded.shares, shares);
        assert_eq!(loaded.downloads, downloads);
        assert_eq!(
            loaded.settings.into_iter().collect::<Vec<_>>(),
            [("join-file".to_owned(), "/a".to_owned())]
        );
        assert_eq!(restore(&library, &prepared.record(false)).unwrap(), prepared);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(library.base.path())), (0o700, 0o600));

        assert!(library.remove_share(&odd.path).unwrap());
        assert!(!library.remove_share(&odd.path).unwrap());
        assert!(library.remove_download(&downloads[0].id).unwrap());
        assert!(!library.remove_download(&downloads[0].id).unwrap());
        assert_eq!(library.load().unwrap().shares, [prepared.record(false)]);
        assert_eq!(library.load().unwrap().downloads, downloads[1..]);
    }

    #[test]
    fn a_tombstone_is_remembered_until_it_is_deleted_or_wanted_again() {
        let dir = tempfile::tempdir().unwrap();
        let all = [download(1, Selection::All), download(2, Selection::All)];
        {
            let (library, _) = Library::open(dir.path()).unwrap();
            all.iter().for_each(|record| library.put_download(record).unwrap());
            for record in &all {
                library.note_tombstone(record).unwrap();
            }
            library.settle().unwrap();
        }
        let (library, loaded) = Library::open(dir.path()).unwrap();
        assert_eq!((loaded.downloads.len(), &loaded.tombstones[..]), (0, &all[..]));
        library.put_download(&all[0]).unwrap();
        let loaded = library.load().unwrap();
        assert_eq!((&loaded.downloads[..], &loaded.tombstones[..]), (&all[..1], &all[1..]));
        library.drop_tombstones(&[all[1].id]).unwrap();
        library.settle().unwrap();
        let loaded = library.load().unwrap();
        assert_eq!((&loaded.downloads[..], loaded.tombstones.len()), (&all[..1], 0));
    }

    #[test]
    fn a_second_process_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let first = Library::open(dir.path()).unwrap();
        let error = Library::open(dir.path()).unwrap_err();
        assert!(matches!(&error, LibraryError::Locked(at) if at == dir.path()));
        assert!(error.to_string().contains("already running"));
        drop(first);
        Library::open(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_library_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (library, _) = Library::open(dir.path()).unwrap();
        library
            .base
            .write(|txn| {
                txn.open_table(META)?.insert(SCHEMA_KEY, SCHEMA + 1)?;
                Ok(())
            })
            .unwrap();
        drop(library);
        for _ in 0..2 {
            let error = Library::open(dir.path()).unwrap_err();
            assert!(
                matches!(error, LibraryError::TooNew { found, known: SCHEMA, .. } if found == SCHEMA + 1)
            );
        }
    }

    #[test]
    fn damage_is_named_and_never_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, "not a library at all, but long enough to look at").unwrap();
        let error = Library::open(dir.path()).unwrap_err();
        assert!(matches!(error, LibraryError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("move it away"), "{error}");

        fs::remove_file(&path).unwrap();
        let prepared = content(&dir.path().join("share"), 1);
        let (library, _) = Library::open(dir.path()).unwrap();
        library.put_share(&prepared.record(false), &prepared).unwrap();
        drop(library);
        let good = fs::read(&path).unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut refused = 0;
        for round in 0..100 {
            fs::write(&path, &good).unwrap();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            if round % 4 == 0 {
                file.set_len(rng.u64(1..good.len() as u64)).unwrap();
            } else {
                let at = rng.u64(..good.len() as u64 - 64);
                file.write_all_at(&[0xA5; 64], at).unwrap();
            }
            match Library::open(dir.path()) {
                // Damage in a page that is not in use.
                Ok((library, loaded)) => {
                    for record in &loaded.shares {
                        let _ = restore(&library, record);
                    }
                    let _ = library.put_download(&download(1, Selection::All));
                }
                Err(LibraryError::Corrupt { .. }) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(refused > 0);
    }

    #[test]
    fn only_what_is_not_needed_is_collected() {
        let dir = tempfile::tempdir().unwrap();
        let (library, _) = Library::open(&dir.path().join("state")).unwrap();
        let a = content(&dir.path().join("a"), 1);
        let b = content(&dir.path().join("b"), 2);
        library.put_shares(&[(&a.record(false), &a), (&b.record(false), &b)]).unwrap();
        let root = Hash::from_bytes([9; 32]);
        let wanted = Descriptor { kind: Kind::File, size: 1 << 20, root };
        let record = DownloadRecord {
            id: wanted.id(),
            descriptor: Some(wanted),
            ..download(3, Selection::All)
        };
        library.put_download(&record).unwrap();
        library.put_tree(&root, 2, &[1; 64]).unwrap();
        library.put_manifest(&record.id, b"kept while it is wanted").unwrap();
        assert_eq!(library.collect_garbage().unwrap(), Collected::default());

        library.remove_share(&a.path).unwrap();
        assert_eq!(library.collect_garbage().unwrap(), Collected { trees: 1, manifests: 1 });
        assert_eq!(restore(&library, &b.record(false)).unwrap(), b);
        assert!(matches!(
            restore(&library, &a.record(false)),
            Err(LibraryError::Incomplete { .. })
        ));
        assert_eq!(library.tree(&root, 2).unwrap(), Some(vec![1; 64]));
        assert_eq!(library.tree(&root, 3).unwrap(), None);

        library.remove_download(&record.id).unwrap();
        assert_eq!(library.collect_garbage().unwrap(), Collected { trees: 1, manifests: 1 });
        assert_eq!(library.tree(&root, 2).unwrap(), None);
        assert_eq!(library.collect_garbage().unwrap(), Collected::default());
    }

    #[test]
    fn threads_write_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (library, _) = Library::open(dir.path()).unwrap();
        let library = Arc::new(library);
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let library = &library;
                scope.spawn(move || {
                    for i in 0..5 {
                        library.put_download(&download(thread * 10 + i, Selection::All)).unwrap();
                    }
                });
            }
        });
        assert_eq!(library.load().unwrap().downloads.len(), 20);
    }
}
