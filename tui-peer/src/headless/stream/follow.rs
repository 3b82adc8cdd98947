//! Follows a download on disk and writes it out, on a thread of its own. All of it may block.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// Bytes moved at once.
const STEP: usize = 256 * 1024;
/// Looks for the file on disk: it may get its final name between a look and the next.
const LOOKS: u32 = 50;
/// How long between them.
const PAUSE: Duration = Duration::from_millis(20);
/// Folders within folders that are gone through: as deep as a path within a content can be.
const MAX_DEPTH: u32 = 1024;

/// Why not all of it was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Whoever reads it, or the file it goes to.
    #[error("standard output: {0}")]
    Reader(io::Error),
    /// What was fetched cannot be read.
    #[error("cannot read what was fetched, in {}: {source}", dir.display())]
    Disk { dir: PathBuf, source: io::Error },
    /// The download ended before it was whole.
    #[error("the download stopped before its end")]
    Stopped,
}

/// Writes the first `size` bytes of the one file that is being fetched into `dir`. `more` says how many bytes
/// are verified, as soon as they are more than the number it is given; `None` if there will be no more.
pub(super) fn follow(
    dir: &Path,
    size: u64,
    mut to: File,
    mut more: impl FnMut(u64) -> Option<u64>,
) -> Result<(), Broken> {
    let failed = |source| Broken::Disk { dir: dir.to_path_buf(), source };
    let (mut file, mut buf, mut written) = (None, vec![0; STEP], 0);
    while written < size {
        let limit = more(written).ok_or(Broken::Stopped)?.min(size);
        let file = match &file {
            Some(file) => file,
            None => file.insert(open(dir).map_err(failed)?),
        };
        while written < limit {
            let step = usize::try_from(limit - written).unwrap_or(STEP).min(STEP);
            let part = buf.get_mut(..step).unwrap_or_default();
            file.read_exact_at(part, written).map_err(failed)?;
            write_all(&mut to, part).map_err(Broken::Reader)?;
            written += step as u64;
        }
    }
    Ok(())
}

/// As [`std::io::Write::write_all`], also where somebody made standard output non-blocking.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&*to, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The one file in the folder, whatever it is called at the moment. Open, it stays the same when it is
/// renamed.
fn open(dir: &Path) -> io::Result<File> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for _ in 0..LOOKS {
        match find(dir, 0).and_then(File::open) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
        std::thread::sleep(PAUSE);
    }
    Err(last)
}

fn find(dir: &Path, depth: u32) -> io::Result<PathBuf> {
    for entry in fs::read_dir(dir)? {
        let (entry, path) = entry.map(|entry| (entry.metadata(), entry.path()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        // The journal, and its next version.
        let other = name.ends_with(".state") || name.ends_with(".state.new");
        let Ok(seen) = entry else { continue };
        if depth == 0 && other && name.starts_with('.') {
            continue;
        }
        // Empty ones beside it are made at the end.
        if seen.is_file() && seen.len() > 0 && !name.starts_with(".shoal-") {
            return Ok(path);
        }
        if seen.is_dir()
            && depth < MAX_DEPTH
            && let Ok(found) = find(&path, depth + 1)
        {
            return Ok(found);
        }
    }
    Err(ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn c3_what_is_verified_is_written_in_order_and_renaming_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let part = dir.path().join(".x.12345678.part");
        fs::write(dir.path().join(".x.12345678.state"), b"journal").unwrap();
        fs::create_dir_all(part.join("sub")).unwrap();
        fs::write(part.join("sub/file.state"), &bytes).unwrap();
        let (mut reader, writer) = rustix::pipe::pipe().map(|(r, w)| (File::from(r), w)).unwrap();
        let got = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        let mut asked = Vec::new();
        follow(dir.path(), 1_000_000, writer.into(), |written| {
            asked.push(written);
            if written == 65536 {
                fs::rename(&part, dir.path().join("x")).unwrap();
            }
            Some(if written == 0 { 65536 } else { 1_000_000 })
        })
        .unwrap();
        assert_eq!(asked, [0, 65536]);
        assert!(got.join().unwrap() == bytes);
    }

    #[test]
    fn c3_a_reader_that_goes_away_and_a_download_that_ends_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), [7; 100]).unwrap();
        let target = || File::options().write(true).open("/dev/null").unwrap();
        assert!(matches!(follow(dir.path(), 9, target(), |_| None), Err(Broken::Stopped)));
        assert!(follow(dir.path(), 0, target(), |_| panic!("nothing to wait for")).is_ok());
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let broken = follow(dir.path(), 9, writer.into(), |_| Some(9));
        assert!(
            matches!(&broken, Err(Broken::Reader(e)) if e.kind() == ErrorKind::BrokenPipe),
            "{broken:?}"
        );
        // Less on disk than was said to be verified.
        let short = follow(dir.path(), 200, target(), |_| Some(200));
        assert!(matches!(short, Err(Broken::Disk { .. })), "{short:?}");
    }
}
