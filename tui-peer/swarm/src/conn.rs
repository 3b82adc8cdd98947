//! What the core keeps for one connection.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::limits::{MAX_DATA_LEN, MIN_DATA_LEN};
use common::merkle::HashRange;
use common::net::AddrGroup;

use super::answers::Questions;
use super::event::{ConnId, Route};
use super::line::Line;
use super::rate::{Rate, Round};
use super::time::Time;

/// A round trip before it is known.
const USUAL_RTT: Duration = Duration::from_millis(100);
/// Weight of the last chunk in a source's pace.
const PACE_WEIGHT: f64 = 0.25;
/// Seconds between chunks from which on a rate over two seconds says too little.
const SLOW_ROUND: f64 = 0.4;
/// What a source did before says little if its next chunk has taken so many times longer already.
const OVERDUE: f64 = 2.0;
/// A source is slow if a chunk of it takes longer than this, or if it has finished none for so long.
const SLOW_CHUNK: Duration = Duration::from_secs(4);
/// Requests that were not begun are given up if the one before takes so many times longer than usual.
const GIVEN_UP: u32 = 4;
/// A chunk that was begun stands still if nothing of it came for so long,
const STANDS_STILL: Duration = Duration::from_secs(1);
/// and for so many times longer than the smallest frame takes, which a source whose pace is not known is given
/// [`SLOW_CHUNK`] for.
const FRAMES: f64 = 4.0;

/// A path is taken for broken if what was asked for brings nothing, nor anything else comes, for so long: another is
/// tried.
const SILENT: Duration = Duration::from_secs(5);
/// The same where the other side says so by coming over another path: it has waited as long as that, and noticed it a
/// little sooner.
const SILENT_TO_OTHERS: Duration = Duration::from_secs(4);
/// Who sends nothing of what it was asked for is asked for a sign of life after so long: one whose turns are far apart
/// answers that.
pub(super) const ASK_ALIVE: Duration = Duration::from_secs(2);

/// One connection to one peer.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) peer: PeerId,
    /// Whether we dialled: then our handles are even and theirs odd.
    pub(super) dialed: bool,
    /// Over what it goes.
    pub(super) route: Route,
    /// Over how many TCP connections.
    pub(super) streams: usize,
    /// Its HELLO has passed.
    pub(super) greeted: bool,
    /// Whose connections count as one with it where places are scarce; none if it is exempt.
    pub(super) group: Option<AddrGroup>,
    /// A key of its address was banned before it came: until then it is the first to lose its place.
    pub(super) suspect_until: Time,
    /// Most bytes it lets us have queued.
    pub(super) max_queued: u64,
    /// Open contents by handle.
    pub(super) handles: BTreeMap<u16, ContentId>,
    /// OPENs of ours without an answer yet.
    pub(super) opening: BTreeMap<u16, (ContentId, Time)>,
    pub(super) next_handle: u16,
    /// Our live requests.
    pub(super) requests: BTreeMap<u32, Asked>,
    /// Requests we cancelled whose end has not been said; late answers to them are no fault.
    pub(super) cancelled: BTreeMap<u32, Asked>,
    /// Live requests that it was asked to give back, and the idle source they are for.
    pub(super) recalled: BTreeMap<u32, ConnId>,
    pub(super) next_rid: u32,
    /// Payload bytes requested and not yet received.
    pub(super) outstanding: u64,
    /// Contents that want more of it.
    pub(super) line: Line,
    /// It is to be looked at for those.
    pub(super) roomy: bool,
    /// When payload last arrived, or the first request of an idle connection went out.
    pub(super) progress: Time,
    /// Seconds per byte of its chunks, and since when the next one is on its way.
    pub(super) pace: (f64, Time),
    /// Stopped delivering: not asked until then.
    pub(super) snubbed_until: Option<Time>,
    /// It cannot serve just now: until when it is not asked, and how often in a row it said so.
    pub(super) busy: Option<(Time, u32)>,
    /// Broke off what it had begun: not asked until then.
    pub(super) rests_until: Time,
    /// Requests of the peer that wait here.
    pub(super) queue: VecDeque<Wanted>,
    /// Requests handed to the writer.
    pub(super) in_pipe: BTreeMap<u32, Piped>,
    /// Of which chunk of which content each of those is.
    pub(super) pipe_of: BTreeMap<u32, (ContentId, u32)>,
    /// When its writer last finished one of them, or had nothing before.
    pub(super) pipe_moved: Time,
    /// Whose turn it is to be served: the least.
    pub(super) turn: u64,
    pub(super) unchoked: bool,
    pub(super) down: Rate,
    /// What it sends in a round trip.
    pub(super) per_round: Round,
    pub(super) up: Rate,
    /// Bytes sent in the last minute or so: halved every thirty seconds.
    pub(super) recent_up: u64,
    /// A chunk of it was found good.
    pub(super) delivered: bool,
    pub(super) heard: Time,
    pub(super) ping: Option<(u64, Time)>,
    pub(super) pinged: Time,
    pub(super) rtt: Option<Duration>,
    /// Since when no content is open.
    pub(super) idle_since: Time,
    /// What it asks beside payload.
    pub(super) questions: Questions,
    /// It refused a question of ours for their number: none until then.
    pub(super) ask_after: Time,
    pub(super) rejects: u8,
    /// When it was made.
    pub(super) since: Time,
    /// Chunks that its messages gave or took, in the running period.
    pub(super) churn: (Time, u64),
}

