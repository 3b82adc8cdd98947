//! How fast may be dialled: a tracker that lies about who has what must not make its peers knock at third
//! parties. Whoever proves to be the peer that was meant costs nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use common::id::PeerId;
use common::limits::MAX_ADDRS;
use common::net::{OnLink, Subnet};

use super::time::Time;

/// Connections a second to one IPv4 /24 or IPv6 /64, and as many at once; what nobody notices.
const PER_SUBNET: f64 = 5.0;
/// Connections a second in all,
const IN_ALL: f64 = 50.0;
/// and at once: what a start with many downloads takes.
const BURST: f64 = 200.0;
/// Addresses tried in one dial.
pub(super) const MAX_TRIES: usize = MAX_ADDRS;

/// And of these in one network.
const MAX_OF_SUBNET: usize = 2;

/// Tokens that come back with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Time,
}

impl Bucket {
    fn full(burst: f64, now: Time) -> Self {
        Self { tokens: burst, filled: now }
    }

    fn fill(&mut self, rate: f64, burst: f64, now: Time) {
        let earned = now.since(self.filled).as_secs_f64() * rate;
        (self.tokens, self.filled) = ((self.tokens + earned).min(burst), now);
    }

    fn has_one(&self) -> bool {
        self.tokens >= 1.0
    }
}

/// The tokens, and who holds which.
#[derive(Debug, Default)]
pub(super) struct DialRate {
    all: Option<Bucket>,
    /// Those that are not full; at most some hundred, since dials in all are few.
    subnets: BTreeMap<Subnet, Bucket>,
    /// For each dial under way: where to, for each address tried; exempt ones have no subnet.
    held: BTreeMap<PeerId, Vec<Option<Subnet>>>,
    /// Somebody found no token since one was given back last.
    pub(super) short: bool,
}

impl DialRate {
    /// Lets time pass.
    pub(super) fn refill(&mut self, now: Time) {
        let all = self.all.get_or_insert(Bucket::full(BURST, now));
        all.fill(IN_ALL, BURST, now);
        self.subnets.retain(|_, bucket| {
            bucket.fill(PER_SUBNET, PER_SUBNET, now);
            bucket.tokens < PER_SUBNET
        });
    }

    /// Whether anything at all may be dialled now.
    pub(super) fn has_token(&mut self) -> bool {
        let may = self.all.is_some_and(|all| all.has_one());
        self.short |= !may;
        may
    }

    /// Those of a peer's addresses that may be tried now, those on our own links first, else in their order: each takes a
    /// token. On-link addresses count in all only.
    pub(super) fn take(
        &mut self,
        peer: PeerId,
        addrs: &[SocketAddr],
        near: &OnLink,
    ) -> Vec<SocketAddr> {
        let (held, allowed) = self.choose(addrs, near);
        if !allowed.is_empty() {
            self.held.insert(peer, held);
        }
        allowed
    }

    /// The same for what nobody gives anything back of. What it does not get is not missed.
    pub(super) fn spend(&mut self, addrs: &[SocketAddr], near: &OnLink) -> Vec<SocketAddr> {
        let short = self.short;
        let (_, allowed) = self.choose(addrs, near);
        self.short = short;
        allowed
    }

    fn choose(
        &mut self,
        addrs: &[SocketAddr],
        near: &OnLink,
    ) -> (Vec<Option<Subnet>>, Vec<SocketAddr>) {
        let Some(all) = &mut self.all else { return Default::default() };
        let (mut held, mut allowed) = (Vec::new(), Vec::new());
        // Over our own link rather than through a router, and at once: some routers drop what turns round there. Over the
        // fastest of them, if the speeds of all are known (of a bond or a bridge it is not): machines with a network for
        // payload are known by their address in the other one too.
        let mut addrs: Vec<&SocketAddr> = addrs.iter().take(MAX_TRIES).collect();
        let speed = |addr: &SocketAddr| near.contains(addr.ip()).then(|| near.speed(addr.ip()));
        let all_known = addrs.iter().all(|addr| speed(addr) != Some(0));
        addrs.sort_by_key(|addr| {
            let speed = speed(addr);
            (speed.is_none(), Reverse(speed.filter(|_| all_known)))
        });
        for addr in addrs {
            let subnet = (!near.contains(addr.ip())).then(|| Subnet::of(addr.ip()));
            // One machine's addresses of IPv6 are many, and lead the same way.
            let same = held.iter().filter(|other| subnet.is_some() && **other == subnet).count();
            if same >= MAX_OF_SUBNET {
                continue;
            }
            let free = |subnet| self.subnets.get(subnet).is_none_or(Bucket::has_one);
            if !all.has_one() || !subnet.as_ref().is_none_or(free) {
                self.short = true;
                continue;
            }
            all.tokens -= 1.0;
            if let Some(subnet) = subnet {
                let full = Bucket::full(PER_SUBNET, all.filled);
                self.subnets.entry(subnet).or_insert(full).tokens -= 1.0;
            }
            held.push(subnet);
            allowed.push(*addr);
        }
        (held, allowed)
    }

