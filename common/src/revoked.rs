//! Keys that a tracker lets in no more, by its signed word: peers keep the list, and talk to nobody on it, whatever
//! membership that one still has.
//!
//! `body ‖ signature`, where `body` is version, tracker key, serial and number of keys (1, 32, 8 and 2 bytes), then each key
//! (32 bytes) in ascending order; numbers are big-endian. The signature is Ed25519 over `"shoal revoked/1\0" ‖ body`. Each
//! list has exactly one encoding. A list replaces the one before: of two the one with the higher serial counts.

use crate::id::{ID_LEN, PeerId};
use crate::identity::{Identity, SIGNATURE_LEN};
use crate::limits::MAX_REVOKED;
use crate::membership::{GRACE_SECS, LIFETIME_SECS, MAX_SKEW_SECS};
use crate::numbers::saturate;
use crate::signed::{ListError, open, seal};

/// How long a key stands on the list, in seconds: whatever membership it had has ended by then, everywhere.
pub const LISTED_SECS: u64 = LIFETIME_SECS + GRACE_SECS + 2 * MAX_SKEW_SECS;
/// Longest list in bytes.
pub const MAX_REVOKED_LEN: usize = HEAD_LEN + MAX_REVOKED * ID_LEN + SIGNATURE_LEN;

const CONTEXT: &[u8] = b"shoal revoked/1\0";
const VERSION: u8 = 1;
/// Version, key, serial, number of keys.
const HEAD_LEN: usize = 1 + ID_LEN + 8 + 2;

/// A list whose signature has been checked: only [`Revoked::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    serial: u64,
    /// In ascending order.
    keys: Vec<PeerId>,
}

impl Revoked {
    /// Signs a list; of more keys than [`MAX_REVOKED`] the first count. `serial` is higher than that of all before.
    pub fn issue(
        tracker: &Identity,
        serial: u64,
        keys: impl IntoIterator<Item = PeerId>,
    ) -> Vec<u8> {
        let mut keys: Vec<PeerId> = keys.into_iter().take(MAX_REVOKED).collect();
        keys.sort_unstable();
        keys.dedup();
        seal(tracker, CONTEXT, encode(&tracker.peer_id(), serial, &keys))
    }

    /// Checks that it is `tracker`'s.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(encoded: &[u8], tracker: &PeerId) -> Result<Self, ListError> {
        open(encoded, (tracker, CONTEXT), MAX_REVOKED_LEN, decode)
    }

    /// The higher one counts.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether a key is on it.
    pub fn has(&self, key: &PeerId) -> bool {
        self.keys.binary_search(key).is_ok()
    }

    /// All of them, in ascending order.
    pub fn keys(&self) -> &[PeerId] {
        &self.keys
    }
}

fn encode(tracker: &PeerId, serial: u64, keys: &[PeerId]) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(tracker.as_bytes());
    out.extend_from_slice(&serial.to_be_bytes());
    out.extend_from_slice(&saturate::<u16>(keys.len()).to_be_bytes());
    keys.iter().for_each(|key| out.extend_from_slice(key.as_bytes()));
    out
}

/// `None` unless `body` is exactly what [`encode`] writes. Says nothing about the signature.
fn decode(body: &[u8]) -> Option<(PeerId, Revoked)> {
    let (&VERSION, rest) = body.split_first()? else { return None };
    let (tracker, rest) = rest.split_first_chunk::<ID_LEN>()?;
    let (serial, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (keys, tail) = rest.as_chunks::<ID_LEN>();
    let keys: Vec<PeerId> = keys.iter().map(|key| PeerId::from_bytes(*key)).collect();
    let fits = tail.is_empty() && keys.len() == usize::from(u16::from_be_bytes(*count));
    let is_list = fits && keys.len() <= MAX_REVOKED && keys.is_sorted_by(|a, b| a < b);
    let list = Revoked { serial: u64::from_be_bytes(*serial), keys };
    is_list.then(|| (PeerId::from_bytes(*tracker), list))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> PeerId {
        PeerId::from_bytes([n; ID_LEN])
    }

    #[test]
    fn a_list_is_read_as_it_was_signed_and_bounded() {
        let tracker = Identity::generate().unwrap();
        let bytes = Revoked::issue(&tracker, 7, [key(9), key(3), key(9)]);
        let list = Revoked::verify(&bytes, &tracker.peer_id()).unwrap();
        assert_eq!((list.serial(), list.keys()), (7, &[key(3), key(9)][..]));
        assert!(list.has(&key(3)) && !list.has(&key(4)));
        assert_eq!(bytes.len(), HEAD_LEN + 2 * ID_LEN + SIGNATURE_LEN);
        let empty = Revoked::issue(&tracker, 8, []);
        assert!(Revoked::verify(&empty, &tracker.peer_id()).unwrap().keys().is_empty());
        let many = (0..2000u16).map(|n| {
            let mut bytes = [0; ID_LEN];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            PeerId::from_bytes(bytes)
        });
        let bytes = Revoked::issue(&tracker, 9, many);
        assert_eq!(bytes.len(), MAX_REVOKED_LEN);
        assert_eq!(Revoked::verify(&bytes, &tracker.peer_id()).unwrap().keys().len(), MAX_REVOKED);
    }

    #[test]
    fn a_list_of_another_tracker_or_with_a_changed_bit_does_not_count() {
        let (tracker, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let bytes = Revoked::issue(&tracker, 7, [key(1), key(2)]);
        let of_other = Revoked::verify(&bytes, &other.peer_id());
        assert_eq!(of_other, Err(ListError::WrongTracker(tracker.peer_id())));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Revoked::verify(&changed, &tracker.peer_id()).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Revoked::verify(&bytes[..cut], &tracker.peer_id()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(version in 0u8..3, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut whole = vec![version];
            whole.extend(&bytes);
            if let Some((key, list)) = decode(&whole) {
                prop_assert_eq!(encode(&key, list.serial, &list.keys), whole);
            }
        }
    }
}