/// A request of ours.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// A whole chunk, and when some of it last came.
    Chunk { id: ContentId, chunk: u32, len: u32, got: u32, moved: Time },
    /// Any chunk; the source has not said which yet.
    Any { id: ContentId, len: u32 },
    /// A slice of the manifest.
    Meta { id: ContentId, len: u32, got: u32 },
    /// Chunk hashes; `early`: before the content was open, beside what is planned.
    Hashes { id: ContentId, file: u32, range: HashRange, since: Time, early: bool },
}

impl Asked {
    pub(super) fn id(&self) -> ContentId {
        match self {
            Self::Chunk { id, .. }
            | Self::Any { id, .. }
            | Self::Meta { id, .. }
            | Self::Hashes { id, .. } => *id,
        }
    }

    /// Bytes of a chunk that have come, though the chunk is not whole.
    pub(super) fn got(&self) -> u64 {
        match self {
            Self::Chunk { got, .. } => u64::from(*got),
            _ => 0,
        }
    }

    /// Whether some of a chunk has come.
    pub(super) fn has_begun(&self) -> bool {
        self.got() > 0
    }

    /// Its time begins only now.
    pub(super) fn begin(&mut self, now: Time) {
        match self {
            Self::Chunk { moved: since, .. } | Self::Hashes { since, .. } => *since = now,
            Self::Any { .. } | Self::Meta { .. } => {}
        }
    }

    /// Whether it is about payload of this content.
    pub(super) fn is_chunk_of(&self, of: ContentId) -> bool {
        matches!(self, Self::Chunk { id, .. } | Self::Any { id, .. } if *id == of)
    }
}

/// A request that the writer has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piped {
    /// Its length in bytes.
    pub(super) len: u64,
    /// Its content, if that has an upload limit of its own: then it waits for that in the writer, and
    /// nobody else waits for it.
    pub(super) limited: Option<ContentId>,
}

/// A request of the peer.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Bytes of a chunk.
    Chunk { rid: u32, id: ContentId, chunk: u32, off: u32, len: u32 },
    /// Any chunk but these.
    Any { rid: u32, id: ContentId, except: std::sync::Arc<[u32]> },
    /// Bytes of the manifest.
    Meta { rid: u32, id: ContentId, off: u32, len: u32 },
}

impl Wanted {
    pub(super) fn rid(&self) -> u32 {
        match self {
            Self::Chunk { rid, .. } | Self::Any { rid, .. } | Self::Meta { rid, .. } => *rid,
        }
    }

    pub(super) fn id(&self) -> ContentId {
        match self {
            Self::Chunk { id, .. } | Self::Any { id, .. } | Self::Meta { id, .. } => *id,
        }
    }
}

