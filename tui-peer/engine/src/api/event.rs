//! What happened, for logs and scripts: a bounded stream, oldest dropped first for a slow reader.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::id::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

use super::serde_with;

/// How important an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Something failed and somebody should know.
    Error,
    /// Something is not as it should be; it is being dealt with.
    Warn,
    /// What an operator wants to see.
    Info,
    /// Per peer.
    Debug,
}

/// Which part of the program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// The tracker and our membership.
    Track,
    /// Sharing and hashing.
    Share,
    /// Downloading.
    Fetch,
    /// Serving others.
    Serve,
    /// Connections.
    Net,
    /// Reading and writing files.
    Disk,
}

impl Target {
    /// A word of at most five letters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Share => "share",
            Self::Fetch => "fetch",
            Self::Serve => "serve",
            Self::Net => "net",
            Self::Disk => "disk",
        }
    }
}

/// One thing that happened. `text` is safe to show: names in it went through [`common::names::show`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// When (wall clock).
    pub at: SystemTime,
    /// How important.
    pub level: Level,
    /// Which part.
    pub target: Target,
    /// In words.
    pub text: String,
    /// For programs.
    pub what: What,
}

impl Event {
    /// As a program can read it that knows so much ([`super::KNOWS`]): of what it does not know, the
    /// words.
    pub fn for_older(mut self, knows: u16) -> Self {
        if self.what.since() > knows {
            self.what = What::Said;
        }
        self
    }
}

/// A stable word for scripts.
pub type Word = &'static str;

/// Whether the text of a [`What::Failed`] with the code `share` is about the share at `path`, and not about one
/// whose path begins as this one does or lies in it: such a text begins with the path, but for two words.
pub fn speaks_of(text: &str, path: &Path) -> bool {
    let text = text.strip_prefix("cannot read ").unwrap_or(text);
    let rest = text.strip_prefix(&*path.to_string_lossy());
    rest.is_some_and(|rest| rest.starts_with([':', ' ']))
}

/// Code of a [`What::Failed`]: files of a folder were chosen that it does not have.
pub const NO_SUCH_FILE: Word = "no-such-file";
/// Code of a [`What::Failed`]: there is no copy of what is here.
pub const NOT_COPIED: Word = "copy";
/// Code of a [`What::Failed`]: there is no copy, since something else stands at its name.
pub const TAKEN: Word = "taken";

/// What happened, for programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum What {
    /// Only words.
    Said,
    /// A file or folder was hashed and is remembered; [`What::Shared`] follows once the tracker has it.
    Hashed {
        /// Its id.
        id: ContentId,
        /// Where it is.
        #[serde(with = "serde_with::path")]
        path: PathBuf,
        /// Why a restart would forget it, if so, and what to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unkept: Option<String>,
        /// What lies in the folder and is not shared with it, if there is something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_out: Option<String>,
    },
    /// Something was read again and compared with what was hashed.
    Verified {
        /// Which content.
        id: ContentId,
        /// Chunks that are no longer what they should be.
        bad: u32,
    },
    /// A share is registered with the tracker and can be downloaded by others.
    Shared {
        /// Its id.
        id: ContentId,
        /// Its name as its owner gave it: not for a screen.
        name: String,
        /// Bytes of all its files.
        size: u64,
        /// Its chunks.
        chunks: u32,
    },
    /// A download is complete, verified, synced and in place; or a copy of what was here already.
    Done {
        /// Its id.
        id: ContentId,
        /// Where it is.
        #[serde(with = "serde_with::path")]
        path: PathBuf,
        /// Its payload bytes.
        bytes: u64,
        /// From the command (or the restart) to now.
        seconds: f64,
        /// Why a restart would forget it, if so, and what to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unkept: Option<String>,
    },
    /// Something failed; for a download or share if `id` says which.
    Failed {
        /// Which content, if one.
        id: Option<ContentId>,
        /// A stable word for scripts: `disk-full`, `io`, `changed`, `not-found`, `share`, `tracker`, …
        #[serde(deserialize_with = "serde_with::word")]
        code: Word,
        /// What the user can do.
        hint: String,
    },
    /// A peer connected or left.
    Peer {
        /// Who.
        peer: PeerId,
        /// Whether it came.
        connected: bool,
    },
    /// A connected peer says that it has verified and kept all chunks of something that we have all of.
    HasAll {
        /// What.
        id: ContentId,
        /// Who.
        peer: PeerId,
        /// Whether it lacked some before, as far as it told us.
        fetched: bool,
    },
    /// A source of a download cannot be reached, and there is no other.
    Unreached {
        /// Of which download.
        id: ContentId,
        /// Who.
        peer: PeerId,
    },
    /// A peer was banned.
    Banned {
        /// Who.
        peer: PeerId,
    },
}

impl What {
    /// From which count of [`super::KNOWS`] on a program can read it.
    fn since(&self) -> u16 {
        match self {
            Self::HasAll { .. } | Self::Unreached { .. } => 2,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_an_earlier_version_is_told_in_words_what_it_does_not_know() {
        let (id, peer) = (ContentId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let event = |what| Event {
            at: SystemTime::UNIX_EPOCH,
            level: Level::Info,
            target: Target::Fetch,
            text: "x".to_owned(),
            what,
        };
        let new = event(What::Unreached { id, peer });
        assert!(matches!(new.clone().for_older(0).what, What::Said));
        assert!(matches!(new.clone().for_older(1).what, What::Said));
        assert!(matches!(new.for_older(crate::api::KNOWS).what, What::Unreached { .. }));
        let old = event(What::Peer { peer, connected: true });
        assert!(matches!(old.for_older(0).what, What::Peer { .. }));
    }
}
