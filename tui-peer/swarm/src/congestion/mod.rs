//! A limit for uploads that keeps our uplink from filling its queue.
//!
//! Home routers and modems keep up to seconds of what they cannot send at once ("bufferbloat"). Who uploads at full
//! speed then waits behind that with everything else: acknowledgements, requests, pages that somebody looks at. So the
//! upload is held just under what the line carries, which is found from TCP's own round trips, as in LEDBAT (RFC 6817),
//! with what BBR does instead of LEDBAT's slow approach: the line's capacity is what arrives while the queue stands.
//!
//! The queue is at our uplink only if the round trips of all connections in use are longer than they were at their
//! shortest: one slow receiver says nothing. It is ours only if it goes when we send less: if it does not, we send as
//! before, and leave it alone for a while.

mod delivered;
mod known;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::delivered::{Delivered, tick_of};
use self::known::Known;
pub use self::known::Sample;
use crate::time::Time;

/// Delay of all connections at which a limit begins: that of LEDBAT++ (60 ms). Queues that hold less harm nobody.
const ENTER: Duration = Duration::from_millis(60);
/// While there is a limit, it is lowered at this delay,
const HIGH: Duration = Duration::from_millis(30);
/// and may rise fast below this one: what frames in turn and a busy processor make.
const LOW: Duration = Duration::from_millis(12);
/// It is decided once in a tick. The least delay of so many counts: Wi-Fi and mobile links delay single packets by more than a queue does.
const WINDOW: usize = 3;
/// A tick further back than so many says nothing any more.
const OLD: u64 = 15;
/// Part of the capacity let out until the queue is gone. What sockets took ahead goes out at full speed meanwhile.
const DRAIN: f64 = 0.6;
/// It is gone when no more than this arrives: a queue is what keeps the line full. Round trips tell it later, since TCP
/// smooths them.
const EMPTY: f64 = 0.8;
/// Part of the capacity let out until round trips have told.
const SETTLE: f64 = 0.95;
/// Part of the capacity sent at then.
const HOLD: f64 = 0.97;
/// Growth by second as long as the limit is about the capacity last seen.
const GROWTH: f64 = 0.03;
/// Beyond it the growth doubles each second up to this: a line that has become five times as fast is found in nine.
const MOST_GROWTH: f64 = 1.0;
/// "About" the capacity.
const ABOUT: f64 = 1.08;
/// Part of the time in which somebody must have waited for a limit that is to grow.
const USED: f64 = 0.6;
/// A limit at which a queue arises is above the capacity, which is taken for this part of it at most.
const BELOW: f64 = 0.95;
/// By this much of itself a queue of ours must have become shorter in the time of patience.
const FALLS_TO: f64 = 0.7;
/// Time in which they must: some of the longest.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Time in which a queue must be gone: on a slow line sockets may have taken ahead what it carries in ten seconds.
const MOST_PATIENCE: Duration = Duration::from_secs(20);
/// It is lowered so often in vain before the delay counts as not ours.
const TRIES: u32 = 2;
/// So often in a row a queue may come back before the limit is at the capacity again: where none can be.
const DOUBTS: u32 = 2;
/// A capacity that seems so much lower than it was is doubted: a delay that comes and goes by itself looks like that.
const DOWN_TO: f64 = 0.8;
/// A delay that is not ours swings up to so many times its least.
const SWINGS: f64 = 1.5;
/// It is left alone for so long,
const LEAVE_ALONE: Duration = Duration::from_secs(30);
/// twice as long each time, up to this.
const MOST_LEAVE_ALONE: Duration = Duration::from_secs(600);
/// After so long without uploads nothing is known of the line any more.
const FORGET: Duration = Duration::from_secs(600);
/// No limit is lower, in bytes per second; and less than this fills no line.
pub const MIN_LIMIT: u64 = 16 * 1024;
/// Less than this is not limited: twice the least limit, which could not be lowered otherwise.
const ENOUGH: f64 = 2.0 * MIN_LIMIT as f64;
/// Connections that are known at most: more than are served at once.
const MAX_KNOWN: usize = 256;
/// More than this is not taken off a first round trip: who says that it is the queue may be slow itself.
const MOST_QUEUE: Duration = Duration::from_millis(300);
/// One that was not heard of for so long makes room.
const STALE: Duration = Duration::from_secs(60);
/// For so long a limit counts as held after it was last used up.
const HELD: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy)]
enum State {
    Free,
    /// Sends less than the line carries, until the queue is gone.
    Draining(Drain),
    /// Sends a little less, until the delay has gone with it, or turns out not to be ours.
    Settling(Drain),
    /// Sends about what the line carries.
    Holding {
        limit: f64,
        capacity: f64,
        /// When the limit was last about the capacity.
        about: Time,
    },
}

