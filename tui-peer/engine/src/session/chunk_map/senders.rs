//! Who sent what, for a map of so many cells: one pass over all chunks, only while somebody looks.

use super::ChunkMap;
use crate::api::chunk_states::first_chunk;
use crate::api::snapshot::{ChunkState, MAX_CELLS, Sent};
use swarm::senders::{NOBODY, Senders};

/// Numbers that a bucket can have.
const NUMBERS: usize = Sent::BEFORE as usize + 1;

impl ChunkMap {
    /// For so many buckets, if that is wanted; [`Self::update`] must have been called.
    pub(in crate::session) fn senders(
        &self,
        wanted: Option<u32>,
        senders: Option<&Senders>,
    ) -> Option<Sent> {
        let of = wanted?.min(MAX_CELLS) as usize;
        let n = self.chunks.len();
        let mut sums = [0_u32; NUMBERS];
        let mut buckets = Vec::with_capacity(of);
        let mut counts = [0_u32; NUMBERS];
        let mut end = first_chunk(1, of, n);
        let states = self.chunks.pages().flat_map(|(states, _)| states);
        for (chunk, state) in (0u32..).zip(states) {
            while chunk as usize >= end && buckets.len() + 1 < of {
                buckets.push(most(&mut counts, &mut sums));
                end = first_chunk(buckets.len() + 1, of, n);
            }
            if *state != ChunkState::Have {
                continue;
            }
            let number = match senders.map_or(NOBODY, |senders| senders.of(chunk)) {
                NOBODY => Sent::BEFORE,
                number => number,
            };
            if let Some(count) = counts.get_mut(usize::from(number)) {
                *count += 1;
            }
        }
        while buckets.len() < of {
            buckets.push(most(&mut counts, &mut sums));
        }
        let peers = senders.map_or(&[][..], Senders::peers);
        let sum = |number: u8| sums.get(usize::from(number)).copied().unwrap_or(0);
        Some(Sent {
            buckets,
            peers: (1u8..).zip(peers).map(|(number, peer)| (*peer, sum(number))).collect(),
            others: sum(Sent::OTHERS),
            before: sum(Sent::BEFORE),
        })
    }
}

/// The number with most chunks of a bucket; begins the next.
fn most(counts: &mut [u32; NUMBERS], sums: &mut [u32; NUMBERS]) -> u8 {
    let mut best = (0, Sent::NOTHING);
    for ((number, count), sum) in (0u8..).zip(counts.iter()).zip(sums.iter_mut()) {
        *sum += count;
        if *count > best.0 {
            best = (*count, number);
        }
    }
    *counts = [0; NUMBERS];
    best.1
}

#[cfg(test)]
mod tests {
    use common::id::{ContentId, PeerId};

    use super::*;
    use crate::api::chunk_states::Chunks;

    #[test]
    fn a_bucket_is_of_whoever_sent_most_of_it() {
        let mut chunk_map = ChunkMap::new(ContentId::from_bytes([7; 32]));
        let mut states = [ChunkState::Have; 100];
        states[60..].fill(ChunkState::Missing);
        chunk_map.chunks = Chunks::of(&states, &[]);
        let mut senders = Senders::default();
        let peer = |n| PeerId::from_bytes([n; 32]);
        (10..16).for_each(|chunk| senders.note(chunk, peer(1), 100));
        (16..30).for_each(|chunk| senders.note(chunk, peer(2), 100));
        assert_eq!(chunk_map.senders(None, Some(&senders)), None, "not asked, not worked out");
        let sent = chunk_map.senders(Some(10), Some(&senders)).unwrap();
        let before = Sent::BEFORE;
        assert_eq!(sent.buckets, [before, 1, 2, before, before, before, 0, 0, 0, 0]);
        assert_eq!(sent.peers, [(peer(1), 6), (peer(2), 14)]);
        assert_eq!((sent.others, sent.before, sent.number(&peer(2))), (0, 40, Some(2)));
        // More cells than chunks, and too many.
        assert_eq!(chunk_map.senders(Some(250), None).unwrap().buckets.len(), 250);
        let most = chunk_map.senders(Some(u32::MAX), None).unwrap();
        assert_eq!(most.buckets.len(), MAX_CELLS as usize);
    }
}
