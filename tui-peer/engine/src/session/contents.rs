//! All contents of ours, by id. What is to be fetched is kept apart from what is only shared: of shares there may be
//! many thousands, and whoever looks after downloads at every turn must not go through those.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::id::ContentId;

use super::content::{Content, Role, Share};
use super::download::Download;
use super::refuse;
use super::share_paths::SharePaths;
use crate::api::command::{CommandError, CommandErrorKind};

/// See the module. Boxed: of many thousands every other place in the nodes of the trees is empty.
#[derive(Default)]
pub(super) struct Contents {
    downloads: BTreeMap<ContentId, Box<Content>>,
    shares: BTreeMap<ContentId, Box<Content>>,
    /// In the order in which they were added.
    order: Vec<ContentId>,
    paths: SharePaths,
}

impl Contents {
    pub(super) fn get(&self, id: &ContentId) -> Option<&Content> {
        self.downloads.get(id).or_else(|| self.shares.get(id)).map(|content| &**content)
    }

    /// Its role is changed by [`Self::change_role`] only.
    pub(super) fn get_mut(&mut self, id: &ContentId) -> Option<&mut Content> {
        let found = self.downloads.get_mut(id);
        found.or_else(|| self.shares.get_mut(id)).map(|content| &mut **content)
    }

    pub(super) fn contains_key(&self, id: &ContentId) -> bool {
        self.get(id).is_some()
    }

    /// Gives back the one that was there before, whose place in the order it takes.
    pub(super) fn insert(&mut self, content: Content) -> Option<Content> {
        let id = content.id;
        let before = self.take(&id);
        if before.is_none() {
            self.order.push(id);
        }
        self.put(content);
        before
    }

    fn put(&mut self, content: Content) {
        let (id, content) = (content.id, Box::new(content));
        match &content.role {
            Role::Download(_) => self.downloads.insert(id, content),
            Role::Share(share) => {
                share.paths.iter().for_each(|path| self.paths.note(path, id));
                self.shares.insert(id, content)
            }
        };
    }

    /// A share becomes a download, or a download a share; what there was before, if it is here.
    pub(super) fn change_role(&mut self, id: &ContentId, role: Role) -> Option<Role> {
        let mut content = self.take(id)?;
        let before = std::mem::replace(&mut content.role, role);
        self.put(content);
        Some(before)
    }

    pub(super) fn remove(&mut self, id: &ContentId) -> Option<Content> {
        let content = self.take(id)?;
        self.order.retain(|other| other != id);
        if let Role::Share(share) = &content.role {
            share.paths.iter().for_each(|path| self.paths.forget(path, id));
        }
        Some(content)
    }

    fn take(&mut self, id: &ContentId) -> Option<Content> {
        let found = self.downloads.remove(id).or_else(|| self.shares.remove(id));
        found.map(|content| *content)
    }

    /// All ids, in the order in which they were added.
    pub(super) fn order(&self) -> &[ContentId] {
        &self.order
    }

