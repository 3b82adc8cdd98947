//! The wire form of a set of chunks.

use super::{ChunkSet, Form, run_starts};

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
    /// Shortest wire form: an encoding byte, then nothing, varint runs, or the raw bitmap.
    pub fn encode(&self) -> Vec<u8> {
        // Nothing is longer than that, so the other form is never asked for.
        self.encode_within(usize::MAX).unwrap_or_else(|_| self.encode_bits())
    }

    /// [`encode`](Self::encode), if that takes `limit` bytes or fewer.
    ///
    /// # Errors
    /// How many bytes were written in vain before that was clear: none or `limit`, so that whoever asks for many
    /// sets can bound the work too.
    pub fn encode_within(&self, limit: usize) -> Result<Vec<u8>, usize> {
        let bits_len = 1 + self.bitmap_len();
        if self.is_complete() {
            return if limit == 0 { Err(0) } else { Ok(vec![ENC_COMPLETE]) };
        }
        // A run takes at least two bytes.
        let least = self.run_count().saturating_mul(2).saturating_add(1);
        if least > limit.min(bits_len) {
            return if bits_len > limit { Err(0) } else { Ok(self.encode_bits()) };
        }
        let mut out = Vec::with_capacity(least);
        out.push(ENC_RUNS);
        let mut end_of_last = 0;
        for run in self.runs() {
            put_varint(&mut out, run.start - end_of_last);
            put_varint(&mut out, run.end - run.start);
            end_of_last = run.end;
            if out.len() > limit.min(bits_len) {
                return if bits_len > limit { Err(limit) } else { Ok(self.encode_bits()) };
            }
        }
        Ok(out)
    }

    pub(super) fn encode_bits(&self) -> Vec<u8> {
        let made;
        let words = match &self.form {
            Form::Bits(words) => words,
            Form::Complete | Form::Runs(_) => {
                made = self.words();
                &made
            }
        };
        let mut out = Vec::with_capacity(1 + words.len() * 8);
        out.push(ENC_BITS);
        for word in words {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.truncate(1 + self.bitmap_len());
        out
    }

    fn bitmap_len(&self) -> usize {
        self.chunks.div_ceil(8) as usize
    }

    /// How many runs there are: at most a pass over the words.
    fn run_count(&self) -> usize {
        match &self.form {
            Form::Complete => usize::from(self.chunks > 0),
            Form::Runs(runs) => runs.len(),
            Form::Bits(words) => run_starts(words),
        }
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
}

/// Appends a number in the shortest LEB128 form.
pub fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Takes a number off the front.
///
/// # Errors
/// [`ChunkSetError`] if it is cut short, not in the shortest form, or no `u32`.
pub fn take_varint(body: &mut &[u8]) -> Result<u32, ChunkSetError> {
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
