//! Which chunks somebody has.
//!
//! A set is complete, a sorted list of runs, or a bitmap, whichever is small; the switch is automatic
//! so that a seeder costs nothing and a random half never costs more than a bit per chunk
//! (tracker.md 1.6 and 3.2). The wire form picks the shortest encoding independently.

use std::ops::Range;

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

/// An encoded set is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkSetError {
    /// The encoding byte is not one of the three.
    #[error("unknown chunk set encoding {0}")]
    UnknownEncoding(u8),
    /// Bytes are missing or left over.
    #[error("chunk set has the wrong length")]
    WrongLength,
    /// A run or a bit lies past the last chunk, runs overlap, or a number is not in shortest form.
    #[error("chunk set names chunks that do not exist")]
    OutOfRange,
}

/// Encodings on the wire.
const ENC_COMPLETE: u8 = 0;
const ENC_RUNS: u8 = 1;
const ENC_BITS: u8 = 2;

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

    /// The runs of the set in order, as half-open ranges.
    pub fn runs(&self) -> Runs<'_> {
        Runs { set: self, at: 0 }
    }

    /// The chunks of the set in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs().flatten()
    }

    /// Heap bytes used, for memory budgets.
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Complete => 0,
            Form::Runs(runs) => runs.capacity() * 8,
            Form::Bits(words) => words.len() * 8,
        }
    }

    /// Shortest wire form: an encoding byte, then nothing, varint runs, or the raw bitmap.
    pub fn encode(&self) -> Vec<u8> {
        if self.is_complete() {
            return vec![ENC_COMPLETE];
        }
        let bitmap_len = self.chunks.div_ceil(8) as usize;
        let mut out = vec![ENC_RUNS];
        let mut end_of_last = 0;
        for run in self.runs() {
            put_varint(&mut out, run.start - end_of_last);
            put_varint(&mut out, run.end - run.start);
            end_of_last = run.end;
            if out.len() > bitmap_len {
                return self.encode_bits();
            }
        }
        out
    }

    fn encode_bits(&self) -> Vec<u8> {
        let mut out = vec![0; 1 + self.chunks.div_ceil(8) as usize];
        if let Some((enc, bits)) = out.split_first_mut() {
            *enc = ENC_BITS;
            for chunk in self.iter() {
                if let Some(byte) = bits.get_mut((chunk / 8) as usize) {
                    *byte |= 1 << (chunk % 8);
                }
            }
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote, for content of `chunks` chunks. Allocates no more
    /// than the input is long (or a bitmap of `chunks` bits).
    ///
    /// # Errors
    /// [`ChunkSetError`] on anything that is not exactly such an encoding.
    pub fn decode(chunks: u32, bytes: &[u8]) -> Result<Self, ChunkSetError> {
        let (enc, body) = bytes.split_first().ok_or(ChunkSetError::WrongLength)?;
        match *enc {
            ENC_COMPLETE if body.is_empty() => Ok(Self::full(chunks)),
            ENC_COMPLETE => Err(ChunkSetError::WrongLength),
            ENC_RUNS => Self::decode_runs(chunks, body),
            ENC_BITS => Self::decode_bits(chunks, body),
            other => Err(ChunkSetError::UnknownEncoding(other)),
        }
    }

    fn decode_runs(chunks: u32, mut body: &[u8]) -> Result<Self, ChunkSetError> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let (mut at, mut count) = (0u32, 0u32);
        while !body.is_empty() {
            let gap = take_varint(&mut body)?;
            let len = take_varint(&mut body)?;
            let start = at.checked_add(gap).ok_or(ChunkSetError::OutOfRange)?;
            let end = start.checked_add(len).ok_or(ChunkSetError::OutOfRange)?;
            let touches = gap == 0 && !runs.is_empty();
            if len == 0 || end > chunks || touches {
                return Err(ChunkSetError::OutOfRange);
            }
            runs.push((start, len));
            count += len;
            at = end;
        }
        let mut set = Self { chunks, count, form: Form::Runs(runs) };
        set.settle();
        Ok(set)
    }

    fn decode_bits(chunks: u32, body: &[u8]) -> Result<Self, ChunkSetError> {
        if body.len() != chunks.div_ceil(8) as usize {
            return Err(ChunkSetError::WrongLength);
        }
        let mut words = vec![0u64; chunks.div_ceil(64) as usize].into_boxed_slice();
        for (word, bytes) in words.iter_mut().zip(body.chunks(8)) {
            for (i, byte) in bytes.iter().enumerate() {
                *word |= u64::from(*byte) << (8 * i);
            }
        }
        let spare = chunks % 64;
        if spare != 0 && words.last().is_some_and(|word| word >> spare != 0) {
            return Err(ChunkSetError::OutOfRange);
        }
        let count = words.iter().map(|word| word.count_ones()).sum();
        let mut set = Self { chunks, count, form: Form::Bits(words) };
        set.settle();
        Ok(set)
    }

    fn make_bits(&mut self) {
        if matches!(self.form, Form::Bits(_)) {
            return;
        }
        let mut words = vec![0u64; self.chunks.div_ceil(64) as usize].into_boxed_slice();
        for run in self.runs() {
            set_bits(&mut words, run.start, run.end);
        }
        self.form = Form::Bits(words);
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
    at: u32,
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
                let i = runs.partition_point(|run| run.0 < self.at);
                let (start, len) = *runs.get(i)?;
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

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn take_varint(body: &mut &[u8]) -> Result<u32, ChunkSetError> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = body.split_first().ok_or(ChunkSetError::WrongLength)?;
        *body = rest;
        let bits = u32::from(byte & 0x7f);
        // The fifth byte holds four bits; a last byte of zero would be a longer form of the same number.
        if (shift == 28 && bits > 0xf) || (shift > 0 && *byte == 0) {
            return Err(ChunkSetError::OutOfRange);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ChunkSetError::OutOfRange)
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
