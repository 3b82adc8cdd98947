//! Reading and writing content: own threads, positional reads and writes, no memory maps.
//!
//! In reading order:
//!
//! - [`pool`]: the memory through which all payload passes, under one budget.
//! - [`tree`]: where a content's files are, and how they are opened without following a link.
//! - [`shared`]: complete files, served only while they are what was hashed.
//! - [`journal`]: which chunks of a download are on disk, in a file that survives any crash.
//! - [`partial`]: a download in progress, from creation to the rename at its end.
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
pub mod journal;
mod lane;
mod names;
mod open;
mod orphans;
mod part_files;
pub mod partial;
pub mod pool;
mod queue;
mod reclaim;
mod relocate;
mod room;
pub mod shared;
mod slots;
mod spec;
mod sync;
mod sys;
pub mod tree;
mod turns;
mod verify;
mod way;
pub mod workers;

pub use copy::{Copied, CopyError, CopyPlan, may_be};
pub use discard::discard;
pub use elsewhere::Elsewhere;
pub use erase::{Erased, erase};
pub use error::{DiskError, ReadError, SyncError};
pub use event::DiskEvent;
pub use finish::{FinishPlan, Finished};
pub use orphans::{Leftover, Search, bury};
pub use partial::{Opened, Partial};
pub use pool::{Buf, BufPool, Held, Holder, Part};
pub use reclaim::reclaim;
pub use relocate::{Relocated, holds_part, relocate};
pub use room::{kept_free, lack};
pub use shared::SharedFiles;
pub use spec::PartialSpec;
pub use sys::{Space, space};
pub use tree::{ChunkSource, FileTree};
pub use verify::VerifyJob;
pub use workers::{Disk, Spent, Stopped};

#[cfg(test)]
pub(super) mod tests;
