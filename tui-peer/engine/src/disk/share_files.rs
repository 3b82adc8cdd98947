//! Complete files, served only while they are what was hashed.

use std::path::Path;
use std::sync::Arc;

use super::error::ReadError;
use super::file_tree::{ChunkSource, FileTree, gone, read_exact};
use super::syscalls::{self, Access};
use crate::library::Stat;

/// Files with what `stat` said when they were hashed. Before every read the file is looked at again:
/// rewritten, grown, touched or replaced means [`ReadError::Changed`], and nothing of it is served.
#[derive(Debug)]
pub(crate) struct SharedFiles {
    tree: FileTree,
    stats: Arc<Vec<Stat>>,
}

impl SharedFiles {
    /// Files of `tree` (in its order) as they were when they were hashed; [`Stat::ABSENT`] for those
    /// that are not there.
    pub(crate) fn new(tree: FileTree, stats: Arc<Vec<Stat>>) -> Self {
        Self { tree, stats }
    }
}

impl SharedFiles {
    fn read_now(&self, chunk: u32, off: u32, out: &mut [u8]) -> Result<(), ReadError> {
        let place = self.tree.place(chunk, off, out.len())?;
        let known = self.stats.get(place.file).ok_or(ReadError::OutOfRange)?;
        if *known == Stat::ABSENT {
            return Err(ReadError::Gone);
        }
        let file = self.tree.open(place.file, Access::Read).map_err(gone)?;
        let now = Stat::of(&file.metadata()?);
        // The number of a disk may differ after a restart; see the library.
        if !now.same_but_for_device(known) {
            self.tree.close();
            return Err(ReadError::Changed);
        }
        let at = place.offset + u64::from(off);
        // Whoever asks for this asks for the rest of the chunk next.
        let end = place.offset + u64::from(place.len);
        syscalls::will_read(&file, at, end.saturating_sub(at));
        read_exact(&file, at, out)
    }
}

impl ChunkSource for SharedFiles {
    fn read(&self, chunk: u32, off: u32, out: &mut [u8]) -> Result<(), ReadError> {
        self.read_now(chunk, off, out).inspect_err(|error| {
            // Of a server that was away, what is open may be of no use any more.
            if matches!(error, ReadError::Io(_)) {
                self.tree.close();
            }
        })
    }

    fn volume(&self, chunk: u32) -> u64 {
        let place = self.tree.place(chunk, 0, 0).ok();
        place.and_then(|place| self.stats.get(place.file)).map_or(0, |stat| stat.dev)
    }

    fn is_of(&self, root: &Path, stats: &[Stat]) -> bool {
        let same = |(a, b): (&Stat, &Stat)| a.same_but_for_device(b);
        self.tree.is_at(root)
            && self.stats.len() == stats.len()
            && self.stats.iter().zip(stats).all(same)
    }

    fn read_cached(&self, chunk: u32, off: u32, out: &mut [u8]) -> bool {
        let Ok(place) = self.tree.place(chunk, off, out.len()) else { return false };
        let Some(known) = self.stats.get(place.file) else { return false };
        let at = place.offset + u64::from(off);
        let Some(file) = self.tree.read_cached(place.file, at, out) else { return false };
        // After the bytes were read: what changed before is seen as well. That this is not asked of a
        // server that may be dead is sure here: only file systems of this machine read like this.
        file.metadata().is_ok_and(|meta| Stat::of(&meta).same_but_for_device(known))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use common::layout::Layout;

    use super::*;

    fn share(path: &Path) -> SharedFiles {
        let meta = fs::metadata(path).unwrap();
        let layout = Arc::new(Layout::for_file(meta.len()).unwrap());
        let tree = FileTree::new(layout, path.to_path_buf(), None);
        SharedFiles::new(tree, Arc::new(vec![Stat::of(&meta)]))
    }

    #[test]
    fn bytes_come_from_the_right_place_and_never_from_outside() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let share = share(&path);
        let mut out = vec![0; 1000];
        share.read(1, 500, &mut out).unwrap();
        assert_eq!(out, bytes[65_536 + 500..65_536 + 1500]);
        out.fill(0);
        // Not every file system can tell what it has in memory.
        if share.read_cached(1, 500, &mut out) {
            assert_eq!(out, bytes[65_536 + 500..65_536 + 1500]);
        }
        assert!(!share.read_cached(4, 0, &mut out) && !share.read_cached(0, u32::MAX, &mut out));
        let end = 200_000 - 3 * 65_536;
        assert!(matches!(share.read(3, end - 999, &mut out), Err(ReadError::OutOfRange)));
        assert!(matches!(share.read(4, 0, &mut out), Err(ReadError::OutOfRange)));
        assert!(matches!(share.read(0, u32::MAX, &mut out), Err(ReadError::OutOfRange)));
    }

    #[test]
    fn a_rewrite_that_restores_size_and_time_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        fs::write(&path, "before").unwrap();
        let share = share(&path);
        let mut out = [0; 6];
        share.read(0, 0, &mut out).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20)); // resolution of ctime, not waiting
        fs::write(&path, "AFTER!").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        assert!(!share.read_cached(0, 0, &mut out));
        assert!(matches!(share.read(0, 0, &mut out), Err(ReadError::Changed)));
    }

    #[test]
    fn a_file_that_was_replaced_or_deleted_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        fs::write(&path, "before").unwrap();
        let share = share(&path);
        let mut out = [0; 6];
        share.read(0, 0, &mut out).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20)); // resolution of ctime, not waiting
        fs::remove_file(&path).unwrap();
        assert!(matches!(share.read(0, 0, &mut out), Err(ReadError::Changed)), "still open");
        assert!(matches!(share.read(0, 0, &mut out), Err(ReadError::Gone)));
    }
}
