//! What a front end may show: plain immutable data, made a few times a second while something moves
//! and not at all at rest. Front ends compute no engine fact from it; what they need is here.
//!
//! Strings that came from the network are already safe to show ([`common::names::show`]).

mod catalogue;
mod focus;
mod found;
mod holders;
mod member;
mod peer;
mod rows;
mod senders;
mod transfer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use common::id::{ContentId, PeerId};
use common::join::JoinString;
use serde::{Deserialize, Serialize};

use crate::api::cause::Reach;

pub use super::chunk_states::ChunkState;
pub use catalogue::{Catalogue, CatalogueRow, OtherNames};
pub use focus::{Departed, Flags, Focus, MAX_FLIGHTS, Sole, SourceRow, SourceState, Way};
pub use found::{Found, FoundInside};
pub use holders::{
    HolderRow, Holders, Look, MAX_BUCKETS, MAX_ONLY, MAX_STRIPS, Only, SEVERAL, StripRequest,
};
pub use member::{MemberRow, Page};
pub use peer::{PeerRow, Take, Upload, display_name};
pub use rows::{Rows, RowsIter};
pub use senders::{MAX_CELLS, MAX_SENDERS, Sent};
pub use transfer::{FolderEntry, FolderNews, Plan, Transfer, TransferState, Unreached};

use super::serde_with;

/// Everything at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts up with every snapshot.
    pub seq: u64,
    /// When it was made.
    #[serde(with = "serde_with::instant")]
    pub at: Instant,
    /// Ourselves.
    pub me: Me,
    /// Our tracker.
    pub network: Network,
    /// Sums over everything.
    pub totals: Totals,
    /// The network's files. Replaced only when they change; between processes sent apart, page by page.
    #[serde(skip)]
    pub catalogue: Arc<Catalogue>,
    /// Our downloads and shares, in the order they were added.
    pub transfers: Rows<Transfer>,
    /// Peers we are connected to.
    pub peers: Arc<[PeerRow]>,
    /// Details of the content asked for by [`super::command::Command::Focus`].
    pub focus: Option<Arc<Focus>>,
    /// What is known about serving as a whole.
    pub uploads: Uploads,
    /// Peers that are not talked to.
    pub bans: Arc<[BanRow]>,
    /// Words waited for ([`super::command::Command::WatchFor`]).
    pub watches: Arc<[Arc<str>]>,
    /// What a restart would forget, because the library cannot be written; `None` as long as all is well.
    #[serde(default)]
    pub unkept: Option<Unkept>,
    /// What is being copied to where it was asked for.
    #[serde(default)]
    pub copies: Arc<[Copying]>,
}

/// Something that is here is being copied to another folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copying {
    /// What.
    pub id: ContentId,
    /// Where it will be.
    #[serde(with = "serde_with::path")]
    pub path: PathBuf,
    /// Bytes of it in all.
    pub size: u64,
    /// Bytes that are there, and are right.
    pub done: u64,
}

/// The library cannot be written: what changes goes on, and is tried to be written again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unkept {
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: String,
    /// Records that wait to be written.
    pub waiting: u32,
}

impl Snapshot {
    /// Of a peer that has just begun: without a network, shares and downloads.
    pub fn first(me: Me) -> Self {
        let network = Network {
            state: NetState::NoNetwork,
            tracker: String::new(),
            at: None,
            join: None,
            latency_ms: None,
            hosting: false,
            met: false,
            asking: false,
            clock_ahead_s: None,
            reachable: None,
            behind_router: false,
            punches: None,
            port: 0,
            mapping: None,
            trouble: None,
            refused: None,
        };
        Self {
            seq: 0,
            at: Instant::now(),
            me,
            network,
            totals: Totals::default(),
            catalogue: Arc::default(),
            transfers: Rows::default(),
            peers: Arc::new([]),
            focus: None,
            uploads: Uploads::default(),
            bans: Arc::new([]),
            watches: Arc::new([]),
            unkept: None,
            copies: Arc::new([]),
        }
    }
}

/// Serving as a whole, and the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uploads {
    /// Peers that may be served at once, as the uplink allows.
    pub slots: u32,
    /// Peers that are being served.
    pub used: u32,
    /// Peers that want something and wait for their turn.
    pub waiting: u32,
    /// Limit for all uploads in bytes per second.
    pub up_limit: Option<u64>,
    /// Bytes per second that uploads are held at so that the line stays free, while they would be more.
    #[serde(default)]
    pub up_held: Option<u64>,
    /// Limit for all downloads in bytes per second.
    pub down_limit: Option<u64>,
    /// Payload sent since midnight (UTC), earlier runs included.
    pub today: u64,
}

