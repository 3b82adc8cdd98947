//! What an earlier run left in a folder and no download knows of any more: found by the journals, which
//! name whose they are, and deleted when it is time.

use std::fs::{self, File, ReadDir};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::content::Kind;
use common::id::{ContentId, PeerId};

use super::claim::{Claim, Norm};
use super::error::DiskError;
use super::part_file::files::{lock, remove_part};
use super::part_file::journal::{HEADER_LEN, Header};
use super::part_file::names::Names;
use super::syscalls::{self, Access};

/// Names read in one go; a few milliseconds of a disk.
const NAMES_AT_ONCE: usize = 10_000;
/// Journals read in one go: each is an open and a page.
const JOURNALS_AT_ONCE: usize = 256;
/// Names read in one search: what is behind them in a larger folder stays.
const MAX_NAMES: usize = 1_000_000;
/// How the name of a journal ends.
const STATE_END: &str = ".state";

/// A journal of ours, with its part if that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// Of which content.
    pub id: ContentId,
    /// What it was to be called.
    pub name: String,
    /// Where its journal is.
    pub journal: PathBuf,
    /// Where its part is, if that is there.
    pub part: Option<PathBuf>,
    /// Bytes of the disk that the part takes; nought for a folder, whose files nobody has counted.
    pub bytes: u64,
    /// Another one when the journal was written or replaced.
    pub mark: String,
    names: Names,
}

impl Leftover {
    /// One that is nowhere.
    #[cfg(test)]
    pub(crate) fn example(journal: &str, mark: &str) -> Self {
        let id = ContentId::from_bytes([1; 32]);
        let names = Names::new("a", &id).unwrap();
        let (name, journal, mark) = ("a".into(), journal.into(), mark.into());
        Self { id, name, journal, part: None, bytes: 0, mark, names }
    }
}

/// A folder that is being searched.
#[derive(Debug)]
pub(crate) struct Search {
    path: PathBuf,
    dir: OwnedFd,
    entries: ReadDir,
    names: usize,
    norm: Option<Norm>,
}

/// Whose journals are looked for.
struct Folder<'a> {
    path: &'a Path,
    dir: &'a OwnedFd,
    owner: &'a PeerId,
    /// What files of ours look like there, once somebody had to know.
    norm: &'a mut Option<Norm>,
}

impl Search {
    /// Opens the folder; blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let dir = syscalls::open_root_dir(path)?;
        let entries = fs::read_dir(path)?;
        Ok(Self { path: path.to_path_buf(), dir, entries, names: 0, norm: None })
    }

    /// The next of what belongs to `owner`, in a bounded number of steps; blocks. `None` besides: there is
    /// more, and the search to go on with otherwise.
    ///
    /// # Errors
    /// If the folder cannot be read any further.
    pub(crate) fn go_on(mut self, owner: &PeerId) -> io::Result<(Vec<Leftover>, Option<Self>)> {
        let (mut found, mut journals) = (Vec::new(), 0);
        for _ in 0..NAMES_AT_ONCE {
            if self.names >= MAX_NAMES {
                break;
            }
            let Some(entry) = self.entries.next() else { return Ok((found, None)) };
            self.names += 1;
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_journal(name)) else { continue };
            let (path, dir, norm) = (self.path.as_path(), &self.dir, &mut self.norm);
            found.extend(Folder { path, dir, owner, norm }.judge(name));
            journals += 1;
            if journals >= JOURNALS_AT_ONCE {
                return Ok((found, Some(self)));
            }
        }
        let more = self.names < MAX_NAMES;
        Ok((found, more.then_some(self)))
    }
}

fn is_journal(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(STATE_END)
}

