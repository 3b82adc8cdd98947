//! The content somebody looks at: how each of its chunks stands, kept up to date change by change. What
//! the swarm says of connected peers is exact; of others the tracker's word is counted.

mod holders;
mod senders;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};

use crate::announcer::SourceInfo;
use crate::api::chunk_states::Chunks;
use crate::api::snapshot::{ChunkState, Departed};
use swarm::view::{ContentView, Touched};

/// How long a chunk that failed verification is shown as bad.
const BAD_FOR: Duration = Duration::from_secs(10);
/// Bad chunks remembered for showing.
const MAX_BAD: usize = 1024;
/// Chunks of claimed sets gone through for one snapshot, about a millisecond's worth; what is left over
/// comes with the next one.
const CLAIM_STEPS: usize = 300_000;
/// Marks a claim's number among those of connections.
const CLAIM: u32 = 1 << 31;

/// What the content is doing, as far as its chunks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing in particular.
    Ordinary,
    /// What is on disk is being checked.
    Checking,
}

/// What the shell knows beside the swarm.
pub(super) struct Known<'a> {
    /// Chunks there are.
    pub(super) chunks: u32,
    pub(super) doing: Doing,
    /// Chunks on disk of what the swarm does not have now.
    pub(super) found: Option<&'a ChunkSet>,
    /// The tracker's sources, without those that are connected with it.
    pub(super) others: Vec<&'a SourceInfo>,
}

/// A connection to somebody who has some of it.
pub(super) struct Link {
    /// Tells it from others among those who alone have a chunk.
    pub(super) key: u32,
    pub(super) peer: PeerId,
    /// It has everything.
    pub(super) whole: bool,
}

pub(super) struct ChunkMap {
    pub(super) id: ContentId,
    pub(super) chunks: Chunks,
    pub(super) newest: Option<u32>,
    pub(super) left: Option<Departed>,
    doing: Doing,
    /// Whether the swarm had it at the last look, and how much was found on disk otherwise.
    source: (bool, u32),
    bad: VecDeque<(Instant, u32)>,
    claims: Claims,
    /// Who alone has each missing chunk: a connection's key, a claim's number, or 0.
    holders: Vec<u32>,
    sole: HashMap<u32, u32>,
    /// Missing chunks of which only complete sources have a copy.
    bare: u32,
    /// The order in which those who have something are shown, while somebody looks.
    shown: Vec<PeerId>,
}

/// What peers we are not connected to have, by the tracker's word.
#[derive(Default)]
struct Claims {
    peers: HashMap<PeerId, Claim>,
    next: u32,
    /// Copies of each chunk, and their holders' numbers XORed.
    copies: Vec<u16>,
    who: Vec<u32>,
    /// Peers that have everything.
    whole: u16,
    /// Peers of which the tracker said something that is not taken in yet.
    heard: HashSet<PeerId>,
}

struct Claim {
    number: u32,
    /// `None` is everything.
    set: Option<ChunkSet>,
}

impl ChunkMap {
    pub(super) fn new(id: ContentId) -> Self {
        Self {
            id,
            chunks: Chunks::new(0),
            newest: None,
            left: None,
            doing: Doing::Ordinary,
            source: (false, 0),
            bad: VecDeque::new(),
            claims: Claims::default(),
            holders: Vec::new(),
            sole: HashMap::new(),
            bare: 0,
            shown: Vec::new(),
        }
    }

    /// A chunk failed verification.
    pub(super) fn was_bad(&mut self, chunk: u32, at: Instant) {
        if self.bad.len() >= MAX_BAD {
            self.bad.pop_front();
        }
        self.bad.push_back((at, chunk));
    }

    /// The tracker says what a peer has.
    pub(super) fn heard(&mut self, peer: PeerId) {
        self.claims.heard.insert(peer);
    }

    /// Whether something will change by itself.
    pub(super) fn is_waiting(&self) -> bool {
        !self.bad.is_empty()
    }

