//! Which chunks of a download are on disk, in a file that any crash leaves readable.
//!
//! A header of 4 KiB, then records that are only ever appended. All numbers little-endian:
//!
//! | bytes | header | | bytes | record |
//! |---|---|---|---|---|
//! | 0..8 | magic | | 0..4 | `start`: first chunk (W, D), or first hash within the file (H) |
//! | 8..12 | version | | 4..8 | `run`: how many |
//! | 12..44 | content id | | 8 | kind: W written, D durable, H hashes, F finishing |
//! | 44..85 | descriptor: kind, size, root | | 9..12 | H: index of the file |
//! | 85..101 | device, inode of the part | | 12..16 | CRC-32C of the above and, for H, of the hashes |
//! | 101..359 | length of the name, name | | 16.. | H: `run` × 32 bytes |
//! | 4092..4096 | CRC-32C | | | |
//!
//! A reader stops at the first record that is not whole and right: what a crash tore can only be at the
//! end. W says that the bytes were handed to the kernel; D that they were synced before the record was
//! written. H are proven chunk hashes, so that W chunks can be checked without asking anybody.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash, ID_LEN};
use common::limits::{MAX_HASHES, MAX_NAME_LEN};

/// Length of the header in bytes: one page, so that it is written at once or not at all.
pub const HEADER_LEN: usize = 4096;
/// Length of a record without its hashes, in bytes.
pub const RECORD_LEN: usize = 16;
/// What the file begins with.
const MAGIC: &[u8; 8] = b"shoal-dl";
/// Of this format.
const VERSION: u32 = 1;
/// Where the checksum of the header stands.
const HEADER_CRC: usize = HEADER_LEN - 4;
/// Highest file index that fits a record.
const MAX_FILE: u32 = (1 << 24) - 1;

const KIND_WRITTEN: u8 = b'W';
const KIND_DURABLE: u8 = b'D';
const KIND_HASHES: u8 = b'H';
const KIND_FINISHING: u8 = b'F';

/// Which download the journal is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its id.
    pub id: ContentId,
    /// Its kind, size and root.
    pub descriptor: Descriptor,
    /// Device of the part file or folder. Not the same for ever on all file systems.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// What it will be called, at most 255 bytes.
    pub name: String,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// These chunks were written.
    Written {
        /// First chunk.
        start: u32,
        /// How many, at least one.
        run: u32,
    },
    /// These chunks were synced.
    Durable {
        /// First chunk.
        start: u32,
        /// How many, at least one.
        run: u32,
    },
    /// Chunk hashes of a file.
    Hashes {
        /// Which file.
        file: u32,
        /// Number of the first chunk within the file.
        index: u32,
        /// Between one and [`MAX_HASHES`] of them.
        hashes: Vec<Hash>,
    },
    /// All that is wanted is synced; the next step is the rename. Without this a part file that
    /// somebody renamed by hand would pass for a finished download.
    Finishing,
}

/// What the records of a content may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Chunks it has.
    pub chunks: u32,
    /// Files it has.
    pub files: u32,
}

impl Header {
    /// The header as it stands in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.push(self.descriptor.kind.into());
        out.extend_from_slice(&self.descriptor.size.to_le_bytes());
        out.extend_from_slice(self.descriptor.root.as_bytes());
        out.extend_from_slice(&self.dev.to_le_bytes());
        out.extend_from_slice(&self.ino.to_le_bytes());
        let name = self.name.as_bytes();
        let name = name.get(..name.len().min(MAX_NAME_LEN)).unwrap_or_default();
        out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(name);
        out.resize(HEADER_CRC, 0);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads a header; `None` if it is torn, damaged or of another format.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = body;
        if take::<8>(&mut rest)? != *MAGIC || u32::from_le_bytes(take(&mut rest)?) != VERSION {
            return None;
        }
        let id = ContentId::from_bytes(take::<ID_LEN>(&mut rest)?);
        let [kind] = take::<1>(&mut rest)?;
        let kind = Kind::try_from(kind).ok()?;
        let size = u64::from_le_bytes(take(&mut rest)?);
        let root = Hash::from_bytes(take::<ID_LEN>(&mut rest)?);
        let dev = u64::from_le_bytes(take(&mut rest)?);
        let ino = u64::from_le_bytes(take(&mut rest)?);
        let len = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let name = std::str::from_utf8(rest.get(..len)?).ok()?.to_owned();
        let descriptor = Descriptor { kind, size, root };
        Some(Self { id, descriptor, dev, ino, name })
    }
}

