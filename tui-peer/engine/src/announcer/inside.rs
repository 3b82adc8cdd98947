//! Names of the files inside our folders, as far as the user lets the tracker know them. PURE.
//!
//! After each welcome, and whenever a folder was registered, the tracker is told which folders we could say more about,
//! and answers which it wants; their lists of files are made one after the other by the session, sent, and not kept.
//! Where the user does not want that, names that we told earlier are taken back instead.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::content::Descriptor;
use common::id::ContentId;
use common::inside::may_be_told;
use common::limits::MAX_REGISTER;
use common::wire::Code;
use common::wire::tracker::Request;

use super::requests::Pending;

/// Between two messages of this kind: fewer than the tracker takes of one peer.
const PAUSE: Duration = Duration::from_millis(100);
/// Shortest and longest pause after a refusal for now, whatever the tracker says.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug, Default)]
pub(super) struct Inside {
    /// Whether the user lets the tracker know names.
    pub(super) allowed: bool,
    /// Whether the tracker understands any of this.
    understood: bool,
    /// Folders that are offered, or taken back.
    offer: BTreeSet<ContentId>,
    /// Those whose lists the tracker wants.
    wanted: BTreeSet<ContentId>,
    /// The one whose list is made just now.
    making: Option<ContentId>,
    /// The list that was made.
    made: Option<(ContentId, Vec<u8>)>,
    /// A message of this kind waits for its answer.
    asked: bool,
    /// Nothing of this kind goes out before.
    not_before: Option<Instant>,
}

impl Inside {
    /// A connection begins, or is over.
    pub(super) fn begin(&mut self) {
        *self = Self { allowed: self.allowed, ..Self::default() };
    }

    /// The tracker has let us in, and says whether it understands any of this.
    pub(super) fn welcomed(&mut self, understood: bool) {
        self.understood = understood;
        if !understood {
            self.begin();
        }
    }

    /// This is registered.
    pub(super) fn registered(&mut self, descriptor: &Descriptor) {
        if self.understood && may_be_told(descriptor) {
            self.offer.insert(descriptor.id());
        }
    }

    /// This is shared no longer.
    pub(super) fn removed(&mut self, id: &ContentId) {
        self.offer.remove(id);
        self.wanted.remove(id);
        self.made.take_if(|(made, _)| made == id);
    }

    /// The next message, numbered by `number`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        number: impl FnOnce(Pending) -> u32,
    ) -> Option<Request> {
        if self.asked || !self.has_something() || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        (self.asked, self.not_before) = (true, None);
        if let Some((id, manifest)) = self.made.take() {
            return Some(Request::GiveNames { q: number(Pending::GiveNames(id)), id, manifest });
        }
        let offered = std::iter::from_fn(|| self.offer.pop_first());
        let ids: Vec<ContentId> = offered.take(MAX_REGISTER).collect();
        let q = number(Pending::OfferNames(ids.clone()));
        Some(Request::OfferNames { q, ids, withdraw: !self.allowed })
    }

    fn has_something(&self) -> bool {
        self.made.is_some() || !self.offer.is_empty()
    }

    /// The tracker wants the lists of these, of those that it was offered.
    pub(super) fn wanted(&mut self, ids: Vec<ContentId>, offered: &[ContentId], now: Instant) {
        self.answered(now);
        if self.allowed {
            self.wanted.extend(ids.into_iter().filter(|id| offered.contains(id)));
        }
    }

    /// A message of this kind was answered.
    pub(super) fn answered(&mut self, now: Instant) {
        self.asked = false;
        self.not_before = Some(now + PAUSE);
    }

    /// The tracker refused, for now or for good.
    pub(super) fn refused(&mut self, pending: Pending, code: Code, retry_ms: u32, now: Instant) {
        self.asked = false;
        let asked = Duration::from_millis(u64::from(retry_ms));
        self.not_before = Some(now + asked.clamp(REFUSED.0, REFUSED.1));
        if matches!(code, Code::Rate | Code::Busy | Code::LocalIo | Code::Timeout) {
            match pending {
                Pending::OfferNames(ids) => self.offer.extend(ids),
                Pending::GiveNames(id) => drop(self.wanted.insert(id)),
                _ => {}
            }
        }
    }

    /// A folder whose list is to be made; one at a time.
    pub(super) fn next_to_make(&mut self) -> Option<ContentId> {
        if self.making.is_some() || self.made.is_some() || self.asked {
            return None;
        }
        self.making = self.wanted.pop_first();
        self.making
    }

    /// It was made, or cannot be.
    pub(super) fn made(&mut self, id: ContentId, manifest: Option<Vec<u8>>) {
        if self.making == Some(id) {
            self.making = None;
            self.made = manifest.map(|manifest| (id, manifest));
        }
    }

    /// When the next message may go out that nothing else wakes us for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.asked && self.has_something())
    }
}

