//! What a front end can ask of the engine. Plain data, so that a handle could be remote.

use std::path::PathBuf;

use common::id::ContentId;
use common::join::JoinString;
use serde::{Deserialize, Serialize};

use super::plain;
use super::snapshot::FolderEntry;

/// A request of the user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// Share a file or a folder where it is. Answered by [`Reply::Accepted`] at once; hashing shows in
    /// the snapshot, the end as an event.
    Share {
        /// What.
        #[serde(with = "plain::path")]
        path: PathBuf,
        /// Under another name than its own.
        name: Option<String>,
    },
    /// No longer share this; files are not touched.
    Unshare {
        /// What.
        id: ContentId,
    },
    /// Download this; also starts a paused or failed one again.
    Download(Download),
    /// Stop requesting; serving goes on.
    Pause {
        /// What.
        id: ContentId,
    },
    /// Go on (after a pause or an error).
    Resume {
        /// What.
        id: ContentId,
    },
    /// Forget a download. Finished files are never deleted by this.
    Remove {
        /// What.
        id: ContentId,
        /// Also delete what has been fetched so far.
        delete_partial: bool,
    },
    /// Hash what is on disk again and compare.
    Verify {
        /// What.
        id: ContentId,
    },
    /// Choose files of a folder.
    Select {
        /// Which folder.
        id: ContentId,
        /// Which of its files are wanted.
        files: Selection,
    },
    /// What is in a folder; answered by [`Reply::Files`].
    ListFiles {
        /// Which folder.
        id: ContentId,
    },
    /// Join a network (leaving the present one).
    Join {
        /// Which.
        #[serde(with = "plain::text")]
        join: JoinString,
    },
    /// Start a tracker in this process and join it; answered by [`Reply::Hosting`].
    Host,
    /// Leave the network; downloads rest, nothing is served.
    Leave,
    /// Come back after [`Command::Leave`].
    Rejoin,
    /// Talk to the tracker now instead of at the next try.
    Announce,
    /// Fill [`super::snapshot::Snapshot::focus`] for this content.
    Focus {
        /// Which, or none.
        id: Option<ContentId>,
    },
    /// Serve others, or not for now.
    Serve {
        /// Whether to.
        on: bool,
    },
    /// Where downloads go that begin from now on; the folder is made if it does not exist.
    Downloads {
        /// The folder.
        #[serde(with = "plain::path")]
        dir: PathBuf,
    },
    /// Rate limits in bytes per second; `None` is no limit.
    Limits {
        /// For uploads.
        up: Option<u64>,
        /// For downloads.
        down: Option<u64>,
    },
}

/// What to download and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Download {
    /// Which content.
    pub id: ContentId,
    /// Name to save it under, before it is made safe; the catalogue's if `None`.
    pub name: Option<String>,
    /// Folder to save it in; the configured one if `None`.
    #[serde(with = "plain::maybe_path")]
    pub dir: Option<PathBuf>,
    /// Which files of a folder.
    pub files: Selection,
}

/// Which files of a folder are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Files whose path equals one of these or lies below it (`a/b` separated by `/`).
    Paths(Vec<String>),
}

/// Answer to a [`Command`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// Done, or begun and visible in the snapshot.
    Accepted,
    /// Contents of a folder.
    Files(Vec<FolderEntry>),
    /// The join string of the tracker now running here.
    Hosting(#[serde(with = "plain::text")] JoinString),
}

/// Why a command was refused: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct CommandError {
    /// For programs.
    pub kind: CommandErrorKind,
    /// For people.
    pub message: String,
}

/// Why a command was refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CommandErrorKind {
    /// No such content, file or path.
    NotFound,
    /// The disk said no.
    Io,
    /// Not allowed to read or write there.
    Permission,
    /// It makes no sense in the present state.
    Invalid,
    /// The engine has stopped.
    Stopped,
}