/// What is done about a queue.
#[derive(Debug, Clone, Copy)]
struct Drain {
    capacity: f64,
    since: Time,
    /// The delay then.
    from: Duration,
    /// How often this was begun for one queue.
    tries: u32,
}

impl State {
    /// Bytes per second that may go out.
    fn limit(&self) -> Option<f64> {
        match self {
            Self::Free => None,
            Self::Draining(drain) => Some(drain.capacity * DRAIN),
            Self::Settling(drain) => Some(drain.capacity * SETTLE),
            Self::Holding { limit, .. } => Some(*limit),
        }
    }
}

/// A delay that does not go when we send less.
#[derive(Debug, Clone, Copy, Default)]
struct Foreign {
    delay: Duration,
    until: Time,
    /// For how long it was left alone last.
    rest: Duration,
}

/// The controller of one uplink. Samples in, a limit out.
#[derive(Debug)]
pub struct Congestion {
    known: BTreeMap<u64, Known>,
    delivered: Delivered,
    /// The last ticks in which something was told, and the least delay of all samples there, the newest last.
    delays: VecDeque<(u64, Duration)>,
    tick: u64,
    heard: Time,
    decided: Time,
    /// How long payload has waited for the limit: now, and when it was decided last.
    waited: (Duration, Duration),
    state: State,
    foreign: Foreign,
    /// How often in a row a queue came back where none can be.
    doubts: u32,
    /// The largest capacity found since there is a limit; the first is left out, being the least certain.
    peak: f64,
    /// When the limit was last used up.
    used: Option<Time>,
}

impl Default for Congestion {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            delivered: Delivered::default(),
            delays: VecDeque::new(),
            tick: 0,
            heard: Time::ZERO,
            decided: Time::ZERO,
            waited: (Duration::ZERO, Duration::ZERO),
            state: State::Free,
            foreign: Foreign::default(),
            doubts: 0,
            peak: 0.0,
            used: None,
        }
    }
}

impl Congestion {
    /// A connection that payload goes out on tells how it is: a few times per second, and not while it rests.
    pub fn sample(&mut self, now: Time, conn: u64, sample: Sample) {
        self.roll(now);
        self.heard = now;
        self.waited.0 = sample.waited;
        let Some(known) = self.known.get_mut(&conn) else { return self.know(now, conn, sample) };
        let Some((bytes, gap, delay)) = known.report(now, sample) else { return };
        self.delivered.add(now, gap, bytes);
        match self.delays.back_mut() {
            Some((tick, least)) if *tick == self.tick => *least = delay.min(*least),
            _ => self.delays.push_back((self.tick, delay)),
        }
    }

    /// Bytes per second that may go out; `None` is no limit.
    pub fn limit(&self) -> Option<u64> {
        self.state.limit().map(|limit| (limit as u64).max(MIN_LIMIT))
    }

    /// The rate that uploads are held at, if they want more.
    pub fn held(&self, now: Time) -> Option<u64> {
        let rate = match self.state {
            State::Free => return None,
            State::Draining(drain) | State::Settling(drain) => drain.capacity * HOLD,
            State::Holding { limit, .. } => limit,
        };
        let used = self.used.is_some_and(|used| now.since(used) <= HELD);
        used.then_some((rate as u64).max(MIN_LIMIT))
    }

    /// A connection reports for the first time.
    fn know(&mut self, now: Time, conn: u64, sample: Sample) {
        if self.known.len() >= MAX_KNOWN {
            self.known.retain(|_, known| known.age(now) < STALE);
        }
        if self.known.len() < MAX_KNOWN {
            // While there is a limit the queue goes every few seconds, and a shortest round trip is one without it.
            let stands = matches!(self.state, State::Free | State::Draining(_));
            let queue = self.delay().filter(|_| stands).unwrap_or_default().min(MOST_QUEUE);
            self.known.insert(conn, Known::new(now, sample, queue));
        }
    }

    /// The delay that all connections in use have.
    fn delay(&self) -> Option<Duration> {
        self.delays.iter().map(|(_, least)| *least).min()
    }

    /// Ends the tick that is over, and decides if anything was told in it.
    fn roll(&mut self, now: Time) {
        let tick = tick_of(now);
        if tick <= self.tick {
            return;
        }
        if now.since(self.heard) >= FORGET {
            *self = Self::default();
        }
        while self.delays.len() > WINDOW
            || self.delays.front().is_some_and(|(old, _)| old + OLD < tick)
        {
            self.delays.pop_front();
        }
        let told = self.delays.back().is_some_and(|(newest, _)| *newest == self.tick);
        self.tick = tick;
        if let Some(delay) = self.delay().filter(|_| told) {
            let passed = now.since(self.decided);
            let waited = self.waited.0.saturating_sub(self.waited.1);
            (self.decided, self.waited.1) = (now, self.waited.0);
            if waited >= passed.mul_f64(USED) {
                self.used = Some(now);
            }
            self.decide(now, delay, passed.as_secs_f64().min(1.0));
        }
    }

