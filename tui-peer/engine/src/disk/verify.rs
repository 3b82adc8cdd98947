//! Hashing chunks: those that arrived, in memory, and those a crash left unsure, from disk.

use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::hash::sha256;
use common::id::{ContentId, Hash};
use common::layout::Place;
use common::limits::BLOCK_LEN;
use common::merkle::{block_hashes_of, chunk_hash};

use super::buffers::Buf;
use super::error::DiskError;
use super::file_tree::read_exact;
use super::part_file::partial::Partial;

/// A chunk all of whose bytes are here.
#[derive(Debug)]
pub(crate) struct VerifyJob {
    /// Of which content.
    pub id: ContentId,
    /// Which chunk.
    pub chunk: u32,
    /// What its hash must be.
    pub expected: Hash,
    /// Tree level of the content's chunk hashes.
    pub chunk_level: u8,
    /// Whether it is the only chunk of its file.
    pub single_chunk_file: bool,
    /// Where it goes.
    pub target: Arc<Partial>,
    /// Whether other peers are about to ask for it.
    pub read_soon: bool,
    /// Its bytes in order, cut anywhere.
    pub bufs: Vec<Buf>,
}

impl VerifyJob {
    /// Length of the chunk.
    pub(super) fn bytes(&self) -> usize {
        self.bufs.iter().map(|buf| buf.len()).sum()
    }

    /// Its bytes.
    pub(super) fn spans(&self) -> Vec<&[u8]> {
        self.bufs.iter().map(|buf| &**buf).collect()
    }
}

/// Hashes of several chunks, all lanes working on all of them.
pub(super) fn hashes_of(jobs: &[VerifyJob]) -> Vec<Hash> {
    if let [job] = jobs {
        let spans: Vec<&[u8]> = job.bufs.iter().map(|buf| &**buf).collect();
        return vec![hash_of(&spans, job.chunk_level, job.single_chunk_file)];
    }
    let mut spans: Vec<&[u8]> = Vec::new();
    for job in jobs {
        spans.extend(job.bufs.iter().map(|buf| &**buf));
    }
    let aligned = |job: &VerifyJob| {
        let (_, rest) = job.bufs.split_last()?;
        rest.iter().all(|buf| buf.len().is_multiple_of(BLOCK)).then_some(())
    };
    if !jobs.iter().all(|job| aligned(job).is_some()) {
        return jobs.iter().flat_map(|job| hashes_of(std::slice::from_ref(job))).collect();
    }
    let mut blocks = block_hashes_of(&spans).into_iter();
    let mut own = Vec::new();
    jobs.iter()
        .map(|job| {
            own.clear();
            own.extend(blocks.by_ref().take(job.bytes().div_ceil(BLOCK)));
            chunk_hash(&own, job.chunk_level, job.single_chunk_file)
        })
        .collect()
}

const BLOCK: usize = BLOCK_LEN as usize;

/// Block hashes of consecutive spans of any lengths: frames of strangers need not end with a block.
pub(super) fn blocks_of(spans: &[&[u8]]) -> Vec<Hash> {
    let aligned = spans
        .split_last()
        .is_none_or(|(_, rest)| rest.iter().all(|span| span.len().is_multiple_of(BLOCK)));
    if aligned {
        return block_hashes_of(spans);
    }
    let mut hashes = Vec::new();
    // The block that two spans share.
    let mut carry: Vec<u8> = Vec::with_capacity(BLOCK);
    for span in spans {
        let missing = (BLOCK - carry.len()) % BLOCK;
        let (head, rest) = span.split_at(missing.min(span.len()));
        carry.extend_from_slice(head);
        if carry.len() == BLOCK {
            hashes.push(sha256(&carry));
            carry.clear();
        }
        let whole = rest.chunks_exact(BLOCK);
        carry.extend_from_slice(whole.remainder());
        hashes.extend(whole.map(sha256));
    }
    if !carry.is_empty() {
        hashes.push(sha256(&carry));
    }
    hashes
}

