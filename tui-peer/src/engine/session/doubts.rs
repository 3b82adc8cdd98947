//! Chunks that may be on disk although nothing vouches for them (a damaged journal, a part that is not
//! ours alone): read and compared beside the session, once their hashes are known, so that what is right
//! is not fetched again.

use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};

use super::Session;
use super::content::Content;
use super::done::Done;
use crate::engine::disk::{DiskError, Partial};
use crate::engine::event::{Level, Target};
use swarm::event::Input;

/// Bytes read in one piece of work (at least one chunk): little enough that what was found is soon seen
/// and soon served, and that a download that is removed does not wait for long.
const LOT_BYTES: u64 = 32 * 1024 * 1024;
/// Chunks in one piece of work: in folders of small files opening them costs more than reading.
const LOT_CHUNKS: usize = 512;
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
        let Ok(download) = self.download_of(&id) else { return };
        if download.doubts.chunks() != chunks.chunks() {
            download.doubts = ChunkSet::empty(chunks.chunks());
        }
        download.doubts.union_with(chunks);
        self.check_doubts(id);
    }

    /// Looks at the next lot, unless one is being looked at.
    pub(super) fn check_doubts(&mut self, id: ContentId) {
        let Some(layout) = self.contents.get(&id).and_then(|content| content.layout.clone()) else {
            return;
        };
        let Some(hashes) = self.node.hashes(&id) else { return };
        let Some(download) = self.contents.get_mut(&id).and_then(Content::as_download) else {
            return;
        };
        let Some(partial) = download.partial.clone().filter(|_| !download.checking) else { return };
        let (mut lot, mut bytes) = (Vec::new(), 0);
        for chunk in download.doubts.iter() {
            let Some(place) = layout.chunk(chunk).map(|chunk| layout.place(chunk)) else {
                continue;
            };
            let hash = hashes.get(place.file).and_then(|file| file.get(place.chunk_in_file));
            lot.push((chunk, hash));
            bytes += u64::from(place.len);
            if bytes >= LOT_BYTES || lot.len() >= LOT_CHUNKS {
                break;
            }
        }
        if lot.is_empty() {
            return;
        }
        for (chunk, _) in &lot {
            download.doubts.remove(*chunk);
        }
        download.checking = true;
        let last = download.doubts.is_empty();
        let dir = download.record.dir.clone();
        let place = self.place_of(&id, &dir);
        self.help_at(place, dir, move |_| {
            let checked = check(partial, &lot, last);
            Done::new(move |session| session.on_checked(id, checked))
        });
    }

    fn on_checked(&mut self, id: ContentId, checked: Checked) {
        let Checked { partial, here, gone, left, lost, error } = checked;
        let download = self.contents.get_mut(&id).and_then(Content::as_download);
        // Begun anew meanwhile, it has doubts of its own.
        let current = |of: &Arc<Partial>| Arc::ptr_eq(of, &partial);
        let download = download.filter(|d| d.partial.as_ref().is_some_and(current));
        let Some(download) = download else { return self.let_go(partial) };
        download.checking = false;
        download.doubts.union_with(&left);
        download.found.union_with(&here);
        let together = !partial.comes_from_elsewhere();
        let (all, right) = &mut download.compared;
        (*all, *right) = (*all + here.count() + gone.count(), *right + here.count());
        if download.doubts.is_empty() {
            let (all, right) = std::mem::take(&mut download.compared);
            let text = format!(
                "{}: {all} chunks on disk were compared, {right} of them are right",
                self.shown_name(&id)
            );
            self.say(Level::Info, Target::Fetch, text);
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

/// Reads and compares; blocks. `last`: nothing else is to be looked at for now.
fn check(partial: Arc<Partial>, lot: &[(u32, Option<Hash>)], last: bool) -> Checked {
    let none = ChunkSet::empty(partial.layout().chunks());
    let (mut here, mut gone, mut left) = (none.clone(), none.clone(), none);
    let mut failed = None;
    for (chunk, hash) in lot {
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
    if (last || partial.unsynced() >= SYNC_BYTES)
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
    use crate::engine::disk::{Opened, PartialSpec};

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
        let checked = check(partial, &[(1, Some(hash))], true);
        assert!(checked.here.is_empty() && checked.gone.iter().eq([1]));
        assert!(checked.lost.unwrap().iter().eq([0, 1]), "the core is told of the earlier one");
        assert!(matches!(checked.error, Some(DiskError::Changed { .. })));
    }
}
