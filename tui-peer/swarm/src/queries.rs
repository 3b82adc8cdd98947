//! Questions to the core, for snapshots and decisions of the shell.

use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};
use common::merkle::ChunkHashes;
use common::numbers::saturate;

use super::body::Body;
use super::conn::Conn;
use super::event::ConnId;
use super::link::Has;
use super::node::Node;
use super::senders::Senders;
use super::time::Time;
use super::view::{ConnView, ContentView, DialState, Rates, SourceView, SourceWord, Touched};

/// A source this much slower than the fastest is called slow.
const SLOW: f64 = 8.0;

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

    /// Whether a content lacks something that no connected peer has. Cheap.
    pub fn is_stuck(&self, id: &ContentId) -> bool {
        self.contents.get(id).is_some_and(|content| content.is_stuck())
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
            contents: saturate::<u32>(conn.handles.len()),
            rtt_ms: conn.rtt.map(millis),
        })
    }

    /// Payload requests under way at a connection.
    pub fn pending(&self, at: ConnId) -> usize {
        self.conns.get(&at).map_or(0, Conn::pending)
    }

    /// Whether anything of a request is still to come: it is under way, or was cancelled and has not ended.
    pub fn awaits(&self, at: ConnId, rid: u32) -> bool {
        let conn = self.conns.get(&at);
        conn.is_some_and(|c| c.requests.contains_key(&rid) || c.cancelled.contains_key(&rid))
    }

    /// Which chunks of a content may stand otherwise since this was asked last; a list is kept from
    /// the first time on, until [`Self::unwatch`].
    pub fn touched(&mut self, id: &ContentId) -> Touched {
        let body = self.contents.get_mut(id).and_then(|content| content.body.as_mut());
        body.map(|body| body.stats.take_touched()).unwrap_or_default()
    }

    /// Somebody looks at the chunks of this content from now on: all of them may stand otherwise.
    pub fn watch_chunks(&mut self, id: &ContentId) {
        if let Some(body) = self.contents.get_mut(id).and_then(|content| content.body.as_mut()) {
            body.stats.watch();
        }
    }

    /// Nobody looks at the chunks of this content any more.
    pub fn unwatch(&mut self, id: &ContentId) {
        let body = self.contents.get_mut(id).and_then(|content| content.body.as_mut());
        if let Some(body) = body {
            body.stats.unwatch();
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
                let pending = saturate::<u32>(conn.pending());
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
                    pipe: (pending, saturate::<u32>(fit.max(2))),
                    rtt_ms: conn.rtt.map(millis),
                    choked_by: link.choked_by,
                    interested_in: link.interested,
                    choking: link.choking,
                    interesting: link.interesting,
                })
            })
            .collect();
        let (unavailable, copies) = body.stats.scarcity(body.seeds);
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
            stuck: content.is_stuck(),
            sources,
        })
    }
}

fn count(sources: &[SourceView], which: impl Fn(&SourceView) -> bool) -> u32 {
    saturate::<u32>(sources.iter().filter(|source| which(source)).count())
}

fn millis(duration: Duration) -> u32 {
    saturate::<u32>(duration.as_millis())
}
