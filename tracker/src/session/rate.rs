//! Token buckets: so many requests per second of each kind, more in a burst, and so much work. Pure.
//!
//! A count alone says nothing about cost: one question may look at every row of the catalogue. So a request also
//! pays for what it turned out to be, after the fact: its bucket may go below zero, and nothing of its kind is
//! taken until that is paid back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use common::id::PeerId;
use common::lock::Unpoisoned as _;
use common::numbers::saturate;
use common::wire::tracker::Request;

use crate::config::ServerLimits;

/// One bucket, in thousandths of a token.
#[derive(Debug, Clone)]
struct Bucket {
    /// Below zero: owed.
    milli: i64,
    full: i64,
    /// Tokens per second, which is thousandths per millisecond.
    rate: i64,
    last_ms: u64,
}

/// What is paid for after the fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Names of the catalogue compared with words of a search.
    Looked,
    /// Entries (a peer and a content) that were made, changed or gone through.
    Touched,
}

/// Nobody waits longer than this for having asked too much, in milliseconds: peers wait no longer either.
const MAX_OWED_MS: i64 = 60_000;

/// Peers whose buckets are remembered when they are gone, until they would be full again anyway: a stranger can
/// have any number of keys. About 30 MB.
const MAX_REMEMBERED: usize = 100_000;
/// Buckets that are looked through for the first time when there are so many.
const FIRST_SWEEP: usize = 1024;

/// The buckets of every peer, connected or gone a moment ago: a new connection does not begin with full ones.
#[derive(Debug)]
pub(crate) struct RatesByPeer {
    peers: HashMap<PeerId, Arc<Mutex<Rates>>>,
    /// Length at which those that say nothing any more are dropped.
    sweep_at: usize,
}

impl RatesByPeer {
    pub(crate) fn new() -> Self {
        Self { peers: HashMap::new(), sweep_at: FIRST_SWEEP }
    }

    /// The buckets of `peer`, shared by all its connections.
    pub(crate) fn of(
        &mut self,
        peer: PeerId,
        limits: &ServerLimits,
        now_ms: u64,
    ) -> Arc<Mutex<Rates>> {
        if let Some(known) = self.peers.get(&peer) {
            return Arc::clone(known);
        }
        if self.peers.len() >= self.sweep_at {
            self.peers.retain(|_, rates| {
                let mut of_one = rates.lock().unpoisoned();
                Arc::strong_count(rates) > 1 || !of_one.is_full(now_ms)
            });
            if self.peers.len() >= MAX_REMEMBERED {
                self.peers.retain(|_, rates| Arc::strong_count(rates) > 1);
            }
            self.sweep_at = self.peers.len().saturating_mul(2).max(FIRST_SWEEP);
        }
        let rates = Arc::new(Mutex::new(Rates::new(limits, now_ms)));
        self.peers.insert(peer, Arc::clone(&rates));
        rates
    }
}

/// The buckets of one peer. Generous: they stop a loop gone wild, not a busy user.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    /// Filtering while typing asks a few times a second.
    list: Bucket,
    /// The next page waits for the one before, so reading on limits itself; 200 a second are 100,000 rows.
    next_page: Bucket,
    locations: Bucket,
    /// 200 batches of 256 files are 51,200 files a second.
    register: Bucket,
    /// A second's progress of all downloads is one message.
    chunks: Bucket,
    /// A download that begins with fifty sources behind routers asks them all.
    dial_me: Bucket,
    /// A list of files takes up to 20 ms of a core to check; at once what a peer with some hundred folders has.
    names: Bucket,
    other: Bucket,
    looked: Bucket,
    touched: Bucket,
}

impl Rates {
    fn new(limits: &ServerLimits, now_ms: u64) -> Self {
        let bucket = |rate: u32, burst: u32| Bucket {
            milli: i64::from(burst) * 1000,
            full: i64::from(burst) * 1000,
            rate: i64::from(rate).max(1),
            last_ms: now_ms,
        };
        Self {
            list: bucket(20, 60),
            next_page: bucket(200, 1000),
            locations: bucket(100, 500),
            register: bucket(200, 1000),
            chunks: bucket(20, 100),
            dial_me: bucket(2, 100),
            names: bucket(20, 400),
            other: bucket(100, 500),
            looked: bucket(limits.looked.per_s, limits.looked.burst),
            touched: bucket(limits.touched.per_s, limits.touched.burst),
        }
    }

