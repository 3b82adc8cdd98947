//! Keys that the tracker lets in no more: nobody talks to them, whatever membership they still show.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use common::clock::unix_ms;
use common::id::PeerId;
use common::join::JoinString;
use common::revoked::{LISTED_SECS, MAX_REVOKED_LEN, Revoked};

use super::Session;
use crate::api::event::{Level, Target};
use crate::host;

/// The signed list of the network that was joined last, in the state folder.
const REVOKED_FILE: &str = "network.revoked";
/// A list that is so far ahead of the tracker's clock was made while that was wrong: any other takes its place.
const DAY_MS: u64 = 24 * 3600 * 1000;
const LISTED_MS: u64 = LISTED_SECS * 1000;

/// Whether `told` takes the place of the list that is known, at this time by the tracker's clock, in milliseconds since
/// 1970.
fn counts(told: u64, known: Option<u64>, now_ms: u64) -> bool {
    known.is_none_or(|known| told > known || known > now_ms.saturating_add(DAY_MS))
}

/// The list that was kept of the network of `join`.
fn kept(state_dir: &Path, join: &JoinString) -> Option<Revoked> {
    let mut bytes = Vec::new();
    let file = File::open(state_dir.join(REVOKED_FILE)).ok()?;
    file.take(MAX_REVOKED_LEN as u64 + 1).read_to_end(&mut bytes).ok()?;
    Revoked::verify(&bytes, &join.tracker()).ok()
}

impl Session {
    /// Another network is joined, or the same again: whom that one's tracker revoked, as far as we were told.
    pub(super) fn recall_revoked(&mut self, join: &JoinString) {
        let list = kept(&self.config.state_dir, join);
        self.revoke(list);
    }

    /// The tracker told its list.
    pub(super) fn on_revoked(&mut self, signed: &[u8]) {
        let Some(tracker) = self.net.join.as_ref().map(JoinString::tracker) else { return };
        let list = match Revoked::verify(signed, &tracker) {
            Ok(list) => list,
            Err(error) => {
                return self.log(Level::Warn, Target::Track, format!("the tracker sent {error}"));
            }
        };
        let known = self.net.revoked.as_ref();
        if !counts(list.serial(), known.map(Revoked::serial), self.net.told_ms) {
            return;
        }
        // With the same keys it is not worth a visit to the disk.
        let is_other = known.map_or(&[][..], Revoked::keys) != list.keys();
        if is_other && self.config.remember {
            let path = self.config.state_dir.join(REVOKED_FILE);
            if let Err(error) = host::write_private(&path, signed) {
                let text = format!(
                    "could not keep whom the tracker revoked in {}: {error}",
                    path.display()
                );
                self.log(Level::Warn, Target::Track, text);
            }
        }
        self.revoke(Some(list));
    }

    /// The tracker's clock said so: a list that is older than any membership of then is of no use any more. Only a tracker
    /// that says nothing of such keys leaves it so long.
    pub(super) fn end_revoked(&mut self) {
        let is_over = |list: &Revoked| list.serial().saturating_add(LISTED_MS) < self.net.told_ms;
        if self.net.revoked.as_ref().is_some_and(is_over) {
            self.revoke(None);
        }
    }

    fn revoke(&mut self, list: Option<Revoked>) {
        let me = self.core.me();
        let keys = list.iter().flat_map(|list| list.keys().iter().copied());
        let keys: BTreeSet<PeerId> = keys.filter(|key| *key != me).collect();
        self.net.revoked = list;
        self.ban_revoked(keys);
    }
}

/// Now, for a network of which no clock is known yet.
pub(super) fn here_ms() -> u64 {
    unix_ms(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_list_counts_unless_the_known_one_is_of_a_wrong_clock() {
        let now = 1_800_000_000_000;
        assert!(counts(1, None, now));
        assert!(counts(now, Some(now - 1), now) && !counts(now, Some(now), now));
        assert!(!counts(now - 1, Some(now), now), "an old one, sent again");
        assert!(counts(now, Some(now + DAY_MS + 1), now));
    }
}
