//! Which shares lie at a path: found without a look at all of them, of which there may be many thousands.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use common::id::ContentId;

use super::Session;
use super::content::{Content, Role, Share};

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
    fn at(&self, path: &Path) -> impl Iterator<Item = &ContentId> {
        let hash = self.hash(path);
        let (first, last) = (ContentId::from_bytes([0; 32]), ContentId::from_bytes([0xff; 32]));
        self.ids.range((hash, first)..=(hash, last)).map(|(_, id)| id)
    }

    fn hash(&self, path: &Path) -> u64 {
        self.keys.hash_one(path.as_os_str())
    }
}

impl Session {
    /// Shares that lie at a path, in order or not.
    pub(super) fn shares_at<'a>(
        &'a self,
        path: &'a Path,
    ) -> impl Iterator<Item = (ContentId, &'a Share)> {
        self.share_paths.at(path).filter_map(move |id| {
            let Content { role: Role::Share(share), .. } = self.contents.get(id)? else {
                return None;
            };
            // Byte by byte: all are real paths.
            let same = |other: &PathBuf| other.as_os_str() == path.as_os_str();
            share.paths.iter().any(same).then_some((*id, share))
        })
    }

    /// Adds a path to a share, unless it has that already.
    pub(super) fn add_path(&mut self, id: ContentId, path: &Path) {
        let noted = self.share_paths.has(path, &id);
        let Some(Content { role: Role::Share(share), .. }) = self.contents.get_mut(&id) else {
            return;
        };
        // Of thousands of copies nobody wants to compare each with each.
        if !noted || !share.paths.iter().any(|other| other == path) {
            share.paths.push(path.to_path_buf());
        }
        self.share_paths.note(path, id);
    }

    /// Notes where a content lies that has just become a share.
    pub(super) fn note_paths(&mut self, id: &ContentId) {
        if let Some(Content { role: Role::Share(share), .. }) = self.contents.get(id) {
            share.paths.iter().for_each(|path| self.share_paths.note(path, *id));
        }
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
