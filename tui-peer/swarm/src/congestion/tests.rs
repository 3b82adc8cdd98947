//! The controller on a line: a queue with a capacity, sockets that take some ahead, receivers with queues of their own.

use std::time::Duration;

use super::{Congestion, MIN_LIMIT, Sample};
use crate::time::Time;

/// Seconds of a step.
const STEP: f64 = 0.005;
/// A connection that was written to reports after so many steps.
const PERIOD: usize = 20;
const CHUNK: f64 = 64.0 * 1024.0;
/// What a socket takes ahead at least.
const AHEAD: f64 = 48.0 * 1024.0;
const MBIT: f64 = 125_000.0;

struct Receiver {
    /// Seconds.
    base: f64,
    /// Bytes per second, and what waits there.
    down: f64,
    queued: f64,
    wants: f64,
    ahead: f64,
    acked: f64,
    rtt: f64,
    least: f64,
    joins: f64,
    /// Written since it reported last.
    written: f64,
}

struct Line {
    capacity: f64,
    /// What others send on it, bytes per second, that do not give way.
    cross: f64,
    /// What the queue holds, bytes.
    buffer: f64,
    queue: f64,
    /// Delay that no sending of ours changes, and its jitter, seconds.
    foreign: f64,
    /// It comes and goes: every so many seconds, for this part of them.
    swing: Option<(f64, f64)>,
    jitter: f64,
    receivers: Vec<Receiver>,
    /// They take turns, a chunk for each: whose it is, and what is left of it.
    turns: Option<(usize, f64)>,
    control: Congestion,
    now: f64,
    tokens: f64,
    waited: f64,
    rng: fastrand::Rng,
}

#[derive(Debug, Default)]
struct Seen {
    /// Bytes per second that arrived.
    rate: f64,
    /// Seconds that the queue was long: the mean, and what it was longer than in a tenth of the time.
    delay: f64,
    long: f64,
    least_limit: f64,
}

impl Line {
    fn new(capacity: f64, receivers: usize, base: f64, buffer: f64) -> Self {
        let receivers = (0..receivers)
            .map(|i| Receiver {
                base: base * (1.0 + i as f64 / 4.0),
                down: 1e12,
                queued: 0.0,
                wants: 1e12,
                ahead: 0.0,
                acked: 0.0,
                rtt: base,
                least: f64::MAX,
                joins: 0.0,
                written: 0.0,
            })
            .collect();
        Self {
            capacity,
            cross: 0.0,
            buffer: buffer * capacity,
            queue: 0.0,
            foreign: 0.0,
            swing: None,
            jitter: 0.0,
            receivers,
            turns: None,
            control: Congestion::default(),
            now: 100.0,
            tokens: 0.0,
            waited: 0.0,
            rng: fastrand::Rng::with_seed(7),
        }
    }

    fn run(&mut self, seconds: f64) -> Seen {
        let steps = (seconds / STEP) as usize;
        let (before, mut delays, mut least) = (self.acked(), Vec::new(), f64::MAX);
        for step in 0..steps {
            self.step(step);
            delays.push(self.queue / (self.capacity - self.cross));
            least = least.min(self.control.limit().map_or(f64::MAX, |limit| limit as f64));
        }
        delays.sort_by(f64::total_cmp);
        Seen {
            rate: (self.acked() - before) / seconds,
            delay: delays.iter().sum::<f64>() / steps as f64,
            long: delays[steps * 9 / 10],
            least_limit: least,
        }
    }

    fn acked(&self) -> f64 {
        self.receivers.iter().map(|r| r.acked).sum()
    }

