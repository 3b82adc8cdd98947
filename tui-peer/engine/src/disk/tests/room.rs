//! F11: small disks that others fill.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::syscalls::{self, space};
use super::*;

/// Whether room can be reserved in this folder.
pub(crate) fn reserves(dir: &Path) -> bool {
    let file = tempfile::tempfile_in(dir).unwrap();
    syscalls::reserve(&file, 1 << 20).unwrap();
    syscalls::stat(&file).unwrap().allocated >= 1 << 20
}

/// A disk of its own.
struct Small {
    temp: tempfile::TempDir,
}

impl Small {
    /// `None`, with a word, where there can be none.
    fn new(bytes: u64) -> Option<Self> {
        let temp = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(temp.path())
            .stderr(std::process::Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { temp });
        }
        eprintln!("skipped: only root can mount a small disk");
        None
    }

    fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Leaves so many bytes free.
    fn leave(&self, free: u64) -> PathBuf {
        let path = self.path().join(format!("of-others-{free}"));
        let more = space(self.path()).unwrap().free.checked_sub(free).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![1; usize::try_from(more).unwrap()]).unwrap();
        assert_eq!(space(self.path()).unwrap().free, free);
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What it holds goes with it; if that fails there is nothing to be done here.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn all(content: &Content) -> ChunkSet {
    ChunkSet::full(content.layout.chunks())
}

#[test]
fn f11_a_file_begins_as_soon_as_it_and_its_journal_fit_and_ends_on_a_full_disk() {
    let Some(disk) = Small::new(8 << 20) else { return };
    let content = Content::file(4 << 20);
    // Sixty-four chunks: their records take less than a page, the header takes one.
    let needed = (4 << 20) + 3 * 4096;
    let others = disk.leave(needed - 4096);
    let error = Partial::open(content.spec(disk.path())).unwrap_err();
    assert!(
        matches!(error, DiskError::Full { needed: n, kept: 0, .. } if n == needed),
        "{error:?}"
    );
    assert_eq!(names_in(disk.path()).len(), 1, "nothing is left of the try");
    fs::remove_file(others).unwrap();
    disk.leave(needed);
    let Going { partial, .. } = content.open(disk.path());
    assert_eq!(partial.unreserved(&all(&content)), 0);
    // Not one byte for anybody.
    disk.leave(0);
    let hashes: Vec<Hash> = (0..64).map(|chunk| content.hash(chunk).unwrap()).collect();
    partial.record_hashes(0, 0, &hashes).unwrap();
    for chunk in 0..64 {
        content.write(&partial, [chunk]);
        if chunk % 8 == 0 {
            partial.sync().unwrap();
        }
    }
    drop(partial);
    // Nor after a restart.
    let again = content.open(disk.path());
    assert_eq!(again.partial.unreserved(&ChunkSet::full(64)), 0);
    assert!(again.partial.check_room(&ChunkSet::full(64)).is_ok());
    again.partial.recheck(&again.written, |chunk| content.hash(chunk));
    let done = again.partial.finish(&content.plan()).unwrap();
    assert!(fs::read(done).unwrap() == content.files[0]);
}

#[test]
fn f11_what_is_to_stay_free_stays_free() {
    let Some(disk) = Small::new(8 << 20) else { return };
    let content = Content::file(4 << 20);
    let spec = PartialSpec { keep_free: Some(4 << 20), ..content.spec(disk.path()) };
    let error = Partial::open(spec).unwrap_err();
    assert!(error.to_string().contains("of which 4 MiB are to be kept"), "{error}");
    let spec = PartialSpec { keep_free: Some((4 << 20) - 12_288), ..content.spec(disk.path()) };
    assert!(Partial::open(spec).is_ok());
}

#[test]
fn f11_files_of_a_folder_have_their_room_one_by_one_also_after_a_restart() {
    let Some(disk) = Small::new(8 << 20) else { return };
    let content = Content::folder(&[("a", 1 << 20), ("b", 2 << 20), ("c", 9)]);
    let wanted = all(&content);
    let open = || content.open(disk.path()).partial;
    let partial = open();
    assert_eq!(partial.unreserved(&wanted), (3 << 20) + 4096);
    content.write(&partial, [0]);
    assert_eq!(partial.unreserved(&wanted), (2 << 20) + 4096, "all of the first is reserved");
    disk.leave(2 << 20);
    assert!(matches!(partial.check_room(&wanted), Err(DiskError::Full { .. })));
    let mut first = ChunkSet::empty(wanted.chunks());
    first.insert_run(0, 16);
    assert!(partial.check_room(&first).is_ok());
    disk.leave(0);
    content.write(&partial, 1..10);
    partial.sync().unwrap();
    drop(partial);
    let partial = open();
    assert_eq!(partial.unreserved(&first), 0);
    assert_eq!(partial.unreserved(&wanted), (2 << 20) + 4096);
    content.write(&partial, 10..16);
    let error = partial.write_chunk(16, &[content.chunk(16)], true).unwrap_err();
    assert!(error.is_full() && error.needed() == 2 << 20, "{error:?}");
}

#[test]
fn f11_where_room_cannot_be_reserved_all_that_is_missing_is_needed() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    let part = content.open(temp.path()).partial.path();
    // As such a file system makes it: of its length, with no room.
    let file = fs::File::options().write(true).open(&part).unwrap();
    file.set_len(0).unwrap();
    file.set_len(6 * 65_536).unwrap();
    let Going { partial, .. } = content.open(temp.path());
    assert_eq!(partial.unreserved(&all(&content)), 6 * 65_536);
    content.write(&partial, [2, 5]);
    assert_eq!(partial.unreserved(&all(&content)), 4 * 65_536);
}
