//! Which chunks somebody has.
//!
//! A set is complete, a sorted list of runs, or a bitmap, whichever is small; the switch is automatic
//! so that a seeder costs nothing and a random half never costs more than a bit per chunk.
//! The wire form picks the shortest encoding independently.

mod encoding;

use std::ops::Range;

pub use encoding::ChunkSetError;
pub use encoding::{put_varint, take_varint};

/// A set of chunk numbers below a fixed count.
#[derive(Debug, Clone)]
pub struct ChunkSet {
    chunks: u32,
    count: u32,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Complete,
    /// Sorted, disjoint, not touching: `(start, len)`.
    Runs(Vec<(u32, u32)>),
    /// One bit per chunk, least significant first; spare bits are zero.
    Bits(Box<[u64]>),
}

/// To a bitmap when there are more runs than `chunks / 64` (and more than a handful).
const RUNS_PER_CHUNKS_UP: u32 = 64;
/// Back to runs only below half of that, so that a set near the limit does not flap.
const RUNS_PER_CHUNKS_DOWN: u32 = 128;
/// Lists of runs this short are never worth a bitmap.
const FEW_RUNS: usize = 8;

impl ChunkSet {
    /// The set of none of `chunks` chunks.
    pub fn empty(chunks: u32) -> Self {
        Self { chunks, count: 0, form: Form::Runs(Vec::new()) }
    }

    /// The set of all `chunks` chunks.
    pub fn full(chunks: u32) -> Self {
        Self { chunks, count: chunks, form: Form::Complete }
    }

    /// How many chunks there could be.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// How many are in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether none is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all are in the set.
    pub fn is_complete(&self) -> bool {
        self.count == self.chunks
    }

    /// Whether `chunk` is in the set; false for numbers past the end.
    pub fn contains(&self, chunk: u32) -> bool {
        if chunk >= self.chunks {
            return false;
        }
        match &self.form {
            Form::Complete => true,
            Form::Runs(runs) => {
                let after = runs.partition_point(|run| run.0 <= chunk);
                after
                    .checked_sub(1)
                    .and_then(|i| runs.get(i))
                    .is_some_and(|run| chunk - run.0 < run.1)
            }
            Form::Bits(words) => {
                words.get((chunk / 64) as usize).is_some_and(|word| word >> (chunk % 64) & 1 == 1)
            }
        }
    }

    /// Adds one chunk; returns whether it was new. Numbers past the end are ignored.
    pub fn insert(&mut self, chunk: u32) -> bool {
        if chunk >= self.chunks || self.contains(chunk) {
            return false;
        }
        match &mut self.form {
            Form::Complete => return false,
            Form::Runs(runs) => insert_into_runs(runs, chunk),
            Form::Bits(words) => {
                if let Some(word) = words.get_mut((chunk / 64) as usize) {
                    *word |= 1 << (chunk % 64);
                }
            }
        }
        self.count += 1;
        self.settle();
        true
    }

    /// Takes one chunk out; returns whether it was there.
    pub fn remove(&mut self, chunk: u32) -> bool {
        if !self.contains(chunk) {
            return false;
        }
        self.make_bits();
        if let Form::Bits(words) = &mut self.form
            && let Some(word) = words.get_mut((chunk / 64) as usize)
        {
            *word &= !(1 << (chunk % 64));
        }
        self.count -= 1;
        self.settle();
        true
    }

    /// Adds a run of `len` chunks from `start`, cut at the end; returns how many were new.
    pub fn insert_run(&mut self, start: u32, len: u32) -> u32 {
        let end = start.saturating_add(len).min(self.chunks);
        let before = self.count;
        if start == 0 && end == self.chunks {
            *self = Self::full(self.chunks);
        } else if end.saturating_sub(start) > 64 && !self.is_complete() {
            self.make_bits();
            if let Form::Bits(words) = &mut self.form {
                self.count += set_bits(words, start, end);
            }
            self.settle();
        } else {
            for chunk in start..end {
                self.insert(chunk);
            }
        }
        self.count - before
    }

