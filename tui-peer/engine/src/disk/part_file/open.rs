//! Creating a download, or taking up one that is there.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::chunk_set::ChunkSet;

use super::files::{lock_journal, remove_part, replace_journal};
use super::journal::{Bounds, Header, Journal, Record, room_of};
use super::names::Names;
use super::slots::{Beside, Slot, Slots};
use crate::disk::claim::{Claim, Norm, knows_holes, make_private, make_public};
use crate::disk::donors::{Donor, Place};
use crate::disk::error::DiskError;
use crate::disk::file_tree::FileTree;
use crate::disk::room::{enough_room, in_blocks};
use crate::disk::spec::{HashRun, PartialSpec};
use crate::disk::syscalls::{self, Access, Hook, Seen, Step};

/// A download about to be opened.
pub(in crate::disk) struct Opening<'a> {
    pub(in crate::disk) spec: &'a PartialSpec,
    pub(in crate::disk) dir: &'a Arc<OwnedFd>,
    pub(in crate::disk) hook: &'a dyn Hook,
    /// A file or folder that has all of it: a part that is made shares its blocks where that can be, and needs
    /// no room.
    pub(in crate::disk) whole: Option<&'a Path>,
}

/// A part with its journal.
pub(in crate::disk) struct FoundPart {
    pub(in crate::disk) names: Names,
    pub(in crate::disk) norm: Norm,
    /// The part's inode.
    pub(in crate::disk) ino: u64,
    /// The part itself, a file or a folder.
    pub(in crate::disk) own: fs::File,
    pub(in crate::disk) journal: Journal,
    pub(in crate::disk) durable: ChunkSet,
    /// May be there, and must be compared first.
    pub(in crate::disk) unsure: ChunkSet,
    pub(in crate::disk) hashes: Vec<HashRun>,
    pub(in crate::disk) donors: Vec<Donor>,
    pub(in crate::disk) note: Option<&'static str>,
}

/// What a journal says.
pub(in crate::disk) struct Told {
    /// It is fit to be written on.
    journal: Option<Journal>,
    header: Option<Header>,
    durable: ChunkSet,
    written: ChunkSet,
    hashes: Vec<HashRun>,
    finishing: bool,
    /// Holds the lock of one that is not fit.
    _lock: Option<fs::File>,
}

impl Told {
    /// What it says of the part that is there: chunks, hashes, and the lock to be held. `None`: it is of
    /// another one.
    pub(in crate::disk) fn vouched(
        self,
        part: &Seen,
    ) -> Option<(ChunkSet, Vec<HashRun>, Option<fs::File>)> {
        let Self { header, mut durable, written, hashes, _lock, .. } = self;
        header.filter(|header| header.ino == part.ino)?;
        durable.union_with(&written);
        Some((durable, hashes, _lock))
    }
}

const REPLACED: &str = "the part file is not the one it was: all of it is checked again";
const JOURNAL_LOST: &str =
    "its journal was damaged or not ours alone: what is here is checked again";
const TAKEN_OVER: &str =
    "what lies here is not ours alone: what is right of it is copied, and nothing of it believed";

