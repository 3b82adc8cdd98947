//! PURE. When a router is asked to let others in, when again, and which of its answers count.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use super::{Granted, LIFETIME, Question, Why};
use crate::announcer::is_public;

/// How long the tracker has to find out whether others reach us: it spreads its looks over some seconds, and each may
/// take five.
const LOOKED_AT: Duration = Duration::from_secs(10);
/// Least time between two questions, whatever happens: a router is no more than a small computer, and may answer with
/// a lifetime of a second.
const LEAST_BETWEEN: Duration = Duration::from_secs(30);
/// A mapping for less is none: it would be gone before others were told of it.
const LEAST_LIFETIME: Duration = Duration::from_secs(120);
/// A mapping by which the tracker does not reach us for so long is of no use: it looks at a new address within ten seconds
/// ([`LOOKED_AT`]), and some routers need a minute until they do as they said.
const LEADS_NOWHERE: Duration = Duration::from_secs(120);
/// After so long a router that gave nothing is asked again, and after twice as long each time that it gives nothing ...
const AGAIN: Duration = Duration::from_secs(600);
/// ... but at least so often: it may have been set up, or be another.
const LONGEST_AGAIN: Duration = Duration::from_secs(2 * 3600);

/// Whether it is of use that a router lets others in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No: not wanted, no network, or nothing in between.
    Off,
    /// No: others reach us without it.
    Open,
    /// Nobody knows whether others reach us.
    Unsure,
    /// Others do not reach us.
    Shut,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Todo {
    /// Ask, and say what was [`Lease::answered`].
    Ask(Question),
    /// Give this back.
    GiveBack(Granted),
}

/// How we stand with the router.
#[derive(Debug)]
pub(crate) struct Lease {
    nonce: [u32; 3],
    port: Option<NonZeroU16>,
    standing: Standing,
    /// Since when it is as it is.
    since: Instant,
    /// Where the tracker sees us.
    seen_as: Option<Ipv4Addr>,
    state: State,
    /// What was granted last: to be had again, if that is possible.
    last: Option<SocketAddrV4>,
    /// When the last question was asked.
    asked: Option<Instant>,
    /// How often nothing was given, in a row.
    in_vain: u32,
    /// What is of no use any more.
    back: Option<Granted>,
}

#[derive(Debug)]
enum State {
    /// Nothing is held, nothing is known.
    Rest,
    /// There is a question, and perhaps what was held before.
    Asking(Question, Option<Held>),
    Held(Held),
    /// Nothing was given.
    Not {
        why: Why,
        again: Instant,
    },
}

#[derive(Debug, Clone, Copy)]
struct Held {
    granted: Granted,
    outside: SocketAddrV4,
    until: Instant,
    renew: Instant,
    /// When it will have led nowhere for too long, while others do not reach us.
    useless: Option<Instant>,
}

/// What is left with the router at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// This is held.
    Granted(Granted),
    /// This was asked, and may be granted yet.
    Asked(Question),
}

impl Lease {
    /// For TCP `port` of this machine; `nonce` is random.
    pub(crate) fn new(now: Instant, port: u16, nonce: [u32; 3]) -> Self {
        Self {
            nonce,
            port: NonZeroU16::new(port),
            standing: Standing::Off,
            since: now,
            seen_as: None,
            state: State::Rest,
            last: None,
            asked: None,
            in_vain: 0,
            back: None,
        }
    }

    /// How things are now.
    pub(crate) fn stand(&mut self, now: Instant, standing: Standing, seen_as: Option<Ipv4Addr>) {
        if self.standing != standing {
            (self.standing, self.since) = (standing, now);
        }
        let moved = std::mem::replace(&mut self.seen_as, seen_as) != seen_as;
        if moved {
            (self.since, self.in_vain) = (now, 0);
        }
        if moved || standing == Standing::Off {
            // Behind another router, or the router has another address itself: what it gave is not there any more; or it is
            // not wanted. What is granted now is given back when it comes.
            let before = std::mem::replace(&mut self.state, State::Rest);
            self.state = match before {
                State::Asking(question, _) => State::Asking(question, None),
                State::Rest | State::Held(_) | State::Not { .. } => State::Rest,
            };
            if let State::Held(held) | State::Asking(_, Some(held)) = before {
                self.back = Some(held.granted);
            }
        }
        if let State::Held(held) | State::Asking(_, Some(held)) = &mut self.state {
            held.useless = match standing {
                Standing::Shut => held.useless.or(Some(now + LEADS_NOWHERE)),
                Standing::Off | Standing::Open | Standing::Unsure => None,
            };
        }
        self.leave_useless(now);
    }

