//! Many relative paths in one buffer: a folder may have a million of them, and a `String` for each
//! component costs a hostile folder's reader forty bytes for each of its two.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// Between components. No component may contain it ([`check_component`](super::check_component)).
const SEPARATOR: char = '/';

/// Relative paths in order, each as its components joined by `/`. Costs four bytes a path beside its
/// text. Stored as a list of lists of components.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PathList {
    text: String,
    /// Where each path ends in `text`.
    ends: Vec<u32>,
}

/// More text than a list can hold: 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("paths are longer than 4 GiB together")]
pub struct TooMuchText;

impl PathList {
    /// An empty list with room for `paths` paths of `bytes` bytes together.
    pub fn with_capacity(paths: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(paths) }
    }

    /// Appends a path. One of no components and one of an empty name are the same.
    ///
    /// # Errors
    /// [`TooMuchText`]; the list is as before then.
    pub fn push<I>(&mut self, components: I) -> Result<(), TooMuchText>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let begin = self.text.len();
        for (i, component) in components.into_iter().enumerate() {
            if i > 0 {
                self.text.push(SEPARATOR);
            }
            self.text.push_str(component.as_ref());
        }
        match u32::try_from(self.text.len()) {
            Ok(end) => {
                self.ends.push(end);
                Ok(())
            }
            Err(_) => {
                self.text.truncate(begin);
                Err(TooMuchText)
            }
        }
    }

    /// A list of all of these.
    ///
    /// # Errors
    /// [`TooMuchText`].
    pub fn collect<P>(paths: impl IntoIterator<Item = P>) -> Result<Self, TooMuchText>
    where
        P: IntoIterator,
        P::Item: AsRef<str>,
    {
        let mut list = Self::default();
        paths.into_iter().try_for_each(|path| list.push(path))?;
        list.shrink_to_fit();
        Ok(list)
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Path `index`, its components joined by `/`.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let begin = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)? as usize,
        };
        self.text.get(begin..end)
    }

    /// All paths in order, each joined by `/`.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// Bytes of all paths together.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Gives back memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// The components of a joined path; none of an empty one.
pub fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    let none = path.is_empty();
    path.split(SEPARATOR).filter(move |_| !none)
}

impl Serialize for PathList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Components<'a>(&'a str);
        impl Serialize for Components<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut seq = serializer.serialize_seq(Some(components(self.0).count()))?;
                components(self.0).try_for_each(|component| seq.serialize_element(component))?;
                seq.end()
            }
        }
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|path| seq.serialize_element(&Components(path)))?;
        seq.end()
    }
}

impl<'de> Deserialize<'de> for PathList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Paths;
        impl<'de> Visitor<'de> for Paths {
            type Value = PathList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of paths, each a list of components")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PathList, A::Error> {
                let mut list = PathList::default();
                while let Some(path) = seq.next_element::<Vec<String>>()? {
                    list.push(path).map_err(A::Error::custom)?;
                }
                list.shrink_to_fit();
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_went_in() {
        let mut list = PathList::default();
        list.push(["a", "b"]).unwrap();
        list.push(["c"]).unwrap();
        list.push::<[&str; 0]>([]).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["a/b", "c", ""]);
        assert_eq!((list.get(1), list.get(3)), (Some("c"), None));
        assert_eq!(components("a/b").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(components("").count(), 0);
    }

    #[test]
    fn stored_as_the_lists_of_lists_that_older_programs_wrote() {
        let old = vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()], vec![]];
        let list = PathList::collect(&old).unwrap();
        let bytes = rmp_serde::to_vec(&old).unwrap();
        assert_eq!(rmp_serde::to_vec(&list).unwrap(), bytes);
        assert_eq!(rmp_serde::from_slice::<PathList>(&bytes).unwrap(), list);
    }
}
