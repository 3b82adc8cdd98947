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

    /// Its role is changed only while it is taken out.
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
