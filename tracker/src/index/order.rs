//! Rows in the order by name, so that the place of each is a number that can be compared with that of any other, and a
//! page after any row is found without a walk.
//!
//! Blocks of at most [`MOST`] rows; a row knows its block and its place in it. To put one in or take one out moves the
//! rest of its block; to split a block numbers all blocks anew, some thousands for a million rows.

use common::numbers::saturate;

/// Rows in a block: to move half of them takes less than to find the place.
const MOST: usize = 512;
/// No block.
const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Order {
    /// Numbers of the blocks, in order.
    sequence: Vec<u32>,
    /// Rows in order, by number of the block.
    blocks: Vec<Vec<u32>>,
    /// Where in the sequence a block is, by its number.
    ranks: Vec<u32>,
    /// Numbers of empty blocks.
    free: Vec<u32>,
    /// By row.
    places: Vec<Place>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    block: u32,
    at: u32,
}

/// Between two rows, or at an end: the place of the block in the sequence, and that in the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Between(usize, usize);

impl Order {
    /// Rows in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A number for the place of a row: that of a later row is greater.
    pub(super) fn number(&self, row: u32) -> Option<u64> {
        let place = self.places.get(row as usize)?;
        let rank = self.ranks.get(place.block as usize)?;
        Some(number(*rank, place.at))
    }

    /// The same for whichever row is behind a point; that of the end is greater than all.
    pub(super) fn number_behind(&self, point: Between) -> u64 {
        number(saturate::<u32>(point.0), saturate::<u32>(point.1))
    }

    /// Between the rows that come before something and those that do not.
    pub(super) fn find(&self, is_before: impl Fn(u32) -> bool) -> Between {
        let ends_before = |block: &u32| self.rows(*block).last().is_some_and(|row| is_before(*row));
        let rank = self.sequence.partition_point(ends_before);
        let block = self.sequence.get(rank).map_or(&[][..], |block| self.rows(*block));
        Between(rank, block.partition_point(|row| is_before(*row)))
    }

    /// The rows behind a point, in order.
    pub(super) fn behind(&self, point: Between) -> impl Iterator<Item = u32> {
        let Between(rank, at) = point;
        let blocks = self.sequence.get(rank..).unwrap_or_default();
        blocks.iter().flat_map(|block| self.rows(*block)).skip(at).copied()
    }

    /// Puts a row that is not in it where those come before it for which `is_before` says so.
    pub(super) fn insert(&mut self, row: u32, is_before: impl Fn(u32) -> bool) {
        let Between(mut rank, mut at) = self.find(is_before);
        if rank == self.sequence.len() {
            // Behind all: in the last block, or in a new one, so that those who come in order fill their blocks.
            let last = self.sequence.last().map_or(&[][..], |block| self.rows(*block));
            if last.is_empty() || last.len() >= MOST {
                self.add_block(rank, Vec::new());
                at = 0;
            } else {
                (rank, at) = (rank - 1, last.len());
            }
        }
        let Some(block) = self.sequence.get(rank).copied() else { return };
        let Some(rows) = self.blocks.get_mut(block as usize) else { return };
        rows.insert(at, row);
        self.len += 1;
        if rows.len() > MOST {
            let upper = rows.split_off(MOST / 2);
            self.add_block(rank + 1, upper);
        }
        self.renumber(block, at.min(MOST / 2));
    }

    /// Takes a row out, if it is in.
    pub(super) fn remove(&mut self, row: u32) {
        let Some(place) = self.places.get_mut(row as usize) else { return };
        let Place { block, at } = std::mem::replace(place, Place { block: NOWHERE, at: 0 });
        let Some(rows) = self.blocks.get_mut(block as usize) else { return };
        rows.remove(at as usize);
        self.len -= 1;
        if rows.is_empty() {
            *rows = Vec::new();
            self.free.push(block);
            self.sequence.retain(|other| *other != block);
            self.rank_all();
        } else {
            self.renumber(block, at as usize);
        }
    }

