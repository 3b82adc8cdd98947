//! What the user wishes beyond having a content: how important it is, in which order it comes, how
//! fast it may be; and whom not to talk to.

use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::wire::Code;

use super::content::Content;
use super::event::{ConnId, Notice};
use super::node::{Cx, Node};
use super::time::Time;

/// Weight of a content that nobody raised or lowered.
pub const NORMAL_WEIGHT: u32 = 4;
/// What a limited flow may catch up after a pause, as the time in which it would have flowed. Longer
/// than any tick or disk sync takes, so that these never cost speed.
const CATCH_UP: f64 = 1.0;
/// A ban without an end.
const FOR_EVER: Time = Time::from_micros(u64::MAX);

/// Wishes for one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Its part of what is asked for at once, against the weights of the others; at least 1.
    pub weight: u32,
    /// Chunks in order instead of rarest first.
    pub sequential: bool,
    /// Payload bytes per second that may come in; `None` is no limit.
    pub down: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { weight: NORMAL_WEIGHT, sequential: false, down: None }
    }
}

/// Paces requests so that payload comes in at a rate: a token bucket from which requests are paid when
/// they are answered, and which counts what is under way as spent. Exact over time whatever the size
/// of a chunk, since it may go into debt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    rate: u64,
    tokens: f64,
    filled: Time,
}

impl Pace {
    pub(super) fn new(rate: u64, now: Time) -> Self {
        Self { rate, tokens: 0.0, filled: now }
    }

    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    fn fill(&mut self, now: Time, outstanding: u64) {
        let rate = self.rate as f64;
        let earned = now.since(self.filled).as_secs_f64() * rate;
        // What is asked for and not here yet is not saved up: it is on its way.
        self.tokens = (self.tokens + earned).min(rate * CATCH_UP + outstanding as f64);
        self.filled = now;
    }

    /// Payload came in, of `outstanding` bytes asked for.
    pub(super) fn spend(&mut self, now: Time, bytes: u64, outstanding: u64) {
        self.fill(now, outstanding);
        self.tokens -= bytes as f64;
    }

    /// Whether one more chunk may be asked for.
    pub(super) fn allows(&self, now: Time, outstanding: u64) -> bool {
        let mut then = *self;
        then.fill(now, outstanding);
        then.tokens > outstanding as f64
    }
}

