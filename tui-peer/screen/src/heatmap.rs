//! The chunk map: how many chunks stand behind every cell, and how bad the worst of them is. Never
//! samples: one missing chunk in a million shows. Pure.

use engine::api::chunk_states::{Chunks, PAGE};
use engine::api::snapshot::ChunkState;

pub use engine::api::chunk_states::first_chunk;

/// Most cells one chunk is drawn with.
const MAX_BRICK: usize = 8;
/// Copies from which a chunk counts as plentiful.
const PLENTY: u16 = 5;

/// Numbers of copies that are counted apart; the last stands for itself and more.
const APART: usize = 10;

/// How one chunk stands, see [`Counts`] for the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On our disk, verified.
    Have,
    /// Requested or being written.
    Flight,
    /// Missing; this many sources have it (0 = nobody online).
    Lack(u16),
    /// Failed verification a moment ago.
    Bad,
    /// On disk, being checked.
    Checking,
    /// Not chosen.
    Unwanted,
}

/// A missing chunk's sources in classes, as coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rarity {
    /// Nobody online has it.
    None,
    /// One source.
    One,
    /// Two to four.
    Some,
    /// Five or more.
    Many,
}

impl Rarity {
    /// The class of a number of copies.
    pub fn of(copies: u16) -> Self {
        match copies {
            0 => Self::None,
            1 => Self::One,
            2..PLENTY => Self::Some,
            _ => Self::Many,
        }
    }
}

/// Exact counts for the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All chunks.
    pub total: u64,
    /// On our disk.
    pub have: u64,
    /// In flight.
    pub flight: u64,
    /// Missing, five or more sources.
    pub many: u64,
    /// Missing, two to four.
    pub some: u64,
    /// Missing, one.
    pub one: u64,
    /// Missing, none.
    pub none: u64,
    /// Bad hash just now.
    pub bad: u64,
    /// Being checked.
    pub checking: u64,
    /// Not chosen.
    pub unwanted: u64,
}

/// The chunks behind one cell (or half of one). Only counters, so that one chunk can be taken out and put
/// in again: the worst of them is read from the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// How many chunks.
    pub total: u32,
    /// On our disk.
    pub have: u32,
    /// In flight.
    pub flight: u32,
    /// Bad.
    pub bad: u32,
    /// Being checked.
    pub checking: u32,
    /// Not chosen.
    pub unwanted: u32,
    /// Missing and not in flight, by copies among sources that do not have everything.
    lack: [u32; APART],
}

/// How the chunks are laid out over the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing to show, or nowhere to show it.
    Empty,
    /// Every chunk takes this many cells.
    Brick(usize),
    /// Every cell is two chunks, upper and lower half.
    Half,
    /// Every cell stands for several chunks.
    Level,
}

/// The map for one content and one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Layout.
    pub mode: Mode,
    /// For how many cells it was made.
    pub cells: usize,
    /// Whether a cell may stand for two chunks.
    pub halves: bool,
    /// Buckets in reading order; in half mode two per cell.
    buckets: Vec<Bucket>,
    /// All chunks together.
    all: Bucket,
    /// Copies that every chunk has.
    base: u16,
}

/// The standing of chunk `i`; chunks beyond the data are missing without sources.
pub fn standing(chunks: &Chunks, i: usize) -> Standing {
    match chunks.state(i) {
        Some(ChunkState::Have) => Standing::Have,
        Some(ChunkState::InFlight) => Standing::Flight,
        Some(ChunkState::Bad) => Standing::Bad,
        Some(ChunkState::Checking) => Standing::Checking,
        Some(ChunkState::Unwanted) => Standing::Unwanted,
        Some(ChunkState::Missing) => Standing::Lack(chunks.copies(i)),
        None => Standing::Lack(0),
    }
}

/// Buckets of a map of so many cells, whose chunks nobody counts one by one.
pub fn buckets(chunks: usize, cells: usize) -> usize {
    match mode(chunks, cells, false) {
        Mode::Brick(_) => chunks,
        _ => cells,
    }
}

