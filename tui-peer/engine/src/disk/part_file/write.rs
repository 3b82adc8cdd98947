//! A chunk is written: past the system's cache or through it, and noted in the journal.

use std::fs;
use std::io::{self, ErrorKind};
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use common::layout::Place;
use common::lock::Unpoisoned as _;
use common::numbers::saturate;

use super::journal::Record;
use super::partial::{Partial, contains};
use super::write_mode::{WriteMode, WriteModes};
use crate::disk::error::DiskError;
use crate::disk::syscalls::{self, Access, Step};

impl Partial {
    /// Writes a verified chunk: its bytes in order, exactly as many as it has. `read_soon` if somebody is
    /// about to ask for it: it stays in the system's memory then.
    ///
    /// # Errors
    /// [`DiskError`]; the chunk does not count as written then.
    pub(crate) fn write_chunk(
        &self,
        chunk: u32,
        bufs: &[&[u8]],
        read_soon: bool,
    ) -> Result<(), DiskError> {
        let (file, failures) = self.begin_write(chunk, bufs.iter().map(|buf| buf.len()).sum())?;
        if !self.write_past_cache(chunk, bufs, read_soon) {
            self.write_cached(chunk, bufs)?;
        }
        self.record_written(chunk, file, failures)
    }

    /// The first step of writing a chunk of `len` bytes: its file, and what [`Self::record_written`] has
    /// to know.
    pub(in crate::disk) fn begin_write(
        &self,
        chunk: u32,
        len: usize,
    ) -> Result<(usize, u32), DiskError> {
        let place = self.tree.place(chunk, 0, len).ok().filter(|p| p.len as usize == len);
        let place = place.ok_or_else(|| self.misuse("a chunk of the wrong length"))?;
        Ok((place.file, self.open_state()?.failures))
    }

    /// The second step, which any number of threads may take at once: writes past the system's cache if
    /// that is better. `false`: [`Self::write_cached`] is to do it.
    pub(in crate::disk) fn write_past_cache(
        &self,
        chunk: u32,
        bufs: &[&[u8]],
        read_soon: bool,
    ) -> bool {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        let Ok(place) = self.tree.place(chunk, 0, len) else { return false };
        // Its room is made the usual way, with its first chunk.
        if !self.is_ready(place.file) || self.modes().next(len, read_soon) == WriteMode::Cached {
            return false;
        }
        let Ok(file) = self.open_own(place.file) else { return false };
        let began = Instant::now();
        let written = self.hook.before(Step::Write { chunk }).is_ok()
            && self.write_direct(&file, &place, bufs);
        if written {
            self.modes().note(WriteMode::Direct, len, began.elapsed());
        }
        written
    }

    /// The same through the system's cache; best by one thread for each file at a time.
    pub(in crate::disk) fn write_cached(
        &self,
        chunk: u32,
        bufs: &[&[u8]],
    ) -> Result<(), DiskError> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        let place = self.tree.place(chunk, 0, len);
        let place = place.map_err(|_| self.misuse("a chunk of the wrong length"))?;
        let error = |error| self.error("write", u64::from(place.len), error);
        self.hook.before(Step::Write { chunk }).map_err(error)?;
        let file = self.open_own(place.file)?;
        self.reserve(place.file, &file)?;
        let began = Instant::now();
        syscalls::write_all(&file, bufs, place.offset).map_err(error)?;
        self.modes().note(WriteMode::Cached, len, began.elapsed());
        Ok(())
    }

    /// The last step: notes that the chunk is there, unless a sync failed since the first.
    pub(in crate::disk) fn record_written(
        &self,
        chunk: u32,
        file: usize,
        failures: u32,
    ) -> Result<(), DiskError> {
        let mut journal = self.journal();
        self.append(&mut journal, &[Record::Written { start: chunk, run: 1 }])?;
        let mut state = self.open_state()?;
        if state.failures != failures {
            return Err(DiskError::Unsure { path: self.path() });
        }
        state.written.insert(chunk);
        state.pending.push(chunk);
        state.dirty.insert(file);
        let len = self.layout().chunk(chunk).map_or(0, |chunk| self.layout().len_of(chunk));
        state.unsynced += u64::from(len);
        Ok(())
    }

    /// A file to write to.
    fn open_own(&self, file: usize) -> Result<Arc<fs::File>, DiskError> {
        if self.tree.rel().is_none() {
            return self.own();
        }
        let access = if self.has_some(file) { Access::Existing } else { Access::Write };
        self.tree.open(file, access).map_err(|error| {
            if access == Access::Existing && error.kind() == ErrorKind::NotFound {
                self.lose_file(file);
            }
            self.error("open", 0, error)
        })
    }

    /// Whether some of a file's bytes are here: then it must not be made anew, empty.
    fn has_some(&self, file: usize) -> bool {
        let state = self.state();
        contains(&state.ready, file)
            || self
                .layout()
                .file_chunks(file)
                .is_some_and(|mut chunks| chunks.any(|chunk| state.written.contains(chunk)))
    }

    /// Writes past the system's cache; `false` if it has to be written as usual.
    fn write_direct(&self, file: &fs::File, place: &Place, bufs: &[&[u8]]) -> bool {
        let file = self.tree.open(place.file, Access::Direct).and_then(|direct| {
            let same = syscalls::stat(&*direct)?.ino == syscalls::stat(file)?.ino;
            same.then_some(direct).ok_or_else(|| io::Error::from(ErrorKind::NotFound))
        });
        match file.and_then(|file| syscalls::write_direct(&file, bufs, place.offset)) {
            Ok(written) => written,
            Err(error) => {
                if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) {
                    self.modes().refuse_direct();
                }
                // A real trouble with the disk shows itself again the usual way.
                tracing::debug!(%error, "not written past the cache");
                false
            }
        }
    }

    /// Makes room for a whole file before its first write; one chunk is written at once anyway.
    fn reserve(&self, file: usize, handle: &fs::File) -> Result<(), DiskError> {
        if self.is_ready(file) {
            return Ok(());
        }
        let size = self.layout().file_size(file).unwrap_or(0);
        let error = |error| self.error("reserve room for", size, error);
        let mut seen = syscalls::stat(handle).map_err(error)?;
        let is = seen.size;
        if is < size && size > u64::from(self.layout().chunk_len()) {
            syscalls::reserve(handle, size).map_err(error)?;
            seen = syscalls::stat(handle).map_err(error)?;
        }
        let mut state = self.state();
        if seen.allocated >= size {
            state.reserved.insert(saturate::<u32>(file));
        }
        state.ready.insert(saturate::<u32>(file));
        state.created |= is == 0;
        Ok(())
    }

    fn is_ready(&self, file: usize) -> bool {
        contains(&self.state().ready, file)
    }

    fn modes(&self) -> MutexGuard<'_, WriteModes> {
        self.modes.lock().unpoisoned()
    }
}
