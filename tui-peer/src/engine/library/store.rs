//! The one database of a profile.
//!
//! redb: pure Rust, checksummed commits, one process at a time. Every method that writes is one
//! durable commit. Chunk hashes are kept by root, so that they serve every share and download of the
//! same file; what nobody needs any more goes with [`Library::collect_garbage`].

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::id::{ContentId, Hash, ID_LEN};
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::error::LibraryError;
use super::failure::{Failure, closed, guarded, open_error, unencodable};
pub use super::garbage::Collected;
use super::garbage::collect;
use super::prepared::Prepared;
use super::record::{DownloadRecord, Loaded, ShareRecord};

/// Name of the database in the state folder.
pub(super) const FILE_NAME: &str = "library.redb";
/// Format of the tables and records below.
const SCHEMA: u32 = 1;
/// Pages held in memory; the whole is read once at start, then hardly at all.
const CACHE_LEN: usize = 16 * 1024 * 1024;

pub(super) const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const SETTINGS: TableDefinition<'_, &str, &str> = TableDefinition::new("settings");
/// Path → record without its files.
pub(super) const SHARES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("shares");
/// Path → stats and relative paths.
const SHARE_FILES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("share_files");
pub(super) const DOWNLOADS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> =
    TableDefinition::new("downloads");
/// Downloads that were removed together with their data, as long as that is not deleted.
const DOOMED: TableDefinition<'_, &[u8; ID_LEN], &[u8]> = TableDefinition::new("doomed");
pub(super) const MANIFESTS: TableDefinition<'_, &[u8; ID_LEN], &[u8]> =
    TableDefinition::new("manifests");
/// Root and tree level → chunk hashes, 32 bytes each.
pub(super) const TREES: TableDefinition<'_, &TreeKey, &[u8]> = TableDefinition::new("trees");

const SCHEMA_KEY: &str = "schema";
/// 1 once something was removed or replaced since the last collection.
pub(super) const GARBAGE_KEY: &str = "garbage";

pub(super) type TreeKey = [u8; ID_LEN + 1];

/// What this profile shares and downloads.
#[derive(Debug)]
pub struct Library {
    /// `None` only while it is dropped.
    db: Option<Database>,
    path: PathBuf,
}

impl Drop for Library {
    fn drop(&mut self) {
        let db = self.db.take();
        // Closing writes; what was committed is safe whether that works or not.
        let _ = guarded(&self.path, || {
            drop(db);
            Ok(())
        });
    }
}

impl Library {
    /// Opens (or creates) the library in `state_dir`, which is created for its owner alone.
    ///
    /// # Errors
    /// [`LibraryError::Locked`] when another process has it, [`LibraryError::TooNew`],
    /// [`LibraryError::Corrupt`], [`LibraryError::Io`].
    pub fn open(state_dir: &Path) -> Result<(Self, Loaded), LibraryError> {
        let path = state_dir.join(FILE_NAME);
        let io = |at: &Path| {
            let path = at.to_path_buf();
            move |source| LibraryError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(io(state_dir))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io(&path))?;
        let fresh = file.metadata().map_err(io(&path))?.len() == 0;
        let db =
            guarded(&path, || Ok(Database::builder().set_cache_size(CACHE_LEN).create_file(file)))?
                .map_err(|error| open_error(state_dir, &path, error))?;
        let library = Self { db: Some(db), path };
        library.prepare_tables()?;
        if fresh {
            // So that a power cut does not take the name of the new file.
            fs::File::open(state_dir).and_then(|dir| dir.sync_all()).map_err(io(state_dir))?;
        }
        let loaded = library.load()?;
        Ok((library, loaded))
    }

