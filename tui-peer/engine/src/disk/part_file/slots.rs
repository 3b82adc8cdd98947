//! Which of the names that a download may have are ours to use, and where bytes of it may lie that
//! somebody else left.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use common::id::ContentId;

use super::names::Names;
use crate::disk::claim::{Claim, Norm, make_private};
use crate::disk::error::DiskError;
use crate::disk::syscalls::{self, Access, Seen};

/// One set of names and what stands there.
#[derive(Debug, Clone)]
pub(in crate::disk) struct Slot {
    pub(in crate::disk) names: Names,
    pub(in crate::disk) part: Option<(Claim, Seen)>,
    pub(in crate::disk) state: Option<(Claim, Seen)>,
    state_new: Option<(Claim, Seen)>,
}

/// All of them.
#[derive(Debug)]
pub(in crate::disk) struct Slots {
    pub(in crate::disk) norm: Norm,
    all: Vec<Slot>,
    /// Whether it is a folder.
    folder: bool,
}

/// A part that is not ours alone: it may hold right bytes, and is only read.
#[derive(Debug, Clone)]
pub(in crate::disk) struct Beside {
    pub(in crate::disk) names: Names,
    /// Made by us, and so ours to delete when it is of no use any more.
    pub(in crate::disk) own: bool,
}

impl Slot {
    fn usable(&self) -> bool {
        let free = |found: Option<(Claim, Seen)>| {
            found.is_none_or(|(claim, seen)| claim != Claim::Other && seen.is_file)
        };
        let part = self.part.is_none_or(|(claim, _)| claim == Claim::Ours);
        part && free(self.state) && free(self.state_new)
    }

    /// Nothing stands there that others made.
    fn is_own(&self) -> bool {
        let mine = |found: Option<(Claim, Seen)>| found.is_none_or(|(c, _)| c != Claim::Other);
        mine(self.part) && mine(self.state) && mine(self.state_new)
    }
}

impl Slots {
    /// The folder, and what stands there under the names of the download of `id` that is called `name`, whether
    /// it is a file or a folder; `None` if there is no such folder for us.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(in crate::disk) fn of(
        dir: &Path,
        name: &str,
        id: &ContentId,
    ) -> Result<Option<(OwnedFd, Self)>, DiskError> {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        let root = match syscalls::open_root_dir(dir) {
            Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => {
                return Ok(None);
            }
            opened => opened.map_err(|error| DiskError::sort("look at", dir, 0, error))?,
        };
        let slots = Self::look(&root, dir, Names::all(name, id)?, None)?;
        Ok(Some((root, slots)))
    }

    /// Looks at what stands in `dir` under the names of a download: a folder, a file, or either.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(in crate::disk) fn look(
        dir: &OwnedFd,
        dir_path: &Path,
        names: Vec<Names>,
        folder: Option<bool>,
    ) -> Result<Self, DiskError> {
        let mut seen = Vec::new();
        for names in names {
            let look = |name: &String| {
                syscalls::stat_at(dir, name.as_str())
                    .map_err(|error| DiskError::sort("look at", &dir_path.join(name), 0, error))
            };
            let found = [look(&names.part)?, look(&names.state)?, look(&names.state_new)?];
            seen.push((names, found));
        }
        let strict = Norm::usual();
        let suspect = |found: &Option<Seen>| {
            found.as_ref().is_some_and(|seen| strict.judge(seen) != Claim::Ours)
        };
        // Only then is it worth the while to find out what this file system shows.
        let any = seen.iter().any(|(_, found)| found.iter().any(suspect));
        let norm = if any { Norm::of(dir) } else { strict };
        let judge = |found: Option<Seen>| found.map(|seen| (norm.judge(&seen), seen));
        let all = seen.into_iter().map(|(names, [part, state, state_new])| Slot {
            names,
            part: judge(part).map(|(claim, seen)| {
                // Something of the wrong kind is no part of this.
                let right = folder.is_none_or(|folder| seen.is_dir == folder);
                (if right { claim } else { Claim::Other }, seen)
            }),
            state: judge(state),
            state_new: judge(state_new),
        });
        Ok(Self { norm, all: all.collect(), folder: folder.unwrap_or(false) })
    }

    /// Those that can be used, best first: one with a part of ours, then one with a journal, then an
    /// empty one.
    pub(in crate::disk) fn usable(&self) -> Vec<Slot> {
        let mut usable: Vec<Slot> = self.all.iter().filter(|s| s.usable()).cloned().collect();
        // Stable: of equals the first name.
        usable.sort_by_key(|slot| (slot.part.is_none(), slot.state.is_none()));
        usable
    }

    /// Parts other than that of `chosen` that may hold some of the bytes.
    pub(in crate::disk) fn donors(&self, chosen: &Slot) -> Vec<Beside> {
        let right_kind = |slot: &&Slot| {
            slot.part.is_some_and(|(_, seen)| if self.folder { seen.is_dir } else { seen.is_file })
        };
        let others = self.all.iter().filter(|slot| slot.names != chosen.names).filter(right_kind);
        let own = |slot: &Slot| slot.part.is_some_and(|(claim, _)| claim != Claim::Other);
        let donor = |slot: &Slot| Beside { names: slot.names.clone(), own: own(slot) };
        others.map(donor).collect()
    }

    /// A part that we made and others can write to, where there is no room for a copy: from now on
    /// nobody else can open it. Whoever has it open already still could write, which a copy is safe from.
    pub(in crate::disk) fn harden(&mut self, dir: &OwnedFd, room: impl FnOnce() -> bool) {
        if self.folder || self.all.iter().any(|s| s.usable() && s.part.is_some()) {
            return;
        }
        let norm = self.norm;
        let loose = self.all.iter_mut().find(|slot| {
            slot.is_own() && slot.part.is_some_and(|(claim, _)| claim == Claim::Loose)
        });
        let Some(slot) = loose else { return };
        if room() {
            return;
        }
        let hardened = syscalls::open_private(dir, slot.names.part.as_str(), Access::Write)
            .and_then(|file| make_private(&file).and_then(|()| syscalls::stat(&file)));
        if let Ok(seen) = hardened
            && norm.judge(&seen) == Claim::Ours
        {
            slot.part = Some((Claim::Ours, seen));
            // What its journal says was open to others too.
            slot.state = slot.state.map(|(_, seen)| (Claim::Loose, seen));
        }
    }

    /// All sets of names.
    pub(in crate::disk) fn all(&self) -> impl Iterator<Item = &Slot> {
        self.all.iter()
    }
}
