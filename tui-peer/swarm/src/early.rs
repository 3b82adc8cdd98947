//! What goes out to a peer that was just dialled before its HELLO is here, two round trips sooner than if each answer
//! were waited for: OPEN of one content, and its first questions.
//!
//! Any peer reads it after our HELLO has passed with it, and answers as ever: what it does not open, or does not let
//! us ask for, it rejects. Of what it sends nothing is read before its own HELLO, and then it has to fit and prove
//! itself like all else. A chunk that comes before its hash is known is thrown away.

use common::content::Kind;
use common::id::ContentId;
use common::merkle::HashRange;
use common::numbers::saturate;
use common::wire::peer::PeerMsg;

use super::body::Body;
use super::conn::{Asked, Conn};
use super::content::{Content, ManifestFetch};
use super::event::ConnId;
use super::node::{Cx, Node};
use super::request::first_missing;
use super::time::Time;

/// Payload asked for early, in bytes, or one chunk if that is longer: more than a new TCP connection carries (10
/// segments, then 20, then 40) until requests come that its first answers made possible.
const PAYLOAD: u64 = 128 << 10;
/// Chunks whose hashes are asked for early: their 512 bytes and proof leave room for payload in the first segments,
/// and they are enough to ask for until the hashes of the others are here.
const HASHES: u16 = 16;
/// Chunks looked at for one that is to be had.
const LOOK: usize = 1024;

/// What to ask for: hashes of a file, if need be, and chunks.
struct Early {
    hashes: Option<(u32, HashRange)>,
    chunks: Vec<u32>,
}

impl Node {
    /// Opens one content with a peer that was reached, and asks for its first things if the tracker says that the
    /// peer has all of it. It is little, whatever the peer makes of it.
    pub(super) fn ask_early(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get(&at) else { return };
        // It broke off what it began: it has to show itself first.
        if conn.rests_until > cx.now {
            return;
        }
        // One that has something to ask for, and of these the one with the fewest sources.
        let rank = |id: &ContentId| {
            let content = self.contents.get(id)?;
            let opens = self.opens_early(content, conn, cx.now);
            let useless = !has_all(content, conn) && !lacks_list(content);
            opens.then_some((useless, content.links.len(), *id))
        };
        let Some((_, _, id)) = self.live.iter().filter_map(rank).min() else { return };
        let Some(handle) = self.say_open(cx, at, id) else { return };
        let Some(content) = self.contents.get(&id) else { return };
        // Payload is taken in as slowly as a limit wants, and what follows on the connection with it: before the answers
        // to all that is opened on it, it would hold those up.
        if self.shaping.is_limited(content) {
            return;
        }
        match content.body.is_some() {
            true => self.ask_chunks_early(cx, at, id, handle),
            false => self.ask_list_early(cx, at, id, handle),
        }
    }

    fn opens_early(&self, content: &Content, conn: &Conn, now: Time) -> bool {
        content.is_active()
            && content.rest_until <= now
            && content.known.contains_key(&conn.peer)
            && content.retry.get(&conn.peer).is_none_or(|when| *when <= now)
            // Nobody has to go for a peer that is not known to be a member.
            && content.links.len() < self.cfg.max_links
    }