    /// Remembers a share and its hashes; replaces what was known of the same path.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn put_share(&self, record: &ShareRecord, prepared: &Prepared) -> Result<(), LibraryError> {
        self.put_shares(&[(record, prepared)])
    }

    /// Remembers many shares in one commit.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn put_shares(&self, shares: &[(&ShareRecord, &Prepared)]) -> Result<(), LibraryError> {
        self.write(|txn| {
            let mut replaced = false;
            {
                let mut heads = txn.open_table(SHARES)?;
                let mut files = txn.open_table(SHARE_FILES)?;
                let mut trees = txn.open_table(TREES)?;
                let mut manifests = txn.open_table(MANIFESTS)?;
                for (record, prepared) in shares {
                    let bytes = record.encode().map_err(|error| unencodable(&error))?;
                    replaced |= heads.insert(record.key(), bytes.head.as_slice())?.is_some();
                    files.insert(record.key(), bytes.files.as_slice())?;
                    if let Some(manifest) = &prepared.manifest {
                        put_if_new(&mut manifests, &prepared.id.as_bytes(), manifest.bytes())?;
                    }
                    let level = prepared.layout.chunk_level();
                    for hashes in prepared.hashes.iter().filter(|hashes| hashes.chunks() > 1) {
                        if let Some(bytes) = hashes.to_bytes() {
                            put_if_new(&mut trees, &&tree_key(hashes.root(), level), &bytes)?;
                        }
                    }
                }
            }
            if replaced { note_garbage(txn) } else { Ok(()) }
        })
    }

    /// Forgets a share; says whether it was known. Files are not touched.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn remove_share(&self, path: &Path) -> Result<bool, LibraryError> {
        self.write(|txn| {
            let key = path.as_os_str().as_bytes();
            let known = txn.open_table(SHARES)?.remove(key)?.is_some();
            txn.open_table(SHARE_FILES)?.remove(key)?;
            note_garbage(txn)?;
            Ok(known)
        })
    }

    /// Remembers a download, or what became of it. One that was doomed is not any more.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn put_download(&self, record: &DownloadRecord) -> Result<(), LibraryError> {
        self.write(|txn| {
            let bytes = record.encode().map_err(|error| unencodable(&error))?;
            txn.open_table(DOWNLOADS)?.insert(record.id.as_bytes(), bytes.as_slice())?;
            txn.open_table(DOOMED)?.remove(record.id.as_bytes())?;
            Ok(())
        })
    }

    /// Forgets a download, and remembers that what was fetched of it is to be deleted, until that is done
    /// ([`Self::forget_doomed`]) or it is wanted again ([`Self::put_download`]).
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn doom_download(&self, record: &DownloadRecord) -> Result<(), LibraryError> {
        self.write(|txn| {
            let bytes = record.encode().map_err(|error| unencodable(&error))?;
            txn.open_table(DOWNLOADS)?.remove(record.id.as_bytes())?;
            txn.open_table(DOOMED)?.insert(record.id.as_bytes(), bytes.as_slice())?;
            note_garbage(txn)
        })
    }

    /// What was fetched of doomed downloads is deleted.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn forget_doomed(&self, ids: &[ContentId]) -> Result<(), LibraryError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|txn| {
            let mut doomed = txn.open_table(DOOMED)?;
            for id in ids {
                doomed.remove(id.as_bytes())?;
            }
            Ok(())
        })
    }

    /// Forgets a download; says whether it was known. Files are not touched.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn remove_download(&self, id: &ContentId) -> Result<bool, LibraryError> {
        self.write(|txn| {
            let known = txn.open_table(DOWNLOADS)?.remove(id.as_bytes())?.is_some();
            note_garbage(txn)?;
            Ok(known)
        })
    }

    /// Chunk hashes of a file, 32 bytes each, as [`common::merkle::ChunkHashes::to_bytes`] wrote them.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
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
        let mut wanted = wanted.into_iter().peekable();
        if wanted.peek().is_none() {
            return Ok(Vec::new());
        }
        self.read(|txn| {
            let trees = txn.open_table(TREES)?;
            let mut found = Vec::new();
            for (root, level) in wanted {
                found.push(trees.get(&tree_key(root, level))?.map(|bytes| bytes.value().to_vec()));
            }
            Ok(found)
        })
    }

    /// Remembers the chunk hashes of a file that is being downloaded. Kept as long as a share or a
    /// download (with its descriptor, and for a folder its manifest) needs them.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn put_tree(&self, root: &Hash, level: u8, bytes: &[u8]) -> Result<(), LibraryError> {
        self.write(|txn| {
            txn.open_table(TREES)?.insert(&tree_key(*root, level), bytes)?;
            Ok(())
        })
    }

    /// A folder's manifest.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn manifest(&self, id: &ContentId) -> Result<Option<Vec<u8>>, LibraryError> {
        self.read(|txn| {
            let manifests = txn.open_table(MANIFESTS)?;
            Ok(manifests.get(id.as_bytes())?.map(|bytes| bytes.value().to_vec()))
        })
    }

    /// Remembers the manifest of a folder that is being downloaded. Kept as long as a share or a
    /// download has this id.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn put_manifest(&self, id: &ContentId, bytes: &[u8]) -> Result<(), LibraryError> {
        self.write(|txn| {
            txn.open_table(MANIFESTS)?.insert(id.as_bytes(), bytes)?;
            Ok(())
        })
    }

    /// Sets a setting, or removes it. No secrets: those have files of their own.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn set_setting(&self, key: &str, value: Option<&str>) -> Result<(), LibraryError> {
        self.write(|txn| {
            let mut settings = txn.open_table(SETTINGS)?;
            match value {
                Some(value) => settings.insert(key, value)?,
                None => settings.remove(key)?,
            };
            Ok(())
        })
    }

    /// What is remembered of one shared path.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn share(&self, path: &Path) -> Result<Option<ShareRecord>, LibraryError> {
        self.read(|txn| {
            let key = path.as_os_str().as_bytes();
            let head = txn.open_table(SHARES)?.get(key)?;
            let files = txn.open_table(SHARE_FILES)?.get(key)?;
            let (Some(head), Some(files)) = (head, files) else { return Ok(None) };
            let record = ShareRecord::decode(key, head.value(), files.value());
            record.map(Some).map_err(|error| Failure::bad(&error))
        })
    }

    /// All there is, as [`open`](Self::open) returned it.
    ///
    /// # Errors
    /// [`LibraryError`] when the database cannot be read.
    pub fn load(&self) -> Result<Loaded, LibraryError> {
        self.read(|txn| {
            let mut loaded = Loaded::default();
            let files = txn.open_table(SHARE_FILES)?;
            for row in txn.open_table(SHARES)?.iter()? {
                let (key, head) = row?;
                let files =
                    files.get(key.value())?.ok_or_else(|| Failure::bad("a share has no files"))?;
                let record = ShareRecord::decode(key.value(), head.value(), files.value());
                loaded.shares.push(record.map_err(|error| Failure::bad(&error))?);
            }
            for row in txn.open_table(DOWNLOADS)?.iter()? {
                let (key, bytes) = row?;
                let id = ContentId::from_bytes(*key.value());
                let record = DownloadRecord::decode(id, bytes.value());
                loaded.downloads.push(record.map_err(|error| Failure::bad(&error))?);
            }
            for row in txn.open_table(DOOMED)?.iter()? {
                let (key, bytes) = row?;
                let id = ContentId::from_bytes(*key.value());
                let record = DownloadRecord::decode(id, bytes.value());
                loaded.doomed.push(record.map_err(|error| Failure::bad(&error))?);
            }
            for row in txn.open_table(SETTINGS)?.iter()? {
                let (key, value) = row?;
                loaded.settings.insert(key.value().to_owned(), value.value().to_owned());
            }
            Ok(loaded)
        })
    }

    /// Removes chunk hashes and manifests that no share and no download needs. Cheap when nothing was
    /// removed since the last time.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing is changed then.
    pub fn collect_garbage(&self) -> Result<Collected, LibraryError> {
        let dirty = self.read(|txn| {
            Ok(txn.open_table(META)?.get(GARBAGE_KEY)?.is_some_and(|flag| flag.value() != 0))
        })?;
        if !dirty {
            return Ok(Collected::default());
        }
        self.write(collect)
    }

    fn prepare_tables(&self) -> Result<(), LibraryError> {
        let found = self.write(|txn| {
            let mut meta = txn.open_table(META)?;
            let found = meta.get(SCHEMA_KEY)?.map(|version| version.value());
            if found.is_none() {
                meta.insert(SCHEMA_KEY, SCHEMA)?;
            }
            drop(meta);
            if found.unwrap_or(SCHEMA) == SCHEMA {
                txn.open_table(SETTINGS)?;
                txn.open_table(SHARES)?;
                txn.open_table(SHARE_FILES)?;
                txn.open_table(DOWNLOADS)?;
                txn.open_table(DOOMED)?;
                txn.open_table(MANIFESTS)?;
                txn.open_table(TREES)?;
            }
            Ok(found.unwrap_or(SCHEMA))
        })?;
        if found == SCHEMA {
            return Ok(());
        }
        Err(LibraryError::TooNew { path: self.path.clone(), found, known: SCHEMA })
    }

    fn write<R>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<R, Failure>,
    ) -> Result<R, LibraryError> {
        guarded(&self.path, || {
            let txn = self.db.as_ref().ok_or_else(closed)?.begin_write()?;
            let result = change(&txn)?;
            txn.commit()?;
            Ok(result)
        })
    }

    fn read<R>(
        &self,
        look: impl FnOnce(&redb::ReadTransaction) -> Result<R, Failure>,
    ) -> Result<R, LibraryError> {
        guarded(&self.path, || look(&self.db.as_ref().ok_or_else(closed)?.begin_read()?))
    }
}

