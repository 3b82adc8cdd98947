//! A finished folder becomes a download again, because more of its files are wanted.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::chunk_set::ChunkSet;
use common::id::Hash;
use common::limits::MAX_HASHES;

use super::files::replace_journal;
use super::journal::{Header, Record};
use super::names::Names;
use super::slots::Slots;
use crate::disk::claim::{Claim, make_private};
use crate::disk::error::DiskError;
use crate::disk::spec::PartialSpec;
use crate::disk::syscalls;

/// Turns the finished folder at `path` (in `spec.dir`, with the chunks `have`, all of them right) back
/// into the part of a download, so that [`crate::disk::Partial::open_from`] goes on with it. Nothing is copied or
/// read. `hashes` are proven chunk hashes: file, number of the first within the file, hashes.
///
/// After a crash on the way the folder is either where it was, or the part of a download.
///
/// # Errors
/// [`DiskError`]; the folder is where it was then.
pub(crate) fn reclaim(
    spec: &PartialSpec,
    path: &Path,
    have: &ChunkSet,
    hashes: &[(u32, u32, Vec<Hash>)],
) -> Result<(), DiskError> {
    let at = |error| DiskError::sort("take up again", path, 0, error);
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| DiskError::BadName(path.display().to_string()))?;
    let dir = syscalls::open_root_dir(&spec.dir).map_err(at)?;
    let seen = syscalls::stat_at(&dir, name).map_err(at)?.filter(|seen| seen.is_dir);
    let changed = || DiskError::Changed { path: path.to_path_buf() };
    let seen = seen.ok_or_else(changed)?;
    let slots = Slots::look(&dir, &spec.dir, Names::all(&spec.name, &spec.id)?, Some(true))?;
    let free = slots.usable().into_iter().find(|slot| slot.part.is_none());
    let names = free.ok_or_else(|| DiskError::Occupied { path: path.to_path_buf() })?.names;
    let own = File::from(syscalls::open_dir(&dir, name).map_err(at)?);
    let header = Header {
        id: spec.id,
        descriptor: spec.descriptor,
        dev: seen.dev,
        ino: seen.ino,
        name: names.target.clone(),
        owner: spec.owner,
    };
    // As if it had been downloaded just now and not been renamed back yet: should the rename below not
    // happen, opening finds it finished where it is.
    let mut records: Vec<Record> = have
        .runs()
        .map(|run| Record::Durable { start: run.start, run: run.end - run.start })
        .collect();
    for (file, first, list) in hashes {
        let parts = list.chunks(MAX_HASHES).zip((*first..).step_by(MAX_HASHES));
        records.extend(parts.map(|(part, index)| Record::Hashes {
            file: *file,
            index,
            hashes: part.to_vec(),
        }));
    }
    records.push(Record::Finishing);
    drop(replace_journal(&dir, &names, &header, &records).map_err(at)?);
    // From here on it is a part, which nobody else writes to. Should the program end before the rename,
    // opening gives the finished folder its mode back.
    let private = match slots.norm.judge(&seen) {
        Claim::Other => Ok(()),
        _ => make_private(&own),
    };
    let renamed = private.and_then(|()| syscalls::rename_new(&dir, name, &names.part));
    if matches!(renamed, Ok(true)) {
        return rustix::fs::fsync(&dir).map_err(|error| at(error.into()));
    }
    // It stays what it was, and without the journal it is as before.
    if let Err(error) = own.set_permissions(Permissions::from_mode(seen.mode)) {
        tracing::warn!(%error, path = %path.display(), "only its owner can enter it now");
    }
    syscalls::remove_file(&dir, names.state.as_str()).map_err(at)?;
    renamed.map_err(at)?;
    Err(DiskError::InUse { path: spec.dir.join(&names.part) })
}
