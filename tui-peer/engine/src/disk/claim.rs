//! Whose a file is. In a folder that others may write to anybody can put a part and a journal where we
//! look for ours, so what is not ours alone vouches for nothing and is neither written nor deleted.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::syscalls::{self, PRIVATE, PRIVATE_DIR, Seen};

/// Bits of a mode that let others write.
const OTHERS_WRITE: u32 = 0o022;
/// Length of a file that shows whether holes can be told from data: several pages of any system.
const PROBE_LEN: u64 = 1024 * 1024;

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Made by us, and nobody else can write to it.
    Ours,
    /// Made by us, but others can write to it too.
    Loose,
    /// Of another user, with other names besides, or no file and no folder at all.
    Other,
}

/// What files that we make look like in a folder. Not every file system keeps owners and modes: what it
/// shows for a file made just now with the strictest mode cannot be held against an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Norm {
    uid: u32,
    file_bits: u32,
    dir_bits: u32,
}

impl Norm {
    /// On a file system that keeps owners and modes.
    pub(super) fn usual() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), file_bits: 0, dir_bits: 0 }
    }

    /// In this folder, found out by making a file and a folder there.
    pub(super) fn of(dir: &OwnedFd) -> Self {
        let usual = Self::usual();
        // A disk that is full or read-only says nothing; then the strict rule holds.
        let file = with_probe(dir, |file| syscalls::stat(file)).ok();
        let name = probe_name();
        let made = fs::mkdirat(dir, &name, Mode::from_raw_mode(PRIVATE_DIR));
        let folder = made.ok().and_then(|()| syscalls::stat_at(dir, &name).ok().flatten());
        if made.is_ok() {
            let _ = fs::unlinkat(dir, &name, AtFlags::REMOVEDIR);
        }
        Self {
            uid: file.map_or(usual.uid, |seen| seen.uid),
            file_bits: file.map_or(0, |seen| seen.mode & OTHERS_WRITE),
            dir_bits: folder.map_or(0, |seen| seen.mode & OTHERS_WRITE),
        }
    }

    /// Whose something is.
    pub(super) fn judge(&self, seen: &Seen) -> Claim {
        let usual = match (seen.is_file, seen.is_dir) {
            (true, _) if seen.links <= 1 => self.file_bits,
            (_, true) => self.dir_bits,
            _ => return Claim::Other,
        };
        if seen.uid != self.uid {
            Claim::Other
        } else if seen.mode & OTHERS_WRITE & !usual != 0 {
            Claim::Loose
        } else {
            Claim::Ours
        }
    }
}

/// Whether the file system tells holes from data: only there an absence of data means something.
pub(super) fn knows_holes(dir: &OwnedFd) -> bool {
    let told = with_probe(dir, |file| {
        file.set_len(PROBE_LEN)?;
        match fs::seek(file, SeekFrom::Data(0)) {
            Err(Errno::NXIO) => Ok(true),
            _ => Ok(false),
        }
    });
    told.unwrap_or(false)
}

/// Something made for a moment.
fn with_probe<T>(dir: &OwnedFd, look: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
    let name = probe_name();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(fs::openat(dir, &name, flags, Mode::from_raw_mode(PRIVATE))?);
    let seen = look(&file);
    syscalls::remove_file(dir, &name)?;
    seen
}

fn probe_name() -> String {
    format!(".shoal-{:016x}", fastrand::u64(..))
}

/// Takes the others' rights to something of ours.
pub(super) fn make_private(fd: impl AsFd) -> io::Result<()> {
    let seen = syscalls::stat(&fd)?;
    // The bit by which a folder hands on its group stays.
    let own = if seen.is_dir { PRIVATE_DIR | seen.mode & 0o2000 } else { PRIVATE };
    set_mode(fd, &seen, own)
}

/// Gives something of ours the mode that a new one would get.
pub(super) fn make_public(fd: impl AsFd) -> io::Result<()> {
    let seen = syscalls::stat(&fd)?;
    let mask = umask();
    let mode = if seen.is_dir { 0o777 & !mask | seen.mode & 0o2000 } else { 0o666 & !mask };
    set_mode(fd, &seen, mode)
}

fn set_mode(fd: impl AsFd, seen: &Seen, mode: u32) -> io::Result<()> {
    if seen.mode == mode {
        return Ok(());
    }
    match fs::fchmod(fd, Mode::from_raw_mode(mode)) {
        // Where modes are not kept, or somebody else's are shown, there is nothing to set.
        Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Bits that new files of this process do not get.
fn umask() -> u32 {
    static MASK: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *MASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or_else(|| {
            // There is no way to look without setting; the strictest for a moment harms nobody.
            let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
            rustix::process::umask(mask);
            mask.bits()
        })
    })
}
