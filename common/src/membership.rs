//! Memberships: what a tracker signs when it admits a peer, checked by other peers without asking it.
//!
//! `bytes ‖ signature`, where `bytes` is the MessagePack array `[1, tracker key, subject key, groups,
//! serial, not before, not after]` with every number as a full u64 and the signature is Ed25519 over
//! `"shoal member/1\0" ‖ bytes`. Full-width numbers give the encoding one length and every membership
//! exactly one encoding, so no general decoder ever runs on it.

use crate::id::{ID_LEN, PeerId};
use crate::identity::{Identity, SIGNATURE_LEN, verify};
use crate::limits::MAX_MEMBERSHIP;

/// How far clocks may disagree, in seconds: what an unsynchronised laptop drifts in months.
pub const MAX_SKEW_SECS: u64 = 10 * 60;
/// A difference of clocks that is worth a word, in seconds: far above what a network adds and what
/// synchronised clocks differ by, far below what [`MAX_SKEW_SECS`] forgives.
pub const CLOCK_GAP_SECS: u64 = 2 * 60;
/// Lifetime that trackers give, in seconds; peers renew at half of it.
pub const LIFETIME_SECS: u64 = 24 * 3600;
/// Longest lifetime that peers accept, in seconds: twice what trackers give, so that a later version may
/// give more, and little enough that nobody stays a member for years.
pub const MAX_LIFETIME_SECS: u64 = 2 * LIFETIME_SECS;
/// Grace for an expired membership while its holder cannot reach the tracker, in seconds: a network does
/// not stop because its tracker is down for a night.
pub const GRACE_SECS: u64 = 24 * 3600;
/// A member of every group.
pub const ALL_GROUPS: u64 = u64::MAX;
/// Length of an encoded membership, in bytes.
pub const ENCODED_LEN: usize = BODY_LEN + SIGNATURE_LEN;

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"shoal member/1\0";
/// MessagePack markers: array of 7, bin 8, uint 64.
const ARRAY_7: u8 = 0x97;
const BIN_8: u8 = 0xc4;
const UINT_64: u8 = 0xcf;
/// Array marker and version, two keys, four numbers.
const BODY_LEN: usize = 2 + 2 * (2 + ID_LEN) + 4 * 9;

const _: () = assert!(ENCODED_LEN <= MAX_MEMBERSHIP);

/// Why a membership does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Not the bytes of a membership.
    #[error("not a membership ({len} bytes)")]
    Malformed {
        /// How many bytes there were.
        len: usize,
    },
    /// Made by a newer program.
    #[error("membership of unknown version {0}")]
    Version(u8),
    /// Another network's.
    #[error("membership of another network (tracker {})", .0.short())]
    WrongTracker(PeerId),
    /// The tracker did not sign these bytes.
    #[error("membership not signed by the tracker it names")]
    BadSignature,
    /// Somebody else's.
    #[error("membership of another peer ({})", .0.short())]
    WrongSubject(PeerId),
    /// Not valid yet, even if clocks disagree.
    #[error("membership is not valid before {not_before} (unix seconds); check the clocks")]
    NotYetValid {
        /// Start of validity, unix seconds.
        not_before: u64,
    },
    /// Not valid any more, and the grace is over.
    #[error("membership expired at {not_after} (unix seconds)")]
    Expired {
        /// End of validity, unix seconds.
        not_after: u64,
    },
    /// Made for longer than [`MAX_LIFETIME_SECS`].
    #[error("membership is made for {secs} s, the most is {MAX_LIFETIME_SECS} s")]
    TooLong {
        /// From the start of its validity to the end.
        secs: u64,
    },
}

/// A membership whose signature and names have been checked: only [`Membership::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    tracker: PeerId,
    subject: PeerId,
    groups: u64,
    serial: u64,
    not_before: u64,
    not_after: u64,
}

