//! What is near, as far as it was heard: bounded in number and in time, in the order of appearance.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::announced::Announced;
use crate::id::PeerId;
use crate::join::JoinString;
use crate::net::OnLink;

/// Announcements kept: more than one local network has; with more, somebody plays.
pub const MAX_NEAR: usize = 32;
/// Addresses kept of one tracker: those of two networks, in both families.
const MAX_ADDRS: usize = 4;
/// Announcements kept of one address: several trackers on a machine, and no list full of one machine's.
const MAX_OF_ADDRESS: usize = 8;
/// What is not heard again for so long is gone. Every minute is asked anew ([`super::look`]), and one answer may be lost.
pub(super) const EXPIRY: Duration = Duration::from_secs(150);
/// Longest name of an instance that the domain name system has room for (RFC 1035, 2.3.4), in bytes, with escapes.
const MAX_INSTANCE: usize = 1024;

/// An announcement that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The whole name of the instance, by which it is taken back.
    pub instance: String,
    /// What it says.
    pub said: Announced,
    /// Where it is said to be.
    pub ips: Vec<IpAddr>,
}

/// A network near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearNetwork {
    /// The tracker's key, by its own word.
    pub key: PeerId,
    /// Its name, by its own word; fit to be shown.
    pub name: String,
    /// Whether a secret is needed.
    pub closed: bool,
    /// Where it is, best first; never empty.
    pub addrs: Vec<SocketAddr>,
    /// What joins it, without the secret.
    pub join: JoinString,
}

/// What was heard and still counts.
#[derive(Debug, Default)]
pub struct Table {
    /// In the order of appearance.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    heard: Heard,
    /// Whether one of its addresses is on one of our own links.
    on_link: bool,
    at: Instant,
}

impl Table {
    /// Takes in what was heard. It is left out if it is nowhere near, if there are too many already, or if too many
    /// are at its address.
    pub fn hear(&mut self, mut heard: Heard, links: &OnLink, loopback: bool, now: Instant) {
        self.expire(now);
        heard.ips = near(&heard.ips, links, loopback);
        if heard.ips.is_empty() || heard.instance.len() > MAX_INSTANCE {
            return self.gone(&heard.instance);
        }
        let on_link = heard.ips.iter().any(|ip| links.contains(*ip));
        let known = self.entries.iter().position(|entry| entry.heard.instance == heard.instance);
        let beside = self.entries.iter().enumerate().filter(|(at, entry)| {
            Some(*at) != known && entry.heard.ips.iter().any(|ip| heard.ips.contains(ip))
        });
        if beside.count() >= MAX_OF_ADDRESS {
            return self.gone(&heard.instance);
        }
        let entry = Entry { heard, on_link, at: now };
        if let Some(known) = known.and_then(|at| self.entries.get_mut(at)) {
            *known = entry;
            return;
        }
        if self.entries.len() >= MAX_NEAR {
            // An address on our own link is harder to make up than one behind it.
            let weaker = self.entries.iter().rposition(|known| on_link && !known.on_link);
            let Some(weaker) = weaker else { return };
            self.entries.remove(weaker);
        }
        self.entries.push(entry);
    }

    /// It has taken leave.
    pub fn gone(&mut self, instance: &str) {
        self.entries.retain(|entry| entry.heard.instance != instance);
    }

    /// Drops what was not heard for long.
    pub fn expire(&mut self, now: Instant) {
        self.entries.retain(|entry| now.saturating_duration_since(entry.at) < EXPIRY);
    }

    /// The networks, each once, in the order of appearance. Whoever announces the same key beside is taken for a tracker of
    /// its own that stands by: in the order of addresses, so that all who hear the same try the same one first.
    pub fn list(&self) -> Vec<NearNetwork> {
        let mut keys: Vec<PeerId> = Vec::new();
        for Entry { heard, .. } in &self.entries {
            if !keys.contains(&heard.said.key) {
                keys.push(heard.said.key);
            }
        }
        let of =
            |key| self.entries.iter().map(|entry| &entry.heard).filter(move |h| h.said.key == key);
        keys.into_iter().filter_map(|key| NearNetwork::new(of(key))).collect()
    }
}

