//! The addresses of this machine, for others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::fresh::Fresh;

/// Interfaces that lead to machines inside this one (containers, virtual machines): named so by what makes
/// them. Nobody else reaches us there, and their addresses are the same on many machines.
const INNER: &[&str] = &[
    "docker", "br-", "veth", "virbr", "vnet", "vmnet", "vboxnet", "lxc", "lxdbr", "cni", "podman",
];
/// Addresses at most: a machine with more has them for its containers.
const MAX_ADDRESSES: usize = 64;

/// An address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// It.
    pub ip: IpAddr,
    /// Whether it leads only to machines inside this one.
    pub inner: bool,
}

/// The addresses at which others reach what listens on all of them, looked at again from time to time.
#[derive(Debug)]
pub struct Interfaces(Fresh<Vec<OwnAddress>>);

impl Interfaces {
    /// The addresses as they are now.
    #[allow(clippy::new_without_default, reason = "it asks the system")]
    pub fn new() -> Self {
        Self(Fresh::new(own_addresses))
    }

    /// Those of the other family than `ip`, best first, as they were half a minute ago at most; none that lead only to
    /// machines inside this one.
    pub fn other_family(&self, ip: IpAddr) -> Vec<IpAddr> {
        let own = self.0.now();
        let outer = own.iter().filter(|own| !own.inner).map(|own| own.ip);
        outer.filter(|own| own.is_ipv4() != ip.is_ipv4()).collect()
    }
}

/// The address of this machine from which another would be reached; `None` if the system knows no way there. Sends
/// nothing: connecting a UDP socket only asks which address it would use.
pub fn own_address_to(other: IpAddr) -> Option<IpAddr> {
    /// It is never sent to (RFC 863 has it discard everything).
    const DISCARD: u16 = 9;
    let any = match other {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, DISCARD)).ok()?;
    socket.local_addr().ok().map(|own| own.ip()).filter(|own| !own.is_unspecified())
}

/// This machine's addresses but loopback and link-local ones, those first by which others most likely reach
/// it; none if the system does not tell. Asks the kernel only, and does not wait.
pub fn own_addresses() -> Vec<OwnAddress> {
    use nix::net::if_::InterfaceFlags;
    use nix::sys::socket::SockaddrStorage;
    let address = |stored: SockaddrStorage| {
        let v4 = stored.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| stored.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let up = interfaces.filter(|i| i.flags.contains(InterfaceFlags::IFF_UP));
    let found = up.filter_map(|i| Some((i.interface_name.clone(), address(i.address?)?)));
    sort(found.take(MAX_ADDRESSES))
}

/// IPv6 and IPv4 in turn, beginning with the family of the first (RFC 8305, 4).
pub fn in_turn(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (a, b): (Vec<_>, Vec<_>) =
        found.iter().copied().partition(|addr| addr.is_ipv6() == first_v6);
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut turns = Vec::with_capacity(found.len());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return turns,
            (one, other) => turns.extend(one.into_iter().chain(other)),
        }
    }
}

/// Whether an interface of this name leads only to machines inside this one.
pub(crate) fn is_inner(interface: &str) -> bool {
    INNER.iter().any(|start| interface.starts_with(start))
}

fn sort(found: impl IntoIterator<Item = (String, IpAddr)>) -> Vec<OwnAddress> {
    let mut all: Vec<OwnAddress> = Vec::new();
    for (interface, ip) in found {
        let of_use = match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
            IpAddr::V6(ip) => {
                !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified()
            }
        };
        if of_use && !all.iter().any(|known| known.ip == ip) {
            all.push(OwnAddress { ip, inner: is_inner(&interface) });
        }
    }
    // Stable: among equals the system's own order counts.
    all.sort_by_key(|own| (own.inner, rank(own.ip)));
    all
}

fn rank(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(ip) if is_unique_local(ip) => 2,
        IpAddr::V6(_) => 1,
    }
}

/// `fc00::/7` (RFC 4193).
fn is_unique_local(ip: Ipv6Addr) -> bool {
    ip.segments().first().is_some_and(|first| first & 0xfe00 == 0xfc00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addrs = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|addr| addr.parse().unwrap()).collect()
        };
        let found = addrs(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let turns = addrs(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        assert_eq!(in_turn(&found), turns);
        assert!(in_turn(&[]).is_empty());
    }

    #[test]
    fn addresses_that_others_reach_come_first() {
        let found = [
            ("lo", "127.0.0.1"),
            ("docker0", "172.17.0.1"),
            ("eth0", "fe80::1"),
            ("eth0", "fd00::5"),
            ("eth0", "2001:db8::5"),
            ("eth0", "169.254.3.4"),
            ("eth0", "192.168.1.5"),
            ("wg0", "10.9.0.2"),
            ("wg0", "10.9.0.2"),
            ("lo", "::1"),
        ];
        let sorted = sort(found.map(|(name, ip)| (name.to_owned(), ip.parse().unwrap())));
        let shown: Vec<String> = sorted.iter().map(|own| own.ip.to_string()).collect();
        assert_eq!(shown, ["192.168.1.5", "10.9.0.2", "2001:db8::5", "fd00::5", "172.17.0.1"]);
        assert!(sorted.last().is_some_and(|own| own.inner) && !sorted[0].inner);
        // Of this machine, whatever it has.
        assert!(own_addresses().iter().all(|own| !own.ip.is_loopback()));
    }
}