#[cfg(test)]
mod tests {
    use common::content::Kind;
    use common::hash::sha256;
    use common::limits::MAX_INSIDE_MANIFEST;

    use super::*;

    fn folder(n: u8) -> Descriptor {
        Descriptor { kind: Kind::Folder, size: 100, root: sha256(&[n]) }
    }

    fn inside(allowed: bool) -> Inside {
        let mut inside = Inside { allowed, ..Inside::default() };
        inside.welcomed(true);
        (0..3).for_each(|n| inside.registered(&folder(n)));
        inside
    }

    fn next(inside: &mut Inside, now: Instant) -> Option<Request> {
        inside.next(now, |_| 7)
    }

    #[test]
    fn a5_only_folders_are_offered_and_only_what_is_wanted_is_made_and_given() {
        let (mut inside, now) = (inside(true), Instant::now());
        inside.registered(&Descriptor { kind: Kind::File, ..folder(8) });
        let long = Descriptor { size: MAX_INSIDE_MANIFEST as u64 + 1, ..folder(9) };
        inside.registered(&long);
        inside.removed(&folder(2).id());
        let Some(Request::OfferNames { ids, withdraw: false, .. }) = next(&mut inside, now) else {
            panic!("no offer");
        };
        let mut want = vec![folder(0).id(), folder(1).id()];
        want.sort();
        assert_eq!(ids, want);
        assert_eq!((next(&mut inside, now), inside.next_to_make()), (None, None), "one at a time");
        // What was never offered is not given.
        inside.wanted(vec![folder(1).id(), folder(2).id()], &ids, now);
        let one = folder(1).id();
        assert_eq!((inside.next_to_make(), inside.next_to_make()), (Some(one), None));
        inside.made(folder(2).id(), Some(vec![9]));
        assert_eq!(next(&mut inside, now + PAUSE), None);
        inside.made(one, Some(vec![1]));
        assert_eq!(next(&mut inside, now), None, "not too fast");
        let later = inside.deadline().unwrap();
        let given = Some(Request::GiveNames { q: 7, id: one, manifest: vec![1] });
        assert_eq!(next(&mut inside, later), given);
        // No time: later, made anew. No room: not again.
        inside.refused(Pending::GiveNames(one), Code::Busy, 0, later);
        assert_eq!(inside.next_to_make(), Some(one));
        inside.made(one, Some(vec![1]));
        assert_eq!(next(&mut inside, later), None);
        let later = inside.deadline().unwrap();
        assert_eq!(next(&mut inside, later), given);
        inside.refused(Pending::GiveNames(one), Code::Limit, 0, later);
        assert_eq!((inside.next_to_make(), inside.deadline()), (None, None));
    }

    #[test]
    fn a5_who_may_not_tell_takes_back_and_an_older_tracker_hears_nothing() {
        let (mut inside, now) = (inside(false), Instant::now());
        let Some(Request::OfferNames { ids, withdraw: true, .. }) = next(&mut inside, now) else {
            panic!("nothing is taken back");
        };
        assert_eq!(ids.len(), 3);
        inside.wanted(ids.clone(), &ids, now);
        assert_eq!(inside.next_to_make(), None);
        inside.begin();
        inside.welcomed(false);
        inside.registered(&folder(1));
        assert_eq!((next(&mut inside, now + PAUSE), inside.deadline()), (None, None));
    }
}
