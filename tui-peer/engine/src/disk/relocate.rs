//! A download that goes to another folder: its part and its journal are renamed there where that can be.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use common::id::ContentId;

use super::claim::Claim;
use super::error::DiskError;
use super::part_file::files::{lock_journal, put_journal};
use super::part_file::names::Names;
use super::part_file::slots::{Slot, Slots};
use super::syscalls::{self, Access};

/// Bytes of a journal that are copied; a longer one is none of ours, since ours are rewritten when they
/// get long.
const MAX_JOURNAL: u64 = 1 << 30;

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relocated {
    /// There was nothing to move.
    Nothing,
    /// It is in the new folder, with its journal.
    Renamed,
    /// It stays where it is: on another volume, or the new folder has a part of its own. It is to be
    /// copied from.
    Stays,
}

/// Whether a folder holds a part of ours of the download of `id` that is called `name`. Of a folder that
/// is not there, or that we may not look into, nothing can be had. Blocks.
///
/// # Errors
/// [`DiskError`] if the disk does not say.
pub(crate) fn holds_part(dir: &Path, name: &str, id: &ContentId) -> Result<bool, DiskError> {
    let Some((_, slots)) = Slots::of(dir, name, id)? else { return Ok(false) };
    Ok(slots.all().any(|slot| own_part(slot).is_some()))
}

/// Moves the part of a download from one folder to another, if a rename can do it. Killed at any moment it
/// leaves the part in one of the two with a journal beside it, and whoever calls it again goes on. Blocks.
///
/// # Errors
/// [`DiskError::InUse`] while the part is open; [`DiskError`] otherwise: the part is in one of the folders.
pub(crate) fn relocate(
    from: &Path,
    to: &Path,
    name: &str,
    id: &ContentId,
) -> Result<Relocated, DiskError> {
    let Some((old, slots)) = Slots::of(from, name, id)? else { return Ok(Relocated::Nothing) };
    let Some(slot) = slots.all().find(|slot| own_part(slot).is_some()) else {
        return Ok(Relocated::Nothing);
    };
    let error = |error| DiskError::sort("move to", to, 0, error);
    std::fs::create_dir_all(to).map_err(error)?;
    let new = syscalls::open_root_dir(to).map_err(error)?;
    let there = Slots::look(&new, to, Names::all(name, id)?, None)?;
    let taken = there.all().any(|slot| own_part(slot).is_some());
    let free = there.usable().into_iter().find(|slot| slot.part.is_none());
    let dev = |dir: &OwnedFd| syscalls::stat(dir).map(|seen| seen.dev);
    let same = dev(&old).map_err(error)? == dev(&new).map_err(error)?;
    let (Some(free), true, false) = (free, same, taken) else { return Ok(Relocated::Stays) };
    // Held until the end, so that nobody opens it on its way.
    let journal = locked(&old, from, &slot.names)?;
    let copied = match &journal {
        Some(journal) => Some(copy(journal, &new, &free.names).map_err(error)?),
        None => None,
    };
    let renamed = syscalls::rename_across(&old, &slot.names.part, &new, &free.names.part);
    if !matches!(renamed, Ok(true)) {
        if copied.is_some() {
            syscalls::remove_file(&new, free.names.state.as_str()).map_err(error)?;
        }
        let elsewhere = |error: &io::Error| error.kind() == io::ErrorKind::CrossesDevices;
        return match renamed {
            Err(failed) if !elsewhere(&failed) => Err(error(failed)),
            _ => Ok(Relocated::Stays),
        };
    }
    for dir in [&new, &old] {
        rustix::fs::fsync(dir).map_err(|failed| error(failed.into()))?;
    }
    for state in [&slot.names.state, &slot.names.state_new] {
        syscalls::remove_file(&old, state.as_str()).map_err(error)?;
    }
    Ok(Relocated::Renamed)
}

/// A part that nobody else can write to.
fn own_part(slot: &Slot) -> Option<syscalls::Seen> {
    slot.part.filter(|(claim, _)| *claim == Claim::Ours).map(|(_, seen)| seen)
}

/// The journal of a part, open and locked, if there is one.
fn locked(dir: &OwnedFd, path: &Path, names: &Names) -> Result<Option<File>, DiskError> {
    let at = path.join(&names.state);
    let file = match syscalls::open_private(dir, names.state.as_str(), Access::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| DiskError::sort("open the journal", &at, 0, error))?,
    };
    lock_journal(&file, &at)?;
    Ok(Some(file))
}

/// Writes a copy of a journal, as it is, beside where the part will be. It says the same of the same file
/// under any name: the part is known by its inode.
fn copy(journal: &File, dir: &OwnedFd, names: &Names) -> io::Result<File> {
    let mut bytes = Vec::new();
    { journal }.take(MAX_JOURNAL).read_to_end(&mut bytes)?;
    put_journal(dir, names, |mut file| {
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(file)
    })
}
