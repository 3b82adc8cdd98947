//! The files of a download while they are open, and what is done with them beside the fetching: hashes are written into
//! the journal, and what may be there already is compared.

use std::collections::HashSet;
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::Hash;
use common::layout::Layout;
use common::merkle::ChunkHashes;

use crate::disk::Partial;

/// Bytes read in one piece of work (at least one chunk): little enough that what was found is soon seen
/// and soon served, and that a download that is removed does not wait for long.
const LOT_BYTES: u64 = 32 * 1024 * 1024;
/// Chunks in one piece of work: in folders of small files opening them costs more than reading.
const LOT_CHUNKS: usize = 512;

/// How the files of a download stand with us.
#[derive(Default)]
pub(super) enum Files {
    /// They are not open.
    #[default]
    Closed,
    /// They are being opened (or compared, or taken up again) by the attempt of this number: nobody else can open them
    /// meanwhile.
    Opening(u64),
    Open(Open),
}

impl Files {
    pub(super) fn get(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Closed | Self::Opening(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Closed | Self::Opening(_) => None,
        }
    }

    /// The same, if it is what the attempt of this number has opened.
    pub(super) fn of(&mut self, number: u64) -> Option<&mut Open> {
        self.get_mut().filter(|open| open.number == number)
    }

    /// The same, if it is still this part that is open: begun anew meanwhile, a download has another.
    pub(super) fn same(&mut self, partial: &Arc<Partial>) -> Option<&mut Open> {
        self.get_mut().filter(|open| Arc::ptr_eq(&open.partial, partial))
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self, Self::Opening(_))
    }

    /// Closes what is open; an attempt to open goes on. Returns what is to be dropped where that may take its time.
    pub(super) fn close(&mut self) -> Option<Open> {
        if matches!(self, Self::Opening(_)) { None } else { std::mem::take(self).into_open() }
    }

    pub(super) fn into_open(self) -> Option<Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Closed | Self::Opening(_) => None,
        }
    }
}

/// What is open of a download.
pub(super) struct Open {
    /// Of the attempt that opened it.
    number: u64,
    partial: Arc<Partial>,
    pub(super) hashes: HashQueue,
    pub(super) doubts: Doubts,
}

impl Open {
    pub(super) fn new(number: u64, partial: Arc<Partial>) -> Self {
        Self { number, partial, hashes: HashQueue::default(), doubts: Doubts::default() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn partial(&self) -> &Arc<Partial> {
        &self.partial
    }

    pub(super) fn into_partial(self) -> Arc<Partial> {
        self.partial
    }
}

/// Proven chunk hashes: of which file, from which of its chunks on.
pub(super) type HashRange = (u32, u32, Vec<Hash>);

/// Hash ranges on their way into the journal, one lot after the other.
#[derive(Default)]
pub(super) struct HashQueue {
    /// Those that are there or on their way: file, number of the first within the file.
    known: HashSet<(u32, u32)>,
    waiting: Vec<HashRange>,
    /// Some are just being written.
    writing: bool,
}

impl HashQueue {
    /// A range was learned.
    pub(super) fn add(&mut self, file: u32, index: u32, hashes: &[Hash]) {
        if self.known.insert((file, index)) {
            self.waiting.push((file, index, hashes.to_vec()));
        }
    }

    /// What is to be written now, if there is something and nothing is being written.
    pub(super) fn begin(&mut self) -> Option<Vec<HashRange>> {
        if self.writing || self.waiting.is_empty() {
            return None;
        }
        self.writing = true;
        Some(self.take())
    }

    /// A lot was written, or could not be.
    pub(super) fn end(&mut self) {
        self.writing = false;
    }

    /// Everything that nobody writes yet.
    pub(super) fn take(&mut self) -> Vec<HashRange> {
        std::mem::take(&mut self.waiting)
    }
}

/// Chunks that may be on disk and are still to be compared.
pub(super) struct Doubts {
    left: ChunkSet,
    /// Some are just being compared.
    comparing: bool,
    /// What was compared since the user was told.
    so_far: Compared,
}

/// How many chunks were compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) all: u32,
    pub(super) right: u32,
}

/// Chunks to be compared in one go.
pub(super) struct Lot {
    /// With the hash that each must have, if that is known.
    pub(super) chunks: Vec<(u32, Option<Hash>)>,
    /// Nothing else is to be compared for now.
    pub(super) last: bool,
}

impl Default for Doubts {
    fn default() -> Self {
        Self { left: ChunkSet::empty(0), comparing: false, so_far: Compared::default() }
    }
}

impl Doubts {
    pub(super) fn add(&mut self, chunks: &ChunkSet) {
        if self.left.chunks() != chunks.chunks() {
            self.left = ChunkSet::empty(chunks.chunks());
        }
        self.left.union_with(chunks);
    }