    /// Adds all of `other`, cut at the end of this set; returns how many were new. One pass over both, however
    /// many runs there are.
    pub fn union_with(&mut self, other: &Self) -> u32 {
        let before = self.count;
        match (&mut self.form, &other.form) {
            (Form::Complete, _) => return 0,
            (_, Form::Complete) => return self.insert_run(0, other.chunks),
            (Form::Runs(ours), Form::Runs(theirs)) => {
                let sum = union_of_runs(ours, theirs, self.chunks);
                self.count = sum.iter().map(|run| run.1).sum();
                *ours = sum;
            }
            (Form::Bits(words), Form::Runs(theirs)) => {
                for (start, len) in theirs {
                    let end = start.saturating_add(*len).min(self.chunks);
                    self.count += set_bits(words, *start, end);
                }
            }
            (_, Form::Bits(theirs)) => {
                self.make_bits();
                if let Form::Bits(words) = &mut self.form {
                    or_words(words, theirs, self.chunks);
                    self.count = words.iter().map(|word| word.count_ones()).sum();
                }
            }
        }
        self.settle();
        self.count - before
    }

    /// The runs of the set in order, as half-open ranges.
    pub fn runs(&self) -> Runs<'_> {
        Runs { set: self, at: 0, index: 0 }
    }

    /// The chunks of the set in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs().flatten()
    }

    /// How many chunks of a half-open range are in the set: a bitmap is counted by words, not by runs.
    pub fn count_in(&self, range: Range<u32>) -> u32 {
        let (start, end) = (range.start, range.end.min(self.chunks));
        if start >= end {
            return 0;
        }
        match &self.form {
            Form::Complete => end - start,
            Form::Runs(runs) => {
                let first = runs.partition_point(|run| run.0 + run.1 <= start);
                let there = runs.iter().skip(first).take_while(|run| run.0 < end);
                there.map(|run| (run.0 + run.1).min(end) - run.0.max(start)).sum()
            }
            Form::Bits(words) => {
                let (first, last) = (start / 64, (end - 1) / 64);
                let inside = words.iter().zip(0u32..).skip(first as usize);
                inside
                    .take((last - first + 1) as usize)
                    .map(|(word, at)| {
                        let low = if at == first { u64::MAX << (start % 64) } else { u64::MAX };
                        let high =
                            if at == last { u64::MAX >> (63 - (end - 1) % 64) } else { u64::MAX };
                        (word & low & high).count_ones()
                    })
                    .sum()
            }
        }
    }

    /// How many chunks are in both sets.
    pub fn common_with(&self, other: &Self) -> u32 {
        match (&self.form, &other.form) {
            (Form::Bits(a), Form::Bits(b)) => {
                a.iter().zip(b.iter()).map(|(a, b)| (a & b).count_ones()).sum()
            }
            (Form::Bits(_), _) => other.runs().map(|run| self.count_in(run)).sum(),
            _ => self.runs().map(|run| other.count_in(run)).sum(),
        }
    }

    /// Heap bytes used, for memory budgets.
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Complete => 0,
            Form::Runs(runs) => runs.capacity() * 8,
            Form::Bits(words) => words.len() * 8,
        }
    }

    fn make_bits(&mut self) {
        if matches!(self.form, Form::Bits(_)) {
            return;
        }
        self.form = Form::Bits(self.words());
    }

    /// The set as a bitmap.
    fn words(&self) -> Box<[u64]> {
        let mut words = vec![0u64; self.chunks.div_ceil(64) as usize].into_boxed_slice();
        for run in self.runs() {
            set_bits(&mut words, run.start, run.end);
        }
        words
    }

    /// Moves to the form that suits the present content.
    fn settle(&mut self) {
        if self.is_complete() {
            self.form = Form::Complete;
            return;
        }
        match &self.form {
            Form::Runs(runs) => {
                let limit = (self.chunks / RUNS_PER_CHUNKS_UP) as usize;
                if runs.len() > limit.max(FEW_RUNS) {
                    self.make_bits();
                }
            }
            Form::Bits(words) => {
                let limit = (self.chunks / RUNS_PER_CHUNKS_DOWN) as usize;
                // Counting is a pass over the words: look only when few runs are possible at all,
                // and now and then.
                let look =
                    self.count.is_power_of_two() || (self.chunks - self.count).is_power_of_two();
                if look && run_starts(words) < limit.max(FEW_RUNS) {
                    self.form =
                        Form::Runs(self.runs().map(|r| (r.start, r.end - r.start)).collect());
                }
            }
            Form::Complete => self.make_bits(),
        }
    }
}

