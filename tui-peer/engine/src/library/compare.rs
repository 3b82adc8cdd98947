//! A share, read again and compared with what is remembered of it: for `verify`, and after somebody told us that
//! what we sent is wrong.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::check::{Check, check, look, restore};
use super::error::{LibraryError, ShareError};
use super::hash::Progress;
use super::hash::prepared::Prepared;
use super::store::Library;
use super::verify::verify;

/// A share that was read again and compared with what is remembered of it.
#[derive(Debug)]
pub struct Compared {
    /// Chunks that are not (or no longer) what they were.
    pub bad: usize,
    /// Whether the disk says that somebody changed it; if not, bad chunks are damage.
    pub changed: bool,
    /// It was damaged and is right again: as it lies now.
    pub mended: Option<Box<Prepared>>,
    /// Whether what was found out could be written down: damage that only reading shows is remembered, so
    /// that neither the next look nor the next start believes the disk.
    pub remembered: Result<(), LibraryError>,
}

/// Reads what is shared at `path` again and compares, on all cores; writes down what was found out.
///
/// # Errors
/// [`ShareError::Library`] when it is not known, or not completely; [`ShareError::Changed`] when it was
/// written to meanwhile; [`ShareError::Cancelled`] soon after `cancel` is set.
pub fn compare(
    library: &Library,
    path: &Path,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Compared, ShareError> {
    compare_with(library, path, (0, progress, cancel), || {})
}

/// The same; `read` is called when everything is read and nothing is written down yet.
pub(crate) fn compare_then(
    library: &Library,
    path: &Path,
    threads: usize,
    read: impl FnOnce(),
) -> Result<Compared, ShareError> {
    compare_with(library, path, (threads, &Progress::default(), &AtomicBool::new(false)), read)
}

fn compare_with(
    library: &Library,
    path: &Path,
    (threads, progress, cancel): (usize, &Progress, &AtomicBool),
    read: impl FnOnce(),
) -> Result<Compared, ShareError> {
    let missing = || LibraryError::Incomplete { path: path.to_path_buf(), what: "record" };
    let record = library.share(path)?.ok_or_else(missing)?;
    let mut prepared = restore(library, &record)?;
    let before = look(&prepared);
    let bad = verify(&prepared, threads, progress, cancel)?;
    read();
    let mut compared =
        Compared { bad: bad.len(), changed: false, mended: None, remembered: Ok(()) };
    if record.is_doubted() {
        // The disk said that nothing had changed when it was damaged: what it says now means nothing.
        if bad.is_empty() {
            let after = look(&prepared);
            if before.stats.is_none() || before.stats != after.stats {
                return Err(ShareError::Changed { path: path.to_path_buf() });
            }
            prepared.stats = before.stats.unwrap_or_default().into();
            prepared.hashed_at = before.at;
            compared.remembered = library.put_share(&prepared.record(record.downloaded), &prepared);
            compared.mended = Some(Box::new(prepared));
        }
        return Ok(compared);
    }
    compared.changed = check(&record) != Check::Unchanged;
    if !bad.is_empty() && !compared.changed {
        let files = bad.iter().filter_map(|chunk| prepared.layout.chunk(*chunk));
        let files = files.map(|chunk| prepared.layout.place(chunk).file);
        compared.remembered = library.put_share(&record.doubted(files), &prepared);
    }
    Ok(compared)
}
