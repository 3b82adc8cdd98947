//! Routers between peers, and what the engine and the tracker do about them: every pair connects, by the best way that
//! its routers allow. The same with real programs and real routers: `tui-peer/tests/reach`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use swarm::event::{ConnId, Input, Route};
use swarm::time::Time;

use super::network::{Event, Network, hint, peer_id, up};
use super::spec::{MIB, Spec, UNIT};

/// After this whoever is dialled in vain is asked to dial; after that both meet at the tracker; and then a dial is over.
const SLOW: Duration = Duration::from_millis(250);
const STUCK: Duration = Duration::from_secs(3);
const FAILED: Duration = Duration::from_secs(8);
/// From the tracker's word until both call, and how long they go on.
const WAIT: Duration = Duration::from_millis(100);
const CALLS: Duration = Duration::from_millis(4500);

/// What stands before a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Router {
    /// Nothing: everybody reaches it.
    #[default]
    None,
    /// Keeps ports, and lets in only whom the peer has called.
    Easy,
    /// The same, with another port for each whom it calls: nobody knows where to call it.
    Hard,
}

/// How two came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Dialled,
    Punched,
    Relayed,
}

/// What comes next for a peer that reaches another in vain.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The tracker has the other dial, or both call.
    Slow,
    /// Both meet at the tracker.
    Stuck,
    /// It calls, as it was asked to.
    Call,
}

/// Who has called whom and when, and how two came together.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    called: BTreeMap<(usize, usize), Time>,
    ways: BTreeMap<(usize, usize), BTreeSet<Way>>,
}

impl Network {
    fn router(&self, i: usize) -> Router {
        self.peers[i].spec.router
    }

    /// Whether a dial comes to nothing for the other's router.
    pub(crate) fn is_shut(&self, other: usize) -> bool {
        self.router(other) != Router::None
    }

    pub(crate) fn dial_in_vain(&mut self, i: usize, other: usize) {
        self.at(self.now + SLOW, i, Event::Otherwise(other, Step::Slow));
        self.at(self.now + STUCK, i, Event::Otherwise(other, Step::Stuck));
        let failed = Input::DialFailed { peer: peer_id(other), permanent: false, proven: false };
        self.at(self.now + FAILED, i, Event::Input(failed));
    }

    pub(crate) fn call(&mut self, i: usize, other: usize, wait: Duration) {
        self.at(self.now + wait, i, Event::Otherwise(other, Step::Call));
    }

    pub(crate) fn otherwise(&mut self, i: usize, other: usize, step: Step) {
        if !self.peers[i].alive || !self.peers[other].alive {
            return;
        }
        match step {
            Step::Slow => self.ask_other(i, other),
            Step::Stuck => self.meet(i, other),
            Step::Call => {
                self.reach.called.insert((i, other), self.now);
                let theirs = self.reach.called.get(&(other, i));
                let both = theirs.is_some_and(|at| self.now.since(*at) < CALLS);
                let easy = [i, other].iter().all(|peer| self.router(*peer) == Router::Easy);
                if both && easy {
                    self.connect(i.min(other), i.max(other), Way::Punched);
                }
            }
        }
    }

    /// What the tracker does for a peer that does not reach another.
    fn ask_other(&mut self, i: usize, other: usize) {
        let id = self.payload.id;
        let asked =
            |from: usize| Input::DialAsked { id, peer: peer_id(from), addrs: hint(from).addrs };
        let called = |from: usize| {
            let (peer, addrs) = (peer_id(from), hint(from).addrs);
            Input::PunchAsked { id, peer, addrs, wait: WAIT }
        };
        self.soon(other, asked(i));
        if self.is_shut(i) && self.is_shut(other) {
            self.soon(other, called(i));
            self.soon(i, called(other));
        }
    }

    /// What the engine and the tracker do when nothing else has helped.
    fn meet(&mut self, i: usize, other: usize) {
        let (id, now) = (self.payload.id, self.now);
        let of_i = (i, ConnId(0))..(i + 1, ConnId(0));
        let together = self.wires.range(of_i).any(|(_, (to, _))| *to == other);
        let (ours, theirs) = (&self.peers[i].node, &self.peers[other].node);
        if !together
            && ours.is_short_of_sources(&id, now)
            && ours.may_meet(&id, &peer_id(other), now)
            && theirs.may_meet(&id, &peer_id(i), now)
        {
            self.connect(i, other, Way::Relayed);
        }
    }

    pub(crate) fn dialled(&mut self, i: usize, other: usize) {
        self.connect(i, other, Way::Dialled);
    }

    /// Two come together; the first counts as the one that dialled.
    fn connect(&mut self, i: usize, other: usize, way: Way) {
        self.reach.ways.entry((i.min(other), i.max(other))).or_default().insert(way);
        let route = if way == Way::Relayed { Route::Relayed } else { Route::Direct };
        let (a, b) = self.new_wire(i, other);
        let later = self.now + self.delay() * 3;
        self.at(later, i, Event::Input(up(a, peer_id(other), true, route)));
        self.at(later, other, Event::Input(up(b, peer_id(i), false, route)));
    }
}

const ALL: [Router; 3] = [Router::None, Router::Easy, Router::Hard];

/// The best way that two routers allow.
fn best(one: Router, other: Router) -> Way {
    match (one, other) {
        (Router::None, _) | (_, Router::None) => Way::Dialled,
        (Router::Easy, Router::Easy) => Way::Punched,
        _ => Way::Relayed,
    }
}

fn peer(seed: bool, router: Router) -> Spec {
    Spec { router, ..Spec::new(UNIT, UNIT, seed) }
}

#[test]
fn all_nine_pairs_connect_by_the_best_way_their_routers_allow() {
    println!("source  getter  seconds  way");
    for source in ALL {
        for getter in ALL {
            for seed in 1..4 {
                let specs = [peer(true, source), peer(false, getter)];
                let mut network = super::network(MIB, &specs, seed);
                let outcome = network.run(Duration::from_secs(30));
                assert_eq!(outcome.unfinished, 0, "{source:?} {getter:?}: {:?}", outcome.stuck);
                let way = best(source, getter);
                assert_eq!(network.reach.ways, [((0, 1), [way].into())].into());
                let most = if way == Way::Relayed { 4.0 } else { 1.0 };
                assert!(outcome.last() < most, "{source:?} {getter:?}: {} s", outcome.last());
                if seed == 1 {
                    println!("{source:<7?} {getter:<7?} {:>7.2}  {way:?}", outcome.last());
                }
            }
        }
    }
}

#[test]
fn a_crowd_behind_routers_is_done_and_only_those_meet_at_the_tracker_that_have_to() {
    for seed in 1..6 {
        let mut specs = vec![peer(true, Router::Hard)];
        specs.extend(ALL.iter().cycle().take(15).map(|router| peer(false, *router)));
        let mut network = super::network(8 * MIB, &specs, seed);
        let outcome = network.run(Duration::from_secs(120));
        assert_eq!(outcome.unfinished, 0, "seed {seed}: {:?}", outcome.stuck);
        let mut seen: BTreeSet<Way> = BTreeSet::new();
        for ((one, other), ways) in &network.reach.ways {
            let best = best(specs[*one].router, specs[*other].router);
            assert!(ways.iter().all(|way| *way <= best), "seed {seed}: {one}, {other}: {ways:?}");
            seen.extend(ways.iter().copied());
        }
        assert!(seen.contains(&Way::Dialled) && seen.contains(&Way::Punched), "{seen:?}");
    }
}