    fn rows(&self, block: u32) -> &[u32] {
        self.blocks.get(block as usize).map_or(&[], Vec::as_slice)
    }

    fn add_block(&mut self, rank: usize, rows: Vec<u32>) {
        let block = self.free.pop().unwrap_or_else(|| {
            self.blocks.push(Vec::new());
            self.ranks.push(NOWHERE);
            saturate::<u32>(self.blocks.len() - 1)
        });
        if let Some(place) = self.blocks.get_mut(block as usize) {
            *place = rows;
        }
        self.sequence.insert(rank, block);
        self.rank_all();
        self.renumber(block, 0);
    }

    fn rank_all(&mut self) {
        for (rank, block) in (0..).zip(&self.sequence) {
            if let Some(place) = self.ranks.get_mut(*block as usize) {
                *place = rank;
            }
        }
    }

    /// The rows of a block from one on have moved.
    fn renumber(&mut self, block: u32, from: usize) {
        let rows = self.blocks.get(block as usize).and_then(|rows| rows.get(from..));
        for (at, row) in (saturate::<u32>(from)..).zip(rows.unwrap_or_default()) {
            let row = *row as usize;
            if row >= self.places.len() {
                self.places.resize(row + 1, Place { block: NOWHERE, at: 0 });
            }
            if let Some(place) = self.places.get_mut(row) {
                *place = Place { block, at };
            }
        }
    }
}

fn number(rank: u32, at: u32) -> u64 {
    u64::from(rank) << 32 | u64::from(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Row `n` has the key `keys[n]`.
    fn check(order: &Order, keys: &[Option<u32>]) {
        let mut want: Vec<u32> = (0..).zip(keys).filter_map(|(n, key)| key.map(|_| n)).collect();
        want.sort_by_key(|row| (keys[*row as usize], *row));
        assert_eq!(order.behind(Between(0, 0)).collect::<Vec<_>>(), want);
        assert_eq!(order.len(), want.len());
        assert!(want.is_sorted_by_key(|row| order.number(*row).unwrap()));
        for at in [0, want.len() / 2, want.len()] {
            let before = &want[..at];
            let point = order.find(|row| before.contains(&row));
            assert_eq!(order.behind(point).collect::<Vec<_>>(), want[at..]);
            let number = order.number_behind(point);
            assert!(before.iter().all(|row| order.number(*row).unwrap() < number));
            assert!(want[at..].iter().all(|row| order.number(*row).unwrap() >= number));
        }
        let gone = (0..).zip(keys).filter(|(_, key)| key.is_none());
        gone.for_each(|(row, _)| assert_eq!(order.number(row), None));
    }

    fn put(order: &mut Order, keys: &[Option<u32>], row: u32) {
        order.insert(row, |other| (keys[other as usize], other) < (keys[row as usize], row));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_are_where_they_belong_whatever_came_and_went(
            start in 0u32..3000,
            step in prop_oneof![Just(1u32), Just(0), Just(7919), Just(u32::MAX)],
            ops in proptest::collection::vec((any::<bool>(), 0usize..3000, 0u32..5000), 0..300),
        ) {
            let mut order = Order::default();
            let mut keys: Vec<Option<u32>> = vec![None; 3000];
            for row in 0..start {
                // Ascending, all the same, scattered, descending.
                keys[row as usize] = Some(row.wrapping_mul(step) % 5000);
                put(&mut order, &keys, row);
            }
            check(&order, &keys);
            for (add, row, key) in ops {
                order.remove(row as u32);
                keys[row] = None;
                if add {
                    keys[row] = Some(key);
                    put(&mut order, &keys, row as u32);
                }
            }
            check(&order, &keys);
            (0..3000).for_each(|row| order.remove(row));
            check(&order, &vec![None; 3000]);
        }
    }
}
