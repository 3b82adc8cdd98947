//! Creating a download, or taking up one that is there.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use common::chunk_set::ChunkSet;
use common::id::Hash;
use common::layout::Layout;
use rustix::fs::FlockOperation;

use super::error::DiskError;
use super::journal::{Bounds, Header, Journal, Record};
use super::names::Names;
use super::partial::PartialSpec;
use super::sys::{self, Access, Hook, Seen, Step};

/// A download about to be opened.
pub(super) struct Opening<'a> {
    pub(super) spec: &'a PartialSpec,
    pub(super) names: &'a Names,
    pub(super) dir: &'a OwnedFd,
    pub(super) hook: &'a dyn Hook,
}

/// What is there.
enum Found {
    Nothing,
    Unusable,
    Finished(PathBuf),
    Going(Box<FoundPart>),
}

/// A part with its journal.
pub(super) struct FoundPart {
    pub(super) journal: Journal,
    pub(super) durable: ChunkSet,
    pub(super) written: ChunkSet,
    pub(super) hashes: Vec<(u32, u32, Vec<Hash>)>,
    pub(super) note: Option<&'static str>,
}

impl Opening<'_> {
    /// Finds or creates it; `Err` of the inner result is where it is, finished.
    pub(super) fn open(&self) -> Result<Result<Box<FoundPart>, PathBuf>, DiskError> {
        match self.find()? {
            Found::Finished(path) => Ok(Err(path)),
            Found::Going(found) => Ok(Ok(found)),
            Found::Nothing => self.create(None).map(Ok),
            Found::Unusable => {
                self.clear()?;
                self.create(Some("what was here could not be used: started over")).map(Ok)
            }
        }
    }

    /// What is there.
    fn find(&self) -> Result<Found, DiskError> {
        let state_error = |error| self.error("open the journal", &self.names.state, 0, error);
        let file = match sys::open_file(self.dir, self.names.state.as_str(), Access::Write) {
            Ok(file) => file,
            Err(error) => return Err(state_error(error)),
        };
        self.lock(&file)?;
        let chunks = self.spec.layout.chunks();
        let (mut durable, mut written) = (ChunkSet::empty(chunks), ChunkSet::empty(chunks));
        let (mut hashes, mut finishing) = (Vec::new(), false);
        let opened = Journal::open(
            file,
            |header| self.is_ours(header).then(|| bounds_of(&self.spec.layout)),
            |record| match record {
                Record::Written { start, run } => _ = written.insert_run(start, run),
                Record::Durable { start, run } => _ = durable.insert_run(start, run),
                Record::Hashes { file, index, hashes: list } => hashes.push((file, index, list)),
                Record::Finishing => finishing = true,
            },
        );
        let part = sys::look(self.dir, self.names.part.as_str())
            .map_err(|error| self.error("look at", &self.names.part, 0, error))?;
        let Some((journal, header)) = opened.map_err(state_error)? else {
            // Made by `open_file` just now, or torn before it was whole.
            return Ok(if part.is_none() { Found::Nothing } else { Found::Unusable });
        };
        let Some(part) = part else {
            let done = if finishing { self.find_finished(header.ino)? } else { None };
            return Ok(done.map_or(Found::Unusable, Found::Finished));
        };
        if part.is_dir != self.spec.rel.is_some() || !(part.is_dir || part.is_file) {
            return Ok(Found::Unusable);
        }
        let mut note = None;
        // Devices get new numbers when they are plugged in again; inodes do not.
        let same =
            part.ino == header.ino && (part.is_dir || part.size == self.spec.descriptor.size);
        if !same {
            note = Some("the part file is not the one it was: all of it is checked again");
            for run in durable.runs() {
                written.insert_run(run.start, run.end - run.start);
            }
            durable = ChunkSet::empty(chunks);
            if part.is_file {
                self.resize()?;
            }
        }
        let mut unsure = ChunkSet::empty(chunks);
        for chunk in written.iter().filter(|chunk| !durable.contains(*chunk)) {
            unsure.insert(chunk);
        }
        let mut found = FoundPart { journal, durable, written: unsure, hashes, note };
        if !same {
            self.rewrite(&mut found, &part)?;
        }
        Ok(Found::Going(Box::new(found)))
    }

    fn is_ours(&self, header: &Header) -> bool {
        header.id == self.spec.id && header.descriptor == self.spec.descriptor
    }

    /// A finished download under one of the names it may have got.
    fn find_finished(&self, ino: u64) -> Result<Option<PathBuf>, DiskError> {
        for name in self.names.placed() {
            let seen = sys::look(self.dir, name.as_str())
                .map_err(|error| self.error("look at", &name, 0, error))?;
            let Some(seen) = seen.filter(|seen| seen.ino == ino) else { continue };
            let whole = match &self.spec.rel {
                Some(_) => seen.is_dir,
                None => seen.is_file && seen.size == self.spec.descriptor.size,
            };
            if whole {
                sys::remove_file(self.dir, self.names.state.as_str())
                    .map_err(|error| self.error("delete", &self.names.state, 0, error))?;
                return Ok(Some(self.spec.dir.join(name)));
            }
        }
        Ok(None)
    }

    /// Makes part and journal, and makes sure that both survive a power cut.
    fn create(&self, note: Option<&'static str>) -> Result<Box<FoundPart>, DiskError> {
        let part = self.create_part().inspect_err(|_| {
            // The first error is the one that tells.
            let _ = remove_part(self.dir, &self.spec.dir, &self.names.part);
            let _ = sys::remove_file(self.dir, self.names.state.as_str());
        })?;
        let error = |error| self.error("create the journal", &self.names.state, 4096, error);
        let file = sys::open_file(self.dir, self.names.state.as_str(), Access::Write);
        let file = file.map_err(error)?;
        self.lock(&file)?;
        let journal = file
            .set_len(0)
            .and_then(|()| self.hook.before(Step::Create))
            .and_then(|()| Journal::create(file, &self.header(&part), &[]))
            .and_then(|journal| journal.file().sync_all().map(|()| journal))
            .and_then(|journal| Ok(rustix::fs::fsync(self.dir).map(|()| journal)?))
            .map_err(error)?;
        let none = ChunkSet::empty(self.spec.layout.chunks());
        let (durable, written) = (none.clone(), none);
        Ok(Box::new(FoundPart { journal, durable, written, hashes: Vec::new(), note }))
    }

    fn create_part(&self) -> Result<Seen, DiskError> {
        let size = self.spec.descriptor.size;
        let error = |needed| move |error| self.error("create", &self.names.part, needed, error);
        self.hook.before(Step::Create).map_err(error(size))?;
        if self.spec.rel.is_some() {
            sys::make_dir(self.dir, self.names.part.as_str()).map_err(error(0))?;
            let dir = sys::open_dir(self.dir, self.names.part.as_str()).map_err(error(0))?;
            return sys::look_at(dir).map_err(error(0));
        }
        enough_room(&self.spec.dir, size)?;
        let made = sys::open_file(self.dir, self.names.part.as_str(), Access::CreateNew);
        let file = made.map_err(error(0))?;
        sys::reserve(&file, size).and_then(|()| file.sync_all()).map_err(error(size))?;
        sys::look_at(&file).map_err(error(0))
    }

    /// Gives a part of the wrong length the right one.
    fn resize(&self) -> Result<(), DiskError> {
        sys::open_file(self.dir, self.names.part.as_str(), Access::Write)
            .and_then(|file| file.set_len(self.spec.descriptor.size))
            .map_err(|e| self.error("resize", &self.names.part, self.spec.descriptor.size, e))
    }

    /// Writes a journal for the part that is there now.
    fn rewrite(&self, found: &mut FoundPart, part: &Seen) -> Result<(), DiskError> {
        let runs = found.written.runs();
        let mut records: Vec<Record> = runs
            .map(|run| Record::Written { start: run.start, run: run.end - run.start })
            .collect();
        records.extend(found.hashes.iter().map(|(file, index, hashes)| Record::Hashes {
            file: *file,
            index: *index,
            hashes: hashes.clone(),
        }));
        found.journal = replace_journal(self.dir, self.names, &self.header(part), &records)
            .map_err(|error| self.error("write the journal", &self.names.state, 4096, error))?;
        Ok(())
    }

    /// Removes what cannot be used.
    fn clear(&self) -> Result<(), DiskError> {
        remove_part(self.dir, &self.spec.dir, &self.names.part)
            .map_err(|error| self.error("delete", &self.names.part, 0, error))
    }

    fn header(&self, part: &Seen) -> Header {
        Header {
            id: self.spec.id,
            descriptor: self.spec.descriptor,
            dev: part.dev,
            ino: part.ino,
            name: self.names.target.clone(),
        }
    }

    fn lock(&self, file: &fs::File) -> Result<(), DiskError> {
        lock(file).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                DiskError::InUse { path: self.spec.dir.join(&self.names.state) }
            }
            _ => self.error("lock", &self.names.state, 0, error),
        })
    }

    fn error(&self, doing: &'static str, name: &str, needed: u64, error: io::Error) -> DiskError {
        DiskError::sort(doing, &self.spec.dir.join(name), needed, error)
    }
}

