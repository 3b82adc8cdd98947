//! What the core keeps for one connection.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::merkle::HashRange;

use super::event::ConnId;
use super::rate::Rate;
use super::time::Time;

/// Longest chunk time that counts, in seconds: an idle connection has a low average, too.
const MOST_CHUNK_TIME: f64 = 10.0;

/// One connection to one peer.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) peer: PeerId,
    /// Whether we dialled: then our handles are even and theirs odd.
    pub(super) dialed: bool,
    /// Most bytes it lets us have queued.
    pub(super) max_queued: u64,
    /// Open contents by handle.
    pub(super) handles: HashMap<u16, ContentId>,
    /// OPENs of ours without an answer yet.
    pub(super) opening: HashMap<u16, (ContentId, Time)>,
    pub(super) next_handle: u16,
    /// Our live requests.
    pub(super) requests: HashMap<u32, Asked>,
    /// Requests we cancelled whose end has not been said; late answers to them are no fault.
    pub(super) cancelled: HashMap<u32, Asked>,
    pub(super) next_rid: u32,
    /// Payload bytes requested and not yet received.
    pub(super) outstanding: u64,
    /// When payload last arrived, or the first request of an idle connection went out.
    pub(super) progress: Time,
    /// Stopped delivering: not asked until then.
    pub(super) snubbed_until: Option<Time>,
    /// Requests of the peer that wait here.
    pub(super) queue: VecDeque<Wanted>,
    /// Requests handed to the writer, with their lengths.
    pub(super) in_pipe: HashMap<u32, u64>,
    /// Of which chunk of which content each of those is.
    pub(super) pipe_of: HashMap<u32, (ContentId, u32)>,
    /// When its writer last finished one of them, or had nothing before.
    pub(super) pipe_moved: Time,
    /// Whose turn it is to be served: the least.
    pub(super) turn: u64,
    pub(super) unchoked: bool,
    pub(super) down: Rate,
    pub(super) up: Rate,
    /// Bytes sent in the last minute or so: halved every thirty seconds.
    pub(super) recent_up: u64,
    pub(super) heard: Time,
    pub(super) ping: Option<(u64, Time)>,
    pub(super) pinged: Time,
    pub(super) rtt: Option<Duration>,
    /// Since when no content is open.
    pub(super) idle_since: Time,
    /// HASH_REQ and META_REQ answered in the running second.
    pub(super) cheap: (Time, u32),
    pub(super) rejects: u8,
    /// When it was made.
    pub(super) since: Time,
    /// Chunks that its messages gave or took, in the running period.
    pub(super) churn: (Time, u64),
}

/// A request of ours.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// A whole chunk.
    Chunk { id: ContentId, chunk: u32, len: u32, got: u32 },
    /// Any chunk; the source has not said which yet.
    Any { id: ContentId, len: u32 },
    /// A slice of the manifest.
    Meta { id: ContentId, len: u32, got: u32 },
    /// Chunk hashes.
    Hashes { id: ContentId, file: u32, range: HashRange, since: Time },
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

    /// Payload bytes it still stands for.
    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Chunk { len, got, .. } => u64::from(len.saturating_sub(*got)),
            Self::Any { len, .. } => u64::from(*len),
            Self::Meta { .. } | Self::Hashes { .. } => 0,
        }
    }

    /// Whether it is about payload of this content.
    pub(super) fn is_chunk_of(&self, of: ContentId) -> bool {
        matches!(self, Self::Chunk { id, .. } | Self::Any { id, .. } if *id == of)
    }
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
    pub(super) fn new(id: ConnId, peer: PeerId, dialed: bool, max_queued: u32, now: Time) -> Self {
        Self {
            id,
            peer,
            dialed,
            max_queued: u64::from(max_queued),
            handles: HashMap::new(),
            opening: HashMap::new(),
            next_handle: u16::from(!dialed),
            requests: HashMap::new(),
            cancelled: HashMap::new(),
            next_rid: 0,
            outstanding: 0,
            progress: now,
            snubbed_until: None,
            queue: VecDeque::new(),
            in_pipe: HashMap::new(),
            pipe_of: HashMap::new(),
            pipe_moved: now,
            turn: 0,
            unchoked: false,
            down: Rate::default(),
            up: Rate::default(),
            recent_up: 0,
            heard: now,
            ping: None,
            pinged: Time::ZERO,
            rtt: None,
            idle_since: now,
            cheap: (now, 0),
            rejects: 0,
            since: now,
            churn: (now, 0),
        }
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

    /// How long one of its chunks took so far, at its average rate since it connected; zero if unknown.
    pub(super) fn chunk_time(&self, now: Time) -> Duration {
        let len = self.requests.values().map(|asked| match asked {
            Asked::Chunk { len, .. } | Asked::Any { len, .. } | Asked::Meta { len, .. } => *len,
            Asked::Hashes { .. } => 0,
        });
        let (len, total) = (u64::from(len.max().unwrap_or(0)), self.down.total);
        let lived = now.since(self.since).as_secs_f64();
        if total == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((lived * len as f64 / total as f64).min(MOST_CHUNK_TIME))
    }

    /// The writer is done with a request; its length, if it had it.
    pub(super) fn out_of_pipe(&mut self, now: Time, rid: u32) -> Option<u64> {
        self.pipe_moved = now;
        self.in_pipe.remove(&rid)
    }

    /// Bytes handed to the writer and not yet written.
    pub(super) fn piped(&self) -> u64 {
        self.in_pipe.values().sum()
    }
}
