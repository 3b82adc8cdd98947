//! An entry: what a peer has to do with one content.

use std::sync::Arc;

use common::chunk_set::ChunkSet;

use super::swarm::{Part, Place};

/// What a peer has to do with one content.
#[derive(Debug)]
pub(super) struct Entry {
    /// Set while it is registered (and so remembered).
    pub(super) share: Option<Share>,
    pub(super) have: Have,
    /// Where it stands in the swarm, while it does.
    pub(super) place: Option<Place>,
    /// As what it counts in its row, though it is in no swarm: its peer is lost for a moment.
    pub(super) rests: Option<Part>,
    /// Grows with every change that a watcher should see.
    pub(super) stamp: u64,
    /// The stamp of the last change that is told at once, whatever the size of the swarm: it came, or is to be found
    /// elsewhere.
    pub(super) said: u64,
    /// Up to where it has caught up with what happens to all entries of its peer (see `rules.rs`).
    pub(super) era: u64,
}

/// A registration.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) name: Arc<str>,
    /// Whether the row counts this peer as a holder of the name.
    pub(super) held: bool,
    pub(super) generation: u32,
    /// What its name takes, at most 255 bytes a few times.
    pub(super) bytes: u16,
}

/// Chunks a peer has of a content, as far as it said in this session.
#[derive(Debug)]
pub(super) enum Have {
    /// It has not said.
    Nothing,
    /// Some; never none and never all.
    Some(Box<ChunkSet>),
    All,
}

impl Entry {
    pub(super) fn new(era: u64) -> Self {
        Self { share: None, have: Have::Nothing, place: None, rests: None, stamp: 0, said: 0, era }
    }
}

impl Have {
    /// The part of the swarm it belongs in.
    pub(super) fn part(&self) -> Option<Part> {
        match self {
            Self::Nothing => None,
            Self::Some(_) => Some(Part::Partials),
            Self::All => Some(Part::Seeds),
        }
    }

    /// Whether it makes sense for a content of `chunks` chunks.
    pub(super) fn is_about(&self, chunks: u32) -> bool {
        match self {
            Self::Some(set) => set.chunks() == chunks,
            Self::Nothing | Self::All => true,
        }
    }

    /// Whether it is the same as another that is none or all.
    pub(super) fn is(&self, other: &Self) -> bool {
        matches!((self, other), (Self::All, Self::All) | (Self::Nothing, Self::Nothing))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Some(set) => set.heap_bytes(),
            Self::Nothing | Self::All => 0,
        }
    }
}

impl From<ChunkSet> for Have {
    fn from(set: ChunkSet) -> Self {
        if set.is_complete() {
            Self::All
        } else if set.is_empty() {
            Self::Nothing
        } else {
            Self::Some(Box::new(set))
        }
    }
}