impl Conn {
    pub(super) fn new(
        id: ConnId,
        peer: PeerId,
        dialed: bool,
        group: Option<AddrGroup>,
        max_queued: u32,
        now: Time,
    ) -> Self {
        Self {
            id,
            peer,
            dialed,
            route: Route::Direct,
            streams: 1,
            greeted: true,
            group,
            suspect_until: Time::ZERO,
            max_queued: u64::from(max_queued),
            handles: BTreeMap::new(),
            opening: BTreeMap::new(),
            next_handle: u16::from(!dialed),
            requests: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            recalled: BTreeMap::new(),
            next_rid: 0,
            outstanding: 0,
            line: Line::default(),
            roomy: false,
            progress: now,
            pace: (0.0, now),
            snubbed_until: None,
            busy: None,
            rests_until: Time::ZERO,
            queue: VecDeque::new(),
            in_pipe: BTreeMap::new(),
            pipe_of: BTreeMap::new(),
            pipe_moved: now,
            turn: 0,
            unchoked: false,
            down: Rate::default(),
            per_round: Round::default(),
            up: Rate::default(),
            recent_up: 0,
            delivered: false,
            heard: now,
            ping: None,
            pinged: Time::ZERO,
            rtt: None,
            idle_since: now,
            questions: Questions::default(),
            ask_after: Time::ZERO,
            rejects: 0,
            since: now,
            churn: (now, 0),
        }
    }

