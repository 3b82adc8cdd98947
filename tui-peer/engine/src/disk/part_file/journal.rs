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
//! | 4060..4092 | key of the peer it belongs to, or zeros | | | |
//! | 4092..4096 | CRC-32C | | | |
//!
//! W says that the bytes were handed to the kernel; D that they were synced before the record was
//! written. H are proven chunk hashes, so that W chunks can be checked without asking anybody.
//!
//! Every record is a multiple of 16 bytes long and has a checksum of its own. What a crash tore is at the
//! end; what a disk damaged may be anywhere, and a length that is damaged leads nowhere. So a reader
//! steps over what is no record in steps of 16 bytes, until there is one again. That the middle of a list
//! of hashes passes for a record would take a SHA-256 with 88 bits as they have to be.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash, ID_LEN, PeerId};
use common::layout::Layout;
use common::limits::{MAX_HASHES, MAX_NAME_LEN};
use common::numbers::saturate;

use crate::disk::room::in_blocks;
use crate::disk::syscalls;

/// Length of the header in bytes: one page, so that it is written at once or not at all.
pub(crate) const HEADER_LEN: usize = 4096;
/// Length of a record without its hashes, in bytes.
pub(crate) const RECORD_LEN: usize = 16;
/// What the file begins with.
const MAGIC: &[u8; 8] = b"shoal-dl";
/// Of this format.
const VERSION: u32 = 1;
/// Where the checksum of the header stands.
const HEADER_CRC: usize = HEADER_LEN - 4;
/// Where the key of its owner stands.
const OWNER: usize = HEADER_CRC - ID_LEN;
/// Bytes of a journal that are read: twice the hashes of the largest content (2^20 chunks). Nothing
/// but damage makes a longer one.
const MAX_READ: u64 = 64 * 1024 * 1024;
/// Highest file index that fits a record.
const MAX_FILE: u32 = (1 << 24) - 1;

const KIND_WRITTEN: u8 = b'W';
const KIND_DURABLE: u8 = b'D';
const KIND_HASHES: u8 = b'H';
const KIND_FINISHING: u8 = b'F';

/// Which download the journal is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
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
    /// Whose download it is; versions before that was written do not say.
    pub owner: Option<PeerId>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
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
pub(crate) struct Bounds {
    /// Chunks it has.
    pub chunks: u32,
    /// Files it has.
    pub files: u32,
}

impl Bounds {
    /// What the journal of a content may name.
    pub(in crate::disk) fn of(layout: &Layout) -> Self {
        let files = saturate::<u32>(layout.files());
        Self { chunks: layout.chunks(), files }
    }
}

impl Header {
    /// The header as it stands in the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
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
        out.resize(OWNER, 0);
        out.extend_from_slice(&self.owner.map_or([0; ID_LEN], |owner| *owner.as_bytes()));
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads a header; `None` if it is torn, damaged or of another format.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
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
        let owner: [u8; ID_LEN] = bytes.get(OWNER..HEADER_CRC)?.try_into().ok()?;
        let owner = (owner != [0; ID_LEN]).then(|| PeerId::from_bytes(owner));
        Some(Self { id, descriptor, dev, ino, name, owner })
    }
}

impl Record {
    /// Appends the record as it stands in the file. Hashes past [`MAX_HASHES`] (which nobody makes) are
    /// left out.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
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
    pub(crate) fn encoded_len(&self) -> usize {
        match self {
            Self::Hashes { hashes, .. } => RECORD_LEN + hashes.len().min(MAX_HASHES) * ID_LEN,
            _ => RECORD_LEN,
        }
    }

