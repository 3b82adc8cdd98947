//! A table that is shown again and again, and of which little changes from one time to the next.

use std::fmt;
use std::iter::Map;
use std::slice::Iter;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Rows in their order. A row that stays as it is belongs to several snapshots at once: of tens of thousands of
/// shares each would take many megabytes. Cheap to clone.
pub struct Rows<T>(Arc<[Arc<T>]>);

/// What goes through [`Rows`].
pub type RowsIter<'a, T> = Map<Iter<'a, Arc<T>>, fn(&'a Arc<T>) -> &'a T>;

impl<T> Rows<T> {
    /// All of them.
    pub fn iter(&self) -> RowsIter<'_, T> {
        self.0.iter().map(|row| &**row)
    }

    /// One of them, if there are so many.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at).map(|row| &**row)
    }

    /// The first, if there is any.
    pub fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are one table: nothing is compared.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Copies of all, to change some.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.iter().cloned().collect()
    }

    /// A table of rows that others have too.
    pub(crate) fn shared(rows: Vec<Arc<T>>) -> Self {
        Self(rows.into())
    }

    /// The same table if its rows are exactly these, else a new one of them.
    pub(crate) fn renewed(&self, rows: Vec<Arc<T>>) -> Self {
        let same =
            rows.len() == self.len() && rows.iter().zip(&*self.0).all(|(a, b)| Arc::ptr_eq(a, b));
        if same { self.clone() } else { Self::shared(rows) }
    }
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl<T: fmt::Debug> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: PartialEq> PartialEq for Rows<T> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<T>, &Arc<T>)| Arc::ptr_eq(a, b) || a == b;
        self.is_same(other) || self.len() == other.len() && self.0.iter().zip(&*other.0).all(same)
    }
}

impl<'a, T> IntoIterator for &'a Rows<T> {
    type Item = &'a T;
    type IntoIter = RowsIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> FromIterator<T> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        Self(rows.into_iter().map(Arc::new).collect())
    }
}

impl<T> From<Vec<T>> for Rows<T> {
    fn from(rows: Vec<T>) -> Self {
        rows.into_iter().collect()
    }
}

impl<T, const N: usize> From<[T; N]> for Rows<T> {
    fn from(rows: [T; N]) -> Self {
        rows.into_iter().collect()
    }
}

impl<T: Serialize> Serialize for Rows<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h3_rows_that_stay_are_shared_and_a_table_of_the_same_rows_is_the_same() {
        let first: Rows<u32> = [1, 2].into();
        let kept = first.0.to_vec();
        let same = first.renewed(kept.clone());
        assert!(same.is_same(&first));
        let other = first.renewed(vec![kept[0].clone(), Arc::new(2)]);
        assert!(!other.is_same(&first) && other == first, "equal, and another table");
        assert!(Arc::ptr_eq(&other.0[0], &first.0[0]));
        assert!(!first.renewed(kept[..1].to_vec()).is_same(&first));
        assert_ne!(Rows::from([1, 3]), first);
        assert_eq!(first.get(1), Some(&2));
        assert_eq!(first.get(2), None);
        let written = rmp_serde::to_vec(&first).unwrap();
        assert_eq!(written, rmp_serde::to_vec(&[1u32, 2]).unwrap(), "written as a list, as ever");
        assert_eq!(rmp_serde::from_slice::<Rows<u32>>(&written).unwrap(), first);
    }
}
