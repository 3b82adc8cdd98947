//! Where a tracker is, by its own signed word: what peers remember, so that it can move.
//!
//! `body ‖ signature`, where `body` is version, tracker key, serial and number of hosts (1, 32, 8 and 1 bytes), then for
//! each host its length (1 byte), itself and its port (2 bytes); numbers are big-endian. The signature is Ed25519 over
//! `"shoal tracker hosts/1\0" ‖ body`. Each list has exactly one encoding.

use crate::id::{ID_LEN, PeerId};
use crate::identity::{Identity, SIGNATURE_LEN, verify};
use crate::join::{JoinString, MAX_HOSTS};
use crate::limits::MAX_TRACKER_HOSTS;
use crate::numbers::saturate;

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"shoal tracker hosts/1\0";

/// Why a list does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Not the bytes of a list, or of a newer version.
    #[error("not a list of a tracker's hosts ({len} bytes)")]
    Malformed {
        /// How many bytes there were.
        len: usize,
    },
    /// Another network's.
    #[error("a list of another tracker ({})", .0.short())]
    WrongTracker(PeerId),
    /// The tracker did not sign these bytes.
    #[error("a list that is not signed by the tracker it names")]
    BadSignature,
}

/// A list whose signature has been checked: only [`TrackerHosts::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerHosts {
    serial: u64,
    hosts: Vec<(String, u16)>,
}

impl TrackerHosts {
    /// Signs a list. `serial` is higher than that of all before. Hosts that no join string could have are left out, and
    /// what is more than there is room for.
    pub fn issue(tracker: &Identity, serial: u64, hosts: &[(String, u16)]) -> Vec<u8> {
        let mut listed: Vec<(String, u16)> = Vec::new();
        let mut room = MAX_TRACKER_HOSTS - SIGNATURE_LEN - HEAD_LEN;
        for (host, port) in hosts {
            let Ok(join) = JoinString::new(tracker.peer_id(), host, *port, None) else { continue };
            let entry = (join.host().to_owned(), join.port());
            let length = entry.0.len() + 3;
            if length <= room && listed.len() < MAX_HOSTS && !listed.contains(&entry) {
                room -= length;
                listed.push(entry);
            }
        }
        let mut bytes = encode(&tracker.peer_id(), serial, &listed);
        let signature = tracker.sign(&[CONTEXT, &bytes].concat());
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// Checks that it is `tracker`'s.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(encoded: &[u8], tracker: &PeerId) -> Result<Self, HostsError> {
        let malformed = HostsError::Malformed { len: encoded.len() };
        let (body, signature) = encoded
            .split_last_chunk::<SIGNATURE_LEN>()
            .filter(|_| encoded.len() <= MAX_TRACKER_HOSTS)
            .ok_or(malformed)?;
        let (key, list) = decode(body).ok_or(malformed)?;
        if key != *tracker {
            return Err(HostsError::WrongTracker(key));
        }
        if !verify(tracker, &[CONTEXT, body].concat(), signature) {
            return Err(HostsError::BadSignature);
        }
        Ok(list)
    }

    /// The higher one counts.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// `join` with those of these hosts that it has not; `None` if it has all.
    pub fn instead(&self, join: &JoinString) -> Option<JoinString> {
        let listed = self.hosts.iter().map(|(host, port)| (host.as_str(), *port));
        let mut others = listed.filter(|other| !join.hosts().any(|own| own == *other));
        let (host, port) = others.next()?;
        let other = JoinString::new(join.tracker(), host, port, join.secret().cloned()).ok()?;
        Some(other.with_more(others))
    }

    /// Names or addresses with their ports, best first, as a join string has them.
    pub fn hosts(&self) -> &[(String, u16)] {
        &self.hosts
    }
}

/// Version, key, serial, number of hosts.
const HEAD_LEN: usize = 1 + ID_LEN + 8 + 1;