/// Which mode `n` chunks on `cells` cells take; `halves` if two colours fit into one cell.
pub fn mode(n: usize, cells: usize, halves: bool) -> Mode {
    if n == 0 || cells == 0 {
        Mode::Empty
    } else if n <= cells {
        Mode::Brick((cells / n).min(MAX_BRICK))
    } else if halves && n <= cells * 2 {
        Mode::Half
    } else {
        Mode::Level
    }
}

/// The bucket that chunk `c` of `n` lies in.
pub fn bucket_of(c: usize, buckets: usize, n: usize) -> usize {
    if n == 0 || buckets == 0 {
        return 0;
    }
    let after = (c.min(n - 1) as u128 + 1) * buckets as u128;
    (after.div_ceil(n as u128) as usize).saturating_sub(1).min(buckets - 1)
}

impl Map {
    /// A map of nothing.
    pub fn empty() -> Self {
        Self::build(&Chunks::new(0), 0, false)
    }

    /// Builds the map in one pass over all chunks.
    pub fn build(chunks: &Chunks, cells: usize, halves: bool) -> Self {
        let n = chunks.len();
        let mode = mode(n, cells, halves);
        let count = match mode {
            Mode::Empty => 0,
            Mode::Brick(_) => n,
            Mode::Half => cells * 2,
            Mode::Level => cells,
        };
        let mut buckets = vec![Bucket::default(); count];
        let mut all = Bucket::default();
        // Only counters go along, no division: where the next bucket begins is known.
        let (mut at, mut end, mut chunk) = (0, first_chunk(1, count, n), 0);
        let mut bucket = Bucket::default();
        for (states, partial) in chunks.pages() {
            for (state, partial) in states.iter().zip(partial) {
                // In half mode some buckets are empty.
                while chunk == end && at + 1 < count {
                    all.absorb(&bucket);
                    if let Some(slot) = buckets.get_mut(at) {
                        *slot = std::mem::take(&mut bucket);
                    }
                    at += 1;
                    end = first_chunk(at + 1, count, n);
                }
                bucket.change(*state, *partial, true);
                chunk += 1;
            }
        }
        all.absorb(&bucket);
        if let Some(slot) = buckets.get_mut(at) {
            *slot = bucket;
        }
        Self { mode, cells, halves, buckets, all, base: chunks.base() }
    }

    /// Goes from one version of the chunks to another of the same content: only what changed is looked
    /// at, and each change moves one chunk within one bucket. Returns how many changed.
    pub fn apply(&mut self, before: &Chunks, now: &Chunks) -> usize {
        let mut changes = 0;
        for page in now.changed_pages(before) {
            let (old_states, old_partial) = before.page(page);
            let (states, partial) = now.page(page);
            let pairs = old_states.iter().zip(old_partial).zip(states.iter().zip(partial));
            for (i, (old, new)) in pairs.enumerate() {
                if old == new {
                    continue;
                }
                changes += 1;
                let at = bucket_of(page * PAGE + i, self.buckets.len(), now.len());
                for bucket in self.buckets.get_mut(at).into_iter().chain([&mut self.all]) {
                    bucket.change(*old.0, *old.1, false);
                    bucket.change(*new.0, *new.1, true);
                }
            }
        }
        self.base = now.base();
        changes
    }

