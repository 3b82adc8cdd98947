//! Which addresses are on this machine's own links.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::numbers::saturate;

use super::fresh::Fresh;

/// Fewer leading bits than these are no link but most of the Internet: an interface that claims them
/// (a tunnel, a mistake) exempts nobody.
const MIN_V4_BITS: u8 = 8;
const MIN_V6_BITS: u8 = 32;

/// Addresses with the same leading bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    v6: bool,
    /// Left-aligned; the bits behind the prefix are zero.
    bits: u128,
    len: u8,
}

impl Prefix {
    /// The addresses that share their first `len` bits with `ip`; a longer `len` than the address has
    /// bits means the address alone.
    pub fn new(ip: IpAddr, len: u8) -> Self {
        let (v6, bits) = left_aligned(ip);
        let len = len.min(if v6 { 128 } else { 32 });
        Self { v6, bits: bits & mask(len), len }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (v6, bits) = left_aligned(ip);
        self.v6 == v6 && bits & mask(self.len) == self.bits
    }

    fn is_link(&self) -> bool {
        self.len >= if self.v6 { MIN_V6_BITS } else { MIN_V4_BITS }
    }
}

/// The prefixes of this machine's own links. Loopback and link-local addresses belong to them always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnLink {
    /// Each once, with the Mbit/s of its link; 0 if the system does not say.
    prefixes: Vec<(Prefix, u32)>,
}

impl OnLink {
    /// Those of these prefixes that are narrow enough to be a link.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self::with_speeds(prefixes.into_iter().map(|prefix| (prefix, 0)))
    }

    /// The same with the Mbit/s of each link, 0 if that is not known. Of several links to one network the fastest counts.
    pub fn with_speeds(prefixes: impl IntoIterator<Item = (Prefix, u32)>) -> Self {
        let links = prefixes.into_iter().filter(|(prefix, _)| prefix.is_link());
        let mut prefixes: Vec<_> = links.collect();
        prefixes.sort_unstable_by_key(|(prefix, mbits)| (*prefix, Reverse(*mbits)));
        prefixes.dedup_by_key(|(prefix, _)| *prefix);
        Self { prefixes }
    }

    /// As the system knows them now; if it does not tell, none but loopback and link-local. Asks the
    /// kernel only; how fast a card is, which its driver says, once for each and not for each of its addresses.
    pub fn of_this_machine() -> Self {
        use nix::sys::socket::SockaddrStorage;
        let address = |stored: SockaddrStorage| {
            let v4 = stored.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| stored.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        };
        let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Self::default() };
        let mut speeds = BTreeMap::new();
        Self::with_speeds(interfaces.filter_map(|interface| {
            let (ip, mask) = (address(interface.address?)?, address(interface.netmask?)?);
            let (_, bits) = left_aligned_as_is(mask);
            let prefix = Prefix::new(ip, saturate::<u8>(bits.leading_ones()));
            // An address may have a name of its own: "eth0:1".
            let card = interface.interface_name.split(':').next()?.to_owned();
            let mbits = *speeds.entry(card).or_insert_with_key(|card| speed_of(card).unwrap_or(0));
            Some((prefix, mbits))
        }))
    }

    /// Whether an address is on one of the links.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        ip.is_loopback()
            || link_local
            || self.prefixes.iter().any(|(prefix, _)| prefix.contains(ip))
    }

    /// The Mbit/s of the link over which an address is reached; 0 if it is on none of ours, or that is not known. Nothing is
    /// faster than what does not leave this machine.
    pub fn speed(&self, ip: IpAddr) -> u32 {
        let ip = ip.to_canonical();
        let links = self.prefixes.iter().filter(|(prefix, _)| prefix.contains(ip));
        if ip.is_loopback() { u32::MAX } else { links.map(|(_, mbits)| *mbits).max().unwrap_or(0) }
    }

    /// The group that an address counts with; none if it is exempt.
    pub fn group(&self, ip: IpAddr) -> Option<super::AddrGroup> {
        (!self.contains(ip)).then(|| super::AddrGroup::of(ip))
    }
}

