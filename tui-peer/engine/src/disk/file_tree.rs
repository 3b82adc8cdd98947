//! Where a content's files are, and how they are opened: beneath a folder, component by component,
//! never through a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use common::chunk_set::ChunkSet;
use common::layout::{Layout, Place};
use common::lock::Unpoisoned as _;
use common::names::{PathList, check_component, components};
use common::numbers::saturate;

use super::error::{ReadError, is_short};
use super::open_files::{Key, OpenFiles};
use super::syscalls::{self, Access};
use crate::library::Stat;

/// Somewhere chunks can be read from.
pub(crate) trait ChunkSource: Send + Sync {
    /// Fills `out` with the bytes of chunk `chunk` from `off` (bytes, within the chunk) on. Blocks.
    ///
    /// # Errors
    /// [`ReadError`]; `out` is in disorder then.
    fn read(&self, chunk: u32, off: u32, out: &mut [u8]) -> Result<(), ReadError>;

    /// The number of the device that a chunk lies on, without a look at the disk: where one hangs, only
    /// those who read from it wait.
    fn volume(&self, chunk: u32) -> u64;

    /// The same as [`Self::read`] if it can be had at once, from the system's memory and an open file; `false` if not,
    /// whatever the reason: [`Self::read`] finds it.
    fn read_cached(&self, chunk: u32, off: u32, out: &mut [u8]) -> bool {
        let _ = (chunk, off, out);
        false
    }

    /// Whether it reads what lies at `root`, with files that are as `stats` say. Also where that cannot be told.
    fn is_of(&self, root: &Path, stats: &[Stat]) -> bool {
        let _ = (root, stats);
        true
    }
}

/// The files of a content: one file, or those of a folder. Opens nothing until it is used.
#[derive(Debug)]
pub(crate) struct FileTree {
    layout: Arc<Layout>,
    /// Path of the file or folder itself. Renaming holds it for writing.
    root: RwLock<PathBuf>,
    rel: Option<Arc<PathList>>,
    number: u64,
    /// The folder that holds the root, if it stays the same whatever it is called.
    held: Option<Arc<OwnedFd>>,
    /// The folder that is the root, if it stays the same whatever stands at its name.
    own: Option<Arc<File>>,
}

impl FileTree {
    /// The file at `root`, or the files at `rel` (components below `root`, per file of the layout).
    /// Links on the way to the folder that holds `root` are the user's own and followed; the last
    /// component and everything below is not.
    pub(crate) fn new(layout: Arc<Layout>, root: PathBuf, rel: Option<Arc<PathList>>) -> Self {
        let number = OpenFiles::shared().new_tree();
        Self { layout, root: RwLock::new(root), rel, number, held: None, own: None }
    }

    /// The same within the folder `dir`, which may be renamed meanwhile. A file that is made as the root
    /// is nobody else's business.
    pub(super) fn held(
        layout: Arc<Layout>,
        root: PathBuf,
        rel: Option<Arc<PathList>>,
        dir: Arc<OwnedFd>,
    ) -> Self {
        let mut tree = Self::new(layout, root, rel);
        tree.held = Some(dir);
        tree
    }

    /// The same, all of its files below the open folder `own`.
    pub(super) fn below(mut self, own: Arc<File>) -> Self {
        self.own = Some(own);
        self
    }

    /// The folder that holds the root.
    fn parent(&self, path: &Path) -> io::Result<Arc<OwnedFd>> {
        match &self.held {
            Some(dir) => Ok(dir.clone()),
            None => Ok(Arc::new(syscalls::open_root_dir(path)?)),
        }
    }

    /// The folder that is the root.
    fn open_root(&self, root: &Path) -> io::Result<OwnedFd> {
        if let Some(own) = &self.own {
            return Ok(own.try_clone()?.into());
        }
        let (parent, name) = split(root)?;
        syscalls::open_dir(&*self.parent(parent)?, name)
    }

    /// Chunks of which there is any data, but for files all of whose chunks are `known`. What cannot be
    /// opened holds none.
    pub(super) fn data_chunks(&self, known: &ChunkSet) -> ChunkSet {
        let layout = &self.layout;
        let mut found = ChunkSet::empty(layout.chunks());
        let step = u64::from(layout.chunk_len()).max(1);
        for file in 0..layout.files() {
            let chunks = layout.file_chunks(file).unwrap_or(0..0);
            if chunks.clone().all(|chunk| known.contains(chunk)) {
                continue;
            }
            let Ok(handle) = self.open_uncached(file, Access::Read) else { continue };
            for range in syscalls::data_ranges(&handle, step).unwrap_or_default() {
                let first = saturate::<u32>(range.start / step);
                let end = saturate::<u32>(range.end.div_ceil(step));
                let first = chunks.start.saturating_add(first);
                let end = chunks.start.saturating_add(end).min(chunks.end);
                found.insert_run(first.min(end), end.saturating_sub(first));
            }
        }
        found
    }

