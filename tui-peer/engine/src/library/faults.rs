//! A disk that fails on demand, under the library: for tests.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{BackendError, Database, StorageBackend};

use super::database::Opener;

/// What goes wrong with the disk.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    error: Mutex<Option<rustix::io::Errno>>,
    /// Writes, syncs and changes of length that succeed before it fails.
    spare: AtomicU64,
    hangs: AtomicBool,
    /// Writes that were refused.
    refused: AtomicU64,
    opened: AtomicU64,
}

impl Faults {
    /// From now on everything that changes the file fails, after this many that still work.
    pub(crate) fn fail(&self, errno: rustix::io::Errno, after: u64) {
        self.spare.store(after, Ordering::SeqCst);
        *self.error.lock().unwrap() = Some(errno);
    }

    /// All is well again.
    pub(crate) fn mend(&self) {
        *self.error.lock().unwrap() = None;
        self.hangs.store(false, Ordering::SeqCst);
    }

    /// From now on everything that changes the file waits for [`Self::mend`].
    pub(crate) fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Times something was refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Times the file was opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    pub(crate) fn opener(self: &Arc<Self>) -> Opener {
        let faults = self.clone();
        Arc::new(move |file| {
            faults.opened.fetch_add(1, Ordering::SeqCst);
            let backend = Faulty { file: FileBackend::new(file)?, faults: faults.clone() };
            Database::builder().create_with_backend(backend)
        })
    }

    fn look(&self) -> io::Result<()> {
        while self.hangs.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let Some(errno) = *self.error.lock().unwrap() else { return Ok(()) };
        if self.spare.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
        {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(errno.into())
    }
}

#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    faults: Arc<Faults>,
}

type Locked<T> = Result<T, BackendError>;

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.look()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.look()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.look()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.file.query_lock_range(start, end)
    }
}

mod f1 {
    use std::fs;
    use std::path::{Path, PathBuf};

    use common::id::ContentId;
    use rustix::io::Errno;

    use super::super::{DownloadOptions, DownloadRecord, Library, hash_path};
    use super::*;
    use crate::api::command::Selection;

    fn record(n: u8) -> DownloadRecord {
        DownloadRecord {
            id: ContentId::from_bytes([n; 32]),
            name: n.to_string(),
            dir: PathBuf::from("/d"),
            descriptor: None,
            selection: Selection::All,
            paused: false,
            added_ms: 7,
            finished: None,
            options: DownloadOptions::default(),
        }
    }

    fn open(dir: &Path) -> (Library, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let (library, _) = Library::open_with(dir, faults.opener()).unwrap();
        (library, faults)
    }

    fn names(dir: &Path) -> Vec<String> {
        let (_, loaded) = Library::open(dir).unwrap();
        loaded.downloads.into_iter().map(|record| record.name).collect()
    }

    /// Whatever call of the disk fails, in whatever way, nothing is lost once it works again.
    #[test]
    fn f1_after_a_failed_write_the_library_is_opened_anew_and_writes_what_it_could_not() {
        for errno in [Errno::NOSPC, Errno::IO] {
            for after in 0..12 {
                let temp = tempfile::tempdir().unwrap();
                let (library, faults) = open(temp.path());
                library.put_download(&record(1)).unwrap();
                faults.fail(errno, after);
                // Until the disk has refused something.
                let mut n = 1;
                while faults.refused() == 0 {
                    n += 1;
                    let _ = library.put_download(&record(n));
                }
                for _ in 0..3 {
                    let error = library.put_download(&record(n + 1)).unwrap_err();
                    assert!(!library.is_settled(), "{error}");
                }
                // Read as it is to be, though nothing of it is on disk.
                assert!(library.remove_download(&record(1).id).is_err());
                assert_eq!(library.waiting() % 2, 1, "one row, and two of each download");
                faults.mend();
                library.settle().unwrap();
                assert!(library.is_settled());
                assert!(faults.opened() > 1, "redb says no until it is opened anew");
                library.put_download(&record(n + 2)).unwrap();
                drop(library);
                let mut expected: Vec<String> = (2..=n + 2).map(|n| n.to_string()).collect();
                expected.sort_by_key(|name| name.parse::<u8>().unwrap());
                assert_eq!(names(temp.path()), expected, "{errno:?} after {after}");
            }
        }
    }

    #[test]
    fn f1_a_share_that_could_not_be_written_is_known_and_wanted_only_once() {
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("state");
        let path = temp.path().canonicalize().unwrap().join("a");
        fs::write(&path, vec![7; 200_000]).unwrap();
        let (library, faults) = open(&state);
        faults.fail(Errno::NOSPC, 0);
        let prepared = hash_path(&path, 1).unwrap();
        let record = prepared.record(false);
        assert!(library.put_share(&record, &prepared).is_err());
        assert_eq!(library.share(&path).unwrap(), Some(record.clone()));
        assert_eq!(super::super::restore(&library, &record).unwrap(), prepared);
        let waiting = library.waiting();
        assert!(library.put_share(&record, &prepared).is_err());
        assert_eq!(library.waiting(), waiting, "the later takes the place of the earlier");
        // Unshared before it ever was on disk: it does not come when the disk does.
        assert!(library.remove_share(&path).is_err());
        assert_eq!(library.share(&path).unwrap(), None);
        faults.mend();
        library.settle().unwrap();
        drop(library);
        let (_, loaded) = Library::open(&state).unwrap();
        assert_eq!(loaded.shares.len(), 0);
    }

    /// A share as large as one pleases is remembered, also when other things wait.
    #[test]
    fn b9_a_share_above_what_is_kept_is_remembered_by_a_disk_that_works() {
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("state");
        let (library, faults) = open(&state);
        library.keep(1);
        let shares: Vec<_> = (0..4)
            .map(|n| {
                let path = temp.path().canonicalize().unwrap().join(n.to_string());
                fs::write(&path, vec![n; 200_000]).unwrap();
                hash_path(&path, 1).unwrap()
            })
            .collect();
        let put = |n: usize| library.put_share(&shares[n].record(false), &shares[n]);
        put(0).unwrap();
        library.note_download(&record(1)).unwrap();
        put(1).unwrap();
        assert!(library.is_settled());

        faults.fail(Errno::NOSPC, 0);
        assert!(!put(2).unwrap_err().is_behind(), "nothing else waits: it is kept");
        assert!(put(3).unwrap_err().is_behind());
        assert!(!library.remove_share(&shares[0].path).unwrap_err().is_behind());
        faults.mend();
        library.settle().unwrap();
        drop(library);
        let (_, loaded) = Library::open(&state).unwrap();
        assert_eq!(loaded.shares, [shares[1].record(false), shares[2].record(false)]);
        assert_eq!(loaded.downloads, [record(1)]);
    }

    #[test]
    fn f1_while_the_library_is_closed_nobody_else_gets_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let (library, faults) = open(temp.path());
        faults.fail(Errno::IO, 0);
        assert!(library.put_download(&record(1)).is_err());
        let error = Library::open(temp.path()).unwrap_err();
        assert!(matches!(error, super::super::LibraryError::Locked(_)), "{error}");
    }
}