impl Membership {
    /// Signs a membership of all groups for `subject`; times in unix seconds.
    pub fn issue(
        tracker: &Identity,
        subject: &PeerId,
        serial: u64,
        not_before: u64,
        not_after: u64,
    ) -> Vec<u8> {
        let member = Self {
            tracker: tracker.peer_id(),
            subject: *subject,
            groups: ALL_GROUPS,
            serial,
            not_before,
            not_after,
        };
        let mut bytes = member.encode();
        let signature = tracker.sign(&[CONTEXT, &bytes].concat());
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// Checks that `tracker` admitted `subject` and that this still holds at `now_unix` (seconds):
    /// [`Self::verify`] and [`Self::holds_at`].
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(
        encoded: &[u8],
        tracker: &PeerId,
        subject: &PeerId,
        now_unix: u64,
        grace_secs: u64,
    ) -> Result<Self, MembershipError> {
        let member = Self::verify(encoded, tracker, subject)?;
        member.holds_at(now_unix, grace_secs)?;
        Ok(member)
    }

    /// Checks that `tracker` admitted `subject`, at whatever time and for no longer than
    /// [`MAX_LIFETIME_SECS`].
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(
        encoded: &[u8],
        tracker: &PeerId,
        subject: &PeerId,
    ) -> Result<Self, MembershipError> {
        let malformed = MembershipError::Malformed { len: encoded.len() };
        if let [ARRAY_7, version, ..] = encoded
            && *version != VERSION
        {
            return Err(MembershipError::Version(*version));
        }
        let (body, signature) = encoded
            .split_last_chunk::<SIGNATURE_LEN>()
            .filter(|(body, _)| body.len() == BODY_LEN)
            .ok_or(malformed)?;
        let member = Self::decode(body).ok_or(malformed)?;
        if member.tracker != *tracker {
            return Err(MembershipError::WrongTracker(member.tracker));
        }
        if !verify(tracker, &[CONTEXT, body].concat(), signature) {
            return Err(MembershipError::BadSignature);
        }
        if member.subject != *subject {
            return Err(MembershipError::WrongSubject(member.subject));
        }
        let secs = member.not_after.saturating_sub(member.not_before);
        if secs > MAX_LIFETIME_SECS {
            return Err(MembershipError::TooLong { secs });
        }
        Ok(member)
    }

    /// Whether it holds at `now_unix` (seconds), by the tracker's clock.
    ///
    /// What is known of that clock may be wrong by [`MAX_SKEW_SECS`] either way. `grace_secs` prolongs an
    /// expired membership: 0 normally, up to [`GRACE_SECS`] while its holder cannot reach the tracker.
    ///
    /// # Errors
    /// [`MembershipError::NotYetValid`] and [`MembershipError::Expired`].
    pub fn holds_at(&self, now_unix: u64, grace_secs: u64) -> Result<(), MembershipError> {
        if now_unix.saturating_add(MAX_SKEW_SECS) < self.not_before {
            return Err(MembershipError::NotYetValid { not_before: self.not_before });
        }
        let end = self.not_after.saturating_add(MAX_SKEW_SECS).saturating_add(grace_secs);
        if now_unix > end {
            return Err(MembershipError::Expired { not_after: self.not_after });
        }
        Ok(())
    }

    /// The tracker that signed.
    pub fn tracker(&self) -> PeerId {
        self.tracker
    }

    /// The peer that was admitted.
    pub fn subject(&self) -> PeerId {
        self.subject
    }

    /// Bit mask of groups.
    pub fn groups(&self) -> u64 {
        self.groups
    }

    /// Number that the tracker may revoke.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Start of validity, unix seconds.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// End of validity, unix seconds.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENCODED_LEN);
        out.extend_from_slice(&[ARRAY_7, VERSION]);
        for key in [&self.tracker, &self.subject] {
            out.extend_from_slice(&[BIN_8, ID_LEN as u8]);
            out.extend_from_slice(key.as_bytes());
        }
        for number in [self.groups, self.serial, self.not_before, self.not_after] {
            out.push(UINT_64);
            out.extend_from_slice(&number.to_be_bytes());
        }
        out
    }

