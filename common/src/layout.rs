//! How content is cut into chunks. All peers must agree on chunk numbers, so the rule is normative.

use std::ops::Range;

use crate::limits::{
    BLOCK_LEN, MAX_CHUNK_LEN, MAX_CHUNKS, MAX_FOLDER_CHUNKS, MIN_CHUNK_LEN, TARGET_CHUNKS,
    TYPICAL_MAX_CHUNK_LEN,
};
use crate::numbers::saturate;

/// Chunk length for content of `size` bytes: a power of two near `size / 2048`, between 64 KiB and
/// 4 MiB, doubled further only to stay within 2^20 chunks (PROTOCOL.md 7.2).
pub fn chunk_len_for(size: u64) -> u32 {
    let wanted = size.div_ceil(TARGET_CHUNKS).max(1).next_power_of_two();
    let mut len = wanted.clamp(u64::from(MIN_CHUNK_LEN), u64::from(TYPICAL_MAX_CHUNK_LEN));
    while size.div_ceil(len) > u64::from(MAX_CHUNKS) && len < u64::from(MAX_CHUNK_LEN) {
        len *= 2;
    }
    // In range by the clamp and the loop's bound.
    u32::try_from(len).unwrap_or(MAX_CHUNK_LEN)
}

/// Number of a chunk within its content. Minted by [`Layout::chunk`] after a range check, so holding
/// one means it exists (within the layout it came from).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkIx(u32);

impl ChunkIx {
    /// The number, counted from zero.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as an index into tables with one entry per chunk.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The content would have more chunks than this version handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content needs {chunks} chunks, the most is {max}")]
pub struct TooManyChunks {
    /// Chunks needed.
    pub chunks: u64,
    /// The limit that was exceeded.
    pub max: u32,
}

/// One file's place in the chunk index space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// Length of the file in bytes.
    size: u64,
    /// First chunk of the file.
    first: u32,
}

/// The chunk index space of a content: the chunks of its files one after the other, every file
/// starting on a new chunk. A single file is the case of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    chunk_len: u32,
    chunks: u32,
    total: u64,
    spans: Vec<Span>,
}

/// Where a chunk's bytes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the file within the content (0 for a single file).
    pub file: usize,
    /// Byte offset within that file.
    pub offset: u64,
    /// Length in bytes; only a file's last chunk is shorter than the chunk length.
    pub len: u32,
    /// Number of the chunk within its file.
    pub chunk_in_file: u32,
}

impl Layout {
    /// Layout of one file of `size` bytes.
    ///
    /// # Errors
    /// [`TooManyChunks`] when even the longest chunks would be too many.
    pub fn for_file(size: u64) -> Result<Self, TooManyChunks> {
        Self::build(std::iter::once(size), size, MAX_CHUNKS)
    }

    /// Layout of a folder whose files, in manifest order, have these sizes (bytes). The chunk length
    /// follows from their sum.
    ///
    /// # Errors
    /// [`TooManyChunks`] when the files need more chunks than a folder may have.
    pub fn for_folder(sizes: &[u64]) -> Result<Self, TooManyChunks> {
        let total = sizes.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
        Self::build(sizes.iter().copied(), total, MAX_FOLDER_CHUNKS)
    }

    fn build(
        sizes: impl Iterator<Item = u64>,
        total: u64,
        max: u32,
    ) -> Result<Self, TooManyChunks> {
        let chunk_len = chunk_len_for(total);
        let mut chunks = 0u64;
        let mut spans = Vec::new();
        for size in sizes {
            let first = saturate::<u32>(chunks);
            chunks = chunks.saturating_add(size.div_ceil(u64::from(chunk_len)));
            if chunks > u64::from(max) {
                return Err(TooManyChunks { chunks, max });
            }
            spans.push(Span { size, first });
        }
        let chunks = u32::try_from(chunks).unwrap_or(max);
        Ok(Self { chunk_len, chunks, total, spans })
    }

    /// Length of every chunk but a file's last, in bytes; a power of two.
    pub fn chunk_len(&self) -> u32 {
        self.chunk_len
    }

    /// log2 of the chunk length, as OPEN_OK carries it.
    pub fn chunk_log2(&self) -> u8 {
        saturate::<u8>(self.chunk_len.trailing_zeros())
    }