    fn ask_chunks_early(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, handle: u16) {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return;
        };
        let Some(body) = content.body.as_ref() else { return };
        let chunks = body.layout.chunks();
        let sources = content.known.len() as u64;
        let payload = PAYLOAD.min(self.cfg.start_depth / sources.max(1));
        let has_room = self.may_reserve(content, body.usual_len());
        // In order the next chunk is what is waited for: others that may be asked for it need not wait for this HELLO.
        let others = sources > 1 || !content.links.is_empty();
        let waited_for = content.policy.sequential && others;
        if !has_all(content, conn) || waited_for || !has_room || chunks == 0 {
            return;
        }
        let from = match content.policy.sequential {
            true => first_missing(&body.have),
            false => self.rng.u32(..chunks),
        };
        let Some(early) = choose(body, from, payload) else { return };
        if let Some(hashes) = early.hashes {
            self.ask_hashes_early(cx, at, id, handle, hashes);
        }
        for chunk in early.chunks {
            self.request_on(cx, at, id, handle, chunk);
        }
    }

    /// Asks for hashes under a handle that is not open yet. Whoever is open before is asked for them too: what becomes
    /// of these changes nothing in what is planned.
    fn ask_hashes_early(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        id: ContentId,
        handle: u16,
        (file, range): (u32, HashRange),
    ) {
        let body = self.contents.get(&id).and_then(|content| content.body.as_ref());
        let (Some(body), Some(conn)) = (body, self.conns.get_mut(&at)) else { return };
        let rid = conn.rid();
        let question = Asked::Hashes { id, file, range, since: cx.now, early: true };
        conn.requests.insert(rid, question);
        let (level, HashRange { index, count }) = (body.layout.chunk_level(), range);
        cx.send(at, PeerMsg::HashReq { handle, rid, file, level, index, count });
    }

    /// Asks for the beginning of a folder's list of files.
    fn ask_list_early(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, handle: u16) {
        let (Some(content), Some(conn)) = (self.contents.get_mut(&id), self.conns.get_mut(&at))
        else {
            return;
        };
        let Some(descriptor) = content.descriptor.filter(|_| lacks_list(content)) else { return };
        let most = saturate::<u32>(PAYLOAD);
        let len = saturate::<u32>(descriptor.size).min(most);
        let rid = conn.rid();
        conn.wake(cx.now);
        conn.requests.insert(rid, Asked::Meta { id, len, got: 0 });
        let slices = vec![(rid, false)];
        content.manifest = Some(ManifestFetch { conn: at, next: len, slices, delivered: 0 });
        cx.send(at, PeerMsg::MetaReq { handle, rid, off: 0, len });
    }
}

/// Whether the tracker says that the peer has all of it.
fn has_all(content: &Content, conn: &Conn) -> bool {
    let chunks = content.body.as_ref().map_or(u32::MAX, |body| body.layout.chunks());
    content.known.get(&conn.peer).is_some_and(|hint| hint.have >= chunks)
}

/// Whether it is a folder whose list of files nobody was asked for.
fn lacks_list(content: &Content) -> bool {
    let folder = content.descriptor.is_some_and(|descriptor| descriptor.kind == Kind::Folder);
    folder && content.body.is_none() && content.manifest.is_none()
}

/// The first chunk from `from` on that is to be had, those behind it that make no more than `payload` bytes with it,
/// and the hashes that are missing for them.
fn choose(body: &Body, from: u32, payload: u64) -> Option<Early> {
    let free = |chunk: &u32| {
        body.lacks(*chunk) && !body.flights.contains_key(chunk) && !body.doubted.contains(*chunk)
    };
    let chunks = body.layout.chunks();
    let first = (from..chunks).chain(0..from).take(LOOK).find(free)?;
    let place = body.layout.place(body.layout.chunk(first)?);
    let file = u32::try_from(place.file).ok()?;
    let missing = body.hashes.get(place.file)?.missing_range_for(place.chunk_in_file);
    let hashes = missing.map(|range| {
        let count = range.count.min(HASHES);
        let index = place.chunk_in_file / u32::from(count) * u32::from(count);
        (file, HashRange { index, count })
    });
    let coming = hashes.map_or(0..0, |(file, range)| body.chunks_of(file, range));
    let (mut bytes, mut chosen) = (0, Vec::new());
    for chunk in (first..chunks).take(usize::from(HASHES)).filter(free) {
        let len = u64::from(body.len(chunk));
        if bytes > 0 && bytes + len > payload {
            break;
        }
        if coming.contains(&chunk) || body.hash(chunk).is_some() {
            bytes += len;
            chosen.push(chunk);
        }
    }
    Some(Early { hashes, chunks: chosen })
}
