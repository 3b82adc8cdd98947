//! Token bucket for payload bytes. Control messages never pass through it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::limits::MIN_DATA_LEN;
use common::lock::Unpoisoned as _;
use common::numbers::saturate;
use tokio::sync::Notify;

/// Tokens that may pile up while nobody sends: as much as flows in this time. Longer than a busy machine
/// oversleeps, so that a late wake-up costs no speed.
const BURST: Duration = Duration::from_millis(200);
/// Longest sleep before a debt is looked at again: the limit may have been changed meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Frames per second aimed at under a limit, so that a low limit does not come in lumps.
const FRAMES_PER_SECOND: u64 = 8;

/// How even the flow under a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pacing {
    /// In frames as large as can be, caught up with after every delay: for what the user set.
    Lumps,
    /// Without filling a queue by itself: for a limit that is there to keep one empty. Frames of 25 ms, and what was not
    /// sent for longer than twice that is not sent later.
    Even,
}

impl Pacing {
    fn burst(self) -> Duration {
        match self {
            Self::Lumps => BURST,
            Self::Even => Duration::from_millis(50),
        }
    }

    fn frames_per_second(self) -> u64 {
        match self {
            Self::Lumps => FRAMES_PER_SECOND,
            Self::Even => 40,
        }
    }
}

/// Limits bytes per second over all its users, first come first served.
#[derive(Debug)]
pub(crate) struct Limiter {
    bucket: Mutex<Bucket>,
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
    pacing: Pacing,
    /// Nanoseconds that takers waited, summed.
    waited: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    /// Bytes per second; `None` is no limit.
    rate: Option<u64>,
    /// May be negative: a taker goes into debt and waits until it is paid.
    tokens: f64,
    filled: Instant,
    /// What may pile up, as time.
    burst: Duration,
}

