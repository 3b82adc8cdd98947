//! How much is taken: by all together, and by each address group.
//!
//! A row counts for the group that brought it for as long as it is there, also when others have it by then:
//! otherwise two addresses in one hand would make all rows nobody's. Everything else counts for the peer it
//! is of, and so for the group in which that peer was last seen.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use common::id::PeerId;
use common::net::AddrGroup;

use super::Index;

/// A row beside its names, at most: its place in the slab, the table and the order, lists, allocator overhead. With
/// [`ENTRY_BYTES`] and names it comes to what rows were measured to take (`tests/index_memory.rs`).
pub(super) const ROW_BYTES: u64 = 600;
/// What one peer has to do with one content, beside names and chunk sets.
pub(super) const ENTRY_BYTES: u64 = 150;
/// A peer beside its entries: nick, addresses, its places in slab and map.
pub(super) const PEER_BYTES: u64 = 700;

/// Groups forgotten at a time, ten times a second: more than can come with the new keys that a tracker lets in.
const TIDY_SLICE: usize = 1000;

/// What is taken of the three things that are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    pub peers: usize,
    /// Rows of the catalogue.
    pub rows: usize,
    /// Bytes of memory, estimated; what is stored takes less of the disk.
    pub bytes: u64,
    /// Those of them that are names of files inside folders.
    pub names: u64,
}

/// A peer and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerUse {
    pub key: PeerId,
    /// What it calls itself.
    pub nick: String,
    /// Where it was last seen.
    pub group: Option<AddrGroup>,
    /// Whether it is part of the network now.
    pub here: bool,
    /// Contents it has registered or has chunks of.
    pub items: usize,
    /// Bytes of memory, beside the rows it brought.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Usage {
    all: Taken,
    groups: HashMap<AddrGroup, Group>,
    /// Groups that took nothing any more in a minute in which they had brought new keys: remembered until
    /// that minute is over.
    emptied: BTreeSet<(u64, AddrGroup)>,
}

#[derive(Debug, Default)]
struct Group {
    taken: Taken,
    /// The minute of the last new key, since 1970.
    minute: u64,
    /// New keys in that minute.
    fresh: usize,
}

impl Usage {
    /// What all take together.
    pub(super) fn all(&self) -> Taken {
        self.all
    }

    /// What one group takes.
    pub(super) fn of(&self, group: AddrGroup) -> Taken {
        self.groups.get(&group).map(|group| group.taken).unwrap_or_default()
    }

    /// Keys never seen before that a group has brought in this minute.
    pub(super) fn fresh_keys(&self, group: AddrGroup, minute: u64) -> usize {
        let group = self.groups.get(&group).filter(|group| group.minute == minute);
        group.map_or(0, |group| group.fresh)
    }

    pub(super) fn note_fresh_key(&mut self, group: AddrGroup, minute: u64) {
        let group = self.groups.entry(group).or_default();
        if group.minute != minute {
            (group.minute, group.fresh) = (minute, 0);
        }
        group.fresh += 1;
    }

    /// A peer with so many bytes is there, so many of them for names.
    pub(super) fn add_peer(&mut self, group: Option<AddrGroup>, (bytes, names): (u64, u64)) {
        self.add(group, Taken { peers: 1, rows: 0, bytes, names });
    }

    pub(super) fn remove_peer(&mut self, group: Option<AddrGroup>, (bytes, names): (u64, u64)) {
        self.remove(group, Taken { peers: 1, rows: 0, bytes, names });
    }

    /// A row is there that this group brought.
    pub(super) fn add_row(&mut self, origin: Option<AddrGroup>) {
        self.add(origin, Taken { rows: 1, bytes: ROW_BYTES, ..Taken::default() });
    }

    pub(super) fn remove_row(&mut self, origin: Option<AddrGroup>) {
        self.remove(origin, Taken { rows: 1, bytes: ROW_BYTES, ..Taken::default() });
    }

    /// What a peer of this group takes has become another number of bytes.
    pub(super) fn resize(&mut self, group: Option<AddrGroup>, before: u64, after: u64) {
        self.add(group, Taken { bytes: after, ..Taken::default() });
        self.remove(group, Taken { bytes: before, ..Taken::default() });
    }

    /// Names that a peer of this group gave take another number of bytes; they count among its bytes too.
    pub(super) fn resize_names(&mut self, group: Option<AddrGroup>, before: u64, after: u64) {
        self.add(group, Taken { names: after, ..Taken::default() });
        self.remove(group, Taken { names: before, ..Taken::default() });
    }

