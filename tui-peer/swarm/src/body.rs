//! What the core keeps of a content's chunks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::layout::Layout;
use common::merkle::{ChunkHashes, HashRange};
use common::numbers::saturate;

use super::availability_stats::AvailabilityStats;
use super::event::{ConnId, Ready};
use super::link::{Has, Link};
use super::picker::Picker;
use super::senders::Senders;
use super::time::Time;

/// Sendings of a chunk are counted up to here; beyond it all are equally well spread.
const MAX_SENT: u16 = 1000;

/// All that exchanging chunks needs.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) layout: Arc<Layout>,
    pub(super) have: ChunkSet,
    pub(super) wanted: ChunkSet,
    pub(super) hashes: Vec<ChunkHashes>,
    /// Files of which some chunk hash is missing.
    pub(super) hashes_missing: BTreeSet<u32>,
    /// Ranges of hashes of wanted chunks that nobody was asked for yet.
    pub(super) hash_todo: VecDeque<(u32, HashRange)>,
    /// Hash ranges asked for: file and first chunk.
    pub(super) hash_asked: BTreeSet<(u32, u32)>,
    /// Chunks to ask for: wanted, not here, asked of nobody, their hash known.
    pub(super) picker: Picker,
    /// Counts what became pickable: a source without any of it need not be searched again before.
    pub(super) offers: u64,
    /// Complete sources among the links.
    pub(super) seeds: u16,
    /// When somebody was last asked for a chunk.
    pub(super) asked_at: Time,
    /// Chunks requested or being verified.
    pub(super) flights: BTreeMap<u32, Flight>,
    /// Chunks we have, by how often we sent them; made when first needed.
    pub(super) sent: Option<Picker>,
    /// Chunks that may be here, and are asked of nobody until the shell has looked.
    pub(super) doubted: ChunkSet,
    /// Chunks that could not be read: ours, and not offered.
    pub(super) withheld: BTreeSet<u32>,
    /// Chunks stored and not yet told to others.
    pub(super) news: Vec<u32>,
    /// Bytes of wanted chunks that are here.
    pub(super) done_bytes: u64,
    /// Wanted chunks that are here.
    pub(super) wanted_here: u32,
    /// For those who look.
    pub(super) stats: AvailabilityStats,
    /// Who sent which chunk, while it is on its way or looked at.
    pub(super) senders: Senders,
}

/// A chunk on its way.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    /// Who was asked, and under which number; at most two.
    pub(super) asked: Vec<(ConnId, u32)>,
    /// All bytes are here; the disk is at work. Who sent them.
    pub(super) verifying: Option<ConnId>,
    /// How often it was taken from one source to be asked of another.
    pub(super) moves: u8,
}

impl Flight {
    /// Whether it was asked of this source alone, by this request, and is not here yet.
    pub(super) fn is_only_of(&self, at: ConnId, rid: u32) -> bool {
        self.asked[..] == [(at, rid)] && self.verifying.is_none()
    }
}

impl Body {
    pub(super) fn new(ready: Ready) -> Self {
        let Ready { layout, have, wanted, hashes, mut doubted, .. } = ready;
        let chunks = layout.chunks();
        let incomplete = (0u32..).zip(&hashes).filter(|(_, h)| !h.is_complete());
        let hashes_missing: BTreeSet<u32> = incomplete.map(|(file, _)| file).collect();
        let settled: Vec<u32> = doubted.iter().filter(|chunk| have.contains(*chunk)).collect();
        for chunk in settled {
            doubted.remove(chunk);
        }
        let mut body = Self {
            picker: Picker::new(chunks),
            layout,
            have,
            wanted: ChunkSet::empty(chunks),
            hashes,
            hashes_missing,
            hash_todo: VecDeque::new(),
            hash_asked: BTreeSet::new(),
            offers: 0,
            seeds: 0,
            asked_at: Time::ZERO,
            flights: BTreeMap::new(),
            sent: None,
            doubted,
            withheld: BTreeSet::new(),
            news: Vec::new(),
            done_bytes: 0,
            wanted_here: 0,
            stats: AvailabilityStats::default(),
            senders: Senders::default(),
        };
        body.want(wanted);
        body
    }

