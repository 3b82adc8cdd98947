//! How every chunk of a content stands and how many copies of it there are, in a form that many may
//! hold at once: pages that are copied when they change. To hand out the chunks of a million-chunk
//! content costs one reference count; a change copies one page if somebody else still holds it, and
//! who compares two versions looks only at pages that are not the same memory.

use std::sync::Arc;

/// Chunks in a page: small enough that one change copies little (768 bytes), large enough that a
/// million chunks are few pages (3,907).
pub const PAGE: usize = 256;

/// How a chunk stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChunkState {
    /// Not here.
    Missing,
    /// Not here and not wanted (file not chosen).
    Unwanted,
    /// Requested or being written.
    InFlight,
    /// On our disk, verified.
    Have,
    /// Failed verification in the last ten seconds.
    Bad,
    /// What is on disk is being checked.
    Checking,
}

/// First chunk of bucket `i` of `buckets` for `n` chunks: sizes differ by at most one. The scale of every
/// picture of chunks.
pub fn first_chunk(i: usize, buckets: usize, n: usize) -> usize {
    (i as u128 * n as u128 / buckets.max(1) as u128) as usize
}

/// Some chunks in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    states: [ChunkState; PAGE],
    partial: [u16; PAGE],
}

/// All chunks of a content. A clone is cheap and does not change any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    len: usize,
    base: u16,
    pages: Arc<Vec<Arc<Page>>>,
}

impl Chunks {
    /// `len` missing chunks without copies.
    pub fn new(len: usize) -> Self {
        let page = Arc::new(Page { states: [ChunkState::Missing; PAGE], partial: [0; PAGE] });
        Self { len, base: 0, pages: Arc::new(vec![page; len.div_ceil(PAGE)]) }
    }

    /// From the states and copies of each chunk; copies that are not said are none.
    pub fn of(states: &[ChunkState], copies: &[u16]) -> Self {
        let mut chunks = Self::new(0);
        chunks.replace(states, copies);
        chunks
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How one stands; `None` past the end.
    pub fn state(&self, chunk: usize) -> Option<ChunkState> {
        if chunk >= self.len {
            return None;
        }
        self.pages.get(chunk / PAGE)?.states.get(chunk % PAGE).copied()
    }

    /// Copies of one among the sources known, ourselves not counted; saturating.
    pub fn copies(&self, chunk: usize) -> u16 {
        self.partial(chunk).saturating_add(self.base)
    }

    /// Copies of one among those sources that do not have everything.
    pub fn partial(&self, chunk: usize) -> u16 {
        let page = self.pages.get(chunk / PAGE);
        page.and_then(|page| page.partial.get(chunk % PAGE)).copied().unwrap_or(0)
    }

    /// Copies that every chunk has: sources that have everything.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// Changes the number of sources that have everything.
    pub fn set_base(&mut self, base: u16) {
        self.base = base;
    }

    /// Changes one; returns how it stood before if that is another. O(1).
    pub fn set(
        &mut self,
        chunk: usize,
        state: ChunkState,
        partial: u16,
    ) -> Option<(ChunkState, u16)> {
        let before = (self.state(chunk)?, self.partial(chunk));
        if before == (state, partial) {
            return None;
        }
        let page = Arc::make_mut(Arc::make_mut(&mut self.pages).get_mut(chunk / PAGE)?);
        let at = chunk % PAGE;
        if let (Some(to), Some(copies)) = (page.states.get_mut(at), page.partial.get_mut(at)) {
            (*to, *copies) = (state, partial);
        }
        Some(before)
    }

    /// Changes all at once; pages in which nothing changed stay the same memory. `states` says how many
    /// there are from now on.
    pub fn replace(&mut self, states: &[ChunkState], partial: &[u16]) {
        let mut partial = partial.chunks(PAGE);
        let pages = states.chunks(PAGE).enumerate().map(|(at, states)| {
            let mut page = Page { states: [ChunkState::Missing; PAGE], partial: [0; PAGE] };
            for (to, state) in page.states.iter_mut().zip(states) {
                *to = *state;
            }
            for (to, copies) in page.partial.iter_mut().zip(partial.next().unwrap_or_default()) {
                *to = *copies;
            }
            match self.pages.get(at) {
                Some(old) if **old == page => old.clone(),
                _ => Arc::new(page),
            }
        });
        (self.pages, self.len) = (Arc::new(pages.collect()), states.len());
    }

    /// The states and copies (without [`Self::base`]) of all chunks, page by page.
    pub fn pages(&self) -> impl Iterator<Item = (&[ChunkState], &[u16])> {
        (0..self.pages.len()).map(|at| self.page(at))
    }

    /// Of one page; empty past the end.
    pub fn page(&self, at: usize) -> (&[ChunkState], &[u16]) {
        let end = self.len.saturating_sub(at.saturating_mul(PAGE)).min(PAGE);
        let page = self.pages.get(at).filter(|_| end > 0);
        page.map_or((&[], &[]), |page| {
            (
                page.states.get(..end).unwrap_or_default(),
                page.partial.get(..end).unwrap_or_default(),
            )
        })
    }

    /// Pages that are not the same memory as in another version of the same content: only there can
    /// anything have changed. Both must have the same length.
    pub fn changed_pages<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let same = Arc::ptr_eq(&self.pages, &before.pages);
        let pairs = self.pages.iter().zip(before.pages.iter()).enumerate();
        pairs.filter(move |(_, (a, b))| !same && !Arc::ptr_eq(a, b)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_copies_one_page_and_leaves_older_versions_alone() {
        let mut now = Chunks::new(100_000);
        let before = now.clone();
        assert_eq!(now.changed_pages(&before).count(), 0);
        assert_eq!(now.set(70_000, ChunkState::Have, 3), Some((ChunkState::Missing, 0)));
        assert_eq!(now.set(70_000, ChunkState::Have, 3), None);
        assert_eq!(now.changed_pages(&before).collect::<Vec<_>>(), [70_000 / PAGE]);
        assert_eq!(before.state(70_000), Some(ChunkState::Missing));
        now.set_base(2);
        assert_eq!((now.copies(70_000), now.partial(70_000), now.copies(5)), (5, 3, 2));
        assert_eq!((now.state(100_000), now.set(100_000, ChunkState::Have, 0)), (None, None));
        let older = now.clone();
        let (states, partial): (Vec<_>, Vec<_>) =
            now.pages().map(|(s, p)| (s.to_vec(), p.to_vec())).unzip();
        let (mut states, partial) = (states.concat(), partial.concat());
        states[0] = ChunkState::Bad;
        now.replace(&states, &partial);
        assert_eq!(now.changed_pages(&older).collect::<Vec<_>>(), [0], "the others are shared");
        let (states, _) = now.page(100_000 / PAGE);
        assert_eq!(states.len(), 100_000 % PAGE);
        assert_eq!(now.pages().map(|(s, _)| s.len()).sum::<usize>(), 100_000);
    }
}
