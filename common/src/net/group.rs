//! Addresses that are probably in one hand.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that count as one: an IPv4 address, or all of an IPv6 /64 (the least that a provider gives
/// to a customer, RFC 6177: who has one address of it has them all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddrGroup {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// The upper 64 bits of an IPv6 address.
    V6(u64),
}

impl AddrGroup {
    /// The group of an address. IPv4 in the disguise of IPv6 (`::ffff:a.b.c.d`) is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6(upper(ip)),
        }
    }
}

impl fmt::Display for AddrGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(upper) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*upper) << 64)),
        }
    }
}

/// A network that one third party would notice a burst of connections in: an IPv4 /24 (the smallest that
/// is routed on its own) or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subnet {
    /// The upper 24 bits of an IPv4 address.
    V4([u8; 3]),
    /// The upper 64 bits of an IPv6 address.
    V6(u64),
}

impl Subnet {
    /// The network of an address. IPv4 in the disguise of IPv6 is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => Self::V6(upper(ip)),
        }
    }
}

fn upper(ip: Ipv6Addr) -> u64 {
    let [a, b, c, d, ..] = ip.segments();
    [a, b, c, d].into_iter().fold(0, |bits, segment| bits << 16 | u64::from(segment))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_slash_64_is_one_and_an_ipv4_address_is_one() {
        let same = |a: &str, b: &str| AddrGroup::of(ip(a)) == AddrGroup::of(ip(b));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(!same("::1", "192.0.2.1"));
        assert_eq!(AddrGroup::of(ip("2001:db8:1:2::1")).to_string(), "2001:db8:1:2::/64");
        assert_eq!(AddrGroup::of(ip("::ffff:192.0.2.1")).to_string(), "192.0.2.1");
        assert_eq!(Subnet::of(ip("192.0.2.1")), Subnet::of(ip("192.0.2.255")));
        assert_ne!(Subnet::of(ip("192.0.2.1")), Subnet::of(ip("192.0.3.1")));
        assert_ne!(Subnet::of(ip("2001:db8::1")), Subnet::of(ip("2001:db8:0:1::1")));
    }

    proptest! {
        #[test]
        fn only_the_upper_half_of_an_ipv6_address_counts(upper: u64, low: u64, other: u64) {
            let at = |low| IpAddr::V6(Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(low)));
            // IPv4-mapped addresses are all in ::/64 and are IPv4.
            prop_assume!(upper != 0);
            prop_assert_eq!(AddrGroup::of(at(low)), AddrGroup::of(at(other)));
            prop_assert_eq!(AddrGroup::of(at(low)), AddrGroup::V6(upper));
            prop_assert_eq!(Subnet::of(at(low)), Subnet::of(at(other)));
        }
    }
}