    /// What has led nowhere for too long is given back: it is one more open door, and others would be sent to it.
    fn leave_useless(&mut self, now: Instant) {
        let State::Held(held) = &self.state else { return };
        if held.useless.is_some_and(|at| at <= now) {
            self.back = Some(held.granted);
            self.give_up(now, Why::LeadsNowhere);
        }
    }

    fn give_up(&mut self, now: Instant, why: Why) {
        let wait = AGAIN.saturating_mul(1 << self.in_vain.min(8)).min(LONGEST_AGAIN);
        self.in_vain = self.in_vain.saturating_add(1);
        self.state = State::Not { why, again: now + wait };
    }

    /// The connection to the tracker is a new one: perhaps the router was off, and has forgotten us.
    pub(crate) fn look_again(&mut self, now: Instant) {
        match &mut self.state {
            State::Held(held) => held.renew = now,
            // It may be another router, but it is not asked at the beck of a tracker.
            State::Not { again, .. } => {
                *again = (*again).min(self.asked.map_or(now, |asked| asked + AGAIN));
            }
            State::Rest | State::Asking(..) => {}
        }
    }

    /// When there is something to do next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.port?;
        if self.back.is_some() {
            return Some(self.since);
        }
        let wanted = matches!(self.standing, Standing::Unsure | Standing::Shut);
        let at = match &self.state {
            State::Asking(..) => return None,
            State::Held(held) => {
                let renew = self.not_before(held.renew.min(held.until));
                return Some(held.useless.map_or(renew, |useless| useless.min(renew)));
            }
            State::Not { again, .. } => wanted.then_some(*again),
            State::Rest if self.standing == Standing::Unsure => Some(self.since + LOOKED_AT),
            State::Rest => wanted.then_some(self.since),
        };
        at.map(|at| self.not_before(at))
    }

    fn not_before(&self, at: Instant) -> Instant {
        self.asked.map_or(at, |asked| at.max(asked + LEAST_BETWEEN))
    }

    /// What is to be done now, until there is nothing.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Todo> {
        self.leave_useless(now);
        if let Some(granted) = self.back.take() {
            return Some(Todo::GiveBack(granted));
        }
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        let port = self.port?;
        let held = match &self.state {
            State::Held(held) if held.until > now => Some(*held),
            _ => None,
        };
        let question = Question { nonce: self.nonce, port, suggested: self.last };
        self.state = State::Asking(question, held);
        self.asked = Some(now);
        Some(Todo::Ask(question))
    }

    /// The answer to a question.
    pub(crate) fn answered(&mut self, now: Instant, answer: Result<Granted, Why>) {
        let asking = std::mem::replace(&mut self.state, State::Rest);
        let State::Asking(_, before) = asking else { return };
        let unwanted = self.standing == Standing::Off;
        let answer = answer.and_then(|granted| {
            let checked = check(&granted, self.seen_as);
            if checked.is_err() || unwanted {
                self.back = Some(granted);
            }
            checked.map(|outside| (granted, outside))
        });
        let asked = self.asked.unwrap_or(now);
        match answer {
            _ if unwanted => {}
            Ok((granted, outside)) => {
                // One that names more than it was asked for may be wrong about that.
                let lifetime = granted.lifetime.min(LIFETIME);
                let (until, renew) = (asked + lifetime, asked + lifetime / 2);
                // The same again has led nowhere for as long as it was there.
                let same = before.filter(|before| before.outside == outside);
                let useless = match self.standing {
                    Standing::Shut => {
                        same.and_then(|before| before.useless).or(Some(now + LEADS_NOWHERE))
                    }
                    Standing::Off | Standing::Open | Standing::Unsure => None,
                };
                self.state = State::Held(Held { granted, outside, until, renew, useless });
                self.last = Some(outside);
                if before.is_some() {
                    self.in_vain = 0;
                }
            }
            // A word that is lost ends nothing.
            Err(Why::NoAnswer) if before.is_some_and(|held| held.until > now) => {
                let Some(held) = before else { return };
                let renew = now + held.until.saturating_duration_since(now) / 2;
                self.state = State::Held(Held { renew, ..held });
            }
            Err(why) => self.give_up(now, why),
        }
    }

    /// Where the router lets others in, by its word.
    pub(crate) fn outside(&self) -> Option<SocketAddrV4> {
        match &self.state {
            State::Held(held) | State::Asking(_, Some(held)) => Some(held.outside),
            State::Rest | State::Asking(_, None) | State::Not { .. } => None,
        }
    }

    /// Why it does not, if it was asked.
    pub(crate) fn why_not(&self) -> Option<&Why> {
        match &self.state {
            State::Not { why, .. } => Some(why),
            State::Rest | State::Asking(..) | State::Held(_) => None,
        }
    }

    /// Ends it; what is to be given back.
    pub(crate) fn end(&mut self) -> Option<Left> {
        let state = std::mem::replace(&mut self.state, State::Rest);
        match state {
            State::Held(held) => Some(Left::Granted(held.granted)),
            // One question is for one port: what is held is the same, or was granted anew.
            State::Asking(question, _) => Some(Left::Asked(question)),
            State::Rest | State::Not { .. } => self.back.take().map(Left::Granted),
        }
    }
}

