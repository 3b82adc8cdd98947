//! What the user wishes beyond having a content: how important it is, in which order it comes, how
//! fast it may be; and whom not to talk to.

/// Weight of a content that nobody raised or lowered.
pub const NORMAL_WEIGHT: u32 = 4;

/// Wishes for one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Its part of what is asked for at once, against the weights of the others; at least 1.
    pub weight: u32,
    /// Chunks in order instead of rarest first.
    pub sequential: bool,
    /// Payload bytes per second that may come in; `None` is no limit.
    pub down: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { weight: NORMAL_WEIGHT, sequential: false, down: None }
    }
}