    /// The next lot, unless one is being compared or nothing is left.
    pub(super) fn begin(&mut self, layout: &Layout, hashes: &[ChunkHashes]) -> Option<Lot> {
        if self.comparing {
            return None;
        }
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        for chunk in self.left.iter() {
            let Some(place) = layout.chunk(chunk).map(|chunk| layout.place(chunk)) else {
                continue;
            };
            let hash = hashes.get(place.file).and_then(|file| file.get(place.chunk_in_file));
            chunks.push((chunk, hash));
            bytes += u64::from(place.len);
            if bytes >= LOT_BYTES || chunks.len() >= LOT_CHUNKS {
                break;
            }
        }
        if chunks.is_empty() {
            return None;
        }
        for (chunk, _) in &chunks {
            self.left.remove(*chunk);
        }
        self.comparing = true;
        Some(Lot { chunks, last: self.left.is_empty() })
    }

    /// A lot was compared: so many of it are right or not, and these were not looked at. What is to be told, once
    /// nothing is left.
    pub(super) fn end(&mut self, lot: Compared, left: &ChunkSet) -> Option<Compared> {
        self.comparing = false;
        self.left.union_with(left);
        self.so_far.all += lot.all;
        self.so_far.right += lot.right;
        self.left.is_empty().then(|| std::mem::take(&mut self.so_far))
    }
}

#[cfg(test)]
mod tests {
    use common::content::{Descriptor, Kind};

    use super::*;
    use crate::disk::{Opened, PartialSpec};

    #[test]
    fn f5_doubts_are_compared_in_lots_and_told_once_none_is_left() {
        let layout = Layout::for_file(1_000 * 65_536).unwrap();
        let mut doubts = Doubts::default();
        doubts.add(&ChunkSet::full(layout.chunks()));
        let (mut seen, mut told) = (0, None);
        while let Some(lot) = doubts.begin(&layout, &[]) {
            assert!(told.is_none() && doubts.begin(&layout, &[]).is_none(), "one at a time");
            let all = u32::try_from(lot.chunks.len()).unwrap();
            assert!(lot.chunks.len() <= LOT_CHUNKS && lot.chunks.iter().all(|(_, h)| h.is_none()));
            seen += all;
            let none = ChunkSet::empty(layout.chunks());
            told = doubts.end(Compared { all, right: 1 }, &none);
            assert_eq!(lot.last, told.is_some());
        }
        assert_eq!(seen, layout.chunks());
        assert_eq!(told.map(|told| told.all), Some(seen));
        assert!(told.is_some_and(|told| told.right > 1), "of all lots");
    }

    #[test]
    fn hashes_are_written_once_and_one_lot_after_the_other() {
        let mut queue = HashQueue::default();
        let hash = [Hash::from_bytes([7; 32])];
        assert!(queue.begin().is_none());
        queue.add(0, 4, &hash);
        queue.add(0, 4, &hash);
        assert_eq!(queue.begin().map(|lot| lot.len()), Some(1));
        queue.add(1, 0, &hash);
        assert!(queue.begin().is_none(), "some are being written");
        queue.end();
        assert_eq!(queue.begin(), Some(vec![(1, 0, hash.to_vec())]));
        queue.end();
        assert!(queue.begin().is_none() && queue.take().is_empty());
    }

    #[test]
    fn f11_a_part_that_is_opened_anew_has_its_hashes_written_again() {
        let temp = tempfile::tempdir().unwrap();
        let root = common::hash::sha256(b"whatever");
        let descriptor = Descriptor { kind: Kind::File, size: 65_536, root };
        let spec = PartialSpec {
            id: descriptor.id(),
            descriptor,
            layout: Arc::new(Layout::for_file(65_536).unwrap()),
            rel: None,
            name: "thing".into(),
            dir: temp.path().to_path_buf(),
            keep_free: Some(0),
            owner: None,
        };
        let Opened::Going { partial, .. } = Partial::open(spec).unwrap() else { panic!() };
        let hash = [Hash::from_bytes([7; 32])];
        let mut files = Files::Open(Open::new(1, partial.clone()));
        files.get_mut().unwrap().hashes.add(0, 0, &hash);
        assert!(files.get_mut().unwrap().hashes.begin().is_some());
        assert!(files.close().is_some() && files.get().is_none());
        files = Files::Opening(2);
        assert!(files.close().is_none() && files.is_opening(), "the attempt goes on");
        files = Files::Open(Open::new(2, partial));
        // The first lot ends now, which says nothing of the second part.
        assert!(files.of(1).is_none());
        let hashes = &mut files.of(2).unwrap().hashes;
        hashes.add(0, 0, &hash);
        assert_eq!(hashes.begin().map(|lot| lot.len()), Some(1));
    }
}
