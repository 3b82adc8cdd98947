//! Which chunk next: the rarest among connected peers, ties broken uniformly at random.
//!
//! Pickable chunks (wanted, not here, asked of nobody) stand in one array, sorted into buckets by the
//! number of partial sources that have them; complete sources count for every chunk alike and so need
//! no place here. A change of availability by one is one swap; a pick from a complete source is O(1).
//! The structure is libtorrent's idea (its `piece_picker`), reduced to what is needed.

use common::numbers::saturate;

/// Chunks of a bucket looked at from a random start before the whole bucket is searched.
const PROBES: usize = 64;
/// Chunks compared by their cost.
const CANDIDATES: usize = 32;
/// Not pickable.
const NOWHERE: u32 = u32::MAX;

/// Availability of chunks, and the pickable ones by rarity. As long as nothing is pickable and no partial source
/// has anything it takes no memory: most of many thousands of shares are complete and nobody's wish.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    chunks: u32,
    tables: Option<Box<Tables>>,
}

impl Picker {
    /// `chunks` chunks that nobody has and none of which is pickable.
    pub(super) fn new(chunks: u32) -> Self {
        Self { chunks, tables: None }
    }

    /// Partial sources per chunk; empty if that is 0 for all.
    pub(super) fn availability(&self) -> &[u16] {
        self.tables.as_ref().map_or(&[], |tables| &tables.availability)
    }

    /// Partial sources of one chunk.
    pub(super) fn copies(&self, chunk: u32) -> u16 {
        self.tables.as_ref().map_or(0, |tables| tables.copies(chunk))
    }

    /// How many chunks can be picked.
    pub(super) fn pickable(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.order.len())
    }

    /// Whether a chunk can be picked.
    #[cfg(test)]
    pub(super) fn is_pickable(&self, chunk: u32) -> bool {
        self.tables.as_ref().is_some_and(|tables| tables.is_pickable(chunk))
    }

    /// Makes a chunk pickable.
    pub(super) fn insert(&mut self, chunk: u32) {
        self.tables().insert(chunk);
    }

    /// Makes a chunk not pickable: requested, here, or not wanted.
    pub(super) fn remove(&mut self, chunk: u32) {
        if let Some(tables) = &mut self.tables {
            tables.remove(chunk);
        }
    }

    /// One more partial source has this chunk.
    pub(super) fn gained(&mut self, chunk: u32) {
        self.tables().gained(chunk);
    }

    /// One partial source fewer has this chunk.
    pub(super) fn lost(&mut self, chunk: u32) {
        if let Some(tables) = &mut self.tables {
            tables.lost(chunk);
        }
    }

    /// The rarest pickable chunk for which `usable` holds; among equally rare ones any with the same
    /// probability (as long as few of a bucket are unusable).
    pub(super) fn pick(
        &self,
        usable: impl Fn(u32) -> bool,
        rng: &mut fastrand::Rng,
    ) -> Option<u32> {
        self.tables.as_ref()?.pick(usable, rng)
    }

    /// Like [`pick`](Self::pick), but of several equally rare ones that with the least `cost`: a few
    /// are compared.
    pub(super) fn pick_cheapest(
        &self,
        usable: impl Fn(u32) -> bool,
        cost: impl Fn(u32) -> u16,
        rng: &mut fastrand::Rng,
    ) -> Option<u32> {
        self.tables.as_ref()?.pick_cheapest(usable, cost, rng)
    }

    /// The first pickable chunk from `from` on for which `usable` holds.
    pub(super) fn pick_first(&self, from: u32, usable: impl Fn(u32) -> bool) -> Option<u32> {
        self.tables.as_ref()?.pick_first(from, usable)
    }

    /// Any pickable chunk for which `usable` holds, whatever its rarity.
    pub(super) fn pick_random(
        &self,
        usable: impl Fn(u32) -> bool,
        rng: &mut fastrand::Rng,
    ) -> Option<u32> {
        self.tables.as_ref()?.pick_random(usable, rng)
    }

    fn tables(&mut self) -> &mut Tables {
        let chunks = self.chunks;
        self.tables.get_or_insert_with(|| Box::new(Tables::new(chunks)))
    }
}