pub(super) fn tree_key(root: Hash, level: u8) -> TreeKey {
    let mut key = [level; ID_LEN + 1];
    if let Some(head) = key.first_chunk_mut::<ID_LEN>() {
        *head = *root.as_bytes();
    }
    key
}

/// Values are named by their hash: what is there already is the same.
fn put_if_new<K: redb::Key>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: &K::SelfType<'_>,
    value: &[u8],
) -> Result<(), Failure> {
    let known = table.get(key)?.is_some();
    if !known {
        table.insert(key, value)?;
    }
    Ok(())
}

fn note_garbage(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.open_table(META)?.insert(GARBAGE_KEY, 1)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::{FileExt, PermissionsExt};
    use std::sync::Arc;

    use common::content::{Descriptor, Kind};

    use super::*;
    use crate::engine::command::{Priority, Selection};
    use crate::engine::library::{Wish, hash_path, restore};

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
            wish: Wish {
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
        assert_eq!((mode(&state), mode(&library.path)), (0o700, 0o600));

        assert!(library.remove_share(&odd.path).unwrap());
        assert!(!library.remove_share(&odd.path).unwrap());
        assert!(library.remove_download(&downloads[0].id).unwrap());
        assert!(!library.remove_download(&downloads[0].id).unwrap());
        assert_eq!(library.load().unwrap().shares, [prepared.record(false)]);
        assert_eq!(library.load().unwrap().downloads, downloads[1..]);
    }

    #[test]
    fn a_doomed_download_is_remembered_until_it_is_deleted_or_wanted_again() {
        let dir = tempfile::tempdir().unwrap();
        let all = [download(1, Selection::All), download(2, Selection::All)];
        {
            let (library, _) = Library::open(dir.path()).unwrap();
            all.iter().for_each(|record| library.put_download(record).unwrap());
            all.iter().for_each(|record| library.doom_download(record).unwrap());
        }
        let (library, loaded) = Library::open(dir.path()).unwrap();
        assert_eq!((loaded.downloads.len(), &loaded.doomed[..]), (0, &all[..]));
        library.put_download(&all[0]).unwrap();
        let loaded = library.load().unwrap();
        assert_eq!((&loaded.downloads[..], &loaded.doomed[..]), (&all[..1], &all[1..]));
        library.forget_doomed(&[all[1].id]).unwrap();
        let loaded = library.load().unwrap();
        assert_eq!((&loaded.downloads[..], loaded.doomed.len()), (&all[..1], 0));
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
