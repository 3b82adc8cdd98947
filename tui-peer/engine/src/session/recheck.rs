//! A chunk of ours that a peer got wrong is read and hashed again.

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};
use common::merkle::{block_hashes, chunk_hash};

use super::Session;
use super::done::Done;
use super::download::Phase;
use crate::api::event::{Level, Target};
use crate::disk::ReadError;
use swarm::event::Input;

impl Session {
    pub(super) fn recheck(&mut self, id: ContentId, chunk: u32, expected: Hash) {
        let Some(content) = self.contents.get(&id) else { return };
        let (Some(source), Some(layout)) = (content.source.clone(), content.layout.clone()) else {
            return;
        };
        let Some(number) = layout.chunk(chunk) else { return };
        let file = layout.place(number).file;
        let only = layout.file_chunks(file).is_some_and(|chunks| chunks.len() == 1);
        let (len, level) = (layout.len_of(number), layout.chunk_level());
        let disk = self.ours.disk.clone();
        self.background.task(async move {
            let mut blocks = Vec::new();
            let hash = |bytes: &[u8]| blocks.extend(block_hashes(bytes));
            let right = match disk.read_chunk(source, chunk, len, hash).await {
                Ok(()) => chunk_hash(&blocks, level, only) == expected,
                // Nobody knows.
                Err(ReadError::Busy(_)) => true,
                Err(_) => false,
            };
            (!right).then(|| Done::new(move |session| session.on_damaged(id, chunk)))
        });
    }

    pub(super) fn on_damaged(&mut self, id: ContentId, chunk: u32) {
        let download = self.contents.download_mut(&id);
        let partial = download
            .filter(|download| download.phase != Phase::Finishing)
            .and_then(|download| Some((download.partial()?.clone(), download.record.dir.clone())));
        if let Some((partial, dir)) = partial {
            // Not finished yet: the journal must not vouch for it, then it is fetched again.
            let text = format!(
                "{}: chunk {chunk} was damaged on disk and is fetched again; check the disk",
                self.shown_name(&id)
            );
            self.log(Level::Error, Target::Disk, text);
            return self.background.on_path(dir, move |_| {
                let mut lost = ChunkSet::empty(partial.layout().chunks());
                lost.insert(chunk);
                let result = partial.distrust(&lost);
                Done::new(move |session| {
                    if let Err(error) = result {
                        session.log(Level::Warn, Target::Disk, error.to_string());
                    }
                    session.feed(Input::ChunksLost { id, lost });
                })
            });
        }
        let text = format!(
            "{}: chunk {chunk} is damaged on disk and not served any more; verify the file",
            self.shown_name(&id)
        );
        self.log(Level::Error, Target::Disk, text);
        self.feed(Input::ChunkDamaged { id, chunk });
        // Nobody takes us for somebody who has all of it.
        self.announce(&id);
    }
}
