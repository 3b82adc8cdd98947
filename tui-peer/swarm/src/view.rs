//! What the core shows of itself, for snapshots. Questions to it: `queries`.

use std::collections::BTreeMap;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::id::PeerId;

pub use super::availability_stats::Touched;
use super::availability_stats::key;
use super::body::Body;
use super::event::ConnId;
use super::link::{Has, Link};
use super::senders::Senders;

/// Bytes per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Coming in.
    pub down: f64,
    /// Going out.
    pub up: f64,
}

/// One connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ConnView {
    /// Bytes per second from it.
    pub down_rate: f64,
    /// Bytes per second to it.
    pub up_rate: f64,
    /// Payload from it so far.
    pub down: u64,
    /// Payload to it so far.
    pub up: u64,
    /// Contents open.
    pub contents: u32,
    /// Round trip in milliseconds.
    pub rtt_ms: Option<u32>,
}

/// How it stands with a peer we are not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialState {
    /// Not tried, or due.
    Free,
    /// Being dialled.
    Dialing,
    /// Could not be reached so many times; tried again after this time.
    Waiting {
        /// How often in a row.
        fails: u32,
        /// From now.
        left: Duration,
    },
    /// It sent rubbish; not dialled for this time.
    Banned {
        /// From now.
        left: Duration,
    },
}

/// One content whose layout is known.
#[derive(Debug)]
pub struct ContentView<'a> {
    pub(super) body: &'a Body,
    pub(super) links: &'a BTreeMap<ConnId, Link>,
    /// Chunks here.
    pub have: &'a ChunkSet,
    /// Chunks wanted.
    pub wanted: &'a ChunkSet,
    /// Wanted chunks that are here.
    pub wanted_here: u32,
    /// Their bytes.
    pub done_bytes: u64,
    /// Missing chunks that no connected peer has.
    pub unavailable: u32,
    /// Copies of the rarest missing chunk, plus the share of missing chunks that have more.
    pub copies: Option<f32>,
    /// Bytes per second from all sources.
    pub down_rate: f64,
    /// Bytes per second to all peers.
    pub up_rate: f64,
    /// Payload received.
    pub downloaded: u64,
    /// Payload sent.
    pub uploaded: u64,
    /// Sources with requests of ours.
    pub active: u32,
    /// Peers that are being served.
    pub fetchers: u32,
    /// Something is missing, and no connected peer has any of it.
    pub stuck: bool,
    /// Connected peers.
    pub sources: Vec<SourceView>,
}

/// State of a source in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceWord {
    /// Sending to us.
    Open,
    /// Sending, much slower than the fastest.
    Slow,
    /// Has nothing we lack.
    NoData,
    /// Does not let us request for now.
    Choked,
    /// Stopped delivering.
    Snubbed,
    /// About to be asked.
    Waiting,
    /// Fetching from us.
    Fetching,
}

/// One connected peer of a content.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceView {
    /// Its connection.
    pub conn: ConnId,
    /// Its key.
    pub peer: PeerId,
    /// In one word.
    pub word: SourceWord,
    /// Why, if that is not obvious.
    pub why: &'static str,
    /// Bytes per second from it.
    pub down_rate: f64,
    /// Bytes per second to it.
    pub up_rate: f64,
    /// Payload from it so far.
    pub down_total: u64,
    /// Payload to it so far.
    pub up_total: u64,
    /// Chunks it sent.
    pub got: u32,
    /// Chunks it has.
    pub have: u32,
    /// Chunks it has that we want and lack.
    pub useful: u32,
    /// Seconds since it last sent something.
    pub quiet_s: u64,
    /// Requests outstanding, and how many fit.
    pub pipe: (u32, u32),
    /// Round trip in milliseconds.
    pub rtt_ms: Option<u32>,
    /// It does not let us request.
    pub choked_by: bool,
    /// It has something we want.
    pub interested_in: bool,
    /// We do not let it request.
    pub choking: bool,
    /// It wants something of ours.
    pub interesting: bool,
}

/// Which chunks a peer has.
#[derive(Debug, Clone, Copy)]
pub enum Holding<'a> {
    /// Every one.
    All,
    /// These.
    Some(&'a ChunkSet),
    /// Nobody knows.
    Unknown,
}

impl ContentView<'_> {
    /// Whether a chunk is requested or being written.
    pub fn in_flight(&self, chunk: u32) -> bool {
        self.body.flights.contains_key(&chunk)
    }

    /// Chunks that are requested or being written, and the connections asked.
    pub fn flights(&self) -> impl Iterator<Item = (u32, Vec<ConnId>)> + '_ {
        self.body.flights.iter().map(|(chunk, flight)| {
            let asked = flight.asked.iter().map(|(at, _)| *at);
            (*chunk, asked.chain(flight.verifying).collect())
        })
    }

    /// Connected peers that have a chunk and not all of them.
    pub fn partial(&self, chunk: u32) -> u16 {
        self.body.picker.copies(chunk)
    }

    /// The same of all chunks; empty if that is 0 for all.
    pub fn partials(&self) -> &[u16] {
        self.body.picker.availability()
    }

    /// Connected peers that have every chunk.
    pub fn seeds(&self) -> u16 {
        self.body.seeds
    }

    /// The only partial source of a chunk that has one.
    pub fn sole(&self, chunk: u32) -> Option<u32> {
        (self.partial(chunk) == 1).then(|| self.body.stats.sole(chunk))
    }

    /// What a connected peer has.
    pub fn holding(&self, at: ConnId) -> Holding<'_> {
        match self.links.get(&at).map(|link| &link.has) {
            Some(Has::All) => Holding::All,
            Some(Has::Some(set)) => Holding::Some(set),
            Some(Has::Unread { .. }) | None => Holding::Unknown,
        }
    }

    /// Who sent which chunk in this run.
    pub fn senders(&self) -> &Senders {
        &self.body.senders
    }

    /// Chunks that cannot be asked for yet because their hashes are not known.
    pub fn hashless(&self) -> bool {
        !self.body.hashes_missing.is_empty()
    }
}

/// A connection as [`ContentView::sole`] names it.
pub fn sole_key(at: ConnId) -> u32 {
    key(at)
}