    /// How the content is cut into chunks.
    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Told apart from every other tree of this process by this.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Where it is now.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.read().unpoisoned().clone()
    }

    /// Whether it is there now.
    pub(super) fn is_at(&self, root: &Path) -> bool {
        *self.root.read().unpoisoned() == root
    }

    /// Paths of a folder's files below it.
    pub(crate) fn rel(&self) -> Option<Arc<PathList>> {
        self.rel.clone()
    }

    /// Where a chunk lives, for `len` bytes from `off` on.
    pub(super) fn place(&self, chunk: u32, off: u32, len: usize) -> Result<Place, ReadError> {
        let place = self.layout.place(self.layout.chunk(chunk).ok_or(ReadError::OutOfRange)?);
        let end = u64::from(off).saturating_add(len as u64);
        if end > u64::from(place.len) { Err(ReadError::OutOfRange) } else { Ok(place) }
    }

    /// Reads from a file of the tree.
    pub(super) fn read_at(&self, file: usize, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let file = self.open(file, Access::Read).map_err(gone)?;
        read_exact(&file, at, out)
    }

    /// Fills `out` from a file that is open already, if all of it is in the system's memory; the file.
    pub(super) fn read_cached(&self, file: usize, at: u64, out: &mut [u8]) -> Option<Arc<File>> {
        let open =
            OpenFiles::shared().get(Key { tree: self.number, file, access: Access::Read })?;
        syscalls::read_cached(&open, out, at).then_some(open)
    }

    /// A file of the tree, from the cache if it is open already.
    pub(super) fn open(&self, file: usize, access: Access) -> io::Result<Arc<File>> {
        // Both can do the same once they are open.
        let kept = if access == Access::Existing { Access::Write } else { access };
        let key = Key { tree: self.number, file, access: kept };
        let cache = OpenFiles::shared();
        match cache.get(key) {
            Some(file) => Ok(file),
            None => {
                let opened = self.open_uncached(file, access).or_else(|error| {
                    if !is_short(&error) {
                        return Err(error);
                    }
                    // What is only kept open for later makes room.
                    cache.give_way();
                    self.open_uncached(file, access)
                });
                Ok(cache.put(key, opened?))
            }
        }
    }

    /// The same without the cache: for passes over all files.
    pub(super) fn open_uncached(&self, file: usize, access: Access) -> io::Result<File> {
        // Held while opening, so that a rename does not come between.
        let root = self.root.read().unpoisoned();
        let Some(rel) = &self.rel else {
            let (parent, name) = split(&root)?;
            return if file == 0 {
                syscalls::open_private(&*self.parent(parent)?, name, access)
            } else {
                Err(no_such_file())
            };
        };
        let (folders, last) = split_last(rel.get(file).ok_or_else(no_such_file)?);
        let create = !matches!(access, Access::Read | Access::Existing);
        let dir = walk(self.open_root(&root)?, folders, create)?;
        check(last)?;
        syscalls::open_file(dir, last, access)
    }

    /// Creates a folder (and those above it) within the tree.
    pub(super) fn make_dirs(&self, path: &str) -> io::Result<()> {
        let root = self.root.read().unpoisoned();
        walk(self.open_root(&root)?, path, true).map(drop)
    }

    /// Removes a file of the tree, and the folders above it that are empty then.
    pub(super) fn remove(&self, file: usize) -> io::Result<()> {
        OpenFiles::shared().forget_file(self.number, file);
        let root = self.root.read().unpoisoned();
        let path = self.rel.as_ref().and_then(|rel| rel.get(file)).ok_or_else(no_such_file)?;
        let (mut folders, last) = split_last(path);
        check(last)?;
        match walk(self.open_root(&root)?, folders, false) {
            Ok(dir) => syscalls::remove_file(dir, last)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        while !folders.is_empty() {
            let (above, name) = split_last(folders);
            let dir = walk(self.open_root(&root)?, above, false)?;
            if rustix::fs::unlinkat(dir, name, rustix::fs::AtFlags::REMOVEDIR).is_err() {
                break;
            }
            folders = above;
        }
        Ok(())
    }

    /// Runs `rename`, which moves the root; nothing is opened meanwhile. `Some` is the new root.
    pub(super) fn renaming<E>(
        &self,
        rename: impl FnOnce() -> Result<PathBuf, E>,
    ) -> Result<PathBuf, E> {
        let mut root = self.root.write().unpoisoned();
        let new = rename()?;
        root.clone_from(&new);
        Ok(new)
    }

    /// Closes what is open.
    pub(super) fn close(&self) {
        OpenFiles::shared().forget(self.number);
    }
}