    fn step(&mut self, step: usize) {
        self.now += STEP;
        let now = Time::from_micros((self.now * 1e6) as u64);
        let limit = self.control.limit().map(|limit| limit as f64);
        self.tokens =
            limit.map_or(f64::MAX, |limit| (self.tokens + limit * STEP).min(limit * 0.05));
        let n = self.receivers.len();
        let delay = self.queue / (self.capacity - self.cross);
        // Writers fill sockets in turn as far as the limit lets them.
        for i in 0..n {
            let receiver = &mut self.receivers[(i + step) % n];
            if self.now < receiver.joins {
                continue;
            }
            if self.turns.is_some_and(|(turn, _)| turn != (i + step) % n) {
                continue;
            }
            if receiver.least == f64::MAX {
                // Its handshake.
                receiver.least = receiver.base + delay + self.foreign;
                receiver.rtt = receiver.least;
            }
            let takes = (AHEAD.max(self.capacity * 0.02) - receiver.ahead)
                .min(receiver.wants * STEP)
                .min(self.tokens)
                .max(0.0);
            receiver.ahead += takes;
            receiver.written += takes;
            self.tokens -= takes;
            if let Some((turn, left)) = &mut self.turns {
                *left -= takes;
                if *left <= 0.0 {
                    (*turn, *left) = ((*turn + 1) % n, CHUNK);
                }
                break;
            }
        }
        if self.tokens <= 0.0 {
            self.waited += STEP;
        }
        // TCP fills the queue, each as much as it may; then the line empties it.
        let mut arrived = vec![0.0; n];
        let carries = (self.capacity - self.cross).max(self.capacity * 0.05) * STEP;
        let room = (self.buffer - self.queue).max(0.0) + carries;
        let waiting: f64 = self.receivers.iter().map(sendable).sum();
        let part = if waiting > 0.0 { (room / waiting).min(1.0) } else { 0.0 };
        let mut sent = 0.0;
        for (receiver, arrived) in self.receivers.iter_mut().zip(&mut arrived) {
            *arrived = sendable(receiver) * part;
            receiver.ahead -= *arrived;
            sent += *arrived;
        }
        let all = self.queue + sent;
        let out = all.min(carries);
        self.queue = all - out;
        let share = if sent > 0.0 { out / sent } else { 0.0 };
        for (receiver, arrived) in self.receivers.iter_mut().zip(&arrived) {
            receiver.queued += arrived * share;
            let taken = receiver.queued.min(receiver.down * STEP);
            receiver.queued -= taken;
            receiver.acked += taken;
            let there = self.swing.is_none_or(|(period, part)| (self.now % period) < part * period);
            let foreign = if there { self.foreign } else { 0.0 };
            let jitter = self.jitter * self.rng.f64();
            let rtt = receiver.base + delay + receiver.queued / receiver.down + foreign + jitter;
            receiver.least = receiver.least.min(rtt);
            // TCP smooths it with each acknowledgement, one for two segments.
            receiver.rtt += (rtt - receiver.rtt) * (taken / 2896.0 / 8.0).min(1.0);
        }
        for i in 0..n {
            if (step + i * 3).is_multiple_of(PERIOD) && self.receivers[i].written > 0.0 {
                let r = &mut self.receivers[i];
                r.written = 0.0;
                let sample = Sample {
                    rtt: Duration::from_secs_f64(r.rtt),
                    least_rtt: Duration::from_secs_f64(r.least),
                    acked: r.acked as u64,
                    waited: Duration::from_secs_f64(self.waited),
                };
                self.control.sample(now, i as u64, sample);
            }
        }
    }
}

/// What TCP would send at once: a receiver whose own line is full holds it back.
fn sendable(receiver: &Receiver) -> f64 {
    let room = (receiver.down * 0.3 - receiver.queued).max(0.0);
    receiver.ahead.min(room)
}

#[test]
fn the_queue_goes_and_the_line_stays_full() {
    for (mbit, receivers) in
        [(0.5, 1), (0.5, 3), (1.0, 8), (10.0, 1), (10.0, 3), (10.0, 16), (100.0, 8), (1000.0, 4)]
    {
        {
            for (base, buffer) in [(0.001, 0.15), (0.02, 0.3), (0.1, 1.0), (0.3, 2.0)] {
                let mut line = Line::new(mbit * MBIT, receivers, base, buffer);
                line.run(30.0);
                let seen = line.run(60.0);
                let most = if mbit < 2.0 { 0.2 } else { 0.09 };
                let used = seen.rate / line.capacity;
                assert!(
                    (0.80..=1.01).contains(&used),
                    "{mbit} Mbit/s, {receivers}, {base} {buffer}: {used:.3} {seen:?}"
                );
                assert!(
                    seen.delay < most / 2.0 && seen.long < most,
                    "{mbit} {receivers} {base} {buffer}: {seen:?}"
                );
            }
        }
    }
}

