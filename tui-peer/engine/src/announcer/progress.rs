//! Which chunks of unfinished downloads the tracker still has to be told of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::limits::{MAX_CHUNK_REGISTER, MAX_TRACKER_FRAME};
use common::wire::tracker::{ChunkUpdate, Request};

/// Bytes of encoded sets in one CHUNK_REGISTER; the rest of the frame is for ids and counts.
const MAX_SET_BYTES: usize = MAX_TRACKER_FRAME / 2;
/// Bytes of an update besides its set, at most.
const UPDATE_BYTES: usize = 64;
/// Runs in one update of a set that is too long for a frame: two numbers of up to five bytes each.
const RUNS_PER_PART: usize = MAX_SET_BYTES / 10;

/// Unfinished downloads, and what of them is still untold.
#[derive(Debug, Default)]
pub(super) struct Progress {
    partials: BTreeMap<ContentId, Partial>,
    untold: BTreeSet<ContentId>,
    /// Parts of a set that is too long for one frame, still to be sent.
    parts: VecDeque<ChunkUpdate>,
    /// A download got its first chunk.
    begun: bool,
}

#[derive(Debug)]
struct Partial {
    set: ChunkSet,
    /// New since the last CHUNK_REGISTER; nothing while all of it is to be told anyway.
    news: Vec<u32>,
    /// All of it is to be told.
    full: bool,
}

impl Progress {
    pub(super) fn set(&mut self, id: ContentId, set: ChunkSet) {
        self.forget_parts(&id);
        self.partials.insert(id, Partial { set, news: Vec::new(), full: true });
        self.untold.insert(id);
    }

    /// Returns whether these are the first chunks of a download.
    pub(super) fn add(&mut self, id: ContentId, chunks: &[u32]) -> bool {
        let Some(partial) = self.partials.get_mut(&id) else { return false };
        let begins = partial.set.is_empty() && !chunks.is_empty();
        self.begun |= begins;
        for chunk in chunks {
            if partial.set.insert(*chunk) {
                if !partial.full {
                    partial.news.push(*chunk);
                }
                self.untold.insert(id);
            }
        }
        begins
    }

    /// Returns whether there was one.
    pub(super) fn clear(&mut self, id: &ContentId) -> bool {
        self.forget_parts(id);
        self.untold.remove(id);
        self.partials.remove(id).is_some()
    }

    pub(super) fn chunks(&self, id: &ContentId) -> Option<u32> {
        self.partials.get(id).map(|partial| partial.set.chunks())
    }

    /// The tracker has to be told all of it again.
    pub(super) fn tell_again(&mut self, id: &ContentId) {
        if let Some(partial) = self.partials.get_mut(id) {
            partial.full = true;
            partial.news = Vec::new();
            self.untold.insert(*id);
            self.forget_parts(id);
        }
    }

    /// A new connection: the tracker has to be told everything again.
    pub(super) fn tell_all_again(&mut self) {
        self.parts.clear();
        for (id, partial) in &mut self.partials {
            partial.full = true;
            partial.news = Vec::new();
            self.untold.insert(*id);
        }
    }

    /// Whether a download got its first chunk since this was asked last: nobody finds us as its source
    /// before that is told.
    pub(super) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }

    /// Whether [`next`](Self::next) has something to say.
    pub(super) fn is_untold(&self) -> bool {
        !self.untold.is_empty() || !self.parts.is_empty()
    }

    /// The next CHUNK_REGISTER. What `held` says has to wait for something else.
    pub(super) fn next(&mut self, held: impl Fn(&ContentId) -> bool) -> Option<Request> {
        if let Some(part) = self.parts.pop_front() {
            return Some(Request::ChunkRegister { files: vec![part] });
        }
        let mut files = Vec::new();
        let mut bytes = 0;
        let ready: Vec<ContentId> =
            self.untold.iter().filter(|id| !held(id)).take(MAX_CHUNK_REGISTER).copied().collect();
        for id in ready {
            let Some(update) = self.partials.get(&id).map(|partial| partial.update(id)) else {
                self.untold.remove(&id);
                continue;
            };
            let len = update.set.len() + UPDATE_BYTES;
            if bytes + len > MAX_SET_BYTES && !files.is_empty() {
                break;
            }
            bytes += len;
            self.untold.remove(&id);
            if let Some(partial) = self.partials.get_mut(&id) {
                partial.full = false;
                partial.news = Vec::new();
                if len > MAX_SET_BYTES {
                    self.parts = in_parts(id, &partial.set);
                    return self.next(held);
                }
            }
            files.push(update);
        }
        (!files.is_empty()).then_some(Request::ChunkRegister { files })
    }

    fn forget_parts(&mut self, id: &ContentId) {
        if self.parts.front().is_some_and(|part| part.id == *id) {
            self.parts.clear();
        }
    }
}

impl Partial {
    fn update(&self, id: ContentId) -> ChunkUpdate {
        let (chunks, total) = (self.set.chunks(), self.set.count());
        let set = if self.full {
            self.set.encode()
        } else {
            let mut delta = ChunkSet::empty(chunks);
            for chunk in &self.news {
                delta.insert(*chunk);
            }
            delta.encode()
        };
        ChunkUpdate { id, set, chunks, total, full: self.full }
    }
}