impl Limiter {
    /// A limiter of `rate` bytes per second; `None` is no limit.
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self::with(rate, Pacing::Lumps)
    }

    /// The same with a flow that is more or less even.
    pub(crate) fn with(rate: Option<u64>, pacing: Pacing) -> Self {
        let (tokens, filled) = (0.0, Instant::now());
        let bucket = Bucket { rate, tokens, filled, burst: pacing.burst() };
        Self {
            pacing,
            bucket: Mutex::new(bucket),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            waited: AtomicU64::new(0),
        }
    }

    /// Changes the limit; waiting takers notice.
    pub(crate) fn set(&self, rate: Option<u64>) {
        let mut bucket = self.lock();
        bucket.fill(Instant::now());
        bucket.rate = rate;
        // An old debt at a new rate would be paid for ever.
        bucket.tokens = 0.0;
        drop(bucket);
        self.changed.notify_waiters();
    }

    /// Changes the limit a little, as is done all the time: what is owed stays owed.
    pub(crate) fn adjust(&self, rate: Option<u64>) {
        let mut bucket = self.lock();
        if rate.is_none() || bucket.rate.is_none() {
            drop(bucket);
            return self.set(rate);
        }
        bucket.fill(Instant::now());
        bucket.rate = rate;
    }

    /// The limit in bytes per second.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.lock().rate
    }

    /// Bytes one frame should carry at most, so that the flow stays smooth.
    pub(crate) fn quantum(&self, most: usize) -> usize {
        match self.rate() {
            None => most,
            Some(rate) => usize::try_from(rate / self.pacing.frames_per_second())
                .unwrap_or(most)
                .clamp(MIN_DATA_LEN, most.max(MIN_DATA_LEN)),
        }
    }

    /// Waits until `bytes` may pass.
    pub(crate) async fn take(&self, bytes: usize) {
        if self.rate().is_none() {
            return;
        }
        let _turn = self.turn.lock().await;
        let mut pending = bytes;
        loop {
            let changed = self.changed.notified();
            let wait = self.lock().take(std::mem::take(&mut pending), Instant::now());
            let Some(wait) = wait else { return };
            let began = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
            let nanos = saturate::<u64>(began.elapsed().as_nanos());
            self.waited.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// Time in which somebody waited for their turn to be paid.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// Takes `bytes` without waiting; who does so asks [`Self::debt`] before the next.
    pub(crate) fn charge(&self, bytes: usize) {
        self.lock().take(bytes, Instant::now());
    }

    /// How long to wait until what was taken is paid for (at most a second, then ask again).
    pub(crate) fn debt(&self) -> Option<Duration> {
        self.lock().take(0, Instant::now()).map(|wait| wait.min(LOOK_AGAIN))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unpoisoned()
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = now;
        if let Some(rate) = self.rate {
            let rate = rate as f64;
            self.tokens =
                (self.tokens + passed.as_secs_f64() * rate).min(self.burst.as_secs_f64() * rate);
        }
    }

    /// Takes `bytes` (into debt if need be); says how long until the debt is paid.
    fn take(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        self.fill(now);
        let rate = self.rate?;
        self.tokens -= bytes as f64;
        (self.tokens < 0.0).then(|| Duration::from_secs_f64(-self.tokens / rate.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_is_exact_over_time_whatever_the_frame_size() {
        for rate in [16 * 1024u64, 1_000_000, 1 << 30] {
            for frame in [1000usize, 65_536, 262_144] {
                let start = Instant::now();
                let mut bucket =
                    Bucket { rate: Some(rate), tokens: 0.0, filled: start, burst: BURST };
                let (mut now, mut sent) = (start, 0u64);
                // A million frames say as much as 200 million.
                let million = Duration::from_secs(1_000_000 * frame as u64 / rate);
                let end = start + Duration::from_secs(200).min(million.max(Duration::from_secs(2)));
                while now < end {
                    sent += frame as u64;
                    if let Some(wait) = bucket.take(frame, now) {
                        now += wait;
                    }
                }
                let ideal = rate as f64 * (now - start).as_secs_f64();
                let error = (sent as f64 - ideal).abs() / ideal;
                assert!(error < 0.02, "rate {rate} frame {frame}: off by {error}");
            }
        }
    }

    #[test]
    fn late_wake_ups_cost_no_speed() {
        let mut rng = fastrand::Rng::with_seed(1);
        for rate in [16 * 1024u64, 1 << 20, 1 << 30] {
            let start = Instant::now();
            let mut bucket = Bucket { rate: Some(rate), tokens: 0.0, filled: start, burst: BURST };
            let (mut now, mut sent) = (start, 0u64);
            let end = start + Duration::from_secs(400);
            while now < end {
                sent += 65_536;
                if let Some(wait) = bucket.take(65_536, now) {
                    now += wait + Duration::from_micros(rng.u64(..150_000));
                }
            }
            let ideal = rate as f64 * (now - start).as_secs_f64();
            let error = (sent as f64 - ideal).abs() / ideal;
            assert!(error < 0.02, "rate {rate}: off by {error}");
        }
    }

    #[test]
    fn what_is_charged_is_paid_before_the_next() {
        let limiter = Limiter::new(Some(100_000));
        assert_eq!(limiter.debt(), None);
        limiter.charge(50_000);
        let debt = limiter.debt().unwrap();
        assert!(
            debt > Duration::from_millis(100) && debt <= Duration::from_millis(500),
            "{debt:?}"
        );
        limiter.charge(1_000_000);
        assert_eq!(limiter.debt(), Some(LOOK_AGAIN));
        limiter.set(None);
        assert_eq!(limiter.debt(), None);
    }

    #[test]
    fn a_limit_that_moves_all_the_time_forgives_nothing() {
        let limiter = Limiter::with(Some(1_000_000), Pacing::Even);
        limiter.charge(500_000);
        for rate in [1_010_000, 990_000, 1_000_000] {
            limiter.adjust(Some(rate));
        }
        assert!(limiter.debt().unwrap() > Duration::from_millis(200));
        limiter.adjust(None);
        assert_eq!(limiter.debt(), None);
        limiter.adjust(Some(1_000_000));
        assert_eq!(limiter.debt(), None, "what went out without a limit is not owed");
        // A frame takes 25 ms, so that it fills no queue by itself.
        assert_eq!(limiter.quantum(1 << 20), 25_000);
        assert_eq!(Limiter::new(Some(1_000_000)).quantum(1 << 20), 125_000);
    }

    #[test]
    fn a_rest_does_not_earn_more_than_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket { rate: Some(1000), tokens: 0.0, filled: start, burst: BURST };
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.take(150, later), None);
        assert!(bucket.take(1000, later).is_some());
    }

    #[tokio::test]
    async fn no_limit_never_waits_and_a_lifted_limit_lets_go() {
        let limiter = std::sync::Arc::new(Limiter::new(None));
        limiter.take(usize::MAX / 2).await;
        limiter.set(Some(1));
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.take(1_000_000).await }
        });
        tokio::task::yield_now().await;
        limiter.set(None);
        waiting.await.unwrap();
    }
}
