//! Who takes part in a swarm, and how fast it could possibly be done.

use std::time::Duration;

use common::wire::Code;

use super::reach::Router;

/// A mebibyte.
pub(crate) const MIB: u64 = 1 << 20;
/// One link unit: 10 MB/s.
pub(crate) const UNIT: f64 = 10e6;
/// A link that is nobody's bottleneck.
const WIDE: f64 = 1e15;

/// 16 KiB, the smallest frame, every four seconds.
pub(crate) const TRICKLE: f64 = 4096.0;

/// How a peer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    /// Alters every n-th chunk it sends.
    Liar(u32),
    /// Says it has all and serves nothing.
    Silent,
    /// Stops for good after this many payload bytes.
    StopsAfter(u64),
    /// Does not even say what it has.
    Mute,
    /// Says it has all and answers no request otherwise than with this refusal.
    Refuses(Code),
    /// Sends a byte at a time.
    Crumbs,
    /// Sends nine tenths of each chunk that it was asked for, and then the next.
    NineTenths,
    /// Sends nine tenths of each chunk and says that it will not go on.
    BreaksOff,
    /// Sends nine tenths of a chunk, hangs up and comes back.
    HangsUp,
    /// Sends 16 KiB every four seconds after this many payload bytes, as somebody does who wants to hold
    /// what he was asked for without being called silent.
    TricklesAfter(u64),
    /// Sends everything but this many last bytes of each chunk at once, of all that it was asked for, and the
    /// rest by 16 KiB every four seconds.
    TricklesAtEnd(u64),
}

/// A peer to be.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Bytes per second.
    pub(crate) up: f64,
    /// Bytes per second.
    pub(crate) down: f64,
    pub(crate) seed: bool,
    pub(crate) manner: Manner,
    /// What stands before it.
    pub(crate) router: Router,
    /// When it joins.
    pub(crate) joins: Duration,
    /// When its machine dies.
    pub(crate) dies: Option<Duration>,
    /// When its user removes the content.
    pub(crate) leaves: Option<Duration>,
}

impl Spec {
    pub(crate) fn new(up: f64, down: f64, seed: bool) -> Self {
        Self {
            up,
            down,
            seed,
            manner: Manner::Honest,
            router: Router::None,
            joins: Duration::ZERO,
            dies: None,
            leaves: None,
        }
    }

    /// Bytes per second at which it sends, when it has sent so much, and so much of a chunk is left.
    pub(crate) fn rate(&self, sent: u64, left: u64) -> f64 {
        match self.manner {
            Manner::TricklesAfter(most) if sent >= most => TRICKLE,
            Manner::TricklesAtEnd(last) if left <= last => TRICKLE,
            _ => self.up,
        }
    }

    /// Bytes of a chunk of this length that it sends only when it has nothing else to do, if at all.
    pub(crate) fn holds_back(&self, len: u32) -> u32 {
        match self.manner {
            Manner::TricklesAtEnd(last) => u32::try_from(last).unwrap_or(len).min(len),
            Manner::NineTenths | Manner::BreaksOff | Manner::HangsUp => len / 10,
            _ => 0,
        }
    }

    /// Whether its completion is waited for.
    pub(crate) fn counts(&self) -> bool {
        let stays = self.dies.is_none() && self.leaves.is_none();
        !self.seed && self.manner == Manner::Honest && stays
    }
}

/// A seed of one unit and `n` leechers.
pub(crate) fn crowd(n: usize, up: f64, down: f64) -> Vec<Spec> {
    let mut specs = vec![Spec::new(UNIT, WIDE, true)];
    specs.extend((0..n).map(|_| Spec::new(up, down, false)));
    specs
}

/// A seed and `n` leechers of `rate`, downlinks so many times wider.
pub(crate) fn equal(n: usize, rate: f64, wider: f64) -> Vec<Spec> {
    let mut specs = vec![Spec::new(rate, WIDE, true)];
    specs.extend((0..n).map(|_| Spec::new(rate, rate * wider, false)));
    specs
}

/// Leechers whose uplinks are a quarter, one, one and two units, and whose downlinks are twice that,
/// but at least two units.
pub(crate) fn mixed(n: usize) -> Vec<Spec> {
    let mut specs = crowd(0, UNIT, UNIT);
    let ups = [0.25, 1.0, 1.0, 2.0];
    specs.extend((0..n).map(|i| {
        let up = ups[i % 4] * UNIT;
        Spec::new(up, 2.0 * up.max(UNIT), false)
    }));
    specs
}

/// A crowd of which every tenth leecher dies, one after the other, in the first `until` seconds.
pub(crate) fn dying(mut specs: Vec<Spec>, until: f64) -> Vec<Spec> {
    let leechers = specs.len() - 1;
    for i in (1..=leechers).filter(|i| i % 10 == 3) {
        let when = until * i as f64 / leechers as f64;
        specs[i].dies = Some(Duration::from_secs_f64(when));
    }
    specs
}

/// The least time in which all leechers that stay can be done (Kumar and Ross 2006), in seconds. What
/// those who do not stay upload meanwhile is not counted.
pub(crate) fn bound(size: u64, specs: &[Spec]) -> f64 {
    let size = size as f64;
    let honest = |s: &&Spec| s.manner == Manner::Honest;
    let seeds: f64 = specs.iter().filter(honest).filter(|s| s.seed).map(|s| s.up).sum();
    let leechers: Vec<&Spec> = specs.iter().filter(|s| s.counts()).collect();
    let slowest = leechers.iter().map(|s| s.down).fold(f64::INFINITY, f64::min);
    let ups: f64 = leechers.iter().map(|s| s.up).sum();
    let n = leechers.len() as f64;
    (size / seeds).max(size / slowest).max(n * size / (seeds + ups))
}