    /// Reads the record that `bytes` begin with; `None` if they do not begin with a whole and right one.
    fn read(bytes: &[u8], bounds: Bounds) -> Option<Self> {
        let (head, tail) = bytes.split_first_chunk::<RECORD_LEN>()?;
        let mut rest = &head[..];
        let start = u32::from_le_bytes(take(&mut rest)?);
        let run = u32::from_le_bytes(take(&mut rest)?);
        let [kind, a, b, c] = take::<4>(&mut rest)?;
        let crc = u32::from_le_bytes(take(&mut rest)?);
        let file = u32::from_le_bytes([a, b, c, 0]);
        let seen = crc32c::crc32c(head.get(..RECORD_LEN - 4)?);
        if (kind, file, start, run, crc) == (KIND_FINISHING, 0, 0, 1, seen) {
            return Some(Self::Finishing);
        }
        let in_range = start.checked_add(run).is_some_and(|end| end <= bounds.chunks);
        if run == 0 || !in_range {
            return None;
        }
        match kind {
            KIND_WRITTEN if file == 0 && seen == crc => Some(Self::Written { start, run }),
            KIND_DURABLE if file == 0 && seen == crc => Some(Self::Durable { start, run }),
            KIND_HASHES if file < bounds.files && run as usize <= MAX_HASHES => {
                let hashes = tail.get(..run as usize * ID_LEN)?;
                if crc32c::crc32c_append(seen, hashes) != crc {
                    return None;
                }
                let hashes = hashes.chunks_exact(ID_LEN).filter_map(|h| Hash::try_from(h).ok());
                Some(Self::Hashes { file, index: start, hashes: hashes.collect() })
            }
            _ => None,
        }
    }
}

/// What stands behind the header of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// End of the last good record, in bytes.
    pub end: usize,
    /// Whether there is damage before it. What comes after it is only the torn end of a crash.
    pub damaged: bool,
}

/// Reads all good records, whatever stands between them.
pub(crate) fn read_records(bytes: &[u8], bounds: Bounds, mut each: impl FnMut(Record)) -> Scanned {
    let (mut at, mut end, mut damaged) = (0, 0, false);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= RECORD_LEN) {
        match Record::read(rest, bounds) {
            Some(record) => {
                damaged |= at != end;
                at += record.encoded_len();
                end = at;
                each(record);
            }
            None => at += RECORD_LEN,
        }
    }
    Scanned { end, damaged }
}

/// What a journal says, as far as it can be read.
#[derive(Debug)]
pub(in crate::disk) struct Found {
    /// The journal, to go on with; `None` if its header is lost, or there is damage before its end: then
    /// it must be written anew.
    pub(in crate::disk) journal: Option<Journal>,
    /// Of which download it is, if that can be read.
    pub(in crate::disk) header: Option<Header>,
}

/// Bytes a journal grows to if every chunk is written, synced and has its hash noted once: 64 for each,
/// at most a thousandth of the content.
pub(in crate::disk) fn room_of(bounds: Bounds) -> u64 {
    let (chunks, files) = (u64::from(bounds.chunks), u64::from(bounds.files));
    let each = (2 * RECORD_LEN + ID_LEN) as u64;
    // Lists of hashes begin anew with each file, and when they are full.
    let lists = files + chunks / MAX_HASHES as u64 + 1;
    in_blocks(HEADER_LEN as u64 + chunks * each + lists * RECORD_LEN as u64)
}

/// A journal open for appending. Whoever holds it decides when to sync.
#[derive(Debug)]
pub(in crate::disk) struct Journal {
    file: Arc<File>,
    /// End of the last good record.
    len: u64,
    /// Bytes of W and D records.
    runs_len: u64,
    /// Rewritten when `runs_len` exceeds this.
    compact_at: u64,
}

/// A journal is rewritten when its W and D records take more than this (65,536 of them).
pub(in crate::disk) const COMPACT_AT: u64 = 1024 * 1024;