    /// Bytes per second that arrive. Reports of connections that take turns, and such as are few, tell less than there
    /// is, each in another way.
    fn rate(&mut self, now: Time) -> f64 {
        let rates: f64 = self.known.values().map(|known| known.rate(now)).sum();
        self.delivered.rate(now).max(rates)
    }

    fn decide(&mut self, now: Time, delay: Duration, seconds: f64) {
        let rate = self.rate(now);
        if rate < MIN_LIMIT as f64 {
            return;
        }
        // What is not ours is no more than all there is.
        let expired = now >= self.foreign.until;
        let most = if expired { Duration::ZERO } else { delay.mul_f64(SWINGS) };
        self.foreign.delay = self.foreign.delay.min(most);
        let left_alone = self.foreign.delay;
        let ours = delay.saturating_sub(left_alone);
        self.state = match self.state {
            State::Free if ours < ENTER || self.delays.len() < 2 || rate < ENOUGH => State::Free,
            State::Free => self.begin(now, rate, (delay, ours), None),
            State::Draining(Drain { capacity, .. }) | State::Settling(Drain { capacity, .. })
                if ours <= LOW =>
            {
                self.known.values_mut().for_each(Known::passed_no_queue);
                State::Holding { limit: capacity * HOLD, capacity, about: now }
            }
            State::Draining(drain) if rate <= drain.capacity * EMPTY => {
                State::Settling(Drain { since: now, ..drain })
            }
            State::Draining(drain) if now.since(drain.since) < MOST_PATIENCE => self.state,
            State::Draining(_) => self.leave_alone(now, delay),
            State::Settling(drain) => self.settle(now, rate, (delay, ours), drain),
            State::Holding { limit, capacity, about } => {
                let full =
                    self.delays.len() > 1 && (ours > HIGH && rate > limit / 2.0 || ours > ENTER);
                let grows = self.used == Some(now);
                let near = limit <= capacity * ABOUT || ours > LOW;
                let about = if near || !grows { now } else { about };
                let growth = GROWTH * (now.since(about).as_secs_f64() + f64::from(!near)).exp2();
                let growth = growth.min(MOST_GROWTH) * seconds;
                match (full, grows) {
                    (true, _) => self.begin(now, rate, (delay, ours), Some((limit, capacity))),
                    (_, true) => State::Holding { limit: limit * (1.0 + growth), capacity, about },
                    _ => State::Holding { limit, capacity, about },
                }
            }
        };
    }

    /// There is a queue: sends less, unless that has been in vain.
    fn begin(
        &mut self,
        now: Time,
        rate: f64,
        (delay, ours): (Duration, Duration),
        held: Option<(f64, f64)>,
    ) -> State {
        let sent = self.capacity(rate);
        match held {
            None => (self.doubts, self.peak) = (0, 0.0),
            Some((limit, capacity)) => {
                self.doubts = if limit < capacity { self.doubts + 1 } else { 0 };
                self.peak = self.peak.max(sent);
            }
        }
        if self.doubts > DOUBTS || sent < self.peak * DOWN_TO {
            // Each time the queue went with a lower limit, and came back at a lower one.
            return self.leave_alone(now, delay);
        }
        State::Draining(Drain { capacity: sent, since: now, from: ours, tries: 1 })
    }

    /// What the line carries while there is a queue: what arrives, and less than was let out.
    fn capacity(&self, rate: f64) -> f64 {
        self.state.limit().map_or(rate, |limit| rate.min(limit * BELOW))
    }

    /// The queue is gone, if it was ours: has the delay?
    fn settle(
        &mut self,
        now: Time,
        rate: f64,
        (delay, ours): (Duration, Duration),
        drain: Drain,
    ) -> State {
        let Drain { since, from, tries, .. } = drain;
        if now.since(since) < PATIENCE {
            self.state
        } else if ours <= from.mul_f64(FALLS_TO) {
            // It takes its time.
            State::Settling(Drain { since: now, from: ours, ..drain })
        } else if tries < TRIES {
            // It may be that the line carries less than even that.
            let capacity = self.capacity(rate);
            State::Draining(Drain { capacity, since: now, from: ours, tries: tries + 1 })
        } else {
            self.leave_alone(now, delay)
        }
    }

    /// It is not ours, or it is not clear whose: nothing is held for a while unless there is much more of it.
    fn leave_alone(&mut self, now: Time, delay: Duration) -> State {
        let old = now.since(self.foreign.until) > MOST_LEAVE_ALONE;
        let last = if old { Duration::ZERO } else { self.foreign.rest };
        let rest = (last * 2).clamp(LEAVE_ALONE, MOST_LEAVE_ALONE);
        self.foreign = Foreign { delay: delay.mul_f64(SWINGS), until: now + rest, rest };
        State::Free
    }
}