    /// Brings everything up to date. Costs as much as changed; a pass over all chunks only when the
    /// content or what it does is another, or when too much changed to be listed.
    pub(super) fn update(
        &mut self,
        known: &Known<'_>,
        view: Option<&ContentView<'_>>,
        mut touched: Touched,
        now: Instant,
    ) {
        let source = (view.is_some(), known.found.map_or(0, ChunkSet::count));
        if self.chunks.len() != known.chunks as usize {
            self.chunks = Chunks::new(known.chunks as usize);
            self.claims = Claims::default();
            touched.all = true;
        }
        if known.doing != self.doing || source != self.source {
            touched.all = true;
        }
        (self.doing, self.source) = (known.doing, source);
        let mut changed = Vec::new();
        self.claims.update(known, &mut changed);
        while let Some((at, chunk)) = self.bad.front().copied() {
            if now.saturating_duration_since(at) < BAD_FOR {
                break;
            }
            self.bad.pop_front();
            changed.push(chunk);
        }
        changed.extend(self.bad.iter().map(|(_, chunk)| *chunk));
        if touched.all {
            self.look_at_all(known, view);
        } else {
            changed.extend(touched.chunks);
            for chunk in changed {
                let state = self.state(known, view, chunk);
                self.put(view, chunk, state);
            }
        }
        let seeds = view.map_or(0, ContentView::seeds);
        self.chunks.set_base(seeds.saturating_add(self.claims.whole));
    }

    /// All chunks at once: by runs and slices, a few nanoseconds a chunk.
    fn look_at_all(&mut self, known: &Known<'_>, view: Option<&ContentView<'_>>) {
        let n = known.chunks as usize;
        self.holders = vec![0; n];
        self.sole.clear();
        self.bare = 0;
        let mut partial = vec![0; n];
        for (to, copies) in partial.iter_mut().zip(view.map_or(&[][..], ContentView::partials)) {
            *to = *copies;
        }
        for (to, claimed) in partial.iter_mut().zip(&self.claims.copies) {
            *to = to.saturating_add(*claimed);
        }
        let states = self.states(known, view);
        self.chunks.replace(&states, &partial);
        for ((chunk, state), partial) in (0u32..).zip(&states).zip(&partial) {
            if lacking(*state) && *partial <= 1 {
                let (_, holder) = self.copies(view, chunk);
                self.count(chunk, *state, *partial, holder);
            }
        }
    }

    fn states(&self, known: &Known<'_>, view: Option<&ContentView<'_>>) -> Vec<ChunkState> {
        let n = known.chunks as usize;
        let mut states = vec![ChunkState::Missing; n];
        let mut mark = |chunks: std::ops::Range<u32>, state| {
            if let Some(slots) = states.get_mut(chunks.start as usize..chunks.end as usize) {
                slots.fill(state);
            }
        };
        match view {
            _ if known.doing == Doing::Checking => mark(0..known.chunks, ChunkState::Checking),
            Some(view) => {
                if !view.wanted.is_complete() {
                    mark(0..known.chunks, ChunkState::Unwanted);
                    view.wanted.runs().for_each(|run| mark(run, ChunkState::Missing));
                }
                view.flights().for_each(|(chunk, _)| mark(chunk..chunk + 1, ChunkState::InFlight));
                self.bad.iter().for_each(|(_, bad)| mark(*bad..*bad + 1, ChunkState::Bad));
                view.have.runs().for_each(|run| mark(run, ChunkState::Have));
            }
            None => {
                let found = known.found.into_iter().flat_map(ChunkSet::runs);
                found.for_each(|run| mark(run, ChunkState::Have));
            }
        }
        states
    }

    fn state(&self, known: &Known<'_>, view: Option<&ContentView<'_>>, chunk: u32) -> ChunkState {
        let bad = || self.bad.iter().any(|(_, bad)| *bad == chunk);
        match view {
            _ if known.doing == Doing::Checking => ChunkState::Checking,
            Some(view) if view.have.contains(chunk) => ChunkState::Have,
            Some(_) if !self.bad.is_empty() && bad() => ChunkState::Bad,
            Some(view) if view.in_flight(chunk) => ChunkState::InFlight,
            Some(view) if !view.wanted.contains(chunk) => ChunkState::Unwanted,
            Some(_) => ChunkState::Missing,
            None if known.found.is_some_and(|found| found.contains(chunk)) => ChunkState::Have,
            None => ChunkState::Missing,
        }
    }

    /// Copies among sources that do not have everything, and who has the only one.
    fn copies(&self, view: Option<&ContentView<'_>>, chunk: u32) -> (u16, u32) {
        let (claimed, who) = self.claims.of(chunk);
        let partial = view.map_or(0, |view| view.partial(chunk)).saturating_add(claimed);
        let holder = match (partial, claimed) {
            (1, 0) => view.and_then(|view| view.sole(chunk)).map_or(0, |key| key & !CLAIM),
            (1, _) => who | CLAIM,
            _ => 0,
        };
        (partial, holder)
    }

