//! Who sent what of the content looked at, for so many cells of a map.

use common::id::PeerId;
use serde::{Deserialize, Serialize};

/// Buckets of a map at most: more than a screen has cells.
pub const MAX_CELLS: u32 = 65_536;
/// Peers that a map tells apart; the others share [`Sent::OTHERS`].
pub const MAX_SENDERS: usize = swarm::senders::NAMED;

/// Who sent what in this run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Who sent most of the chunks of each bucket that are here: [`Self::NOTHING`], a place in `peers` from
    /// 1, [`Self::OTHERS`] or [`Self::BEFORE`]. Bucket `i` begins with chunk
    /// [`crate::api::chunk_states::first_chunk`].
    #[serde(with = "serde_bytes")]
    pub buckets: Vec<u8>,
    /// Who sent something, and how many chunks; at most [`MAX_SENDERS`]. Nobody's place changes.
    pub peers: Vec<(PeerId, u32)>,
    /// Chunks of those that came later.
    pub others: u32,
    /// Chunks that were here before, or are ours.
    pub before: u32,
}

impl Sent {
    /// Nothing of a bucket is here.
    pub const NOTHING: u8 = 0;
    /// Sent by somebody who has no place of his own.
    pub const OTHERS: u8 = swarm::senders::OTHERS;
    /// It was here before.
    pub const BEFORE: u8 = Self::OTHERS + 1;

    /// A peer's number in `buckets`.
    pub fn number(&self, peer: &PeerId) -> Option<u8> {
        let at = self.peers.iter().position(|(known, _)| known == peer)?;
        u8::try_from(at + 1).ok()
    }
}
