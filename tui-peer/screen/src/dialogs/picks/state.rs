//! Lists of standing wishes, from which one can be ended.

use common::id::ContentId;

use crate::field::Field;
use engine::api::command::Command;
use engine::api::snapshot::Snapshot;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickKind {
    /// Peers not talked to.
    Bans,
    /// Names waited for.
    Watches,
}

/// An open list.
#[derive(Debug, Clone)]
pub struct Picks {
    /// Which.
    pub kind: PickKind,
    /// Chosen row.
    pub cursor: usize,
}

impl Picks {
    /// Rows.
    pub fn len(&self, snap: &Snapshot) -> usize {
        match self.kind {
            PickKind::Bans => snap.bans.len(),
            PickKind::Watches => snap.watches.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self, snap: &Snapshot) -> bool {
        self.len(snap) == 0
    }

    /// What ends the chosen one.
    pub fn end(&self, snap: &Snapshot) -> Option<Command> {
        match self.kind {
            PickKind::Bans => {
                let ban = snap.bans.get(self.cursor)?;
                Some(Command::Unban { peer: ban.peer })
            }
            PickKind::Watches => {
                let words = snap.watches.get(self.cursor)?.to_string();
                Some(Command::WatchFor { words, on: false })
            }
        }
    }
}

/// The limits of one content being typed.
#[derive(Debug, Clone)]
pub struct LimitOne {
    /// Which content.
    pub id: ContentId,
    /// Its name.
    pub name: String,
    /// Whether it is still coming in.
    pub downloading: bool,
    /// Most that comes in of it, being typed.
    pub down: Field,
    /// Most that goes out of it, being typed.
    pub up: Field,
    /// Whether the keys go to `up`.
    pub at_up: bool,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl LimitOne {
    /// The field with the keys.
    pub fn field(&mut self) -> &mut Field {
        if self.at_up { &mut self.up } else { &mut self.down }
    }
}