impl Record {
    /// Appends the record as it stands in the file. Hashes past [`MAX_HASHES`] (which nobody makes) are
    /// left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, file, start, run, hashes) = match self {
            Self::Written { start, run } => (KIND_WRITTEN, 0, *start, *run, &[][..]),
            Self::Durable { start, run } => (KIND_DURABLE, 0, *start, *run, &[][..]),
            Self::Finishing => (KIND_FINISHING, 0, 0, 1, &[][..]),
            Self::Hashes { file, index, hashes } => {
                let hashes = hashes.get(..MAX_HASHES).unwrap_or(hashes);
                let run = u32::try_from(hashes.len()).unwrap_or(0);
                (KIND_HASHES, (*file).min(MAX_FILE), *index, run, hashes)
            }
        };
        let [a, b, c, _] = file.to_le_bytes();
        let mut head = [0; RECORD_LEN - 4];
        head[..4].copy_from_slice(&start.to_le_bytes());
        head[4..8].copy_from_slice(&run.to_le_bytes());
        head[8..].copy_from_slice(&[kind, a, b, c]);
        let mut crc = crc32c::crc32c(&head);
        for hash in hashes {
            crc = crc32c::crc32c_append(crc, hash.as_bytes());
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend(hashes.iter().flat_map(|hash| *hash.as_bytes()));
    }

    /// Bytes it takes.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Hashes { hashes, .. } => RECORD_LEN + hashes.len().min(MAX_HASHES) * ID_LEN,
            _ => RECORD_LEN,
        }
    }

    /// Reads one record; `None` at the end and at the first that is torn, damaged or impossible.
    fn read(reader: &mut impl Read, bounds: Bounds) -> io::Result<Option<Self>> {
        let mut head = [0; RECORD_LEN];
        if !fill(reader, &mut head)? {
            return Ok(None);
        }
        let mut rest = &head[..];
        let fields = (|| {
            let start = u32::from_le_bytes(take(&mut rest)?);
            let run = u32::from_le_bytes(take(&mut rest)?);
            let [kind, a, b, c] = take::<4>(&mut rest)?;
            let crc = u32::from_le_bytes(take(&mut rest)?);
            Some((start, run, kind, u32::from_le_bytes([a, b, c, 0]), crc))
        })();
        let Some((start, run, kind, file, crc)) = fields else { return Ok(None) };
        let seen = crc32c::crc32c(head.get(..RECORD_LEN - 4).unwrap_or_default());
        if (kind, file, start, run, crc) == (KIND_FINISHING, 0, 0, 1, seen) {
            return Ok(Some(Self::Finishing));
        }
        let in_range = start.checked_add(run).is_some_and(|end| end <= bounds.chunks);
        if run == 0 || !in_range {
            return Ok(None);
        }
        match kind {
            KIND_WRITTEN if file == 0 && seen == crc => Ok(Some(Self::Written { start, run })),
            KIND_DURABLE if file == 0 && seen == crc => Ok(Some(Self::Durable { start, run })),
            KIND_HASHES if file < bounds.files && run as usize <= MAX_HASHES => {
                // Bounded by the check above.
                let mut bytes = vec![0; run as usize * ID_LEN];
                if !fill(reader, &mut bytes)? || crc32c::crc32c_append(seen, &bytes) != crc {
                    return Ok(None);
                }
                let hashes = bytes.chunks_exact(ID_LEN).filter_map(|h| Hash::try_from(h).ok());
                Ok(Some(Self::Hashes { file, index: start, hashes: hashes.collect() }))
            }
            _ => Ok(None),
        }
    }
}

