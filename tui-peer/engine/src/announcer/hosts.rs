//! PURE. Which hosts have a tracker of a network, and in which order they are tried: of what the join string says, and the
//! tracker.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use common::join::{JoinString, host_and_port};
use common::tracker_hosts::{Listed, TrackerHosts};

/// A machine with a tracker of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// Names or addresses, best first.
    addrs: Vec<(String, u16)>,
    /// Whether the join string names it. Else it is only a tracker's word.
    named: bool,
    /// Whether the signed list of trackers names it.
    pub(super) listed: bool,
    /// Since when it is out of reach, as far as is known; in the future when it asked for a pause.
    pub(super) away: Option<Instant>,
}

impl Host {
    fn new<'a>(addrs: impl IntoIterator<Item = (&'a str, u16)>, named: bool) -> Self {
        let addrs = addrs.into_iter().map(|(host, port)| (host.to_owned(), port)).collect();
        Self { addrs, named, ..Self::default() }
    }

    fn has(&self, host: &str, port: u16) -> bool {
        self.addrs.iter().any(|own| (own.0.as_str(), own.1) == (host, port))
    }

    /// Whether they have an address in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.addrs().any(|(host, port)| other.has(host, port))
    }

    /// Whether one of its addresses is that one, written as numbers.
    fn is_at(&self, addr: SocketAddr) -> bool {
        self.addrs().any(|host| is_that(host, addr))
    }

    pub(super) fn addrs(&self) -> impl Iterator<Item = (&str, u16)> {
        self.addrs.iter().map(|(host, port)| (host.as_str(), *port))
    }

    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// `host:port`, for people.
    pub(super) fn address(&self) -> String {
        self.addrs().next().map(|(host, port)| host_and_port(host, port)).unwrap_or_default()
    }
}

fn is_that((host, port): (&str, u16), addr: SocketAddr) -> bool {
    let ip = host.parse::<IpAddr>().map(|ip| ip.to_canonical());
    port == addr.port() && ip == Ok(addr.ip().to_canonical())
}

/// The hosts of a join string in its order. Never empty.
fn joined(join: &JoinString) -> Vec<Host> {
    let first = Host::new(join.addresses(), true);
    let standbys = join.standbys().map(|host| Host::new([host], true));
    std::iter::once(first).chain(standbys).collect()
}

/// All hosts before any was reached, with the list that was remembered. That one may be older than the join string: the
/// order of its trackers counts only if it names a host of the join string; else they come last.
pub(super) fn remembered(join: &JoinString, list: Option<&TrackerHosts>) -> Vec<Host> {
    let mut joined = joined(join);
    let Some(list) = list else { return joined };
    let mut told = told(list);
    let is_named = |(host, port)| joined.iter().any(|known| known.has(host, port));
    match list.listed() {
        Listed::Trackers if told.iter().any(|host| is_named(*host)) => merged(joined, &told, None),
        Listed::Trackers => {
            joined.extend(told.into_iter().map(listed));
            joined
        }
        Listed::Addresses => {
            told.retain(|host| !is_named(*host));
            if !told.is_empty() {
                joined.push(Host { listed: true, ..Host::new(told, false) });
            }
            joined
        }
    }
}

/// All hosts by the list that a tracker sends now, and where in them the present one is, which answered at `addr`. The
/// order is the list's, so that all peers have the same, whichever way they came. A present host that it does not name
/// comes last: it is not left for that.
pub(super) fn told_by_present(
    join: &JoinString,
    list: &TrackerHosts,
    (present, addr): (&Host, SocketAddr),
) -> (Vec<Host>, usize) {
    let mut hosts = match list.listed() {
        Listed::Trackers => merged(joined(join), &told(list), Some((present, addr))),
        Listed::Addresses => remembered(join, Some(list)),
    };
    let by_name = hosts.iter().position(|host| host.meets(present));
    let at = by_name.or_else(|| hosts.iter().position(|host| host.is_at(addr)));
    let at = at.unwrap_or_else(|| {
        hosts.push(Host { listed: false, ..present.clone() });
        hosts.len() - 1
    });
    (hosts, at)
}

fn told(list: &TrackerHosts) -> Vec<(&str, u16)> {
    list.hosts().iter().map(|(host, port)| (host.as_str(), *port)).collect()
}

/// A host that only a list names.
fn listed(host: (&str, u16)) -> Host {
    Host { listed: true, ..Host::new([host], false) }
}