/// Keeps a second program (or a second run) from writing the same download. Where locks do not work
/// (some network file systems), nothing is kept.
pub(super) fn lock(file: &fs::File) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// Writes a new journal beside the old one and puts it in its place.
pub(super) fn replace_journal(
    dir: &OwnedFd,
    names: &Names,
    header: &Header,
    records: &[Record],
) -> io::Result<Journal> {
    sys::remove_file(dir, names.state_new.as_str())?;
    let file = sys::open_file(dir, names.state_new.as_str(), Access::CreateNew)?;
    lock(&file)?;
    let journal = Journal::create(file, header, records)?;
    journal.file().sync_all()?;
    rustix::fs::renameat(dir, names.state_new.as_str(), dir, names.state.as_str())?;
    rustix::fs::fsync(dir)?;
    Ok(journal)
}

pub(super) fn remove_part(dir: &OwnedFd, dir_path: &Path, part: &str) -> io::Result<()> {
    match sys::look(dir, part)? {
        // Does not follow links.
        Some(seen) if seen.is_dir => fs::remove_dir_all(dir_path.join(part)),
        Some(_) => sys::remove_file(dir, part),
        None => Ok(()),
    }
}

/// What its journal may name.
pub(super) fn bounds_of(layout: &Layout) -> Bounds {
    Bounds { chunks: layout.chunks(), files: u32::try_from(layout.files()).unwrap_or(u32::MAX) }
}

/// Asked before reserving, so that the message names numbers.
pub(super) fn enough_room(dir: &Path, needed: u64) -> Result<(), DiskError> {
    // Where nobody can tell, the reservation will.
    let free = sys::space(dir).map_or(u64::MAX, |space| space.free);
    if needed > free {
        return Err(DiskError::Full { path: dir.to_path_buf(), needed, free });
    }
    Ok(())
}
