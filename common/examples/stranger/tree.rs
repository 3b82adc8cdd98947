//! Hash trees and chunks (7).

use sha2::{Digest as _, Sha256};

use crate::Hash;

const BLOCK: usize = 16384;

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[*left, *right].concat())
}

/// The node `up` levels above these, which are `level` levels above the blocks (7.1).
pub(crate) fn top(nodes: &[Hash], level: u32, up: u32) -> Hash {
    let mut pad = (0..level).fold([0; 32], |pad, _| node(&pad, &pad));
    let mut nodes = nodes.to_vec();
    for _ in 0..up {
        nodes = nodes.chunks(2).map(|two| node(&two[0], two.get(1).unwrap_or(&pad))).collect();
        pad = node(&pad, &pad);
    }
    nodes.first().copied().unwrap_or(pad)
}

/// How a file is cut (7.2).
pub(crate) struct Shape {
    size: u64,
    chunk: u64,
    pub(crate) level: u32,
    pub(crate) chunks: u32,
}

impl Shape {
    pub(crate) fn of(size: u64) -> Self {
        let wanted = size.div_ceil(2048).max(1).next_power_of_two();
        let mut chunk = wanted.clamp(64 << 10, 4 << 20);
        while size.div_ceil(chunk) > 1 << 20 && chunk < 64 << 20 {
            chunk *= 2;
        }
        let chunks = u32::try_from(size.div_ceil(chunk)).unwrap_or(u32::MAX);
        Self { size, chunk, level: (chunk / BLOCK as u64).ilog2(), chunks }
    }

    pub(crate) fn len(&self, chunk: u32) -> u32 {
        let left = self.size.saturating_sub(u64::from(chunk) * self.chunk);
        u32::try_from(left.min(self.chunk)).unwrap_or(u32::MAX)
    }

    /// Hash of a chunk.
    pub(crate) fn hash(&self, bytes: &[u8]) -> Hash {
        let blocks: Vec<Hash> = bytes.chunks(BLOCK).map(sha256).collect();
        let alone = blocks.len().next_power_of_two().ilog2();
        top(&blocks, 0, if self.chunks == 1 { alone } else { self.level })
    }
}