    /// All, in that order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Content> {
        self.order.iter().filter_map(|id| self.get(id))
    }

    /// A content, if it is on its way.
    pub(super) fn download_mut(&mut self, id: &ContentId) -> Option<&mut Download> {
        self.downloads.get_mut(id).and_then(|content| content.as_download())
    }

    /// The same for the user.
    ///
    /// # Errors
    /// If it is not here, or not on its way.
    pub(super) fn download_of(&mut self, id: &ContentId) -> Result<&mut Download, CommandError> {
        if self.shares.contains_key(id) {
            let text = "it is complete and shared, not a download";
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        let none = || refuse(CommandErrorKind::NotFound, "no such download");
        self.download_mut(id).ok_or_else(none)
    }

    /// A content, if it is complete, or was.
    pub(super) fn share_mut(&mut self, id: &ContentId) -> Option<&mut Share> {
        match self.shares.get_mut(id).map(|content| &mut content.role) {
            Some(Role::Share(share)) => Some(share),
            _ => None,
        }
    }

    /// Shares that lie at a path, in order or not.
    pub(super) fn shares_at<'a>(
        &'a self,
        path: &'a Path,
    ) -> impl Iterator<Item = (ContentId, &'a Share)> {
        self.paths.at(path).filter_map(move |id| {
            let Content { role: Role::Share(share), .. } = self.get(id)? else { return None };
            // Byte by byte: all are real paths.
            let same = |other: &PathBuf| other.as_os_str() == path.as_os_str();
            share.paths.iter().any(same).then_some((*id, share))
        })
    }

    /// Whether a content was noted as a share at a path.
    pub(super) fn has_path(&self, path: &Path, id: &ContentId) -> bool {
        self.paths.has(path, id)
    }

    /// Adds a path to a share, unless it has that already.
    pub(super) fn add_path(&mut self, id: ContentId, path: &Path) {
        let noted = self.paths.has(path, &id);
        let Some(share) = self.share_mut(&id) else { return };
        // Of thousands of copies nobody wants to compare each with each.
        if !noted || !share.paths.iter().any(|other| other == path) {
            share.paths.push(path.to_path_buf());
        }
        self.paths.note(path, id);
    }

    /// A share lies no longer at a path.
    pub(super) fn forget_path(&mut self, path: &Path, id: &ContentId) {
        self.paths.forget(path, id);
    }

    /// Those that are on their way.
    pub(super) fn downloads(&self) -> impl Iterator<Item = &Content> {
        self.downloads.values().map(|content| &**content)
    }

    /// The same.
    pub(super) fn downloads_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        self.downloads.values_mut().map(|content| &mut **content)
    }

    /// Those that are complete, or were.
    pub(super) fn shares(&self) -> impl Iterator<Item = &Content> {
        self.shares.values().map(|content| &**content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::command::Selection;
    use crate::library::{DownloadOptions, DownloadRecord};

    fn download(n: u8) -> Content {
        Content::download(DownloadRecord {
            id: ContentId::from_bytes([n; 32]),
            name: "f".to_owned(),
            dir: "/d".into(),
            descriptor: None,
            selection: Selection::All,
            paused: false,
            added_ms: 0,
            finished: None,
            options: DownloadOptions::default(),
        })
    }

    fn share() -> Role {
        Role::Share(Share {
            paths: vec!["/d/f".into()],
            state: super::super::content::ShareState::Serving,
            downloaded: true,
            finished_ms: 0,
            part: None,
        })
    }

    #[test]
    fn h3_a_share_that_is_fetched_again_is_among_the_downloads() {
        let mut contents = Contents::default();
        let id = ContentId::from_bytes([1; 32]);
        assert!(contents.insert(download(1)).is_none() && contents.insert(download(2)).is_none());
        assert_eq!(contents.downloads().count(), 2);
        let was = contents.change_role(&id, share());
        assert!(matches!(was, Some(Role::Download(_))));
        assert_eq!((contents.downloads().count(), contents.shares().count()), (1, 1));
        assert!(contents.contains_key(&id));
        let other = ContentId::from_bytes([2; 32]);
        assert_eq!(contents.order(), [id, other], "its place stays");
        let at =
            |contents: &Contents| contents.shares_at(Path::new("/d/f")).map(|(id, _)| id).next();
        assert_eq!(at(&contents), Some(id));
        // More of its files are wanted.
        let was = contents.change_role(&id, download(1).role);
        assert!(matches!(was, Some(Role::Share(_))));
        assert_eq!((contents.downloads().count(), contents.shares().count()), (2, 0));
        assert_eq!(contents.downloads_mut().filter_map(Content::as_download).count(), 2);
        assert_eq!(at(&contents), None, "it is no share");
        contents.change_role(&id, share());
        contents.add_path(id, Path::new("/e/f"));
        assert!(contents.has_path(Path::new("/e/f"), &id));
        assert!(contents.remove(&id).is_some() && contents.get(&id).is_none());
        assert_eq!((at(&contents), contents.order()), (None, &[other][..]));
        assert!(!contents.has_path(Path::new("/e/f"), &id));
        assert!(contents.change_role(&id, share()).is_none());
    }
}
