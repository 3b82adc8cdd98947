//! What this peer shares and downloads, remembered over restarts. Blocking code: call it from threads
//! that may wait for a disk.
//!
//! - [`store`]: the one database of a profile: shares, downloads, chunk hashes, manifests, settings.
//! - `database`: its file; `pending`: what is to be written and is not on disk yet.
//! - [`record`]: what it holds.
//! - [`mod@scan`]: what is in a file or folder, by stat only; [`hasher`]: its hashes, on all cores.
//! - [`mod@check`]: at start, what changed since; an unchanged share is restored without reading a byte of
//!   it.
//! - `news`: what came into a shared folder and left it while the program runs; `passing`: what is never taken into a
//!   watched one.
//! - [`mod@verify`]: everything read again; `compare`: and compared with what is remembered.
//! - `tables`: the tables of the file; `garbage`: what of them nobody needs any more.

pub mod check;
mod compare;
mod database;
pub mod error;
mod failure;
mod folder;
mod garbage;
pub mod hasher;
mod news;
mod passing;
mod pending;
pub mod prepared;
pub mod record;
pub mod scan;
mod skip;
pub mod stat;
pub mod store;
mod tables;
pub mod verify;
mod watched;
mod work;

pub(in crate::engine) use database::{Opener, plain_opener};

pub use check::{Check, Scope, check, is_altered, look, refresh, restore};
pub(in crate::engine) use compare::compare_then;
pub use compare::{Compared, compare};
pub use error::{LibraryError, ShareError};
pub use hasher::{Progress, prepare};
pub use news::{MANY_FILES, News, SETTLED, Seen, picture, see};
pub use prepared::{FolderParts, Prepared};
pub use record::{DownloadRecord, Loaded, ShareRecord, Wish};
pub use scan::{Scan, ScanFile, Steps, scan};
pub use skip::{Skip, Skipped};
pub use stat::Stat;
pub(in crate::engine) use store::ShareRows;
pub use store::{Collected, Library};
pub use verify::{hash_path, hash_watched, verify};
pub use watched::{MAX_WATCHED, WATCHED_KEY, too_many_watched, watched, watched_text};

#[cfg(test)]
pub(in crate::engine) mod faults;
#[cfg(test)]
mod tests;
