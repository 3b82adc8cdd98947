//! All contents of ours, by id. What is to be fetched is kept apart from what is only shared: of shares there may be
//! many thousands, and whoever looks after downloads at every turn must not go through those.

use std::collections::BTreeMap;

use common::id::ContentId;

use super::content::{Content, Role};

/// See the module. Boxed: of many thousands every other place in the nodes of the trees is empty.
#[derive(Default)]
pub(super) struct Contents {
    downloads: BTreeMap<ContentId, Box<Content>>,
    shares: BTreeMap<ContentId, Box<Content>>,
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

    /// The one that was there before.
    pub(super) fn insert(&mut self, content: Content) -> Option<Content> {
        let (id, content) = (content.id, Box::new(content));
        let before = self.remove(&id);
        match content.role {
            Role::Download(_) => self.downloads.insert(id, content),
            Role::Share(_) => self.shares.insert(id, content),
        };
        before
    }

    /// A share becomes a download, or a download a share; what there was before, if it is here.
    pub(super) fn change_role(&mut self, id: &ContentId, role: Role) -> Option<Role> {
        let mut content = self.remove(id)?;
        let before = std::mem::replace(&mut content.role, role);
        self.insert(content);
        Some(before)
    }

    pub(super) fn remove(&mut self, id: &ContentId) -> Option<Content> {
        let found = self.downloads.remove(id).or_else(|| self.shares.remove(id));
        found.map(|content| *content)
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
    use crate::engine::command::Selection;
    use crate::engine::library::{DownloadRecord, Wish};

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
            wish: Wish::default(),
        })
    }

    fn share() -> Role {
        Role::Share(super::super::content::Share {
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
        // More of its files are wanted.
        let was = contents.change_role(&id, download(1).role);
        assert!(matches!(was, Some(Role::Share(_))));
        assert_eq!((contents.downloads().count(), contents.shares().count()), (2, 0));
        assert_eq!(contents.downloads_mut().filter_map(Content::as_download).count(), 2);
        assert!(contents.remove(&id).is_some() && contents.get(&id).is_none());
        assert!(contents.change_role(&id, share()).is_none());
    }
}
