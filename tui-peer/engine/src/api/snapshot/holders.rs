//! Who has which part of the content looked at: as strips of as many buckets as the screen has cells,
//! so that what is sent to a screen elsewhere is small however many chunks there are.

use common::id::PeerId;
use serde::{Deserialize, Serialize};

/// Rows of strips in one answer at most: more than a screen has lines.
pub const MAX_STRIPS: u16 = 256;
/// Buckets of a strip at most: more than a screen has columns.
pub const MAX_BUCKETS: u16 = 1024;
/// Peers that alone have something and are named in [`Holders::only`]; who must not leave is few, or it is
/// no use to name them.
pub const MAX_ONLY: usize = 8;
/// In [`Holders::marks`]: several peers each alone have something here.
pub const SEVERAL: u8 = u8::MAX;

/// What of a content is wanted beside its chunks and sources; nothing of it is worked out otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Look {
    /// Who has what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders: Option<StripRequest>,
    /// Who sent what, for a map of so many buckets; at most [`super::MAX_CELLS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<u32>,
}

impl Look {
    /// Whether nothing more is wanted.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Which strips are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripRequest {
    /// First row.
    pub first: u32,
    /// How many; at most [`MAX_STRIPS`].
    pub rows: u16,
    /// Parts of a strip; at most [`MAX_BUCKETS`].
    pub buckets: u16,
}

/// Who has what of a content. A strip has one byte for every bucket; bucket `i` begins with chunk
/// [`crate::api::chunk_states::first_chunk`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// What is answered.
    pub request: StripRequest,
    /// Peers there are, ourselves not counted.
    pub all: u32,
    /// Those asked for. The order holds still while somebody looks.
    pub rows: Vec<HolderRow>,
    /// Fewest copies of a chunk of each bucket, ourselves counted; 255 is 255 and more.
    #[serde(with = "serde_bytes")]
    pub copies: Vec<u8>,
    /// Who has something that nobody else has, ourselves included; the most such chunks first, at most
    /// [`MAX_ONLY`].
    pub only: Vec<Only>,
    /// Which of `only` alone has a chunk of each bucket, from 1; 0 is nobody, [`SEVERAL`] more than one, or
    /// one that is not named.
    #[serde(with = "serde_bytes")]
    pub marks: Vec<u8>,
}

/// What one peer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// Chunks it has.
    pub have: u32,
    /// Chunks it has that we want and lack.
    pub useful: u32,
    /// Whether we are connected to it: then all this is exact, else it is what the tracker says.
    pub connected: bool,
    /// The share it has of each bucket in eighths: 0 only for none, 8 only for all. Empty if it is not known
    /// which chunks it has.
    #[serde(with = "serde_bytes")]
    pub levels: Vec<u8>,
}

/// Somebody who has chunks that nobody else has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    /// Its key; `None` is ourselves.
    pub peer: Option<PeerId>,
    /// Its name for itself.
    pub nick: String,
    /// How many.
    pub chunks: u32,
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}
