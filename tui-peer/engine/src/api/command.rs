//! What a front end can ask of the engine. Plain data, so that a handle could be remote.

use std::path::PathBuf;
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::join::JoinString;
use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::serde_with;
use super::snapshot::{CatalogueRow, FolderEntry, Found, Look, MemberRow, Page};
pub use crate::priority::Priority;

/// A request of the user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// Share a file or a folder where it is. Answered by [`Reply::Accepted`] as soon as it is found, which
    /// a disk that hangs delays; hashing shows in the snapshot, the end as an event.
    Share {
        /// What.
        #[serde(with = "serde_with::path")]
        path: PathBuf,
        /// Under another name than its own.
        name: Option<String>,
    },
    /// As [`Command::Share`], for what a configuration or a command line names at every start: what was
    /// found damaged stays off the network until the user shares it again, and what came into a folder since is told
    /// and not shared.
    Offer {
        /// What.
        #[serde(with = "serde_with::path")]
        path: PathBuf,
    },
    /// Share a folder as it is now: with what came into it and without what is gone. Answered when it is being
    /// hashed; the end is an event as of [`Command::Share`]. Refused for what is no shared folder of the user's own.
    Rescan {
        /// The folder, by its newest state.
        id: ContentId,
    },
    /// What comes into a folder that is shared (or being hashed for that) is shared without asking, or no longer.
    Watched {
        /// Where it lies.
        #[serde(with = "serde_with::path")]
        path: PathBuf,
        /// Whether it is watched from now on.
        on: bool,
    },
    /// No longer share this; files are not touched. Answered when that is on disk.
    Unshare {
        /// What.
        id: ContentId,
    },
    /// Download this; also starts a paused or failed one again. Of what is on its way already these files
    /// are wanted too, and it goes to this folder: answered when both folders were looked at, and refused
    /// if it cannot; what was fetched moves along then. What is here already is copied to the folder: answered when
    /// the copy has begun ([`super::snapshot::Snapshot::copies`]), and its end is an event.
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
    /// No longer share a finished download, and delete the files that were fetched for it. What others have
    /// put among them stays, and so does a file that was changed since; anything that is also shared by the
    /// user's own word is refused. Answered when it is deleted.
    Delete {
        /// What.
        id: ContentId,
    },
    /// Take back a [`Command::Remove`] of the last seconds ([`UNDO_TIME`]), deleted data included.
    Restore {
        /// What.
        id: ContentId,
    },
    /// Take finished downloads out of the list; they go on being shared.
    ClearFinished,
    /// How important a download is.
    Prioritize {
        /// Which.
        id: ContentId,
        /// From now on.
        priority: Priority,
    },
    /// Another place in the queue, among downloads of the same priority.
    Reorder {
        /// Which.
        id: ContentId,
        /// Where to.
        to: Reorder,
    },
    /// Chunks in order (to watch or read while it comes), or rarest first.
    Sequential {
        /// Which download.
        id: ContentId,
        /// Whether in order.
        on: bool,
    },
    /// Limits of one content in bytes per second, beside those for everything; `None` is no limit.
    LimitOne {
        /// Which.
        id: ContentId,
        /// For uploads of it.
        up: Option<u64>,
        /// For downloading it.
        down: Option<u64>,
    },
    /// Start a download as soon as somebody has it; or no longer.
    Watch {
        /// Which.
        id: ContentId,
        /// Whether to.
        on: bool,
    },
    /// Download the first content that appears with all these words in its name; or no longer.
    WatchFor {
        /// Words, separated by spaces; case does not matter.
        words: String,
        /// Whether to.
        on: bool,
    },
    /// Do not talk to a peer.
    Ban {
        /// Whom.
        peer: PeerId,
        /// For how long; `None` is for ever, over restarts.
        time: Option<Duration>,
    },
    /// Talk to it again.
    Unban {
        /// Whom.
        peer: PeerId,
    },
    /// Hash what is on disk again and compare. Once accepted, exactly one event tells how it went, whatever
    /// becomes of the share meanwhile: [`super::event::What::Verified`], or
    /// [`super::event::What::Failed`] with the code `verify`.
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
        #[serde(with = "serde_with::text")]
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
        /// What of it is wanted beside chunks and sources.
        #[serde(default, skip_serializing_if = "Look::is_plain")]
        look: Look,
    },
    /// Serve others, or stop serving for now.
    Serve {
        /// Whether to.
        on: bool,
    },
    /// Our name for others; it counts for the network joined next.
    Nick {
        /// From then on; cut if it is too long for the wire.
        nick: String,
    },
    /// Where downloads go that begin from now on; the folder is made if it does not exist. Answered once
    /// it is known to be usable, which a disk that hangs delays; until then they wait.
    Downloads {
        /// The folder.
        #[serde(with = "serde_with::path")]
        dir: PathBuf,
    },
    /// Free space that downloads leave on their volume in bytes; `None` is the default
    /// ([`super::config::DEFAULT_KEEP_FREE`]).
    KeepFree {
        /// From now on.
        bytes: Option<u64>,
    },
    /// Rate limits in bytes per second; `None` is no limit.
    Limits {
        /// For uploads.
        up: Option<u64>,
        /// For downloads.
        down: Option<u64>,
    },
    /// A page of who is in the network, by nick; answered by [`Reply::Members`]. Refused where the tracker is older
    /// than this question, and while there is none.
    Members {
        /// Part of a nick, or the beginning of a key; empty for all. Cut if it is too long for the wire.
        query: String,
        /// Of the page before; empty for the first.
        cursor: Vec<u8>,
    },
    /// A page of what one member shares; answered by [`Reply::MemberFiles`]. Refused as [`Command::Members`] is, and
    /// if nobody with this key is in the network.
    MemberFiles {
        /// Whose.
        peer: PeerId,
        /// Of the page before; empty for the first.
        cursor: Vec<u8>,
    },
    /// Folders in which a file has these words in its path, some of them perhaps in the folder's name instead; answered
    /// by [`Reply::Found`]. Only as far as their owners let the tracker know such names. Refused as
    /// [`Command::Members`] is.
    Find {
        /// Words, of which one at least has three letters, and alternatives with `|` between them. Cut if it is too
        /// long for the wire.
        query: String,
    },
    /// Write a BitTorrent v2 description of something that is shared to a file that is not there yet; answered by
    /// [`Reply::Torrent`] when that is on disk.
    WriteTorrent {
        /// What.
        id: ContentId,
        /// The file.
        #[serde(with = "serde_with::path")]
        to: PathBuf,
        /// Trackers of BitTorrent that are named in it, best first; at most [`MAX_ANNOUNCE`].
        announce: Vec<String>,
    },
    /// Numbers for machines that watch; answered by [`Reply::Figures`] once the newest snapshot tells of all that
    /// happened before.
    Figures,
}