    /// For the legend.
    pub fn counts(&self) -> Counts {
        let all = &self.all;
        let mut counts = Counts {
            total: u64::from(all.total),
            have: u64::from(all.have),
            flight: u64::from(all.flight),
            bad: u64::from(all.bad),
            checking: u64::from(all.checking),
            unwanted: u64::from(all.unwanted),
            ..Counts::default()
        };
        for (partial, n) in (0u16..).zip(all.lack) {
            let field = match Rarity::of(partial.saturating_add(self.base)) {
                Rarity::None => &mut counts.none,
                Rarity::One => &mut counts.one,
                Rarity::Some => &mut counts.some,
                Rarity::Many => &mut counts.many,
            };
            *field += u64::from(n);
        }
        counts
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// One bucket.
    pub fn bucket(&self, at: usize) -> Option<&Bucket> {
        self.buckets.get(at)
    }

    /// The worst standing in a bucket.
    pub fn worst(&self, at: usize) -> Option<Standing> {
        self.buckets.get(at)?.worst(self.base)
    }

    /// Fewest copies among the missing chunks of a bucket; 9 and more are not told apart.
    pub fn lowest(&self, at: usize) -> Option<u16> {
        self.buckets.get(at)?.lowest(self.base)
    }

    /// The next bucket after `from` (or before it) with a chunk that nobody has or that is bad; goes
    /// round, back to `from` itself at last.
    pub fn next_problem(&self, from: usize, forward: bool) -> Option<usize> {
        let n = self.buckets.len();
        let is = |at: &usize| {
            let bucket = self.buckets.get(*at);
            bucket.is_some_and(|b| b.bad > 0 || b.lowest(self.base) == Some(0))
        };
        let step = |i: usize| if forward { (from + i) % n } else { (from + n - i) % n };
        (1..=n).map(step).find(is)
    }

    /// The buckets drawn in cell `cell`.
    pub fn buckets_at(&self, cell: usize) -> Option<std::ops::Range<usize>> {
        let (first, last) = match self.mode {
            Mode::Empty => return None,
            Mode::Brick(k) => (cell / k, cell / k + 1),
            Mode::Half => (cell * 2, cell * 2 + 2),
            Mode::Level => (cell, cell + 1),
        };
        (first < self.buckets.len()).then(|| first..last.min(self.buckets.len()))
    }

    /// Chunks in all.
    pub fn chunks(&self) -> usize {
        self.all.total as usize
    }

    /// The chunks drawn in cell `cell`, if any.
    pub fn chunks_at(&self, cell: usize) -> Option<std::ops::Range<usize>> {
        let n = self.chunks();
        let buckets = self.buckets_at(cell)?;
        let of = self.buckets.len();
        Some(first_chunk(buckets.start, of, n)..first_chunk(buckets.end, of, n))
    }

    /// The bucket of chunk `c`.
    pub fn bucket_of(&self, c: usize) -> usize {
        bucket_of(c, self.buckets.len(), self.chunks())
    }

    /// The first cell that shows chunk `c`.
    pub fn cell_of(&self, c: usize) -> usize {
        let bucket = bucket_of(c, self.buckets.len(), self.chunks());
        match self.mode {
            Mode::Empty => 0,
            Mode::Brick(k) => bucket * k,
            Mode::Half => bucket / 2,
            Mode::Level => bucket,
        }
    }
}

impl Bucket {
    /// Puts one chunk in, or takes it out.
    fn change(&mut self, state: ChunkState, partial: u16, more: bool) {
        let by = |field: &mut u32| {
            *field = if more { *field + 1 } else { field.saturating_sub(1) };
        };
        by(&mut self.total);
        match state {
            ChunkState::Have => by(&mut self.have),
            ChunkState::InFlight => by(&mut self.flight),
            ChunkState::Bad => by(&mut self.bad),
            ChunkState::Checking => by(&mut self.checking),
            ChunkState::Unwanted => by(&mut self.unwanted),
            ChunkState::Missing => {
                if let Some(count) = self.lack.get_mut(usize::from(partial).min(APART - 1)) {
                    by(count);
                }
            }
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.total += other.total;
        self.have += other.have;
        self.flight += other.flight;
        self.bad += other.bad;
        self.checking += other.checking;
        self.unwanted += other.unwanted;
        for (sum, n) in self.lack.iter_mut().zip(other.lack) {
            *sum += n;
        }
    }

    /// Fewest copies among the missing ones; nine stands for nine and more.
    fn lowest(&self, base: u16) -> Option<u16> {
        let partial = (0u16..).zip(self.lack).find(|(_, n)| *n > 0).map(|(copies, _)| copies)?;
        Some(partial.saturating_add(base))
    }

    /// The one standing that stands for all, worst first: a chunk nobody has, a bad one, one in
    /// flight, one being checked, the rarest missing one, else all ours.
    fn worst(&self, base: u16) -> Option<Standing> {
        let lowest = self.lowest(base);
        if lowest == Some(0) {
            Some(Standing::Lack(0))
        } else if self.bad > 0 {
            Some(Standing::Bad)
        } else if self.flight > 0 {
            Some(Standing::Flight)
        } else if self.checking > 0 {
            Some(Standing::Checking)
        } else if let Some(lowest) = lowest {
            Some(Standing::Lack(lowest))
        } else if self.have > 0 {
            Some(Standing::Have)
        } else {
            (self.total > 0).then_some(Standing::Unwanted)
        }
    }

    /// The share we have of what is wanted, in eighths: 0 only for none, 8 only for all.
    pub fn eighths(&self) -> usize {
        let wanted = self.total - self.unwanted.min(self.total);
        if self.have == 0 || wanted == 0 {
            0
        } else if self.have >= wanted {
            8
        } else {
            (u64::from(self.have) * 8 / u64::from(wanted)).clamp(1, 7) as usize
        }
    }
}

impl Counts {
    /// Chunks that are wanted.
    pub fn wanted(&self) -> u64 {
        self.total - self.unwanted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = ChunkState> {
        prop_oneof![
            Just(ChunkState::Missing),
            Just(ChunkState::Unwanted),
            Just(ChunkState::InFlight),
            Just(ChunkState::Have),
            Just(ChunkState::Bad),
            Just(ChunkState::Checking),
        ]
    }

    #[test]
    fn one_lost_chunk_in_a_million_shows() {
        let mut chunks = Chunks::of(&vec![ChunkState::Have; 1_000_000], &[]);
        chunks.set(765_432, ChunkState::Missing, 0);
        let map = Map::build(&chunks, 50, true);
        assert_eq!(map.mode, Mode::Level);
        assert_eq!(map.counts().none, 1);
        let lost = map.cell_of(765_432);
        for at in 0..map.len() {
            let expected = if at == lost { Standing::Lack(0) } else { Standing::Have };
            assert_eq!(map.worst(at), Some(expected));
        }
        assert_eq!(map.bucket(lost).unwrap().eighths(), 7);
        assert_eq!(map.next_problem(3, true), Some(lost));
        assert_eq!(map.next_problem(3, false), Some(lost));
    }

    #[test]
    fn a_source_of_everything_makes_nothing_lost_without_a_look_at_any_chunk() {
        let mut chunks = Chunks::of(&vec![ChunkState::Missing; 1000], &[]);
        let mut map = Map::build(&chunks, 50, true);
        assert_eq!(map.counts().none, 1000);
        let before = chunks.clone();
        chunks.set_base(1);
        assert_eq!(map.apply(&before, &chunks), 0, "no chunk was looked at");
        assert_eq!((map.counts().none, map.counts().one), (0, 1000));
        assert_eq!(map.worst(7), Some(Standing::Lack(1)));
    }

    #[test]
    fn few_chunks_are_bricks() {
        assert_eq!(mode(3, 100, true), Mode::Brick(8));
        assert_eq!(mode(30, 100, true), Mode::Brick(3));
        assert_eq!(mode(100, 100, true), Mode::Brick(1));
        assert_eq!(mode(150, 100, true), Mode::Half);
        assert_eq!(mode(150, 100, false), Mode::Level);
        assert_eq!(mode(0, 100, true), Mode::Empty);
        assert_eq!(mode(10, 0, true), Mode::Empty);
    }

    /// Better first; what one more chunk of ours must never make worse.
    fn rank(standing: Standing) -> u16 {
        match standing {
            Standing::Unwanted | Standing::Have => 0,
            Standing::Flight | Standing::Checking => 1,
            Standing::Bad => 2,
            Standing::Lack(0) => 100,
            Standing::Lack(n) => 20 - n.min(9),
        }
    }

    proptest! {
        #[test]
        fn buckets_cover_every_chunk_once(
            states in prop::collection::vec(state(), 0..600),
            copies in prop::collection::vec(0u16..8, 0..600),
            cells in 0usize..200,
            halves: bool,
            base in 0u16..3,
        ) {
            let mut chunks = Chunks::of(&states, &copies);
            chunks.set_base(base);
            let map = Map::build(&chunks, cells, halves);
            let n = chunks.len();
            prop_assert_eq!(map.chunks(), n);
            let c = map.counts();
            prop_assert_eq!(c.have + c.flight + c.many + c.some + c.one + c.none + c.bad + c.checking + c.unwanted, c.total);
            let lost = (0..n).filter(|i| standing(&chunks, *i) == Standing::Lack(0)).count();
            prop_assert_eq!(c.none, lost as u64);
            if map.mode == Mode::Empty {
                return Ok(());
            }
            let totals: Vec<u32> = map.buckets.iter().map(|b| b.total).collect();
            prop_assert_eq!(totals.iter().sum::<u32>() as usize, n);
            let spread = totals.iter().max().unwrap() - totals.iter().min().unwrap();
            prop_assert!(spread <= 1);
            for chunk in 0..n {
                let bucket = map.bucket_of(chunk);
                prop_assert!(first_chunk(bucket, map.len(), n) <= chunk);
                prop_assert!(chunk < first_chunk(bucket + 1, map.len(), n));
                prop_assert!(map.chunks_at(map.cell_of(chunk)).unwrap().contains(&chunk));
            }
            // Worst first: a chunk without sources is never hidden by its neighbours.
            let shown = (0..map.len()).any(|at| map.worst(at) == Some(Standing::Lack(0)));
            prop_assert_eq!(shown, c.none > 0);
            for bucket in &map.buckets {
                prop_assert_eq!(bucket.eighths() == 0, bucket.have == 0);
                prop_assert_eq!(bucket.eighths() == 8, bucket.have > 0 && bucket.have + bucket.unwanted == bucket.total);
            }
        }

        /// What was changed chunk by chunk is what is built from the end.
        #[test]
        fn step_by_step_is_the_same_as_all_at_once(
            states in prop::collection::vec(state(), 1..900),
            steps in prop::collection::vec((any::<prop::sample::Index>(), state(), 0u16..14, 0u16..3), 0..120),
            cells in 1usize..200,
            halves: bool,
        ) {
            let mut chunks = Chunks::of(&states, &[]);
            let mut map = Map::build(&chunks, cells, halves);
            let mut before = chunks.clone();
            for (i, (at, state, partial, base)) in steps.into_iter().enumerate() {
                chunks.set(at.index(states.len()), state, partial);
                chunks.set_base(base);
                // The screen does not see every version.
                if i % 3 == 0 {
                    map.apply(&before, &chunks);
                    before = chunks.clone();
                }
            }
            map.apply(&before, &chunks);
            prop_assert_eq!(map, Map::build(&chunks, cells, halves));
        }

        /// One more verified chunk never makes a cell look worse, nor emptier.
        #[test]
        fn a_chunk_that_came_never_makes_it_worse(
            states in prop::collection::vec(state(), 1..400),
            copies in prop::collection::vec(0u16..8, 400),
            at in any::<prop::sample::Index>(),
            cells in 1usize..50,
        ) {
            let mut chunks = Chunks::of(&states, &copies);
            let before = Map::build(&chunks, cells, false);
            let at = at.index(states.len());
            prop_assume!(states[at] != ChunkState::Unwanted);
            chunks.set(at, ChunkState::Have, 0);
            let after = Map::build(&chunks, cells, false);
            let bucket = before.bucket_of(at);
            // In flight hides what is merely missing; a chunk that came may uncover that.
            if states[at] == ChunkState::Missing {
                prop_assert!(rank(after.worst(bucket).unwrap()) <= rank(before.worst(bucket).unwrap()));
            }
            prop_assert!(after.bucket(bucket).unwrap().eighths() >= before.bucket(bucket).unwrap().eighths());
        }
    }
}