impl NearNetwork {
    /// Of all that announce one key.
    fn new<'a>(heard: impl Iterator<Item = &'a Heard>) -> Option<Self> {
        let mut heard: Vec<_> = heard.collect();
        let Announced { key, name, closed, .. } = heard.first()?.said.clone();
        heard.sort_by_key(|heard| (heard.ips.clone(), heard.said.port));
        let mut addrs: Vec<SocketAddr> = Vec::new();
        let mut join: Option<JoinString> = None;
        for Heard { said, ips, .. } in heard {
            let mut new: Vec<_> = ips.iter().map(|ip| SocketAddr::new(*ip, said.port)).collect();
            new.retain(|addr| !addrs.contains(addr));
            new.truncate((2 * MAX_ADDRS).saturating_sub(addrs.len()));
            let hosts: Vec<String> = new.iter().map(|addr| addr.ip().to_string()).collect();
            let hosts = hosts.iter().map(|host| (host.as_str(), said.port));
            join = match join {
                // A standby is one address: of a machine's the best.
                Some(join) => Some(join.with_standbys(hosts.take(1))),
                None => Some(
                    JoinString::new(key, hosts.clone().next()?.0, said.port, None)
                        .ok()?
                        .with_more(hosts),
                ),
            };
            addrs.extend(new);
        }
        Some(Self { key, name, closed, addrs, join: join? })
    }
}

/// Those addresses that a machine near can have, best first: on one of our own links before private ones, IPv4 before
/// IPv6. Link-local IPv6 needs an interface beside it, which a join string has not.
fn near(ips: &[IpAddr], links: &OnLink, loopback: bool) -> Vec<IpAddr> {
    let rank = |ip: &IpAddr| match ip {
        _ if ip.is_loopback() => loopback.then_some((0, ip.is_ipv6())),
        _ if !is_of_a_machine(*ip) => None,
        _ if links.contains(*ip) => Some((0, ip.is_ipv6())),
        _ if is_private(*ip) => Some((1, ip.is_ipv6())),
        _ => None,
    };
    let mut near: Vec<_> =
        ips.iter().map(IpAddr::to_canonical).filter_map(|ip| Some((rank(&ip)?, ip))).collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(MAX_ADDRS);
    near.into_iter().map(|(_, ip)| ip).collect()
}

fn is_of_a_machine(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_unicast_link_local(),
    }
}

