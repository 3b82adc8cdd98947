//! What the engine knows about one content of ours: a share, a download, or one that became the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::id::ContentId;
use common::layout::Layout;
use common::manifest::Manifest;
use common::names::safe_component;
use common::wire::tracker::FileMeta;

use super::download::{Download, Phase};
use crate::api::snapshot::Transfer;
use crate::disk::ChunkSource;
use crate::library::DownloadRecord;
use crate::limiter::Limiter;

/// One content of ours.
pub(super) struct Content {
    pub(super) id: ContentId,
    /// As its owner gave it; goes to the tracker, never to a screen.
    pub(super) name: String,
    /// Safe to show.
    pub(super) shown: Arc<str>,
    pub(super) kind: Kind,
    pub(super) descriptor: Option<Descriptor>,
    pub(super) layout: Option<Arc<Layout>>,
    pub(super) manifest: Option<Arc<Manifest>>,
    /// Where chunks are read from.
    pub(super) source: Option<Arc<dyn ChunkSource>>,
    pub(super) role: Role,
    /// Peers of the network that have all of it, ourselves not counted, as the tracker says.
    pub(super) other_complete: u32,
    /// Other peers that have some of it, as the tracker says.
    pub(super) other_partial: u32,
    /// Whether the tracker has acknowledged it.
    pub(super) registered: bool,
    /// Limit for uploads of it, if there ever was one.
    pub(super) limit: Option<Arc<Limiter>>,
    /// As it stood in the last snapshot, which goes on using it while it stays so.
    pub(super) row: Option<Arc<Transfer>>,
}

/// Why we have it.
pub(super) enum Role {
    /// Complete (or what was wanted of it is), and served.
    Share(Share),
    /// On its way.
    Download(Box<Download>),
}

/// A complete content.
pub(super) struct Share {
    /// Everywhere it lies on our disk; served from the first.
    pub(super) paths: Vec<PathBuf>,
    pub(super) state: ShareState,
    /// Whether it was fetched by us.
    pub(super) downloaded: bool,
    /// When its files were looked at; for a download: when it was finished. Milliseconds since 1970.
    pub(super) finished_ms: u64,
    /// Chunks that are there, if only some files of a folder were wanted.
    pub(super) part: Option<ChunkSet>,
}

impl Share {
    /// Whether nothing of it was on our disk when it was looked at last.
    pub(super) fn is_missed(&self) -> bool {
        matches!(self.state, ShareState::Gone { there: false, .. })
    }

    /// Whether it lies in a folder, as that is written.
    pub(super) fn lies_in(&self, dir: &Path) -> bool {
        self.paths.iter().any(|path| path.parent() == Some(dir))
    }
}

/// What a share is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShareState {
    /// Being served.
    Serving,
    /// Being hashed again on request.
    Verifying,
    /// It could not be read, and is just being looked at; not served.
    Doubted,
    /// Bytes of it are wrong although nobody changed it, as far as the disk says; not served. That stays so
    /// until it is right again when it is verified, or shared again as it is.
    Damaged {
        /// In words.
        why: String,
    },
    /// Its file changed, or vanished; not served.
    Gone {
        /// In words.
        why: String,
        /// Whether something else lies there now.
        there: bool,
    },
}

impl ShareState {
    /// Whether it holds what it should, as far as is known.
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Serving | Self::Verifying)
    }
}

impl Content {
    pub(super) fn rename(&mut self, name: String) {
        self.shown = common::names::show(&name).into();
        self.name = name;
    }

    /// A download of which only the record is known.
    pub(super) fn download(record: DownloadRecord) -> Self {
        let name = record.name.clone();
        let descriptor = record.descriptor;
        Self {
            id: record.id,
            shown: common::names::show(&name).into(),
            name,
            kind: descriptor.map_or(Kind::File, |d| d.kind),
            descriptor,
            layout: None,
            manifest: None,
            source: None,
            role: Role::Download(Box::new(Download::new(record))),
            other_complete: 0,
            other_partial: 0,
            registered: false,
            limit: None,
            row: None,
        }
    }

    /// What the tracker is told about it, once that is known.
    pub(super) fn meta(&self) -> Option<FileMeta> {
        let layout = self.layout.as_ref()?;
        Some(FileMeta {
            descriptor: self.descriptor?,
            name: self.name.clone(),
            total: layout.total(),
            chunks: layout.chunks(),
        })
    }

    /// Whether it is shared, so that we know what it is whatever others say.
    pub(super) fn is_known_share(&self) -> bool {
        matches!(self.role, Role::Share(_)) && self.layout.is_some() && self.descriptor.is_some()
    }

    /// What the tracker says about all who have it, ourselves included as far as it knows of us: whether we offer all
    /// that is here.
    pub(super) fn note_others(&mut self, complete: u32, partial: u32, offers_all: bool) {
        let (whole, part) = match &self.role {
            Role::Share(share) => {
                let whole = share.part.is_none() && offers_all;
                (whole && self.registered, !whole)
            }
            Role::Download(download) => (false, !download.found.is_empty()),
        };
        self.other_complete = complete.saturating_sub(u32::from(whole));
        self.other_partial = partial.saturating_sub(u32::from(part));
    }

    pub(super) fn as_download(&mut self) -> Option<&mut Download> {
        match &mut self.role {
            Role::Download(download) => Some(download),
            Role::Share(_) => None,
        }
    }

    pub(super) fn phase(&self) -> Option<&Phase> {
        match &self.role {
            Role::Download(download) => Some(&download.phase),
            Role::Share(_) => None,
        }
    }
}

/// Bytes in the chunks of `set`.
pub(super) fn bytes_of(layout: &Layout, set: &ChunkSet) -> u64 {
    if set.is_complete() && set.chunks() == layout.chunks() {
        return layout.total();
    }
    set.iter().filter_map(|n| layout.chunk(n)).map(|c| u64::from(layout.len_of(c))).sum()
}

/// What a download is called on disk.
pub(super) fn disk_name(name: &str, id: &ContentId) -> String {
    safe_component(name).unwrap_or_else(|_| id.short())
}
