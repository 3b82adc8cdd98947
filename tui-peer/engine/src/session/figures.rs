//! Numbers for those who watch from outside.

use std::collections::BTreeMap;

use super::Session;
use crate::api::figures::{Figures, Volume};

impl Session {
    /// All of them, now. Costs next to nothing: whoever asks every second holds nobody up.
    pub(super) fn figures(&self) -> Figures {
        let (received, sent) = self.ours.traffic.get();
        // Rooms come in no order: a volume keeps its name only if the choice does not depend on that.
        let mut volumes = BTreeMap::new();
        for (dir, room) in self.storage.rooms.all() {
            let volume = || Volume { dir: dir.to_owned(), free: room.space.free };
            let known = volumes.entry(room.volume()).or_insert_with(volume);
            if *dir < *known.dir {
                *known = volume();
            }
        }
        Figures {
            uptime: self.core.uptime(),
            received,
            sent,
            connections: self.conns.values().filter(|conn| conn.greeted).count(),
            volumes: volumes.into_values().collect(),
            writes_waiting: self.ours.disk.writes_waiting(),
            errors: self.counters.errors,
        }
    }
}
