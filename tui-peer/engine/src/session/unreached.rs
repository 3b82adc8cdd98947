//! Sources that cannot be reached while nobody else sends: each is told once for each cause, not at every dial.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::id::{ContentId, PeerId};
use common::names::show;
use tokio::task::AbortHandle;

use super::Session;
use super::download::Phase;
use super::inputs::Conn;
use crate::announcer::SourceInfo;
use crate::api::event::{Level, Target, What};
use crate::api::snapshot::Unreached;
use crate::conn::{Meeting, Punch, meet, punch};
use swarm::event::Input;
use swarm::view::DialState;

/// Peers remembered with why they could not be reached; the dialer remembers as many.
const MAX_FAILED: usize = 4096;
/// Things told of one peer: causes are few, and so are the downloads that wait for one source alone.
const MAX_TOLD: usize = 64;
/// Peers that are called at a time: as many as are dialled.
const MAX_CALLS: usize = 32;
/// Sources named of one download; more would say no more.
const MAX_NAMED: usize = 8;

/// Why peers could not be reached at the last try, and what of that was told.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failed: BTreeMap<PeerId, Failed>,
}

#[derive(Debug, Default)]
struct Failed {
    /// What went wrong last; none while that is not known yet.
    why: Option<String>,
    /// No other way has led to it either: connect-back and relay have had their time.
    in_vain: bool,
    told: BTreeSet<(ContentId, String)>,
}

/// How it stands with a peer that we have no connection to.
#[derive(Debug, PartialEq, Eq)]
enum Reaching<'a> {
    /// Nothing has gone wrong yet, or another way may still lead to it.
    Open,
    /// It cannot be reached, and why.
    InVain(&'a str),
}

impl Failures {
    fn of(&mut self, peer: PeerId) -> &mut Failed {
        if self.failed.len() >= MAX_FAILED && !self.failed.contains_key(&peer) {
            // Whoever it is, it is told once more at worst.
            self.failed.pop_first();
        }
        self.failed.entry(peer).or_default()
    }

    /// Something went wrong that another way may mend.
    fn failed(&mut self, peer: PeerId, why: String) {
        self.of(peer).why = Some(why);
    }

    /// No other way has led to it, or none can.
    fn in_vain(&mut self, peer: PeerId) {
        self.of(peer).in_vain = true;
    }

    fn reaching(&self, peer: &PeerId) -> Reaching<'_> {
        match self.failed.get(peer) {
            Some(Failed { why: Some(why), in_vain: true, .. }) => Reaching::InVain(why),
            _ => Reaching::Open,
        }
    }

    /// Whether this is to be told of a peer; it is not from then on.
    fn is_news(&mut self, peer: PeerId, id: ContentId, why: &str) -> bool {
        let told = &mut self.failed.entry(peer).or_default().told;
        told.len() < MAX_TOLD && told.insert((id, why.to_owned()))
    }

    /// It was reached: what keeps us from it next time is told again.
    pub(super) fn reached(&mut self, peer: &PeerId) {
        self.failed.remove(peer);
    }
}

/// Calls that others make too at the same moment, by whom they reach.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<PeerId, AbortHandle>);

impl Calls {
    fn have_room_for(&mut self, peer: &PeerId) -> bool {
        self.0.retain(|_, call| !call.is_finished());
        self.0.len() < MAX_CALLS && !self.0.contains_key(peer)
    }

    /// It is here, whoever made the connection: another would take its place for nothing.
    pub(super) fn end(&mut self, peer: &PeerId) {
        if let Some(call) = self.0.remove(peer) {
            call.abort();
        }
    }
}

impl Session {
    /// A peer does not answer: it may be behind a router, and reach us where we cannot reach it.
    pub(super) fn ask_to_be_dialled(&mut self, peer: PeerId) {
        let Some(announcer) = &self.net.announcer else { return };
        let of = self.net.sources.iter().filter(|(_, sources)| sources.contains_key(&peer));
        // Any will do, and the same each time.
        if let Some(id) = of.map(|(id, _)| *id).min() {
            announcer.ask_to_dial(id, peer);
        }
    }

    /// Nor did it reach us: both can meet at the tracker, if that is needed for something that nobody else here has.
    pub(super) fn ask_to_be_relayed(&mut self, peer: PeerId) {
        let is_there = |conn: &Conn| conn.peer == peer && !conn.closing;
        let (node, now) = (self.core.node(), self.core.now());
        if self.conns.values().any(is_there) && !node.is_silent(&peer, now) {
            return;
        }
        let Some(announcer) = &self.net.announcer else { return };
        let of = self.net.sources.iter().filter(|(_, sources)| sources.contains_key(&peer));
        let ids: BTreeSet<ContentId> = of.map(|(id, _)| *id).collect();
        if let Some(id) = ids.into_iter().find(|id| node.is_short_of_sources(id, now)) {
            announcer.ask_to_relay(id, peer);
        }
    }

    /// The tracker has us meet a peer there: one that we asked for, or one that wants what we have.
    pub(super) fn on_meeting(&mut self, id: ContentId, meeting: Meeting) {
        let may = self.core.node().may_meet(&id, &meeting.peer, self.core.now());
        if may && (meeting.dials || self.preferences.serving) {
            // More at a time are not asked for by us, and wait for nobody's tracker.
            if let Ok(turn) = self.net.meetings.clone().try_acquire_owned() {
                tokio::spawn(meet(meeting, self.ours.clone(), turn));
            }
        }
    }

