//! A peer: where it is, what it shares, what it has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use common::id::{Hash, PeerId};
use common::net::AddrGroup;

use super::SessionId;
use super::entries::Entries;
use super::entry::Entry;
use super::rules::Rules;
use super::steps::{Claim, Forget, Pass};
use super::usage::PEER_BYTES;
use crate::record::PeerRecord;

/// One peer, connected or remembered.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) nick: String,
    pub(super) presence: Presence,
    pub(super) endpoint: Endpoint,
    /// Under which folded nick it stands among the members, while it is here.
    pub(super) on_roll_as: Option<Arc<str>>,
    /// When it came, in seconds since 1970; one that was lost for a moment never went.
    pub(super) since: u64,
    /// By file handle, in an order in which they can be gone through bit by bit.
    pub(super) files: Entries,
    /// What has happened to all of them.
    pub(super) rules: Rules,
    /// How far they have been gone through since; `None` when all have been.
    pub(super) pass: Option<Pass>,
    /// What is to be dropped of it while it is away.
    pub(super) forget: Option<Forget>,
    /// The digest it came with, until that is compared.
    pub(super) claim: Option<Claim>,
    /// What came out of the last comparison.
    pub(super) share_ok: Option<bool>,
    /// Entries that are shares.
    pub(super) shares: usize,
    /// Digest of the shares, while it is known.
    pub(super) digest: Option<Hash>,
    /// Which full list a share was last named in.
    pub(super) generation: u32,
    /// Files named so far in a full list that is not finished.
    pub(super) listing: Option<usize>,
    /// Whether a hello with the right digest would change nothing: every share counts as complete, and
    /// everything stands in its swarm.
    pub(super) settled: bool,
    /// Heap bytes of all chunk sets.
    pub(super) set_bytes: usize,
    /// All it takes, sets included, beside the rows it brought.
    pub(super) bytes: u64,
    /// What the names take that it gave of files inside folders; it is among that.
    pub(super) names: u64,
    /// Where it was last seen; `None` in records of an older tracker.
    pub(super) group: Option<AddrGroup>,
    /// Seconds since 1970.
    pub(super) last_seen: u64,
    /// When it is looked at next whether to forget it, in milliseconds.
    pub(super) forget_at: Option<u64>,
}

/// Whether a peer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Connected, but not handed out until its digest is compared.
    Coming(SessionId),
    /// Connected and part of the network.
    Here(SessionId),
    /// Connected, but it said that it leaves.
    Left(SessionId),
    /// Lost a moment ago; kept, not handed out, until then (milliseconds).
    Grace(u64),
    /// Only its shares are remembered.
    Away,
}

/// Where a peer can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// As the tracker saw it.
    pub(super) observed: IpAddr,
    /// The same in the other of IPv4 and IPv6, if the peer has shown that it is there too.
    pub(super) other: Option<IpAddr>,
    /// As the peer declared it; 0 if it does not listen.
    pub(super) port: u16,
    /// Addresses in its own network, and the one outside that its router gave it, if it did.
    pub(super) local: Vec<SocketAddr>,
    /// The port at which its router lets others in where it is observed, if that is another than its own; only once the
    /// tracker was let in there.
    pub(super) outside: Option<u16>,
}

impl Default for Endpoint {
    /// Nowhere.
    fn default() -> Self {
        let observed = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { observed, other: None, port: 0, local: Vec::new(), outside: None }
    }
}

impl Peer {
    pub(super) fn new(id: PeerId, record: PeerRecord) -> Self {
        Self {
            id,
            nick: record.nick,
            presence: Presence::Away,
            endpoint: Endpoint::default(),
            on_roll_as: None,
            since: 0,
            files: Entries::default(),
            rules: Rules::default(),
            pass: None,
            forget: None,
            claim: None,
            share_ok: None,
            shares: 0,
            digest: None,
            generation: 0,
            listing: None,
            settled: false,
            set_bytes: 0,
            bytes: PEER_BYTES,
            names: 0,
            group: record.group,
            last_seen: record.last_seen,
            forget_at: None,
        }
    }

    pub(super) fn record(&self) -> PeerRecord {
        PeerRecord { nick: self.nick.clone(), last_seen: self.last_seen, group: self.group }
    }

    pub(super) fn is_here(&self) -> bool {
        matches!(self.presence, Presence::Here(_))
    }

    /// Whether it is lost for a moment, or just coming back: it is no source, but the catalogue says nothing of that,
    /// since most are soon back.
    pub(super) fn rests(&self) -> bool {
        matches!(self.presence, Presence::Grace(_) | Presence::Coming(_))
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        match self.presence {
            Presence::Coming(session) | Presence::Here(session) | Presence::Left(session) => {
                Some(session)
            }
            Presence::Grace(_) | Presence::Away => None,
        }
    }

    /// At most `most` of its contents, in order, behind one of them.
    pub(super) fn files_behind(&self, after: Option<u32>, most: usize) -> Vec<u32> {
        self.files.behind(after).take(most).collect()
    }

    /// Whether an entry says what is so: it has caught up with all that happened to it, as far as others see.
    pub(super) fn counts(&self, entry: &Entry) -> bool {
        self.is_here() && entry.place.is_some() && self.rules.leave_alone(entry)
    }
}
