//! Reading and writing content: own threads, positional reads and writes, no memory maps.
//!
//! In reading order:
//!
//! - [`buffers`]: the memory through which all payload passes, under one budget.
//! - [`file_tree`]: where a content's files are, and how they are opened without following a link.
//! - [`share_files`]: complete files, served only while they are what was hashed.
//! - [`part_file`]: a download in progress, from creation to the rename at its end.
//! - `lane`: the threads of a volume, which verify, write, read and sync.
//! - [`workers`]: all of them, as the rest of the engine sees them.
//!
//! Everything here but the boundary of [`workers`] and [`buffers`] is plain blocking code.

pub(crate) mod buffers;
mod claim;
mod copy;
mod donors;
mod elsewhere;
mod erase;
mod error;
mod event;
pub(crate) mod file_tree;
mod holders;
mod lane;
mod open_files;
mod orphans;
pub(crate) mod part_file;
mod queue;
mod relocate;
mod room;
pub(crate) mod share_files;
mod spec;
mod syscalls;
mod turns;
mod verify;
pub(crate) mod workers;

pub(crate) use buffers::{Buf, BufPool, Held, Holder, Part};
pub(crate) use copy::{Copied, CopyError, CopyPlan, may_be};
pub(crate) use elsewhere::Elsewhere;
pub(crate) use erase::{Erased, erase};
pub(crate) use error::{DiskError, ReadError};
pub(crate) use event::DiskEvent;
pub(crate) use file_tree::{ChunkSource, FileTree};
pub(crate) use orphans::{Leftover, Search, delete_leftover};
pub(crate) use part_file::discard::discard;
pub(crate) use part_file::finish::FinishPlan;
pub(crate) use part_file::partial::{Opened, Partial};
pub(crate) use part_file::reopen::reclaim;
pub(crate) use relocate::{Relocated, holds_part, relocate};
pub(crate) use room::{kept_free, lack};
pub(crate) use share_files::SharedFiles;
pub(crate) use spec::PartialSpec;
pub(crate) use syscalls::{Space, space};
pub(crate) use verify::VerifyJob;
pub(crate) use workers::{Disk, Spent};

#[cfg(test)]
pub(super) mod tests;
