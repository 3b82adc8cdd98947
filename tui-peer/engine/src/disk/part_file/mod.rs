//! A download in progress: its part and its journal, from creation to the rename at its end.
//!
//! - [`partial`]: what is open of it; `open`: created, or taken up; `reopen`: a finished folder becomes one again.
//! - `write`: its chunks; `write_mode`: through the system's cache or past it; `sync`: made durable.
//! - [`journal`]: which chunks are on disk, in a file that survives any crash.
//! - `names`, `slots`: what it is called, and what of that is ours; `files`: its two files, locked, replaced, removed.
//! - `finish`: everything durable, then one rename; `discard`: deleted.

pub(in crate::disk) mod discard;
pub(in crate::disk) mod files;
pub(in crate::disk) mod finish;
pub(crate) mod journal;
pub(in crate::disk) mod names;
pub(in crate::disk) mod open;
pub(in crate::disk) mod partial;
pub(in crate::disk) mod reopen;
pub(in crate::disk) mod slots;
mod sync;
mod write;
pub(in crate::disk) mod write_mode;
