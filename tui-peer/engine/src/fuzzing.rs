//! What the engine does with bytes of its disk: see `common::fuzzing`.

use common::fuzzing::Target;

use crate::disk::part_file::journal::{Bounds, HEADER_LEN, Header, Record, read_records};
use crate::library::record;

/// All of this crate, by the names of their folders of examples.
pub const TARGETS: &[(&str, Target)] = &[("journal", journal), ("library", library)];

/// The journal of a download: what is understood is within the download, and written the same way.
pub fn journal(bytes: &[u8]) {
    let bounds = Bounds { chunks: 1000, files: 10 };
    let records = match bytes.split_first_chunk::<HEADER_LEN>() {
        Some((header, records)) => {
            if let Some(header) = Header::decode(header) {
                assert_eq!(header.encode().first_chunk().and_then(Header::decode), Some(header));
            }
            records
        }
        None => bytes,
    };
    let mut good = Vec::new();
    let read = read_records(records, bounds, |record| {
        if let Record::Written { start, run } | Record::Durable { start, run } = record {
            assert!(start + run <= bounds.chunks);
        }
        record.encode(&mut good);
    });
    assert!(read.end <= records.len());
    assert!(good.len() <= records.len());
}

/// A row of the library: a byte for its table, then its value.
pub fn library(bytes: &[u8]) {
    record::decode_any(bytes);
}
