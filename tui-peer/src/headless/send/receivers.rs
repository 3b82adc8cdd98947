//! Who fetches what is sent, and how far each is. A receiver counts when it has said of every content that
//! it has all chunks, which peers say of chunks that they have verified and kept; bytes that merely went out
//! count for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use common::id::{ContentId, PeerId};
use common::numbers::saturate;

use crate::headless::output::Row;
use engine::api::snapshot::{Snapshot, display_name};

/// Receivers kept at once; more than that, and those that went away with nothing are forgotten first.
const MAX_RECEIVERS: usize = 4096;

/// Somebody who fetches it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Receiver {
    pub(super) peer: PeerId,
    /// Its name for itself, safe to show.
    pub(super) nick: String,
    pub(super) addr: Option<SocketAddr>,
    /// Chunks it says it has, of all contents.
    pub(super) have: u32,
    /// Bytes per second to it.
    pub(super) rate: f64,
    pub(super) connected: bool,
    /// It has everything.
    pub(super) done: bool,
    of: BTreeMap<ContentId, u32>,
    whole: BTreeSet<ContentId>,
    /// It was seen without some of it.
    lacked: bool,
}

#[derive(Debug)]
pub(super) struct Receivers {
    /// Chunks of each content.
    contents: BTreeMap<ContentId, u32>,
    size: u64,
    /// Whoever comes, comes for this: also one that has all of it when it is first seen (its part was here)
    /// is a receiver. In a network of many others may have had it before.
    only_for_this: bool,
    all: BTreeMap<PeerId, Receiver>,
    /// Those that have everything, in the order they had it.
    done: Vec<PeerId>,
}

impl Receivers {
    /// Of contents with so many chunks and bytes. Contents without a chunk are with everybody.
    pub(super) fn new(
        contents: impl IntoIterator<Item = (ContentId, u32)>,
        size: u64,
        only_for_this: bool,
    ) -> Self {
        let contents = contents.into_iter().filter(|(_, chunks)| *chunks > 0).collect();
        Self { contents, size, only_for_this, all: BTreeMap::new(), done: Vec::new() }
    }

    /// Chunks of everything that is sent.
    pub(super) fn chunks(&self) -> u32 {
        self.contents.values().fold(0, |sum, chunks| sum.saturating_add(*chunks))
    }

    /// Those that have everything, in the order they had it.
    pub(super) fn done(&self) -> Vec<&Receiver> {
        self.done.iter().filter_map(|peer| self.all.get(peer)).collect()
    }

    /// Takes in who is connected and what they take; those that are not as they were before.
    pub(super) fn look(&mut self, snapshot: &Snapshot) -> Vec<Receiver> {
        let before = self.all.clone();
        for receiver in self.all.values_mut() {
            (receiver.connected, receiver.rate) = (false, 0.0);
        }
        for row in snapshot.peers.iter() {
            let known = self.all.contains_key(&row.peer);
            let takes = row.takes.iter().filter(|take| self.contents.contains_key(&take.id));
            let takes: Vec<(ContentId, u32, f64)> =
                takes.map(|take| (take.id, take.have, take.rate)).collect();
            if !known && takes.is_empty() {
                continue;
            }
            let Some(receiver) = self.receiver(row.peer) else { continue };
            (receiver.connected, receiver.addr) = (true, Some(row.addr));
            receiver.nick.clone_from(&row.nick);
            receiver.rate = takes.iter().map(|(_, _, rate)| rate).sum();
            receiver.of.extend(takes.iter().map(|(id, have, _)| (*id, *have)));
            for (id, ..) in takes {
                self.count(row.peer, id);
            }
        }
        let changed = |now: &&Receiver| before.get(&now.peer) != Some(*now);
        self.all.values().filter(changed).cloned().collect()
    }

    /// A peer says that it has all of a content (`fetched`: and lacked some of it before); itself, if it is
    /// done with that.
    pub(super) fn has_all(
        &mut self,
        peer: PeerId,
        id: ContentId,
        fetched: bool,
    ) -> Option<Receiver> {
        let chunks = *self.contents.get(&id)?;
        let was_done = self.all.get(&peer).is_some_and(|receiver| receiver.done);
        let receiver = self.receiver(peer)?;
        receiver.of.insert(id, chunks);
        receiver.connected = true;
        receiver.lacked |= fetched;
        self.count(peer, id);
        self.all.get(&peer).filter(|receiver| receiver.done && !was_done).cloned()
    }

    /// Bars of those that are not done and connected, the furthest first.
    pub(super) fn rows(&self) -> Vec<Row> {
        let chunks = u128::from(self.chunks().max(1));
        let mut busy: Vec<&Receiver> =
            self.all.values().filter(|receiver| receiver.connected && !receiver.done).collect();
        busy.sort_by_key(|receiver| (std::cmp::Reverse(receiver.have), receiver.peer));
        let row = |receiver: &Receiver| {
            let done = u128::from(self.size) * u128::from(receiver.have) / chunks;
            let done = saturate::<u64>(done);
            let (left, rate) = (self.size.saturating_sub(done) as f64, receiver.rate);
            let eta_s = (rate >= 1.0).then(|| (left / rate).ceil() as u64);
            let label = receiver.display_name();
            Row { label, done, total: self.size, rate, eta_s, ..Row::default() }
        };
        busy.into_iter().map(row).collect()
    }

