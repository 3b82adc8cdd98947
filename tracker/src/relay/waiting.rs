//! Who has a token, and who came with it. PURE: `S` is a connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::id::PeerId;
use common::net::AddrGroup;
use common::relay::Token;

use crate::config::RelayLimits;

/// Of the places in all, and of those of one peer, the part that who asks from one address group may take: many keys of
/// one address do not keep the others out.
const GROUP_PART: usize = 4;

/// A connection that is to be, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    /// Who asked for it.
    pub(super) asks: PeerId,
    /// From where; none if addresses say nothing there (loopback, the tracker's own links).
    pub(super) group: Option<AddrGroup>,
    /// Whom it asked to meet.
    pub(super) source: PeerId,
}

impl Pair {
    /// The same whoever asks.
    fn both(&self) -> [PeerId; 2] {
        let (a, b) = (self.asks, self.source);
        if a <= b { [a, b] } else { [b, a] }
    }

    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.asks == *peer || self.source == *peer
    }
}

/// Who came with a token.
#[derive(Debug)]
pub(super) enum Met<S> {
    /// It is none of ours, was used, or is too old.
    Nobody,
    /// The first of its pair, which is kept.
    First,
    /// Both ends: the one that waited, and the one that came now.
    Both(S, S, Pair),
}

/// A connection that is to be.
#[derive(Debug)]
struct Offer<S> {
    pair: Pair,
    tokens: [Token; 2],
    until: Instant,
    /// Who has come.
    first: Option<S>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Waiting<S> {
    limits: RelayLimits,
    /// By number, which is their age too.
    offers: BTreeMap<u64, Offer<S>>,
    by_token: BTreeMap<Token, u64>,
    last: u64,
    /// Those offered and running, of each two; how many a peer has, and of those from one address group.
    pairs: BTreeMap<[PeerId; 2], Pair>,
    of_one: BTreeMap<PeerId, usize>,
    of_group: BTreeMap<AddrGroup, usize>,
    of_one_by_group: BTreeMap<(PeerId, AddrGroup), usize>,
}

impl<S> Waiting<S> {
    pub(super) fn new(limits: RelayLimits) -> Self {
        Self {
            limits,
            offers: BTreeMap::new(),
            by_token: BTreeMap::new(),
            last: 0,
            pairs: BTreeMap::new(),
            of_one: BTreeMap::new(),
            of_group: BTreeMap::new(),
            of_one_by_group: BTreeMap::new(),
        }
    }

    /// Whether the two ends are expected for `life` from now on. Not if there are too many, or the two have one already.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        life: Duration,
        pair: Pair,
        tokens: [Token; 2],
    ) -> bool {
        self.expire(now);
        if !self.has_room(&pair) {
            return false;
        }
        self.count(&pair, true);
        self.last += 1;
        tokens.iter().for_each(|token| _ = self.by_token.insert(*token, self.last));
        self.offers.insert(self.last, Offer { pair, tokens, until: now + life, first: None });
        true
    }

    fn has_room(&self, pair: &Pair) -> bool {
        let RelayLimits { pairs, pairs_of_one, .. } = self.limits;
        let of_one = |peer: &PeerId| self.of_one.get(peer).copied().unwrap_or(0);
        let by_group = pair.group.is_none_or(|group| {
            let key = (pair.source, group);
            let (all, of_source) = (self.of_group.get(&group), self.of_one_by_group.get(&key));
            let fits = |taken: Option<&usize>, places: usize| {
                taken.is_none_or(|taken| *taken < (places / GROUP_PART).max(1))
            };
            fits(all, pairs) && fits(of_source, pairs_of_one)
        });
        pair.asks != pair.source
            && !self.pairs.contains_key(&pair.both())
            && self.pairs.len() < pairs
            && [pair.asks, pair.source].iter().all(|peer| of_one(peer) < pairs_of_one)
            && by_group
    }

    /// An offer that could not be passed on.
    pub(super) fn withdraw(&mut self, token: &Token) {
        if let Some(offer) = self.by_token.get(token).and_then(|number| self.offers.remove(number))
        {
            self.forget(&offer);
        }
    }

    /// A connection came with a token.
    pub(super) fn arrive(&mut self, now: Instant, token: Token, stream: S) -> Met<S> {
        self.expire(now);
        // Once: nobody can take it again.
        let Some(number) = self.by_token.remove(&token) else { return Met::Nobody };
        let Some(mut offer) = self.offers.remove(&number) else { return Met::Nobody };
        match offer.first.take() {
            Some(first) => Met::Both(first, stream, offer.pair),
            None => {
                offer.first = Some(stream);
                self.offers.insert(number, offer);
                Met::First
            }
        }
    }

    /// A connection between two has ended.
    pub(super) fn over(&mut self, pair: &Pair) {
        self.count(pair, false);
    }