#[test]
fn receivers_that_take_turns_are_counted_together() {
    for (mbit, receivers) in [(2.5, 4), (10.0, 4), (10.0, 8), (100.0, 8)] {
        let mut line = Line::new(mbit * MBIT, receivers, 0.02, 0.2);
        line.turns = Some((0, CHUNK));
        line.run(10.0);
        let seen = line.run(60.0);
        assert!(
            seen.rate > 0.85 * line.capacity && seen.long < 0.12,
            "{mbit} {receivers}: {seen:?}"
        );
    }
}

#[test]
fn a_queue_goes_within_seconds() {
    for (mbit, receivers) in [(2.5, 8), (10.0, 4), (10.0, 8), (100.0, 8)] {
        let mut line = Line::new(mbit * MBIT, receivers, 0.03, 0.5);
        line.run(6.0);
        let seen = line.run(5.0);
        assert!(seen.long < 0.09, "{mbit} Mbit/s, {receivers}: {seen:?}");
        assert!(seen.rate > 0.75 * line.capacity, "{mbit} Mbit/s, {receivers}: {seen:?}");
    }
}

#[test]
fn a_line_that_becomes_faster_or_slower_is_followed() {
    let mut line = Line::new(10.0 * MBIT, 4, 0.03, 0.5);
    line.run(30.0);
    line.capacity *= 5.0;
    line.run(12.0);
    let seen = line.run(10.0);
    assert!(seen.rate > 0.8 * line.capacity, "{:.3} {seen:?}", seen.rate / line.capacity);
    line.capacity /= 10.0;
    // At first that looks like a delay that is not ours.
    line.run(60.0);
    let seen = line.run(20.0);
    assert!(seen.rate > 0.75 * line.capacity && seen.long < 0.09, "{seen:?}");
}

#[test]
fn a_slow_receiver_is_no_full_uplink() {
    let mut line = Line::new(100.0 * MBIT, 3, 0.02, 0.5);
    line.receivers[0].down = MBIT;
    for other in &mut line.receivers[1..] {
        other.wants = 20.0 * MBIT;
    }
    line.run(10.0);
    assert_eq!(line.control.limit(), None);
    // It alone: it gets what it can take.
    let mut line = Line::new(100.0 * MBIT, 1, 0.02, 0.5);
    line.receivers[0].down = MBIT;
    line.run(20.0);
    let seen = line.run(60.0);
    assert!(seen.rate > 0.85 * MBIT, "{seen:?}");
    // And another that comes is not held up by that for long.
    line.receivers.push(Line::new(MBIT, 1, 0.02, 0.5).receivers.remove(0));
    line.run(30.0);
    let seen = line.run(10.0);
    assert!(seen.rate > 80.0 * MBIT, "{seen:?}");
}

#[test]
fn who_acknowledges_late_slows_nobody_else_down() {
    let mut line = Line::new(100.0 * MBIT, 4, 0.02, 0.5);
    for receiver in &mut line.receivers {
        receiver.wants = 5.0 * MBIT;
    }
    line.run(5.0);
    for (late, receiver) in [0.1, 0.5, 2.0].iter().zip(&mut line.receivers) {
        receiver.base += late;
    }
    line.run(60.0);
    assert_eq!(line.control.limit(), None);
}

#[test]
fn another_receiver_frees_what_a_slow_one_alone_was_held_at() {
    for slow in [1.0, 3.0, 10.0] {
        for base in [0.02, 0.05, 0.1] {
            let mut line = Line::new(100.0 * MBIT, 1, base, 0.5);
            line.receivers[0].down = slow * MBIT;
            line.run(20.0);
            line.receivers.push(Line::new(MBIT, 1, base, 0.5).receivers.remove(0));
            line.run(40.0);
            let seen = line.run(10.0);
            assert!(seen.rate > 75.0 * MBIT, "{slow} {base}: {seen:?}");
        }
    }
}

