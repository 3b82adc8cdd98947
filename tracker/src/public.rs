//! The hosts that go into the join string.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use common::join::DEFAULT_TRACKER_PORT;
use common::net::own_address_to;
use common::tracker_hosts::Listed;

/// What is told to others: hosts and ports, and what they are. For a tracker bound to `bound`; never empty.
pub(crate) struct Told {
    pub(crate) listed: Listed,
    pub(crate) hosts: Vec<(String, u16)>,
    /// An operator said it.
    pub(crate) is_given: bool,
}

impl Told {
    /// Of the options `--public` and `--trackers`.
    pub(crate) fn new(public: &[String], trackers: &[String], bound: SocketAddr) -> Self {
        match trackers {
            [] => {
                let is_given = !public.is_empty();
                Self { listed: Listed::Addresses, hosts: hosts(public, bound), is_given }
            }
            trackers => {
                // Each may listen at a port of its own.
                let hosts = trackers.iter().map(|host| split(host.trim(), DEFAULT_TRACKER_PORT));
                Self { listed: Listed::Trackers, hosts: hosts.collect(), is_given: true }
            }
        }
    }
}

/// Hosts and ports to tell others, best first, for a tracker bound to `bound`; never empty.
fn hosts(given: &[String], bound: SocketAddr) -> Vec<(String, u16)> {
    match given {
        [] => vec![host_and_port(None, bound)],
        given => given.iter().map(|given| host_and_port(Some(given.trim()), bound)).collect(),
    }
}

/// Host and port to tell others, for a tracker bound to `bound`. `given` is `HOST` or `HOST:PORT`.
fn host_and_port(given: Option<&str>, bound: SocketAddr) -> (String, u16) {
    match given {
        Some(given) => split(given, bound.port()),
        None if bound.ip().is_unspecified() => (own_address(bound).to_string(), bound.port()),
        None => (bound.ip().to_string(), bound.port()),
    }
}

/// An address of this machine that others in its network can reach; loopback if it is alone.
fn own_address(bound: SocketAddr) -> IpAddr {
    // From the ranges for documentation (RFC 5737, RFC 3849).
    let v4 = || outgoing(Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 = || outgoing(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    let found = v4().or_else(neighbour);
    let found = if bound.is_ipv6() { found.or_else(v6) } else { found };
    found.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The address used towards the first network that is directly attached: a LAN without a way out.
fn neighbour() -> Option<IpAddr> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    attached(&routes).find_map(|first| outgoing(first.into()))
}

/// First hosts of the networks in a Linux routing table, whose numbers are hexadecimal in network order
/// read as little endian.
fn attached(routes: &str) -> impl Iterator<Item = Ipv4Addr> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::swap_bytes);
    routes.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace().skip(1);
        let network = number(fields.next()?)?;
        let gateway = number(fields.next()?)?;
        (gateway == 0 && network != 0).then(|| Ipv4Addr::from(network | 1))
    })
}

fn outgoing(to: IpAddr) -> Option<IpAddr> {
    own_address_to(to).filter(|own| !own.is_loopback())
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address.
fn split(given: &str, default_port: u16) -> (String, u16) {
    if given.parse::<Ipv6Addr>().is_ok() {
        return (given.to_owned(), default_port);
    }
    match given.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) => (host.to_owned(), port),
            // Left as it is, so that the join string's own check names it.
            Err(_) => (given.to_owned(), default_port),
        },
        _ => (given.to_owned(), default_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_split_from_ports() {
        for (given, host, port) in [
            ("tracker.lab", "tracker.lab", 7420),
            ("tracker.lab:99", "tracker.lab", 99),
            ("192.0.2.7", "192.0.2.7", 7420),
            ("2001:db8::7", "2001:db8::7", 7420),
            ("[2001:db8::7]", "[2001:db8::7]", 7420),
            ("[2001:db8::7]:99", "[2001:db8::7]", 99),
            ("host:port", "host:port", 7420),
        ] {
            assert_eq!(split(given, 7420), (host.to_owned(), port), "{given}");
        }
    }

    #[test]
    fn each_host_that_is_given_is_told() {
        let bound: SocketAddr = "0.0.0.0:7420".parse().unwrap();
        let given = ["tracker.lab".to_owned(), " [2001:db8::7]:99".to_owned()];
        let told = hosts(&given, bound);
        assert_eq!(told, [("tracker.lab".to_owned(), 7420), ("[2001:db8::7]".to_owned(), 99)]);
        assert_eq!(hosts(&[], bound).len(), 1);
    }

    #[test]
    fn b1_trackers_of_a_network_have_ports_of_their_own() {
        let bound: SocketAddr = "0.0.0.0:99".parse().unwrap();
        let given = ["a.lab".to_owned(), " [2001:db8::7]:81".to_owned()];
        let told = Told::new(&[], &given, bound);
        assert_eq!(told.hosts, [("a.lab".to_owned(), 7420), ("[2001:db8::7]".to_owned(), 81)]);
        assert_eq!((told.listed, told.is_given), (Listed::Trackers, true));
        let told = Told::new(&given[..1], &[], bound);
        assert_eq!((told.listed, told.hosts), (Listed::Addresses, vec![("a.lab".to_owned(), 99)]));
        assert!(!Told::new(&[], &[], bound).is_given);
    }

    #[test]
    fn attached_networks_are_found() {
        let table = "Iface\tDestination\tGateway \tFlags\nwlan0\t00000000\t0101A8C0\t0003\nwlan0\t0001A8C0\t00000000\t0001\nrubbish\n";
        assert_eq!(attached(table).collect::<Vec<_>>(), [Ipv4Addr::new(192, 168, 1, 1)]);
    }

    #[test]
    fn a_bound_address_is_told_as_it_is() {
        let bound: SocketAddr = "127.0.0.1:81".parse().unwrap();
        assert_eq!(host_and_port(None, bound), ("127.0.0.1".to_owned(), 81));
        let (host, port) = host_and_port(None, "0.0.0.0:82".parse().unwrap());
        assert!(!host.parse::<IpAddr>().unwrap().is_unspecified());
        assert_eq!(port, 82);
    }
}
