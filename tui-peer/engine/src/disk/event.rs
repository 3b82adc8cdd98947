//! What the threads of the disk tell the session.

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};

use super::error::DiskError;

/// What became of chunks.
#[derive(Debug)]
pub(crate) enum DiskEvent {
    /// Verified and written: it can be read.
    ChunkStored { id: ContentId, chunk: u32 },
    /// It does not have the right hash; not written.
    ChunkCorrupt {
        id: ContentId,
        chunk: u32,
        /// Hash of what arrived.
        actual: Hash,
    },
    /// It was right but could not be written.
    ChunkNotStored { id: ContentId, chunk: u32, error: DiskError },
    /// These became durable. Nobody but tests waits for it.
    #[cfg(test)]
    Synced { chunks: ChunkSet },
    /// A sync failed: `lost` is to be treated as missing.
    SyncFailed {
        id: ContentId,
        /// Chunks written since the last good sync.
        lost: ChunkSet,
        error: DiskError,
    },
}
