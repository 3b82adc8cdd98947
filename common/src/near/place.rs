//! Where announcements go and come from: the local networks, or for tests this machine alone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mdns_sd::{IfKind, IfPredicate, MDNS_PORT};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net;

/// The group that announcements are sent to (RFC 6762, 3).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// Where announcements go and come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub(super) port: u16,
    pub(super) loopback: bool,
}

impl Default for Place {
    /// All local networks, but those of machines inside this one.
    fn default() -> Self {
        Self { port: MDNS_PORT, loopback: false }
    }
}

/// A port of loopback to use instead of the local networks: so that tests hear themselves only.
const VARIABLE: &str = "SHOAL_NEAR";

impl Place {
    /// The local networks; or this machine alone if the environment names a port, as tests do.
    pub fn of_environment() -> Self {
        let port = std::env::var(VARIABLE).ok().and_then(|port| port.parse().ok());
        port.map_or_else(Self::default, Self::of_this_machine)
    }

    /// This machine alone, with another port than everybody's: for tests.
    pub fn of_this_machine(port: u16) -> Self {
        Self { port, loopback: true }
    }

    /// Interfaces that are left out: all but those with a private IPv4 address. `mdns_sd` answers whoever reaches its port,
    /// also from far away, so nothing is said or heard where that is possible.
    pub(super) fn without(self) -> Vec<IfKind> {
        if self.loopback {
            return vec![IfKind::All];
        }
        let left_out = IfPredicate::new(|interface| {
            net::is_inner(&interface.name)
                || !is_local(interface.ip())
                || own_interfaces(|ip| !is_local(ip)).contains(&interface.name)
        });
        vec![IfKind::IPv6, IfKind::LoopbackV4, IfKind::Predicate(left_out)]
    }

    /// Interfaces that are taken in after that.
    pub(super) fn with(self) -> Vec<IfKind> {
        if self.loopback { vec![IfKind::LoopbackV4] } else { Vec::new() }
    }

    /// Whether announcements can be sent and heard at all: `mdns_sd` does not say why not.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn check(self) -> Result<(), String> {
        let candidates: Vec<Ipv4Addr> = if self.loopback {
            vec![Ipv4Addr::LOCALHOST]
        } else {
            let own = net::own_addresses().into_iter().filter(|own| !own.inner);
            let v4 = own.filter_map(|own| match own.ip {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            });
            v4.filter(|ip| is_local((*ip).into())).collect()
        };
        if candidates.is_empty() {
            return Err("this machine has no private IPv4 address".to_owned());
        }
        let socket = self
            .open()
            .map_err(|error| format!("no multicast on UDP port {}: {error}", self.port))?;
        let mut joined = candidates.iter().map(|ip| socket.join_multicast_v4(&GROUP_V4, ip));
        // One network is enough.
        let joined = joined.find(Result::is_ok).unwrap_or(Err(io::ErrorKind::NetworkDown.into()));
        joined.map_err(|error| format!("this machine sends no multicast: {error}"))
    }

    /// A socket as `mdns_sd` opens it: beside those of other programs that do the same.
    fn open(self) -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.port)).into())?;
        Ok(socket)
    }
}

/// Names of interfaces that have an IPv4 address of which this holds.
fn own_interfaces(holds: impl Fn(IpAddr) -> bool) -> Vec<String> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let named = interfaces.filter_map(|interface| {
        let ip = interface.address?.as_sockaddr_in()?.ip();
        holds(ip.into()).then_some(interface.interface_name)
    });
    named.collect()
}

/// Whether an address is one of IPv4 that leads no further than a local network.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s13_nothing_is_announced_or_heard_on_an_address_that_others_reach_from_far_away() {
        for far in ["203.0.113.7", "8.8.8.8", "100.64.0.1", "2001:db8::1", "fe80::1", "172.32.0.1"]
        {
            assert!(!is_local(far.parse().unwrap()), "{far}");
        }
        for near in ["10.0.0.1", "192.168.1.1", "172.31.0.1", "169.254.3.4"] {
            assert!(is_local(near.parse().unwrap()), "{near}");
        }
        let [IfKind::IPv6, IfKind::LoopbackV4, IfKind::Predicate(_)] =
            &Place::default().without()[..]
        else {
            panic!("something else is left out");
        };
    }
}
