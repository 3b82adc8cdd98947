//! The tracker's index, as a plain state machine: who is there, which contents exist, who has which chunks.
//!
//! Pure: time (`now_ms`, milliseconds since 1970) and randomness are passed in, nothing here touches a
//! socket, a file or a clock. Calls change memory at once; what must outlive the process is collected
//! and taken with [`Index::take_changes`], what must be told to others is pulled with [`Index::poll`]
//! by each session when [`Index::tick`] names it.
//!
//! Invariants: a peer is in a swarm exactly while it is here and has at least one chunk; a row
//! exists exactly while some peer has an entry for it; no call costs more than in proportion to what it
//! was given, the caller's own list, or (search) the catalogue; never to a swarm.

mod bans;
mod chunks;
mod expiry;
mod file;
mod forget;
mod link;
mod list;
mod locations;
mod log;
mod peer;
mod presence;
mod query;
mod quota;
mod register;
mod restore;
mod session;
mod slab;
mod swarm;
mod usage;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use common::id::{ContentId, PeerId};
use common::limits::MAX_FILES_PER_PEER;
use common::wire::Code;

use crate::record::{BanRecord, Change, Target};
use expiry::Expiry;
use file::File;
use forget::What;
use log::{ChangeLog, MAX_CHANGES};
use peer::Peer;
use session::Session;
use slab::Slab;
use usage::Usage;

pub use bans::{Expelled, MAX_BANS, MAX_REASON, ban_text};
pub use chunks::Progress;
pub(crate) use chunks::merge_slice;
pub use forget::FORGET_SLICE;
pub use list::{Page, SLICE, Search};
pub use locations::Locations;
pub use presence::{Arrival, Arrived, Settled};
pub use quota::{GROUP_PART, GroupLimits};
pub use usage::{PeerUse, Taken};

/// How long what an absent peer shares is remembered if nobody of another address group ever had it. A
/// machine that is off for a night is still listed in the morning; what a stranger made up is not for long.
const LONE_MS: u64 = 12 * 3600 * 1000;

/// One connection's lifetime; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

/// Bounds that an operator may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Contents one peer may register.
    pub files_per_peer: usize,
    /// What one peer's entries, names and chunk sets may take, in bytes of memory.
    pub bytes_per_peer: u64,
    /// Peers known: strangers make keys for nothing (a peer takes about 400 bytes).
    pub peers: usize,
    /// Rows in the catalogue: strangers with many keys must not fill the memory (a row takes about 600 bytes).
    pub rows: usize,
    /// What all that is remembered may take, in bytes of memory: with the longest names a row takes three
    /// times what it takes with ordinary ones. The disk needs less.
    pub bytes: u64,
    /// Bounds by address group; `None` where only those are let in who know a secret.
    pub per_group: Option<GroupLimits>,
    /// How long a lost peer is kept, in milliseconds: a router restart, a laptop changing networks.
    pub grace_ms: u64,
    /// How long an absent peer's shares are remembered, in milliseconds.
    pub forget_ms: u64,
    /// How long those of them are remembered that nobody of another address group ever had.
    pub lone_ms: u64,
    /// Catalogue changes remembered for readers that fell behind.
    pub changes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files_per_peer: MAX_FILES_PER_PEER,
            // What MAX_FILES_PER_PEER names of 255 bytes take.
            bytes_per_peer: 128 << 20,
            peers: 1_000_000,
            rows: 2_000_000,
            // As many rows with names of some 40 bytes.
            bytes: 2 << 30,
            per_group: Some(GroupLimits::default()),
            grace_ms: 60_000,
            forget_ms: 30 * 24 * 3600 * 1000,
            lone_ms: LONE_MS,
            changes: MAX_CHANGES,
        }
    }
}

/// A request that cannot be carried out; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: Code,
    /// Why, for people.
    pub text: String,
    /// When it may work, in milliseconds from now; 0 if nothing is known of that.
    pub retry_ms: u32,
}