/// What a [`Picker`] holds once there is something to hold.
#[derive(Debug, Clone)]
struct Tables {
    /// Partial sources per chunk, saturating.
    availability: Vec<u16>,
    /// Pickable chunks, rarest first.
    order: Vec<u32>,
    /// Where each chunk stands in `order`.
    position: Vec<u32>,
    /// End of each availability's bucket in `order`.
    ends: Vec<u32>,
}

impl Tables {
    fn new(chunks: u32) -> Self {
        Self {
            availability: vec![0; chunks as usize],
            order: Vec::new(),
            position: vec![NOWHERE; chunks as usize],
            ends: vec![0],
        }
    }

    fn copies(&self, chunk: u32) -> u16 {
        self.availability.get(chunk as usize).copied().unwrap_or(0)
    }

    fn is_pickable(&self, chunk: u32) -> bool {
        self.position.get(chunk as usize).is_some_and(|at| *at != NOWHERE)
    }

    fn insert(&mut self, chunk: u32) {
        if chunk as usize >= self.position.len() || self.is_pickable(chunk) {
            return;
        }
        let bucket = self.bucket_of(chunk);
        self.grow(bucket);
        // Make room at the end of the bucket: the first of every later bucket moves to its end.
        self.order.push(chunk);
        let mut hole = self.order.len() - 1;
        for later in (bucket + 1..self.ends.len()).rev() {
            let first = self.start_of(later);
            // An empty bucket has nothing to move: its place is the hole itself.
            if let Some(moved) = self.order.get(first).copied().filter(|_| first != hole) {
                self.put(hole, moved);
                hole = first;
            }
            self.ends[later] += 1;
        }
        self.ends[bucket] += 1;
        self.put(hole, chunk);
    }

    fn remove(&mut self, chunk: u32) {
        let Some(at) = self.position.get(chunk as usize).copied().filter(|at| *at != NOWHERE)
        else {
            return;
        };
        let bucket = self.bucket_of(chunk);
        let mut hole = at as usize;
        for later in bucket..self.ends.len() {
            self.ends[later] -= 1;
            let last = self.ends[later] as usize;
            if let Some(moved) = self.order.get(last).copied().filter(|_| last != hole) {
                self.put(hole, moved);
            }
            hole = last;
        }
        self.order.pop();
        self.position[chunk as usize] = NOWHERE;
    }

    fn gained(&mut self, chunk: u32) {
        let Some(count) = self.availability.get(chunk as usize).copied() else { return };
        if count == u16::MAX {
            return;
        }
        if self.is_pickable(chunk) {
            let bucket = self.bucket_of(chunk);
            self.grow(bucket + 1);
            // Swap with the last of the bucket; the border moves down by one.
            let last = self.ends[bucket] as usize - 1;
            self.swap(self.position[chunk as usize] as usize, last);
            self.ends[bucket] -= 1;
        }
        self.availability[chunk as usize] = count + 1;
    }

    fn lost(&mut self, chunk: u32) {
        let Some(count) = self.availability.get(chunk as usize).copied() else { return };
        if count == 0 {
            return;
        }
        if self.is_pickable(chunk) {
            let bucket = self.bucket_of(chunk);
            let first = self.start_of(bucket);
            self.swap(self.position[chunk as usize] as usize, first);
            self.ends[bucket - 1] += 1;
        }
        self.availability[chunk as usize] = count - 1;
    }

    fn pick(&self, usable: impl Fn(u32) -> bool, rng: &mut fastrand::Rng) -> Option<u32> {
        let mut start = 0usize;
        for end in &self.ends {
            let end = *end as usize;
            if let Some(bucket) = self.order.get(start..end).filter(|bucket| !bucket.is_empty()) {
                let from = rng.usize(..bucket.len());
                let (before, after) = bucket.split_at(from);
                let probe = |part: &[u32], most: usize| {
                    part.iter().take(most).copied().find(|chunk| usable(*chunk))
                };
                let found = probe(after, PROBES)
                    .or_else(|| probe(before, PROBES))
                    .or_else(|| probe(after.get(PROBES..).unwrap_or_default(), usize::MAX))
                    .or_else(|| probe(before.get(PROBES..).unwrap_or_default(), usize::MAX));
                if found.is_some() {
                    return found;
                }
            }
            start = end;
        }
        None
    }