    /// Tree level of chunk hashes: 0 would be blocks of 16 KiB.
    pub fn chunk_level(&self) -> u8 {
        saturate::<u8>((self.chunk_len / BLOCK_LEN).trailing_zeros())
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Bytes of all files together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.spans.len()
    }

    /// Size in bytes of file `file`, if it exists.
    pub fn file_size(&self, file: usize) -> Option<u64> {
        self.spans.get(file).map(|span| span.size)
    }

    /// A checked chunk number.
    pub fn chunk(&self, number: u32) -> Option<ChunkIx> {
        (number < self.chunks).then_some(ChunkIx(number))
    }

    /// All chunks in order.
    pub fn all(&self) -> impl Iterator<Item = ChunkIx> + use<> {
        (0..self.chunks).map(ChunkIx)
    }

    /// Chunk numbers of a file; empty for an empty file, `None` for a file that does not exist.
    pub fn file_chunks(&self, file: usize) -> Option<Range<u32>> {
        let span = self.spans.get(file)?;
        let end = self.spans.get(file + 1).map_or(self.chunks, |next| next.first);
        Some(span.first..end)
    }

    /// Where chunk `chunk` lives. `chunk` must come from this layout; the place of a foreign chunk
    /// has length 0.
    pub fn place(&self, chunk: ChunkIx) -> Place {
        // Empty files share their first chunk number with the next file: take the last that starts here.
        let file = self.spans.partition_point(|span| span.first <= chunk.0).saturating_sub(1);
        let Some(span) = self.spans.get(file) else {
            return Place { file: 0, offset: 0, len: 0, chunk_in_file: 0 };
        };
        let chunk_in_file = chunk.0 - span.first;
        let offset = u64::from(chunk_in_file) * u64::from(self.chunk_len);
        let len = span.size.saturating_sub(offset).min(u64::from(self.chunk_len));
        Place { file, offset, len: u32::try_from(len).unwrap_or(0), chunk_in_file }
    }

    /// Length of a chunk in bytes.
    pub fn len_of(&self, chunk: ChunkIx) -> u32 {
        self.place(chunk).len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    const GIB: u64 = 1024 * MIB;

    #[test]
    fn chunk_length_follows_the_table_of_the_design() {
        for (size, len) in [
            (0, 64 * KIB),
            (128 * MIB, 64 * KIB),
            (GIB, 512 * KIB),
            (4 * GIB, 2 * MIB),
            (8 * GIB, 4 * MIB),
            (4096 * GIB, 4 * MIB),
            (16_384 * GIB, 16 * MIB),
        ] {
            assert_eq!(u64::from(chunk_len_for(size)), len, "size {size}");
        }
    }

    #[test]
    fn last_chunk_may_be_short_and_an_empty_file_has_none() {
        let layout = Layout::for_file(100 * KIB).unwrap();
        assert_eq!(layout.chunks(), 2);
        assert_eq!(layout.len_of(layout.chunk(1).unwrap()), 36 * 1024);
        assert_eq!(layout.chunk(2), None);
        let empty = Layout::for_file(0).unwrap();
        assert_eq!((empty.chunks(), empty.file_chunks(0)), (0, Some(0..0)));
    }

    #[test]
    fn too_large_content_is_refused() {
        assert!(Layout::for_file(crate::limits::MAX_CONTENT_SIZE).is_ok());
        assert!(Layout::for_file(crate::limits::MAX_CONTENT_SIZE + 1).is_err());
        assert!(Layout::for_folder(&[u64::MAX, u64::MAX]).is_err());
    }

    proptest! {
        #[test]
        fn chunks_cover_every_byte_of_every_file_once(
            sizes in proptest::collection::vec(0u64..400_000, 0..40)
        ) {
            let layout = Layout::for_folder(&sizes).unwrap();
            let mut seen = vec![0u64; sizes.len()];
            for chunk in layout.all() {
                let place = layout.place(chunk);
                prop_assert_eq!(place.offset, seen[place.file]);
                prop_assert!(place.len > 0);
                prop_assert!(layout.file_chunks(place.file).unwrap().contains(&chunk.get()));
                seen[place.file] += u64::from(place.len);
            }
            prop_assert_eq!(&seen, &sizes);
        }
    }
}
