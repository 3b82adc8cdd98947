//! Standard input, kept until it is sent: the id of a content depends on all of its bytes.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use common::names::check_component;

/// What it is called unless told otherwise.
const NAME: &str = "stdin";

/// Why standard input cannot be sent: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The name would not be one.
    #[error("{0:?} cannot be the name of a file: one without / is wanted")]
    Name(String),
    /// The disk took part of it.
    #[error(
        "the disk is full after {done} bytes of standard input, in {}; TMPDIR names another folder",
        dir.display()
    )]
    Full {
        /// Bytes that were kept.
        done: u64,
        dir: PathBuf,
    },
    /// It could not be read or kept.
    #[error("cannot keep standard input in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
}

/// Copies `from` into a file in `dir` that only its owner may read; where it is. Blocks until the end of
/// `from`.
///
/// # Errors
/// [`SpoolError`].
pub fn spool(from: impl Read, dir: &Path, name: Option<&str>) -> Result<PathBuf, SpoolError> {
    let name = name.unwrap_or(NAME);
    check_component(name).map_err(|_| SpoolError::Name(name.to_owned()))?;
    let path = dir.join(name);
    let failed = |source| SpoolError::Io { dir: dir.to_path_buf(), source };
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    copy(from, file).map_err(|(done, source)| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            SpoolError::Full { done, dir: dir.to_path_buf() }
        }
        _ => failed(source),
    })?;
    Ok(path)
}

/// Bytes moved at once.
const STEP: usize = 256 * 1024;

fn copy(mut from: impl Read, mut to: impl io::Write) -> Result<(), (u64, io::Error)> {
    let (mut buf, mut done) = (vec![0; STEP], 0);
    loop {
        let n = match from.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err((done, error)),
        };
        to.write_all(buf.get(..n).unwrap_or_default()).map_err(|error| (done, error))?;
        done += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn c3_standard_input_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        let path = spool(&bytes[..], dir.path(), None).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(path.ends_with("stdin"));
        for bad in ["../up", "a/b", "", "."] {
            let error = spool(&b"x"[..], dir.path(), Some(bad)).unwrap_err();
            assert!(matches!(error, SpoolError::Name(_)), "{bad}");
        }
    }

    #[test]
    fn c3_a_full_disk_is_told_with_the_way_out() {
        struct Full(usize);
        impl io::Write for Full {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                let n = buf.len().min(self.0);
                self.0 -= n;
                if n == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(n) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (done, error) = copy(io::repeat(7).take(10 << 20), Full(STEP * 2 + 5)).unwrap_err();
        assert_eq!((done, error.kind()), (STEP as u64 * 2, ErrorKind::StorageFull));
        let full = SpoolError::Full { done, dir: "/var/tmp/x".into() };
        assert!(full.to_string().contains("524288 bytes") && full.to_string().contains("TMPDIR"));
    }
}
