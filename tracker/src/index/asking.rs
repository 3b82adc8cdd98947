//! What a peer is asked for by those who cannot reach it.

use std::collections::{BTreeMap, VecDeque};

use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use common::relay::Token;

/// Such requests that wait for one peer; more are dropped, and made again by who still cannot reach it.
const MAX_WAITING: usize = 32;
/// Such requests that one peer gets in [`WINDOW_MS`]: a crowd must not have it dial all the time.
const MOST: u32 = 100;
/// See [`MOST`].
const WINDOW_MS: u64 = 10_000;
/// Of both, the part that one address group may take.
const GROUP_PART: u32 = 5;

/// What a peer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To dial.
    Dial,
    /// To come to a relayed connection.
    Relay(Token),
    /// To call who calls it.
    Punch,
}

/// Those who ask one peer to dial them.
#[derive(Debug, Default)]
pub(super) struct Asking {
    waiting: VecDeque<(ContentId, PeerId, Wish)>,
    /// When the window began, how many have asked since, and how many of each address group.
    since_ms: u64,
    asked: u32,
    by_group: BTreeMap<AddrGroup, u32>,
}

impl Asking {
    /// Whether another may be added now. A few keys, or many of one address, do not keep the others out.
    pub(super) fn has_room_for(
        &mut self,
        now_ms: u64,
        who: (PeerId, AddrGroup),
        wish: Wish,
    ) -> bool {
        if now_ms.saturating_sub(self.since_ms) >= WINDOW_MS {
            (self.since_ms, self.asked) = (now_ms, 0);
            self.by_group.clear();
        }
        let (who, group) = who;
        let same = |waits: &Wish| {
            matches!((waits, wish), (Wish::Dial, Wish::Dial) | (Wish::Punch, Wish::Punch))
        };
        let known = self.waiting.iter().any(|(_, waits, what)| *waits == who && same(what));
        let full = self.waiting.len() >= MAX_WAITING || self.asked >= MOST;
        let of_group = self.by_group.get(&group).copied().unwrap_or(0);
        !known && !full && of_group < MOST / GROUP_PART
    }

    /// Whether it waits for the peer now.
    pub(super) fn add(
        &mut self,
        now_ms: u64,
        id: ContentId,
        who: (PeerId, AddrGroup),
        wish: Wish,
    ) -> bool {
        if !self.has_room_for(now_ms, who, wish) {
            return false;
        }
        let (who, group) = who;
        *self.by_group.entry(group).or_default() += 1;
        self.asked += 1;
        self.waiting.push_back((id, who, wish));
        true
    }

    /// The next, in the order in which they came.
    pub(super) fn next(&mut self) -> Option<(ContentId, PeerId, Wish)> {
        self.waiting.pop_front()
    }
}