/// The trackers of a list in its order, each with what the join string says about it; then those that only the join string
/// names. Each one listed is a tracker of its own, also where the join string takes several for addresses of one.
fn merged(
    joined: Vec<Host>,
    told: &[(&str, u16)],
    present: Option<(&Host, SocketAddr)>,
) -> Vec<Host> {
    let mut used = HashSet::new();
    let mut all: Vec<Host> = Vec::new();
    for &entry in told {
        let by_name = joined.iter().position(|host| host.has(entry.0, entry.1));
        // Where it is by numbers, if the join string has a name for that.
        let by_addr = || {
            let (present, _) = present.filter(|(_, addr)| is_that(entry, *addr))?;
            let is_listed = |host: &Host| told.iter().any(|(name, port)| host.has(name, *port));
            joined.iter().position(|host| host.meets(present) && !is_listed(host))
        };
        let known = by_name.or_else(by_addr).and_then(|at| Some((at, joined.get(at)?)));
        let Some((at, known)) = known else {
            all.push(listed(entry));
            continue;
        };
        // What is left of it goes with the first of its addresses that is listed.
        let rest = used.insert(at).then(|| known.addrs().filter(|addr| !told.contains(addr)));
        let addrs = by_name.map(|_| entry).into_iter().chain(rest.into_iter().flatten());
        all.push(Host { listed: true, ..Host::new(addrs, true) });
    }
    all.extend(
        joined.into_iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, host)| host),
    );
    all
}

#[cfg(test)]
mod tests {
    use common::identity::Identity;

    use super::*;

    fn key() -> Identity {
        Identity::from_seed(&[200; 32]).unwrap()
    }

    fn join(hosts: &str) -> JoinString {
        format!("shoal://{}@{hosts}", key().peer_id()).parse().unwrap()
    }

    fn list(kind: Listed, hosts: &[&str]) -> TrackerHosts {
        let hosts: Vec<_> = hosts.iter().map(|host| ((*host).to_owned(), 7420)).collect();
        let signed = TrackerHosts::issue(&key(), 1, kind, &hosts);
        TrackerHosts::verify(&signed, &key().peer_id()).unwrap()
    }

    /// The names of each host; in capitals those that are only a tracker's word, in brackets what no list names.
    fn shown(hosts: &[Host]) -> String {
        let shown = |host: &Host| {
            let names: Vec<&str> = host.addrs().map(|(host, _)| host).collect();
            let names = names.join("+");
            let names = if host.named { names } else { names.to_uppercase() };
            if host.listed { names } else { format!("[{names}]") }
        };
        hosts.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn b1_the_order_before_any_tracker_was_reached() {
        for (joined, kind, hosts, wanted) in [
            ("a,b", None, &[] as &[&str], "[a] [b]"),
            ("a?h=x", None, &[], "[a+x]"),
            // Who came with one of them has the same order as all others.
            ("a", Some(Listed::Trackers), &["a", "b", "c"], "a B C"),
            ("b", Some(Listed::Trackers), &["a", "b", "c"], "A b C"),
            ("c,a", Some(Listed::Trackers), &["a", "b", "c"], "a B c"),
            ("a,x", Some(Listed::Trackers), &["b", "a"], "B a [x]"),
            // It names none of ours: ours may be newer.
            ("x", Some(Listed::Trackers), &["a", "b"], "[x] A B"),
            // Addresses of one tracker, as it may move.
            ("a", Some(Listed::Addresses), &["a", "b", "c"], "[a] B+C"),
            ("a", Some(Listed::Addresses), &["a"], "[a]"),
        ] {
            let list = kind.map(|kind| list(kind, hosts));
            let hosts = remembered(&join(joined), list.as_ref());
            assert_eq!(
                shown(&hosts),
                wanted,
                "{joined} {kind:?} {:?}",
                list.map(|l| l.hosts().to_vec())
            );
        }
    }

    #[test]
    fn b1_two_trackers_taken_for_addresses_of_one_are_two_once_a_list_says_so() {
        for (joined, hosts, wanted) in [
            ("a?h=b", &["a", "b"], "a b"),
            ("a?h=b", &["b", "a"], "b a"),
            ("a?h=x,b", &["a", "b"], "a+x b"),
            ("a?h=x,b,y", &["c", "b"], "C b+a+x+y"),
        ] {
            let hosts = remembered(&join(joined), Some(&list(Listed::Trackers, hosts)));
            assert_eq!(shown(&hosts), wanted, "{joined}");
        }
    }

    #[test]
    fn b1_the_order_that_a_tracker_sends_counts_by_whatever_name_one_came() {
        let lab: SocketAddr = "10.0.0.2:7420".parse().unwrap();
        for (joined, present, hosts, wanted, wanted_at) in [
            // By a name of our own: the two are taken for strangers, and the listed ones come first.
            ("x", 0, &["a", "b"] as &[&str], "A B [x]", 2),
            // By a name for what the list has in numbers.
            ("x", 0, &["10.0.0.1", "10.0.0.2"], "10.0.0.1 x", 1),
            ("x,y", 0, &["10.0.0.2", "y"], "x y", 0),
            // The same the other way round.
            ("10.0.0.1,10.0.0.2", 1, &["10.0.0.1", "10.0.0.2", "c"], "10.0.0.1 10.0.0.2 C", 1),
            // What is listed under a name of its own is not another.
            ("x,y", 0, &["x", "10.0.0.2"], "x 10.0.0.2 [y]", 0),
        ] {
            let join = join(joined);
            let present = remembered(&join, None).swap_remove(present);
            let list = list(Listed::Trackers, hosts);
            let (hosts, at) = told_by_present(&join, &list, (&present, lab));
            assert_eq!((shown(&hosts).as_str(), at), (wanted, wanted_at), "{joined} {list:?}");
        }
    }
}
