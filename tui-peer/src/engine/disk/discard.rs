//! Deleting what is left of a download that was not opened in this run.

use std::io;
use std::path::Path;

use common::id::ContentId;

use super::error::DiskError;
use super::names::Names;
use super::open::{lock, remove_part};
use super::sys::{self, Access};

/// Deletes the part and the journal of the download of `id` that was to be called `name` in `dir`. That
/// there is nothing of it is fine.
///
/// # Errors
/// [`DiskError::InUse`] if it is open, here or in another program; nothing is deleted then.
pub fn discard(dir: &Path, name: &str, id: &ContentId) -> Result<(), DiskError> {
    let names = Names::new(name, id)?;
    let error = |error| DiskError::sort("delete", &dir.join(&names.part), 0, error);
    let root = match sys::open_root_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(error)?,
    };
    // Held until the end, so that nobody opens it meanwhile.
    let _journal = match sys::look(&root, names.state.as_str()).map_err(error)? {
        Some(_) => {
            let file = sys::open_file(&root, names.state.as_str(), Access::Write).map_err(error)?;
            lock(&file).map_err(|e| match e.kind() {
                io::ErrorKind::WouldBlock => DiskError::InUse { path: dir.join(&names.state) },
                _ => error(e),
            })?;
            Some(file)
        }
        None => None,
    };
    remove_part(&root, dir, &names.part)
        .and_then(|()| sys::remove_file(&root, names.state.as_str()))
        .and_then(|()| sys::remove_file(&root, names.state_new.as_str()))
        .map_err(error)
}