    fn pick_cheapest(
        &self,
        usable: impl Fn(u32) -> bool,
        cost: impl Fn(u32) -> u16,
        rng: &mut fastrand::Rng,
    ) -> Option<u32> {
        let mut start = 0usize;
        for end in &self.ends {
            let end = *end as usize;
            if let Some(bucket) = self.order.get(start..end).filter(|bucket| !bucket.is_empty()) {
                let (before, after) = bucket.split_at(rng.usize(..bucket.len()));
                let candidates = after.iter().chain(before).copied().filter(|c| usable(*c));
                let best = candidates.take(CANDIDATES).min_by_key(|chunk| cost(*chunk));
                if best.is_some() {
                    return best;
                }
            }
            start = end;
        }
        None
    }

    fn pick_first(&self, from: u32, usable: impl Fn(u32) -> bool) -> Option<u32> {
        let end = saturate::<u32>(self.position.len());
        (from..end).find(|chunk| self.is_pickable(*chunk) && usable(*chunk))
    }

    fn pick_random(&self, usable: impl Fn(u32) -> bool, rng: &mut fastrand::Rng) -> Option<u32> {
        if self.order.is_empty() {
            return None;
        }
        let from = rng.usize(..self.order.len());
        let (before, after) = self.order.split_at(from);
        after.iter().chain(before).copied().find(|chunk| usable(*chunk))
    }

    fn bucket_of(&self, chunk: u32) -> usize {
        self.availability.get(chunk as usize).map_or(0, |count| usize::from(*count))
    }

    fn start_of(&self, bucket: usize) -> usize {
        bucket.checked_sub(1).and_then(|b| self.ends.get(b)).map_or(0, |end| *end as usize)
    }

    /// Makes buckets up to `bucket`, empty ones at the end.
    fn grow(&mut self, bucket: usize) {
        let end = saturate::<u32>(self.order.len());
        while self.ends.len() <= bucket {
            self.ends.push(end);
        }
    }

    fn put(&mut self, at: usize, chunk: u32) {
        self.order[at] = chunk;
        self.position[chunk as usize] = u32::try_from(at).unwrap_or(NOWHERE);
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (x, y) = (self.order[a], self.order[b]);
        self.put(a, y);
        self.put(b, x);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(picker: &Picker) {
        let Some(picker) = &picker.tables else { return };
        let mut start = 0;
        for (bucket, end) in picker.ends.iter().enumerate() {
            for at in start..*end as usize {
                let chunk = picker.order[at];
                assert_eq!(picker.position[chunk as usize] as usize, at);
                assert_eq!(usize::from(picker.availability[chunk as usize]), bucket);
            }
            start = *end as usize;
        }
        assert_eq!(start, picker.order.len());
    }

    proptest! {
        #[test]
        fn stays_sorted_and_picks_a_rarest(
            ops in proptest::collection::vec((0u8..4, 0u32..30), 0..300),
            seed in any::<u64>(),
        ) {
            let mut picker = Picker::new(30);
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut pickable = std::collections::BTreeSet::new();
            let mut availability = [0u16; 30];
            for (op, chunk) in ops {
                match op {
                    0 => { picker.insert(chunk); pickable.insert(chunk); }
                    1 => { picker.remove(chunk); pickable.remove(&chunk); }
                    2 => { picker.gained(chunk); availability[chunk as usize] += 1; }
                    _ => {
                        picker.lost(chunk);
                        let count = &mut availability[chunk as usize];
                        *count = count.saturating_sub(1);
                    }
                }
                check(&picker);
            }
            prop_assert_eq!(picker.pickable(), pickable.len());
            let counted: Vec<u16> = (0..30).map(|chunk| picker.copies(chunk)).collect();
            prop_assert_eq!(counted, availability);
            let usable = |chunk: u32| !chunk.is_multiple_of(3);
            let rarest =
                pickable.iter().filter(|c| usable(**c)).map(|c| availability[*c as usize]).min();
            let picked = picker.pick(usable, &mut rng);
            prop_assert_eq!(picked.map(|c| availability[c as usize]), rarest);
        }
    }

    #[test]
    fn ties_are_broken_uniformly() {
        let mut picker = Picker::new(10);
        (0..10).for_each(|chunk| picker.insert(chunk));
        let mut rng = fastrand::Rng::with_seed(7);
        let mut hits = [0u32; 10];
        for _ in 0..10_000 {
            hits[picker.pick(|_| true, &mut rng).unwrap() as usize] += 1;
        }
        assert!(hits.iter().all(|n| (800..1200).contains(n)), "{hits:?}");
    }
}
