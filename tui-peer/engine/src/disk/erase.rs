//! Deleting a finished download, by the user's explicit word: the files that were fetched, as far as they are
//! still what was fetched, and nothing that others have put among them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::layout::Layout;
use common::names::PathList;
use rustix::fs::{AtFlags, unlinkat};

use super::file_tree::{FileTree, split};
use super::syscalls::{self, Access};
use crate::library::Stat;

/// Files named of those that stay; the number of all is told beside them.
const NAMED: usize = 5;

/// What became of the files.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    /// Files deleted.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that stay because they are not what was fetched any more.
    pub changed: u64,
    /// Some of these.
    pub named: Vec<PathBuf>,
    /// Why files could not be deleted, if so: the first, and what the system said of it.
    pub failed: Option<(PathBuf, io::Error)>,
}

/// Deletes the file at `root`, or the files at `rel` below it and the folders that are empty then. `stats` are
/// the files as they were fetched ([`Stat::ABSENT`]: not fetched). No link is followed below the folder that
/// holds `root`. Blocks.
pub(crate) fn erase(
    layout: &Arc<Layout>,
    root: &Path,
    rel: Option<&Arc<PathList>>,
    stats: &[Stat],
) -> Erased {
    let tree = FileTree::new(layout.clone(), root.to_path_buf(), rel.cloned());
    let mut erased = Erased::default();
    for (file, was) in stats.iter().enumerate().filter(|(_, was)| **was != Stat::ABSENT) {
        let path = match rel.and_then(|rel| rel.get(file)) {
            Some(below) => root.join(below),
            None => root.to_path_buf(),
        };
        match one(&tree, file, was, rel.is_some()) {
            Ok(true) => {
                erased.files += 1;
                erased.bytes = erased.bytes.saturating_add(was.size);
            }
            Ok(false) => {
                erased.changed += 1;
                if erased.named.len() < NAMED {
                    erased.named.push(path);
                }
            }
            // It is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                erased.failed.get_or_insert((path, error));
            }
        }
    }
    if rel.is_some()
        && let Ok((parent, name)) = split(root)
        && let Ok(dir) = syscalls::open_root_dir(parent)
    {
        // One that still holds something is somebody's.
        let _ = unlinkat(dir, name, AtFlags::REMOVEDIR);
    }
    erased
}

/// Deletes one file; `false` if it is not what was fetched.
fn one(tree: &FileTree, file: usize, was: &Stat, in_folder: bool) -> io::Result<bool> {
    let open = tree.open_uncached(file, Access::Read)?;
    if !was.same_but_for_device(&Stat::of(&open.metadata()?)) {
        return Ok(false);
    }
    if in_folder {
        tree.remove(file)?;
    } else {
        let root = tree.root();
        let (parent, name) = split(&root)?;
        syscalls::remove_file(syscalls::open_root_dir(parent)?, name)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stat(path: &Path) -> Stat {
        Stat::of(&fs::symlink_metadata(path).unwrap())
    }

    #[test]
    fn c1_only_what_was_fetched_is_deleted() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("folder");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        let rel: &[&[&str]] = &[&["a"], &["sub", "b"], &["sub", "deep", "c"], &["sub", "left"]];
        for path in ["a", "sub/b", "sub/deep/c"] {
            fs::write(root.join(path), "abc").unwrap();
        }
        let mut stats: Vec<Stat> =
            ["a", "sub/b", "sub/deep/c"].iter().map(|path| stat(&root.join(path))).collect();
        stats.push(Stat::ABSENT);
        // Written over, and something of the user's own under a name that was not fetched.
        fs::write(root.join("sub/b"), "other words").unwrap();
        fs::write(root.join("sub/left"), "mine").unwrap();
        let rel = Arc::new(PathList::collect(rel.iter().copied()).unwrap());
        let layout = Arc::new(Layout::for_folder(&[3; 4]).unwrap());
        let erased = erase(&layout, &root, Some(&rel), &stats);
        assert_eq!((erased.files, erased.bytes, erased.changed), (2, 6, 1));
        assert_eq!(erased.named, [root.join("sub/b")]);
        assert!(erased.failed.is_none());
        assert!(!root.join("a").exists() && !root.join("sub/deep").exists());
        assert_eq!(fs::read(root.join("sub/left")).unwrap(), b"mine");

        // Nothing else in it: the folder goes too. A link in the place of a file stays.
        let other = temp.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("a"), "abc").unwrap();
        let was = [stat(&other.join("a"))];
        let rel = Arc::new(PathList::collect([&["a"][..]]).unwrap());
        let layout = Arc::new(Layout::for_folder(&[3]).unwrap());
        fs::rename(other.join("a"), temp.path().join("a")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("a"), other.join("a")).unwrap();
        let erased = erase(&layout, &other, Some(&rel), &was);
        assert_eq!(erased.files, 0);
        assert!(temp.path().join("a").exists() && other.join("a").is_symlink());
        fs::remove_file(other.join("a")).unwrap();
        fs::rename(temp.path().join("a"), other.join("a")).unwrap();
        let was = [stat(&other.join("a"))];
        assert_eq!(erase(&layout, &other, Some(&rel), &was).files, 1);
        assert!(!other.exists());

        // A single file.
        let file = temp.path().join("single");
        fs::write(&file, "abc").unwrap();
        let was = [stat(&file)];
        let layout = Arc::new(Layout::for_file(3).unwrap());
        assert_eq!(erase(&layout, &file, None, &was).files, 1);
        assert!(!file.exists());
        let again = erase(&layout, &file, None, &was);
        assert_eq!((again.files, again.changed, again.failed.is_none()), (0, 0, true));
    }
}
