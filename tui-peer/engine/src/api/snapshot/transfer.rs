//! Downloads and shares, and the files of a folder among them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use common::content::Kind;
use common::id::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

use super::display_name;
use crate::api::cause::Cause;
use crate::api::serde_with;
use crate::priority::Priority;

/// A download or a share of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its id; all zero while a new share is being hashed.
    pub id: ContentId,
    /// Its name, safe to show.
    pub name: Arc<str>,
    /// The same as its owner gave it, where that is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Arc<str>>,
    /// File or folder.
    pub kind: Kind,
    /// What it is doing.
    pub state: TransferState,
    /// Bytes wanted (for a share: all of them).
    pub size: u64,
    /// Bytes of it on our disk, verified.
    pub done: u64,
    /// Chunks wanted.
    pub chunks: u32,
    /// Chunks of it on our disk.
    pub have: u32,
    /// Where it is, or will be.
    #[serde(with = "serde_with::path")]
    pub path: PathBuf,
    /// Bytes per second, smoothed.
    pub down_rate: f64,
    /// Bytes per second, smoothed.
    pub up_rate: f64,
    /// Payload sent to others in this run.
    pub uploaded: u64,
    /// Seconds to the end at the present rate, if that can be said.
    pub eta_s: Option<u64>,
    /// Sources that are sending.
    pub active: u32,
    /// Sources we know.
    pub sources: u32,
    /// Copies of the rarest missing chunk among connected sources, plus the share of missing chunks
    /// that have more. `None` when nothing is missing or nobody is connected.
    pub availability: Option<f32>,
    /// Missing chunks that nobody we are connected to has.
    pub unavailable: u32,
    /// Whether this was a download (not a share from our own disk).
    pub downloaded: bool,
    /// Whether somebody is fetching it from us right now.
    pub wanted_by: u32,
    /// Connected peers of the network known to have all of it, ourselves not counted.
    pub other_complete: u32,
    /// Why it is not faster or does not move; `None` if nothing is to be said.
    pub why: Option<Cause>,
    /// Its place in the queue, and what the user wishes for it.
    pub plan: Plan,
    /// Sources that were tried and cannot be reached, as long as there is no other; some of them if they are
    /// many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<Unreached>,
    /// The tracker does not take it ([`super::Network::refused`] says why): others cannot find it.
    #[serde(default)]
    pub refused: bool,
    /// For a shared folder of the user's own: what is different on disk, and whether it is watched; `None` if
    /// neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news: Option<FolderNews>,
}

impl Transfer {
    /// What is different in its folder on disk, if anything is.
    pub fn differs(&self) -> Option<FolderNews> {
        self.news.filter(|news| !news.is_nothing())
    }

    /// Its name as its owner gave it: not for a screen.
    pub fn raw_name(&self) -> &str {
        self.raw.as_ref().unwrap_or(&self.name)
    }

    /// Whether it is a download that has not ended.
    pub fn is_unfinished(&self) -> bool {
        self.downloaded && self.state != TransferState::Sharing
    }

    /// Whether it is a download that is not here yet; not one that was and vanished.
    pub fn is_on_its_way(&self) -> bool {
        self.is_unfinished() && self.state != TransferState::Changed
    }

    /// A row with nothing in it.
    pub fn blank(id: ContentId) -> Self {
        Self {
            id,
            name: "".into(),
            raw: None,
            kind: Kind::File,
            state: TransferState::Queued,
            size: 0,
            done: 0,
            chunks: 0,
            have: 0,
            path: PathBuf::new(),
            down_rate: 0.0,
            up_rate: 0.0,
            uploaded: 0,
            eta_s: None,
            active: 0,
            sources: 0,
            availability: None,
            unavailable: 0,
            downloaded: false,
            wanted_by: 0,
            other_complete: 0,
            why: None,
            plan: Plan::default(),
            unreached: Vec::new(),
            refused: false,
            news: None,
        }
    }
}

/// A shared folder compared with what is shared of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FolderNews {
    /// Files that came into it.
    pub new: u32,
    /// Files that are gone.
    pub gone: u32,
    /// Files that are something else now.
    pub changed: u32,
    /// All this is shared by itself once nothing moves any more.
    pub watched: bool,
}

impl FolderNews {
    /// Whether it is shared as it is.
    pub fn is_nothing(&self) -> bool {
        (self.new, self.gone, self.changed) == (0, 0, 0)
    }

