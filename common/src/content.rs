//! What a content id stands for.

use serde::{Deserialize, Serialize};

use crate::hash::sha256_concat;
use crate::id::{ContentId, Hash};
use crate::limits::{MAX_CONTENT_SIZE, MAX_MANIFEST_LEN};

/// File or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Kind {
    /// One file; the descriptor's size and root are the file's.
    File,
    /// A folder; the descriptor's size and root are its manifest's.
    Folder,
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::File => 0,
            Kind::Folder => 1,
        }
    }
}

/// A kind byte this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown content kind {0}")]
pub struct UnknownKind(pub u8);

impl TryFrom<u8> for Kind {
    type Error = UnknownKind;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        match byte {
            0 => Ok(Self::File),
            1 => Ok(Self::Folder),
            other => Err(UnknownKind(other)),
        }
    }
}

/// Kind, length and tree root: all that is needed to verify content, from whomever it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// File or folder.
    #[serde(rename = "k")]
    pub kind: Kind,
    /// Length in bytes: of the file, or of the folder's manifest.
    #[serde(rename = "z")]
    pub size: u64,
    /// BEP 52 root of the file, or of the folder's manifest.
    #[serde(rename = "r")]
    pub root: Hash,
}

impl Descriptor {
    /// SHA-256("shoal/1" ‖ kind ‖ size as big-endian u64 ‖ root).
    pub fn id(&self) -> ContentId {
        let hash = sha256_concat(&[
            b"shoal/1",
            &[self.kind.into()],
            &self.size.to_be_bytes(),
            self.root.as_bytes(),
        ]);
        ContentId::from_bytes(*hash.as_bytes())
    }

    /// Whether the size is one this version handles.
    pub fn is_sane(&self) -> bool {
        match self.kind {
            Kind::File => self.size <= MAX_CONTENT_SIZE,
            Kind::Folder => self.size <= MAX_MANIFEST_LEN as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_binds_every_field() {
        let base = Descriptor { kind: Kind::File, size: 1, root: Hash::ZERO };
        assert_ne!(base.id(), Descriptor { kind: Kind::Folder, ..base }.id());
        assert_ne!(base.id(), Descriptor { size: 2, ..base }.id());
        assert_ne!(base.id(), Descriptor { root: Hash::from_bytes([1; 32]), ..base }.id());
        assert_eq!(base.id(), base.id());
    }

    #[test]
    fn oversized_descriptors_are_not_sane() {
        let root = Hash::ZERO;
        assert!(Descriptor { kind: Kind::File, size: MAX_CONTENT_SIZE, root }.is_sane());
        assert!(!Descriptor { kind: Kind::File, size: MAX_CONTENT_SIZE + 1, root }.is_sane());
        assert!(!Descriptor { kind: Kind::Folder, size: 1 << 40, root }.is_sane());
    }
}
