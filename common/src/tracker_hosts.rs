//! Where a tracker is, by its own signed word: what peers remember, so that it can move, or another can stand in for it.
//!
//! `body ‖ signature`, where `body` is version, tracker key, serial and number of hosts (1, 32, 8 and 1 bytes), then for
//! each host its length (1 byte), itself and its port (2 bytes); numbers are big-endian. The signature is Ed25519 over
//! `"shoal tracker hosts/1\0" ‖ body`. Each list has exactly one encoding. In version 1 all hosts are addresses of one
//! tracker, in version 2 each is one of its own with the same key, in the order in which peers are to look for them; who
//! knows version 1 alone skips such a list.

use crate::id::{ID_LEN, PeerId};
use crate::identity::{Identity, SIGNATURE_LEN};
use crate::join::{JoinString, MAX_HOSTS};
use crate::limits::MAX_TRACKER_HOSTS;
use crate::numbers::saturate;
use crate::signed::{ListError, open, seal};

const CONTEXT: &[u8] = b"shoal tracker hosts/1\0";

/// What the hosts of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Addresses of one tracker, best first.
    Addresses,
    /// Trackers with one key: each is only tried when those before it are out of reach.
    Trackers,
}

impl Listed {
    fn version(self) -> u8 {
        match self {
            Self::Addresses => 1,
            Self::Trackers => 2,
        }
    }
}

/// A list whose signature has been checked: only [`TrackerHosts::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerHosts {
    serial: u64,
    listed: Listed,
    hosts: Vec<(String, u16)>,
}

impl TrackerHosts {
    /// Signs a list. `serial` is higher than that of all before. Hosts that no join string could have are left out, and
    /// what is more than there is room for.
    pub fn issue(
        tracker: &Identity,
        serial: u64,
        listed: Listed,
        hosts: &[(String, u16)],
    ) -> Vec<u8> {
        let mut taken: Vec<(String, u16)> = Vec::new();
        let mut room = MAX_TRACKER_HOSTS - SIGNATURE_LEN - HEAD_LEN;
        for (host, port) in hosts {
            let Ok(join) = JoinString::new(tracker.peer_id(), host, *port, None) else { continue };
            let entry = (join.host().to_owned(), join.port());
            let length = entry.0.len() + 3;
            if length <= room && taken.len() < MAX_HOSTS && !taken.contains(&entry) {
                room -= length;
                taken.push(entry);
            }
        }
        seal(tracker, CONTEXT, encode(&tracker.peer_id(), serial, listed, &taken))
    }

    /// Checks that it is `tracker`'s.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(encoded: &[u8], tracker: &PeerId) -> Result<Self, ListError> {
        open(encoded, (tracker, CONTEXT), MAX_TRACKER_HOSTS, decode)
    }

    /// The higher one counts.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What the hosts are.
    pub fn listed(&self) -> Listed {
        self.listed
    }

    /// Names or addresses with their ports, best first, as a join string has them.
    pub fn hosts(&self) -> &[(String, u16)] {
        &self.hosts
    }

    /// `join`, as it is to be given to others now that the tracker names these hosts: trackers in the order of the list; an
    /// address of the join string first only if the list still has one of them. Nothing of the join string is lost but
    /// what there is no room for ([`MAX_HOSTS`]).
    #[must_use]
    pub fn lead(&self, join: &JoinString) -> JoinString {
        let told = || self.hosts.iter().map(|(host, port)| (host.as_str(), *port));
        let Some((host, port)) = told().next() else { return join.clone() };
        let Ok(led) = JoinString::new(join.tracker(), host, port, join.secret().cloned()) else {
            return join.clone();
        };
        match self.listed {
            Listed::Trackers => {
                led.with_standbys(told().chain(join.addresses()).chain(join.standbys()))
            }
            Listed::Addresses if join.addresses().any(|own| told().any(|host| host == own)) => {
                join.clone().with_more(told())
            }
            Listed::Addresses => {
                led.with_more(told().chain(join.addresses())).with_standbys(join.standbys())
            }
        }
    }
}

/// Version, key, serial, number of hosts.
const HEAD_LEN: usize = 1 + ID_LEN + 8 + 1;

