//! Maps that others can fill, and that stay small.

use std::collections::BTreeMap;

/// Something about each of at most `MOST` keys. Where one more does not fit, the one with the least value is
/// forgotten: of moments that is the one that is over first.
#[derive(Debug)]
pub(super) struct Remembered<K, V, const MOST: usize>(BTreeMap<K, V>);

impl<K, V, const MOST: usize> Default for Remembered<K, V, MOST> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Copy + Ord, V: Copy + Ord, const MOST: usize> Remembered<K, V, MOST> {
    pub(super) fn remember(&mut self, key: K, value: V) {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            let least = self.0.iter().min_by_key(|(_, value)| **value).map(|(key, _)| *key);
            least.and_then(|key| self.0.remove(&key));
        }
        self.0.insert(key, value);
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.0.get(key).copied()
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }

    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_the_least_is_forgotten_and_never_all() {
        let mut map = Remembered::<u32, u32, 100>::default();
        for key in 0..100 {
            map.remember(key, 1000 - key);
        }
        // What is known already takes no place of another.
        map.remember(0, 5);
        assert_eq!((map.len(), map.get(&99)), (100, Some(901)));
        map.remember(100, 2000);
        assert_eq!((map.len(), map.get(&0), map.get(&99)), (100, None, Some(901)));
        map.remember(101, 2000);
        assert_eq!((map.get(&99), map.get(&1), map.get(&100)), (None, Some(999), Some(2000)));
        map.forget(&1);
        assert_eq!((map.len(), map.get(&1)), (99, None));
        map.forget_all();
        assert_eq!(map.len(), 0);
    }
}
