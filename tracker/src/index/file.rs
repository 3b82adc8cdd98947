//! A row of the catalogue and the names it goes by.

use std::sync::Arc;

use common::content::Descriptor;
use common::fold::fold;
use common::id::ContentId;
use common::limits::MAX_ALIASES;
use common::net::AddrGroup;
use common::wire::tracker::{Counts, FileMeta, FileRow};

use super::swarm::{Resting, Swarm};
use crate::record::FileRecord;

/// One content.
#[derive(Debug)]
pub(super) struct File {
    pub(super) id: ContentId,
    pub(super) descriptor: Descriptor,
    /// Bytes of all files together. For a folder a claim of whoever came first.
    pub(super) total: u64,
    /// Number of chunks; likewise.
    pub(super) chunks: u32,
    /// Seconds since 1970.
    pub(super) first_seen: u64,
    /// The one shown.
    first: Name,
    /// All others, at most [`MAX_ALIASES`] that somebody holds.
    others: Box<[Name]>,
    /// Whether the name shown first is another than that under which the row stands in the order by name.
    pub(super) misplaced: bool,
    /// Peers with an entry for it, connected or not. At 0 the row goes.
    pub(super) refs: u32,
    /// The address group that brought it, if that is known: it counts there.
    pub(super) origin: Option<AddrGroup>,
    /// Whether nobody of another group has ever had it.
    pub(super) lone: bool,
    pub(super) swarm: Swarm,
    /// Those who are lost for a moment.
    pub(super) resting: Resting,
    /// Version of the change log in which the row last stood; 0 is none yet.
    pub(super) row_version: u64,
    /// Version in which more than the numbers of its sources last changed; 0 is none yet.
    pub(super) text_version: u64,
}

/// One of its names.
#[derive(Debug)]
pub(super) struct Name {
    /// The shares under this name have the same text.
    text: Arc<str>,
    /// As it is compared, if that is another text.
    folded: Option<Box<str>>,
    /// Peers that share the content under this name.
    holders: u32,
}

impl File {
    /// A row nobody refers to yet, under a name nobody holds yet.
    pub(super) fn new(id: ContentId, record: FileRecord) -> Self {
        let origin = record.brought_by();
        let FileRecord { descriptor, name, total, chunks, first_seen, only, .. } = record;
        Self {
            id,
            descriptor,
            total,
            chunks,
            first_seen,
            first: Name::new(&name, 0),
            others: Box::default(),
            misplaced: true,
            refs: 0,
            origin,
            lone: only.is_some(),
            swarm: Swarm::default(),
            resting: Resting::default(),
            row_version: 0,
            text_version: 0,
        }
    }

    pub(super) fn record(&self) -> FileRecord {
        FileRecord {
            descriptor: self.descriptor,
            name: self.name().to_owned(),
            total: self.total,
            chunks: self.chunks,
            first_seen: self.first_seen,
            only: self.origin.filter(|_| self.lone),
            origin: self.origin.filter(|_| !self.lone),
        }
    }

    pub(super) fn meta(&self) -> FileMeta {
        FileMeta {
            descriptor: self.descriptor,
            name: self.name().to_owned(),
            total: self.total,
            chunks: self.chunks,
        }
    }

    pub(super) fn row(&self) -> FileRow {
        FileRow {
            meta: self.meta(),
            aliases: self.others.iter().map(|name| name.text.to_string()).collect(),
            sources: self.sources(),
            complete: self.complete(),
            first_seen: self.first_seen,
        }
    }

    /// The numbers of its row.
    pub(super) fn counts(&self) -> Counts {
        Counts::new(&self.id, self.sources(), self.complete())
    }

    /// Complete sources, with those who are lost for a moment.
    fn complete(&self) -> u32 {
        self.swarm.seeds().saturating_add(self.resting.seeds)
    }

    /// Sources, with those who are lost for a moment.
    pub(super) fn sources(&self) -> u32 {
        let Resting { seeds, partials } = self.resting;
        [self.swarm.seeds(), self.swarm.partials(), seeds, partials].iter().sum()
    }

    /// The name shown first.
    pub(super) fn name(&self) -> &str {
        &self.first.text
    }

    /// The name shown first, as it is compared.
    pub(super) fn folded(&self) -> &str {
        self.first.folded()
    }

    /// All names as they are compared.
    pub(super) fn all_folded(&self) -> impl Iterator<Item = &str> {
        self.all().map(Name::folded)
    }

    /// How many names it goes by.
    pub(super) fn names(&self) -> usize {
        1 + self.others.len()
    }

    /// Upper estimate of the row's encoded length, in bytes.
    pub(super) fn encoded_len(&self) -> usize {
        // Map keys, root, numbers: 110 bytes at most; each name up to 3 bytes of header.
        self.all().map(|name| name.text.len() + 3).sum::<usize>() + 128
    }

    /// Counts one more holder of a name, and returns its text. `None` when the row has as many names as it may: the
    /// holder then counts for none.
    pub(super) fn hold_name(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(name) = self.all_mut().find(|name| *name.text == *text) {
            name.holders += 1;
            return Some(Arc::clone(&name.text));
        }
        if self.all().filter(|name| name.holders > 0).count() > MAX_ALIASES {
            return None;
        }
        let name = Name::new(text, 1);
        let text = Arc::clone(&name.text);
        let mut others = std::mem::take(&mut self.others).into_vec();
        others.push(name);
        self.others = others.into();
        Some(text)
    }

    /// Counts one holder less.
    pub(super) fn release_name(&mut self, text: &str) {
        if let Some(name) = self.all_mut().find(|name| *name.text == *text) {
            name.holders = name.holders.saturating_sub(1);
        }
    }

    /// Drops names nobody holds, but the last one. Returns those that went.
    pub(super) fn prune_names(&mut self) -> Vec<Name> {
        if self.all().all(|name| name.holders > 0) {
            return Vec::new();
        }
        let others = std::mem::take(&mut self.others).into_vec();
        let (held, mut gone): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|name| name.holders > 0);
        let mut held = held.into_iter();
        if self.first.holders == 0
            && let Some(next) = held.next()
        {
            self.misplaced = true;
            gone.push(std::mem::replace(&mut self.first, next));
        }
        self.others = held.collect();
        gone
    }

    fn all(&self) -> impl Iterator<Item = &Name> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Name> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }
}

impl Name {
    fn new(text: &str, holders: u32) -> Self {
        let folded = Some(fold(text)).filter(|folded| folded != text).map(String::into_boxed_str);
        Self { text: text.into(), folded, holders }
    }

    /// As it is compared.
    pub(super) fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
    }
}
