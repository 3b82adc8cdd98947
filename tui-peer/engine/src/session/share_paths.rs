//! Which shares lie at a path: found without a look at all of them, of which there may be many thousands.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use common::id::ContentId;

/// Contents by hashes of the paths from which they are (or were) shared: the paths themselves stand in the contents,
/// and what has become of one since is seen from that.
#[derive(Debug, Default)]
pub(super) struct SharePaths {
    /// Nobody outside can make many paths of one hash.
    keys: RandomState,
    ids: BTreeSet<(u64, ContentId)>,
}

impl SharePaths {
    pub(super) fn note(&mut self, path: &Path, id: ContentId) {
        self.ids.insert((self.hash(path), id));
    }

    pub(super) fn forget(&mut self, path: &Path, id: &ContentId) {
        self.ids.remove(&(self.hash(path), *id));
    }

    pub(super) fn has(&self, path: &Path, id: &ContentId) -> bool {
        self.ids.contains(&(self.hash(path), *id))
    }

    /// Those that may lie there: paths of one hash are told apart by who asks.
    pub(super) fn at(&self, path: &Path) -> impl Iterator<Item = &ContentId> {
        let hash = self.hash(path);
        let (first, last) = (ContentId::from_bytes([0; 32]), ContentId::from_bytes([0xff; 32]));
        self.ids.range((hash, first)..=(hash, last)).map(|(_, id)| id)
    }

    fn hash(&self, path: &Path) -> u64 {
        self.keys.hash_one(path.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h3_a_path_names_what_lies_there_until_that_is_forgotten() {
        let (a, b) = (ContentId::from_bytes([1; 32]), ContentId::from_bytes([2; 32]));
        let mut paths = SharePaths::default();
        let path = Path::new("/d/x");
        paths.note(path, a);
        paths.note(path, a);
        paths.note(path, b);
        assert!(paths.at(path).eq(&[a, b]));
        assert!(paths.has(path, &a) && !paths.has(Path::new("/d/y"), &a));
        paths.forget(path, &a);
        paths.forget(path, &a);
        assert!(paths.at(path).eq(&[b]));
        paths.forget(path, &b);
        assert!(paths.ids.is_empty());
    }
}