impl Command {
    /// From which count of [`super::KNOWS`] on a peer can read it.
    pub fn since(&self) -> u16 {
        match self {
            Self::WriteTorrent { .. } => 5,
            Self::Find { .. } => 4,
            Self::Rescan { .. } | Self::Watched { .. } => 3,
            Self::Members { .. } | Self::MemberFiles { .. } => 2,
            Self::Figures
            | Self::Delete { .. }
            | Self::Reorder { to: Reorder::Top | Reorder::Bottom, .. } => 1,
            _ => 0,
        }
    }
}

/// What to download and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Download {
    /// Which content.
    pub id: ContentId,
    /// Name to save it under, before it is made safe; the catalogue's if `None`.
    pub name: Option<String>,
    /// Folder to save it in; the configured one if `None`.
    #[serde(with = "serde_with::maybe_path")]
    pub dir: Option<PathBuf>,
    /// Which files of a folder.
    pub files: Selection,
}

/// How long a removed download can be taken back; somewhat longer than front ends offer it.
pub const UNDO_TIME: Duration = Duration::from_secs(12);

/// Trackers that a BitTorrent description names at most: more than anybody needs, and no file of any length.
pub const MAX_ANNOUNCE: usize = 32;

/// Where to move a download in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reorder {
    /// Before the one before it.
    Up,
    /// Behind the one behind it.
    Down,
    /// Before all of its priority.
    Top,
    /// Behind all of its priority.
    Bottom,
}

impl Reorder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Top, Self::Bottom];

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Top => "top",
            Self::Bottom => "bottom",
        }
    }
}

/// Which files of a folder are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Files whose path equals one of these or lies below it (`a/b` separated by `/`). With none of
    /// them, a download of a folder fetches the list of its files and rests until some are chosen.
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
    Hosting(#[serde(with = "serde_with::text")] JoinString),
    /// Numbers for machines that watch.
    Figures(Box<Figures>),
    /// A page of who is in the network.
    Members(Page<MemberRow>),
    /// A page of what one member shares.
    MemberFiles(Page<CatalogueRow>),
    /// Folders in which files were found.
    Found(Found),
    /// The description is on disk; its magnet link.
    Torrent {
        /// With the trackers that were named.
        magnet: String,
    },
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
pub enum CommandErrorKind {
    /// No such content, file or path.
    NotFound,
    /// The disk said no.
    Io,
    /// Not allowed: by the system, or because it would delete what is the user's own.
    Permission,
    /// It makes no sense in the present state.
    Invalid,
    /// The engine has stopped.
    Stopped,
}
