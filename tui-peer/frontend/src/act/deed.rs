//! A verb with what it needs.

use std::time::Duration;

use engine::api::command::{Priority, Reorder};

/// What is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To be done to each of these contents (name, id, path, or all).
    On(Deed, Vec<String>),
    /// Limits of the whole peer.
    Limits(Rates),
    /// Not to talk to these peers, for ever or for so long.
    Ban(Vec<String>, Option<Duration>),
    /// To talk to these again.
    Unban(Vec<String>),
    /// To leave the network.
    Leave,
    /// To come back.
    Rejoin,
    /// To serve others, or not.
    Serve(bool),
    /// To talk to the tracker now.
    Announce,
}

/// What is done to a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Stop fetching.
    Pause,
    /// Go on.
    Resume,
    /// So important.
    Prioritize(Priority),
    /// Another place in the queue.
    Move(Reorder),
    /// Whether chunks come in order.
    InOrder(bool),
    /// Limits of it alone.
    Limit(Rates),
    /// Share the folder as it is now.
    Rescan,
    /// Take it out of the list.
    Remove {
        /// With what was fetched of it.
        data: bool,
        /// Also if it is finished.
        yes: bool,
    },
}

/// Limits in bytes per second. `None` leaves one as it is, `Some(None)` lifts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// For what goes out.
    pub up: Option<Option<u64>>,
    /// For what comes in.
    pub down: Option<Option<u64>>,
}
