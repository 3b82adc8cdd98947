//! The content looked at: its chunks and who has them.

use std::net::SocketAddr;
use std::time::Instant;

use common::id::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

use super::{Holders, Sent};
use crate::api::cause::Cause;
use crate::api::chunk_states::Chunks;
use crate::api::serde_with;

/// Details of one content: its chunks and sources.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Focus {
    /// Which.
    pub id: ContentId,
    /// How each chunk stands with us, and how many copies of it the sources known have (connected ones
    /// exactly, others as the tracker says).
    #[serde(with = "serde_with::chunks")]
    pub chunks: Chunks,
    /// Bytes of most chunks, 0 if not known.
    pub chunk_len: u64,
    /// Sources, the busiest first.
    pub sources: Vec<SourceRow>,
    /// Chunks in flight, in order, with the place in `sources` of whom was asked (one entry for each);
    /// at most [`MAX_FLIGHTS`].
    pub flights: Vec<(u32, u16)>,
    /// The chunk that was verified last.
    pub newest: Option<u32>,
    /// Who has missing chunks that nobody else has, the most such chunks first.
    pub sole: Vec<Sole>,
    /// The last source that left while something was missing.
    pub left: Option<Departed>,
    /// When the user asked for it, in seconds since 1970.
    pub added: Option<u64>,
    /// Why it is not faster, the most important cause first.
    pub causes: Vec<Cause>,
    /// Who has what, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders: Option<Holders>,
    /// Who sent what, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
}

/// Chunks in flight that [`Focus::flights`] names: more than a screen has cells for.
pub const MAX_FLIGHTS: usize = 4096;

/// Somebody who has chunks that we miss and nobody else has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sole {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// How many.
    pub chunks: u32,
    /// Whether we are connected to it.
    pub connected: bool,
}

/// A source that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Departed {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// When it was last there.
    #[serde(with = "serde_with::instant")]
    pub at: Instant,
    /// Chunks it had.
    pub have: u32,
}

/// One source of the focused content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// Where it is.
    pub addr: Option<SocketAddr>,
    /// How the connection came about.
    #[serde(default)]
    pub way: Way,
    /// In one word.
    pub state: SourceState,
    /// Why, if that is not obvious.
    pub why: String,
    /// Bytes per second from it.
    pub down_rate: f64,
    /// Bytes per second to it.
    pub up_rate: f64,
    /// Chunks of this content it sent us in this run.
    pub got: u32,
    /// Chunks it has.
    pub have: u32,
    /// Requests outstanding, and how many there may be.
    pub pipe: (u32, u32),
    /// Round trip in milliseconds, if measured.
    pub rtt_ms: Option<u32>,
    /// The four flags: are we choked by it, interested in it, choking it, is it interested in us.
    pub flags: Flags,
}

/// How a connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Way {
    /// We dialled it, or there is none.
    #[default]
    Dialled,
    /// It dialled us.
    Came,
    /// Both dialled at the same time, through routers that let nobody else in.
    Punched,
    /// Both met at the tracker, which passes on what they send.
    Relayed,
}

impl Way {
    /// How the other end is reached, in two words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Dialled => "direct",
            Self::Came => "they dialled",
            Self::Punched => "punched",
            Self::Relayed => "via tracker",
        }
    }

    /// The same for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Dialled => "direct",
            Self::Came => "they_dialled",
            Self::Punched => "punched",
            Self::Relayed => "via_tracker",
        }
    }
}

/// The four choke and interest flags between us and a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags {
    /// It does not let us request.
    pub choked_by: bool,
    /// It has something we want.
    pub interested_in: bool,
    /// We do not let it request.
    pub choking: bool,
    /// It wants something of ours.
    pub interesting: bool,
}

/// State of a source in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceState {
    /// Sending to us.
    Open,
    /// Sending, much slower than others.
    Slow,
    /// Connected, has nothing we lack.
    NoData,
    /// Connected, does not let us request for now.
    Choked,
    /// Stopped delivering; asked again now and then.
    Snubbed,
    /// Known, being dialled or waiting for its turn.
    Waiting,
    /// Fetching from us.
    Fetching,
}

impl SourceState {
    /// The word shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Slow => "slow",
            Self::NoData => "no data",
            Self::Choked => "choked",
            Self::Snubbed => "snubbed",
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
        }
    }
}
