//! A row of the catalogue and the names it goes by.

use std::sync::Arc;

use common::content::Descriptor;
use common::id::ContentId;
use common::limits::MAX_ALIASES;
use common::net::AddrGroup;
use common::wire::tracker::{FileMeta, FileRow};

use super::query::fold;
use super::swarm::Swarm;
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
    /// The first is the one shown; never empty.
    names: Vec<Name>,
    /// Under which folded name the row stands in the order by name.
    pub(super) ordered_as: Option<Arc<str>>,
    /// Peers with an entry for it, connected or not. At 0 the row goes.
    pub(super) refs: u32,
    /// The address group that brought it, if that is known: it counts there.
    pub(super) origin: Option<AddrGroup>,
    /// Whether nobody of another group has ever had it.
    pub(super) lone: bool,
    pub(super) swarm: Swarm,
    /// Version of the change log in which the row last stood; 0 is none yet.
    pub(super) row_version: u64,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    folded: Box<str>,
    /// Peers that share the content under this name.
    holders: u32,
}

impl File {
    /// A row nobody refers to yet, under a name nobody holds yet.
    pub(super) fn new(id: ContentId, record: FileRecord) -> Self {
        let origin = record.brought_by();
        let FileRecord { descriptor, name, total, chunks, first_seen, only, .. } = record;
        let mut file = Self {
            id,
            descriptor,
            total,
            chunks,
            first_seen,
            names: Vec::with_capacity(1),
            ordered_as: None,
            refs: 0,
            origin,
            lone: only.is_some(),
            swarm: Swarm::default(),
            row_version: 0,
        };
        file.add_name(&name, 0);
        file
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
        let seeds = self.swarm.seeds();
        FileRow {
            meta: self.meta(),
            aliases: self.names.iter().skip(1).map(|name| name.text.to_string()).collect(),
            sources: seeds.saturating_add(self.swarm.partials()),
            complete: seeds,
            first_seen: self.first_seen,
        }
    }

    /// The name shown first.
    pub(super) fn name(&self) -> &str {
        self.names.first().map_or("", |name| &name.text)
    }

    /// The name shown first, as it is compared.
    pub(super) fn folded(&self) -> &str {
        self.names.first().map_or("", |name| &name.folded)
    }

    /// All names as they are compared.
    pub(super) fn all_folded(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &*name.folded)
    }

    /// How many names it goes by.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Upper estimate of the row's encoded length, in bytes.
    pub(super) fn encoded_len(&self) -> usize {
        // Map keys, root, numbers: 110 bytes at most; each name up to 3 bytes of header.
        self.names.iter().map(|name| name.text.len() + 3).sum::<usize>() + 128
    }

    /// Counts one more holder of a name. False when the row has as many names as it may: the holder
    /// then counts for none.
    pub(super) fn hold_name(&mut self, text: &str) -> bool {
        if let Some(name) = self.names.iter_mut().find(|name| *name.text == *text) {
            name.holders += 1;
            true
        } else if self.names.iter().filter(|name| name.holders > 0).count() <= MAX_ALIASES {
            self.add_name(text, 1);
            true
        } else {
            false
        }
    }

    /// Counts one holder less.
    pub(super) fn release_name(&mut self, text: &str) {
        if let Some(name) = self.names.iter_mut().find(|name| *name.text == *text) {
            name.holders = name.holders.saturating_sub(1);
        }
    }

    /// Drops names nobody holds, but the last one. Returns whether any went.
    pub(super) fn prune_names(&mut self) -> bool {
        let before = self.names.len();
        if self.names.iter().any(|name| name.holders > 0) {
            self.names.retain(|name| name.holders > 0);
        } else {
            self.names.truncate(1);
        }
        self.names.len() != before
    }

    fn add_name(&mut self, text: &str, holders: u32) {
        self.names.push(Name { text: text.into(), folded: fold(text).into(), holders });
    }
}