impl Journal {
    /// Writes a journal with these records into an empty file, without syncing it.
    pub(in crate::disk) fn create(
        file: File,
        header: &Header,
        records: &[Record],
    ) -> io::Result<Self> {
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

    /// Reads a journal and cuts off its torn end.
    pub(in crate::disk) fn open(
        file: File,
        bounds: Bounds,
        is_ours: impl FnOnce(&Header) -> bool,
        mut each: impl FnMut(Record),
    ) -> io::Result<Found> {
        let mut bytes = Vec::new();
        (&file).take(MAX_READ).read_to_end(&mut bytes)?;
        let header = bytes.first_chunk().and_then(Header::decode);
        if header.as_ref().is_some_and(|header| !is_ours(header)) {
            return Ok(Found { journal: None, header });
        }
        let mut runs_len = 0;
        let scanned = read_records(bytes.get(HEADER_LEN..).unwrap_or_default(), bounds, |record| {
            if !matches!(record, Record::Hashes { .. }) {
                runs_len += RECORD_LEN as u64;
            }
            each(record);
        });
        if header.is_none() || scanned.damaged {
            return Ok(Found { journal: None, header });
        }
        let len = (HEADER_LEN + scanned.end) as u64;
        if bytes.len() as u64 != len {
            // Not for nothing: it gives back the room that was reserved behind the end.
            file.set_len(len)?;
        }
        let file = Arc::new(file);
        Ok(Found { journal: Some(Self { file, len, runs_len, compact_at: COMPACT_AT }), header })
    }

    /// Appends records. If that fails, none of them counts and the next append overwrites what is
    /// there of them.
    pub(in crate::disk) fn append(&mut self, records: &[Record]) -> io::Result<()> {
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

    /// Takes the room that it may grow to, so that it can be written on whatever others fill; whether it
    /// has that now.
    pub(in crate::disk) fn reserve(&self, room: u64) -> bool {
        syscalls::reserve_ahead(&self.file, room).unwrap_or(false)
    }

    pub(in crate::disk) fn needs_compaction(&self) -> bool {
        self.runs_len > self.compact_at
    }

    /// Asks for compaction at the next opportunity: for when the file can no longer be believed.
    pub(in crate::disk) fn spoil(&mut self) {
        self.compact_at = 0;
        self.runs_len = self.runs_len.max(1);
    }

    /// All hash records, for a rewrite.
    pub(in crate::disk) fn hashes(&self, bounds: Bounds) -> io::Result<Vec<Record>> {
        let len = self.len.saturating_sub(HEADER_LEN as u64).min(MAX_READ);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, HEADER_LEN as u64)?;
        let mut found = Vec::new();
        read_records(&bytes, bounds, |record| {
            if matches!(record, Record::Hashes { .. }) {
                found.push(record);
            }
        });
        Ok(found)
    }

    /// The file, for a sync that does not keep others from appending.
    pub(in crate::disk) fn file(&self) -> Arc<File> {
        self.file.clone()
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
        let owner = Some(PeerId::from_bytes([5; 32]));
        Header { id: descriptor.id(), descriptor, dev: 1, ino: u64::MAX, name, owner }
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

    fn read(bytes: &[u8]) -> (Vec<Record>, usize) {
        let mut out = Vec::new();
        let scanned = read_records(bytes, BOUNDS, |record| out.push(record));
        (out, scanned.end)
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
            prop_assert_eq!(read(&bytes), (records, bytes.len()));
        }

        #[test]
        fn f5_a_cut_leaves_a_prefix_and_a_flipped_bit_takes_one_record(
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
            let mut others = records.clone();
            others.remove(before);
            prop_assert_eq!(kept, others);
            let last = before + 1 == records.len();
            prop_assert_eq!(good, if last { encode(&records[..before]).len() } else { bytes.len() });
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
        let found = Journal::open(again, BOUNDS, |_| true, |record| seen.push(record)).unwrap();
        assert_eq!((found.header, seen), (Some(header()), vec![first]));
        let mut journal = found.journal.unwrap();
        let hashes = Record::Hashes { file: 1, index: 2, hashes: vec![Hash::ZERO; 3] };
        journal.append(std::slice::from_ref(&hashes)).unwrap();
        assert_eq!(journal.hashes(BOUNDS).unwrap(), [hashes]);
        assert_eq!(journal.file.metadata().unwrap().len(), journal.len);
    }
}