/// A set whose encoding does not fit a frame (a folder of two million files in the worst pattern): a
/// first full update with some of its runs, then additions.
fn in_parts(id: ContentId, set: &ChunkSet) -> VecDeque<ChunkUpdate> {
    let chunks = set.chunks();
    let runs: Vec<_> = set.runs().collect();
    let mut total = 0;
    let mut parts = VecDeque::new();
    for some in runs.chunks(RUNS_PER_PART) {
        let mut part = ChunkSet::empty(chunks);
        for run in some {
            total += part.insert_run(run.start, run.end.saturating_sub(run.start));
        }
        let full = parts.is_empty();
        parts.push_back(ChunkUpdate { id, set: part.encode(), chunks, total, full });
    }
    parts
}

#[cfg(test)]
mod tests {
    use common::limits::MAX_FOLDER_CHUNKS;
    use proptest::prelude::*;

    use super::*;

    fn id(n: u32) -> ContentId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        ContentId::from_bytes(bytes)
    }

    #[test]
    fn the_first_chunk_of_a_download_is_news_at_once() {
        let mut progress = Progress::default();
        progress.set(id(1), ChunkSet::empty(10));
        assert!(!progress.take_begun(), "nothing there that anybody could fetch");
        progress.add(id(1), &[]);
        assert!(!progress.take_begun());
        progress.add(id(1), &[3]);
        assert!(progress.take_begun() && !progress.take_begun());
        progress.add(id(1), &[4, 5]);
        progress.add(id(2), &[0]);
        assert!(!progress.take_begun(), "the others can wait");
    }

    fn updates(progress: &mut Progress) -> Vec<ChunkUpdate> {
        let mut all = Vec::new();
        while let Some(request) = progress.next(|_| false) {
            assert!(request.body().len() < MAX_TRACKER_FRAME);
            let decoded = Request::decode(request.kind(), &request.body()).unwrap().unwrap();
            let Request::ChunkRegister { files } = decoded else { panic!("{request:?}") };
            all.extend(files);
        }
        assert!(!progress.is_untold());
        all
    }

    /// What a tracker would make of it.
    fn merged(updates: &[ChunkUpdate]) -> ChunkSet {
        let mut known = ChunkSet::empty(updates[0].chunks);
        for update in updates {
            let set = ChunkSet::decode(update.chunks, &update.set).unwrap();
            if update.full {
                known = set;
            } else {
                for chunk in set.iter() {
                    known.insert(chunk);
                }
            }
            assert_eq!(known.count(), update.total);
        }
        known
    }

    #[test]
    fn progress_is_a_delta_after_the_first_full_set() {
        let mut progress = Progress::default();
        progress.set(id(1), ChunkSet::empty(10));
        progress.add(id(1), &[5]);
        let told = updates(&mut progress);
        assert!(told[0].full && told[0].total == 1);
        progress.add(id(1), &[1, 2]);
        progress.add(id(1), &[2, 3, 99]);
        progress.add(id(2), &[1]);
        let told = updates(&mut progress);
        assert_eq!((told.len(), told[0].full, told[0].total), (1, false, 4));
        assert_eq!(ChunkSet::decode(10, &told[0].set).unwrap().count(), 3);
        progress.tell_again(&id(1));
        assert!(updates(&mut progress)[0].full);
        progress.add(id(1), &[1]);
        assert!(!progress.is_untold(), "nothing new");
        assert!(progress.clear(&id(1)) && !progress.clear(&id(1)));
    }

    #[test]
    fn what_is_held_waits() {
        let mut progress = Progress::default();
        progress.set(id(1), ChunkSet::empty(10));
        assert_eq!(progress.next(|_| true), None);
        assert!(progress.is_untold());
        assert_eq!(updates(&mut progress).len(), 1);
    }

    #[test]
    fn many_downloads_take_several_messages() {
        let mut progress = Progress::default();
        for n in 0..600 {
            let mut set = ChunkSet::empty(4096);
            for chunk in (0..4096).step_by(2) {
                set.insert(chunk);
            }
            progress.set(id(n), set);
        }
        assert_eq!(updates(&mut progress).len(), 600);
    }

    #[test]
    fn the_largest_set_fits_into_frames_part_by_part() {
        let mut set = ChunkSet::empty(MAX_FOLDER_CHUNKS);
        for chunk in (0..MAX_FOLDER_CHUNKS).step_by(2) {
            set.insert(chunk);
        }
        let mut progress = Progress::default();
        progress.set(id(1), set.clone());
        progress.set(id(2), ChunkSet::full(3));
        let told = updates(&mut progress);
        let (big, small): (Vec<_>, Vec<_>) = told.into_iter().partition(|u| u.id == id(1));
        assert_eq!(merged(&big), set);
        assert_eq!(small.len(), 1);

        // Changed halfway: it begins anew.
        progress.tell_again(&id(1));
        progress.next(|_| false);
        progress.set(id(1), ChunkSet::empty(MAX_FOLDER_CHUNKS));
        assert_eq!(merged(&updates(&mut progress)).count(), 0);
    }

    proptest! {
        #[test]
        fn the_tracker_knows_what_we_have(
            steps in prop::collection::vec((0u8..4, prop::collection::vec(0u32..200, 0..20)), 1..30),
        ) {
            let mut progress = Progress::default();
            let mut have = ChunkSet::empty(200);
            let mut told = Vec::new();
            progress.set(id(1), have.clone());
            for (what, chunks) in steps {
                match what {
                    0 => told.extend(updates(&mut progress)),
                    1 => progress.tell_all_again(),
                    _ => {
                        for chunk in &chunks {
                            have.insert(*chunk);
                        }
                        progress.add(id(1), &chunks);
                    }
                }
            }
            told.extend(updates(&mut progress));
            prop_assert_eq!(merged(&told), have);
        }
    }
}
