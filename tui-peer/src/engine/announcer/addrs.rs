//! Which announced addresses may be dialled (protocol.md 7 and 10). A tracker or a peer must not be
//! able to point us at our own services, our router or a cloud's metadata.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Never,
    Loopback,
    Private,
    Public,
}

/// Whether to dial `addr`, given the address at which we reached the tracker.
pub(in crate::engine) fn may_dial(addr: SocketAddr, tracker: SocketAddr) -> bool {
    if addr.port() == 0 {
        return false;
    }
    match (reach(addr.ip()), reach(tracker.ip())) {
        (Reach::Never, _) => false,
        (Reach::Loopback, tracker) => tracker == Reach::Loopback,
        (Reach::Private, tracker) => matches!(tracker, Reach::Private | Reach::Loopback),
        (Reach::Public, _) => true,
    }
}

fn reach(ip: IpAddr) -> Reach {
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() {
        return Reach::Never;
    }
    if ip.is_loopback() {
        return Reach::Loopback;
    }
    match ip {
        IpAddr::V4(ip) if ip.is_link_local() || ip.is_broadcast() => Reach::Never,
        // 100.64/10 is where carriers and overlay networks put their hosts.
        IpAddr::V4(ip)
            if ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) =>
        {
            Reach::Private
        }
        IpAddr::V6(ip) if is_link_local(ip) => Reach::Never,
        IpAddr::V6(ip) if ip.segments()[0] & 0xfe00 == 0xfc00 => Reach::Private,
        _ => Reach::Public,
    }
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_who_may_be_dialled() {
        let (loopback, lan, public) = ("127.0.0.1:7420", "10.0.0.2:7420", "203.0.113.9:7420");
        for (addr, at_loopback, at_lan, at_public) in [
            ("127.0.0.1:22", true, false, false),
            ("[::1]:22", true, false, false),
            ("[::ffff:127.0.0.1]:22", true, false, false),
            ("10.0.0.7:7421", true, true, false),
            ("192.168.1.1:80", true, true, false),
            ("100.64.0.1:80", true, true, false),
            ("[fd00::1]:7421", true, true, false),
            ("203.0.113.7:7421", true, true, true),
            ("[2001:db8::1]:7421", true, true, true),
            ("169.254.169.254:80", false, false, false),
            ("[fe80::1]:7421", false, false, false),
            ("0.0.0.0:7421", false, false, false),
            ("224.0.0.1:7421", false, false, false),
            ("255.255.255.255:1", false, false, false),
            ("203.0.113.7:0", false, false, false),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            let may = |tracker: &str| may_dial(addr, tracker.parse().unwrap());
            assert_eq!(
                (may(loopback), may(lan), may(public)),
                (at_loopback, at_lan, at_public),
                "{addr}"
            );
        }
    }
}