/// Reads records up to the first bad one; returns the length of the good ones in bytes.
///
/// # Errors
/// If the reader fails.
pub fn read_records(
    reader: impl Read,
    bounds: Bounds,
    mut each: impl FnMut(Record),
) -> io::Result<u64> {
    let mut reader = BufReader::new(reader);
    let mut good = 0;
    while let Some(record) = Record::read(&mut reader, bounds)? {
        good += record.encoded_len() as u64;
        each(record);
    }
    Ok(good)
}

/// A journal open for appending. Whoever holds it decides when to sync.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<File>,
    /// End of the last good record.
    len: u64,
    /// Bytes of W and D records.
    runs_len: u64,
    /// Rewritten when `runs_len` exceeds this.
    compact_at: u64,
}

/// A journal is rewritten when its W and D records take more than this (65,536 of them).
pub(super) const COMPACT_AT: u64 = 1024 * 1024;

impl Journal {
    /// Writes a journal with these records into an empty file, without syncing it.
    pub(super) fn create(file: File, header: &Header, records: &[Record]) -> io::Result<Self> {
        file.write_all_at(&header.encode(), 0)?;
        let mut this = Self {
            file: Arc::new(file),
            len: HEADER_LEN as u64,
            runs_len: 0,
            compact_at: COMPACT_AT,
        };
        this.append(records)?;
        // A download in very many runs would otherwise be rewritten again and again.
        this.compact_at = COMPACT_AT.max(2 * this.runs_len);
        Ok(this)
    }

    /// Reads a journal and cuts off its torn end. `None`: not a journal.
    pub(super) fn open(
        file: File,
        bounds: impl FnOnce(&Header) -> Option<Bounds>,
        mut each: impl FnMut(Record),
    ) -> io::Result<Option<(Self, Header)>> {
        let mut bytes = [0; HEADER_LEN];
        let whole = fill(&mut &file, &mut bytes)?;
        let header = whole.then(|| Header::decode(&bytes)).flatten();
        let Some((header, bounds)) = header.and_then(|h| bounds(&h).map(|bounds| (h, bounds)))
        else {
            return Ok(None);
        };
        let mut runs_len = 0;
        let good = read_records(&file, bounds, |record| {
            if !matches!(record, Record::Hashes { .. }) {
                runs_len += RECORD_LEN as u64;
            }
            each(record);
        })?;
        let len = HEADER_LEN as u64 + good;
        file.set_len(len)?;
        let file = Arc::new(file);
        Ok(Some((Self { file, len, runs_len, compact_at: COMPACT_AT }, header)))
    }

    /// Appends records. If that fails, none of them counts and the next append overwrites what is
    /// there of them.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(records.iter().map(Record::encoded_len).sum());
        for record in records {
            record.encode(&mut bytes);
        }
        self.file.write_all_at(&bytes, self.len)?;
        self.len += bytes.len() as u64;
        let runs = records.iter().filter(|r| !matches!(r, Record::Hashes { .. })).count();
        self.runs_len += (runs * RECORD_LEN) as u64;
        Ok(())
    }

    pub(super) fn needs_compaction(&self) -> bool {
        self.runs_len > self.compact_at
    }

    /// Asks for compaction at the next opportunity: for when the file can no longer be believed.
    pub(super) fn spoil(&mut self) {
        self.compact_at = 0;
        self.runs_len = self.runs_len.max(1);
    }

    /// All hash records, for a rewrite.
    pub(super) fn hashes(&self, bounds: Bounds) -> io::Result<Vec<Record>> {
        let mut found = Vec::new();
        let reader = At { file: &self.file, at: HEADER_LEN as u64, end: self.len };
        read_records(reader, bounds, |record| {
            if matches!(record, Record::Hashes { .. }) {
                found.push(record);
            }
        })?;
        Ok(found)
    }

    /// The file, for a sync that does not keep others from appending.
    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }
}

