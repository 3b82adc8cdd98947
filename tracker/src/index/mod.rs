//! The tracker's index, as a plain state machine: who is there, which contents exist, who has which chunks.
//!
//! Pure: time (`now_ms`, milliseconds since 1970) and randomness are passed in, nothing here touches a
//! socket, a file or a clock. Calls change memory at once; what must outlive the process is collected
//! and taken with [`Index::take_changes`], what must be told to others is pulled with [`Index::poll`]
//! by each session when [`Index::tick`] names it.
//!
//! Invariants: a peer is in a swarm exactly while it is here and has at least one chunk; a row
//! exists exactly while some peer has an entry for it; no call costs more than in proportion to what it
//! was given, never to a swarm, the catalogue or a list of somebody's shares: what does is done in steps
//! ([`Index::work`], [`Index::advance`], [`Index::expel_some`]).

mod asking;
mod bans;
mod catalogue;
mod chunks;
mod claims;
mod copies;
mod entries;
mod entry;
mod expiry;
mod file;
mod finding;
mod forget;
mod grams;
mod ids;
mod inside;
mod invited;
mod link;
mod list;
mod locations;
mod log;
mod members;
mod order;
mod pace;
mod page;
mod peer;
mod pick;
mod presence;
mod punch;
mod push;
mod query;
mod quota;
mod reach;
mod register;
mod restore;
mod rules;
mod session;
mod slab;
mod steps;
mod swarm;
mod usage;
mod watch;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use common::id::{ContentId, PeerId};
use common::limits::MAX_FILES_PER_PEER;
use common::wire::Code;

use crate::record::{BanRecord, Change, Target};
use catalogue::Catalogue;
use claims::Digesting;
use copies::Copies;
use expiry::Expiry;
use file::File;
use ids::Ids;
use inside::Inside;
use invited::Invited;
use log::{ChangeLog, MAX_CHANGES};
use pace::{Paced, Watchers};
use peer::Peer;
use push::Deltas;
use session::Session;
use slab::Slab;
use usage::Usage;
use watch::Round;

pub use bans::{Expelled, Expulsion, MAX_BANS, MAX_REASON, ban_text};
pub use chunks::Progress;
pub(crate) use chunks::merge_slice;
pub use finding::{Find, Found};
pub use inside::Told;
pub use invited::{MAX_INVITE_NAME, MAX_INVITES, MAX_MEMBERS};
pub(crate) use invited::{no_such_invitation, not_invited};
pub use list::{COUNTED, SLICE, Search};
pub use locations::Locations;
pub use members::{MemberPage, MemberSearch, Members};
pub use page::Page;
pub use presence::{Arrival, Arrived, Settled};
pub use push::{Push, Shared};
pub use quota::{GROUP_PART, GroupLimits};
pub use reach::named_outside;
pub use usage::{PeerUse, Taken};
pub use work::{WORK_SLICE, Worked};

/// How long what an absent peer shares is remembered if nobody of another address group ever had it. A
/// machine that is off for a night is still listed in the morning; what a stranger made up is not for long.
const LONE_MS: u64 = 12 * 3600 * 1000;

/// A list that people look at: sooner, and a busy network would be told of most of its rows over and over.
const RECOUNT_MS: u64 = 2_000;

/// One connection's lifetime; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// In which of so many parts of a table it stands.
    pub(crate) fn part(self, parts: usize) -> usize {
        common::numbers::saturate::<usize>(self.0).checked_rem(parts).unwrap_or(0)
    }
}

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
    /// What the names of files inside folders may take that one peer gave, in bytes of memory: those of 200,000 files
    /// and more.
    pub names_per_peer: u64,
    /// What all such names may take: they are of use, but what is shared comes first.
    pub names: u64,
    /// Bounds by address group; `None` where only those are let in who know a secret.
    pub per_group: Option<GroupLimits>,
    /// How long a lost peer is kept, in milliseconds: a router restart, a laptop changing networks.
    pub grace_ms: u64,
    /// How long an absent peer's shares are remembered, in milliseconds.
    pub forget_ms: u64,
    /// How long those of them are remembered that nobody of another address group ever had.
    pub lone_ms: u64,
    /// Least time between two rounds in which those who watch the catalogue are told how many sources rows have, in
    /// milliseconds.
    pub recount_ms: u64,
    /// Catalogue changes remembered for readers that fell behind.
    pub changes: usize,
    /// Comparisons of a search in one slice.
    pub looks: usize,
    /// Matches of a search up to which each is looked at to count them; of more it is said how many may match.
    pub counted: usize,
    /// Entries of a peer that one call goes through at most; the rest is done by [`Index::work`].
    pub slice: usize,
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
            names_per_peer: 16 << 20,
            names: 256 << 20,
            per_group: Some(GroupLimits::default()),
            grace_ms: 60_000,
            forget_ms: 30 * 24 * 3600 * 1000,
            lone_ms: LONE_MS,
            recount_ms: RECOUNT_MS,
            changes: MAX_CHANGES,
            looks: SLICE,
            counted: COUNTED,
            slice: WORK_SLICE,
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

    /// It may work in so many milliseconds.
    pub(crate) fn later(text: impl Into<String>, retry_ms: u32) -> Self {
        Self::new(Code::Busy, text).retry_in(retry_ms)
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
    /// Those of them that are in the network: they have not left, and their digest is compared.
    pub members: usize,
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
    /// Rows of which no connected peer has every chunk.
    pub uncopied: usize,
    /// Rows of which exactly one connected peer has every chunk.
    pub copied_once: usize,
}