impl Drop for FileTree {
    fn drop(&mut self) {
        self.close();
    }
}

/// Steps down from `dir`, creating folders on the way if asked to.
fn walk(mut dir: OwnedFd, path: &str, create: bool) -> io::Result<OwnedFd> {
    for part in components(path) {
        check(part)?;
        dir = match syscalls::open_dir(&dir, part) {
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                syscalls::make_dir(&dir, part)?;
                syscalls::open_dir(&dir, part)?
            }
            other => other?,
        };
    }
    Ok(dir)
}

/// The folders of a joined path, and the name in the last of them.
fn split_last(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whoever made the paths has checked them; what would leave the tree is refused here all the same.
fn check(part: &str) -> io::Result<()> {
    check_component(part).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Folder and name of a path.
pub(super) fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => Ok((Path::new("."), name)),
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "a path without a name")),
    }
}

fn no_such_file() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// Reads all of `out` or says why not; a file that ends early has changed.
pub(super) fn read_exact(file: &File, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
    file.read_exact_at(out, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Changed,
        _ => ReadError::Io(error),
    })
}

/// A file that cannot be opened because it (or its folder) is not there, or is a link now; or because
/// too many are open.
pub(super) fn gone(error: io::Error) -> ReadError {
    use rustix::io::Errno;
    let link = Errno::LOOP.raw_os_error();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::Gone,
        _ if error.raw_os_error() == Some(link) => ReadError::Gone,
        _ if is_short(&error) => ReadError::Busy(error),
        _ => ReadError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree_of(root: &Path, rel: &[&[&str]]) -> FileTree {
        let rel = PathList::collect(rel.iter().copied()).unwrap();
        let layout = Layout::for_folder(&vec![3; rel.len()]).unwrap();
        FileTree::new(Arc::new(layout), root.to_path_buf(), Some(Arc::new(rel)))
    }

    #[test]
    fn hostile_paths_cannot_leave_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("in");
        fs::create_dir(&root).unwrap();
        fs::write(temp.path().join("secret"), "abc").unwrap();
        let hostile: &[&[&str]] = &[
            &["..", "secret"],
            &["../secret"],
            &["/etc/hostname"],
            &["a", "..", "..", "secret"],
            &["."],
            &["..", "new"],
            &["a\0b"],
            &[""],
            &[],
        ];
        let tree = tree_of(&root, hostile);
        for (file, path) in hostile.iter().enumerate() {
            for access in [Access::Read, Access::Write, Access::CreateNew, Access::Direct] {
                assert!(tree.open(file, access).is_err(), "{path:?}");
            }
            assert!(tree.remove(file).is_err(), "{path:?}");
        }
        assert!(tree.make_dirs("../x").is_err());
        assert!(temp.path().join("secret").exists() && !temp.path().join("new").exists());
    }

    #[test]
    fn a_link_put_in_the_place_of_a_folder_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (root, outside) = (temp.path().join("in"), temp.path().join("out"));
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(root.join("sub/a"), "abc").unwrap();
        fs::write(outside.join("a"), "xyz").unwrap();
        let tree = tree_of(&root, &[&["sub", "a"], &["sub", "b"]]);
        let mut out = [0; 3];
        tree.read_at(0, 0, &mut out).unwrap();
        assert_eq!(&out, b"abc");

        fs::rename(root.join("sub"), temp.path().join("moved")).unwrap();
        symlink(&outside, root.join("sub")).unwrap();
        tree.close();
        assert!(matches!(tree.read_at(0, 0, &mut out), Err(ReadError::Gone)));
        assert!(tree.open(1, Access::Write).is_err());
        assert!(!outside.join("b").exists());
        // The same for the root itself.
        fs::rename(&root, temp.path().join("moved-root")).unwrap();
        symlink(temp.path().join("moved-root"), &root).unwrap();
        assert!(tree.open(1, Access::Write).is_err());
    }

    #[test]
    fn removing_takes_empty_folders_along_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("in");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/keep"), "").unwrap();
        fs::write(root.join("a/b/c"), "").unwrap();
        let tree = tree_of(&root, &[&["a", "b", "c"], &["x", "y"]]);
        tree.remove(0).unwrap();
        tree.remove(1).unwrap();
        assert!(root.join("a/keep").exists() && !root.join("a/b").exists());
    }
}