    fn receiver(&mut self, peer: PeerId) -> Option<&mut Receiver> {
        if self.all.len() >= MAX_RECEIVERS && !self.all.contains_key(&peer) {
            self.all.retain(|_, receiver| receiver.connected || receiver.done);
            if self.all.len() >= MAX_RECEIVERS {
                return None;
            }
        }
        Some(self.all.entry(peer).or_insert_with(|| Receiver {
            peer,
            nick: String::new(),
            addr: None,
            have: 0,
            rate: 0.0,
            connected: false,
            done: false,
            of: BTreeMap::new(),
            whole: BTreeSet::new(),
            lacked: false,
        }))
    }

    /// Works out what a receiver has after a content of it changed.
    fn count(&mut self, peer: PeerId, id: ContentId) {
        let Some(receiver) = self.all.get_mut(&peer) else { return };
        let all = self.contents.get(&id).copied().unwrap_or(0);
        match receiver.of.get(&id) {
            Some(have) if *have >= all => {
                receiver.whole.insert(id);
            }
            _ => receiver.lacked = true,
        }
        receiver.have = receiver.of.values().fold(0, |sum, have| sum.saturating_add(*have));
        let everything = receiver.whole.len() == self.contents.len();
        if everything && (self.only_for_this || receiver.lacked) && !receiver.done {
            receiver.done = true;
            self.done.push(peer);
        }
    }
}

impl Receiver {
    /// For people.
    pub(super) fn display_name(&self) -> String {
        display_name(&self.peer, &self.nick)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use engine::api::snapshot::{Me, PeerRow, Take, Upload};

    fn id(n: u8) -> ContentId {
        ContentId::from_bytes([n; 32])
    }

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    /// A snapshot in which these peers take these contents and have so many chunks.
    fn snapshot(peers: &[(u8, &[(u8, u32)])]) -> Snapshot {
        let mut snapshot = Snapshot::first(Me { peer: peer(9), ..Me::example() });
        let rows = peers.iter().map(|(n, takes)| PeerRow {
            peer: peer(*n),
            nick: format!("p{n}"),
            addr: ([127, 0, 0, 1], 2).into(),
            way: engine::api::snapshot::Way::Dialled,
            down_rate: 0.0,
            up_rate: 1.0,
            down: 0,
            up: 0,
            contents: 1,
            rtt_ms: None,
            since: Instant::now(),
            upload: Upload::Sending,
            takes: takes
                .iter()
                .map(|(of, have)| Take {
                    id: id(*of),
                    name: "x".into(),
                    rate: 1.0,
                    sent: u64::MAX,
                    have: *have,
                })
                .collect(),
        });
        snapshot.peers = rows.collect::<Vec<_>>().into();
        snapshot
    }

    fn names(receivers: &Receivers) -> Vec<String> {
        receivers.done().iter().map(|receiver| receiver.nick.clone()).collect()
    }

    #[test]
    fn c2_a_receiver_counts_when_it_has_every_chunk_of_everything_not_when_it_was_sent() {
        let mut all = Receivers::new([(id(1), 10), (id(2), 5), (id(3), 0)], 1500, true);
        assert_eq!(all.chunks(), 15);
        // Whatever was sent (the snapshot says: more than there is), what counts is what it has.
        assert_eq!(all.look(&snapshot(&[(1, &[(1, 4), (2, 0)]), (2, &[])])).len(), 1);
        assert_eq!((all.rows().len(), names(&all).len()), (1, 0));
        let rows = all.rows();
        assert_eq!(
            (rows[0].done, rows[0].total, rows[0].label.as_str()),
            (400, 1500, format!("p1 ({})", peer(1).short()).as_str())
        );
        assert!(all.has_all(peer(1), id(1), false).is_none(), "one of two");
        assert!(all.has_all(peer(1), id(7), true).is_none(), "something else");
        let done = all.has_all(peer(1), id(2), true).unwrap();
        assert_eq!((done.have, done.nick.as_str()), (15, "p1"));
        assert!(all.has_all(peer(1), id(2), true).is_none(), "once");
        assert_eq!((names(&all), all.rows().len()), (vec!["p1".to_owned()], 0));
        // It goes away, and stays who has it.
        let gone = all.look(&snapshot(&[]));
        assert_eq!((gone.len(), gone[0].connected, gone[0].done), (1, false, true));
        assert!(all.look(&snapshot(&[])).is_empty(), "nothing new");
        // One whose words were missed shows in the snapshot too.
        all.look(&snapshot(&[(3, &[(1, 10), (2, 5)])]));
        assert_eq!(names(&all), ["p1", "p3"]);
    }

    #[test]
    fn c2_in_a_network_of_many_who_had_it_before_is_no_receiver() {
        let mut all = Receivers::new([(id(1), 10)], 1000, false);
        assert!(all.has_all(peer(1), id(1), false).is_none() && names(&all).is_empty());
        all.look(&snapshot(&[(2, &[(1, 3)])]));
        assert!(all.has_all(peer(2), id(1), false).is_some());
        assert_eq!(names(&all), ["p2"]);
        // Faster than anybody looks.
        assert!(all.has_all(peer(3), id(1), true).is_some());
        assert_eq!(all.done().len(), 2);
    }

    #[test]
    fn c2_more_strangers_than_can_be_kept_are_forgotten_not_piled_up() {
        let mut all = Receivers::new([(id(1), 10)], 1000, false);
        for n in 0..10_000_u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            all.has_all(PeerId::from_bytes(bytes), id(1), false);
            if n % 1000 == 0 {
                all.look(&snapshot(&[]));
            }
        }
        assert!(all.all.len() <= MAX_RECEIVERS, "{}", all.all.len());
    }
}