    fn put(&mut self, view: Option<&ContentView<'_>>, chunk: u32, state: ChunkState) {
        let (partial, holder) = self.copies(view, chunk);
        let at = chunk as usize;
        let Some(old) = self.chunks.state(at) else { return };
        if lacking(old) {
            self.bare -= u32::from(self.chunks.partial(at) == 0 && self.bare > 0);
            let who = self.holders.get(at).copied().unwrap_or(0);
            if let Some(count) = self.sole.get_mut(&who) {
                *count = count.saturating_sub(1);
            }
        }
        self.chunks.set(at, state, partial);
        self.count(chunk, state, partial, holder);
    }

    fn count(&mut self, chunk: u32, state: ChunkState, partial: u16, holder: u32) {
        let holder = if lacking(state) { holder } else { 0 };
        if let Some(slot) = self.holders.get_mut(chunk as usize) {
            *slot = holder;
        }
        if lacking(state) {
            self.bare += u32::from(partial == 0);
            if holder != 0 {
                *self.sole.entry(holder).or_default() += 1;
            }
        }
    }

    /// Who has missing chunks that nobody else has, and how many.
    pub(super) fn soles(&self, links: &[Link]) -> Vec<(PeerId, u32)> {
        let mut out: Vec<(PeerId, u32)> = match self.chunks.base() {
            // Everybody's chunks are also those of the complete sources.
            2.. => Vec::new(),
            1 => {
                let connected = links.iter().find(|link| link.whole).map(|link| link.peer);
                let claimed = || self.claims.peers.iter().find(|(_, claim)| claim.set.is_none());
                let peer = connected.or_else(|| claimed().map(|(peer, _)| *peer));
                peer.map(|peer| (peer, self.bare)).into_iter().collect()
            }
            0 => {
                let claims = self.claims.peers.iter().map(|(peer, c)| (c.number | CLAIM, *peer));
                let conns = links.iter().map(|link| (link.key & !CLAIM, link.peer));
                let count = |key| self.sole.get(&key).copied().unwrap_or(0);
                conns.chain(claims).map(|(key, peer)| (peer, count(key))).collect()
            }
        };
        out.retain(|(_, chunks)| *chunks > 0);
        out.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        out
    }
}

/// Missing as the legend counts it: not on its way.
fn lacking(state: ChunkState) -> bool {
    state == ChunkState::Missing
}

impl Claims {
    /// Takes in what the tracker says now; lists the chunks whose copies changed.
    fn update(&mut self, known: &Known<'_>, changed: &mut Vec<u32>) {
        let gone: Vec<PeerId> = self
            .peers
            .keys()
            .filter(|peer| !known.others.iter().any(|other| other.peer == **peer))
            .copied()
            .collect();
        for peer in gone {
            self.drop_peer(&peer, changed);
        }
        self.heard.retain(|peer| known.others.iter().any(|other| other.peer == *peer));
        let mut steps = 0;
        for other in &known.others {
            let same = self.peers.contains_key(&other.peer) && !self.heard.contains(&other.peer);
            if same || steps > CLAIM_STEPS {
                continue;
            }
            self.heard.remove(&other.peer);
            let whole = other.have >= known.chunks && known.chunks > 0;
            let set = other.set.as_ref().filter(|set| !whole && set.chunks() == known.chunks);
            let set = set.filter(|set| !set.is_complete());
            if !whole && set.is_none() && !other.set.as_ref().is_some_and(ChunkSet::is_complete) {
                // It has something, but nobody says what.
                self.drop_peer(&other.peer, changed);
                continue;
            }
            steps += set.map_or(0, |set| set.count() as usize) + 1;
            self.set_peer(other, set, known.chunks, changed);
        }
    }

    fn set_peer(
        &mut self,
        other: &SourceInfo,
        set: Option<&ChunkSet>,
        chunks: u32,
        changed: &mut Vec<u32>,
    ) {
        let old = self.peers.remove(&other.peer);
        let number = old.as_ref().map_or_else(
            || {
                self.next = (self.next + 1) % CLAIM;
                self.next
            },
            |old| old.number,
        );
        if self.copies.is_empty() && set.is_some() {
            self.copies = vec![0; chunks as usize];
            self.who = vec![0; chunks as usize];
        }
        let before = old.as_ref().and_then(|old| old.set.as_ref());
        for chunk in set.into_iter().flat_map(ChunkSet::iter) {
            if !before.is_some_and(|before| before.contains(chunk)) {
                self.change(chunk, number, true, changed);
            }
        }
        for chunk in before.into_iter().flat_map(ChunkSet::iter) {
            if !set.is_some_and(|set| set.contains(chunk)) {
                self.change(chunk, number, false, changed);
            }
        }
        if old.is_some_and(|old| old.set.is_none()) {
            self.whole = self.whole.saturating_sub(1);
        }
        self.whole = self.whole.saturating_add(u16::from(set.is_none()));
        let claim = Claim { number, set: set.cloned() };
        self.peers.insert(other.peer, claim);
    }

