//! What a tracker needs to know before it starts.

use std::path::PathBuf;
use std::time::Duration;

use common::join::Secret;
use common::near::Discoverable;
use common::net::{ACCEPT_TIMEOUT, MOST_HALF_OPEN};

use crate::clock::WallClock;
use crate::index::Limits;

/// Everything that does not change while a tracker runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where identity, secret and records are kept; `None` keeps all in memory.
    pub state_dir: Option<PathBuf>,
    /// Who may join.
    pub admission: Admission,
    /// Bounds of the index.
    pub limits: Limits,
    /// Bounds of the server.
    pub server: ServerLimits,
    /// How much is relayed between peers that cannot reach each other; `None` for nothing.
    pub relay: Option<RelayLimits>,
    /// When it announces itself in the local network.
    pub discoverable: Discoverable,
    /// Its name there; empty for the name of this machine.
    pub name: String,
    /// Intervals and deadlines.
    pub timing: Timing,
    /// Threads that serve peers, as a rule one for each core; 0 for the runtime it runs on, which has enough for a small
    /// network.
    pub workers: usize,
    /// Seed of the tracker's randomness; `None` takes one from the system.
    pub seed: Option<u64>,
    /// Where the time of day comes from.
    pub wall: WallClock,
}

/// Who may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Whoever knows the tracker's key.
    Open,
    /// Whoever knows the secret kept in the state folder; it is made at the first start.
    Kept,
    /// Whoever knows this secret.
    Secret(Secret),
    /// Whoever was invited (`tracker invite`): each member has used an invitation of its own.
    Invited,
}

impl Admission {
    /// Whether more is needed to join than the tracker's key.
    pub fn is_closed(&self) -> bool {
        *self != Self::Open
    }
}

/// Bounds of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Peers connected at once, if there are descriptors for them; each costs one and about 15 KB. One
    /// more costs a peer of the address that has most its place.
    pub connections: usize,
    /// Connections that have not said hello yet, if there are descriptors for them; each costs one and up
    /// to 13 KB. One more costs one of the address that has most its place.
    pub handshakes: usize,
    /// Whether peers on the tracker's own links are looked at too, to see whether they can be reached: for networks
    /// that only seem to be one.
    pub probe_links: bool,
    /// Unsent bytes at which a connection gets no more pushes.
    pub unsent: usize,
    /// Comparisons of a name with a word that the searches of one peer may cost, at 0.1 to 0.3 us each.
    pub looked: Work,
    /// Entries (a peer and a content) that one peer's requests may touch, at 1 to 8 us each.
    pub touched: Work,
}

/// How much may be relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayLimits {
    /// Bytes a second of one pair, both ways together.
    pub pair: u64,
    /// Bytes a second in all.
    pub all: u64,
    /// Pairs at a time; each costs two descriptors and some 40 KB while bytes move.
    pub pairs: usize,
    /// Pairs at a time of one peer.
    pub pairs_of_one: usize,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self { pair: 2_000_000, all: 10_000_000, pairs: 2000, pairs_of_one: 16 }
    }
}

/// How much work a peer may cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// In the long run, a second.
    pub per_s: u32,
    /// At once, after a time of rest.
    pub burst: u32,
}

/// Intervals and deadlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Longest time between two rounds of pushes.
    pub tick: Duration,
    /// For the TLS handshake.
    pub tls: Duration,
    /// For the first message after it.
    pub hello: Duration,
    /// Silence after which a peer should ping.
    pub heartbeat: Duration,
    /// Silence after which a connection is closed.
    pub silence: Duration,
    /// Time without a byte taken by the peer, while there is something to send, after which its connection
    /// is closed.
    pub stalled: Duration,
    /// For saying goodbye to everybody at the end.
    pub goodbye: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: None,
            admission: Admission::Open,
            limits: Limits::default(),
            server: ServerLimits::default(),
            relay: None,
            discoverable: Discoverable::Off,
            name: String::new(),
            timing: Timing::default(),
            workers: 0,
            seed: None,
            wall: WallClock::default(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // 1.5 GB.
            connections: 100_000,
            handshakes: MOST_HALF_OPEN,
            probe_links: false,
            // With one delta more, and the system's buffer, less than 0.5 MB for who does not read.
            unsent: 128 * 1024,
            // A search for one word in 250,000 rows every second; at once a mirror of 200,000 rows, or eight
            // such searches while somebody types.
            looked: Work { per_s: 250_000, burst: 2_000_000 },
            // 200 batches of 256 files a second; at once all that the peer with the most shares has, registered
            // and told anew.
            touched: Work { per_s: 50_000, burst: 250_000 },
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(500),
            tls: ACCEPT_TIMEOUT,
            hello: Duration::from_secs(5),
            heartbeat: Duration::from_secs(30),
            silence: Duration::from_secs(90),
            stalled: Duration::from_secs(30),
            goodbye: Duration::from_secs(8),
        }
    }
}