    /// Takes a token for `request`, if the work of earlier ones is paid for.
    ///
    /// # Errors
    /// Milliseconds until both is so.
    pub(super) fn take(&mut self, request: &Request, now_ms: u64) -> Result<(), u64> {
        let (count, work) = match request {
            Request::FileList { cursor, .. }
            | Request::Members { cursor, .. }
            | Request::MemberFiles { cursor, .. } => {
                let pages = if cursor.is_empty() { &mut self.list } else { &mut self.next_page };
                (pages, Some(&mut self.looked))
            }
            Request::Find { .. } => (&mut self.list, Some(&mut self.looked)),
            Request::OfferNames { .. } | Request::GiveNames { .. } => {
                (&mut self.names, Some(&mut self.touched))
            }
            Request::FileLocations { .. } => (&mut self.locations, Some(&mut self.touched)),
            Request::Register { .. } | Request::Unregister { .. } => {
                (&mut self.register, Some(&mut self.touched))
            }
            Request::ChunkRegister { .. } => (&mut self.chunks, Some(&mut self.touched)),
            Request::Hello(_)
            | Request::Addresses { .. }
            | Request::Leave { .. }
            | Request::Watch { .. } => (&mut self.other, Some(&mut self.touched)),
            Request::DialMe { .. } | Request::Relay { .. } => (&mut self.dial_me, None),
            Request::Unwatch { .. } | Request::Also { .. } | Request::Ping { .. } => {
                (&mut self.other, None)
            }
        };
        match work.map_or(0, |work| work.owed_ms(now_ms)) {
            0 => count.take(now_ms),
            owed => Err(owed),
        }
    }

    /// Whether the peer may connect, which touches all its entries.
    ///
    /// # Errors
    /// Milliseconds until it may.
    pub(super) fn admit(&mut self, now_ms: u64) -> Result<(), u64> {
        match self.touched.owed_ms(now_ms) {
            0 => Ok(()),
            owed => Err(owed),
        }
    }

    /// Whether these are no different from new ones.
    fn is_full(&mut self, now_ms: u64) -> bool {
        let Self { list, next_page, locations, register, chunks, dial_me, names, .. } = self;
        let counts = [list, next_page, locations, register, chunks, dial_me, names];
        let all = counts.into_iter().chain([&mut self.other, &mut self.looked, &mut self.touched]);
        all.into_iter().all(|bucket| {
            bucket.refill(now_ms);
            bucket.milli == bucket.full
        })
    }

    /// Takes tokens for work that was done.
    pub(super) fn charge(&mut self, work: Work, amount: usize, now_ms: u64) {
        let bucket = match work {
            Work::Looked => &mut self.looked,
            Work::Touched => &mut self.touched,
        };
        bucket.refill(now_ms);
        let milli = saturate::<i64>(amount).saturating_mul(1000);
        let most_owed = bucket.rate.saturating_mul(MAX_OWED_MS);
        bucket.milli = bucket.milli.saturating_sub(milli).max(-most_owed);
    }
}

impl Bucket {
    fn refill(&mut self, now_ms: u64) {
        let passed = saturate::<i64>(now_ms.saturating_sub(self.last_ms));
        self.last_ms = now_ms.max(self.last_ms);
        self.milli = passed.saturating_mul(self.rate).saturating_add(self.milli).min(self.full);
    }

    fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        self.refill(now_ms);
        if self.milli >= 1000 {
            self.milli -= 1000;
            Ok(())
        } else {
            Err(self.wait_ms(1000))
        }
    }

    /// Milliseconds until nothing is owed.
    fn owed_ms(&mut self, now_ms: u64) -> u64 {
        self.refill(now_ms);
        if self.milli >= 0 { 0 } else { self.wait_ms(0) }
    }

    /// Milliseconds until there is so much.
    fn wait_ms(&self, milli: i64) -> u64 {
        let missing = u64::try_from(milli.saturating_sub(self.milli)).unwrap_or(0);
        missing.div_ceil(u64::try_from(self.rate).unwrap_or(1).max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Work as Budget;

    const LOOKED: Budget = Budget { per_s: 250_000, burst: 2_000_000 };
    const TOUCHED: Budget = Budget { per_s: 50_000, burst: 250_000 };

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let list = Request::FileList {
            q: 1,
            query: String::new(),
            cursor: Vec::new(),
            limit: 1,
            sort: common::wire::tracker::Sort::Name,
        };
        let mut rates = Rates::new(&ServerLimits::default(), 1000);
        for _ in 0..60 {
            assert_eq!(rates.take(&list, 1000), Ok(()));
        }
        assert_eq!(rates.take(&list, 1000), Err(50));
        assert_eq!(rates.take(&list, 1049), Err(1));
        assert_eq!(rates.take(&list, 1050), Ok(()));
        assert_eq!(rates.take(&list, 1050), Err(50));
        // Other kinds have their own.
        assert_eq!(rates.take(&Request::Ping { q: 1 }, 1050), Ok(()));
        // A clock that jumps back gives nothing for free.
        assert_eq!(rates.take(&list, 0), Err(50));
    }
    #[test]
    fn s4_a_new_connection_does_not_begin_with_full_buckets() {
        let peer = |n: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            PeerId::from_bytes(key)
        };
        let limits = ServerLimits::default();
        assert_eq!((limits.looked, limits.touched), (LOOKED, TOUCHED));
        let mut all = RatesByPeer::new();
        let leave = Request::Leave { q: 1 };
        let first = all.of(peer(1), &limits, 0);
        first.lock().unwrap().charge(Work::Touched, TOUCHED.burst as usize + 500, 0);
        drop(first);
        // Any number of other keys, while they owe nothing, are not remembered in its place.
        (2..10_000).for_each(|n| drop(all.of(peer(n), &limits, 0)));
        assert!(all.peers.len() <= 2 * FIRST_SWEEP, "{}", all.peers.len());
        let again = all.of(peer(1), &limits, 0);
        assert_eq!(again.lock().unwrap().admit(0), Err(10));
        assert_eq!(again.lock().unwrap().take(&leave, 0), Err(10));
        assert_eq!(again.lock().unwrap().admit(10), Ok(()));
    }

    #[test]
    fn s4_work_is_paid_for_after_the_fact() {
        let list = |cursor: &[u8]| Request::FileList {
            q: 1,
            query: "a b".to_owned(),
            cursor: cursor.to_vec(),
            limit: 1,
            sort: common::wire::tracker::Sort::Name,
        };
        let mut rates = Rates::new(&ServerLimits::default(), 1000);
        rates.charge(Work::Looked, LOOKED.burst as usize, 1000);
        assert_eq!(rates.take(&list(b""), 1000), Ok(()), "nothing is owed yet");
        // Two seconds' worth too much; a made-up cursor does not come any cheaper.
        rates.charge(Work::Looked, 2 * LOOKED.per_s as usize, 1000);
        assert_eq!(rates.take(&list(b""), 1000), Err(2000));
        assert_eq!(rates.take(&list(b"made up"), 1500), Err(1500));
        assert_eq!(rates.take(&Request::Leave { q: 1 }, 1000), Ok(()), "other work is apart");
        assert_eq!(rates.take(&list(b""), 3000), Ok(()));
        rates.charge(Work::Touched, TOUCHED.burst as usize + 1, 3000);
        let leave = Request::Leave { q: 1 };
        assert_eq!(rates.take(&leave, 3000), Err(1));
        let id = common::id::ContentId::from_bytes([1; 32]);
        let locations = Request::FileLocations { q: 1, id, want: 200 };
        assert_eq!(rates.take(&locations, 3000), Err(1), "sources and their sets are work as well");
        assert_eq!(rates.take(&Request::Ping { q: 1 }, 3000), Ok(()), "a ping costs nothing");
        // No amount overflows, and no wait is without end.
        rates.charge(Work::Touched, usize::MAX, 3000);
        rates.charge(Work::Touched, usize::MAX, 3000);
        assert_eq!(rates.take(&leave, 3000), Err(60_000));
        assert!(rates.take(&leave, u64::MAX).is_ok());
    }
}
