//! Chunks that may be on disk although nothing vouches for them (a damaged journal, a part that is not
//! ours alone): read and compared beside the session, once their hashes are known, so that what is right
//! is not fetched again.

use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::ContentId;

use super::Session;
use super::done::Done;
use super::opened::{Compared, Lot};
use crate::api::event::{Level, Target};
use crate::disk::{DiskError, Partial};
use swarm::event::Input;

/// Bytes copied from another's part beyond which they are synced before more are copied.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;

/// What a look at some doubted chunks showed.
struct Checked {
    partial: Arc<Partial>,
    here: ChunkSet,
    gone: ChunkSet,
    /// Not looked at, because the disk refused: to be tried again.
    left: ChunkSet,
    /// What a failed sync lost, of earlier lots and of other writes too.
    lost: Option<ChunkSet>,
    error: Option<DiskError>,
}

impl Session {
    /// The hashes of these are known now.
    pub(super) fn on_doubted(&mut self, id: ContentId, chunks: &ChunkSet) {
        let download = self.contents.download_mut(&id);
        let Some(open) = download.and_then(|download| download.files.get_mut()) else { return };
        open.doubts.add(chunks);
        self.check_doubts(id);
    }

    /// Looks at the next lot, unless one is being looked at.
    pub(super) fn check_doubts(&mut self, id: ContentId) {
        let Some(layout) = self.contents.get(&id).and_then(|content| content.layout.clone()) else {
            return;
        };
        let Some(hashes) = self.core.node().hashes(&id) else { return };
        let Some(download) = self.contents.download_mut(&id) else { return };
        let Some(open) = download.files.get_mut() else { return };
        let Some(lot) = open.doubts.begin(&layout, hashes) else { return };
        let partial = open.partial().clone();
        let dir = download.record.dir.clone();
        let place = self.place_of(&id, &dir);
        self.background.run_at(place, dir, move |_| {
            let checked = check(partial, &lot);
            Done::new(move |session| session.on_checked(id, checked))
        });
    }

    fn on_checked(&mut self, id: ContentId, checked: Checked) {
        let Checked { partial, here, gone, left, lost, error } = checked;
        let download = self.contents.download_mut(&id);
        let Some(download) = download else { return self.background.close(partial) };
        let Some(open) = download.files.same(&partial) else {
            return self.background.close(partial);
        };
        let lot = Compared { all: here.count() + gone.count(), right: here.count() };
        let told = open.doubts.end(lot, &left);
        download.found.union_with(&here);
        let together = !partial.comes_from_elsewhere();
        if let Some(Compared { all, right }) = told {
            let text = format!(
                "{}: {all} chunks on disk were compared, {right} of them are right",
                self.shown_name(&id)
            );
            self.log(Level::Info, Target::Fetch, text);
        }
        if together {
            self.forget_moves(&id);
        }
        self.feed(Input::DoubtsSettled { id, here, gone });
        if let Some(lost) = lost.filter(|lost| !lost.is_empty()) {
            self.feed(Input::ChunksLost { id, lost });
        }
        match error {
            Some(error) => self.block(id, &error),
            None => self.check_doubts(id),
        }
    }
}

/// Reads and compares; blocks.
fn check(partial: Arc<Partial>, lot: &Lot) -> Checked {
    let none = ChunkSet::empty(partial.layout().chunks());
    let (mut here, mut gone, mut left) = (none.clone(), none.clone(), none);
    let mut failed = None;
    for (chunk, hash) in &lot.chunks {
        let right = match (hash, &failed) {
            (Some(hash), None) => partial.check(*chunk, *hash),
            // Its hash was known a moment ago: the core says so again.
            (None, None) => Ok(false),
            (_, Some(_)) => {
                left.insert(*chunk);
                continue;
            }
        };
        match right {
            Ok(true) => _ = here.insert(*chunk),
            Ok(false) => _ = gone.insert(*chunk),
            // A sync failed beside this, and comes with an event of its own.
            Err(DiskError::Unsure { .. }) => _ = left.insert(*chunk),
            Err(error) => {
                left.insert(*chunk);
                failed = Some(error);
            }
        }
    }
    // From then on the journal vouches for them.
    let mut lost = None;
    if (lot.last || partial.unsynced() >= SYNC_BYTES)
        && let Err(sync) = partial.sync()
    {
        for chunk in sync.lost.iter().filter(|chunk| here.contains(*chunk)).collect::<Vec<_>>() {
            here.remove(chunk);
            gone.insert(chunk);
        }
        lost = Some(sync.lost);
        failed = failed.or(Some(sync.error));
    }
    if failed.is_none() {
        partial.leave_donors();
    }
    Checked { partial, here, gone, left, lost, error: failed }
}

#[cfg(test)]
mod tests {
    use common::content::{Descriptor, Kind};
    use common::hash::sha256;
    use common::layout::Layout;
    use common::merkle::{block_hashes, chunk_hash};

    use super::*;
    use crate::disk::{Opened, PartialSpec};

    #[test]
    fn f5_a_sync_that_fails_beside_the_check_tells_of_earlier_chunks_too() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::for_file(3 * 65_536).unwrap());
        let descriptor =
            Descriptor { kind: Kind::File, size: 3 * 65_536, root: sha256(b"whatever") };
        let spec = PartialSpec {
            id: descriptor.id(),
            descriptor,
            layout: layout.clone(),
            rel: None,
            name: "thing".into(),
            dir: temp.path().to_path_buf(),
            keep_free: Some(0),
            owner: None,
        };
        let Opened::Going { partial, .. } = Partial::open(spec).unwrap() else { panic!() };
        let bytes = vec![5; 65_536];
        // One of an earlier lot, one of this.
        partial.write_chunk(0, &[&bytes], true).unwrap();
        partial.write_chunk(1, &[&bytes], true).unwrap();
        std::fs::remove_file(partial.path()).unwrap();
        let hash = chunk_hash(&block_hashes(&bytes), layout.chunk_level(), false);
        let checked = check(partial, &Lot { chunks: vec![(1, Some(hash))], last: true });
        assert!(checked.here.is_empty() && checked.gone.iter().eq([1]));
        assert!(checked.lost.unwrap().iter().eq([0, 1]), "the core is told of the earlier one");
        assert!(matches!(checked.error, Some(DiskError::Changed { .. })));
    }
}