    /// `None` unless `body` is exactly what [`Self::encode`] writes. Says nothing about the signature.
    fn decode(body: &[u8]) -> Option<Self> {
        let mut rest = body.strip_prefix(&[ARRAY_7, VERSION])?;
        let mut key = || {
            let (bytes, after) = rest.strip_prefix(&[BIN_8, ID_LEN as u8])?.split_first_chunk()?;
            rest = after;
            Some(PeerId::from_bytes(*bytes))
        };
        let (tracker, subject) = (key()?, key()?);
        let mut number = || {
            let (bytes, after) = rest.strip_prefix(&[UINT_64])?.split_first_chunk()?;
            rest = after;
            Some(u64::from_be_bytes(*bytes))
        };
        let (groups, serial) = (number()?, number()?);
        let (not_before, not_after) = (number()?, number()?);
        rest.is_empty().then_some(Self { tracker, subject, groups, serial, not_before, not_after })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn people() -> (Identity, PeerId) {
        let subject = Identity::from_seed(&[2; 32]).unwrap().peer_id();
        (Identity::from_seed(&[1; 32]).unwrap(), subject)
    }

    fn sample() -> (Identity, PeerId, Vec<u8>) {
        let (tracker, subject) = people();
        let bytes = Membership::issue(&tracker, &subject, 7, NOW, NOW + LIFETIME_SECS);
        (tracker, subject, bytes)
    }

    #[test]
    fn issued_membership_is_accepted_and_read_back() {
        let (tracker, subject, bytes) = sample();
        assert_eq!(bytes.len(), ENCODED_LEN);
        let member = Membership::check(&bytes, &tracker.peer_id(), &subject, NOW, 0).unwrap();
        assert_eq!(member.tracker(), tracker.peer_id());
        assert_eq!(member.subject(), subject);
        assert_eq!((member.groups(), member.serial()), (ALL_GROUPS, 7));
        assert_eq!((member.not_before(), member.not_after()), (NOW, NOW + LIFETIME_SECS));
    }

    #[test]
    fn encoding_is_plain_message_pack() {
        let (tracker, subject, bytes) = sample();
        type Row = (u8, PeerId, PeerId, u64, u64, u64, u64);
        let row: Row = rmp_serde::from_slice(&bytes[..BODY_LEN]).unwrap();
        let end = NOW + LIFETIME_SECS;
        assert_eq!(row, (1, tracker.peer_id(), subject, ALL_GROUPS, 7, NOW, end));
    }

    #[test]
    fn time_is_checked_with_skew_and_grace() {
        let (tracker, subject, bytes) = sample();
        let check = |now, grace| {
            Membership::check(&bytes, &tracker.peer_id(), &subject, now, grace).map(drop)
        };
        let end = NOW + LIFETIME_SECS;
        let early = Err(MembershipError::NotYetValid { not_before: NOW });
        let late = Err(MembershipError::Expired { not_after: end });
        assert_eq!(check(NOW - MAX_SKEW_SECS, 0), Ok(()));
        assert_eq!(check(NOW - MAX_SKEW_SECS - 1, 0), early);
        assert_eq!(check(0, u64::MAX), early);
        assert_eq!(check(end + MAX_SKEW_SECS, 0), Ok(()));
        assert_eq!(check(end + MAX_SKEW_SECS + 1, 0), late);
        assert_eq!(check(end + MAX_SKEW_SECS + GRACE_SECS, GRACE_SECS), Ok(()));
        assert_eq!(check(end + MAX_SKEW_SECS + GRACE_SECS + 1, GRACE_SECS), late);
        assert_eq!(check(u64::MAX, 0), late);
        assert_eq!(check(u64::MAX, u64::MAX), Ok(()));
    }

    #[test]
    fn s10_a_membership_of_a_hundred_years_is_refused() {
        let (tracker, subject) = people();
        let check = |secs| {
            let bytes = Membership::issue(&tracker, &subject, 7, NOW, NOW + secs);
            Membership::check(&bytes, &tracker.peer_id(), &subject, NOW, GRACE_SECS).map(drop)
        };
        assert_eq!(check(LIFETIME_SECS), Ok(()));
        assert_eq!(check(MAX_LIFETIME_SECS), Ok(()));
        for secs in [MAX_LIFETIME_SECS + 1, 100 * 365 * 86_400] {
            assert_eq!(check(secs), Err(MembershipError::TooLong { secs }));
        }
    }

    #[test]
    fn other_networks_and_other_peers_are_refused() {
        let (tracker, subject, bytes) = sample();
        let other = Identity::from_seed(&[3; 32]).unwrap();
        let foreign = Membership::issue(&other, &subject, 7, NOW, NOW + 1);
        assert_eq!(
            Membership::check(&foreign, &tracker.peer_id(), &subject, NOW, 0),
            Err(MembershipError::WrongTracker(other.peer_id()))
        );
        assert_eq!(
            Membership::check(&bytes, &tracker.peer_id(), &other.peer_id(), NOW, 0),
            Err(MembershipError::WrongSubject(subject))
        );
        // The right tracker's name over somebody else's signature.
        let mut forged = bytes[..BODY_LEN].to_vec();
        forged.extend(other.sign(&[CONTEXT, &forged].concat()));
        assert_eq!(
            Membership::check(&forged, &tracker.peer_id(), &subject, NOW, 0),
            Err(MembershipError::BadSignature)
        );
        // The tracker's own signature over the same bytes, made for something else.
        let mut lifted = bytes[..BODY_LEN].to_vec();
        lifted.extend(tracker.sign(&bytes[..BODY_LEN]));
        assert_eq!(
            Membership::check(&lifted, &tracker.peer_id(), &subject, NOW, 0),
            Err(MembershipError::BadSignature)
        );
    }

    #[test]
    fn wrong_lengths_and_versions_are_told_apart() {
        let (tracker, subject, bytes) = sample();
        let check = |bytes: &[u8]| {
            Membership::check(bytes, &tracker.peer_id(), &subject, NOW, 0).unwrap_err()
        };
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(check(&longer), MembershipError::Malformed { len: ENCODED_LEN + 1 });
        for len in 0..bytes.len() {
            assert_eq!(check(&bytes[..len]), MembershipError::Malformed { len });
        }
        let mut newer = bytes;
        newer[1] = 2;
        assert_eq!(check(&newer), MembershipError::Version(2));
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_noticed(at in 0..ENCODED_LEN, bit in 0..8u8) {
            let (tracker, subject, mut bytes) = sample();
            bytes[at] ^= 1 << bit;
            prop_assert!(
                Membership::check(&bytes, &tracker.peer_id(), &subject, NOW, 0).is_err()
            );
        }

        #[test]
        fn rubbish_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let (tracker, subject) = people();
            prop_assert!(
                Membership::check(&bytes, &tracker.peer_id(), &subject, NOW, 0).is_err()
            );
        }

        #[test]
        fn any_times_are_safe(start: u64, end: u64, now: u64, grace: u64) {
            let (tracker, subject) = people();
            let bytes = Membership::issue(&tracker, &subject, 0, start, end);
            let checked = Membership::check(&bytes, &tracker.peer_id(), &subject, now, grace);
            let is_long = end.saturating_sub(start) > MAX_LIFETIME_SECS;
            if start <= now && now <= end {
                prop_assert_eq!(checked.is_err(), is_long);
            }
        }
    }
}
