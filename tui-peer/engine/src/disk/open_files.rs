//! Open files, so that serving a chunk does not open its file again: at most 128, the one not used
//! for longest is closed first.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use common::lock::Unpoisoned as _;

use super::syscalls::Access;

/// Open files kept; the usual limit of a process is 1024, most of which is for connections.
const MAX_OPEN: usize = 128;

/// A file of a tree, opened for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Number of the tree, see [`OpenFiles::new_tree`].
    pub(super) tree: u64,
    /// Index of the file.
    pub(super) file: usize,
    /// For what.
    pub(super) access: Access,
}

#[derive(Default)]
struct Inner {
    files: HashMap<Key, (Arc<File>, u64)>,
    /// Counts uses: the smallest number is the one not used for longest.
    clock: u64,
    trees: u64,
}

/// Open files of all trees.
#[derive(Default)]
pub(super) struct OpenFiles {
    inner: Mutex<Inner>,
}

impl OpenFiles {
    /// The one of this process, as its limit of open files is the process's too.
    pub(super) fn shared() -> &'static Self {
        static CACHE: OnceLock<OpenFiles> = OnceLock::new();
        CACHE.get_or_init(Self::default)
    }

    /// A number for a tree that nobody else has.
    pub(super) fn new_tree(&self) -> u64 {
        let mut inner = self.lock();
        inner.trees += 1;
        inner.trees
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<File>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        let (file, used) = inner.files.get_mut(&key)?;
        *used = now;
        Some(file.clone())
    }

    /// Keeps a file; if another thread was faster, its file is kept and returned.
    pub(super) fn put(&self, key: Key, file: File) -> Arc<File> {
        let mut closed = None;
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        if let Some((file, _)) = inner.files.get(&key) {
            return file.clone();
        }
        if inner.files.len() >= MAX_OPEN
            && let Some(oldest) = inner.files.iter().min_by_key(|(_, entry)| entry.1)
        {
            let oldest = *oldest.0;
            closed = inner.files.remove(&oldest);
        }
        let file = Arc::new(file);
        inner.files.insert(key, (file.clone(), now));
        drop(inner);
        drop(closed);
        file
    }

    /// Closes the files of a tree (those in use once that use ends).
    pub(super) fn forget(&self, tree: u64) {
        self.close(|key| key.tree == tree);
    }

    /// Closes all that are not in use: others need the descriptors more.
    pub(super) fn give_way(&self) {
        self.close(|_| true);
    }

    /// Closes one file of a tree.
    pub(super) fn forget_file(&self, tree: u64, file: usize) {
        self.close(|key| key.tree == tree && key.file == file);
    }

    /// Closing may have to write what is left, and a disk may hang: nobody else waits for that.
    fn close(&self, which: impl Fn(&Key) -> bool) {
        let mut inner = self.lock();
        let closed: Vec<_> = inner.files.extract_if(|key, _| which(key)).collect();
        drop(inner);
        drop(closed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unpoisoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_not_used_for_longest_is_closed() {
        let cache = OpenFiles::default();
        let tree = cache.new_tree();
        let key = |file| Key { tree, file, access: Access::Read };
        for n in 0..MAX_OPEN {
            cache.put(key(n), tempfile::tempfile().unwrap());
        }
        assert!(cache.get(key(0)).is_some());
        cache.put(key(MAX_OPEN), tempfile::tempfile().unwrap());
        assert!(cache.get(key(0)).is_some() && cache.get(key(1)).is_none());
        assert_eq!(cache.lock().files.len(), MAX_OPEN);
        cache.forget_file(tree, 2);
        assert!(cache.get(key(2)).is_none() && cache.get(key(3)).is_some());
        cache.give_way();
        assert!(cache.lock().files.is_empty());
        cache.put(key(0), tempfile::tempfile().unwrap());
        cache.forget(tree);
        assert!(cache.lock().files.is_empty());
    }
}
