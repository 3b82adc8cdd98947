//! Sources that cannot be reached: each is told once for each cause.

use std::collections::HashSet;
use std::time::Instant;

use common::id::{ContentId, PeerId};

use super::output::Output;
use engine::api::event::{Event, What};
use engine::api::snapshot::{Rows, Transfer};

/// What was told, and what the engine said by itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    programs: HashSet<(ContentId, PeerId, String)>,
    people: HashSet<(ContentId, PeerId, String)>,
    said: HashSet<(ContentId, PeerId)>,
}

impl Told {
    /// The engine says something; perhaps just this.
    pub(super) fn hear(&mut self, event: &Event) {
        if let What::Unreached { id, peer } = &event.what {
            self.said.insert((*id, *peer));
        }
    }

    /// Tells programs what is new about a download.
    pub(super) fn programs(&mut self, transfer: &Transfer, out: &mut Output) {
        for source in &transfer.unreached {
            if self.programs.insert((transfer.id, source.peer, source.why.clone())) {
                out.unreachable(transfer, source);
            }
        }
    }

    /// Tells people too, unless the engine does: one that was at it before says it only once.
    pub(super) fn people(&mut self, transfer: &Transfer, out: &Output) {
        for source in &transfer.unreached {
            let news = self.people.insert((transfer.id, source.peer, source.why.clone()));
            // To somebody at a terminal the engine says only what went wrong.
            let said = self.said.contains(&(transfer.id, source.peer)) && !out.is_told();
            if news && !said {
                out.always(&source.words(&transfer.name, Instant::now()));
            }
        }
    }

    /// Forgets what is no longer downloaded.
    pub(super) fn retain(&mut self, transfers: &Rows<Transfer>) {
        self.programs.retain(|(id, ..)| transfers.iter().any(|transfer| transfer.id == *id));
    }
}