    /// Forgets groups of which nothing is left: some of them, since there is a next time.
    pub(super) fn tidy(&mut self, minute: u64) {
        for _ in 0..TIDY_SLICE {
            let Some((since, group)) = self.emptied.first().copied() else { break };
            if since >= minute {
                break;
            }
            self.emptied.pop_first();
            if self.of(group) == Taken::default() {
                self.groups.remove(&group);
            }
        }
    }

    fn add(&mut self, group: Option<AddrGroup>, more: Taken) {
        self.all.add(more);
        if let Some(group) = group {
            self.groups.entry(group).or_default().taken.add(more);
        }
    }

    fn remove(&mut self, group: Option<AddrGroup>, less: Taken) {
        self.all.remove(less);
        let Some(group) = group else { return };
        let Some(known) = self.groups.get_mut(&group) else { return };
        known.taken.remove(less);
        if known.taken == Taken::default() {
            if known.fresh > 0 {
                self.emptied.insert((known.minute, group));
            } else {
                self.groups.remove(&group);
            }
        }
    }
}

impl Taken {
    fn add(&mut self, more: Self) {
        self.peers += more.peers;
        self.rows += more.rows;
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.names = self.names.saturating_add(more.names);
    }

    fn remove(&mut self, less: Self) {
        self.peers = self.peers.saturating_sub(less.peers);
        self.rows = self.rows.saturating_sub(less.rows);
        self.bytes = self.bytes.saturating_sub(less.bytes);
        self.names = self.names.saturating_sub(less.names);
    }
}

impl Index {
    /// What all take together.
    pub fn taken(&self) -> Taken {
        self.usage.all()
    }

    /// What an address group takes: the peers last seen there and what is theirs, and the rows they
    /// brought.
    pub fn taken_by(&self, group: AddrGroup) -> Taken {
        self.usage.of(group)
    }

    /// The peers that take most, in that order. A pass over all of them: for an operator's question.
    pub fn largest_peers(&self, most: usize) -> Vec<PeerUse> {
        // The smallest on top, to be pushed out.
        let mut largest = BinaryHeap::new();
        for (handle, peer) in self.peers.iter() {
            largest.push(Reverse((peer.bytes, Reverse(peer.id), handle)));
            if largest.len() > most {
                largest.pop();
            }
        }
        let in_order = largest.into_sorted_vec();
        let peers = in_order.into_iter().filter_map(|Reverse((.., handle))| self.peers.get(handle));
        peers
            .map(|peer| PeerUse {
                key: peer.id,
                nick: peer.nick.clone(),
                group: peer.group,
                here: peer.is_here(),
                items: peer.files.len(),
                bytes: peer.bytes,
            })
            .collect()
    }

    /// What a peer takes has become so many bytes more, or less.
    pub(super) fn resize_peer(&mut self, peer: u32, before: u64, after: u64) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        owner.bytes = owner.bytes.saturating_add(after).saturating_sub(before);
        self.usage.resize(owner.group, before, after);
    }

    /// The names that a peer gave have come to take so many bytes more, or less.
    pub(super) fn resize_names(&mut self, peer: u32, before: u64, after: u64) {
        self.resize_peer(peer, before, after);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        owner.names = owner.names.saturating_add(after).saturating_sub(before);
        self.usage.resize_names(owner.group, before, after);
    }

    /// A peer is seen in an address group.
    pub(super) fn move_to(&mut self, peer: u32, group: AddrGroup) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        if owner.group != Some(group) {
            self.usage.remove_peer(owner.group, (owner.bytes, owner.names));
            owner.group = Some(group);
            self.usage.add_peer(owner.group, (owner.bytes, owner.names));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_group_is_forgotten_with_the_last_it_took_and_the_minute_of_its_last_new_key() {
        let group = AddrGroup::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut usage = Usage::default();
        usage.note_fresh_key(group, 7);
        usage.add_peer(Some(group), (PEER_BYTES, 0));
        usage.remove_peer(Some(group), (PEER_BYTES, 0));
        usage.tidy(7);
        assert_eq!(usage.fresh_keys(group, 7), 1);
        usage.tidy(8);
        assert!(usage.groups.is_empty() && usage.emptied.is_empty());
        usage.add_row(Some(group));
        assert_eq!(usage.of(group), Taken { rows: 1, bytes: ROW_BYTES, ..Taken::default() });
        usage.remove_row(Some(group));
        assert!(usage.groups.is_empty());
        assert_eq!(usage.all(), Taken::default());
    }
}