#[test]
fn a_way_that_becomes_longer_is_no_queue_for_ever() {
    for more in 1..=12 {
        let mut line = Line::new(10.0 * MBIT, 4, 0.03, 0.5);
        line.run(20.0);
        for receiver in &mut line.receivers {
            receiver.base += f64::from(more) * 0.005;
        }
        line.capacity *= 5.0;
        line.run(90.0);
        let seen = line.run(30.0);
        assert!(seen.rate > 0.7 * line.capacity, "{more}: {seen:?}");
    }
}

#[test]
fn delay_that_is_not_ours_costs_little() {
    for foreign in [0.08, 0.2, 1.0] {
        let mut line = Line::new(100.0 * MBIT, 4, 0.02, 0.5);
        for receiver in &mut line.receivers {
            receiver.wants = 5.0 * MBIT;
        }
        line.run(5.0);
        line.foreign = foreign;
        let seen = line.run(300.0);
        assert!(seen.rate > 0.93 * 20.0 * MBIT, "{foreign}: {seen:?}");
        assert!(seen.least_limit > 5.0 * MBIT);
    }
}

#[test]
fn delay_that_comes_and_goes_costs_little() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..120 {
        let (period, part) = (1.0 + 19.0 * rng.f64(), 0.2 + 0.7 * rng.f64());
        let mut line = Line::new(100.0 * MBIT, 4, 0.02, 0.5);
        for receiver in &mut line.receivers {
            receiver.wants = 5.0 * MBIT;
        }
        (line.foreign, line.swing) = (0.07 + 0.33 * rng.f64(), Some((period, part)));
        let seen = line.run(300.0);
        let last = line.run(60.0);
        assert!(
            seen.rate > 0.7 * 20.0 * MBIT && last.rate > 0.65 * 20.0 * MBIT,
            "{period} {part} {}: {seen:?}",
            line.foreign
        );
    }
}

#[test]
fn jitter_costs_little() {
    for jitter in [0.03, 0.08, 0.3] {
        let mut line = Line::new(20.0 * MBIT, 4, 0.02, 0.5);
        line.jitter = jitter;
        line.run(10.0);
        let seen = line.run(300.0);
        assert!(seen.rate > 0.7 * 20.0 * MBIT, "{jitter}: {seen:?}");
    }
}

#[test]
fn other_traffic_gets_its_part_and_leaves_ours() {
    let mut line = Line::new(10.0 * MBIT, 4, 0.02, 0.5);
    line.run(20.0);
    line.cross = 5.0 * MBIT;
    line.run(60.0);
    let seen = line.run(30.0);
    assert!(seen.rate > 0.75 * 5.0 * MBIT && seen.long < 0.15, "{seen:?}");
    line.cross = 0.0;
    line.run(10.0);
    let seen = line.run(20.0);
    assert!(seen.rate > 0.8 * 10.0 * MBIT, "{seen:?}");
}

#[test]
fn who_comes_while_the_queue_stands_does_not_hide_it() {
    let mut line = Line::new(10.0 * MBIT, 8, 0.02, 0.3);
    for (i, receiver) in line.receivers.iter_mut().enumerate() {
        receiver.joins = 100.0 + i as f64 * 0.4;
    }
    line.run(20.0);
    let seen = line.run(30.0);
    assert!(seen.long < 0.09 && seen.rate > 0.8 * line.capacity, "{seen:?}");
}

#[test]
fn a_trickle_is_not_limited_and_a_limit_is_forgotten() {
    let mut line = Line::new(1.5 * MIN_LIMIT as f64, 2, 0.02, 5.0);
    line.run(60.0);
    assert_eq!(line.control.limit(), None);
    let mut line = Line::new(10.0 * MBIT, 2, 0.02, 0.5);
    line.run(20.0);
    assert!(line.control.limit().is_some());
    line.now += 3600.0;
    line.run(0.1);
    assert_eq!(line.control.limit(), None);
}
