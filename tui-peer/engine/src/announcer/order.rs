//! PURE. At which of the trackers of its network a peer looks next, and when it looks for one before that.
//!
//! Trackers with one key are tried in strict order, so that all peers are at the same one. The next is tried only once
//! those before it were out of reach for a while, whether they refuse, are silent, or are somebody else; and who is not at
//! the first looks for those before, and goes back.

use std::time::{Duration, Instant};

use common::join::{JoinString, host_and_port};
use common::numbers::saturate;
use common::tracker_hosts::{Listed, TrackerHosts};

use crate::api::snapshot::TrackerAt;

/// Most that is added to the time a tracker has to be out of reach, so that not all come to the next at once: with it
/// everybody is there within ten seconds.
const MOST_SPREAD: Duration = Duration::from_secs(3);

/// How long a peer is patient with trackers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// A tracker has to be out of reach for so long before the next is tried. A restart takes less.
    pub(super) away: Duration,
    /// How often one before the present one is looked for; between half and one and a half of it.
    pub(super) look: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { away: Duration::from_secs(5), look: Duration::from_secs(30) }
    }
}

/// A machine with a tracker of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// Names or addresses, best first.
    addrs: Vec<(String, u16)>,
    /// Whether the join string names it. Else it is only a tracker's word.
    named: bool,
    /// Whether the signed list of trackers names it.
    listed: bool,
    /// Since when it is out of reach, as far as is known.
    away: Option<Instant>,
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
    fn meets(&self, other: &Self) -> bool {
        self.addrs().any(|(host, port)| other.has(host, port))
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

/// How a try or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// There was a connection, and it is gone.
    Lost,
    /// It could not be reached with a try that began then.
    Unreached(Instant),
    /// It is there and does not want us: no reason to go to another.
    Refused,
}

/// When the next try begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    /// After the usual pause, but at most after this.
    Pause(Option<Duration>),
}

/// The trackers of a network, and at which one we are.
#[derive(Debug)]
pub(super) struct Order {
    /// Never empty.
    hosts: Vec<Host>,
    /// The one that is tried, or connected to.
    at: usize,
    /// The one that was left for a try at an earlier one.
    left: Option<usize>,
    /// How long the present one has to be out of reach.
    window: Duration,
    waits: Waits,
}

impl Order {
    pub(super) fn new(join: &JoinString, list: Option<&TrackerHosts>, waits: Waits) -> Self {
        Self { hosts: hosts(join, list), at: 0, left: None, window: waits.away, waits }
    }

    /// The tracker named its hosts. What is known of those that stay is kept.
    pub(super) fn relist(&mut self, join: &JoinString, list: &TrackerHosts) {
        let before = std::mem::replace(&mut self.hosts, hosts(join, Some(list)));
        for host in &mut self.hosts {
            let known = before.iter().find(|known| host.meets(known));
            host.away = known.and_then(|known| known.away);
        }
        let present = before.get(self.at);
        let is_present = |host: &Host| present.is_some_and(|present| host.meets(present));
        (self.at, self.left) = (self.hosts.iter().position(is_present).unwrap_or(0), None);
    }

    /// The one that is tried, or connected to.
    pub(super) fn host(&self) -> Host {
        self.hosts.get(self.at).cloned().unwrap_or_default()
    }

    /// Time for a try that begins now; `None` where there is no other that would wait for it.
    pub(super) fn limit(&self, now: Instant) -> Option<Duration> {
        let away = self.waits.away;
        let host = self.hosts.get(self.at)?;
        let given_up = host.away.map(|since| since + self.window);
        // Long after that it is as at first.
        let soon = given_up.filter(|at| now < *at + away);
        match soon.map(|at| at.saturating_duration_since(now)) {
            _ if self.is_alone() => None,
            // The first has its turn again.
            _ if self.at + 1 >= self.hosts.len() => Some(away * 2),
            // The next waits for no more than is left, but for a try that can succeed.
            Some(left) => Some(left.clamp(away * 2 / 5, away)),
            None => Some(away),
        }
    }

    pub(super) fn is_first(&self) -> bool {
        self.at == 0
    }

    pub(super) fn is_alone(&self) -> bool {
        self.hosts.len() == 1
    }