    fn drop_peer(&mut self, peer: &PeerId, changed: &mut Vec<u32>) {
        let Some(claim) = self.peers.remove(peer) else { return };
        match &claim.set {
            None => self.whole = self.whole.saturating_sub(1),
            Some(set) => {
                set.iter().for_each(|chunk| self.change(chunk, claim.number, false, changed));
            }
        }
    }

    fn change(&mut self, chunk: u32, number: u32, more: bool, changed: &mut Vec<u32>) {
        let at = chunk as usize;
        if let (Some(copies), Some(who)) = (self.copies.get_mut(at), self.who.get_mut(at)) {
            *copies = if more { copies.saturating_add(1) } else { copies.saturating_sub(1) };
            *who ^= number;
            changed.push(chunk);
        }
    }

    fn of(&self, chunk: u32) -> (u16, u32) {
        let at = chunk as usize;
        let copies = self.copies.get(at).copied().unwrap_or(0);
        (copies, self.who.get(at).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNKS: u32 = 700;

    fn source(n: u8, kind: u8, first: u32, len: u32) -> SourceInfo {
        let mut set = ChunkSet::empty(CHUNKS);
        set.insert_run(first, len);
        if kind == 0 {
            set = ChunkSet::full(CHUNKS);
        }
        SourceInfo {
            peer: PeerId::from_bytes([n; 32]),
            nick: String::new(),
            addrs: Vec::new(),
            have: set.count(),
            set: (kind != 1).then_some(set),
        }
    }

    fn known<'a>(others: &'a [SourceInfo], found: &'a ChunkSet, doing: Doing) -> Known<'a> {
        Known { chunks: CHUNKS, doing, found: Some(found), others: others.iter().collect() }
    }

    proptest! {
        /// Following what the tracker says step by step ends where a first look would.
        #[test]
        fn step_by_step_is_the_same_as_at_once(
            steps in prop::collection::vec((0u8..5, 0u8..5, 0u32..CHUNKS, 1u32..300, 0u32..3), 1..30),
        ) {
            let now = Instant::now();
            let id = ContentId::from_bytes([7; 32]);
            let mut chunk_map = ChunkMap::new(id);
            let mut others: Vec<SourceInfo> = Vec::new();
            let mut found = ChunkSet::empty(CHUNKS);
            for (n, kind, first, len, bad) in steps {
                others.retain(|other| other.peer != PeerId::from_bytes([n; 32]));
                chunk_map.heard(PeerId::from_bytes([n; 32]));
                if kind != 2 {
                    others.push(source(n, kind, first, len));
                }
                found.insert_run(first, bad);
                let doing = if kind == 4 { Doing::Checking } else { Doing::Ordinary };
                chunk_map.update(&known(&others, &found, doing), None, Touched::default(), now);
                let mut fresh = ChunkMap::new(id);
                fresh.update(&known(&others, &found, doing), None, Touched::default(), now);
                prop_assert_eq!(chunk_map.chunks.base(), fresh.chunks.base());
                for chunk in 0..CHUNKS as usize {
                    prop_assert_eq!(chunk_map.chunks.state(chunk), fresh.chunks.state(chunk));
                    prop_assert_eq!(chunk_map.chunks.partial(chunk), fresh.chunks.partial(chunk));
                }
                let soles = chunk_map.soles(&[]);
                prop_assert_eq!(&soles, &fresh.soles(&[]));
                // Everybody named has exactly the missing chunks that only one has.
                let only = (0..CHUNKS as usize)
                    .filter(|c| chunk_map.chunks.state(*c) == Some(ChunkState::Missing))
                    .filter(|c| chunk_map.chunks.copies(*c) == 1)
                    .count();
                prop_assert_eq!(soles.iter().map(|(_, n)| *n as usize).sum::<usize>(), only);
            }
        }
    }

    #[test]
    fn a_bad_chunk_is_shown_for_ten_seconds() {
        let now = Instant::now();
        let mut chunk_map = ChunkMap::new(ContentId::from_bytes([7; 32]));
        let empty = ChunkSet::empty(CHUNKS);
        chunk_map.update(&known(&[], &empty, Doing::Ordinary), None, Touched::default(), now);
        chunk_map.was_bad(3, now);
        assert!(chunk_map.is_waiting());
        chunk_map.update(
            &known(&[], &empty, Doing::Ordinary),
            None,
            Touched::default(),
            now + BAD_FOR,
        );
        assert!(!chunk_map.is_waiting());
    }
}
