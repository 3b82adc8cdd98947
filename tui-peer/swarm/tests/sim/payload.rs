//! What is shared: made-up chunk hashes, real trees over them, no bytes.

use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::{ContentId, Hash};
use common::layout::Layout;
use common::merkle::ChunkHashes;
use swarm::event::Ready;

/// A content.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) id: ContentId,
    pub(crate) descriptor: Descriptor,
    pub(crate) layout: Arc<Layout>,
    hashes: Vec<ChunkHashes>,
    /// Chunks that those want who have nothing: the first ones.
    wanted: u32,
}

impl Payload {
    /// One file of so many bytes.
    pub(crate) fn file(size: u64) -> Self {
        let layout = Arc::new(Layout::for_file(size).unwrap());
        let hashes = trees(&layout);
        let descriptor = Descriptor { kind: Kind::File, size, root: hashes[0].root() };
        let wanted = layout.chunks();
        Self { id: descriptor.id(), descriptor, layout, hashes, wanted }
    }

    /// Only the first so many chunks of it are wanted.
    pub(crate) fn first(self, wanted: u32) -> Self {
        Self { wanted, ..self }
    }

    /// A folder of files of these sizes. Its manifest is about as long as a real one.
    pub(crate) fn folder(sizes: &[u64]) -> Self {
        let layout = Arc::new(Layout::for_folder(sizes).unwrap());
        let hashes = trees(&layout);
        let roots: Vec<u8> = hashes.iter().flat_map(|tree| *tree.root().as_bytes()).collect();
        let size = 64 + 80 * sizes.len() as u64;
        let descriptor = Descriptor { kind: Kind::Folder, size, root: sha256(&roots) };
        let wanted = layout.chunks();
        Self { id: descriptor.id(), descriptor, layout, hashes, wanted }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.descriptor.kind == Kind::Folder
    }

    /// What a peer knows that has all of it.
    pub(crate) fn whole(&self) -> Ready {
        let all = ChunkSet::full(self.layout.chunks());
        self.ready(all, self.hashes.clone())
    }

    /// What a peer knows that has nothing of it but its manifest.
    pub(crate) fn nothing(&self) -> Ready {
        let level = self.layout.chunk_level();
        let unknown = |tree: &ChunkHashes| ChunkHashes::unknown(tree.root(), tree.chunks(), level);
        let none = ChunkSet::empty(self.layout.chunks());
        self.ready(none, self.hashes.iter().map(unknown).collect())
    }

    fn ready(&self, have: ChunkSet, hashes: Vec<ChunkHashes>) -> Ready {
        let (descriptor, layout) = (self.descriptor, self.layout.clone());
        let mut wanted = ChunkSet::empty(layout.chunks());
        wanted.insert_run(0, self.wanted);
        let doubted = ChunkSet::empty(layout.chunks());
        Ready { descriptor, layout, have, wanted, hashes, doubted }
    }
}

fn trees(layout: &Layout) -> Vec<ChunkHashes> {
    let level = layout.chunk_level();
    let hash = |chunk: u32| sha256(&chunk.to_le_bytes());
    (0..layout.files())
        .map(|file| {
            let list: Vec<Hash> = layout.file_chunks(file).unwrap().map(hash).collect();
            ChunkHashes::complete(layout.file_size(file).unwrap(), list, level)
        })
        .collect()
}
