//! What our uplink carries, and how many peers at once that is enough for.

use super::rate::Rate;
use super::time::Time;

/// A round over all slots should take no more than this many seconds per peer: who waits longer had
/// better ask somebody else. Chunks go out one after the other, so this does not make them late.
const CHUNK_TIME: f64 = 30.0;
/// Slots on the slowest uplink: one may be with a peer that does not ask.
pub(super) const MIN_SLOTS: usize = 2;
/// Weight of the last period in the uplink's rate: payload counts when a whole request is out, which
/// on slow links is seldom.
const SMOOTH: f64 = 0.25;

/// What our uplink was seen to carry while it was the bottleneck.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uplink {
    /// Bytes served in the running period, and when that began.
    served: u64,
    since: Time,
    /// Bytes per second; zero until known.
    rate: f64,
    /// What it carries now, saturated or not.
    flow: Rate,
}

impl Uplink {
    /// So many bytes were handed to the network.
    pub(super) fn served(&mut self, now: Time, bytes: u64) {
        self.served += bytes;
        self.flow.add(now, bytes);
    }

    /// Bytes per second in the last moments.
    pub(super) fn rate(&self, now: Time) -> f64 {
        self.flow.get(now)
    }

    /// Ends a period in which somebody was waiting all the time.
    pub(super) fn measure(&mut self, now: Time, saturated: bool) {
        let seconds = now.since(self.since).as_secs_f64();
        // Before anything went out, that nothing does says more of those who ask than of the link.
        if saturated && seconds > 0.0 && (self.served > 0 || self.rate > 0.0) {
            // One byte: not even one request went out.
            let rate = self.served.max(1) as f64 / seconds;
            self.rate =
                if self.rate > 0.0 { self.rate + (rate - self.rate) * SMOOTH } else { rate };
        }
        (self.since, self.served) = (now, 0);
    }

    /// How many peers to serve at once, at most `most`.
    pub(super) fn slots(&self, chunk: u64, most: usize) -> usize {
        if self.rate <= 0.0 {
            return most;
        }
        let slots = self.rate * CHUNK_TIME / chunk.max(1) as f64;
        (slots as usize).clamp(MIN_SLOTS.min(most), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_uplink_serves_few_at_once() {
        let mut uplink = Uplink::default();
        assert_eq!(uplink.slots(4 << 20, 16), 16, "not known yet");
        let at = |s: u64| Time::from_micros(s * 1_000_000);
        uplink.measure(at(0), false);
        for period in 1..20 {
            // One 4 MiB chunk every 20 s: 200 KiB/s, of which most periods see nothing.
            uplink.served = if period % 4 == 0 { 4 << 20 } else { 0 };
            uplink.measure(at(period * 5), true);
        }
        assert_eq!(uplink.slots(4 << 20, 16), 2);
        assert!(uplink.slots(64 << 10, 16) >= 8, "small chunks move soon enough");
        let known = uplink.rate;
        uplink.measure(at(200), false);
        assert_eq!(uplink.rate, known, "nobody asked: that says nothing about the link");
    }
}
