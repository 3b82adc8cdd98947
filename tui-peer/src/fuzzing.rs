//! What the peer does with bytes of its disk, of its control socket and of its user's files: see
//! `common::fuzzing`.

use common::fuzzing::Target;

use crate::control::wire::{Answer, Request};
use crate::engine::disk::journal::{Bounds, HEADER_LEN, Header, Record, read_records};
use crate::engine::library::record;

/// All of this crate, by the names of their folders of examples.
pub const TARGETS: &[(&str, Target)] = &[
    ("journal", journal),
    ("library", library),
    ("control_request", control_request),
    ("control_answer", control_answer),
    ("config", config),
];

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

/// A frame to a running peer.
pub fn control_request(bytes: &[u8]) {
    if let Ok(request) = rmp_serde::from_slice::<Request>(bytes) {
        let _ = format!("{request:?}");
    }
}

/// A frame of a running peer.
pub fn control_answer(bytes: &[u8]) {
    if let Ok(answer) = rmp_serde::from_slice::<Answer>(bytes) {
        let _ = format!("{answer:?}");
    }
}

/// A configuration file: whatever it says, the problems in it are named by lines that exist.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.lines().count().max(1) + 1;
    assert!(settings::problems_in(text).iter().all(|problem| problem.line <= lines));
}
