//! What goes over the socket. Both ends are as a rule the same program; [`PROTOCOL`] says when not.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::engine::command::{Command, CommandError, Reply};
use crate::engine::event::Event;
use crate::engine::snapshot::{CatalogueRow, Snapshot};

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
    /// Process id.
    pub pid: u32,
    /// What runs there (`app`, `serve-only`, `get`), or what the client is.
    pub what: String,
    /// Whether this side wants the catalogue (clients only).
    pub catalogue: bool,
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

/// Reads one frame; `None` at the end.
///
/// # Errors
/// From the socket; [`io::ErrorKind::InvalidData`] for a frame longer than `limit` or not understood.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> io::Result<Option<T>> {
    let len = match from.read_u32().await {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if len > limit {
        let why = format!("a frame of {len} bytes; {limit} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    // Grows with what really comes, not with what is announced.
    let mut bytes = Vec::new();
    from.take(u64::from(len)).read_to_end(&mut bytes).await?;
    if u32::try_from(bytes.len()) != Ok(len) {
        return Ok(None);
    }
    let value = rmp_serde::from_slice(&bytes);
    value.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes one frame.
///
/// # Errors
/// From the socket; [`io::ErrorKind::InvalidData`] if it would be longer than `limit`.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    value: &T,
    limit: u32,
) -> io::Result<()> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut frame = vec![0; 4];
    rmp_serde::encode::write_named(&mut frame, value)
        .map_err(|error| invalid(error.to_string()))?;
    let len = u32::try_from(frame.len() - 4).ok().filter(|len| *len <= limit);
    let len =
        len.ok_or_else(|| invalid(format!("{} bytes are too many for a frame", frame.len())))?;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = len.to_be_bytes();
    }
    to.write_all(&frame).await?;
    to.flush().await
}