impl Folder<'_> {
    /// What stands at this name, if it is ours and nobody else can write to it.
    fn judge(&mut self, state: &str) -> Option<Leftover> {
        let file = syscalls::open_file(self.dir, state, Access::Read).ok()?;
        self.read(&file, state)
    }

    /// The same of an open journal.
    fn read(&mut self, file: &File, state: &str) -> Option<Leftover> {
        let mut head = [0; HEADER_LEN];
        { file }.read_exact(&mut head).ok()?;
        let header = Header::decode(&head).filter(|header| header.owner == Some(*self.owner))?;
        // A copy under another name says nothing about what stands beside it.
        let all = Names::all(&header.name, &header.id).ok()?;
        let names = all.into_iter().find(|names| names.state == state)?;
        let seen = syscalls::stat(file).ok()?;
        if seen.unlinked || self.claim(&seen) != Claim::Ours {
            return None;
        }
        let part = syscalls::stat_at(self.dir, names.part.as_str()).ok()?;
        if let Some(part) = &part {
            let right = part.is_dir == (header.descriptor.kind == Kind::Folder);
            if !right || part.ino != header.ino || self.claim(part) == Claim::Other {
                return None;
            }
        }
        let meta = file.metadata().ok()?;
        let mark = format!("{} {} {}.{}", seen.ino, seen.size, meta.mtime(), meta.mtime_nsec());
        Some(Leftover {
            id: header.id,
            name: header.name,
            journal: self.path.join(state),
            part: part.is_some().then(|| self.path.join(&names.part)),
            bytes: part.filter(|part| part.is_file).map_or(0, |part| part.allocated),
            mark,
            names,
        })
    }

    fn claim(&mut self, seen: &syscalls::Seen) -> Claim {
        match Norm::usual().judge(seen) {
            Claim::Ours => Claim::Ours,
            _ => self.norm.get_or_insert_with(|| Norm::of(self.dir)).judge(seen),
        }
    }
}

/// Deletes what was found in `dir`, unless it is open, was written to since, or `wanted` says at the last
/// moment that somebody wants it: `None` then, otherwise the bytes of the disk that are free now. Blocks.
///
/// # Errors
/// [`DiskError`] if something of it could not be deleted.
pub(crate) fn delete_leftover(
    dir: &Path,
    found: &Leftover,
    owner: &PeerId,
    wanted: &AtomicBool,
) -> Result<Option<u64>, DiskError> {
    let error = |error| DiskError::sort("delete", &found.journal, 0, error);
    let root = syscalls::open_root_dir(dir).map_err(error)?;
    let state = found.names.state.as_str();
    let file = match syscalls::open_private(&root, state, Access::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(error)?,
    };
    match lock(&file) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        locked => locked.map_err(error)?,
    }
    // Held from here on: whoever wants to open it waits, and finds nothing.
    let now = Folder { path: dir, dir: &root, owner, norm: &mut None }.read(&file, state);
    let here = syscalls::stat_at(&root, state).map_err(error)?.map(|seen| seen.ino);
    let same = here == syscalls::stat(&file).ok().map(|seen| seen.ino);
    if now.as_ref() != Some(found) || !same || wanted.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let bytes = match &found.part {
        Some(part) => taken(part).map_err(error)?,
        None => 0,
    };
    remove_part(&root, dir, &found.names.part).map_err(error)?;
    syscalls::remove_file(&root, state).map_err(error)?;
    let new = found.names.state_new.as_str();
    let ours = |seen: syscalls::Seen| Norm::usual().judge(&seen) == Claim::Ours;
    if syscalls::stat_at(&root, new).map_err(error)?.is_some_and(ours) {
        syscalls::remove_file(&root, new).map_err(error)?;
    }
    Ok(Some(bytes))
}

/// Bytes of the disk that a file takes, or all below a folder; no link is followed.
fn taken(path: &Path) -> io::Result<u64> {
    let (mut bytes, mut left) = (0u64, vec![path.to_path_buf()]);
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path)?;
        if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        } else {
            bytes = bytes.saturating_add(meta.blocks().saturating_mul(512));
        }
    }
    Ok(bytes)
}
