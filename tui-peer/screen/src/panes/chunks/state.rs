//! What is needed to build a chunk map elsewhere.

use common::id::ContentId;

use engine::api::chunk_states::Chunks;

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
