//! Deleting what is left of a download that was not opened in this run.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use common::id::ContentId;

use super::files::{lock_journal, remove_part};
use super::names::Names;
use super::slots::Slots;
use crate::disk::claim::{Claim, Norm};
use crate::disk::error::DiskError;
use crate::disk::syscalls::{self, Access};

/// Deletes the part and the journal of the download of `id` that was to be called `name` in `dir`. That
/// there is nothing of it is fine; what others have put there stays.
///
/// # Errors
/// [`DiskError::InUse`] if it is open, here or in another program; nothing of it is deleted then.
pub(crate) fn discard(dir: &Path, name: &str, id: &ContentId) -> Result<(), DiskError> {
    let all = Names::all(name, id)?;
    let error = |error| DiskError::sort("delete", &dir.join(name), 0, error);
    let root = match syscalls::open_root_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(error)?,
    };
    // What it is, a file or a folder, is of no matter.
    let slots = Slots::look(&root, dir, all, None)?;
    slots.all().try_for_each(|slot| remove_slot(&root, dir, &slot.names, &slots.norm))
}

/// Deletes what stands under these names, as far as it is ours.
pub(in crate::disk) fn remove_slot(
    dir: &OwnedFd,
    dir_path: &Path,
    names: &Names,
    norm: &Norm,
) -> Result<(), DiskError> {
    let error = |error| DiskError::sort("delete", &dir_path.join(&names.part), 0, error);
    let ours = |name: &String| -> io::Result<bool> {
        let seen = syscalls::stat_at(dir, name.as_str())?;
        Ok(seen.is_some_and(|seen| norm.judge(&seen) != Claim::Other))
    };
    // Held until the end, so that nobody opens it meanwhile.
    let _journal = match ours(&names.state).map_err(error)? {
        true => {
            let file =
                syscalls::open_private(dir, names.state.as_str(), Access::Write).map_err(error)?;
            lock_journal(&file, &dir_path.join(&names.state))?;
            Some(file)
        }
        false => None,
    };
    if ours(&names.part).map_err(error)? {
        remove_part(dir, dir_path, &names.part).map_err(error)?;
    }
    for name in [&names.state, &names.state_new] {
        if ours(name).map_err(error)? {
            syscalls::remove_file(dir, name.as_str()).map_err(error)?;
        }
    }
    Ok(())
}