impl PartialEq for ChunkSet {
    /// Equal content, whatever the form.
    fn eq(&self, other: &Self) -> bool {
        self.chunks == other.chunks && self.count == other.count && self.runs().eq(other.runs())
    }
}

impl Eq for ChunkSet {}

/// Iterator over the runs of a [`ChunkSet`].
#[derive(Debug)]
pub struct Runs<'a> {
    set: &'a ChunkSet,
    /// Where to look on in a bitmap.
    at: u32,
    /// Which run of a list is next.
    index: usize,
}

impl Iterator for Runs<'_> {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Range<u32>> {
        let chunks = self.set.chunks;
        if self.at >= chunks {
            return None;
        }
        let run = match &self.set.form {
            Form::Complete => 0..chunks,
            Form::Runs(runs) => {
                let (start, len) = *runs.get(self.index)?;
                self.index += 1;
                start..start + len
            }
            Form::Bits(words) => {
                let start = next_bit(words, self.at, chunks, true)?;
                let end = next_bit(words, start, chunks, false).unwrap_or(chunks);
                start..end
            }
        };
        self.at = run.end.saturating_add(1);
        Some(run)
    }
}

/// First position at or after `from` whose bit equals `wanted`, below `end`.
fn next_bit(words: &[u64], from: u32, end: u32, wanted: bool) -> Option<u32> {
    let flip = if wanted { 0 } else { u64::MAX };
    let mut i = (from / 64) as usize;
    let mut mask = u64::MAX << (from % 64);
    while let Some(word) = words.get(i) {
        let hits = (word ^ flip) & mask;
        if hits != 0 {
            let at = u32::try_from(i).ok()? * 64 + hits.trailing_zeros();
            return (at < end).then_some(at);
        }
        mask = u64::MAX;
        i += 1;
    }
    None
}

/// Sets bits `start..end`; returns how many were clear.
fn set_bits(words: &mut [u64], start: u32, end: u32) -> u32 {
    let mut added = 0;
    let mut at = start;
    while at < end {
        let low = at % 64;
        let n = (64 - low).min(end - at);
        let mask = if n == 64 { u64::MAX } else { ((1 << n) - 1) << low };
        if let Some(word) = words.get_mut((at / 64) as usize) {
            added += (mask & !*word).count_ones();
            *word |= mask;
        }
        at += n;
    }
    added
}

/// The runs of both lists below `end`, in order and joined where they meet.
fn union_of_runs(ours: &[(u32, u32)], theirs: &[(u32, u32)], end: u32) -> Vec<(u32, u32)> {
    let mut sum: Vec<(u32, u32)> = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        let from = match (ours.peek(), theirs.peek()) {
            (Some(a), Some(b)) if b.0 < a.0 => &mut theirs,
            (Some(_), _) => &mut ours,
            (None, _) => &mut theirs,
        };
        let Some((start, len)) = from.next().copied() else { break };
        let stop = start.saturating_add(len).min(end);
        if start >= stop {
            break;
        }
        match sum.last_mut() {
            Some(last) if start <= last.0 + last.1 => last.1 = last.1.max(stop - last.0),
            _ => sum.push((start, stop - start)),
        }
    }
    // Room for runs that were joined is not kept: sets are counted by what they take.
    sum.shrink_to_fit();
    sum
}

/// Sets the bits of `theirs` below `end` in `words`.
fn or_words(words: &mut [u64], theirs: &[u64], end: u32) {
    for (word, other) in words.iter_mut().zip(theirs) {
        *word |= other;
    }
    let spare = end % 64;
    if spare != 0
        && let Some(last) = words.get_mut((end / 64) as usize)
    {
        *last &= (1 << spare) - 1;
    }
}

