//! Calls of the operating system that the standard library does not offer, and the seam at which
//! tests make them fail.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FallocateFlags, Mode, OFlags, RenameFlags, SeekFrom};
use rustix::io::Errno;
use rustix::path::Arg;

/// Mode of what nobody else may touch.
pub(super) const PRIVATE: u32 = 0o600;
/// The same of a folder.
pub(super) const PRIVATE_DIR: u32 = 0o700;
/// Slices per vectored write: the kernel takes 1024, and gains nothing past a few.
const MAX_SLICES: usize = 64;

/// A step that changes the disk, named for the [`Hook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    ShareBlocks,
    Write { chunk: u32 },
    Append { len: usize },
    SyncData,
    SyncState,
    Compact,
    Metadata,
    Rename,
    SyncDir,
    Unlink,
}

/// Asked before every [`Step`]; an error is what the operating system would have said. Nothing but
/// tests has one.
pub(super) trait Hook: Send + Sync {
    fn before(&self, step: Step) -> io::Result<()>;

    /// The device that a download is taken to lie on; `real` is where it lies.
    fn volume(&self, real: u64) -> u64 {
        real
    }
}

/// Lets everything happen.
pub(super) struct NoHook;

impl Hook for NoHook {
    fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Free for us.
    pub free: u64,
    /// In all, as far as an ordinary user may fill it.
    pub size: u64,
}

/// What there is on the file system that holds `path`.
///
/// # Errors
/// If there is no such path.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let stat = fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { free: bytes(stat.f_bavail), size: bytes(stat.f_blocks) })
}

/// Flags every open has: no inheritance, no waiting for the other end of a pipe put in our way.
const BASE: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens a folder by a path that we were given by the user: links in it are followed.
pub(super) fn open_root_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::open(path, BASE | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)
}

/// Opens a folder within `dir`; a link in its place is refused.
pub(super) fn open_dir(dir: impl AsFd, name: impl Arg) -> io::Result<OwnedFd> {
    let flags = BASE | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(fs::openat(dir, name, flags, Mode::empty())?)
}

/// What an open may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Read,
    /// Read and write, and create if need be.
    Write,
    /// Read and write what is there: one that is gone is not made anew, empty.
    Existing,
    /// Read and write, created by this call.
    CreateNew,
    /// Write past the system's cache; only where that can be done.
    Direct,
}

/// Opens a regular file within `dir`; links and everything else in its place are refused. One made by
/// this has the mode that the umask leaves.
pub(super) fn open_file(dir: impl AsFd, name: impl Arg, access: Access) -> io::Result<File> {
    open_with(dir, name, access, 0o666)
}

/// The same for what nobody else is to see: one made by this has mode 0600.
pub(super) fn open_private(dir: impl AsFd, name: impl Arg, access: Access) -> io::Result<File> {
    open_with(dir, name, access, PRIVATE)
}

fn open_with(dir: impl AsFd, name: impl Arg, access: Access, mode: u32) -> io::Result<File> {
    let flags = match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR | OFlags::CREATE,
        Access::Existing => OFlags::RDWR,
        Access::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        Access::Direct => OFlags::RDWR | direct_flag()?,
    };
    let fd = fs::openat(dir, name, BASE | flags | OFlags::NOFOLLOW, Mode::from_raw_mode(mode))?;
    let file = File::from(fd);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::LOOP.into()) }
}

#[cfg(target_os = "linux")]
fn direct_flag() -> io::Result<OFlags> {
    Ok(OFlags::DIRECT)
}

#[cfg(not(target_os = "linux"))]
fn direct_flag() -> io::Result<OFlags> {
    Err(Errno::INVAL.into())
}

