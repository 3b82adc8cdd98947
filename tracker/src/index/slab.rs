//! Values behind dense `u32` handles, so that a membership costs bytes and not ids.

use common::numbers::saturate;

/// A vector whose free places are used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Stores a value. The callers' limits keep the number of values far below `u32::MAX`.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(handle) = self.free.pop()
            && let Some(place) = self.places.get_mut(handle as usize)
        {
            *place = Some(value);
            return handle;
        }
        let handle = saturate::<u32>(self.places.len());
        self.places.push(Some(value));
        handle
    }

    pub(super) fn get(&self, handle: u32) -> Option<&T> {
        self.places.get(handle as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        self.places.get_mut(handle as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, handle: u32) -> Option<T> {
        let value = self.places.get_mut(handle as usize)?.take()?;
        self.free.push(handle);
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0u32..).zip(&self.places).filter_map(|(handle, place)| Some((handle, place.as_ref()?)))
    }
}

impl<T> Slab<T> {
    /// At most `most` places from `start` on, free ones included; nothing when there are no more.
    pub(super) fn places(
        &self,
        start: usize,
        most: usize,
    ) -> impl ExactSizeIterator<Item = Option<(u32, &T)>> {
        let end = start.saturating_add(most).min(self.places.len());
        let places = self.places.get(start..end).unwrap_or_default();
        places.iter().enumerate().map(move |(at, place)| {
            let handle = saturate::<u32>(start + at);
            Some((handle, place.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_never_twice() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.remove(a), slab.get(a)), (None, None));
        assert_eq!(slab.insert('c'), a);
        let all: Vec<_> = slab.iter().map(|(handle, value)| (handle, *value)).collect();
        assert_eq!(all, [(a, 'c'), (b, 'b')]);
    }
}
