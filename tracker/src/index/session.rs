//! What a connection watches, and what it has been told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use common::id::{ContentId, PeerId};

use super::asking::Asking;

/// Answers remembered so that a watch begun right after one continues from it: asking before watching
/// is what a download does.
pub(super) const MAX_RECENT: usize = 16;

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    /// Whose it is.
    pub(super) peer: u32,
    /// The tracker's address as this peer sees it.
    pub(super) via: IpAddr,
    /// The peer's address as the tracker sees it.
    pub(super) observed: IpAddr,
    /// The same in the other family, if it has shown that it is there too.
    pub(super) other: Option<IpAddr>,
    /// Whether it understands numbers of sources without their rows.
    pub(super) counts: bool,
    /// Up to where it has read the change log, if it watches the catalogue.
    pub(super) cursor: Option<u64>,
    /// By watched content.
    pub(super) watches: HashMap<ContentId, Watch>,
    /// Watched contents whose sources changed, each once (see [`Watch::queued`]).
    pub(super) queue: VecDeque<ContentId>,
    /// Last answers about sources of contents that are not watched.
    pub(super) recent: VecDeque<(ContentId, Told)>,
    /// Contents it has chunks of that nobody has registered yet.
    pub(super) orphans: HashSet<ContentId>,
    /// Contents whose full chunk sets it should send again.
    pub(super) resend: Vec<ContentId>,
    /// Who cannot reach its peer.
    pub(super) asking: Asking,
    /// Who is to be called by its peer while it calls that: apart, so that no surer way has less room for it.
    pub(super) calls: Asking,
    /// The port its connection comes from, if the peer listens there too, and calls others from there when asked to.
    pub(super) punches_from: Option<u16>,
    /// Whether the peer was reached where it is seen; `None` as long as that is not known.
    pub(super) reached: Option<bool>,
}

/// Sources a peer was told of, each with the stamp of what was said.
pub(super) type Told = HashMap<PeerId, u64>;

/// A watched content.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) told: Told,
    pub(super) queued: bool,
    /// The round in which it was last told how far its sources have come (see `pace.rs`).
    pub(super) round: Option<u64>,
}

impl Session {
    pub(super) fn new(peer: u32, via: IpAddr, observed: IpAddr) -> Self {
        Self {
            peer,
            via,
            observed,
            other: None,
            counts: false,
            cursor: None,
            watches: HashMap::new(),
            queue: VecDeque::new(),
            recent: VecDeque::new(),
            orphans: HashSet::new(),
            resend: Vec::new(),
            asking: Asking::default(),
            calls: Asking::default(),
            punches_from: None,
            reached: None,
        }
    }

    /// Whether it watches the sources of a content, or has just asked for them.
    pub(super) fn seeks(&self, id: &ContentId) -> bool {
        self.watches.contains_key(id) || self.recent.iter().any(|(known, _)| known == id)
    }

    /// Remembers an answer about sources; the list is bounded.
    pub(super) fn remember(&mut self, id: ContentId, told: Told) {
        self.recent.retain(|(known, _)| *known != id);
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((id, told));
    }

    /// Takes what was last answered about a content.
    pub(super) fn recall(&mut self, id: &ContentId) -> Told {
        let at = self.recent.iter().position(|(known, _)| known == id);
        at.and_then(|at| self.recent.remove(at)).map(|(_, told)| told).unwrap_or_default()
    }

    /// Puts a watched content in the queue, unless it is there.
    pub(super) fn enqueue(&mut self, id: ContentId) {
        if let Some(watch) = self.watches.get_mut(&id).filter(|watch| !watch.queued) {
            watch.queued = true;
            self.queue.push_back(id);
        }
    }
}
