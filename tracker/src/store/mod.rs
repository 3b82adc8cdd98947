//! Where records outlive the process: a narrow trait, two drivers, one contract (`tests/suite/store.rs`).

mod damage;
mod memory;
mod read;
mod redb;
mod tables;
mod writer;

use std::io;
use std::path::PathBuf;

use crate::record::{Change, Saved};

pub(crate) use damage::sync_folder;
pub use memory::MemoryStore;
pub use redb::RedbStore;
pub(crate) use writer::{Commit, Writer};

/// Keeps records. Calls block; the tracker makes them from one thread of their own.
pub trait MetaStore: Send {
    /// Everything stored, in no particular order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self) -> Result<Saved, StoreError>;

    /// Applies changes in order, all or none of them; they are on disk when this returns. After an error
    /// the store can be used again, in case the disk has recovered.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

/// Why records cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another tracker has it open.
    #[error("{} is in use by another tracker; stop it, or use another folder with --state", path.display())]
    Locked { path: PathBuf },
    /// Written by a newer program.
    #[error(
        "{} has format {found}, this tracker knows up to {known}; use the newer tracker that wrote it",
        path.display()
    )]
    TooNew {
        path: PathBuf,
        found: u64,
        /// The newest format this build knows.
        known: u64,
    },
    /// Not what this program writes.
    #[error(
        "{} is damaged ({why})",
        path.display()
    )]
    Corrupt { path: PathBuf, why: String },
    /// The system refused: no space, no permission, a dying disk.
    #[error("cannot write {}: {why}; check permissions and free space there", path.display())]
    Io {
        path: PathBuf,
        /// What kind of refusal.
        kind: io::ErrorKind,
        /// What the system said.
        why: String,
    },
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}