/// The Mbit/s of an interface, if the system says (Linux, and there a cable). What is no piece of hardware says something
/// too, which is made up: 10,000 of a bridge, a tunnel, a container.
fn speed_of(interface: &str) -> Option<u32> {
    let folder = std::path::Path::new("/sys/class/net").join(interface);
    if !folder.join("device").exists() {
        return None;
    }
    // A kernel's file of a few digits; -1 is a cable that is not plugged in.
    std::fs::read_to_string(folder.join("speed")).ok()?.trim().parse().ok()
}

/// This machine's links, looked at again from time to time.
#[derive(Debug)]
pub struct Links(Fresh<OnLink>);

impl Links {
    /// The links as they are now.
    #[allow(clippy::new_without_default, reason = "it asks the system")]
    pub fn new() -> Self {
        Self(Fresh::new(OnLink::of_this_machine))
    }

    /// The links as they were half a minute ago at most.
    pub fn now(&self) -> Arc<OnLink> {
        self.0.now()
    }
}

fn left_aligned(ip: IpAddr) -> (bool, u128) {
    left_aligned_as_is(ip.to_canonical())
}

fn left_aligned_as_is(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (false, u128::from(ip.to_bits()) << 96),
        IpAddr::V6(ip) => (true, ip.to_bits()),
    }
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn links_and_this_machine_are_exempt() {
        let links = OnLink::new([
            Prefix::new(ip("192.0.2.77"), 24),
            Prefix::new(ip("2001:db8:1:2::7"), 64),
            // A tunnel that claims the whole Internet.
            Prefix::new(ip("198.51.100.1"), 0),
            Prefix::new(ip("2001:db8:ffff::1"), 3),
        ]);
        for near in
            ["127.8.8.8", "::1", "::ffff:127.0.0.1", "192.0.2.1", "::ffff:192.0.2.9", "fe80::1"]
        {
            assert!(links.contains(ip(near)), "{near}");
            assert_eq!(links.group(ip(near)), None);
        }
        assert!(links.contains(ip("169.254.7.7")) && links.contains(ip("2001:db8:1:2:3::")));
        for far in ["192.0.3.1", "198.51.100.2", "2001:db8:1:3::7", "8.8.8.8"] {
            assert!(!links.contains(ip(far)), "{far}");
            assert_eq!(links.group(ip(far)), Some(super::super::AddrGroup::of(ip(far))));
        }
    }

    #[test]
    fn of_two_links_to_one_network_the_faster_counts() {
        let prefix = |text: &str| Prefix::new(ip(text), 24);
        let links = OnLink::with_speeds([
            (prefix("10.1.0.7"), 1_000),
            (prefix("10.2.0.7"), 0),
            (prefix("10.2.0.8"), 25_000),
        ]);
        let speeds = ["10.1.0.1", "10.2.0.1", "::ffff:10.2.0.1", "10.3.0.1", "127.0.0.1"];
        assert_eq!(speeds.map(|text| links.speed(ip(text))), [1_000, 25_000, 25_000, 0, u32::MAX]);
        assert_eq!(OnLink::new([prefix("10.1.0.7")]).speed(ip("10.1.0.1")), 0);
    }

    #[test]
    fn this_machine_knows_its_links() {
        let links = OnLink::of_this_machine();
        assert!(links.contains(ip("127.0.0.1")));
        assert!(!links.contains(ip("8.8.8.8")));
    }

    proptest! {
        #[test]
        fn a_prefix_holds_what_shares_its_bits(bits: u128, other: u128, len in 0u8..=128) {
            let (a, b) = (IpAddr::V6(bits.into()), IpAddr::V6(other.into()));
            prop_assume!(a.to_canonical() == a && b.to_canonical() == b);
            let same = (bits ^ other).leading_zeros() >= u32::from(len);
            prop_assert_eq!(Prefix::new(a, len).contains(b), same);
            prop_assert!(Prefix::new(a, len).contains(a));
        }
    }
}
