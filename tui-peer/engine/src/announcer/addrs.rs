//! Which announced addresses may be dialled. A tracker or a peer must not be
//! able to point us at our own services, our router or a cloud's metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use common::net::AddrGroup;

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Never,
    Loopback,
    Private,
    Public,
}

/// Where the tracker sees a peer: in one family, and in the other if it was seen there.
const SEEN: usize = 2;

/// From where we look: what decides about addresses that mean something else on every network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The tracker's address as connected.
    pub(crate) tracker: SocketAddr,
    /// Our own address as the tracker sees it.
    pub(crate) observed: SocketAddr,
    /// The same in the other of IPv4 and IPv6, once the tracker saw us there.
    pub(crate) also: Option<IpAddr>,
}

impl Place {
    /// Those of a peer's announced addresses that may be dialled, in their order, each once. The first
    /// announced ones are where the tracker sees the peer: if one of them is also where it sees us, we are
    /// behind the same router and private addresses mean the same to both.
    pub(crate) fn filter(&self, announced: &[SocketAddr]) -> Vec<SocketAddr> {
        let ours = [Some(self.observed.ip()), self.also];
        let ours = ours.map(|ip| ip.map(AddrGroup::of));
        let seen = announced.iter().take(SEEN).map(|addr| AddrGroup::of(addr.ip()));
        let neighbour = seen.into_iter().any(|theirs| ours.contains(&Some(theirs)));
        self.filter_by(announced, neighbour)
    }

    /// The same for the tracker's own addresses.
    pub(super) fn filter_tracker(&self, announced: &[SocketAddr]) -> Vec<SocketAddr> {
        self.filter_by(announced, false)
    }

    fn filter_by(&self, announced: &[SocketAddr], neighbour: bool) -> Vec<SocketAddr> {
        let mut allowed = Vec::with_capacity(announced.len());
        for addr in announced {
            if self.may_dial(*addr, neighbour) && !allowed.contains(addr) {
                allowed.push(*addr);
            }
        }
        allowed
    }

    fn may_dial(&self, addr: SocketAddr, neighbour: bool) -> bool {
        let tracker = reach(self.tracker.ip());
        match reach(addr.ip()) {
            _ if addr.port() == 0 => false,
            Reach::Never => false,
            Reach::Loopback => tracker == Reach::Loopback,
            Reach::Private => neighbour || matches!(tracker, Reach::Private | Reach::Loopback),
            Reach::Public => true,
        }
    }
}

/// Those of the addresses where a tracker says that it is which may be dialled: none that reaches less far than all
/// where the join string named it.
pub(super) fn where_it_says(told: &[SocketAddr], named: &[SocketAddr]) -> Vec<SocketAddr> {
    let public = |addr: &SocketAddr| addr.port() != 0 && reach(addr.ip()) == Reach::Public;
    let beside = |addr: SocketAddr, tracker: SocketAddr| {
        Place { tracker, observed: tracker, also: None }.may_dial(addr, false)
    };
    let may = |addr: &&SocketAddr| public(addr) || named.iter().any(|named| beside(**addr, *named));
    told.iter().filter(may).copied().collect()
}

/// Whether an address means something else in every network.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    reach(ip) == Reach::Private
}

/// Whether an address is the same everywhere, and may be dialled.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    reach(ip) == Reach::Public
}

fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        // "This network", multicast, reserved and broadcast (RFC 6890).
        [0 | 224..=255, ..] => Reach::Never,
        [127, ..] => Reach::Loopback,
        // Link-local, where clouds keep their metadata; and the two clouds that keep it elsewhere.
        [169, 254, ..] | [192, 0, 0, _] | [100, 100, 100, 200] => Reach::Never,
        // 100.64/10 is where carriers and overlay networks put their hosts (RFC 6598).
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // The rest of ::/16: unspecified, and IPv4 addresses in a disguise long out of use.
        [0, ..] => Reach::Never,
        // Metadata of a cloud.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Reach::Never,
        // NAT64 (RFC 6052, 8215) and 6to4 (RFC 3056) carry an IPv4 address that is meant instead.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            match reach_v4(embedded(high, low)) {
                Reach::Public => Reach::Public,
                _ => Reach::Never,
            }
        }
        [0x64, 0xff9b, ..] => Reach::Never,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Reach::Private,
        [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(tracker: &str) -> Place {
        let observed = "198.51.100.4:50000".parse().unwrap();
        Place { tracker: tracker.parse().unwrap(), observed, also: None }
    }

    #[test]
    fn a_list_of_hosts_points_nobody_at_what_is_nearer_than_the_tracker() {
        let addrs = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|addr| addr.parse().unwrap()).collect()
        };
        let told =
            addrs(&["127.0.0.1:22", "169.254.169.254:80", "192.168.1.1:80", "203.0.113.8:7420"]);
        let public = addrs(&["203.0.113.8:7420"]);
        assert_eq!(where_it_says(&told, &[]), public);
        assert_eq!(where_it_says(&told, &addrs(&["203.0.113.9:7420"])), public);
        assert_eq!(where_it_says(&told, &addrs(&["203.0.113.9:7420", "10.0.0.2:7420"])), told[2..]);
        assert_eq!(where_it_says(&told, &addrs(&["127.0.0.1:7420"])).len(), 3);
    }

    #[test]
    fn the_table_of_who_may_be_dialled() {
        let (loopback, lan, public) = ("127.0.0.1:7420", "10.0.0.2:7420", "203.0.113.9:7420");
        for (addr, at_loopback, at_lan, at_public) in [
            ("127.0.0.1:22", true, false, false),
            ("127.8.8.8:22", true, false, false),
            ("[::1]:22", true, false, false),
            ("[::ffff:127.0.0.1]:22", true, false, false),
            ("10.0.0.7:7421", true, true, false),
            ("172.16.0.1:7421", true, true, false),
            ("172.32.0.1:7421", true, true, true),
            ("192.168.1.1:80", true, true, false),
            ("[::ffff:192.168.1.1]:80", true, true, false),
            ("100.64.0.1:80", true, true, false),
            ("100.128.0.1:80", true, true, true),
            ("[fd00::1]:7421", true, true, false),
            ("[fec0::1]:7421", true, true, false),
            ("203.0.113.7:7421", true, true, true),
            ("[2001:db8::1]:7421", true, true, true),
            ("[64:ff9b::cb00:7107]:7421", true, true, true),
            ("169.254.169.254:80", false, false, false),
            ("[::ffff:169.254.169.254]:80", false, false, false),
            ("[64:ff9b::a9fe:a9fe]:80", false, false, false),
            ("[64:ff9b::7f00:1]:22", false, false, false),
            ("[64:ff9b:1::a9fe:a9fe]:80", false, false, false),
            ("[2002:7f00:1::]:22", false, false, false),
            ("[::127.0.0.1]:22", false, false, false),
            ("[fd00:ec2::254]:80", false, false, false),
            ("100.100.100.200:80", false, false, false),
            ("192.0.0.192:80", false, false, false),
            ("[fe80::1]:7421", false, false, false),
            ("[ff02::1]:7421", false, false, false),
            ("[::]:7421", false, false, false),
            ("0.0.0.0:7421", false, false, false),
            ("0.1.2.3:7421", false, false, false),
            ("224.0.0.1:7421", false, false, false),
            ("240.0.0.1:7421", false, false, false),
            ("255.255.255.255:1", false, false, false),
            ("203.0.113.7:0", false, false, false),
            ("127.0.0.1:0", false, false, false),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            let may = |tracker: &str| place(tracker).filter(&[addr]) == [addr];
            assert_eq!(
                (may(loopback), may(lan), may(public)),
                (at_loopback, at_lan, at_public),
                "{addr}"
            );
        }
    }

    #[test]
    fn private_addresses_count_behind_the_same_router_only() {
        let addrs = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|addr| addr.parse().unwrap()).collect()
        };
        let place = place("203.0.113.9:7420");
        let neighbour = addrs(&["198.51.100.4:7421", "192.168.0.5:7421", "127.0.0.1:22"]);
        assert_eq!(place.filter(&neighbour), neighbour[..2]);
        let stranger = addrs(&["198.51.100.5:7421", "192.168.0.5:7421", "198.51.100.4:7421"]);
        assert_eq!(place.filter(&stranger), addrs(&["198.51.100.5:7421", "198.51.100.4:7421"]));
        let again = addrs(&["198.51.100.5:7421", "198.51.100.5:7421"]);
        assert_eq!(place.filter(&again), again[..1]);
        assert!(place.filter(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_private_is_ever_dialled_from_a_public_network(bits: [u8; 16], v4: bool, port: u16) {
            let ip = if v4 {
                IpAddr::from([bits[0], bits[1], bits[2], bits[3]])
            } else {
                IpAddr::from(bits)
            };
            let addr = SocketAddr::new(ip, port);
            if !place("203.0.113.9:7420").filter(&[addr]).is_empty() {
                let ip = ip.to_canonical();
                prop_assert!(!ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified());
                if let IpAddr::V4(ip) = ip {
                    prop_assert!(!ip.is_private() && !ip.is_link_local() && !ip.is_broadcast());
                }
            }
        }
    }
}
