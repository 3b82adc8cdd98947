//! The per-file hash tree of BitTorrent v2 (BEP 52).
//!
//! Leaves are SHA-256 of 16 KiB blocks, the short last block hashed as it is; missing leaves up to a
//! power of two are 32 zero bytes; an inner node is SHA-256(left ‖ right). A chunk's hash is the node
//! over its blocks. A file of at most one chunk has only as many leaves as its blocks need, so its
//! one chunk hash is its root.

use std::collections::BTreeMap;

use crate::hash::{hash_blocks, hash_pairs, node, sha256};
use crate::id::{Hash, ID_LEN};
use crate::limits::{BLOCK_LEN, MAX_HASHES, MAX_PROOF};
use crate::numbers::saturate;

/// Root of a subtree of `2^level` missing leaves.
pub fn pad_hash(level: u8) -> Hash {
    let mut hash = Hash::ZERO;
    for _ in 0..level {
        hash = node(&hash, &hash);
    }
    hash
}

/// Hash of every 16 KiB block of `data`; none for no data.
pub fn block_hashes(data: &[u8]) -> Vec<Hash> {
    block_hashes_of(&[data])
}

/// Hash of every 16 KiB block of each of several spans, all in one list: spans of one file (every one
/// but the last must be a multiple of 16 KiB long then), or files.
pub fn block_hashes_of(spans: &[&[u8]]) -> Vec<Hash> {
    let blocks: Vec<&[u8]> =
        spans.iter().flat_map(|span| span.chunks(BLOCK_LEN as usize)).collect();
    let mut hashes = vec![Hash::ZERO; blocks.len()];
    hash_blocks(&blocks, &mut hashes);
    hashes
}

/// Hash of a chunk from its blocks' hashes. In a file of several chunks every chunk's subtree has
/// `2^chunk_level` leaves; the only chunk of a file has just as many as its blocks need.
pub fn chunk_hash(blocks: &[Hash], chunk_level: u8, only_chunk: bool) -> Hash {
    let level = if only_chunk { height(blocks.len()) } else { chunk_level };
    subtree_root(blocks, 0, level)
}

/// Root of a file of `size` bytes from its chunk hashes.
pub fn file_root(size: u64, chunk_hashes: &[Hash], chunk_level: u8) -> Hash {
    match chunk_hashes {
        [] if size == 0 => sha256(b""),
        [only] => *only,
        many => subtree_root(many, chunk_level, height(many.len())),
    }
}

/// Hashes of longer chunks of a file from those of its shorter ones, which are `from` levels above the blocks; the
/// longer ones are `to`. For a file of more than one of them: the only chunk's hash is the root.
pub fn coarser(hashes: &[Hash], from: u8, to: u8) -> Vec<Hash> {
    let up = to.saturating_sub(from);
    let together = 1usize.checked_shl(u32::from(up)).unwrap_or(usize::MAX);
    hashes.chunks(together).map(|part| subtree_root(part, from, up)).collect()
}

/// Smallest `h` with `2^h >= leaves`.
fn height(leaves: usize) -> u8 {
    saturate::<u8>(leaves.max(1).next_power_of_two().trailing_zeros())
}

/// Root of a subtree `up` levels above `nodes`, which are themselves `base` levels above the leaves.
fn subtree_root(nodes: &[Hash], base: u8, up: u8) -> Hash {
    let mut layer = nodes.to_vec();
    let mut pad = pad_hash(base);
    for _ in 0..up {
        layer = hash_pairs(&layer, &pad);
        pad = node(&pad, &pad);
    }
    layer.first().copied().unwrap_or(pad)
}

/// A range of chunk hashes as HASH_REQ names it: a power of two of them, aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashRange {
    /// First chunk of the file.
    pub index: u32,
    /// How many.
    pub count: u16,
}

/// What HASHES carries: the range, cut at the file's last chunk, and the uncles up to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashProof {
    /// Chunk hashes; chunks past the end of the file are left out.
    pub hashes: Vec<Hash>,
    /// Uncle hashes, lowest first.
    pub uncles: Vec<Hash>,
}

/// A list of hashes does not lead to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The range is not aligned, not a power of two, or outside the file.
    #[error("hash range is not aligned or outside the file")]
    BadRange,
    /// Too few or too many hashes or uncles for the range.
    #[error("hash answer has the wrong length")]
    WrongLength,
    /// The hashes are not those of this file.
    #[error("hashes do not lead to the file's root")]
    WrongRoot,
}