    /// "3 new, 1 gone"; empty if it is shared as it is.
    pub fn words(&self) -> String {
        let parts = [(self.new, "new"), (self.gone, "gone"), (self.changed, "changed")];
        let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The same in at most ten columns.
    pub fn short(&self) -> String {
        let Self { new, gone, changed, .. } = *self;
        let words = self.words();
        let all = new.saturating_add(gone).saturating_add(changed);
        match words.len() {
            0..=10 => words,
            _ if changed == 0 && new.max(gone) <= 999 => format!("+{new} -{gone}"),
            _ => format!("{} differ", all.min(999)),
        }
    }
}

/// A source that cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself, safe to show.
    pub nick: String,
    /// Why, at the last try.
    pub why: String,
    /// When it is tried again; `None` if that is just being done, or is of no use.
    #[serde(with = "serde_with::maybe_instant")]
    pub retry_at: Option<Instant>,
}

impl Unreached {
    /// Its name for itself, and the start of its key.
    pub fn display_name(&self) -> String {
        display_name(&self.peer, &self.nick)
    }

    /// Seconds to the next try, if there is one.
    pub fn retry_s(&self, now: Instant) -> Option<u64> {
        self.retry_at.map(|at| at.saturating_duration_since(now).as_secs_f64().ceil() as u64)
    }

    /// What cannot be reached and why: the same at every try that ends so.
    pub fn cause(&self) -> String {
        format!("{} cannot be reached: {}", self.display_name(), self.why)
    }

    /// The same of something that is to come from it, and when it is tried again.
    pub fn words(&self, what: &str, now: Instant) -> String {
        match self.retry_s(now) {
            Some(seconds) => format!("{what}: {}; tried again in {seconds} s", self.cause()),
            None => format!("{what}: {}", self.cause()),
        }
    }
}

/// Where a transfer stands in the queue, and what the user wishes for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Its place in the list of unfinished downloads, from 0.
    pub order: u32,
    /// Its place among those that wait, from 1, if it waits.
    pub place: Option<u32>,
    /// How important it is.
    pub priority: Priority,
    /// Chunks in order.
    pub sequential: bool,
    /// Limit of what goes out of it in bytes per second.
    pub up: Option<u64>,
    /// Limit of what comes in of it in bytes per second.
    pub down: Option<u64>,
    /// Other peers of the network that have begun to fetch it and are not done.
    pub waiting: u32,
    /// It starts when somebody has it.
    pub watch: bool,
    /// It is finished and no longer belongs into a list of downloads (an hour old, or cleared).
    pub cleared: bool,
    /// Why it waits or rests, in words, if the state does not say all.
    pub why: String,
}

/// What a transfer is doing; the words the row shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferState {
    /// A new share is being hashed.
    Hashing,
    /// On-disk data is being checked (after a crash, or on request).
    Checking,
    /// Complete, and served to whoever asks.
    Sharing,
    /// A download waiting for others to finish.
    Queued,
    /// Asking sources what this content is.
    Resolving,
    /// Chunks are coming in, or could.
    Getting,
    /// Nobody online has what is missing.
    NoSource,
    /// Sync and rename.
    Finishing,
    /// The user paused it.
    Paused,
    /// The disk is full; goes on by itself when there is room.
    DiskFull,
    /// What was shared changed on disk or vanished; it is not served. Verifying looks at it again.
    Changed,
    /// It failed; why, and what to do.
    Failed(String),
}

impl TransferState {
    /// The word for programs, which stays when the one shown changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Hashing => "hashing",
            Self::Checking => "checking",
            Self::Sharing => "sharing",
            Self::Queued => "queued",
            Self::Resolving => "resolving",
            Self::Getting => "getting",
            Self::NoSource => "no-source",
            Self::Finishing => "finishing",
            Self::Paused => "paused",
            Self::DiskFull => "disk-full",
            Self::Changed => "changed",
            Self::Failed(_) => "failed",
        }
    }

    /// The word shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hashing => "hashing",
            Self::Checking => "checking",
            Self::Sharing => "sharing",
            Self::Queued => "queued",
            Self::Resolving => "asking",
            Self::Getting => "getting",
            Self::NoSource => "no source",
            Self::Finishing => "finishing",
            Self::Paused => "paused",
            Self::DiskFull => "disk full",
            Self::Changed => "changed",
            Self::Failed(_) => "failed",
        }
    }
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntry {
    /// Path within the folder, components separated by `/`, safe to show.
    pub path: String,
    /// The same as it stands in the manifest; [`crate::api::command::Selection::Paths`] takes this.
    pub raw: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes of it on our disk.
    pub done: u64,
    /// Whether it is wanted.
    pub wanted: bool,
}
