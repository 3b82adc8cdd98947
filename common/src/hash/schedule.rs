//! Messages of any lengths on a fixed number of lanes: whoever is done makes room for the next.

use super::Block;
use crate::id::Hash;

/// Initial state (FIPS 180-4, section 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Bytes of a block.
const BLOCK: usize = 64;
/// Bytes at the end of the last block that hold the message's length in bits.
const LENGTH: usize = 8;

/// A message on its way.
pub(super) struct Job<'a> {
    /// Where its hash goes.
    slot: usize,
    state: [u32; 8],
    /// Whole blocks still to come.
    body: &'a [Block],
    /// The rest of the message and its padding: one block, or two.
    tail: [Block; 2],
    /// Blocks of `tail` that are done, or not needed.
    tail_done: usize,
}

impl<'a> Job<'a> {
    fn new(slot: usize, message: &'a [u8]) -> Self {
        let (body, rest) = message.as_chunks::<BLOCK>();
        let mut tail = [[0; BLOCK]; 2];
        let tail_done = usize::from(rest.len() < BLOCK - LENGTH);
        if let Some((first, _)) =
            tail.get_mut(tail_done).and_then(|b| b.split_at_mut_checked(rest.len() + 1))
        {
            first[..rest.len()].copy_from_slice(rest);
            first[rest.len()] = 0x80;
        }
        let bits = (message.len() as u64).wrapping_mul(8).to_be_bytes();
        tail[1][BLOCK - LENGTH..].copy_from_slice(&bits);
        Self { slot, state: START, body, tail, tail_done }
    }

    /// The blocks to come that lie one after the other.
    fn blocks(&self) -> &[Block] {
        if self.body.is_empty() {
            self.tail.get(self.tail_done..).unwrap_or_default()
        } else {
            self.body
        }
    }

    /// Takes note that `count` of them are done; true if that was all.
    fn advance(&mut self, count: usize) -> bool {
        if self.body.is_empty() {
            self.tail_done += count;
        } else {
            self.body = self.body.get(count..).unwrap_or_default();
        }
        self.tail_done >= self.tail.len()
    }
}

/// What is to be hashed: messages not begun, and some that were begun elsewhere.
pub(super) struct Jobs<'a> {
    messages: &'a [&'a [u8]],
    next: usize,
    begun: Vec<Job<'a>>,
}

impl<'a> Jobs<'a> {
    pub(super) fn new(messages: &'a [&'a [u8]]) -> Self {
        Self { messages, next: 0, begun: Vec::new() }
    }

    /// Messages left.
    pub(super) fn left(&self) -> usize {
        self.begun.len() + self.messages.len() - self.next
    }

    fn take(&mut self) -> Option<Job<'a>> {
        if let Some(job) = self.begun.pop() {
            return Some(job);
        }
        let message = self.messages.get(self.next)?;
        self.next += 1;
        Some(Job::new(self.next - 1, message))
    }

    /// Hashes on `N` lanes for as long as at least `least` (one or more) of them have something to do;
    /// what is left then can go on elsewhere from where it is.
    pub(super) fn run<const N: usize>(
        &mut self,
        least: usize,
        out: &mut [Hash],
        compress: impl Fn(&mut [[u32; N]; 8], &[&[Block]; N], usize),
    ) {
        if self.left() < least {
            return;
        }
        let mut lanes: [Option<Job<'a>>; N] = [const { None }; N];
        let mut states = [[0; N]; 8];
        loop {
            for (n, lane) in lanes.iter_mut().enumerate() {
                if lane.is_none() {
                    *lane = self.take();
                    if let Some(job) = lane {
                        set_column(&mut states, n, &job.state);
                    }
                }
            }
            let mut working = lanes.iter().flatten().map(Job::blocks);
            let Some(first) = working.next() else { return };
            // Lanes without a message do somebody else's work over again.
            let mut blocks: [&[Block]; N] = [first; N];
            let (mut count, mut active) = (usize::MAX, 0);
            for (blocks, lane) in blocks.iter_mut().zip(&lanes) {
                if let Some(job) = lane {
                    *blocks = job.blocks();
                    count = count.min(blocks.len());
                    active += 1;
                }
            }
            if active < least {
                for (n, lane) in lanes.into_iter().enumerate() {
                    self.begun.extend(lane.map(|job| Job { state: column(&states, n), ..job }));
                }
                return;
            }
            compress(&mut states, &blocks, count);
            for (n, lane) in lanes.iter_mut().enumerate() {
                if let Some(job) = lane
                    && job.advance(count)
                {
                    if let Some(out) = out.get_mut(job.slot) {
                        *out = digest(column(&states, n));
                    }
                    *lane = None;
                }
            }
        }
    }
}

fn column<const N: usize>(states: &[[u32; N]; 8], n: usize) -> [u32; 8] {
    states.map(|row| row[n])
}

fn set_column<const N: usize>(states: &mut [[u32; N]; 8], n: usize, state: &[u32; 8]) {
    for (row, word) in states.iter_mut().zip(state) {
        row[n] = *word;
    }
}

fn digest(state: [u32; 8]) -> Hash {
    let mut bytes = [0; 32];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    Hash::from_bytes(bytes)
}