/// The chunk hashes of one file, as far as they are known; every known one is proven to belong to the
/// root. Costs 32 bytes and a bit per chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkHashes {
    root: Hash,
    chunks: u32,
    chunk_level: u8,
    known: u32,
    /// Nothing until something is known, and for ever in files of at most one chunk: a folder may have
    /// a million of these.
    nodes: Option<Box<Nodes>>,
}

/// What is known of a tree below its root.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Nodes {
    /// One for every chunk; zeros where it is not known.
    hashes: Vec<Hash>,
    /// Layers above complete `hashes`, from the level of the widest range up to below the root.
    upper: Vec<Vec<Hash>>,
    /// Uncles that came with ranges, by level above the chunk hashes and place in it: with them a
    /// range can be handed on while others are missing. Empty once all is known.
    uncles: BTreeMap<(u8, u32), Hash>,
}

fn are_known(hashes: &[Hash]) -> bool {
    !hashes.contains(&Hash::ZERO)
}

/// log2 of [`MAX_HASHES`]: upper layers are kept from this height on, so that a proof costs at most
/// one pass over one range.
const RANGE_HEIGHT: u8 = 10;
const _: () = assert!(1 << RANGE_HEIGHT == MAX_HASHES);

impl ChunkHashes {
    /// A file of `chunks` chunks of which only the root is known (which is all there is to know of a
    /// file of one chunk).
    pub fn unknown(root: Hash, chunks: u32, chunk_level: u8) -> Self {
        let known = chunks.min(1) * u32::from(chunks == 1);
        Self { root, chunks, chunk_level, known, nodes: None }
    }

    /// A file of `size` bytes whose chunk hashes were computed from its bytes.
    pub fn complete(size: u64, hashes: Vec<Hash>, chunk_level: u8) -> Self {
        let root = file_root(size, &hashes, chunk_level);
        let chunks = saturate::<u32>(hashes.len());
        let mut this = Self {
            root,
            chunks,
            chunk_level,
            known: chunks,
            nodes: (chunks > 1).then(|| Box::new(Nodes { hashes, ..Nodes::default() })),
        };
        this.settle();
        this
    }

    /// Reads a stored list (32 bytes per chunk) and checks it against the root.
    pub fn from_bytes(root: Hash, chunks: u32, chunk_level: u8, bytes: &[u8]) -> Option<Self> {
        if chunks <= 1 {
            return Some(Self::unknown(root, chunks, chunk_level));
        }
        let hashes: Vec<Hash> =
            bytes.chunks_exact(ID_LEN).filter_map(|h| Hash::try_from(h).ok()).collect();
        let fits = bytes.len() == chunks as usize * ID_LEN;
        (fits && !hashes.contains(&Hash::ZERO) && file_root(1, &hashes, chunk_level) == root)
            .then(|| Self::complete(1, hashes, chunk_level))
    }