fn encode(tracker: &PeerId, serial: u64, listed: Listed, hosts: &[(String, u16)]) -> Vec<u8> {
    let mut out = vec![listed.version()];
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
    let (version, rest) = body.split_first()?;
    let listed = [Listed::Addresses, Listed::Trackers];
    let listed = listed.into_iter().find(|listed| listed.version() == *version)?;
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
    is_whole.then_some((key, TrackerHosts { serial: u64::from_be_bytes(*serial), listed, hosts }))
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
        let bytes = TrackerHosts::issue(&tracker, 7, Listed::Addresses, &all);
        let list = TrackerHosts::verify(&bytes, &tracker.peer_id()).unwrap();
        assert_eq!(list.serial(), 7);
        assert_eq!(list.hosts(), hosts(&[("tracker.lab", 7420), ("2001:db8::1", 443)]));
        assert_eq!(list.listed(), Listed::Addresses);
        let bytes = TrackerHosts::issue(&tracker, 7, Listed::Trackers, &all);
        let trackers = TrackerHosts::verify(&bytes, &tracker.peer_id()).unwrap();
        assert_eq!((trackers.listed(), trackers.hosts()), (Listed::Trackers, list.hosts()));
        let mut passed_off = bytes.clone();
        passed_off[0] = 1;
        let refused = TrackerHosts::verify(&passed_off, &tracker.peer_id());
        assert_eq!(refused, Err(ListError::BadSignature), "not as a list of the other kind");
        let long: Vec<_> = (1..=20).map(|n| (vec!["a".repeat(60); 4].join("."), n)).collect();
        let bytes = TrackerHosts::issue(&tracker, 7, Listed::Addresses, &long);
        assert!(bytes.len() <= MAX_TRACKER_HOSTS);
        let most = TrackerHosts::verify(&bytes, &tracker.peer_id()).unwrap();
        assert!((2..=MAX_HOSTS).contains(&most.hosts().len()));
    }

    #[test]
    fn links_of_a_tracker_that_moved_lead_to_where_it_is_now() {
        let tracker = Identity::generate().unwrap();
        let lead = |listed, told: &[&str], join: &str| {
            let told: Vec<_> = told.iter().map(|host| ((*host).to_owned(), 7420)).collect();
            let signed = TrackerHosts::issue(&tracker, 7, listed, &told);
            let list = TrackerHosts::verify(&signed, &tracker.peer_id()).unwrap();
            let key = tracker.peer_id();
            let join: JoinString = format!("shoal://{key}@{join}").parse().unwrap();
            let led = list.lead(&join);
            assert_eq!((led.tracker(), led.secret()), (key, join.secret()));
            led.to_string().replace(&format!("shoal://{key}@"), "").replace(":7420", "")
        };
        for (listed, told, join, wanted) in [
            (Listed::Addresses, &["new"] as &[&str], "old:7420", "new?h=old"),
            (Listed::Addresses, &["new", "more"], "old:7420,b:7420", "new,b?h=more,old"),
            (Listed::Addresses, &["10.0.0.1", "name"], "name:7420", "name?h=10.0.0.1"),
            (
                Listed::Addresses,
                &[],
                "old:7420?secret=horsehorsehorse16",
                "old?secret=horsehorsehorse16",
            ),
            (
                Listed::Trackers,
                &["a", "b"],
                "b:7420?secret=horsehorsehorse16",
                "a,b?secret=horsehorsehorse16",
            ),
            (Listed::Trackers, &["a", "b"], "a:7420,x:7420", "a,b,x"),
        ] {
            assert_eq!(lead(listed, told, join), wanted, "{told:?} {join}");
        }
    }

    #[test]
    fn a_list_of_another_tracker_or_with_a_changed_bit_does_not_count() {
        let (tracker, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let bytes =
            TrackerHosts::issue(&tracker, 7, Listed::Addresses, &hosts(&[("tracker.lab", 7420)]));
        let of_other = TrackerHosts::verify(&bytes, &other.peer_id());
        assert_eq!(of_other, Err(ListError::WrongTracker(tracker.peer_id())));
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
        fn any_bytes_are_read_or_refused(version in 0u8..4, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut whole = vec![version];
            whole.extend(&bytes);
            if let Some((key, list)) = decode(&whole) {
                prop_assert_eq!(encode(&key, list.serial, list.listed, &list.hosts), whole);
            }
        }
    }
}