    /// Its round trip, or what is likely before it is known.
    pub(super) fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(USUAL_RTT)
    }

    /// Payload arrived.
    pub(super) fn count_down(&mut self, now: Time, bytes: u64) {
        self.down.add(now, bytes);
        self.per_round.add(now, bytes, self.rtt());
    }

    /// Whether we asked to open this content and have no answer yet.
    pub(super) fn is_opening(&self, id: &ContentId) -> bool {
        self.opening.values().any(|(opening, _)| opening == id)
    }

    /// A fresh request number.
    pub(super) fn rid(&mut self) -> u32 {
        let rid = self.next_rid;
        self.next_rid = self.next_rid.wrapping_add(1);
        rid
    }

    /// A fresh handle of our parity.
    pub(super) fn handle(&mut self) -> u16 {
        loop {
            let handle = self.next_handle;
            self.next_handle = self.next_handle.wrapping_add(2);
            if !self.handles.contains_key(&handle) && !self.opening.contains_key(&handle) {
                return handle;
            }
        }
    }

    /// How long nothing has come of it, though something was asked for; zero if nothing was.
    pub(super) fn silence(&self, now: Time) -> Duration {
        let waits = self.greeted && self.pending() > 0;
        if waits { now.since(self.heard.max(self.progress)) } else { Duration::ZERO }
    }

    /// Whether its path seems broken, beside what our own limit holds up and what a whole frame takes at its pace:
    /// nothing is heard of one before all of it is here, and no PONG passes it.
    pub(super) fn is_silent(&self, now: Time, ours: Duration) -> bool {
        let frame = Duration::from_secs_f64((self.pace.0 * MAX_DATA_LEN as f64).clamp(0.0, 60.0));
        self.silence(now) >= SILENT.max(ours).max(frame)
    }

    /// Whether it may be broken for a peer that comes over another path, or asks for one: we have not heard of it, or
    /// what it asked for does not get away.
    pub(super) fn is_silent_to_others(&self, now: Time) -> bool {
        let waits = self.in_pipe.values().any(|piped| piped.limited.is_none());
        let stuck = waits && now.since(self.pipe_moved) >= SILENT_TO_OTHERS;
        stuck || now.since(self.heard) >= SILENT_TO_OTHERS
    }

    /// Payload requests under way.
    pub(super) fn pending(&self) -> usize {
        let payload = |asked: &&Asked| !matches!(asked, Asked::Hashes { .. });
        self.requests.values().filter(payload).count()
    }

    /// Chunks of a content that the peer was asked to choose and has not.
    pub(super) fn any_pending(&self, id: &ContentId) -> usize {
        let any = |asked: &&Asked| matches!(asked, Asked::Any { id: of, .. } if of == id);
        self.requests.values().filter(any).count()
    }

    /// Chunks of a content that the peer began to send and has not finished.
    pub(super) fn begun(&self, id: &ContentId) -> usize {
        let begun = |asked: &&Asked| match asked {
            Asked::Chunk { id: of, len, got, .. } => of == id && *got > 0 && got < len,
            _ => false,
        };
        self.requests.values().filter(begun).count()
    }

    /// A request is about to go out: an idle connection's time begins.
    pub(super) fn wake(&mut self, now: Time) {
        if self.pending() == 0 {
            (self.progress, self.pace.1) = (now, now);
        }
    }

    /// A whole chunk arrived.
    pub(super) fn finished(&mut self, now: Time, len: u32) {
        let took = now.since(self.pace.1).as_secs_f64() / f64::from(len.max(1));
        let (pace, _) = self.pace;
        let pace = if pace > 0.0 { pace + (took - pace) * PACE_WEIGHT } else { took };
        self.pace = (pace, now);
    }

    /// Length of the largest request, in bytes; zero if there is none.
    pub(super) fn largest(&self) -> u64 {
        let len = self.requests.values().map(|asked| match asked {
            Asked::Chunk { len, .. } | Asked::Any { len, .. } | Asked::Meta { len, .. } => *len,
            Asked::Hashes { .. } => 0,
        });
        u64::from(len.max().unwrap_or(0))
    }

    /// Seconds between its chunks, as long as it is asked for some: its round over all whom it serves
    /// is part of it. Zero if unknown.
    pub(super) fn round(&self, len: u64) -> f64 {
        self.pace.0 * len as f64
    }

    /// Bytes per second to expect of it. A rate over two seconds says little of a source whose chunks
    /// come seconds apart; there the time between them counts.
    pub(super) fn speed(&self, now: Time, len: u64) -> f64 {
        if self.round(len) <= SLOW_ROUND {
            return self.down.get(now);
        }
        let waited = now.since(self.pace.1);
        let waits = waited > SLOW_CHUNK && self.pending() > 0;
        let waited = if waits { waited.as_secs_f64() } else { 0.0 };
        let (due, largest) = (self.pace.0 * OVERDUE, self.largest().max(1) as f64);
        OVERDUE / due.max(waited / largest)
    }

    /// Whether its chunks take long, by what it has sent, or has not.
    pub(super) fn is_slow(&self, now: Time, len: u64) -> bool {
        self.round(len) > SLOW_CHUNK.as_secs_f64()
            || (now.since(self.pace.1) > SLOW_CHUNK && self.pending() > 0)
    }

    /// Whether its next chunk should have been here long ago, longer than our own limit alone would hold it up.
    pub(super) fn is_overdue(&self, now: Time, ours: Duration) -> bool {
        let round = Duration::try_from_secs_f64(self.round(self.largest())).unwrap_or_default();
        now.since(self.pace.1) > SLOW_CHUNK.max(round * GIVEN_UP).max(ours)
    }

    /// Whether a chunk that it has begun stands still, longer than our own limit alone would hold it up.
    pub(super) fn stands_still(&self, now: Time, ours: Duration, asked: &Asked) -> bool {
        let Asked::Chunk { moved, .. } = asked else { return false };
        let frame = self.pace.0 * MIN_DATA_LEN as f64 * FRAMES;
        let patience = if frame > 0.0 { frame } else { SLOW_CHUNK.as_secs_f64() };
        let patience = patience.max(STANDS_STILL.max(ours).as_secs_f64());
        asked.has_begun() && now.since(*moved).as_secs_f64() > patience
    }

    /// The writer is done with a request; its length, if it had it.
    pub(super) fn out_of_pipe(&mut self, now: Time, rid: u32) -> Option<u64> {
        self.pipe_moved = now;
        self.in_pipe.remove(&rid).map(|piped| piped.len)
    }

    /// Requests, and bytes, handed to the writer and not yet written that take part in the turns.
    pub(super) fn piped(&self) -> (usize, u64) {
        let free = self.in_pipe.values().filter(|piped| piped.limited.is_none());
        free.fold((0, 0), |(requests, bytes), piped| (requests + 1, bytes + piped.len))
    }

    /// Requests handed to the writer of a content that has an upload limit of its own.
    pub(super) fn piped_limited(&self, id: &ContentId) -> usize {
        self.in_pipe.values().filter(|piped| piped.limited.as_ref() == Some(id)).count()
    }
}