    /// The list for storing; empty for files of at most one chunk, `None` while incomplete.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.chunks <= 1 {
            return Some(Vec::new());
        }
        self.is_complete().then(|| self.hashes().iter().flat_map(|h| *h.as_bytes()).collect())
    }

    /// The file's root.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Chunks of the file.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Whether every chunk hash is known.
    pub fn is_complete(&self) -> bool {
        self.known == self.chunks
    }

    /// Hash of a chunk of the file, if known.
    pub fn get(&self, chunk_in_file: u32) -> Option<Hash> {
        if self.chunks == 1 && chunk_in_file == 0 {
            return Some(self.root);
        }
        let hash = self.hashes().get(chunk_in_file as usize)?;
        (*hash != Hash::ZERO).then_some(*hash)
    }

    /// What to ask for in order to learn the hash of a chunk; `None` if it is known or there is no
    /// such chunk.
    pub fn missing_range_for(&self, chunk_in_file: u32) -> Option<HashRange> {
        if chunk_in_file >= self.chunks || self.get(chunk_in_file).is_some() {
            return None;
        }
        let count = self.width().min(MAX_HASHES as u32);
        Some(HashRange { index: chunk_in_file / count * count, count: u16::try_from(count).ok()? })
    }

    /// Hashes and uncles of a range, if all of it is known and so are its uncles: always when every
    /// hash is known, otherwise when the range came from somebody else with a proof.
    pub fn prove(&self, range: HashRange) -> Option<HashProof> {
        let (first, end) = self.bounds(range).ok()?;
        if self.chunks == 1 {
            return Some(HashProof { hashes: vec![self.root], uncles: Vec::new() });
        }
        let hashes = self.hashes().get(first..end).filter(|hashes| are_known(hashes))?.to_vec();
        let mut uncles = Vec::new();
        let range_height = height(usize::from(range.count));
        let top = height(self.chunks as usize);
        for level in range_height..top {
            let sibling = (first >> level) ^ 1;
            uncles.push(self.known_node(level, sibling)?);
        }
        Some(HashProof { hashes, uncles })
    }

    /// Takes over a range from anybody, if it is proven to belong to the root.
    ///
    /// # Errors
    /// [`ProofError`]; nothing is changed then.
    pub fn accept(
        &mut self,
        range: HashRange,
        hashes: &[Hash],
        uncles: &[Hash],
    ) -> Result<(), ProofError> {
        let (first, end) = self.bounds(range)?;
        let range_height = height(usize::from(range.count));
        let top = height(self.chunks as usize);
        if hashes.len() != end - first || uncles.len() != usize::from(top - range_height) {
            return Err(ProofError::WrongLength);
        }
        // A hash of zeros means "not known" here; no chunk has it.
        if hashes.contains(&Hash::ZERO) {
            return Err(ProofError::WrongRoot);
        }
        let mut at = if self.chunks == 1 {
            *hashes.first().ok_or(ProofError::WrongLength)?
        } else {
            subtree_root(hashes, self.chunk_level, range_height)
        };
        let mut position = range.index >> range_height;
        let mut places = Vec::with_capacity(uncles.len());
        for (uncle, level) in uncles.iter().zip(range_height..) {
            places.push(((level, position ^ 1), *uncle));
            at = if position & 1 == 0 { node(&at, uncle) } else { node(uncle, &at) };
            position >>= 1;
        }
        if at != self.root {
            return Err(ProofError::WrongRoot);
        }
        if !places.is_empty() {
            self.nodes.get_or_insert_default().uncles.extend(places);
        }
        self.restore(range.index, hashes);
        Ok(())
    }

    /// Takes over hashes that this program proved and stored earlier (guarded by a checksum of its
    /// own). Numbers past the end are ignored.
    pub fn restore(&mut self, index: u32, hashes: &[Hash]) {
        if self.chunks <= 1 || self.is_complete() {
            return;
        }
        let nodes = self.nodes.get_or_insert_default();
        nodes.hashes.resize(self.chunks as usize, Hash::ZERO);
        for (slot, hash) in nodes.hashes.iter_mut().skip(index as usize).zip(hashes) {
            if *hash != Hash::ZERO {
                self.known += u32::from(*slot == Hash::ZERO);
                *slot = *hash;
            }
        }
        if self.is_complete() {
            self.settle();
        }
    }

    /// Hashes of all chunks, zeros where they are not known; nothing while none is.
    fn hashes(&self) -> &[Hash] {
        self.nodes.as_ref().map_or(&[], |nodes| &nodes.hashes)
    }

    /// Leaves of the chunk layer's tree.
    fn width(&self) -> u32 {
        self.chunks.max(1).next_power_of_two()
    }

    /// Checks a range; returns its first chunk and the end of its real chunks.
    fn bounds(&self, range: HashRange) -> Result<(usize, usize), ProofError> {
        let count = u32::from(range.count);
        let ok = count.is_power_of_two()
            && count <= self.width()
            && range.count as usize <= MAX_HASHES
            && range.index.is_multiple_of(count)
            && range.index < self.chunks;
        if !ok {
            return Err(ProofError::BadRange);
        }
        let end = (range.index + count).min(self.chunks);
        Ok((range.index as usize, end as usize))
    }

    /// Computes the kept upper layers once all hashes are known.
    fn settle(&mut self) {
        let top = height(self.chunks as usize);
        let Some(nodes) = &mut self.nodes else { return };
        nodes.upper.clear();
        nodes.uncles.clear();
        if self.chunks <= 1 || top <= RANGE_HEIGHT {
            return;
        }
        let mut layer = nodes.hashes.clone();
        let mut pad = pad_hash(self.chunk_level);
        for level in 1..top {
            layer = hash_pairs(&layer, &pad);
            pad = node(&pad, &pad);
            if level >= RANGE_HEIGHT {
                nodes.upper.push(layer.clone());
            }
        }
    }

    /// Node `index` at `level` above the chunk hashes, if it can be told.
    fn known_node(&self, level: u8, index: usize) -> Option<Hash> {
        if self.is_complete() {
            return Some(self.node_at(level, index));
        }
        let place = (level, u32::try_from(index).ok()?);
        if let Some(uncle) = self.nodes.as_ref().and_then(|nodes| nodes.uncles.get(&place)) {
            return Some(*uncle);
        }
        // From its chunk hashes where these are few; higher nodes are uncles of a range or not known.
        let (first, end) = (index << level, ((index + 1) << level).min(self.hashes().len()));
        let below = self.hashes().get(first..end).unwrap_or_default();
        (level <= RANGE_HEIGHT && are_known(below)).then(|| self.node_at(level, index))
    }

    /// Node `index` at `level` above the chunk hashes.
    fn node_at(&self, level: u8, index: usize) -> Hash {
        let pad = || pad_hash(self.chunk_level + level);
        let upper = |l: u8| self.nodes.as_ref().and_then(|nodes| nodes.upper.get(usize::from(l)));
        if let Some(layer) = level.checked_sub(RANGE_HEIGHT).and_then(upper) {
            return layer.get(index).copied().unwrap_or_else(pad);
        }
        let first = index << level;
        let end = ((index + 1) << level).min(self.hashes().len());
        match self.hashes().get(first..end) {
            Some(nodes) if !nodes.is_empty() => subtree_root(nodes, self.chunk_level, level),
            _ => pad(),
        }
    }
}