/// Where a router lets others in, if that can be: it may be wrong, or lie.
fn check(granted: &Granted, seen_as: Option<Ipv4Addr>) -> Result<SocketAddrV4, Why> {
    let (ip, port) = granted.outside;
    let ip = match ip.to_canonical() {
        IpAddr::V4(ip) if is_public(ip.into()) => ip,
        ip => return Err(Why::BehindAnother(ip)),
    };
    if Some(ip) != seen_as {
        return Err(Why::Elsewhere(ip));
    }
    if granted.lifetime < LEAST_LIFETIME {
        return Err(Why::TooShort(granted.lifetime.as_secs()));
    }
    Ok(SocketAddrV4::new(ip, port.get()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Gateway;
    use super::*;

    const SEEN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn granted(ip: [u8; 4], port: u16, lifetime: u64) -> Granted {
        Granted {
            outside: (Ipv4Addr::from(ip).into(), NonZeroU16::new(port).unwrap()),
            lifetime: secs(lifetime),
            gateway: Gateway::new([192, 168, 1, 1].into(), [192, 168, 1, 7].into()).unwrap(),
            port: NonZeroU16::new(7421).unwrap(),
            nonce: None,
        }
    }

    fn fine(port: u16) -> Granted {
        granted(SEEN.octets(), port, 7200)
    }

    /// One that is asked at once.
    fn asked(now: Instant) -> Lease {
        let mut lease = Lease::new(now, 7421, [1, 2, 3]);
        lease.stand(now, Standing::Shut, Some(SEEN));
        assert!(matches!(lease.next(now), Some(Todo::Ask(_))));
        assert_eq!((lease.next(now), lease.due()), (None, None), "one question at a time");
        lease
    }

    /// One whose mapping lets others in.
    fn of_use(now: Instant) -> Lease {
        let mut lease = asked(now);
        lease.answered(now, Ok(fine(4711)));
        lease.stand(now, Standing::Open, Some(SEEN));
        lease
    }

    #[test]
    fn a_router_is_asked_when_others_do_not_reach_us() {
        let now = Instant::now();
        let mut lease = Lease::new(now, 7421, [1, 2, 3]);
        for standing in [Standing::Off, Standing::Open] {
            lease.stand(now, standing, Some(SEEN));
            assert_eq!((lease.due(), lease.next(now + secs(1000))), (None, None), "{standing:?}");
        }
        lease.stand(now, Standing::Unsure, Some(SEEN));
        assert_eq!(lease.next(now + secs(9)), None, "the tracker may say so yet");
        let Some(Todo::Ask(question)) = lease.next(now + secs(10)) else { panic!("not asked") };
        assert_eq!((question.port.get(), question.suggested), (7421, None));
        lease.answered(now + secs(10), Ok(fine(4711)));
        assert_eq!(lease.outside().unwrap().to_string(), "203.0.113.9:4711");
        // It is kept when others reach us by it.
        lease.stand(now + secs(20), Standing::Open, Some(SEEN));
        assert!(lease.outside().is_some() && lease.next(now + secs(20)).is_none());
    }

    #[test]
    fn what_is_granted_is_renewed_at_half_its_life_and_lost_at_its_end() {
        let now = Instant::now();
        let mut lease = of_use(now);
        assert_eq!(lease.due(), Some(now + secs(3600)));
        let Some(Todo::Ask(question)) = lease.next(now + secs(3600)) else { panic!("not asked") };
        assert_eq!(question.suggested.unwrap().port(), 4711, "the same again");
        assert!(lease.outside().is_some(), "it is held meanwhile");
        lease.answered(now + secs(3605), Err(Why::NoAnswer));
        assert!(lease.outside().is_some(), "a word that is lost ends nothing");
        let mut at = now + secs(3605);
        while lease.outside().is_some() {
            at = lease.due().unwrap();
            assert!(lease.next(at).is_some());
            lease.answered(at, Err(Why::NoAnswer));
        }
        assert!(at <= now + secs(7230) && at > now + secs(7100), "{:?}", at - now);
        assert_eq!(lease.why_not(), Some(&Why::NoAnswer));
        // One that was given for ever is renewed all the same; one that is refused now is not there.
        let mut lease = asked(now);
        lease.answered(now, Ok(granted(SEEN.octets(), 1, u64::from(u32::MAX))));
        lease.stand(now, Standing::Open, Some(SEEN));
        assert_eq!(lease.due(), Some(now + secs(3600)));
        lease.next(now + secs(3600));
        lease.answered(now + secs(3600), Err(Why::Refused("no".into())));
        assert_eq!(lease.outside(), None);
    }

    #[test]
    fn a_router_that_began_anew_or_another_one_is_asked_again() {
        let now = Instant::now();
        let mut lease = asked(now);
        lease.answered(now, Ok(fine(4711)));
        lease.look_again(now + secs(5));
        assert_eq!(lease.due(), Some(now + LEAST_BETWEEN), "not at the beck of a tracker");
        assert!(lease.next(now + LEAST_BETWEEN).is_some());
        lease.answered(now + LEAST_BETWEEN, Ok(fine(4712)));
        assert_eq!(lease.outside().unwrap().port(), 4712);
        // Seen elsewhere: what the router said is of no use any more.
        let other = Some(Ipv4Addr::new(198, 51, 100, 1));
        lease.stand(now + secs(100), Standing::Shut, other);
        assert_eq!(lease.outside(), None);
        assert_eq!(lease.next(now + secs(100)), Some(Todo::GiveBack(fine(4712))));
        assert!(lease.next(now + secs(100)).is_some());
        lease.answered(now + secs(100), Ok(granted([198, 51, 100, 1], 4711, 7200)));
        assert!(lease.outside().is_some());
    }

    #[test]
    fn what_nobody_wants_any_more_is_given_back() {
        let now = Instant::now();
        let mut lease = asked(now);
        lease.answered(now, Ok(fine(4711)));
        lease.stand(now, Standing::Off, None);
        assert_eq!(lease.next(now), Some(Todo::GiveBack(fine(4711))));
        assert_eq!((lease.next(now), lease.due(), lease.end()), (None, None, None));
        // Another network is joined, or the tracker is reached over IPv6, while it is renewed.
        let mut lease = of_use(now);
        assert!(lease.next(now + secs(3600)).is_some());
        lease.stand(now + secs(3600), Standing::Off, None);
        assert_eq!(lease.next(now + secs(3600)), Some(Todo::GiveBack(fine(4711))));
        lease.answered(now + secs(3601), Err(Why::NoAnswer));
        assert_eq!((lease.next(now + secs(3601)), lease.outside()), (None, None));
        // Also what is granted too late.
        let mut lease = asked(now);
        lease.stand(now, Standing::Off, None);
        lease.answered(now, Ok(fine(4711)));
        assert_eq!(lease.next(now), Some(Todo::GiveBack(fine(4711))));
        // And at the end of the program.
        let mut lease = asked(now);
        lease.answered(now, Ok(fine(4711)));
        assert_eq!(lease.end(), Some(Left::Granted(fine(4711))));
    }

    #[test]
    fn what_was_asked_when_the_program_ends_is_taken_back() {
        let now = Instant::now();
        let mut lease = Lease::new(now, 7421, [1, 2, 3]);
        lease.stand(now, Standing::Shut, Some(SEEN));
        let Some(Todo::Ask(question)) = lease.next(now) else { panic!("not asked") };
        assert_eq!(lease.end(), Some(Left::Asked(question)), "it may be granted yet");
        let mut lease = of_use(now);
        let Some(Todo::Ask(question)) = lease.next(now + secs(3600)) else { panic!("not asked") };
        assert_eq!(lease.end(), Some(Left::Asked(question)), "while it is renewed");
        assert_eq!(Lease::new(now, 7421, [1, 2, 3]).end(), None);
    }

    #[test]
    fn a_mapping_that_leads_nowhere_is_given_back_and_asked_for_less_and_less() {
        let start = Instant::now();
        let (mut now, mut lease) = (start, Lease::new(start, 7421, [1, 2, 3]));
        let mut granted = 0;
        while now < start + secs(24 * 3600) {
            lease.stand(now, Standing::Shut, Some(SEEN));
            match lease.next(now) {
                Some(Todo::Ask(_)) => {
                    lease.answered(now, Ok(fine(4711)));
                    granted += 1;
                    // The tracker looks anew, and is not let in.
                    lease.stand(now, Standing::Unsure, Some(SEEN));
                    lease.stand(now + secs(5), Standing::Shut, Some(SEEN));
                    assert_eq!(lease.due(), Some(now + secs(5) + LEADS_NOWHERE));
                }
                Some(Todo::GiveBack(back)) => {
                    assert_eq!((back, lease.outside()), (fine(4711), None));
                    assert_eq!(lease.why_not(), Some(&Why::LeadsNowhere));
                }
                None => {}
            }
            now = lease.due().unwrap().max(now);
        }
        assert!((10..20).contains(&granted), "{granted} in a day");
        // One by which others come in is kept, though it took a while.
        let mut lease = asked(start);
        lease.answered(start, Ok(fine(4711)));
        lease.stand(start + secs(100), Standing::Shut, Some(SEEN));
        lease.stand(start + secs(110), Standing::Open, Some(SEEN));
        assert_eq!(lease.next(start + secs(1000)), None);
        assert!(lease.outside().is_some());
    }

    #[test]
    fn s14_a_router_that_lies_is_not_believed_and_not_asked_again_and_again() {
        let now = Instant::now();
        let lies = [
            (granted([192, 168, 1, 1], 4711, 7200), "no public address"),
            (granted([127, 0, 0, 1], 4711, 7200), "no public address"),
            (granted([0, 0, 0, 0], 4711, 7200), "no public address"),
            (granted([198, 51, 100, 7], 4711, 7200), "the tracker sees another"),
            (granted(SEEN.octets(), 4711, 0), "for 0 s only"),
            (granted(SEEN.octets(), 4711, 1), "for 1 s only"),
        ];
        for (lie, word) in lies {
            let mut lease = asked(now);
            lease.answered(now, Ok(lie));
            let why = lease.why_not().unwrap().to_string();
            assert!(lease.outside().is_none() && why.contains(word), "{why}");
            assert_eq!(lease.next(now), Some(Todo::GiveBack(lie)), "it may be there all the same");
            assert_eq!(lease.due(), Some(now + AGAIN));
        }
        let mut lease = asked(now);
        let (mut at, mut questions) = (now, 1);
        while at < now + secs(24 * 3600) {
            lease.answered(at, Err(Why::Refused("no".into())));
            at = lease.due().unwrap();
            questions += u32::from(lease.next(at).is_some());
        }
        assert!(questions < 20, "{questions} in a day");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Stand(u8, bool),
        Again,
        Answer(Option<(bool, u16, u32)>),
        Wait(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..4, any::<bool>()).prop_map(|(standing, seen)| Step::Stand(standing, seen)),
            Just(Step::Again),
            proptest::option::of((any::<bool>(), 1u16.., any::<u32>())).prop_map(Step::Answer),
            any::<u16>().prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn whatever_a_router_and_a_tracker_say_questions_keep_their_distance(
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let mut now = Instant::now();
            let mut lease = Lease::new(now, 7421, [0; 3]);
            let (mut asking, mut last): (bool, Option<Instant>) = (false, None);
            for step in steps {
                match step {
                    Step::Stand(n, seen) => {
                        let standing = match n {
                            0 => Standing::Off,
                            1 => Standing::Open,
                            2 => Standing::Unsure,
                            _ => Standing::Shut,
                        };
                        lease.stand(now, standing, seen.then_some(SEEN));
                    }
                    Step::Again => lease.look_again(now),
                    Step::Answer(answer) if asking => {
                        asking = false;
                        let answer = answer.map(|(here, port, lifetime)| {
                            let ip = if here { SEEN.octets() } else { [10, 0, 0, 1] };
                            granted(ip, port, lifetime.into())
                        });
                        lease.answered(now, answer.ok_or(Why::NoAnswer));
                    }
                    Step::Answer(_) => {}
                    Step::Wait(n) => now += secs(n.into()),
                }
                let mut rounds = 0;
                while let Some(todo) = lease.next(now) {
                    rounds += 1;
                    prop_assert!(rounds < 4);
                    if let Todo::Ask(_) = todo {
                        prop_assert!(!asking);
                        prop_assert!(last.is_none_or(|last| now - last >= LEAST_BETWEEN));
                        (asking, last) = (true, Some(now));
                    }
                }
                if let Some(outside) = lease.outside() {
                    prop_assert_eq!(*outside.ip(), SEEN);
                }
            }
        }
    }
}
