//! Who has what: the list of peers, of which the engine says only the rows on the screen and around it.

use crate::model::List;
use engine::api::snapshot::{HolderRow, Holders};

/// The view of who has what.
#[derive(Debug, Clone, Default)]
pub struct Swarm {
    /// Whether it is open.
    pub open: bool,
    /// Its rows, as places in the engine's order.
    pub list: List,
}

impl Swarm {
    /// Row `at`, if the engine has said it.
    pub fn at<'a>(&self, holders: &'a Holders, at: usize) -> Option<&'a HolderRow> {
        let first = usize::try_from(holders.request.first).ok()?;
        holders.rows.get(at.checked_sub(first)?)
    }

    /// The row under the cursor.
    pub fn row<'a>(&self, holders: &'a Holders) -> Option<&'a HolderRow> {
        self.at(holders, self.list.cursor)
    }
}
