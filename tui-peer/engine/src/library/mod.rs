//! What this peer shares and downloads, remembered over restarts. Blocking code: call it from threads
//! that may wait for a disk.
//!
//! - [`store`]: the one database of a profile: shares, downloads, chunk hashes, manifests, settings.
//! - `database`: its file; `pending`: what is to be written and is not on disk yet.
//! - [`record`]: what it holds.
//! - [`mod@scan`]: what is in a file or folder, by stat only; [`hash`]: its hashes, on all cores.
//! - [`mod@check`]: at start, what changed since; an unchanged share is restored without reading a byte of
//!   it.
//! - `news`: what came into a shared folder and left it while the program runs; `passing`: what is never taken into a
//!   watched one.
//! - [`mod@verify`]: everything read again; `compare`: and compared with what is remembered.
//! - `tables`: the tables of the file; `garbage`: what of them nobody needs any more.

pub(crate) mod check;
mod compare;
mod database;
pub(crate) mod error;
mod folder;
mod garbage;
pub(crate) mod hash;
mod news;
mod passing;
mod pending;
pub(crate) mod record;
mod redb_error;
pub(crate) mod scan;
mod skip;
pub(crate) mod stat;
pub(crate) mod store;
mod tables;
pub(crate) mod verify;
mod watched;

pub(crate) use database::{Opener, plain_opener};

pub use check::restore;
pub(crate) use check::{Check, Scope, check, is_altered, refresh};
pub(crate) use compare::compare_then;
pub use compare::{Compared, compare};
pub use error::{LibraryError, ShareError};
pub use hash::Progress;
pub(crate) use hash::prepare;
pub use hash::prepared::Prepared;
pub(crate) use news::{MANY_FILES, News, SETTLED, Seen, picture, see};
pub use record::ShareRecord;
pub(crate) use record::{DownloadOptions, DownloadRecord, Loaded};
pub(crate) use scan::{Steps, scan};
pub use stat::Stat;
pub(crate) use store::Collected;
pub use store::Library;
pub(crate) use store::ShareRows;
pub use verify::{hash_path, hash_watched};
pub use watched::{MAX_WATCHED, WATCHED_KEY, too_many_watched, watched, watched_text};

#[cfg(test)]
pub(crate) mod faults;
#[cfg(test)]
mod tests;