impl Refusal {
    fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_ms: 0 }
    }

    fn retry_in(self, retry_ms: u32) -> Self {
        Self { retry_ms, ..self }
    }
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connected peers.
    pub sessions: usize,
    /// Peers known, connected or remembered.
    pub peers: usize,
    /// Rows of the catalogue.
    pub files: usize,
    /// Pairs of a connected peer and a content it has chunks of.
    pub memberships: u64,
    /// Memory that all of it takes, estimated.
    pub bytes: u64,
    /// Who may not join.
    pub bans: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Index {
    limits: Limits,
    files: Slab<File>,
    by_id: HashMap<ContentId, u32>,
    /// All rows in the order of their folded names: reading the whole catalogue page by page costs no more
    /// than its length.
    by_name: BTreeMap<(Arc<str>, ContentId), u32>,
    peers: Slab<Peer>,
    by_key: HashMap<PeerId, u32>,
    sessions: HashMap<SessionId, Session>,
    last_session: u64,
    /// Last stamp given to a change that watchers see.
    last_stamp: u64,
    memberships: u64,
    log: ChangeLog,
    /// Rows changed since the last tick.
    dirty_rows: HashSet<ContentId>,
    /// Watched contents whose sources changed since the last tick.
    dirty_sources: HashSet<ContentId>,
    catalogue_watchers: HashSet<SessionId>,
    watchers: HashMap<ContentId, Vec<SessionId>>,
    /// Who said to have chunks of a content that nobody has registered.
    orphans: HashMap<ContentId, Vec<SessionId>>,
    /// Sessions with something to be told at the next tick, beside what watches find.
    to_wake: HashSet<SessionId>,
    grace: Expiry,
    forget: Expiry,
    /// Before this nobody is forgotten altogether, in milliseconds.
    forget_all_from: u64,
    /// By handle: absent peers of which something is still to be dropped.
    forgetting: BTreeSet<(u32, What)>,
    usage: Usage,
    bans: BTreeMap<Target, BanRecord>,
    changes: Vec<Change>,
}

impl Index {
    /// Nobody there, nothing known.
    pub fn new(limits: Limits) -> Self {
        let log = ChangeLog::new(limits.changes);
        Self {
            limits,
            files: Slab::new(),
            by_id: HashMap::new(),
            by_name: BTreeMap::new(),
            peers: Slab::new(),
            by_key: HashMap::new(),
            sessions: HashMap::new(),
            last_session: 0,
            last_stamp: 0,
            memberships: 0,
            log,
            dirty_rows: HashSet::new(),
            dirty_sources: HashSet::new(),
            catalogue_watchers: HashSet::new(),
            watchers: HashMap::new(),
            orphans: HashMap::new(),
            to_wake: HashSet::new(),
            grace: Expiry::default(),
            forget: Expiry::default(),
            forget_all_from: 0,
            forgetting: BTreeSet::new(),
            usage: Usage::default(),
            bans: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// What must be stored since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Lets time pass: removes who is due, and enters what changed since the last tick where readers
    /// find it. Returns the sessions for which [`Index::poll`] has something.
    pub fn tick(&mut self, now_ms: u64) -> Vec<SessionId> {
        self.expire(now_ms);
        self.usage.tidy(quota::minute(now_ms));
        self.publish()
    }

    /// Numbers for metrics.
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            peers: self.by_key.len(),
            files: self.by_id.len(),
            memberships: self.memberships,
            bytes: self.usage.all().bytes,
            bans: self.bans.len(),
        }
    }

    fn session_peer(&self, session: SessionId) -> Option<u32> {
        self.sessions.get(&session).map(|session| session.peer)
    }
}

/// A session that was replaced or has ended asked for something.
fn replaced() -> Refusal {
    Refusal::new(Code::Duplicate, "this connection was replaced by a newer one of the same peer")
}