/// A peer that is not talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself, if known.
    pub nick: String,
    /// Why.
    pub why: String,
    /// Until when; `None` is for ever.
    #[serde(with = "serde_with::maybe_instant")]
    pub until: Option<Instant>,
    /// Whether the user did it.
    pub by_user: bool,
}

/// Ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Our key.
    pub peer: PeerId,
    /// Our name for others, safe to show.
    pub nick: String,
    /// Where we listen.
    pub listen: SocketAddr,
    /// Where downloads go.
    #[serde(with = "serde_with::path")]
    pub downloads: PathBuf,
    /// Free bytes there, if known.
    pub disk_free: Option<u64>,
    /// Whether we serve others.
    pub serving: bool,
}

impl Me {
    /// Somebody: for tests.
    #[doc(hidden)]
    pub fn example() -> Self {
        Self {
            peer: PeerId::from_bytes([1; 32]),
            nick: "me".into(),
            listen: ([127, 0, 0, 1], 1).into(),
            downloads: "/d".into(),
            disk_free: None,
            serving: true,
        }
    }
}

/// Our tracker and how we stand with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// How we stand.
    pub state: NetState,
    /// `host:port` of the tracker, empty if there is none; of several the one we are at, or were last.
    pub tracker: String,
    /// At which of several trackers we are, or were last; `None` if there is one.
    #[serde(default)]
    pub at: Option<TrackerAt>,
    /// The join string for others (with the secret, if there is one), if there is a network.
    pub join: Option<String>,
    /// Round trip to the tracker in milliseconds, if measured.
    pub latency_ms: Option<u32>,
    /// Whether the tracker runs in this process.
    pub hosting: bool,
    /// Whether this tracker let us in at least once, in this run or an earlier one. One that never did may
    /// not be there at all.
    #[serde(default = "met")]
    pub met: bool,
    /// We stayed out of it at the start until the user says so: ask
    /// ([`super::config::OnStart::Ask`]).
    pub asking: bool,
    /// How many seconds the tracker's clock is ahead of ours, while that is more than two minutes
    /// ([`super::cause::clocks`] says it in words).
    #[serde(default)]
    pub clock_ahead_s: Option<i64>,
    /// Whether others can reach us where the tracker sees us, and where that is, once it has looked.
    #[serde(default)]
    pub reachable: Option<(bool, SocketAddr)>,
    /// Whether the address where the tracker sees us is none of this machine's: a router stands in between.
    #[serde(default)]
    pub behind_router: bool,
    /// Whether our connection to the tracker comes from the port we listen on, so that others behind routers and we can call
    /// each other; `None` while there was none.
    #[serde(default)]
    pub punches: Option<bool>,
    /// Where we listen; 0 if that is not known.
    #[serde(default)]
    pub port: u16,
    /// What the router of this network said when it was asked to let others in; `None` if it was not.
    #[serde(default)]
    pub mapping: Option<Mapping>,
    /// Why the network of an earlier run is not known any more, and what to do.
    #[serde(default)]
    pub trouble: Option<String>,
    /// How many of our shares the tracker does not take, and what it says.
    #[serde(default)]
    pub refused: Option<(usize, String)>,
}

/// What a version says that does not tell it.
fn met() -> bool {
    true
}

impl Network {
    /// Whether others can reach us.
    pub fn reach(&self) -> Reach {
        match (&self.state, self.reachable) {
            (NetState::On, Some((false, at))) => Reach::BehindNat(at),
            // Our connection to the tracker has opened the port of a router for that, if it comes from there.
            (NetState::On, Some((true, at)))
                if self.behind_router
                    && self.punches == Some(true)
                    && (self.mapped() != Some(at) || at.port() == self.port) =>
            {
                Reach::ByTracker(at)
            }
            (NetState::On, Some((true, at))) if self.mapped() == Some(at) => Reach::Mapped(at),
            (NetState::On, Some((true, at))) => Reach::Open(at),
            (_, _) => Reach::Unknown,
        }
    }

    /// Where the router of this network lets others in, by its word.
    pub fn mapped(&self) -> Option<SocketAddr> {
        match self.mapping {
            Some(Mapping::At(at)) => Some(at),
            Some(Mapping::Not(_)) | None => None,
        }
    }