fn run_starts(words: &[u64]) -> usize {
    let mut previous = 0u64;
    let mut starts = 0;
    for word in words {
        let shifted = (word << 1) | (previous >> 63);
        starts += (word & !shifted).count_ones() as usize;
        previous = *word;
    }
    starts
}

fn insert_into_runs(runs: &mut Vec<(u32, u32)>, chunk: u32) {
    let i = runs.partition_point(|run| run.0 <= chunk);
    let joins_left =
        i.checked_sub(1).and_then(|l| runs.get(l)).is_some_and(|run| run.0 + run.1 == chunk);
    let joins_right = runs.get(i).is_some_and(|run| run.0 == chunk + 1);
    match (joins_left, joins_right) {
        (true, true) => {
            let (_, len) = runs.remove(i);
            if let Some(run) = runs.get_mut(i - 1) {
                run.1 += 1 + len;
            }
        }
        (true, false) => {
            if let Some(run) = runs.get_mut(i - 1) {
                run.1 += 1;
            }
        }
        (false, true) => {
            if let Some(run) = runs.get_mut(i) {
                *run = (chunk, run.1 + 1);
            }
        }
        (false, false) => runs.insert(i, (chunk, 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Insert(u32),
        Remove(u32),
        Run(u32, u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0u32..1100).prop_map(Op::Insert),
            (0u32..1100).prop_map(Op::Remove),
            (0u32..1100, 0u32..300).prop_map(|(s, l)| Op::Run(s, l)),
        ]
    }

    fn made_of(chunks: u32, ops: &[Op]) -> ChunkSet {
        let mut set = ChunkSet::empty(chunks);
        for op in ops {
            match op {
                Op::Insert(c) => _ = set.insert(*c),
                Op::Remove(c) => _ = set.remove(*c),
                Op::Run(s, l) => _ = set.insert_run(*s, *l),
            }
        }
        set
    }

    proptest! {
        #[test]
        fn counts_are_those_of_one_by_one(
            a in prop::collection::vec((0u32..700, 1u32..90), 0..40),
            b in prop::collection::vec((0u32..700, 1u32..90), 0..40),
            (full, chunks, start, end) in (any::<bool>(), 1u32..700, 0u32..800, 0u32..800),
        ) {
            let build = |runs: &[(u32, u32)]| {
                let mut set = ChunkSet::empty(chunks);
                for (start, len) in runs {
                    // Every other one: many short runs become a bitmap.
                    (*start..start + len).step_by(2).for_each(|chunk| _ = set.insert(chunk));
                }
                set
            };
            let (a, b) = (if full { ChunkSet::full(chunks) } else { build(&a) }, build(&b));
            let within = a.iter().filter(|chunk| (start..end).contains(chunk)).count();
            prop_assert_eq!(a.count_in(start..end) as usize, within);
            let both = a.iter().filter(|chunk| b.contains(*chunk)).count();
            prop_assert_eq!(a.common_with(&b) as usize, both);
            prop_assert_eq!(b.common_with(&a) as usize, both);
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_set(chunks in 0u32..1000, ops in proptest::collection::vec(op(), 0..120)) {
            let mut set = ChunkSet::empty(chunks);
            let mut model = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(c) => {
                        let new = c < chunks && model.insert(c);
                        prop_assert_eq!(set.insert(c), new);
                    }
                    Op::Remove(c) => prop_assert_eq!(set.remove(c), model.remove(&c)),
                    Op::Run(s, l) => {
                        let mut new = 0;
                        for c in s..(s + l).min(chunks) {
                            new += u32::from(model.insert(c));
                        }
                        prop_assert_eq!(set.insert_run(s, l), new);
                    }
                }
                prop_assert_eq!(set.count() as usize, model.len());
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            for c in 0..chunks + 5 {
                prop_assert_eq!(set.contains(c), model.contains(&c));
            }
            let encoded = set.encode();
            prop_assert!(encoded.len() <= 1 + chunks.div_ceil(8) as usize + 1);
            let back = ChunkSet::decode(chunks, &encoded).unwrap();
            prop_assert_eq!(&back, &set);
            prop_assert_eq!(ChunkSet::decode(chunks, &set.encode_bits()).unwrap(), set);
        }

        #[test]
        fn a_union_is_like_that_of_plain_sets(
            chunks in 0u32..1000,
            others in 0u32..1000,
            a in proptest::collection::vec(op(), 0..60),
            b in proptest::collection::vec(op(), 0..60),
        ) {
            let (mut set, other) = (made_of(chunks, &a), made_of(others, &b));
            let ours: BTreeSet<u32> = set.iter().collect();
            let theirs = other.iter().filter(|c| *c < chunks);
            let both: BTreeSet<u32> = ours.iter().copied().chain(theirs).collect();
            prop_assert_eq!(set.union_with(&other) as usize, both.len() - ours.len());
            prop_assert_eq!(set.count() as usize, both.len());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), both.iter().copied().collect::<Vec<_>>());
            // What it is made of is as it should be: in order, apart, and nothing past the end.
            prop_assert_eq!(ChunkSet::decode(chunks, &set.encode()).unwrap(), set.clone());
            prop_assert_eq!(set.is_complete(), both.len() == chunks as usize);
            prop_assert_eq!(set.union_with(&other), 0);
        }

        #[test]
        fn a_limit_for_the_encoding_only_says_yes_or_no(
            chunks in 0u32..1000,
            ops in proptest::collection::vec(op(), 0..60),
            limit in 0usize..150,
        ) {
            let set = made_of(chunks, &ops);
            let whole = set.encode();
            match set.encode_within(limit) {
                Ok(bytes) => {
                    prop_assert!(bytes.len() <= limit);
                    prop_assert_eq!(ChunkSet::decode(chunks, &bytes).unwrap(), set);
                    prop_assert_eq!(bytes, whole);
                }
                Err(in_vain) => {
                    prop_assert!(whole.len() > limit);
                    prop_assert!(in_vain <= limit);
                }
            }
        }

        #[test]
        fn decoding_rubbish_never_panics(chunks in 0u32..5000, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(set) = ChunkSet::decode(chunks, &bytes) {
                prop_assert!(set.count() <= chunks);
                prop_assert_eq!(set.iter().count() as u32, set.count());
            }
        }
    }

    #[test]
    fn hostile_encodings_are_refused() {
        use ChunkSetError::{OutOfRange, UnknownEncoding, WrongLength};
        assert_eq!(ChunkSet::decode(10, &[]), Err(WrongLength));
        assert_eq!(ChunkSet::decode(10, &[9]), Err(UnknownEncoding(9)));
        assert_eq!(ChunkSet::decode(10, &[0, 0]), Err(WrongLength));
        assert_eq!(ChunkSet::decode(10, &[1, 0, 11]), Err(OutOfRange));
        assert_eq!(ChunkSet::decode(10, &[1, 0, 0]), Err(OutOfRange));
        assert_eq!(ChunkSet::decode(10, &[1, 0, 2, 0, 2]), Err(OutOfRange), "touching runs");
        assert_eq!(ChunkSet::decode(10, &[1, 0, 0x82, 0]), Err(OutOfRange), "long form of 2");
        assert_eq!(ChunkSet::decode(10, &[2, 0xff]), Err(WrongLength));
        assert_eq!(ChunkSet::decode(10, &[2, 0xff, 0xff]), Err(OutOfRange), "spare bits");
        let huge = [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(ChunkSet::decode(u32::MAX, &huge), Err(OutOfRange));
    }

    #[test]
    fn a_seeder_costs_no_heap_and_a_scattered_set_a_bitmap() {
        assert_eq!(ChunkSet::full(1 << 20).heap_bytes(), 0);
        let mut set = ChunkSet::empty(100_000);
        for chunk in (0..100_000).step_by(2) {
            set.insert(chunk);
        }
        assert!(set.heap_bytes() <= 100_000 / 8 + 40);
        for chunk in (1..100_000).step_by(2) {
            set.insert(chunk);
        }
        assert!(set.is_complete());
        assert_eq!(set.heap_bytes(), 0);
    }
}