/// RFC 1918, RFC 6598 (behind a provider's NAT, and tunnels), RFC 4193.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::Prefix;

    fn heard(n: u8, ips: &[&str]) -> Heard {
        Heard {
            instance: format!("tracker {n}"),
            said: Announced::new(PeerId::from_bytes([n; 32]), 7420, &format!("lab {n}"), n == 9),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    fn links() -> OnLink {
        OnLink::new([Prefix::new("203.0.113.7".parse().unwrap(), 24)])
    }

    fn shown(table: &Table) -> Vec<String> {
        table.list().iter().map(|near| format!("{} {:?}", near.name, near.addrs)).collect()
    }

    #[test]
    fn a_tracker_is_listed_until_it_leaves_or_is_not_heard_any_more() {
        let (mut table, start) = (Table::default(), Instant::now());
        table.hear(heard(1, &["192.168.1.5", "fe80::1"]), &links(), false, start);
        table.hear(heard(9, &["fd00::5", "10.0.0.7"]), &links(), false, start);
        assert_eq!(
            shown(&table),
            ["lab 1 [192.168.1.5:7420]", "lab 9 [10.0.0.7:7420, [fd00::5]:7420]"]
        );
        let near = table.list();
        assert!(near[1].closed && !near[0].closed && near[1].join.secret().is_none());
        let key = PeerId::from_bytes([1; 32]);
        assert_eq!(near[0].join.to_string(), format!("shoal://{key}@192.168.1.5:7420"));
        // Heard again, elsewhere: it keeps its row.
        let later = start + EXPIRY / 2;
        table.hear(heard(1, &["192.168.1.6"]), &links(), false, later);
        assert_eq!(shown(&table)[0], "lab 1 [192.168.1.6:7420]");
        table.expire(start + EXPIRY);
        assert_eq!(shown(&table), ["lab 1 [192.168.1.6:7420]"]);
        table.gone("tracker 1");
        assert!(table.list().is_empty());
    }

    #[test]
    fn s13_nothing_but_machines_near_is_listed() {
        let mut table = Table::default();
        for far in ["8.8.8.8", "127.0.0.1", "::1", "0.0.0.0", "224.0.0.251", "255.255.255.255"] {
            table.hear(heard(1, &[far]), &links(), false, Instant::now());
            assert!(table.list().is_empty(), "{far}");
        }
        for far in ["2001:db8::1", "fe80::7", "ff02::fb", "::", "172.32.0.1", "100.128.0.1"] {
            table.hear(heard(1, &[far]), &links(), false, Instant::now());
            assert!(table.list().is_empty(), "{far}");
        }
        for near in ["203.0.113.9", "::ffff:10.0.0.1", "172.31.0.1", "100.64.0.1", "fd12::1"] {
            table.hear(heard(1, &[near]), &links(), false, Instant::now());
            assert_eq!(table.list().len(), 1, "{near}");
            // What moves away is not near any more.
            table.hear(heard(1, &["8.8.8.8"]), &links(), false, Instant::now());
            assert!(table.list().is_empty());
        }
    }

    #[test]
    fn s13_a_flood_of_announcements_takes_bounded_room() {
        let (mut table, now) = (Table::default(), Instant::now());
        table.hear(heard(1, &["10.0.0.1"]), &links(), false, now);
        for n in 0..200u8 {
            // One machine that plays many, then many.
            table.hear(heard(n.max(2), &["10.0.0.66"]), &links(), false, now);
        }
        assert_eq!(table.list().len(), 1 + MAX_OF_ADDRESS);
        for n in 100..=255u8 {
            table.hear(heard(n, &[&format!("10.1.0.{n}")]), &links(), false, now);
        }
        assert_eq!(table.list().len(), MAX_NEAR);
        assert_eq!(table.list()[0].name, "lab 1");
        // One on an own link takes the place of one that is behind it.
        table.hear(
            Heard { instance: "x".to_owned(), ..heard(250, &["203.0.113.8"]) },
            &links(),
            false,
            now,
        );
        assert_eq!(table.list().len(), MAX_NEAR);
        assert_eq!(table.list().last().unwrap().name, "lab 250");
        // Who was heard cannot come to more at one address by changing it.
        table.hear(heard(1, &["10.0.0.66"]), &links(), false, now);
        assert!(table.list().iter().all(|near| near.name != "lab 1"));
        // The same key under many names is one network, at no more addresses than a join string has.
        let mut table = Table::default();
        for n in 0..20u8 {
            let one = Heard { instance: n.to_string(), ..heard(1, &[&format!("10.2.0.{n}")]) };
            table.hear(one, &links(), false, now);
        }
        let list = table.list();
        assert_eq!((list.len(), list[0].addrs.len()), (1, 2 * MAX_ADDRS));
        assert_eq!(list[0].join.standbys().count(), 2 * MAX_ADDRS - 1);
    }

    #[test]
    fn b1_two_trackers_of_one_key_near_are_two_hosts_in_one_order_for_all() {
        let (first, second) = (heard(1, &["10.0.0.1", "fd00::1"]), heard(1, &["10.0.0.2"]));
        let second = Heard { instance: "another".to_owned(), ..second };
        for order in [[&first, &second], [&second, &first]] {
            let mut table = Table::default();
            order
                .iter()
                .for_each(|one| table.hear((*one).clone(), &links(), false, Instant::now()));
            let list = table.list();
            assert_eq!((list.len(), list[0].addrs.len()), (1, 3));
            let key = PeerId::from_bytes([1; 32]);
            let join = format!("shoal://{key}@10.0.0.1:7420,10.0.0.2:7420?h=[fd00::1]");
            assert_eq!(list[0].join.to_string(), join);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_heard_the_list_is_bounded_and_can_be_joined(
            all in prop::collection::vec((0u8..12, any::<u128>(), any::<u32>(), 0u64..400), 0..120),
        ) {
            let (mut table, start) = (Table::default(), Instant::now());
            for (n, v6, v4, after) in all {
                let ips = vec![IpAddr::V6(v6.into()), IpAddr::V4(v4.into()), IpAddr::V4((0x0a00_0000 | (v4 & 3)).into())];
                let now = start + Duration::from_secs(after);
                table.hear(Heard { ips, ..heard(n, &[]) }, &links(), false, now);
                let list = table.list();
                prop_assert!(list.len() <= MAX_NEAR);
                for near in list {
                    prop_assert!(!near.addrs.is_empty() && near.addrs.len() <= 2 * MAX_ADDRS);
                    let text = near.join.to_string();
                    prop_assert_eq!(text.parse::<JoinString>().unwrap().tracker(), near.key);
                }
            }
        }
    }
}
