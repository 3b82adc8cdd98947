//! The chunk map, and what is needed to build one elsewhere.

use common::id::ContentId;

use crate::heatmap::Map;
use engine::api::chunk_states::Chunks;

/// The chunk map of the selected content.
#[derive(Debug)]
pub struct ChunkMap {
    /// Chunk under the cursor.
    pub cursor: usize,
    /// For the present size.
    pub map: Map,
    /// What it shows: of which content, and how its chunks stood.
    pub of: Option<(ContentId, Chunks)>,
    /// Whether one is being built elsewhere.
    pub building: bool,
    /// Whether the cursor goes to the newest verified chunk.
    pub follows: bool,
    /// Whether it shows who sent each chunk, not how it stands.
    pub senders: bool,
}

impl Default for ChunkMap {
    fn default() -> Self {
        let map = Map::empty();
        Self { cursor: 0, map, of: None, building: false, follows: false, senders: false }
    }
}

/// One map to build.
#[derive(Debug, Clone)]
pub struct MapJob {
    /// Of which content.
    pub id: ContentId,
    /// Its chunks at that moment.
    pub chunks: Chunks,
    /// Cells there are.
    pub cells: usize,
    /// Whether a cell may stand for two chunks.
    pub halves: bool,
}

impl MapJob {
    pub(crate) fn of(id: ContentId, chunks: &Chunks, cells: usize, halves: bool) -> Self {
        Self { id, chunks: chunks.clone(), cells, halves }
    }
}
