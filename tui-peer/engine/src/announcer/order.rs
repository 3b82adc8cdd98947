//! PURE. At which of the trackers of its network a peer looks next, and when it looks for one before that.
//!
//! Trackers with one key are tried in strict order, so that all peers are at the same one. The next is tried only once
//! those before it were out of reach for a while, whether they refuse, are silent, or are somebody else; and who is not at
//! the first looks for those before, and goes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::join::JoinString;
use common::numbers::saturate;
use common::tracker_hosts::TrackerHosts;

use super::hosts::{Host, remembered, told_by_present};
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

/// How a try or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// There was a connection, and it is gone.
    Lost,
    /// It could not be reached with a try that began then.
    Unreached(Instant),
    /// It asked us to stay away for so long.
    SentAway(Duration),
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
    /// Why the last look for one before the present one found none.
    vain: Option<String>,
    /// How long the present one has to be out of reach.
    window: Duration,
    waits: Waits,
}

impl Order {
    pub(super) fn new(join: &JoinString, list: Option<&TrackerHosts>, waits: Waits) -> Self {
        Self { hosts: remembered(join, list), at: 0, vain: None, window: waits.away, waits }
    }

    /// The tracker that we are at, at `addr`, named its hosts. What is known of those that stay is kept.
    pub(super) fn relist(&mut self, join: &JoinString, list: &TrackerHosts, addr: SocketAddr) {
        let (mut hosts, at) = told_by_present(join, list, (&self.host(), addr));
        for host in &mut hosts {
            let known = self.hosts.iter().find(|known| host.meets(known));
            host.away = known.and_then(|known| known.away);
        }
        (self.hosts, self.at) = (hosts, at);
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
            vain: self.vain.clone(),
        })
    }

    /// It let us in.
    pub(super) fn welcomed(&mut self) {
        self.vain = None;
        if let Some(host) = self.hosts.get_mut(self.at) {
            host.away = None;
        }
    }

    /// Those before the present one in the order they are looked for. One that only the join string names is not gone back
    /// to from one that the tracker names: it may have moved.
    pub(super) fn before(&self) -> Vec<(usize, Host)> {
        let listed = self.hosts.get(self.at).is_some_and(|host| host.listed);
        let before = self.hosts.iter().enumerate().take(self.at);
        before
            .filter(|(_, host)| host.listed || !listed)
            .map(|(at, host)| (at, host.clone()))
            .collect()
    }

    /// When those are looked for next. `spread`: over which time the tracker wants a crowd to come.
    pub(super) fn look_after(&self, spread: Duration, rng: &mut fastrand::Rng) -> Duration {
        self.waits.look.max(spread).mul_f64(0.5 + rng.f64())
    }

    /// None of those before the present one let us in; whether that is news.
    pub(super) fn looked_in_vain(&mut self, why: String) -> bool {
        let why = Some(why);
        why != std::mem::replace(&mut self.vain, why.clone())
    }

    /// The present tracker is at this place in the order: under that name it was just found.
    pub(super) fn is_at(&mut self, at: usize) {
        self.at = at;
        self.welcomed();
    }

    /// That one let us in.
    pub(super) fn went_back_to(&mut self, earlier: usize) {
        self.at = earlier;
    }

    /// A try or a connection ended: chooses the next.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        how: How,
        spread: Duration,
        rng: &mut fastrand::Rng,
    ) -> Next {
        let (at, is_last) = (self.at, self.at + 1 >= self.hosts.len());
        let Some(host) = self.hosts.get_mut(at) else { return Next::Pause(None) };
        let since = match how {
            How::Refused => {
                (host.away, self.at) = (None, 0);
                return Next::Pause(None);
            }
            How::Lost | How::SentAway(_) => {
                // Everybody lost it at the same moment.
                self.window = self.waits.away + spread.min(MOST_SPREAD).mul_f64(rng.f64());
                match how {
                    How::SentAway(pause) => now + pause,
                    _ => now,
                }
            }
            How::Unreached(began) => host.away.unwrap_or(began),
        };
        host.away = Some(since);
        let left = (since + self.window).saturating_duration_since(now);
        match how {
            How::Lost | How::SentAway(_) if at > 0 => {
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

#[cfg(test)]
mod tests {
    use common::identity::Identity;
    use common::tracker_hosts::Listed;
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

    /// The order of one who is at that host when a tracker sends a list.
    fn relisted(hosts: &str, at: usize, listed: Listed, told: &[&str]) -> Order {
        let mut order = order(hosts);
        order.at = at;
        order.welcomed();
        order.relist(&join(hosts), &list(listed, told), "10.0.0.9:7420".parse().unwrap());
        order
    }

    fn shown(order: &Order) -> (String, Option<String>) {
        let at = order.place().unwrap();
        (format!("{} {}/{}", at.address, at.place, at.of), at.back_to)
    }

    #[test]
    fn b1_a_list_leaves_us_where_we_are_and_says_where_to_go_back_to() {
        let alone = order("b");
        assert!(
            alone.place().is_none()
                && alone.before().is_empty()
                && alone.limit(Instant::now()).is_none()
        );
        let order = relisted("b", 0, Listed::Trackers, &["a", "b"]);
        assert_eq!(shown(&order), ("b:7420 2/2".to_owned(), Some("a:7420".to_owned())));
        // It moved from a: that is not gone back to.
        let mut order = relisted("b", 0, Listed::Addresses, &["c"]);
        order.at = 1;
        assert_eq!(shown(&order), ("c:7420 2/2".to_owned(), None));
    }

    #[test]
    fn b1_who_is_where_no_list_says_returns_to_those_of_the_list() {
        // Of a, b only a is listed, and c.
        let order = relisted("a,b", 1, Listed::Trackers, &["a", "c"]);
        assert_eq!(shown(&order), ("b:7420 3/3".to_owned(), Some("a:7420".to_owned())));
        let before: Vec<String> = order.before().iter().map(|(_, host)| host.address()).collect();
        assert_eq!(before, ["a:7420", "c:7420"]);
    }

    #[test]
    fn b1_a_list_without_the_present_tracker_does_not_name_another_as_the_present_one() {
        let mut order = relisted("a", 0, Listed::Trackers, &["a", "b"]);
        order.at = 1;
        order.relist(
            &join("a"),
            &list(Listed::Trackers, &["a", "c"]),
            "10.0.0.9:7420".parse().unwrap(),
        );
        assert_eq!(shown(&order), ("b:7420 3/3".to_owned(), Some("a:7420".to_owned())));
    }

    #[test]
    fn b1_a_list_of_strange_names_counts_once_a_tracker_sends_it() {
        let order = relisted("x", 0, Listed::Trackers, &["a", "b"]);
        assert_eq!(shown(&order), ("x:7420 3/3".to_owned(), Some("a:7420".to_owned())));
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
    fn b1_who_is_sent_away_is_patient_until_that_time_is_over() {
        let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
        for asked in [0, 20, 60] {
            let mut order = order("a,b");
            order.welcomed();
            let asked = SECOND * asked;
            let Next::Pause(Some(left)) =
                order.ended(now, How::SentAway(asked), SECOND * 20, &mut rng)
            else {
                panic!("a pause")
            };
            assert!(left >= asked + SECOND * 5 && left <= asked + SECOND * 8, "{left:?}");
            // Somebody was impatient: the next one is not tried for that.
            let how = How::Unreached(now + SECOND);
            let next = order.ended(now + SECOND, how, SECOND * 20, &mut rng);
            assert_eq!((next, order.at), (Next::Pause(Some(left - SECOND)), 0));
            let next = order.ended(now + left, How::Unreached(now + left), SECOND, &mut rng);
            assert_eq!((next, order.at), (Next::Now, 1));
        }
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