    /// Whether the tracker cannot be reached and never could.
    pub fn is_unmet(&self) -> bool {
        !self.met && matches!(self.state, NetState::Lost { .. })
    }

    /// Whether we are at a tracker that stands by for another one.
    pub fn is_at_standby(&self) -> bool {
        self.at.as_ref().is_some_and(|at| at.back_to.is_some())
    }

    /// Whether it is the network of this tracker.
    pub fn is_of(&self, tracker: &PeerId) -> bool {
        self.joined().is_some_and(|join| join.tracker() == *tracker)
    }

    /// The network's join string, if there is one that can be read.
    pub fn joined(&self) -> Option<JoinString> {
        self.join.as_deref()?.parse().ok()
    }
}

/// At which of several trackers of its network a peer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerAt {
    /// Its `host:port`.
    pub address: String,
    /// Its place in the order they are tried, from 1.
    pub place: u32,
    /// How many there are.
    pub of: u32,
    /// The one that is looked for, to go back to it.
    pub back_to: Option<String>,
    /// Why it was not gone back to when it was looked for last.
    #[serde(default)]
    pub vain: Option<String>,
}

impl TrackerAt {
    /// In words.
    pub fn words(&self) -> String {
        let Self { address, place, of, back_to, vain } = self;
        match back_to {
            Some(first) => {
                let vain = vain.as_ref().map(|why| format!("; not yet: {why}"));
                format!(
                    "at the standby {address} (tracker {place} of {of}); goes back to {first} when that answers{}",
                    vain.unwrap_or_default()
                )
            }
            None => format!("at {address} (tracker {place} of {of})"),
        }
    }
}

/// What a router said that was asked to let others in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mapping {
    /// It lets them in there.
    At(SocketAddr),
    /// It does not, and why.
    Not(String),
}

impl Mapping {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::At(at) => format!("mapped by the router: {at}"),
            Self::Not(why) => format!("not mapped by the router: {why}"),
        }
    }
}

/// How we stand with our tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetState {
    /// There is none: nothing configured, nothing joined.
    NoNetwork,
    /// First contact.
    Connecting,
    /// Connected.
    On,
    /// Not reachable since; transfers go on with the peers we know.
    Lost {
        /// Since when.
        #[serde(with = "serde_with::instant")]
        since: Instant,
        /// When we try again.
        #[serde(with = "serde_with::instant")]
        retry_at: Instant,
        /// Why, in words.
        why: String,
    },
    /// It does not let us in.
    Rejected {
        /// Why, and what to do.
        why: String,
    },
    /// The user left.
    Left,
}

/// Sums over everything; rates in bytes per second, smoothed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Payload coming in.
    pub down_rate: f64,
    /// Payload going out.
    pub up_rate: f64,
    /// Payload received in this run.
    pub down: u64,
    /// Payload sent in this run.
    pub up: u64,
    /// Payload received and not used in this run.
    pub wasted: u64,
}

/// What stands after the name of an earlier state of a folder, in the network's list as well.
pub fn before_mark(id: &ContentId) -> String {
    format!(" (before, {})", id.short())
}

/// A name as its owner gave it, if that is not how it is shown.
pub(crate) fn raw_of<T: for<'a> From<&'a str>>(name: &str, shown: &str) -> Option<T> {
    (name != shown).then(|| T::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_router_lets_others_in_is_said_of_the_port_that_was_looked_at_alone() {
        let at = |port| SocketAddr::from(([203, 0, 113, 1], port));
        let reach = |looked: u16, mapped: Option<u16>, punches| {
            let mut network = Snapshot::first(Me::example()).network;
            network.state = NetState::On;
            (network.port, network.behind_router, network.punches) = (7421, true, Some(punches));
            network.reachable = Some((true, at(looked)));
            network.mapping = mapped.map(|port| Mapping::At(at(port)));
            network.reach()
        };
        assert_eq!(reach(4711, Some(4711), true), Reach::Mapped(at(4711)));
        assert_eq!(reach(7421, Some(7421), false), Reach::Mapped(at(7421)));
        // What let the tracker in may be the hole that our call to it made.
        assert_eq!(reach(7421, Some(7421), true), Reach::ByTracker(at(7421)));
        assert_eq!(reach(7421, Some(4711), true), Reach::ByTracker(at(7421)));
        assert_eq!(reach(7421, Some(4711), false), Reach::Open(at(7421)));
    }
}