    /// Changes which chunks are wanted; recounts everything that follows from it.
    pub(super) fn want(&mut self, wanted: ChunkSet) {
        self.wanted = wanted;
        (self.done_bytes, self.wanted_here) = (0, 0);
        self.stats.recount();
        for chunk in 0..self.layout.chunks() {
            if self.have.contains(chunk) {
                if self.wanted.contains(chunk) {
                    self.wanted_here += 1;
                    self.done_bytes += u64::from(self.len(chunk));
                }
                self.picker.remove(chunk);
            } else if self.wanted.contains(chunk) {
                self.offer(chunk);
                self.stats.came(self.picker.copies(chunk));
            } else {
                self.picker.remove(chunk);
            }
        }
        self.plan_hashes();
    }

    /// Makes a chunk pickable, if it is to be asked for at all.
    pub(super) fn offer(&mut self, chunk: u32) {
        let free = self.lacks(chunk)
            && !self.flights.contains_key(&chunk)
            && !self.doubted.contains(chunk);
        if free && self.hash(chunk).is_some() {
            self.picker.insert(chunk);
            self.offers += 1;
        }
    }

    /// The doubted ones among `chunks` that can be checked, because their hash is known.
    pub(super) fn checkable(&self, chunks: impl Iterator<Item = u32>) -> ChunkSet {
        let mut set = ChunkSet::empty(self.layout.chunks());
        if !self.doubted.is_empty() {
            let known = |chunk: &u32| self.doubted.contains(*chunk) && self.hash(*chunk).is_some();
            for chunk in chunks.filter(known) {
                set.insert(chunk);
            }
        }
        set
    }

    /// Lists the hash ranges that wanted chunks need.
    fn plan_hashes(&mut self) {
        let mut todo = VecDeque::new();
        for file in &self.hashes_missing {
            let Some(hashes) = self.hashes.get(*file as usize) else { continue };
            let first = self.layout.file_chunks(*file as usize).map_or(0, |chunks| chunks.start);
            let mut chunk = 0;
            while chunk < hashes.chunks() {
                let Some(range) = hashes.missing_range_for(chunk) else {
                    chunk += 1;
                    continue;
                };
                let end = (range.index + u32::from(range.count)).clamp(chunk + 1, hashes.chunks());
                let needed = (chunk..end).any(|chunk| self.lacks(first + chunk));
                if needed && !self.hash_asked.contains(&(*file, range.index)) {
                    todo.push_back((*file, range));
                }
                chunk = end;
            }
        }
        self.hash_todo = todo;
    }

    /// The chunks, in the content's numbering, whose hashes a range holds.
    pub(super) fn chunks_of(&self, file: u32, range: HashRange) -> std::ops::Range<u32> {
        let chunks = self.layout.file_chunks(file as usize).unwrap_or(0..0);
        let start = chunks.start.saturating_add(range.index).min(chunks.end);
        start..start.saturating_add(u32::from(range.count)).min(chunks.end)
    }

    /// Whether others may have this chunk of us.
    pub(super) fn offers(&self, chunk: u32) -> bool {
        self.have.contains(chunk) && !self.withheld.contains(&chunk)
    }

    /// What others may have of us.
    pub(super) fn offered(&self) -> ChunkSet {
        let mut set = self.have.clone();
        for chunk in &self.withheld {
            set.remove(*chunk);
        }
        set
    }

    /// Counts one more sending of a chunk.
    pub(super) fn count_sent(&mut self, chunk: u32) {
        let sent = self.sent_counts();
        if sent.copies(chunk) < MAX_SENT {
            sent.gained(chunk);
        }
    }

    pub(super) fn sent_counts(&mut self) -> &mut Picker {
        let (have, chunks) = (&self.have, self.layout.chunks());
        self.sent.get_or_insert_with(|| {
            let mut sent = Picker::new(chunks);
            have.iter().for_each(|chunk| sent.insert(chunk));
            sent
        })
    }

    pub(super) fn len(&self, chunk: u32) -> u32 {
        self.layout.chunk(chunk).map_or(0, |chunk| self.layout.len_of(chunk))
    }

