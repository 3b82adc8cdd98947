//! What there is among our transfers.

use crate::labels;
use engine::api::command::Priority;
use engine::api::snapshot::{Rows, Transfer};

/// What at least one of our transfers is; found out once for every change of them, not for every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// There are any.
    pub any: bool,
    /// A download that has not ended.
    pub unfinished: bool,
    /// One that somebody has to do something about.
    pub wrong: bool,
    /// A download of another priority than the usual one.
    pub weighed: bool,
}

impl Held {
    /// Looks at all of them.
    pub fn of(transfers: &Rows<Transfer>) -> Self {
        let mut held = Self { any: !transfers.is_empty(), ..Self::default() };
        for transfer in transfers {
            let unfinished = transfer.is_unfinished();
            held.unfinished |= unfinished;
            held.wrong |= labels::is_wrong(transfer);
            held.weighed |= unfinished && transfer.plan.priority != Priority::Normal;
        }
        held
    }
}