fn encode(tracker: &PeerId, serial: u64, hosts: &[(String, u16)]) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(tracker.as_bytes());
    out.extend_from_slice(&serial.to_be_bytes());
    out.push(saturate::<u8>(hosts.len()));
    for (host, port) in hosts {
        out.push(saturate::<u8>(host.len()));
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(&port.to_be_bytes());
    }
    out
}

/// `None` unless `body` is exactly what [`encode`] writes of hosts that a join string can have. Says nothing about the
/// signature.
fn decode(body: &[u8]) -> Option<(PeerId, TrackerHosts)> {
    let rest = body.strip_prefix(&[VERSION])?;
    let (key, rest) = rest.split_first_chunk::<ID_LEN>()?;
    let (serial, rest) = rest.split_first_chunk::<8>()?;
    let (count, mut rest) = rest.split_first()?;
    let key = PeerId::from_bytes(*key);
    let mut hosts = Vec::new();
    for _ in 0..*count {
        let (length, after) = rest.split_first()?;
        let (host, after) = after.split_at_checked(usize::from(*length))?;
        let (port, after) = after.split_first_chunk::<2>()?;
        let (host, port) = (std::str::from_utf8(host).ok()?, u16::from_be_bytes(*port));
        let join = JoinString::new(key, host, port, None).ok()?;
        if join.host() != host {
            return None;
        }
        hosts.push((host.to_owned(), port));
        rest = after;
    }
    let is_whole = rest.is_empty() && hosts.len() <= MAX_HOSTS;
    is_whole.then_some((key, TrackerHosts { serial: u64::from_be_bytes(*serial), hosts }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(list: &[(&str, u16)]) -> Vec<(String, u16)> {
        list.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect()
    }

    #[test]
    fn a_list_is_read_as_it_was_signed_and_bounded() {
        let tracker = Identity::generate().unwrap();
        let all = hosts(&[
            ("Tracker.Lab", 7420),
            ("2001:db8::1", 443),
            ("tracker.lab", 7420),
            ("no host", 1),
            ("10.0.0.1", 0),
        ]);
        let bytes = TrackerHosts::issue(&tracker, 7, &all);
        let list = TrackerHosts::verify(&bytes, &tracker.peer_id()).unwrap();
        assert_eq!(list.serial(), 7);
        assert_eq!(list.hosts(), hosts(&[("tracker.lab", 7420), ("2001:db8::1", 443)]));
        let join = |host, port| JoinString::new(tracker.peer_id(), host, port, None).unwrap();
        let other = list.instead(&join("tracker.lab", 7420)).unwrap();
        assert_eq!(other.hosts().collect::<Vec<_>>(), [("2001:db8::1", 443)]);
        let both = join("2001:db8::1", 443).with_more([("tracker.lab", 7420)]);
        assert_eq!(list.instead(&both), None, "nothing is tried twice");
        let long: Vec<_> = (1..=20).map(|n| (vec!["a".repeat(60); 4].join("."), n)).collect();
        let bytes = TrackerHosts::issue(&tracker, 7, &long);
        assert!(bytes.len() <= MAX_TRACKER_HOSTS);
        let most = TrackerHosts::verify(&bytes, &tracker.peer_id()).unwrap();
        assert!((2..=MAX_HOSTS).contains(&most.hosts().len()));
    }

    #[test]
    fn a_list_of_another_tracker_or_with_a_changed_bit_does_not_count() {
        let (tracker, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let bytes = TrackerHosts::issue(&tracker, 7, &hosts(&[("tracker.lab", 7420)]));
        let of_other = TrackerHosts::verify(&bytes, &other.peer_id());
        assert_eq!(of_other, Err(HostsError::WrongTracker(tracker.peer_id())));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(TrackerHosts::verify(&changed, &tracker.peer_id()).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(TrackerHosts::verify(&bytes[..cut], &tracker.peer_id()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut whole = vec![VERSION];
            whole.extend(&bytes);
            if let Some((key, list)) = decode(&whole) {
                prop_assert_eq!(encode(&key, list.serial, &list.hosts), whole);
            }
        }
    }
}
