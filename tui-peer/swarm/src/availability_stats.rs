//! What is kept of a content's chunks for those who look at it, at O(1) a change: how rare the missing
//! ones are, who has a chunk that only one partial source has, and which chunks changed.

use super::event::ConnId;

/// Changed chunks listed before it is cheaper to look at all of them.
const MAX_TOUCHED: usize = 32_768;

/// Chunks that may stand otherwise than when they were looked at last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Which; some may be named twice. Meaningless if `all`.
    pub chunks: Vec<u32>,
    /// Too many to list, or nobody kept a list.
    pub all: bool,
}

/// See the module. Takes no memory while nothing is missing, no partial source has anything and nobody looks.
#[derive(Debug, Default)]
pub(super) struct AvailabilityStats {
    counts: Option<Box<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Missing wanted chunks by their number of partial sources.
    lacking: Vec<u32>,
    /// Per chunk, its partial sources' connections, all XORed: with one source that is the source. Made
    /// when the first partial source comes.
    who: Vec<u32>,
    /// Kept only while somebody looks.
    touched: Option<Touched>,
}

impl AvailabilityStats {
    fn counts(&mut self) -> &mut Counts {
        self.counts.get_or_insert_default()
    }

    /// A partial source got (or lost) a chunk.
    pub(super) fn holder(&mut self, chunk: u32, at: ConnId, chunks: u32) {
        self.counts().holder(chunk, at, chunks);
    }

    /// The connection whose chunk this is, if exactly one partial source has it.
    pub(super) fn sole(&self, chunk: u32) -> u32 {
        let who = self.counts.as_ref().and_then(|counts| counts.who.get(chunk as usize));
        who.copied().unwrap_or(0)
    }

    /// A missing chunk has another number of partial sources.
    pub(super) fn moved(&mut self, from: u16, to: u16) {
        self.left(from);
        self.came(to);
    }

    /// A chunk is missing now.
    pub(super) fn came(&mut self, copies: u16) {
        self.counts().came(copies);
    }

    /// A chunk is not missing any more.
    pub(super) fn left(&mut self, copies: u16) {
        let lacking = self.counts.as_mut().map(|counts| &mut counts.lacking);
        if let Some(count) = lacking.and_then(|lacking| lacking.get_mut(usize::from(copies))) {
            *count = count.saturating_sub(1);
        }
    }

    /// Forgets how rare what is missing is; it is counted anew.
    pub(super) fn recount(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.lacking.clear();
            counts.touch_all();
        }
    }

    /// Missing chunks without any source, and copies of the rarest missing one plus the share of
    /// missing ones that have more; `None` if nothing is missing. `seeds` have every chunk.
    pub(super) fn scarcity(&self, seeds: u16) -> (u32, Option<f32>) {
        self.counts.as_ref().map_or((0, None), |counts| counts.scarcity(seeds))
    }

    /// A chunk may stand otherwise now.
    pub(super) fn touch(&mut self, chunk: u32) {
        if let Some(counts) = &mut self.counts {
            counts.touch(chunk);
        }
    }

    /// What changed since this was called last; from now on a list is kept.
    pub(super) fn take_touched(&mut self) -> Touched {
        let all = Touched { chunks: Vec::new(), all: true };
        self.counts().touched.replace(Touched::default()).unwrap_or(all)
    }

    /// Whether somebody looks.
    pub(super) fn is_watched(&self) -> bool {
        self.counts.as_ref().is_some_and(|counts| counts.touched.is_some())
    }

    /// Somebody looks from now on: all of it may stand otherwise.
    pub(super) fn watch(&mut self) {
        self.counts().touched = Some(Touched { chunks: Vec::new(), all: true });
    }

    /// Nobody looks any more.
    pub(super) fn unwatch(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.touched = None;
        }
    }
}

impl Counts {
    fn holder(&mut self, chunk: u32, at: ConnId, chunks: u32) {
        if self.who.is_empty() {
            self.who = vec![0; chunks as usize];
        }
        if let Some(who) = self.who.get_mut(chunk as usize) {
            *who ^= key(at);
        }
    }

    fn came(&mut self, copies: u16) {
        let at = usize::from(copies);
        if self.lacking.len() <= at {
            self.lacking.resize(at + 1, 0);
        }
        if let Some(count) = self.lacking.get_mut(at) {
            *count += 1;
        }
    }

    fn scarcity(&self, seeds: u16) -> (u32, Option<f32>) {
        let total: u32 = self.lacking.iter().sum();
        let first = self.lacking.iter().position(|count| *count > 0);
        let Some((least, at_least)) = first.and_then(|at| Some((at, *self.lacking.get(at)?)))
        else {
            return (0, None);
        };
        let none = if seeds == 0 && least == 0 { at_least } else { 0 };
        let more = f64::from(total - at_least) / f64::from(total.max(1));
        (none, Some((least as f64 + f64::from(seeds) + more) as f32))
    }

    fn touch(&mut self, chunk: u32) {
        if let Some(touched) = &mut self.touched
            && !touched.all
        {
            touched.chunks.push(chunk);
            if touched.chunks.len() > MAX_TOUCHED {
                self.touch_all();
            }
        }
    }

    fn touch_all(&mut self) {
        if let Some(touched) = &mut self.touched {
            *touched = Touched { chunks: Vec::new(), all: true };
        }
    }
}

/// A connection as it stands in [`Counts::who`]; never zero for the first four thousand million.
pub(super) fn key(at: ConnId) -> u32 {
    (at.0 as u32).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Counting change by change gives what counting all chunks gives.
        #[test]
        fn counts_what_is_there(ops in prop::collection::vec((0u32..20, 0u64..4), 0..200), seeds in 0u16..3) {
            let mut stats = AvailabilityStats::default();
            let mut has = [[false; 4]; 20];
            for _ in 0..20 {
                stats.came(0);
            }
            for (chunk, at) in ops {
                let row = &mut has[chunk as usize];
                let before = row.iter().filter(|h| **h).count() as u16;
                row[at as usize] = !row[at as usize];
                let after = row.iter().filter(|h| **h).count() as u16;
                stats.holder(chunk, ConnId(at), 20);
                stats.moved(before, after);
            }
            let copies: Vec<u16> = has.iter().map(|row| row.iter().filter(|h| **h).count() as u16).collect();
            let least = *copies.iter().min().unwrap();
            let more = copies.iter().filter(|n| **n > least).count() as f32 / 20.0;
            let (none, shown) = stats.scarcity(seeds);
            prop_assert!((shown.unwrap() - (f32::from(least + seeds) + more)).abs() < 1e-4);
            let lost = copies.iter().filter(|n| **n + seeds == 0).count() as u32;
            prop_assert_eq!(none, lost);
            for (chunk, row) in (0u32..).zip(&has) {
                if copies[chunk as usize] == 1 {
                    let at = row.iter().position(|h| *h).unwrap() as u64;
                    prop_assert_eq!(stats.sole(chunk), key(ConnId(at)));
                }
            }
        }
    }

    #[test]
    fn changes_are_listed_while_somebody_looks_and_the_list_is_bounded() {
        let mut stats = AvailabilityStats::default();
        stats.touch(1);
        assert!(stats.take_touched().all, "nobody looked before");
        stats.touch(7);
        assert_eq!(stats.take_touched(), Touched { chunks: vec![7], all: false });
        for chunk in 0..40_000 {
            stats.touch(chunk);
        }
        assert!(stats.take_touched().all);
        stats.unwatch();
        stats.touch(1);
        assert!(!stats.is_watched());
    }
}
