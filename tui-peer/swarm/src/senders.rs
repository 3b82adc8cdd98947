//! Who sent which chunk, for those who look: one byte a chunk, O(1) a chunk. The first eight who sent
//! something have a number of their own, so that nobody's changes; the others share one.

use common::id::PeerId;

/// Peers with a number of their own: as many colours stay apart for every eye.
pub const NAMED: usize = 8;
/// The number of a chunk that nobody sent in this run.
pub const NOBODY: u8 = 0;
/// The number of the ninth sender and later ones.
pub const OTHERS: u8 = NAMED as u8 + 1;

/// See the module. Takes no memory before the first chunk came.
#[derive(Debug, Default)]
pub struct Senders {
    noted: Option<Box<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    /// Of each chunk: 0, or a peer's place in `peers` from 1, or [`OTHERS`].
    slots: Vec<u8>,
    peers: Vec<PeerId>,
}

impl Senders {
    /// A chunk came from a peer and was found good.
    pub fn note(&mut self, chunk: u32, peer: PeerId, chunks: u32) {
        let Noted { slots, peers } = &mut **self.noted.get_or_insert_default();
        if slots.is_empty() {
            *slots = vec![NOBODY; chunks as usize];
        }
        let at = peers.iter().position(|known| *known == peer);
        let at = at.or_else(|| {
            (peers.len() < NAMED).then(|| {
                peers.push(peer);
                peers.len() - 1
            })
        });
        let number = at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(OTHERS);
        if let Some(slot) = slots.get_mut(chunk as usize) {
            *slot = number;
        }
    }

    /// Those with a number of their own, in the order of their numbers from 1.
    pub fn peers(&self) -> &[PeerId] {
        self.noted.as_ref().map_or(&[], |noted| &noted.peers)
    }

    /// The number of who sent a chunk.
    pub fn of(&self, chunk: u32) -> u8 {
        let slot = self.noted.as_ref().and_then(|noted| noted.slots.get(chunk as usize));
        slot.copied().unwrap_or(NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eight_keep_their_numbers_and_the_others_share_one() {
        let mut senders = Senders::default();
        assert_eq!(senders.of(3), NOBODY);
        let peer = |n| PeerId::from_bytes([n; 32]);
        for n in 0..12u8 {
            senders.note(u32::from(n), peer(n), 100);
        }
        senders.note(50, peer(2), 100);
        senders.note(200, peer(2), 100);
        assert_eq!((senders.of(0), senders.of(7), senders.of(8), senders.of(11)), (1, 8, 9, 9));
        assert_eq!((senders.of(50), senders.of(51), senders.of(200)), (3, NOBODY, NOBODY));
        assert_eq!(senders.peers().len(), NAMED);
    }
}
