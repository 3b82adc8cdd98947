//! What goes over the socket. Both ends are as a rule the same program; [`PROTOCOL`] says when not.

pub(super) use common::control::{decode, read, read_bytes, write};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use engine::api::KNOWS;
use engine::api::command::{Command, CommandError, Reply};
use engine::api::event::Event;
use engine::api::snapshot::{CatalogueRow, Snapshot};

/// Counts up when a message changes so that the two ends would misunderstand each other.
pub const PROTOCOL: u16 = 1;
/// Longest frame to the running peer: a command. The largest chooses files of a folder by their paths.
pub const MAX_REQUEST: u32 = 4 << 20;
/// Longest frame from the running peer. The largest are a folder's listing (100,000 files with two paths
/// each) and the chunks of a content (a million, three bytes each).
pub const MAX_ANSWER: u32 = 64 << 20;
/// Rows of the catalogue in one frame: far below [`MAX_ANSWER`] even with the longest names.
pub const PAGE_ROWS: usize = 2048;
/// Rows of a catalogue at most: what the engine itself keeps, twice.
pub const MAX_ROWS: usize = 400_000;

/// The first frame of each side; its fields never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of this side.
    pub protocol: u16,
    /// Version of the program, for people.
    pub version: String,
    pub pid: u32,
    /// What runs there (`app`, `serve-only`, `get`), or what the client is.
    pub what: String,
    /// Whether this side wants the catalogue (clients only).
    pub catalogue: bool,
    /// [`KNOWS`] of this side; the first versions do not say it.
    #[serde(default)]
    pub knows: u16,
}

impl Hello {
    /// This process.
    pub fn ours(what: &str, catalogue: bool) -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            what: what.to_owned(),
            catalogue,
            knows: KNOWS,
        }
    }
}

/// To the running peer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// A command; answered by [`Answer::Reply`] with the same number.
    Call(u64, Box<Command>),
    /// Stop the peer; `true`: at once, not in good order.
    Stop(bool),
}

/// From the running peer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Call`].
    Reply(u64, Result<Reply, CommandError>),
    /// Something happened.
    Event(Event),
    /// Part of the catalogue; comes before the snapshot that has it.
    Catalogue(Page),
    /// The newest snapshot, without the catalogue.
    Snapshot(Box<Snapshot>),
}

/// What can be read of a [`Request`] that another version sent.
#[derive(Debug, Deserialize)]
pub(super) enum RequestShape {
    Call(u64, IgnoredAny),
}

/// What can be read of an [`Answer`] that another version sent.
#[derive(Debug, Deserialize)]
pub(super) enum AnswerShape {
    Reply(u64, IgnoredAny),
    Event(IgnoredAny),
}

/// Part of a catalogue.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Page {
    /// Of the catalogue.
    pub version: u64,
    /// Of the catalogue: whether the tracker has sent all of it.
    pub whole: bool,
    /// Whether this is the first page.
    pub first: bool,
    /// Whether this is the last page.
    pub last: bool,
    /// In order.
    pub rows: Vec<CatalogueRow>,
}
