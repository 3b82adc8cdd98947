//! What the core shows of itself, for snapshots.

use std::collections::BTreeMap;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};
use common::merkle::ChunkHashes;

pub use super::census::Touched;
use super::census::key;
use super::content::{Body, Has, Link};
use super::event::ConnId;
use super::node::Node;
use super::senders::Senders;
use super::time::Time;

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
    body: &'a Body,
    links: &'a BTreeMap<ConnId, Link>,
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

/// A source this much slower than the fastest is called slow.
const SLOW: f64 = 8.0;

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
        (self.partial(chunk) == 1).then(|| self.body.census.sole(chunk))
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

impl Node {
    /// Whether the node has this content in any state.
    pub fn knows(&self, id: &ContentId) -> bool {
        self.contents.contains_key(id)
    }

    /// Chunks of a content that are here, once its layout is known.
    pub fn have(&self, id: &ContentId) -> Option<&ChunkSet> {
        self.contents.get(id)?.body.as_ref().map(|body| &body.have)
    }

    /// What others may have of a content of which some chunks that are here are not offered; `None` if all are.
    pub fn offered_rest(&self, id: &ContentId) -> Option<ChunkSet> {
        let body = self.contents.get(id)?.body.as_ref()?;
        (!body.withheld.is_empty()).then(|| body.offered())
    }

    /// Whether all wanted chunks of a content are here.
    pub fn is_complete(&self, id: &ContentId) -> bool {
        self.contents.get(id).and_then(|c| c.body.as_ref()).is_some_and(Body::is_done)
    }

    /// Whether somebody connected lacks part of a content.
    pub fn is_asked_for(&self, id: &ContentId) -> bool {
        self.contents.get(id).is_some_and(|content| {
            let complete = content.body.as_ref().map_or(0, |body| usize::from(body.seeds));
            content.links.len() > complete
        })
    }

    /// Chunk hashes of a content, per file.
    pub fn hashes(&self, id: &ContentId) -> Option<&[ChunkHashes]> {
        self.contents.get(id)?.body.as_ref().map(|body| body.hashes.as_slice())
    }

    /// Payload rates over all connections.
    pub fn rates(&self, now: Time) -> Rates {
        let down = self.conns.values().map(|conn| conn.down.get(now)).sum();
        let up = self.conns.values().map(|conn| conn.up.get(now)).sum();
        Rates { down, up }
    }

    /// One connection, if it is up.
    pub fn conn(&self, at: ConnId, now: Time) -> Option<ConnView> {
        let conn = self.conns.get(&at)?;
        Some(ConnView {
            down_rate: conn.down.get(now),
            up_rate: conn.up.get(now),
            down: conn.down.total,
            up: conn.up.total,
            contents: u32::try_from(conn.handles.len()).unwrap_or(u32::MAX),
            rtt_ms: conn.rtt.map(millis),
        })
    }

    /// Which chunks of a content may stand otherwise since this was asked last; a list is kept from
    /// the first time on, until [`Self::unwatch`].
    pub fn touched(&mut self, id: &ContentId) -> Touched {
        let body = self.contents.get_mut(id).and_then(|content| content.body.as_mut());
        body.map(|body| body.census.take_touched()).unwrap_or_default()
    }

    /// Somebody looks at the chunks of this content from now on: all of them may stand otherwise.
    pub fn watch_chunks(&mut self, id: &ContentId) {
        if let Some(body) = self.contents.get_mut(id).and_then(|content| content.body.as_mut()) {
            body.census.watch();
        }
    }

    /// Nobody looks at the chunks of this content any more.
    pub fn unwatch(&mut self, id: &ContentId) {
        let body = self.contents.get_mut(id).and_then(|content| content.body.as_mut());
        if let Some(body) = body {
            body.census.unwatch();
            if body.is_done() {
                body.senders = Senders::default();
            }
        }
    }

    /// Whether and when a peer is dialled.
    pub fn dial_state(&self, peer: &PeerId, now: Time) -> DialState {
        if self.peers.reached.contains_key(peer) {
            return DialState::Dialing;
        }
        self.dialer.state(peer, now)
    }

    /// One content, once its layout is known. Costs no pass over its chunks.
    pub fn content(&self, id: &ContentId, now: Time) -> Option<ContentView<'_>> {
        let content = self.contents.get(id)?;
        let body = content.body.as_ref()?;
        let fastest = content.links.values().map(|link| link.down.get(now)).fold(0.0, f64::max);
        let sources: Vec<SourceView> = content
            .links
            .iter()
            .filter_map(|(at, link)| {
                let conn = self.conns.get(at)?;
                let pending = u32::try_from(conn.pending()).unwrap_or(u32::MAX);
                let rate = link.down.get(now);
                let (word, why) = match () {
                    () if conn.snubbed_until.is_some() => {
                        (SourceWord::Snubbed, "stopped delivering")
                    }
                    () if link.useful == 0 && link.interesting => (SourceWord::Fetching, ""),
                    () if link.useful == 0 => (SourceWord::NoData, "has nothing we lack"),
                    () if link.choked_by => (SourceWord::Choked, "serves others first"),
                    () if pending == 0 => (SourceWord::Waiting, ""),
                    () if rate * SLOW < fastest => (SourceWord::Slow, "much slower than the best"),
                    () => (SourceWord::Open, ""),
                };
                let have = match &link.has {
                    Has::All => body.layout.chunks(),
                    Has::Some(set) => set.count(),
                    Has::Unread { .. } => 0,
                };
                let fit = self.depth(now, *at, content) / body.usual_len().max(1);
                Some(SourceView {
                    conn: *at,
                    peer: conn.peer,
                    word,
                    why,
                    down_rate: rate,
                    up_rate: link.up.get(now),
                    down_total: link.down.total,
                    up_total: link.up.total,
                    got: link.got,
                    have,
                    useful: link.useful,
                    quiet_s: now.since(conn.progress).as_secs(),
                    pipe: (pending, u32::try_from(fit.max(2)).unwrap_or(u32::MAX)),
                    rtt_ms: conn.rtt.map(millis),
                    choked_by: link.choked_by,
                    interested_in: link.interested,
                    choking: link.choking,
                    interesting: link.interesting,
                })
            })
            .collect();
        let (unavailable, copies) = body.census.scarcity(body.seeds);
        Some(ContentView {
            body,
            links: &content.links,
            have: &body.have,
            wanted: &body.wanted,
            wanted_here: body.wanted_here,
            done_bytes: body.done_bytes,
            unavailable,
            copies: copies.filter(|_| !content.links.is_empty()),
            down_rate: content.down.get(now),
            up_rate: content.up.get(now),
            downloaded: content.down.total,
            uploaded: content.up.total,
            active: count(&sources, |s| s.pipe.0 > 0 && s.interested_in),
            fetchers: count(&sources, |s| s.interesting && !s.choking),
            stuck: !body.is_done()
                && body.flights.is_empty()
                && content.links.values().all(|link| link.useful == 0),
            sources,
        })
    }
}

fn count(sources: &[SourceView], which: impl Fn(&SourceView) -> bool) -> u32 {
    u32::try_from(sources.iter().filter(|source| which(source)).count()).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