impl Opening<'_> {
    /// Finds or creates it; `Err` of the inner result is where it is, finished.
    pub(in crate::disk) fn open(&self) -> Result<Result<Box<FoundPart>, PathBuf>, DiskError> {
        let names = Names::all(&self.spec.name, &self.spec.id)?;
        let mut slots =
            Slots::look(self.dir, &self.spec.dir, names, Some(self.spec.rel.is_some()))?;
        let size = self.spec.descriptor.size;
        slots.harden(self.dir, || self.enough_room(in_blocks(size)).is_ok());
        for slot in slots.usable() {
            let Some(told) = self.read(&slot, &slots.norm)? else { continue };
            let mut found = match slot.part {
                Some((_, part)) => self.take_up(&slot, &part, told)?,
                None => match self.find_finished(&slot.names, &told)? {
                    Some(path) => return Ok(Err(path)),
                    None => self.create(&slot, told)?,
                },
            };
            found.norm = slots.norm;
            self.add_donors(&mut found, slots.donors(&slot), slots.norm);
            return Ok(Ok(Box::new(found)));
        }
        let part = self.spec.dir.join(Names::new(&self.spec.name, &self.spec.id)?.part);
        Err(DiskError::Occupied { path: part })
    }

    /// Locks the journal of a slot, which makes one if there is none, and reads it. `None`: the slot is
    /// another download's.
    pub(in crate::disk) fn read(
        &self,
        slot: &Slot,
        norm: &Norm,
    ) -> Result<Option<Told>, DiskError> {
        let state_error = |error| self.error("open the journal", &slot.names.state, 0, error);
        let file = syscalls::open_private(self.dir, slot.names.state.as_str(), Access::Write);
        let file = file.map_err(state_error)?;
        lock_journal(&file, &self.spec.dir.join(&slot.names.state))?;
        let chunks = self.spec.layout.chunks();
        let none = ChunkSet::empty(chunks);
        let mut told = Told {
            journal: None,
            header: None,
            durable: none.clone(),
            written: none,
            hashes: Vec::new(),
            finishing: false,
            _lock: None,
        };
        let seen = syscalls::stat(&file).map_err(state_error)?;
        if seen.unlinked {
            // Another program was faster, and has put one of its own in the place of this.
            return Err(DiskError::InUse { path: self.spec.dir.join(&slot.names.state) });
        }
        let hardened = slot.state.is_some_and(|(claim, _)| claim == Claim::Loose);
        if norm.judge(&seen) != Claim::Ours || hardened {
            // Somebody else may have written it: it says nothing.
            told._lock = Some(file);
            return Ok(Some(told));
        }
        let lock = file.try_clone().map_err(state_error)?;
        let is_ours = |header: &Header| {
            header.id == self.spec.id && header.descriptor == self.spec.descriptor
        };
        let found =
            Journal::open(file, Bounds::of(&self.spec.layout), is_ours, |record| match record {
                Record::Written { start, run } => _ = told.written.insert_run(start, run),
                Record::Durable { start, run } => _ = told.durable.insert_run(start, run),
                Record::Hashes { file, index, hashes } => told.hashes.push((file, index, hashes)),
                Record::Finishing => told.finishing = true,
            });
        let found = found.map_err(state_error)?;
        if found.header.as_ref().is_some_and(|header| !is_ours(header)) {
            return Ok(None);
        }
        (told.journal, told.header, told._lock) = (found.journal, found.header, Some(lock));
        Ok(Some(told))
    }

    /// Goes on with a part that is there.
    fn take_up(&self, slot: &Slot, part: &Seen, told: Told) -> Result<FoundPart, DiskError> {
        let Told { journal, header, mut durable, mut written, hashes, .. } = told;
        let chunks = self.spec.layout.chunks();
        let error = |error| self.error("look at", &slot.names.part, 0, error);
        let name = slot.names.part.as_str();
        let own = if part.is_dir {
            syscalls::open_dir(&**self.dir, name).map(fs::File::from)
        } else {
            syscalls::open_private(&**self.dir, name, Access::Existing)
        };
        let own = own.map_err(error)?;
        if syscalls::stat(&own).map_err(error)?.ino != part.ino {
            return Err(DiskError::Changed { path: self.spec.dir.join(name) });
        }
        make_private(&own).map_err(error)?;
        if !part.is_dir && part.size != self.spec.descriptor.size {
            self.resize(&own, &slot.names)?;
        }
        // Devices get new numbers when they are plugged in again; inodes do not.
        let same = header.as_ref().is_some_and(|header| {
            part.ino == header.ino && (part.is_dir || part.size == self.spec.descriptor.size)
        });
        let note = match (&header, same) {
            (Some(_), false) => Some(REPLACED),
            _ if journal.is_none() => Some(JOURNAL_LOST),
            _ => None,
        };
        if !same {
            written.union_with(&std::mem::replace(&mut durable, ChunkSet::empty(chunks)));
        }
        let tree = self.tree(&slot.names);
        let clean = note.is_none();
        // A record that is gone leaves its data behind. Where holes cannot be told from data a good
        // journal is all there is to go by.
        if !clean || (durable.count() < chunks && knows_holes(self.dir)) {
            written.union_with(&tree.data_chunks(&durable));
        }
        let mut unsure = ChunkSet::empty(chunks);
        for chunk in written.iter().filter(|chunk| !durable.contains(*chunk)) {
            unsure.insert(chunk);
        }
        let journal = match journal.filter(|_| clean) {
            Some(journal) => journal,
            None => self.rewrite(&slot.names, part, &durable, &unsure, &hashes)?,
        };
        let (names, donors) = (slot.names.clone(), Vec::new());
        let (norm, ino) = (Norm::usual(), part.ino);
        Ok(FoundPart { names, norm, ino, own, journal, durable, unsure, hashes, donors, note })
    }

    /// What others left may hold some of what we lack.
    fn add_donors(&self, found: &mut FoundPart, beside: Vec<Beside>, norm: Norm) {
        for Beside { names, own } in beside {
            let tree = self.tree(&names);
            let chunks = tree.data_chunks(&found.durable);
            found.unsure.union_with(&chunks);
            found.note = Some(TAKEN_OVER);
            let own = own.then(|| Place {
                dir: self.dir.clone(),
                path: self.spec.dir.clone(),
                names,
                norm,
                moved: false,
                lock: Mutex::default(),
            });
            found.donors.push(Donor::new(tree, chunks, own));
        }
    }

    /// The files of a part of this.
    pub(in crate::disk) fn tree(&self, names: &Names) -> FileTree {
        let part = self.spec.dir.join(&names.part);
        FileTree::held(self.spec.layout.clone(), part, self.spec.rel.clone(), self.dir.clone())
    }

    /// A finished download under one of the names it may have got.
    fn find_finished(&self, names: &Names, told: &Told) -> Result<Option<PathBuf>, DiskError> {
        let Some(header) = told.header.as_ref().filter(|_| told.finishing) else {
            return Ok(None);
        };
        for name in names.placed() {
            let seen = syscalls::stat_at(self.dir, name.as_str())
                .map_err(|error| self.error("look at", &name, 0, error))?;
            let Some(seen) = seen.filter(|seen| seen.ino == header.ino) else { continue };
            let whole = match &self.spec.rel {
                Some(_) => seen.is_dir,
                None => seen.is_file && seen.size == self.spec.descriptor.size,
            };
            if whole {
                // The program may have ended between the rename and this.
                self.publish(&name, &seen)
                    .map_err(|error| self.error("finish", &name, 0, error))?;
                syscalls::remove_file(self.dir, names.state.as_str())
                    .map_err(|error| self.error("delete", &names.state, 0, error))?;
                return Ok(Some(self.spec.dir.join(name)));
            }
        }
        Ok(None)
    }

    /// Gives what is finished the mode of any new file or folder.
    fn publish(&self, name: &str, seen: &Seen) -> io::Result<()> {
        let own = if seen.is_dir {
            fs::File::from(syscalls::open_dir(&**self.dir, name)?)
        } else {
            syscalls::open_file(&**self.dir, name, Access::Read)?
        };
        // Replaced just now: not ours to change.
        if syscalls::stat(&own)?.ino == seen.ino { make_public(&own) } else { Ok(()) }
    }

    /// Makes part and journal, and makes sure that both survive a power cut.
    fn create(&self, slot: &Slot, told: Told) -> Result<FoundPart, DiskError> {
        let names = &slot.names;
        let (own, part) = self.create_part(names).inspect_err(|_| {
            // The first error is the one that tells.
            let _ = syscalls::remove_file(self.dir, names.state.as_str());
        })?;
        let error = |error| self.error("create the journal", &names.state, 4096, error);
        self.hook.before(Step::Create).map_err(error)?;
        let journal = replace_journal(self.dir, names, &self.header(names, &part), &[]);
        let journal = journal.map_err(error)?;
        let none = ChunkSet::empty(self.spec.layout.chunks());
        let note = told.header.is_some().then_some("the part was gone: started over");
        Ok(FoundPart {
            names: names.clone(),
            norm: Norm::usual(),
            ino: part.ino,
            own,
            journal,
            durable: none.clone(),
            unsure: none,
            hashes: told.hashes,
            donors: Vec::new(),
            note,
        })
    }

    fn create_part(&self, names: &Names) -> Result<(fs::File, Seen), DiskError> {
        let size = self.spec.descriptor.size;
        let error = |needed| move |error| self.error("create", &names.part, needed, error);
        self.hook.before(Step::Create).map_err(error(size))?;
        let needed = in_blocks(size).saturating_add(room_of(Bounds::of(&self.spec.layout)));
        if self.spec.rel.is_some() {
            // Which of its files are wanted is not known here.
            self.enough_room(in_blocks(1))?;
            if !syscalls::make_private_dir(self.dir, names.part.as_str()).map_err(error(0))? {
                return Err(DiskError::InUse { path: self.spec.dir.join(&names.part) });
            }
            let dir = syscalls::open_dir(self.dir, names.part.as_str()).map_err(error(0))?;
            let seen = syscalls::stat(&dir).map_err(error(0))?;
            return Ok((dir.into(), seen));
        }
        if let Some(shared) = self.share_blocks(names).map_err(error(size))? {
            return Ok(shared);
        }
        self.enough_room(needed)?;
        let made = syscalls::open_private(self.dir, names.part.as_str(), Access::CreateNew);
        let file = made.map_err(error(0))?;
        let reserved = syscalls::reserve(&file, size).and_then(|()| file.sync_all());
        let seen = reserved.and_then(|()| syscalls::stat(&file)).map_err(error(size));
        let seen = seen.inspect_err(|_| {
            let _ = remove_part(self.dir, &self.spec.dir, &names.part);
        })?;
        Ok((file, seen))
    }

    /// Makes a part that shares the blocks of what is there, if that can be.
    fn share_blocks(&self, names: &Names) -> io::Result<Option<(fs::File, Seen)>> {
        let Some(whole) = self.whole else { return Ok(None) };
        let tree = FileTree::new(self.spec.layout.clone(), whole.to_path_buf(), None);
        // What cannot be opened is said when it is copied from.
        let Ok(from) = tree.open_uncached(0, Access::Read) else { return Ok(None) };
        let file = syscalls::open_private(self.dir, names.part.as_str(), Access::CreateNew)?;
        match self.fill(&file, &from) {
            Ok(Some(seen)) => Ok(Some((file, seen))),
            Ok(None) => remove_part(self.dir, &self.spec.dir, &names.part).map(|()| None),
            Err(error) => {
                // A part without a journal is nobody's. The first error is the one that tells.
                let _ = remove_part(self.dir, &self.spec.dir, &names.part);
                Err(error)
            }
        }
    }

    /// Gives a new part the blocks of what is there; `None` if that cannot be.
    fn fill(&self, file: &fs::File, from: &fs::File) -> io::Result<Option<Seen>> {
        self.hook.before(Step::ShareBlocks)?;
        let shares = syscalls::share_blocks(file, from);
        if !shares || syscalls::stat(file)?.size != self.spec.descriptor.size {
            return Ok(None);
        }
        file.sync_all()?;
        syscalls::stat(file).map(Some)
    }

    /// Gives a part of the wrong length the right one.
    fn resize(&self, file: &fs::File, names: &Names) -> Result<(), DiskError> {
        file.set_len(self.spec.descriptor.size)
            .map_err(|e| self.error("resize", &names.part, self.spec.descriptor.size, e))
    }

    /// Writes a journal for the part that is there now.
    fn rewrite(
        &self,
        names: &Names,
        part: &Seen,
        durable: &ChunkSet,
        unsure: &ChunkSet,
        hashes: &[HashRun],
    ) -> Result<Journal, DiskError> {
        let runs = durable.runs().map(|run| (run.start, run.end - run.start));
        let mut records: Vec<Record> =
            runs.map(|(start, run)| Record::Durable { start, run }).collect();
        let runs = unsure.runs().map(|run| (run.start, run.end - run.start));
        records.extend(runs.map(|(start, run)| Record::Written { start, run }));
        records.extend(hashes.iter().map(|(file, index, hashes)| Record::Hashes {
            file: *file,
            index: *index,
            hashes: hashes.clone(),
        }));
        replace_journal(self.dir, names, &self.header(names, part), &records)
            .map_err(|error| self.error("write the journal", &names.state, 4096, error))
    }

    fn header(&self, names: &Names, part: &Seen) -> Header {
        Header {
            id: self.spec.id,
            descriptor: self.spec.descriptor,
            dev: part.dev,
            ino: part.ino,
            name: names.target.clone(),
            owner: self.spec.owner,
        }
    }

    fn enough_room(&self, needed: u64) -> Result<(), DiskError> {
        enough_room(&self.spec.dir, self.spec.keep_free, needed)
    }

    fn error(&self, doing: &'static str, name: &str, needed: u64, error: io::Error) -> DiskError {
        DiskError::sort(doing, &self.spec.dir.join(name), needed, error)
    }
}