/// Reads a file without moving its cursor.
struct At<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let len = out.len().min(left);
        let n = self.file.read_at(out.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Fills `out`; `false` if the reader ends before.
fn fill(reader: &mut impl Read, out: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(out) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { chunks: 5000, files: 10 };

    fn header() -> Header {
        let descriptor = Descriptor { kind: Kind::File, size: 77, root: Hash::from_bytes([3; 32]) };
        let name = "größe.bin".to_owned();
        Header { id: descriptor.id(), descriptor, dev: 1, ino: u64::MAX, name }
    }

    fn record() -> impl Strategy<Value = Record> {
        let run = || (0u32..4000, 1u32..1000);
        let hash = any::<[u8; 32]>().prop_map(Hash::from_bytes);
        prop_oneof![
            run().prop_map(|(start, run)| Record::Written { start, run }),
            run().prop_map(|(start, run)| Record::Durable { start, run }),
            Just(Record::Finishing),
            (0u32..10, 0u32..4000, proptest::collection::vec(hash, 1..9))
                .prop_map(|(file, index, hashes)| Record::Hashes { file, index, hashes }),
        ]
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, u64) {
        let mut out = Vec::new();
        let good = read_records(bytes, BOUNDS, |record| out.push(record)).unwrap();
        (out, good)
    }

    fn encode(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(&mut bytes));
        bytes
    }

    proptest! {
        #[test]
        fn records_round_trip(records in proptest::collection::vec(record(), 0..30)) {
            let bytes = encode(&records);
            prop_assert_eq!(read(&bytes), (records, bytes.len() as u64));
        }

        #[test]
        fn a_cut_or_a_flipped_bit_anywhere_leaves_a_prefix(
            records in proptest::collection::vec(record(), 1..12),
            at in any::<proptest::sample::Index>(),
            bit in 0u8..8,
        ) {
            let bytes = encode(&records);
            let at = at.index(bytes.len());
            // The record that holds byte `at`, and those before it.
            let mut end = 0;
            let before = records.iter().take_while(|r| { end += r.encoded_len(); end <= at }).count();

            let (cut, _) = read(&bytes[..at]);
            prop_assert_eq!(&cut[..], &records[..before]);

            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let (kept, good) = read(&flipped);
            prop_assert_eq!(&kept[..], &records[..before]);
            prop_assert_eq!(good as usize, encode(&records[..before]).len());
        }

        #[test]
        fn noise_is_never_a_record(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(read(&noise).0, vec![]);
        }

        #[test]
        fn a_damaged_header_is_refused(at in 0..HEADER_LEN, bit in 0u8..8) {
            let mut bytes: [u8; HEADER_LEN] = header().encode().try_into().unwrap();
            prop_assert_eq!(Header::decode(&bytes), Some(header()));
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Header::decode(&bytes), None);
        }
    }

    #[test]
    fn records_of_chunks_that_do_not_exist_are_refused() {
        for bad in [
            Record::Written { start: 4999, run: 2 },
            Record::Durable { start: u32::MAX, run: u32::MAX },
            Record::Written { start: 1, run: 0 },
            Record::Hashes { file: 10, index: 0, hashes: vec![Hash::ZERO] },
            Record::Hashes { file: 0, index: 5000, hashes: vec![Hash::ZERO] },
            Record::Hashes { file: 0, index: 0, hashes: vec![] },
        ] {
            assert_eq!(read(&encode(&[bad])), (vec![], 0));
        }
    }

    #[test]
    fn a_torn_end_is_cut_off_and_written_over() {
        let file = tempfile::tempfile().unwrap();
        let again = file.try_clone().unwrap();
        let first = Record::Written { start: 1, run: 2 };
        let mut journal = Journal::create(file, &header(), std::slice::from_ref(&first)).unwrap();
        journal.append(&[Record::Durable { start: 1, run: 2 }]).unwrap();
        again.set_len(journal.len - 5).unwrap();
        io::Seek::rewind(&mut &again).unwrap();
        let mut seen = Vec::new();
        let opened = Journal::open(again, |_| Some(BOUNDS), |record| seen.push(record)).unwrap();
        let (mut journal, read_header) = opened.unwrap();
        assert_eq!((read_header, seen), (header(), vec![first]));
        let hashes = Record::Hashes { file: 1, index: 2, hashes: vec![Hash::ZERO; 3] };
        journal.append(std::slice::from_ref(&hashes)).unwrap();
        assert_eq!(journal.hashes(BOUNDS).unwrap(), [hashes]);
        assert_eq!(journal.file.metadata().unwrap().len(), journal.len);
    }
}
