//! SHA-256. The only file of the project that names the crate behind it.

use sha2::{Digest, Sha256};

use crate::id::Hash;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash::from_bytes(Sha256::digest(bytes).into())
}

/// SHA-256 of the two child hashes of a tree node, left first.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Hash::from_bytes(hasher.finalize().into())
}

/// SHA-256 of several byte strings as if they stood in one.
pub fn sha256_concat(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash::from_bytes(hasher.finalize().into())
}

/// Hashes every block on its own, in order. Blocks are independent, which is what a many-lane
/// implementation needs; today each goes through the one-lane code in turn.
///
/// Writes `min(blocks.len(), out.len())` hashes.
pub fn hash_blocks(blocks: &[&[u8]], out: &mut [Hash]) {
    for (slot, block) in out.iter_mut().zip(blocks) {
        *slot = sha256(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(
            sha256(b"").hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(sha256_concat(&[b"a", b"bc"]), sha256(b"abc"));
        let (a, b) = (sha256(b"a"), sha256(b"b"));
        assert_eq!(node(&a, &b), sha256_concat(&[a.as_bytes(), b.as_bytes()]));
    }

    #[test]
    fn blocks_are_hashed_one_by_one() {
        let mut out = [Hash::ZERO; 2];
        hash_blocks(&[b"one", b"two"], &mut out);
        assert_eq!(out, [sha256(b"one"), sha256(b"two")]);
    }
}