    /// A dial is over. If the key was the expected one, what it took is given back.
    pub(super) fn ended(&mut self, peer: &PeerId, proven: bool) {
        let held = self.held.remove(peer).unwrap_or_default();
        if !proven {
            return;
        }
        for subnet in held {
            if let Some(all) = &mut self.all {
                all.tokens = (all.tokens + 1.0).min(BURST);
            }
            if let Some(bucket) = subnet.and_then(|subnet| self.subnets.get_mut(&subnet)) {
                bucket.tokens = (bucket.tokens + 1.0).min(PER_SUBNET);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        PeerId::from_bytes(bytes)
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// Connections tried in 23 s by one who dials as often as it may.
    fn tried(addrs: impl Fn(u32) -> Vec<SocketAddr>, near: &OnLink, proven: bool) -> usize {
        let (mut rate, mut count) = (DialRate::default(), 0);
        let mut n = 0;
        for ms in (0..23_000).step_by(100) {
            rate.refill(at(ms));
            for _ in 0..32 {
                n += 1;
                count += rate.take(peer(n), &addrs(n), near).len();
                rate.ended(&peer(n), proven);
            }
        }
        assert!(rate.held.is_empty() && rate.subnets.len() <= 300);
        count
    }

    #[test]
    fn s9_a_lying_tracker_makes_nobody_knock_hard() {
        let one: fn(u32) -> Vec<SocketAddr> = |n| vec![([203, 0, 113, n as u8], 22).into()];
        let many = |n: u32| vec![([8, (n >> 8) as u8, n as u8, 1], 22).into()];
        let four = |n: u32| {
            let host = |last| ([8, (n >> 8) as u8, n as u8, last], 22).into();
            vec![host(1), host(2), host(3), host(4), host(5)]
        };
        let nobody = OnLink::default();
        assert!((100..=121).contains(&tried(one, &nobody, false)), "5 and 5 a second");
        assert!((1200..=1351).contains(&tried(many, &nobody, false)), "200 and 50 a second");
        assert!((1200..=1351).contains(&tried(four, &nobody, false)));
        // Those who are who they should be cost nothing; 32 at once are more than 5.
        assert_eq!(tried(one, &nobody, true), 32 * 230);
        let near = OnLink::new([common::net::Prefix::new([203, 0, 113, 0].into(), 24)]);
        assert!(tried(one, &near, false) > 1200, "a crowd on the own link");
    }

    #[test]
    fn of_two_networks_that_both_are_in_the_faster_one_is_tried_first() {
        let prefix = |net: u8| common::net::Prefix::new([10, net, 0, 7].into(), 24);
        let near = OnLink::with_speeds([(prefix(1), 1_000), (prefix(2), 25_000), (prefix(3), 0)]);
        let at = |net: u8| SocketAddr::from(([10, net, 0, 1], 7421));
        let mut rate = DialRate::default();
        rate.refill(Time::from_micros(0));
        // One through a router.
        let known = [at(9), at(1), at(2)];
        assert_eq!(rate.take(peer(1), &known, &near), [at(2), at(1), at(9)]);
        // One whose speed nobody knows may be the fastest: all stay as they were told.
        let known = [at(9), at(3), at(1), at(2)];
        assert_eq!(rate.take(peer(3), &known, &near), [at(3), at(1), at(2), at(9)]);
        let nobody_says = OnLink::new([prefix(1), prefix(2), prefix(3)]);
        assert_eq!(rate.take(peer(2), &known, &nobody_says), [at(3), at(1), at(2), at(9)]);
    }

    #[test]
    fn s9_a_peer_with_several_addresses_is_tried_where_it_may_be() {
        let mut rate = DialRate::default();
        let nobody = OnLink::default();
        let near: SocketAddr = ([203, 0, 113, 1], 1).into();
        rate.refill(at(0));
        assert!(rate.has_token());
        for n in 0..5 {
            assert_eq!(rate.take(peer(n), &[near], &nobody), [near]);
        }
        assert!(!rate.short);
        let other: SocketAddr = ([198, 51, 100, 1], 1).into();
        assert_eq!(rate.take(peer(9), &[near, other], &nobody), [other]);
        assert!(rate.short);
        rate.ended(&peer(0), true);
        assert_eq!(rate.take(peer(8), &[near, near], &nobody), [near]);
        rate.refill(at(100));
        assert!(rate.take(peer(7), &[near], &nobody).is_empty());
        rate.refill(at(200));
        assert_eq!(rate.take(peer(7), &[near], &nobody), [near]);
    }
}