/// Deepest tree a proof may come from fits the limit of the wire.
const _: () = assert!(MAX_PROOF >= 21);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes(n: u32) -> Vec<Hash> {
        (0..n).map(|i| sha256(&i.to_le_bytes())).collect()
    }

    #[test]
    fn c7_hashes_of_longer_chunks_come_from_those_of_shorter_ones() {
        for blocks in [5, 16, 17, 31, 64, 100] {
            let all = hashes(blocks);
            let at = |level: u8| -> Vec<Hash> {
                all.chunks(1 << level).map(|chunk| chunk_hash(chunk, level, false)).collect()
            };
            for (from, to) in [(0, 0), (0, 2), (1, 2), (2, 2), (1, 3)] {
                assert_eq!(coarser(&at(from), from, to), at(to), "{blocks} blocks, {from} to {to}");
            }
        }
    }

    fn all_ranges(chunks: u32) -> Vec<HashRange> {
        let width = chunks.next_power_of_two();
        let mut ranges = Vec::new();
        let mut count = 1;
        while count <= width.min(MAX_HASHES as u32) {
            for index in (0..chunks).step_by(count as usize) {
                ranges.push(HashRange { index, count: count as u16 });
            }
            count *= 2;
        }
        ranges
    }

    #[test]
    fn every_range_is_proven_and_accepted() {
        for chunks in [1u32, 2, 3, 5, 8, 13] {
            let full = ChunkHashes::complete(u64::from(chunks) << 16, hashes(chunks), 2);
            for range in all_ranges(chunks) {
                let proof = full.prove(range).unwrap();
                let mut empty = ChunkHashes::unknown(full.root(), chunks, 2);
                empty.accept(range, &proof.hashes, &proof.uncles).unwrap();
                for (i, hash) in proof.hashes.iter().enumerate() {
                    assert_eq!(empty.get(range.index + i as u32), Some(*hash));
                }
            }
        }
    }

    #[test]
    fn wide_files_are_learned_range_by_range() {
        let chunks = 5000;
        let full = ChunkHashes::complete(1 << 40, hashes(chunks), 8);
        let mut learner = ChunkHashes::unknown(full.root(), chunks, 8);
        for chunk in [4999, 0, 1024, 2500, 3500] {
            let range = learner.missing_range_for(chunk).unwrap();
            assert_eq!(range.count, 1024);
            let proof = full.prove(range).unwrap();
            learner.accept(range, &proof.hashes, &proof.uncles).unwrap();
            assert_eq!(learner.missing_range_for(chunk), None);
        }
        assert!(learner.is_complete());
        assert_eq!(learner, full);
        let bytes = full.to_bytes().unwrap();
        assert_eq!(ChunkHashes::from_bytes(full.root(), chunks, 8, &bytes), Some(full.clone()));
        assert_eq!(ChunkHashes::from_bytes(full.root(), chunks, 8, &bytes[32..]), None);
    }

    #[test]
    fn ranges_learned_with_a_proof_are_handed_on_before_all_is_known() {
        let chunks = 5000;
        let full = ChunkHashes::complete(1 << 40, hashes(chunks), 8);
        let range = |index, count| HashRange { index, count };
        let mut learner = ChunkHashes::unknown(full.root(), chunks, 8);
        assert_eq!(learner.prove(range(1024, 1024)), None);
        for wide in [range(1024, 1024), range(4096, 1024)] {
            let proof = full.prove(wide).unwrap();
            learner.accept(wide, &proof.hashes, &proof.uncles).unwrap();
            // The whole of it and parts of it, exactly as somebody who knows everything would.
            for (index, count) in [(0, 1024), (0, 512), (512, 256), (7, 1)] {
                let part = range(wide.index + index, count);
                assert_eq!(learner.prove(part), full.prove(part), "{part:?}");
            }
        }
        for unknown in [range(0, 1024), range(3072, 1024), range(0, 1)] {
            assert_eq!(learner.prove(unknown), None, "{unknown:?}");
        }
        // Known by our own word only: nothing that convinces others, until all is known.
        let mut restored = ChunkHashes::unknown(full.root(), chunks, 8);
        restored.restore(1024, &full.prove(range(1024, 1024)).unwrap().hashes);
        assert_eq!(restored.prove(range(1024, 1024)), None);
    }

    #[test]
    fn a_chunk_hash_of_zeros_is_refused_instead_of_asked_for_for_ever() {
        let list = vec![sha256(b"a"), Hash::ZERO];
        let root = file_root(1, &list, 2);
        let mut learner = ChunkHashes::unknown(root, 2, 2);
        let range = learner.missing_range_for(1).unwrap();
        assert_eq!(learner.accept(range, &list, &[]), Err(ProofError::WrongRoot));
    }

    #[test]
    fn bad_ranges_and_lengths_are_refused() {
        let full = ChunkHashes::complete(1 << 20, hashes(5), 2);
        for (index, count) in [(1, 2), (0, 3), (8, 1), (0, 16), (0, 0)] {
            assert_eq!(full.prove(HashRange { index, count }), None);
        }
        let proof = full.prove(HashRange { index: 4, count: 2 }).unwrap();
        assert_eq!(proof.hashes.len(), 1, "cut at the last chunk");
        let mut learner = ChunkHashes::unknown(full.root(), 5, 2);
        let range = HashRange { index: 4, count: 2 };
        assert_eq!(learner.accept(range, &[], &proof.uncles), Err(ProofError::WrongLength));
        assert_eq!(learner.accept(range, &proof.hashes, &[]), Err(ProofError::WrongLength));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_anywhere_is_refused(chunks in 1u32..40, at in any::<usize>(), bit in 0usize..256) {
            let full = ChunkHashes::complete(1 << 22, hashes(chunks), 2);
            let ranges = all_ranges(chunks);
            let range = ranges[at % ranges.len()];
            let mut proof = full.prove(range).unwrap();
            let total = proof.hashes.len() + proof.uncles.len();
            let (which, own) = (at % total, proof.hashes.len());
            let slot = if which < own {
                &mut proof.hashes[which]
            } else {
                &mut proof.uncles[which - own]
            };
            let mut bytes = *slot.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            *slot = Hash::from_bytes(bytes);
            let mut learner = ChunkHashes::unknown(full.root(), chunks, 2);
            prop_assert_eq!(
                learner.accept(range, &proof.hashes, &proof.uncles),
                Err(ProofError::WrongRoot)
            );
            prop_assert_eq!(learner.known, u32::from(chunks == 1));
        }

        #[test]
        fn the_root_does_not_depend_on_the_chunk_length(len in 1usize..300_000) {
            let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut roots = Vec::new();
            for level in 2u8..5 {
                let chunk_len = (BLOCK_LEN as usize) << level;
                let only = len <= chunk_len;
                let list: Vec<Hash> = data
                    .chunks(chunk_len)
                    .map(|chunk| chunk_hash(&block_hashes(chunk), level, only))
                    .collect();
                roots.push(file_root(len as u64, &list, level));
            }
            prop_assert!(roots.windows(2).all(|w| w[0] == w[1]));
        }
    }
}
