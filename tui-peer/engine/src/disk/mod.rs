//! Reading and writing content: own threads, positional reads and writes, no memory maps.
//!
//! In reading order:
//!
//! - [`pool`]: the memory through which all payload passes, under one budget.
//! - [`tree`]: where a content's files are, and how they are opened without following a link.
//! - [`shared`]: complete files, served only while they are what was hashed.
//! - [`journal`]: which chunks of a download are on disk, in a file that survives any crash.
//! - [`partial`]: a download in progress, from creation to the rename at its end; `write`: its chunks.
//! - `lane`: the threads of a volume, which verify, write, read and sync.
//! - [`workers`]: all of them, as the rest of the engine sees them.
//!
//! Everything here but the boundary of [`workers`] and [`pool`] is plain blocking code.

mod cache;
mod claim;
mod copy;
mod discard;
mod donors;
mod elsewhere;
mod erase;
mod error;
mod event;
mod finish;
mod holders;
pub(crate) mod journal;
mod lane;
mod names;
mod open;
mod orphans;
mod part_files;
pub(crate) mod partial;
pub(crate) mod pool;
mod queue;
mod reclaim;
mod relocate;
mod room;
pub(crate) mod shared;
mod slots;
mod spec;
mod sync;
mod sys;
pub(crate) mod tree;
mod turns;
mod verify;
mod way;
pub(crate) mod workers;
mod write;

pub(crate) use copy::{Copied, CopyError, CopyPlan, may_be};
pub(crate) use discard::discard;
pub(crate) use elsewhere::Elsewhere;
pub(crate) use erase::{Erased, erase};
pub(crate) use error::{DiskError, ReadError};
pub(crate) use event::DiskEvent;
pub(crate) use finish::FinishPlan;
pub(crate) use orphans::{Leftover, Search, bury};
pub(crate) use partial::{Opened, Partial};
pub(crate) use pool::{Buf, BufPool, Held, Holder, Part};
pub(crate) use reclaim::reclaim;
pub(crate) use relocate::{Relocated, holds_part, relocate};
pub(crate) use room::{kept_free, lack};
pub(crate) use shared::SharedFiles;
pub(crate) use spec::PartialSpec;
pub(crate) use sys::{Space, space};
pub(crate) use tree::{ChunkSource, FileTree};
pub(crate) use verify::VerifyJob;
pub(crate) use workers::{Disk, Spent};

#[cfg(test)]
pub(super) mod tests;
