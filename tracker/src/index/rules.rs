//! What happens to all entries of a peer at once is noted in one place, in no time; each entry catches up when it is
//! next touched, or when the peer's entries are gone through (see `work.rs`). So a peer with a hundred thousand shares
//! comes and goes as fast as any other, and what is asked of one entry meets it as if all had been done at once.

use super::entry::{Entry, Have};

/// Numbered events. What an event means for an entry follows from which of them it has not seen yet; 0 is never.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The last event of all.
    era: u64,
    /// A digest was right: all shares count as whole.
    whole: u64,
    /// A digest was wrong, or the peer has gone: nothing is known of what it has of its shares.
    nothing: u64,
    /// The peer has gone: what it shares not is over.
    soft: u64,
    /// A full list has ended.
    listed: u64,
    /// Shares of any other list are over then.
    generation: u32,
    /// It came, went, or says something else of itself: watchers are told anew.
    told: u64,
}

/// What becomes of an entry that catches up.
#[derive(Debug)]
pub(super) enum Fate {
    Gone,
    Stays {
        /// With this instead of what it had, if there is something.
        have: Option<Have>,
        /// Whether watchers are to be told anew.
        told: bool,
    },
}

impl Rules {
    /// Up to where an entry has caught up that is new or was just touched.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// A digest was compared.
    pub(super) fn judge(&mut self, share_ok: bool) {
        self.era += 1;
        *(if share_ok { &mut self.whole } else { &mut self.nothing }) = self.era;
    }

    /// What the peer said it has is forgotten, but not what it registered.
    pub(super) fn forget_soft_state(&mut self) {
        self.era += 1;
        (self.nothing, self.soft) = (self.era, self.era);
    }

    /// A full list has ended in which shares of this generation were named.
    pub(super) fn end_list(&mut self, generation: u32) {
        self.era += 1;
        (self.listed, self.generation) = (self.era, generation);
    }

    /// It came, went, or says something else of itself.
    pub(super) fn tell(&mut self) {
        self.era += 1;
        self.told = self.era;
    }

    /// What all that an entry has not seen yet makes of it.
    pub(super) fn fate(&self, entry: &Entry) -> Fate {
        let since = entry.era;
        let Some(share) = &entry.share else {
            if self.soft > since {
                return Fate::Gone;
            }
            return Fate::Stays { have: None, told: self.told > since };
        };
        if self.listed > since && share.generation != self.generation {
            return Fate::Gone;
        }
        let have = if self.whole.max(self.nothing) <= since {
            None
        } else if self.whole > self.nothing {
            Some(Have::All)
        } else {
            Some(Have::Nothing)
        };
        let have = have.filter(|have| !entry.have.is(have));
        // As long as it counted as nothing it was no source: who looked then has to hear that it is one again.
        Fate::Stays { have, told: self.told.max(self.nothing) > since }
    }

    /// Whether an entry is what it was, as far as it has still to catch up.
    pub(super) fn leave_alone(&self, entry: &Entry) -> bool {
        entry.era == self.era || matches!(self.fate(entry), Fate::Stays { have: None, .. })
    }
}
