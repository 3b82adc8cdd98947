//! What the core keeps for one content on one connection.

use common::chunk_set::ChunkSet;

use super::rate::Rate;
use super::time::Time;

/// A content on one connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) handle: u16,
    /// What the peer has; `None` until its chunks can be counted (we do not know the layout yet).
    pub(super) has: Has,
    /// What it says of itself: it wants chunks.
    pub(super) interesting: bool,
    /// What we told it.
    pub(super) interested: bool,
    /// It does not let us request.
    pub(super) choked_by: bool,
    /// We do not let it request.
    pub(super) choking: bool,
    /// Since when that is otherwise, if it is.
    pub(super) may_ask_since: Time,
    /// When it was opened.
    pub(super) since: Time,
    /// Chunks it has that we want and lack.
    pub(super) useful: u32,
    pub(super) down: Rate,
    pub(super) up: Rate,
    /// Chunks it sent, good or bad.
    pub(super) got: u32,
    /// When a chunk of it was last found good and stored.
    pub(super) delivered: Option<Time>,
    /// REQ_ANY came back empty-handed: wait for news.
    pub(super) barren: bool,
    /// Has not all chunk hashes itself: not asked for any until then.
    pub(super) hashless_until: Time,
    /// It had nothing to pick when `Body::offers` stood here.
    pub(super) dry: Option<u64>,
    /// Chunks we chose for it: not chosen again.
    pub(super) assigned: Option<ChunkSet>,
    /// Its turn among the contents on this connection: the least is next.
    pub(super) turn: u64,
}

/// What a peer has of a content.
#[derive(Debug)]
pub(super) enum Has {
    All,
    Some(ChunkSet),
    /// The layout is not known yet: what it sent, to be read later.
    Unread {
        all: bool,
        bitfield: Option<Vec<u8>>,
        runs: Vec<(u32, u16)>,
    },
}

impl Link {
    /// Whether the peer has something for us and lets us ask for it.
    pub(super) fn is_open(&self) -> bool {
        !self.choked_by && self.useful > 0
    }
}

impl Has {
    pub(super) fn contains(&self, chunk: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(set) => set.contains(chunk),
            Self::Unread { .. } => false,
        }
    }

    pub(super) fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Some(set) => set.is_complete(),
            Self::Unread { all, .. } => *all,
        }
    }
}