    /// Lets those go whose other end did not come in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.offers.first_entry().filter(|offer| offer.get().until <= now)
        {
            let offer = oldest.remove();
            self.forget(&offer);
        }
    }

    fn forget(&mut self, offer: &Offer<S>) {
        offer.tokens.iter().for_each(|token| _ = self.by_token.remove(token));
        self.over(&offer.pair);
    }

    fn count(&mut self, pair: &Pair, more: bool) {
        match more {
            true => _ = self.pairs.insert(pair.both(), *pair),
            false => _ = self.pairs.remove(&pair.both()),
        }
        for peer in [pair.asks, pair.source] {
            change(&mut self.of_one, peer, more);
        }
        if let Some(group) = pair.group {
            change(&mut self.of_group, group, more);
            change(&mut self.of_one_by_group, (pair.source, group), more);
        }
    }
}

/// One more, or one fewer; what is none is forgotten.
fn change<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K, more: bool) {
    let count = counts.get(&key).copied().unwrap_or(0);
    match if more { count.saturating_add(1) } else { count.saturating_sub(1) } {
        0 => _ = counts.remove(&key),
        count => _ = counts.insert(key, count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(10);

    fn key(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn tokens(n: u8) -> [Token; 2] {
        [Token::from_bytes([n; 32]), Token::from_bytes([n + 100; 32])]
    }

    /// `asks` wants to meet `source`, from an address of its own.
    fn pair(asks: u8, source: u8) -> Pair {
        let group = Some(AddrGroup::of([192, 0, 2, asks].into()));
        Pair { asks: key(asks), group, source: key(source) }
    }

    fn waiting(pairs: usize, pairs_of_one: usize) -> Waiting<char> {
        Waiting::new(RelayLimits { pairs, pairs_of_one, ..RelayLimits::default() })
    }

    fn is_empty(waiting: &Waiting<char>) -> bool {
        let Waiting { offers, by_token, pairs, of_one, of_group, of_one_by_group, .. } = waiting;
        offers.is_empty()
            && by_token.is_empty()
            && pairs.is_empty()
            && of_one.is_empty()
            && of_group.is_empty()
            && of_one_by_group.is_empty()
    }

    #[test]
    fn two_ends_meet_once() {
        let (mut waiting, now) = (waiting(10, 4), Instant::now());
        let [one, other] = tokens(1);
        assert!(waiting.offer(now, LIFE, pair(1, 2), [one, other]));
        assert!(!waiting.offer(now, LIFE, pair(2, 1), tokens(2)), "they have one");
        assert!(matches!(waiting.arrive(now, one, 'a'), Met::First));
        assert!(matches!(waiting.arrive(now, one, 'x'), Met::Nobody), "replayed");
        assert!(matches!(waiting.arrive(now, tokens(9)[0], 'x'), Met::Nobody), "invented");
        let Met::Both(first, second, met) = waiting.arrive(now, other, 'b') else {
            panic!("not both");
        };
        assert_eq!((first, second, met), ('a', 'b', pair(1, 2)));
        assert!(matches!(waiting.arrive(now, other, 'x'), Met::Nobody), "replayed");
        assert!(!waiting.offer(now, LIFE, pair(2, 1), tokens(2)), "they have one still");
        waiting.over(&met);
        assert!(is_empty(&waiting));
    }

    #[test]
    fn who_comes_too_late_meets_nobody_and_leaves_nothing() {
        let (mut waiting, now) = (waiting(10, 4), Instant::now());
        let [one, other] = tokens(1);
        assert!(waiting.offer(now, LIFE, pair(1, 2), [one, other]));
        assert!(matches!(waiting.arrive(now, one, 'a'), Met::First));
        assert!(matches!(waiting.arrive(now + LIFE, other, 'b'), Met::Nobody));
        assert!(is_empty(&waiting));
        assert!(waiting.offer(now, LIFE, pair(1, 2), [one, other]));
        waiting.withdraw(&one);
        assert!(is_empty(&waiting));
    }

    #[test]
    fn there_are_bounds_for_all_and_for_each() {
        let now = Instant::now();
        let offered = |waiting: &mut Waiting<char>, pair: Pair, n: u8| {
            waiting.offer(now, LIFE, pair, tokens(n))
        };
        let mut few = waiting(5, 3);
        assert!(!offered(&mut few, pair(1, 1), 1), "with itself");
        assert_eq!((11..20).filter(|n| offered(&mut few, pair(*n, 1), *n)).count(), 3);
        assert_eq!((21..30).filter(|n| offered(&mut few, pair(*n, 2), *n)).count(), 2);
        few.expire(now + LIFE);
        assert!(is_empty(&few) && offered(&mut few, pair(31, 3), 31));
        // Many keys of one address take a quarter of a source's places, and of all.
        let mut crowd = waiting(40, 16);
        let of_one = |asks: u8, source: u8| Pair { group: pair(1, 1).group, ..pair(asks, source) };
        assert_eq!((11..60).filter(|n| offered(&mut crowd, of_one(*n, 1), *n)).count(), 4);
        assert!(offered(&mut crowd, pair(61, 1), 61), "another address");
        assert_eq!((62..90).filter(|n| offered(&mut crowd, of_one(*n, *n - 60), *n)).count(), 6);
    }
}
