//! The chunk map: how many chunks stand behind every cell, and how bad the worst of them is. Never
//! samples: one missing chunk in a million shows. Pure.

use crate::engine::snapshot::ChunkState;

/// Most cells one chunk is drawn with.
const MAX_BRICK: usize = 8;
/// Copies from which a chunk counts as plentiful.
const PLENTY: u16 = 5;

/// How one chunk stands, worst last in neither direction: see [`Counts`] for the legend.
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
    /// Not chosen.
    pub unwanted: u64,
}

/// The chunks behind one cell (or half of one).
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
    /// Not chosen.
    pub unwanted: u32,
    /// Fewest sources among those that are missing and not in flight.
    pub lowest: Option<u16>,
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
    /// Buckets in reading order; in half mode two per cell.
    pub buckets: Vec<Bucket>,
    /// For the legend.
    pub counts: Counts,
}

/// The standing of chunk `i`; chunks beyond the data are missing without sources.
pub fn standing(chunks: &[ChunkState], availability: &[u16], i: usize) -> Standing {
    match chunks.get(i) {
        Some(ChunkState::Have) => Standing::Have,
        Some(ChunkState::InFlight) => Standing::Flight,
        Some(ChunkState::Bad) => Standing::Bad,
        Some(ChunkState::Unwanted) => Standing::Unwanted,
        Some(ChunkState::Missing) | None => {
            Standing::Lack(availability.get(i).copied().unwrap_or(0))
        }
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

/// First chunk of bucket `i` of `buckets` for `n` chunks: sizes differ by at most one.
pub fn first_chunk(i: usize, buckets: usize, n: usize) -> usize {
    (i as u128 * n as u128 / buckets.max(1) as u128) as usize
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
    /// Builds the map in one pass.
    pub fn build(chunks: &[ChunkState], availability: &[u16], cells: usize, halves: bool) -> Self {
        let n = chunks.len();
        let mode = mode(n, cells, halves);
        let buckets = match mode {
            Mode::Empty => 0,
            Mode::Brick(_) => n,
            Mode::Half => cells * 2,
            Mode::Level => cells,
        };
        let mut map =
            Self { mode, buckets: vec![Bucket::default(); buckets], counts: Counts::default() };
        let mut next = 0;
        for (i, bucket) in map.buckets.iter_mut().enumerate() {
            let end = first_chunk(i + 1, buckets, n);
            while next < end {
                let standing = standing(chunks, availability, next);
                bucket.add(standing);
                map.counts.add(standing);
                next += 1;
            }
        }
        // Without a cell the legend still counts.
        for i in next..n {
            map.counts.add(standing(chunks, availability, i));
        }
        map
    }

    /// Chunks in all.
    pub fn chunks(&self) -> usize {
        usize::try_from(self.counts.total).unwrap_or(usize::MAX)
    }

    /// The chunks drawn in cell `cell`, if any.
    pub fn chunks_at(&self, cell: usize) -> Option<std::ops::Range<usize>> {
        let n = self.chunks();
        let buckets = self.buckets.len();
        let (first, last) = match self.mode {
            Mode::Empty => return None,
            Mode::Brick(k) => (cell / k, cell / k + 1),
            Mode::Half => (cell * 2, cell * 2 + 2),
            Mode::Level => (cell, cell + 1),
        };
        (first < buckets)
            .then(|| first_chunk(first, buckets, n)..first_chunk(last.min(buckets), buckets, n))
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
    fn add(&mut self, standing: Standing) {
        self.total += 1;
        match standing {
            Standing::Have => self.have += 1,
            Standing::Flight => self.flight += 1,
            Standing::Bad => self.bad += 1,
            Standing::Unwanted => self.unwanted += 1,
            Standing::Lack(copies) => {
                self.lowest = Some(self.lowest.map_or(copies, |lowest| lowest.min(copies)));
            }
        }
    }

    /// The one standing that stands for all, worst first: a chunk nobody has, a bad one, one in
    /// flight, all ours, else the rarest missing one.
    pub fn worst(&self) -> Option<Standing> {
        if self.lowest == Some(0) {
            Some(Standing::Lack(0))
        } else if self.bad > 0 {
            Some(Standing::Bad)
        } else if self.flight > 0 {
            Some(Standing::Flight)
        } else if let Some(lowest) = self.lowest {
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
    fn add(&mut self, standing: Standing) {
        self.total += 1;
        let field = match standing {
            Standing::Have => &mut self.have,
            Standing::Flight => &mut self.flight,
            Standing::Bad => &mut self.bad,
            Standing::Unwanted => &mut self.unwanted,
            Standing::Lack(copies) => match Rarity::of(copies) {
                Rarity::None => &mut self.none,
                Rarity::One => &mut self.one,
                Rarity::Some => &mut self.some,
                Rarity::Many => &mut self.many,
            },
        };
        *field += 1;
    }

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
        ]
    }

    #[test]
    fn one_lost_chunk_in_a_million_shows() {
        let mut chunks = vec![ChunkState::Have; 1_000_000];
        chunks[765_432] = ChunkState::Missing;
        let map = Map::build(&chunks, &vec![0; 1_000_000], 50, true);
        assert_eq!(map.mode, Mode::Level);
        assert_eq!(map.counts.none, 1);
        let bad = map.cell_of(765_432);
        for (i, bucket) in map.buckets.iter().enumerate() {
            let expected = if i == bad { Standing::Lack(0) } else { Standing::Have };
            assert_eq!(bucket.worst(), Some(expected));
        }
        assert_eq!(map.buckets[bad].eighths(), 7);
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

    proptest! {
        #[test]
        fn buckets_cover_every_chunk_once(
            chunks in prop::collection::vec(state(), 0..600),
            copies in prop::collection::vec(0u16..8, 0..600),
            cells in 0usize..200,
            halves: bool,
        ) {
            let map = Map::build(&chunks, &copies, cells, halves);
            let n = chunks.len();
            prop_assert_eq!(map.chunks(), n);
            if map.mode == Mode::Empty {
                return Ok(());
            }
            let totals: Vec<u32> = map.buckets.iter().map(|b| b.total).collect();
            prop_assert_eq!(totals.iter().sum::<u32>() as usize, n);
            let spread = totals.iter().max().unwrap() - totals.iter().min().unwrap();
            prop_assert!(spread <= 1);
            let c = map.counts;
            prop_assert_eq!(c.have + c.flight + c.many + c.some + c.one + c.none + c.bad + c.unwanted, c.total);
            for chunk in 0..n {
                let bucket = bucket_of(chunk, map.buckets.len(), n);
                prop_assert!(first_chunk(bucket, map.buckets.len(), n) <= chunk);
                prop_assert!(chunk < first_chunk(bucket + 1, map.buckets.len(), n));
                prop_assert!(map.chunks_at(map.cell_of(chunk)).unwrap().contains(&chunk));
            }
            // Worst first: a chunk without sources is never hidden by its neighbours.
            let lost = map.buckets.iter().filter(|b| b.worst() == Some(Standing::Lack(0))).count();
            prop_assert_eq!(lost > 0, c.none > 0);
            for bucket in &map.buckets {
                prop_assert_eq!(bucket.eighths() == 0, bucket.have == 0);
                prop_assert_eq!(bucket.eighths() == 8, bucket.have > 0 && bucket.have + bucket.unwanted == bucket.total);
            }
        }
    }
}