    /// Where we are, if there is more than one.
    pub(super) fn place(&self) -> Option<TrackerAt> {
        (!self.is_alone()).then(|| TrackerAt {
            address: self.host().address(),
            place: saturate::<u32>(self.at + 1),
            of: saturate::<u32>(self.hosts.len()),
            back_to: self.before().first().map(|(_, host)| host.address()),
        })
    }

    /// It let us in.
    pub(super) fn welcomed(&mut self) {
        self.left = None;
        if let Some(host) = self.hosts.get_mut(self.at) {
            host.away = None;
        }
    }

    /// Those before the present one by the same word, in the order they are looked for. One that only the join string
    /// names is not gone back to from one that the tracker names: it may have moved.
    pub(super) fn before(&self) -> Vec<(usize, Host)> {
        let listed = self.hosts.get(self.at).is_some_and(|host| host.listed);
        let before = self.hosts.iter().enumerate().take(self.at);
        before
            .filter(|(_, host)| host.listed == listed)
            .map(|(at, host)| (at, host.clone()))
            .collect()
    }

    /// When those are looked for next. `spread`: over which time the tracker wants a crowd to come.
    pub(super) fn look_after(&self, spread: Duration, rng: &mut fastrand::Rng) -> Duration {
        self.waits.look.max(spread).mul_f64(0.5 + rng.f64())
    }

    /// Tries that one, which was found, and comes back if it does not let us in.
    pub(super) fn go_back_to(&mut self, earlier: usize) {
        self.left = Some(std::mem::replace(&mut self.at, earlier));
    }

    /// A try or a connection ended: chooses the next.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        how: How,
        spread: Duration,
        rng: &mut fastrand::Rng,
    ) -> Next {
        if let Some(left) = self.left.take() {
            self.at = left;
            return Next::Now;
        }
        let (at, is_last) = (self.at, self.at + 1 >= self.hosts.len());
        let Some(host) = self.hosts.get_mut(at) else { return Next::Pause(None) };
        let since = match how {
            How::Refused => {
                (host.away, self.at) = (None, 0);
                return Next::Pause(None);
            }
            How::Lost => {
                // Everybody lost it at the same moment.
                self.window = self.waits.away + spread.min(MOST_SPREAD).mul_f64(rng.f64());
                now
            }
            How::Unreached(began) => host.away.unwrap_or(began),
        };
        host.away = Some(since);
        let left = (since + self.window).saturating_duration_since(now);
        match how {
            How::Lost if at > 0 => {
                self.at = 0;
                Next::Pause(Some(left))
            }
            _ if is_last => {
                self.at = 0;
                Next::Pause(None)
            }
            _ if left.is_zero() => {
                self.at += 1;
                Next::Now
            }
            _ => Next::Pause(Some(left)),
        }
    }
}

/// All hosts in the order they are tried. The tracker's word about the order counts, so that all peers have the same, if it
/// names a host of the join string; what it says beyond or besides that comes last.
fn hosts(join: &JoinString, list: Option<&TrackerHosts>) -> Vec<Host> {
    let first = Host::new(join.addresses(), true);
    let standbys = join.standbys().map(|host| Host::new([host], true));
    let mut joined: Vec<Host> = std::iter::once(first).chain(standbys).collect();
    let Some(list) = list else { return joined };
    let told = list.hosts().iter().map(|(host, port)| (host.as_str(), *port));
    let is_named = |(host, port)| joined.iter().any(|known| known.has(host, port));
    if list.listed() == Listed::Addresses {
        let unknown: Vec<_> = told.filter(|host| !is_named(*host)).collect();
        if !unknown.is_empty() {
            joined.push(Host { listed: true, ..Host::new(unknown, false) });
        }
        return joined;
    }
    let alone = |host| Host { listed: true, ..Host::new([host], false) };
    if !told.clone().any(is_named) {
        joined.extend(told.map(alone));
        return joined;
    }
    let mut listed: Vec<Host> = Vec::new();
    for (host, port) in told {
        match joined.iter().position(|known| known.has(host, port)) {
            Some(at) => listed.push(Host { listed: true, ..joined.remove(at) }),
            // The first host may be listed by two of its addresses.
            None if listed.iter().any(|known| known.has(host, port)) => {}
            None => listed.push(alone((host, port))),
        }
    }
    listed.extend(joined);
    listed
}

#[cfg(test)]
mod tests {
    use common::identity::Identity;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> Identity {
        Identity::from_seed(&[200; 32]).unwrap()
    }

