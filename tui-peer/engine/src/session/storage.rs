//! Where downloads lie: the room there, what is on its way to another folder, copied or to be deleted, and what earlier
//! runs left.

use std::collections::BTreeMap;
use std::time::Instant;

use super::copies::Copies;
use super::delete::Deletions;
use super::free_space::Rooms;
use super::moves::Moves;
use super::orphans::Orphans;
use super::path_lookups::ChosenFolders;
use super::undo::Removals;

/// See the module. Each part is private to the file that it is of.
pub(super) struct Storage {
    pub(super) rooms: Rooms,
    pub(super) chosen: ChosenFolders,
    pub(super) moves: Moves,
    pub(super) copies: Copies,
    /// Downloads that can be taken back.
    pub(super) removals: Removals,
    /// Finished downloads being deleted at the user's word.
    pub(super) deletions: Deletions,
    pub(super) orphans: Orphans,
}

impl Storage {
    /// From the library's settings.
    pub(super) fn load(settings: &BTreeMap<String, String>, now: Instant) -> Self {
        Self {
            rooms: Rooms::default(),
            chosen: ChosenFolders::default(),
            moves: Moves::load(settings),
            copies: Copies::default(),
            removals: Removals::default(),
            deletions: Deletions::default(),
            orphans: Orphans::load(settings, now),
        }
    }

    /// When there is something to do even if nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = self.orphans.due().into_iter().chain(self.removals.due());
        due.chain(self.copies.due()).chain(self.moves.due()).min()
    }
}
