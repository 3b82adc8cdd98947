//! How far that has come which is done to a peer in steps: `work.rs` goes through its entries, `forget.rs` drops
//! them, `claims.rs` compares its digest.

use common::id::Hash;

/// How far a peer's entries have been gone through.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pass {
    /// The last one; `None` at the start.
    pub(super) after: Option<u32>,
}

/// What is to be dropped of a peer that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// All, and the peer with it. Until then it is not let in.
    All,
    /// Contents that no other address group ever had.
    Lone,
}

/// How far forgetting a peer has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forget {
    pub(super) what: What,
    /// The last entry that was looked at and is still there; `None` at the start.
    pub(super) after: Option<u32>,
}

/// A digest that a peer came with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// Of its shares, as it says.
    pub(super) digest: Hash,
    /// Its place in the queue.
    pub(super) number: u64,
}