    fn join(hosts: &str) -> JoinString {
        format!("shoal://{}@{hosts}", key().peer_id()).parse().unwrap()
    }

    fn list(listed: Listed, hosts: &[&str]) -> TrackerHosts {
        let hosts: Vec<_> = hosts.iter().map(|host| ((*host).to_owned(), 7420)).collect();
        let signed = TrackerHosts::issue(&key(), 1, listed, &hosts);
        TrackerHosts::verify(&signed, &key().peer_id()).unwrap()
    }

    fn order(hosts: &str) -> Order {
        Order::new(&join(hosts), None, Waits::default())
    }

    /// The first name of each host; in capitals those that are only a tracker's word.
    fn shown(order: &Order) -> String {
        let name = |host: &Host| match host.named {
            true => host.addrs[0].0.clone(),
            false => host.addrs[0].0.to_uppercase(),
        };
        order.hosts.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn b1_the_trackers_own_order_counts_for_all_who_know_one_of_its_hosts() {
        let waits = Waits::default();
        for (joined, listed, hosts, wanted) in [
            ("a,b", None, &[] as &[&str], "a b"),
            ("a?h=x", None, &[], "a"),
            // Who came with one of them has the same order as all others.
            ("a", Some(Listed::Trackers), &["a", "b", "c"], "a B C"),
            ("b", Some(Listed::Trackers), &["a", "b", "c"], "A b C"),
            ("c,a", Some(Listed::Trackers), &["a", "b", "c"], "a B c"),
            ("a,x", Some(Listed::Trackers), &["b", "a"], "B a x"),
            ("x?h=a", Some(Listed::Trackers), &["a", "x", "b"], "x B"),
            // It names none of ours: ours may be newer.
            ("x", Some(Listed::Trackers), &["a", "b"], "x A B"),
            // Addresses of one tracker, as it may move.
            ("a", Some(Listed::Addresses), &["a", "b", "c"], "a B"),
            ("a", Some(Listed::Addresses), &["a"], "a"),
        ] {
            let list = listed.map(|listed| list(listed, hosts));
            let order = Order::new(&join(joined), list.as_ref(), waits);
            assert_eq!(shown(&order), wanted, "{joined} {listed:?} {hosts:?}");
        }
    }

    #[test]
    fn b1_a_list_leaves_us_where_we_are_and_says_where_to_go_back_to() {
        let mut order = order("b");
        order.welcomed();
        assert!(
            order.place().is_none()
                && order.before().is_empty()
                && order.limit(Instant::now()).is_none()
        );
        order.relist(&join("b"), &list(Listed::Trackers, &["a", "b"]));
        let at = order.place().unwrap();
        assert_eq!((at.address.as_str(), at.place, at.of), ("b:7420", 2, 2));
        assert_eq!(at.back_to.as_deref(), Some("a:7420"));
        // It moved from a: that is not gone back to.
        order.relist(&join("b"), &list(Listed::Addresses, &["c"]));
        order.at = 1;
        assert!(order.before().is_empty() && order.place().unwrap().back_to.is_none());
    }

    /// Plays a network with virtual time: `up(host, at)` says whether a tracker answers then. Returns when which one let
    /// us in.
    fn play(
        order: &mut Order,
        seed: u64,
        (lost, until): (Duration, Duration),
        up: impl Fn(usize, Duration) -> Option<bool>,
    ) -> Option<(usize, Duration)> {
        let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(seed));
        let spread = Duration::from_secs(20);
        let mut now = lost;
        let mut next = order.ended(start + now, How::Lost, spread, &mut rng);
        while now < until {
            now += match next {
                Next::Now => Duration::ZERO,
                Next::Pause(most) => SECOND.min(most.unwrap_or(SECOND)),
            };
            let began = now;
            let how = match up(order.at, now) {
                Some(true) => return Some((order.at, now)),
                // Refused at once.
                Some(false) => How::Unreached(start + began),
                // Accepted, and then nothing.
                None => {
                    now += order.limit(start + now).unwrap();
                    How::Unreached(start + began)
                }
            };
            next = order.ended(start + now, how, spread, &mut rng);
        }
        None
    }