    /// Calls a peer that calls us at the same time. The smaller key begins TLS, so that both decide the same.
    pub(super) fn punch(&mut self, peer: PeerId, addrs: Vec<SocketAddr>, wait: Duration) {
        let begins = self.core.me() < peer;
        let target = Punch { peer, addrs, begins, at: (Instant::now() + wait).into() };
        if self.net.calls.have_room_for(&peer) {
            let call = tokio::spawn(punch(target, self.ours.clone()));
            self.net.calls.0.insert(peer, call.abort_handle());
        }
    }

    /// A dial failed.
    pub(super) fn on_dial_failed(
        &mut self,
        peer: PeerId,
        permanent: bool,
        proven: bool,
        why: &str,
    ) {
        self.feed(Input::DialFailed { peer, permanent, proven });
        if proven {
            // It was there: no other way leads to anybody else.
            self.net.failures.in_vain(peer);
        }
        self.note_unreached(peer, why);
    }

    /// Other ways to a peer that did not answer have had their time.
    pub(super) fn on_dial_in_vain(&mut self, peer: PeerId) {
        if !self.conns.values().any(|conn| conn.peer == peer && !conn.closing) {
            self.net.failures.in_vain(peer);
            self.tell_unreached(peer);
        }
    }

    /// A peer that was reached lets us go, or we it: another way leads to the same.
    pub(super) fn note_refused(&mut self, peer: PeerId, why: &str) {
        self.net.failures.in_vain(peer);
        self.note_unreached(peer, why);
    }

    /// Notes why a peer could not be reached, and tells it once no other way has led to it.
    pub(super) fn note_unreached(&mut self, peer: PeerId, why: &str) {
        let text = format!("could not reach {}: {why}", self.net.display_name(&peer));
        self.log(Level::Debug, Target::Net, text);
        self.net.failures.failed(peer, show(why));
        self.tell_unreached(peer);
    }

    /// Tells of a peer that cannot be reached where it is waited for.
    fn tell_unreached(&mut self, peer: PeerId) {
        self.changed();
        let waits = |(id, sources): (&ContentId, &std::collections::HashMap<PeerId, _>)| {
            sources.contains_key(&peer).then_some(*id)
        };
        let waiting: BTreeSet<ContentId> = self.net.sources.iter().filter_map(waits).collect();
        for id in waiting {
            for source in self.unreached(&id) {
                if self.net.failures.is_news(source.peer, id, &source.why) {
                    let text = source.words(&self.shown_name(&id), Instant::now());
                    let what = What::Unreached { id, peer: source.peer };
                    self.tell(Level::Info, Target::Fetch, text, what);
                }
            }
        }
    }

    /// The sources of a download, once it turned out that none of them can be reached: whoever is reached
    /// makes it empty, and so does one that was not tried yet.
    pub(super) fn unreached(&self, id: &ContentId) -> Vec<Unreached> {
        let phase = self.contents.get(id).and_then(|content| content.phase());
        if !matches!(phase, Some(Phase::Getting | Phase::Resolving)) {
            return Vec::new();
        }
        let Some(known) = self.net.sources.get(id) else { return Vec::new() };
        let is_there = |conn: &Conn| conn.greeted && !conn.closing;
        if self.conns.values().any(|conn| is_there(conn) && known.contains_key(&conn.peer)) {
            return Vec::new();
        }
        let now = self.core.now();
        // There may be thousands, and this is asked for every picture of a download.
        let mut named = BTreeMap::new();
        for (peer, source) in known {
            let (why, left) =
                match (self.core.node().dial_state(peer, now), self.net.failures.reaching(peer)) {
                    (DialState::Banned { .. }, _) => continue,
                    (DialState::Waiting { left, .. }, Reaching::InVain(why)) => (why, Some(left)),
                    (_, Reaching::InVain(why)) => (why, None),
                    // The first round is not over.
                    (_, Reaching::Open) => return Vec::new(),
                };
            named.insert(*peer, (source, why, left));
            if named.len() > MAX_NAMED {
                named.pop_last();
            }
        }
        let row = |(peer, (source, why, left)): (PeerId, (&SourceInfo, &str, Option<Duration>))| {
            let retry_at = left.map(|left| Instant::now() + left);
            Unreached { peer, nick: source.nick.clone(), why: why.to_owned(), retry_at }
        };
        named.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_a_cause_is_told_once_for_each_source_and_again_after_that_was_reached() {
        let (peer, other) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let id = ContentId::from_bytes([3; 32]);
        let mut failures = Failures::default();
        failures.failed(peer, "refused".to_owned());
        assert_eq!(failures.reaching(&peer), Reaching::Open, "another way may lead to it");
        failures.in_vain(peer);
        failures.in_vain(other);
        assert_eq!(failures.reaching(&peer), Reaching::InVain("refused"));
        assert_eq!(failures.reaching(&other), Reaching::Open, "nothing is known to be wrong");
        assert!(failures.is_news(peer, id, "refused"));
        assert!(!failures.is_news(peer, id, "refused") && failures.is_news(peer, id, "timed out"));
        assert!(failures.is_news(other, id, "refused"));
        assert!(failures.is_news(peer, ContentId::from_bytes([4; 32]), "refused"));
        failures.reached(&peer);
        assert!(
            failures.reaching(&peer) == Reaching::Open && failures.is_news(peer, id, "refused")
        );
        for n in 0..=MAX_TOLD {
            failures.is_news(peer, id, &n.to_string());
        }
        assert!(!failures.is_news(peer, id, "one more"));
        for n in 0u32..2 * u32::try_from(MAX_FAILED).unwrap() {
            let mut bytes = [9; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            failures.failed(PeerId::from_bytes(bytes), String::new());
        }
        assert!(failures.failed.len() <= MAX_FAILED);
    }
}
