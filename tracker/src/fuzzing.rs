//! What the tracker does with the bytes of its store, which a disk may have changed: see
//! `common::fuzzing`.

use common::fuzzing::Target;
use common::wire::pack;

use crate::record::{self, BanRecord, FileRecord, PeerRecord};

/// All of this crate, by the names of their folders of examples.
pub const TARGETS: &[(&str, Target)] = &[("tracker_record", tracker_record)];

/// A row of the store: a byte for its table, then its value. What is understood is understood again
/// after it was written.
pub fn tracker_record(bytes: &[u8]) {
    let Some((table, value)) = bytes.split_first() else { return };
    match table % 4 {
        0 => round_trip::<FileRecord>(value),
        1 => round_trip::<PeerRecord>(value),
        2 => round_trip::<BanRecord>(value),
        _ => {
            if let Some(target) = record::Target::from_bytes(value) {
                assert_eq!(target.to_bytes(), value);
            }
        }
    }
}

fn round_trip<T>(value: &[u8])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(record) = pack::decode::<T>("stored", value) {
        assert_eq!(pack::decode::<T>("stored", &pack::encode(&record)).as_ref(), Ok(&record));
    }
}