    #[test]
    fn b1_the_next_is_tried_after_five_seconds_and_reached_within_ten() {
        let mut all: Vec<u128> = Vec::new();
        for seed in 0..200 {
            for first in [Some(false), None] {
                let mut order = order("a,b");
                order.welcomed();
                let (at, when) = play(&mut order, seed, (SECOND * 60, SECOND * 100), |host, _| {
                    if host == 0 { first } else { Some(true) }
                })
                .unwrap();
                let took = when - SECOND * 60;
                assert!(at == 1 && took >= SECOND * 5 && took <= SECOND * 10, "{first:?} {took:?}");
                all.push(took.as_millis());
            }
        }
        // Not all at once.
        all.sort_unstable();
        assert!(all[all.len() * 3 / 4] - all[all.len() / 4] > 1000, "{all:?}");
    }

    #[test]
    fn b1_a_restart_of_the_first_sends_nobody_to_the_next() {
        for seed in 0..100 {
            let mut order = order("a,b");
            order.welcomed();
            let (at, when) = play(&mut order, seed, (SECOND, SECOND * 60), |host, now| {
                Some(host == 1 || now > SECOND * 4)
            })
            .unwrap();
            assert!(at == 0 && when <= SECOND * 6, "{when:?}");
        }
    }

    #[test]
    fn b1_both_gone_and_whichever_is_back_is_found() {
        for back in [0, 1] {
            for first in [Some(false), None] {
                let mut order = order("a,b");
                order.at = 1;
                order.welcomed();
                let (at, when) = play(&mut order, 1, (SECOND, SECOND * 600), |host, now| {
                    if host == back && now > SECOND * 300 { Some(true) } else { first }
                })
                .unwrap();
                assert!(at == back && when < SECOND * 320, "{back} {when:?}");
            }
        }
    }

    #[test]
    fn b1_a_tracker_that_refuses_is_there() {
        let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
        let mut order = order("a,b");
        for late in 0..100 {
            let next = order.ended(now + SECOND * late, How::Refused, SECOND, &mut rng);
            assert_eq!((next, order.at), (Next::Pause(None), 0));
        }
    }

    #[test]
    fn b1_who_goes_back_in_vain_is_where_it_was_at_once() {
        let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
        let mut order = order("a,b,c");
        order.at = 2;
        order.welcomed();
        let before: Vec<usize> = order.before().iter().map(|(at, _)| *at).collect();
        assert_eq!(before, [0, 1]);
        for how in [How::Refused, How::Unreached(now), How::Lost] {
            order.go_back_to(0);
            assert_eq!(order.ended(now, how, SECOND, &mut rng), Next::Now);
            assert_eq!(order.at, 2, "{how:?}");
        }
        order.go_back_to(0);
        order.welcomed();
        assert_eq!(order.ended(now, How::Refused, SECOND, &mut rng), Next::Pause(None));
    }

    #[test]
    fn b1_all_go_back_but_not_at_once() {
        let order = order("a,b");
        let look = |seed, spread| {
            order.look_after(spread, &mut fastrand::Rng::with_seed(seed)).as_millis()
        };
        let mut all: Vec<u128> = (0..1000).map(|seed| look(seed, SECOND)).collect();
        all.sort_unstable();
        assert!(all[0] >= 15_000 && all[999] <= 45_000);
        for (tenth, at) in all.chunks(100).enumerate() {
            let most = 15_000 + 3_000 * (tenth as u128 + 1) + 1_500;
            assert!(at[99] < most, "a tenth of them in a tenth of the time: {tenth} {}", at[99]);
        }
        assert!(look(1, SECOND * 60) >= 30_000, "a crowd has longer");
    }

    proptest! {
        /// Whatever happens: no tracker is tried while one before it was not out of reach for five seconds.
        #[test]
        fn b1_strict_order(seed: u64, ups in prop::collection::vec((0u64..40, 0u8..4), 3)) {
            let mut order = order("a,b,c");
            order.welcomed();
            let up = |host: usize, now: Duration| {
                let (from, kind) = ups[host];
                match now >= SECOND * u32::try_from(from).unwrap() {
                    true => [Some(true), Some(false), None, Some(true)][usize::from(kind)],
                    false => Some(false),
                }
            };
            let lost = SECOND;
            if let Some((at, when)) = play(&mut order, seed, (lost, SECOND * 120), up) {
                prop_assert!(when >= lost + SECOND * 5 * u32::try_from(at).unwrap());
            }
        }
    }
}