#[derive(Debug)]
pub struct Index {
    limits: Limits,
    files: Slab<File>,
    by_id: Ids,
    /// By what they are found and put in order.
    catalogue: Catalogue,
    /// Folders by the names of the files inside.
    inside: Inside,
    peers: Slab<Peer>,
    by_key: HashMap<PeerId, u32>,
    /// All who are here.
    roll: BTreeMap<members::Place, u32>,
    sessions: HashMap<SessionId, Session>,
    last_session: u64,
    /// Last stamp given to a change that watchers see.
    last_stamp: u64,
    memberships: u64,
    copies: Copies,
    log: ChangeLog,
    deltas: Deltas,
    /// Rows changed since the last tick.
    dirty_rows: BTreeSet<ContentId>,
    /// Rows that have more or fewer sources since that was last told.
    recounted: BTreeSet<ContentId>,
    /// When it is told again, in milliseconds.
    recount_at: u64,
    /// Watched contents whose sources changed since the last tick.
    dirty_sources: BTreeSet<ContentId>,
    /// What changed before that, as far as it is not entered yet where readers find it.
    round: Round,
    catalogue_watchers: HashSet<SessionId>,
    watchers: HashMap<ContentId, Watchers>,
    paced: Paced,
    /// Who said to have chunks of a content that nobody has registered.
    orphans: HashMap<ContentId, Vec<SessionId>>,
    /// Sessions with something to be told at the next tick, beside what watches find.
    to_wake: BTreeSet<SessionId>,
    grace: Expiry,
    forget: Expiry,
    /// Before this nobody is forgotten altogether, in milliseconds.
    forget_all_from: u64,
    /// Peers whose entries are gone through, or dropped.
    tasks: BTreeSet<u32>,
    /// The peer whose turn it was last.
    turn: Option<u32>,
    /// Peers that wait for their digest to be compared, first come first.
    claims: BTreeMap<u64, u32>,
    last_claim: u64,
    /// The digest that is being made for the first of them.
    digesting: Option<Digesting>,
    usage: Usage,
    invited: Invited,
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
            by_id: Ids::default(),
            catalogue: Catalogue::default(),
            inside: Inside::default(),
            peers: Slab::new(),
            by_key: HashMap::new(),
            roll: BTreeMap::new(),
            sessions: HashMap::new(),
            last_session: 0,
            last_stamp: 0,
            memberships: 0,
            copies: Copies::default(),
            log,
            deltas: Deltas::default(),
            dirty_rows: BTreeSet::new(),
            recounted: BTreeSet::new(),
            recount_at: 0,
            dirty_sources: BTreeSet::new(),
            round: Round::default(),
            catalogue_watchers: HashSet::new(),
            watchers: HashMap::new(),
            paced: Paced::default(),
            orphans: HashMap::new(),
            to_wake: BTreeSet::new(),
            grace: Expiry::default(),
            forget: Expiry::default(),
            forget_all_from: 0,
            tasks: BTreeSet::new(),
            turn: None,
            claims: BTreeMap::new(),
            last_claim: 0,
            digesting: None,
            usage: Usage::default(),
            invited: Invited::default(),
            bans: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// How many changes wait for [`Self::take_changes`].
    pub(crate) fn unstored(&self) -> usize {
        self.changes.len()
    }

    /// What must be stored since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Lets time pass: removes who is due, and enters what changed since the last tick where readers
    /// find it, as far as one step may. Returns the sessions for which [`Index::poll`] has something.
    pub fn tick(&mut self, now_ms: u64) -> Vec<SessionId> {
        self.usage.tidy(quota::minute(now_ms));
        let due = self.work(now_ms, self.limits.slice);
        let mut readers = due.readers;
        if self.begin_round(now_ms) {
            readers.extend(self.publish_some());
        }
        readers
    }

    /// Numbers for metrics.
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            members: self.roll.len(),
            peers: self.by_key.len(),
            files: self.by_id.len(),
            memberships: self.memberships,
            bytes: self.usage.all().bytes,
            bans: self.bans.len(),
            uncopied: self.uncopied(),
            copied_once: self.copied_once(),
        }
    }

    /// The row of a content.
    fn row_of(&self, id: &ContentId) -> Option<u32> {
        self.by_id.get(id, &self.files)
    }

    fn session_peer(&self, session: SessionId) -> Option<u32> {
        self.sessions.get(&session).map(|session| session.peer)
    }
}

/// A session that was replaced or has ended asked for something.
fn replaced() -> Refusal {
    Refusal::new(Code::Duplicate, "this connection was replaced by a newer one of the same peer")
}