    /// Length of most chunks, in bytes.
    pub(super) fn usual_len(&self) -> u64 {
        u64::from(self.layout.chunk_len()).min(self.layout.total().max(1))
    }

    pub(super) fn is_done(&self) -> bool {
        self.wanted_here == self.wanted.count()
    }

    /// Wanted chunks that are not here.
    pub(super) fn missing(&self) -> u32 {
        self.wanted.count() - self.wanted_here
    }

    /// Whether we lack this chunk and want it.
    pub(super) fn lacks(&self, chunk: u32) -> bool {
        self.wanted.contains(chunk) && !self.have.contains(chunk)
    }

    /// What the chunk's hash must be, if that is known yet.
    pub(super) fn hash(&self, chunk: u32) -> Option<common::id::Hash> {
        let place = self.layout.place(self.layout.chunk(chunk)?);
        self.hashes.get(place.file)?.get(place.chunk_in_file)
    }

    /// Connected copies of a chunk, ourselves not counted.
    pub(super) fn copies(&self, chunk: u32) -> u16 {
        self.picker.copies(chunk).saturating_add(self.seeds)
    }

    /// A chunk is ours now; false if it was already.
    pub(super) fn store(&mut self, chunk: u32) -> bool {
        self.flights.remove(&chunk);
        self.picker.remove(chunk);
        self.withheld.remove(&chunk);
        self.doubted.remove(chunk);
        self.stats.touch(chunk);
        if self.lacks(chunk) {
            self.stats.left(self.picker.copies(chunk));
        }
        let new = self.have.insert(chunk);
        if new {
            if let Some(sent) = &mut self.sent {
                sent.insert(chunk);
            }
            if self.wanted.contains(chunk) {
                self.wanted_here += 1;
                self.done_bytes += u64::from(self.len(chunk));
            }
            self.news.push(chunk);
        }
        new
    }

    /// A chunk is to be fetched (again).
    pub(super) fn release(&mut self, chunk: u32) {
        self.flights.remove(&chunk);
        self.stats.touch(chunk);
        self.offer(chunk);
    }

    /// Takes the chunks of the peer at a connection into the counts.
    pub(super) fn count_has(&mut self, at: ConnId, has: &Has) {
        match has {
            Has::All => self.seeds = self.seeds.saturating_add(1),
            Has::Some(set) => set.iter().for_each(|chunk| self.gained(at, chunk)),
            Has::Unread { .. } => {}
        }
    }

    /// Takes them out of the counts.
    pub(super) fn forget_has(&mut self, at: ConnId, link: &mut Link) {
        let nothing = Has::Unread { all: false, bitfield: None, runs: Vec::new() };
        match std::mem::replace(&mut link.has, nothing) {
            Has::All => self.seeds = self.seeds.saturating_sub(1),
            Has::Some(set) => set.iter().for_each(|chunk| self.lost(at, chunk)),
            Has::Unread { .. } => {}
        }
        link.useful = 0;
    }

    /// How many of these chunks we want and lack.
    pub(super) fn useful(&self, has: &Has) -> u32 {
        match has {
            Has::All => self.missing(),
            Has::Some(set) => {
                let count = set.iter().filter(|chunk| self.lacks(*chunk)).count();
                saturate::<u32>(count)
            }
            Has::Unread { .. } => 0,
        }
    }

    /// A partial source has one chunk more.
    pub(super) fn gained(&mut self, at: ConnId, chunk: u32) {
        let before = self.picker.copies(chunk);
        self.picker.gained(chunk);
        self.count_again(at, chunk, before);
    }

    /// A partial source has one chunk less.
    pub(super) fn lost(&mut self, at: ConnId, chunk: u32) {
        let before = self.picker.copies(chunk);
        self.picker.lost(chunk);
        self.count_again(at, chunk, before);
    }

    fn count_again(&mut self, at: ConnId, chunk: u32, before: u16) {
        let now = self.picker.copies(chunk);
        self.stats.holder(chunk, at, self.layout.chunks());
        if self.lacks(chunk) {
            self.stats.moved(before, now);
        }
        self.stats.touch(chunk);
    }
}