/// Creates a folder that nobody else may enter; false if something is there already.
pub(super) fn make_private_dir(dir: impl AsFd, name: impl Arg) -> io::Result<bool> {
    match fs::mkdirat(dir, name, Mode::from_raw_mode(PRIVATE_DIR)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Creates a folder; one that is there already is fine.
pub(super) fn make_dir(dir: impl AsFd, name: impl Arg) -> io::Result<bool> {
    match fs::mkdirat(dir, name, Mode::from_raw_mode(0o777)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Has `to` share all blocks of `from`, in the place of what was in it; `false` where that cannot be: on other file
/// systems and between two of them. A real trouble with the disk shows itself when the bytes are copied.
#[cfg(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64"))))]
pub(super) fn share_blocks(to: &File, from: &File) -> bool {
    fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64")))))]
pub(super) fn share_blocks(_: &File, _: &File) -> bool {
    false
}

/// Reserves room for the whole file, where the file system can; a sparse file elsewhere.
pub(super) fn reserve(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(len),
        Err(error) => Err(error.into()),
    }
}

/// Reserves room for what a file may grow to, without making it longer. Says whether it is all there:
/// not every file system can.
pub(super) fn reserve_ahead(file: &File, len: u64) -> io::Result<bool> {
    let flags = FallocateFlags::KEEP_SIZE;
    // The room that there is tells, whatever this said: some file systems promise it and do not keep it.
    let _ = fs::fallocate(file, flags, 0, len);
    Ok(stat(file)?.allocated >= len)
}

/// Writes buffers one after the other from `offset` on.
pub(super) fn write_all(file: &File, bufs: &[&[u8]], mut offset: u64) -> io::Result<()> {
    for batch in bufs.chunks(MAX_SLICES) {
        let slices: Vec<IoSlice<'_>> = batch.iter().map(|buf| IoSlice::new(buf)).collect();
        let total: usize = batch.iter().map(|buf| buf.len()).sum();
        let mut written = match rustix::io::pwritev(file, &slices, offset) {
            Ok(n) => n,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        offset += written as u64;
        if written < total {
            // Rare (a signal, a nearly full disk): the rest one by one, with its proper error.
            for buf in batch {
                let skip = written.min(buf.len());
                written -= skip;
                let rest = buf.get(skip..).unwrap_or_default();
                file.write_all_at(rest, offset)?;
                offset += rest.len() as u64;
            }
        }
    }
    Ok(())
}

/// What `O_DIRECT` wants buffers, lengths and offsets to be multiples of, at most: a page.
pub(super) const DIRECT_ALIGN: usize = 4096;

/// Writes buffers one after the other from `offset` on, past the cache: the file was opened with
/// [`Access::Direct`]. `false` if that cannot be done with these; they may be written in part then.
pub(super) fn write_direct(file: &File, bufs: &[&[u8]], offset: u64) -> io::Result<bool> {
    let aligned = |buf: &&[u8]| {
        buf.len().is_multiple_of(DIRECT_ALIGN) && buf.as_ptr().addr().is_multiple_of(DIRECT_ALIGN)
    };
    let total: usize = bufs.iter().map(|buf| buf.len()).sum();
    if bufs.len() > MAX_SLICES
        || !bufs.iter().all(aligned)
        || !offset.is_multiple_of(DIRECT_ALIGN as u64)
    {
        return Ok(false);
    }
    let slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
    match rustix::io::pwritev(file, &slices, offset) {
        Ok(written) => Ok(written == total),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Fills `out` from `offset` on if that needs no disk; `false` if it would, or the file system or the
/// operating system cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, out: &mut [u8], offset: u64) -> bool {
    let want = out.len();
    let mut slices = [io::IoSliceMut::new(out)];
    let flags = rustix::io::ReadWriteFlags::NOWAIT;
    match rustix::io::preadv2(file, &mut slices, offset, flags) {
        Ok(got) => got == want,
        // A file system that is memory takes no such question.
        Err(Errno::OPNOTSUPP) if is_memory(file) => file.read_exact_at(out, offset).is_ok(),
        Err(_) => false,
    }
}

/// Whether a file lies in memory (tmpfs).
#[cfg(target_os = "linux")]
fn is_memory(file: &File) -> bool {
    /// `TMPFS_MAGIC` of statfs(2).
    const TMPFS: fs::FsWord = 0x0102_1994;
    fs::fstatfs(file).is_ok_and(|found| found.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_: &File, _: &mut [u8], _: u64) -> bool {
    false
}

/// Tells the system that the bytes from `offset` on will be read soon. Only a hint: a file system that
/// does not take it is read all the same.
pub(super) fn will_read(file: &File, offset: u64, len: u64) {
    if let Some(len) = std::num::NonZeroU64::new(len) {
        let _ = fs::fadvise(file, offset, Some(len), fs::Advice::WillNeed);
    }
}

/// Renames within `dir`; never replaces anything. `false`: the new name is taken.
pub(super) fn rename_new(dir: impl AsFd, from: &str, to: &str) -> io::Result<bool> {
    let dir = dir.as_fd();
    match fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rename_new_without_help(dir, from, to)
        }
        Err(error) => Err(error.into()),
    }
}

/// Renames from one folder to another; never replaces anything. `false`: the new name is taken.
pub(super) fn rename_across(
    from: impl AsFd,
    old: &str,
    to: impl AsFd,
    new: &str,
) -> io::Result<bool> {
    let (from, to) = (from.as_fd(), to.as_fd());
    match fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
        // What cannot do that looks first.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match stat_at(to, new)? {
            Some(_) => Ok(false),
            None => Ok(fs::renameat(from, old, to, new).map(|()| true)?),
        },
        Err(error) => Err(error.into()),
    }
}

/// For file systems that cannot rename without replacing: a hard link is as good; where there are none
/// either, looking first must do.
fn rename_new_without_help(dir: impl AsFd, from: &str, to: &str) -> io::Result<bool> {
    let dir = dir.as_fd();
    match fs::linkat(dir, from, dir, to, AtFlags::empty()) {
        Ok(()) => {
            fs::unlinkat(dir, from, AtFlags::empty())?;
            Ok(true)
        }
        Err(Errno::EXIST) => Ok(false),
        // Folders, and file systems without links.
        Err(_) => match fs::statat(dir, to, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(false),
            Err(Errno::NOENT) => {
                fs::renameat(dir, from, dir, to)?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        },
    }
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove_file(dir: impl AsFd, name: impl Arg) -> io::Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Where an open folder is now, whatever has been renamed since; `None` if the system does not say.
pub(super) fn path_of(dir: &OwnedFd) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).ok()?;
    let there = stat(open_root_dir(&path).ok()?).ok()?;
    let here = stat(dir).ok()?;
    ((there.dev, there.ino) == (here.dev, here.ino)).then_some(path)
}

/// Where there is data in a file, as ranges of bytes in order; of each `step` bytes only the first that
/// is data is looked for, which bounds their number. A system that cannot tell holes says that all is
/// data.
pub(super) fn data_ranges(file: &File, step: u64) -> io::Result<Vec<std::ops::Range<u64>>> {
    let size = stat(file)?.size;
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        let end = match fs::seek(file, SeekFrom::Hole(start)) {
            Ok(end) => end.max(start + 1),
            Err(_) => size,
        };
        ranges.push(start..end);
        at = end.next_multiple_of(step.max(1));
    }
    Ok(ranges)
}

/// Device, inode and length of what stands at `name`, no link followed; `None` if nothing does.
pub(super) fn stat_at(dir: impl AsFd, name: impl Arg) -> io::Result<Option<Seen>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Seen::from(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The same of something open.
pub(super) fn stat(fd: impl AsFd) -> io::Result<Seen> {
    Ok(Seen::from(&fs::fstat(fd)?))
}

/// What [`stat_at`] sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) is_file: bool,
    pub(super) is_dir: bool,
    /// Who owns it.
    pub(super) uid: u32,
    /// Permissions.
    pub(super) mode: u32,
    /// How many names it has.
    pub(super) links: u64,
    /// Bytes of the disk that are its own.
    pub(super) allocated: u64,
    /// Whether it has no name any more.
    pub(super) unlinked: bool,
}

impl From<&fs::Stat> for Seen {
    fn from(stat: &fs::Stat) -> Self {
        let kind = fs::FileType::from_raw_mode(stat.st_mode);
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            is_file: kind == fs::FileType::RegularFile,
            is_dir: kind == fs::FileType::Directory,
            uid: stat.st_uid,
            mode: stat.st_mode & 0o7777,
            links: stat.st_nlink,
            allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
            unlinked: stat.st_nlink == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn many_buffers_are_written_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let bufs: Vec<Vec<u8>> = (0..200u8).map(|n| vec![n; usize::from(n % 7)]).collect();
        let slices: Vec<&[u8]> = bufs.iter().map(Vec::as_slice).collect();
        write_all(&file, &slices, 3).unwrap();
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!(read[3..], bufs.concat());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_lies_in_memory_is_read_at_once() {
        // Where there is none, there is nothing to see.
        let Ok(mut file) = tempfile::tempfile_in("/dev/shm") else { return };
        if !is_memory(&file) {
            return;
        }
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        let mut out = [0; 4];
        assert!(read_cached(&file, &mut out, 3));
        assert_eq!(&out, b"3456");
        assert!(!read_cached(&file, &mut out, 8), "it ends before");
    }

    #[test]
    fn renaming_never_replaces_with_and_without_the_kernels_help() {
        type Rename = fn(&OwnedFd, &str, &str) -> io::Result<bool>;
        let ways: [Rename; 2] =
            [|d, a, b| rename_new(d, a, b), |d, a, b| rename_new_without_help(d, a, b)];
        for rename in ways {
            let temp = tempfile::tempdir().unwrap();
            let dir = open_root_dir(temp.path()).unwrap();
            for name in ["a", "taken"] {
                std::fs::write(temp.path().join(name), name).unwrap();
            }
            std::fs::create_dir(temp.path().join("dir")).unwrap();
            std::fs::create_dir(temp.path().join("other")).unwrap();
            assert!(!rename(&dir, "a", "taken").unwrap());
            assert!(!rename(&dir, "dir", "other").unwrap());
            assert!(rename(&dir, "a", "b").unwrap());
            assert!(rename(&dir, "dir", "dir2").unwrap());
            assert_eq!(std::fs::read(temp.path().join("taken")).unwrap(), b"taken");
            assert_eq!(std::fs::read(temp.path().join("b")).unwrap(), b"a");
            assert!(!temp.path().join("a").exists() && temp.path().join("dir2").is_dir());
        }
    }

    #[test]
    fn links_and_pipes_are_not_opened() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_root_dir(temp.path()).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", temp.path().join("link")).unwrap();
        fs::mknodat(&dir, "pipe", fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        for access in [Access::Read, Access::Write, Access::CreateNew, Access::Direct] {
            assert!(open_file(&dir, "link", access).is_err());
            assert!(open_file(&dir, "pipe", access).is_err());
        }
    }
}