impl Node {
    pub(super) fn set_policy(&mut self, cx: &mut Cx<'_>, id: ContentId, policy: Policy) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.pace = match (policy.down, content.pace) {
            (Some(rate), Some(pace)) if pace.rate() == rate => Some(pace),
            (Some(rate), _) => Some(Pace::new(rate, cx.now)),
            (None, _) => None,
        };
        content.policy = Policy { weight: policy.weight.max(1), ..policy };
        if let Some(body) = &mut content.body {
            // Another order, another first choice.
            body.offers += 1;
        }
        self.weigh();
        self.fill(cx, id);
    }

    /// Notes whether weights and limits of single contents matter at all: as a rule they do not, and
    /// then cost nothing.
    pub(super) fn weigh(&mut self) {
        self.shaping.up_limited =
            self.contents.values().filter(|content| content.up_limited).count();
        self.shaping.mixed = self.contents.values().any(|c| c.policy.weight != NORMAL_WEIGHT);
    }

    pub(super) fn set_down_limit(&mut self, now: Time, rate: Option<u64>) {
        self.shaping.pace = rate.map(|rate| Pace::new(rate, now));
    }

    /// Whether the limits let a content ask for one more chunk.
    pub(super) fn may_pace(&self, now: Time, content: &Content) -> bool {
        self.shaping.pace.is_none_or(|pace| pace.allows(now, self.outstanding))
            && content.pace.is_none_or(|pace| pace.allows(now, content.outstanding))
    }

    /// Payload came in.
    pub(super) fn spend(&mut self, now: Time, id: &ContentId, bytes: u64) {
        let all = self.outstanding;
        if let Some(pace) = &mut self.shaping.pace {
            pace.spend(now, bytes, all);
        }
        if let Some(content) = self.contents.get_mut(id) {
            let outstanding = content.outstanding;
            if let Some(pace) = &mut content.pace {
                pace.spend(now, bytes, outstanding);
            }
        }
    }

    /// How long our own limit may keep an answer from us: no reason to blame its sender.
    pub(super) fn limit_delay(&self) -> Duration {
        self.shaping.pace.map_or(Duration::ZERO, |pace| {
            let seconds = self.outstanding as f64 / pace.rate().max(1) as f64 * 2.0;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        })
    }

    /// A content's part of `whole`, by its weight among all that are wanted.
    pub(super) fn part_of(&self, whole: u64, content: &Content) -> u64 {
        if !self.shaping.mixed {
            return whole / (self.live.len() as u64).max(1);
        }
        let live = self.live.iter().filter_map(|id| self.contents.get(id));
        let sum: u64 = live.map(|content| u64::from(content.policy.weight)).sum();
        let own = u64::from(content.policy.weight);
        u64::try_from(u128::from(whole) * u128::from(own) / u128::from(sum.max(own))).unwrap_or(0)
    }

    /// Whether a content lacks something that no connected peer has. Cheap.
    pub fn is_stuck(&self, id: &ContentId) -> bool {
        self.contents.get(id).is_some_and(|content| match &content.body {
            None => content.links.is_empty(),
            Some(body) => {
                !body.is_done()
                    && body.flights.is_empty()
                    && content.links.values().all(|link| link.useful == 0)
            }
        })
    }

    pub(super) fn ban_peer(&mut self, cx: &mut Cx<'_>, peer: PeerId, time: Option<Duration>) {
        self.dialer.ban(peer, time.map_or(FOR_EVER, |time| cx.now + time));
        self.conduct.suspects.forget(&peer);
        for at in [&self.peers.greeted, &self.peers.reached].map(|table| table.get(&peer).copied())
        {
            let Some(at) = at else { continue };
            if let Some(group) = self.conns.get(&at).and_then(|conn| conn.group) {
                self.conduct.suspects.add(group, cx.now);
            }
            self.close(cx, at, Code::NotPermitted, "banned");
        }
    }

    pub(super) fn unban(&mut self, peer: &PeerId) {
        self.conduct.strikes.forget(peer);
        self.conduct.resting.forget(peer);
        self.dialer.unban(peer);
    }

    /// The machine slept: whoever we were connected to has given us up. What is known of them stays.
    pub(super) fn woke(&mut self, cx: &mut Cx<'_>) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for at in conns {
            self.close(cx, at, Code::Timeout, "this machine slept");
        }
        self.dialer.forgive();
        // Nobody broke anything off: we did.
        self.conduct.resting.forget_all();
        for content in self.contents.values_mut() {
            content.asked = 0;
            content.ask_at = cx.now;
            content.retry.clear();
            content.down.reset();
            content.up.reset();
        }
        self.tick(cx);
    }

    /// Says that a peer is banned, and for how long.
    pub(super) fn say_banned(cx: &mut Cx<'_>, peer: PeerId, why: &'static str, time: Duration) {
        cx.notice(Notice::Banned { peer, why, time });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Virtual time: a source that answers after `delay`, ticks every 100 ms, one chunk per request.
    fn flow(rate: u64, chunk: u64, delay: Duration) -> f64 {
        let step = Duration::from_millis(1);
        let mut pace = Pace::new(rate, Time::ZERO);
        let mut coming: std::collections::VecDeque<Time> = Default::default();
        let (mut now, mut outstanding, mut got) = (Time::ZERO, 0u64, 0u64);
        // Long enough for many chunks at every rate.
        let seconds = (200.0 * chunk as f64 / rate as f64).clamp(20.0, 20_000.0);
        let step = step.max(Duration::from_secs_f64(seconds / 400_000.0));
        let end = Time::ZERO + Duration::from_secs_f64(seconds);
        while now < end {
            now = now + step;
            while coming.front().is_some_and(|due| *due <= now) {
                coming.pop_front();
                pace.spend(now, chunk, outstanding);
                outstanding -= chunk;
                got += chunk;
            }
            while pace.allows(now, outstanding) {
                outstanding += chunk;
                coming.push_back(now + delay);
            }
        }
        got as f64 / seconds / rate as f64
    }

    #[test]
    fn a_paced_download_is_exact_from_16_kib_to_1_gib_per_second() {
        for rate in [16 << 10, 100 << 10, 1 << 20, 64 << 20, 1 << 30] {
            for chunk in [64 << 10, 4 << 20] {
                for delay in [1, 80] {
                    let share = flow(rate, chunk, Duration::from_millis(delay));
                    assert!((0.98..1.02).contains(&share), "{rate} {chunk} {delay}: {share}");
                }
            }
        }
    }

    #[test]
    fn a_rest_earns_no_more_than_the_catch_up() {
        let mut pace = Pace::new(1000, Time::ZERO);
        let later = Time::ZERO + Duration::from_secs(3600);
        pace.spend(later, 900, 0);
        assert!(pace.allows(later, 0));
        pace.spend(later, 200, 0);
        assert!(!pace.allows(later, 0));
    }
}