/// Hash of a chunk that arrived in `spans`.
pub(super) fn hash_of(spans: &[&[u8]], chunk_level: u8, single_chunk_file: bool) -> Hash {
    chunk_hash(&blocks_of(spans), chunk_level, single_chunk_file)
}

impl Partial {
    /// Reads the chunks of `written` (as [`Partial::open_from`] found them), compares each with what
    /// `expected` says its hash is, and returns those that are right; the others are missing, as are
    /// those whose hash nobody knows.
    pub(crate) fn recheck(
        &self,
        written: &ChunkSet,
        expected: impl Fn(u32) -> Option<Hash>,
    ) -> ChunkSet {
        self.recheck_with(written, expected, |_| {})
    }

    /// The same, telling after each chunk how many are done.
    pub(crate) fn recheck_with(
        &self,
        written: &ChunkSet,
        expected: impl Fn(u32) -> Option<Hash>,
        mut on_progress: impl FnMut(u32),
    ) -> ChunkSet {
        let mut good = ChunkSet::empty(self.layout().chunks());
        for (done, number) in (1..).zip(written.iter()) {
            // What cannot be read or copied is not here.
            if expected(number).is_some_and(|hash| self.check(number, hash).unwrap_or(false)) {
                good.insert(number);
            }
            on_progress(done);
        }
        good
    }

    /// Whether a chunk is here: reads what the part has in its place, and then what others have left, and
    /// compares each with `expected`. What others left is copied when it is right, and never trusted
    /// later: they can still write to it. It is durable with the next sync.
    ///
    /// # Errors
    /// [`DiskError`] if it is right and could not be copied.
    pub(crate) fn check(&self, number: u32, expected: Hash) -> Result<bool, DiskError> {
        let layout = self.layout();
        let Some(chunk) = layout.chunk(number) else { return Ok(false) };
        let place = layout.place(chunk);
        let mut bytes = vec![0; place.len as usize];
        if self.read_own(place.file, place.offset, &mut bytes)
            && self.is_right(&place, &bytes, expected)
        {
            let mut state = self.open_state()?;
            state.written.insert(number);
            state.pending.push(number);
            state.dirty.insert(place.file);
            return Ok(true);
        }
        self.take_over(number, expected)
    }

    /// The same without a look at what the part has in its place.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn take_over(&self, number: u32, expected: Hash) -> Result<bool, DiskError> {
        let layout = self.layout();
        let Some(chunk) = layout.chunk(number) else { return Ok(false) };
        let place = layout.place(chunk);
        let mut bytes = vec![0; place.len as usize];
        let mut unread = false;
        for donor in self.donors.of(number) {
            match donor.tree.read_at(place.file, place.offset, &mut bytes) {
                Ok(()) if self.is_right(&place, &bytes, expected) => {
                    self.write_chunk(number, &[&bytes], false)?;
                    return Ok(true);
                }
                Ok(()) => {}
                // Its disk may be away for the moment: it says nothing about the chunk.
                Err(_) => unread = true,
            }
        }
        if !unread {
            self.state().refuted.insert(number);
        }
        Ok(false)
    }

    fn is_right(&self, place: &Place, bytes: &[u8], expected: Hash) -> bool {
        let layout = self.layout();
        let only = layout.file_chunks(place.file).is_some_and(|chunks| chunks.len() == 1);
        hash_of(&[bytes], layout.chunk_level(), only) == expected
    }

    /// Reads from the very file that will be put in place at the end.
    fn read_own(&self, file: usize, at: u64, out: &mut [u8]) -> bool {
        if self.tree.rel().is_some() {
            return self.tree.read_at(file, at, out).is_ok();
        }
        self.own().is_ok_and(|own| read_exact(&own, at, out).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn where_frames_are_cut_makes_no_difference(
            len in 1usize..70_000,
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 253) as u8).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(len)).collect();
            at.extend([0, len]);
            at.sort_unstable();
            let spans: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(blocks_of(&spans), common::merkle::block_hashes(&bytes));
        }
    }
}
