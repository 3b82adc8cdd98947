//! On which volume a path lies, without a look at the path: the look is what may hang. The system's list
//! of mounts tells it, which it keeps in memory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where Linux says what is mounted.
const MOUNTS: &str = "/proc/self/mountinfo";
/// How old the list may be: a wrong volume only means that work waits in the wrong line.
const FRESH: Duration = Duration::from_secs(1);

/// What is mounted where.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    mounts: Vec<(PathBuf, u64)>,
    read: Option<Instant>,
}

impl Volumes {
    /// Tells the volume of `path` from others. Links on the way are not followed.
    pub(super) fn of(&mut self, path: &Path, now: Instant) -> u64 {
        if self.read.is_none_or(|read| now.saturating_duration_since(read) >= FRESH) {
            self.mounts = std::fs::read(MOUNTS).map(|list| parse(&list)).unwrap_or_default();
            self.read = Some(now);
        }
        self.find(path)
    }

    fn find(&self, path: &Path) -> u64 {
        let on = self.mounts.iter().filter(|(point, _)| path.starts_with(point));
        // Of those at the same place the last one hides the others.
        let last = on.max_by_key(|(point, _)| point.as_os_str().len());
        last.map_or_else(|| guess(path), |(_, volume)| *volume)
    }
}

/// Where there is no such list: what is below the same folder of the first two levels (`/mnt/nas`,
/// `/Volumes/stick`, `/home/me`) is taken to be one volume.
fn guess(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    path.components().take(3).for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}

/// Mount points and device numbers: fields 5 and 3 of each line (proc_pid_mountinfo(5)).
fn parse(list: &[u8]) -> Vec<(PathBuf, u64)> {
    let line = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let device = std::str::from_utf8(fields.next()?).ok()?;
        let (major, minor) = device.split_once(':')?;
        let device = major.parse::<u64>().ok()? << 32 | minor.parse::<u64>().ok()?;
        let point = unescape(fields.nth(1)?);
        Some((PathBuf::from(OsString::from_vec(point)), device))
    };
    list.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Blanks, line ends and backslashes are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match byte.filter(|_| *first == b'\\') {
            Some(byte) => {
                plain.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
        31 22 0:44 / /mnt/nas rw - nfs4 nas:/x rw\n\
        32 22 8:17 / /media/a\\040stick rw - vfat /dev/sdb1 rw\n\
        33 31 0:45 / /mnt/nas rw - fuse.sshfs there: rw\n\
        nonsense\n";

    #[test]
    fn the_innermost_and_latest_mount_tells_the_volume() {
        let volumes = Volumes { mounts: parse(LIST), read: None };
        let of = |path: &str| volumes.find(Path::new(path));
        assert_eq!(of("/home/me/a"), 8 << 32 | 2);
        assert_eq!(of("/mnt/nas/film"), 45);
        assert_eq!(of("/mnt/nasty"), 8 << 32 | 2);
        assert_eq!(of("/media/a stick/b"), 8 << 32 | 17);
    }

    #[test]
    fn without_a_list_neighbours_are_taken_to_be_together() {
        let volumes = Volumes::default();
        let of = |path: &str| volumes.find(Path::new(path));
        assert_eq!(of("/mnt/nas/a/b"), of("/mnt/nas/c"));
        assert_ne!(of("/mnt/nas/a"), of("/mnt/stick/a"));
    }

    #[test]
    fn this_machine_is_asked() {
        let (mut volumes, now) = (Volumes::default(), Instant::now());
        assert_eq!(volumes.of(Path::new("/"), now), volumes.of(Path::new("/nowhere"), now));
    }
}
