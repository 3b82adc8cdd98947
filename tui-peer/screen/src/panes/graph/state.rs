//! Rates over the last hour: means of a second, coarser the older they are, at most [`MAX_POINTS`] a
//! series; and the scale they are drawn with, which changes seldom.

use std::collections::VecDeque;
use std::time::Instant;

use common::numbers::saturate;

use settings::Units;

use engine::api::snapshot::Totals;

/// Points of one series at most, over all steps.
pub const MAX_POINTS: usize = 1000;
/// Seconds of a point, and points kept: five minutes, a quarter of an hour and an hour, and a little more.
const TIERS: [(u64, usize); 3] = [(1, 310), (4, 230), (15, 245)];
/// Seconds without word of the engine, while something moved, that are bridged. It speaks several times a
/// second then: a longer silence means that the program did not run.
const BRIDGED: u64 = 3;
/// A smaller scale is taken only if the peaks had room in it so many times: else it would go to and fro.
const SHRINKS: f64 = 1.4;

/// How far back the graph goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    /// One minute.
    Minute,
    /// Five.
    #[default]
    Five,
    /// Fifteen.
    Quarter,
    /// Sixty.
    Hour,
}

impl Window {
    /// In minutes.
    pub fn minutes(self) -> u64 {
        match self {
            Self::Minute => 1,
            Self::Five => 5,
            Self::Quarter => 15,
            Self::Hour => 60,
        }
    }

    /// The next longer one, after the longest the shortest.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Minute => Self::Five,
            Self::Five => Self::Quarter,
            Self::Quarter => Self::Hour,
            Self::Hour => Self::Minute,
        }
    }

    fn tier(self) -> usize {
        match self {
            Self::Minute | Self::Five => 0,
            Self::Quarter => 1,
            Self::Hour => 2,
        }
    }
}

/// Points of one step.
#[derive(Debug, Clone)]
struct Tier {
    step: u64,
    keep: usize,
    /// Older ones; those where nothing is known are not a number.
    values: VecDeque<f32>,
    /// The point that is not over yet: its number, sum and count.
    open: Option<(u64, f64, u32)>,
}

impl Tier {
    /// Takes a rate; `between` stands for points of which nothing was heard.
    fn push(&mut self, second: u64, rate: f64, between: f32) {
        let slot = second / self.step;
        match &mut self.open {
            Some((open, sum, n)) if slot <= *open => (*sum, *n) = (*sum + rate, *n + 1),
            Some((open, sum, n)) => {
                self.values.push_back((*sum / f64::from(*n).max(1.0)) as f32);
                let missing = (slot - *open - 1).min(self.keep as u64);
                self.values.extend((0..missing).map(|_| between));
                self.open = Some((slot, rate, 1));
            }
            None => self.open = Some((slot, rate, 1)),
        }
        while self.values.len() > self.keep {
            self.values.pop_front();
        }
    }

    /// The point of a slot, `after` if it is newer than all; not a number if nothing is known.
    fn at(&self, slot: u64, after: f32) -> f32 {
        match self.open {
            Some((open, ..)) if slot > open => after,
            Some((open, sum, n)) if slot == open => (sum / f64::from(n).max(1.0)) as f32,
            Some((open, ..)) => {
                let back = saturate::<usize>(open - slot);
                let at = self.values.len().checked_sub(back);
                at.and_then(|at| self.values.get(at)).copied().unwrap_or(f32::NAN)
            }
            None => f32::NAN,
        }
    }
}

/// One series.
#[derive(Debug, Clone)]
struct Curve {
    tiers: [Tier; 3],
    last: f64,
}

impl Curve {
    fn new() -> Self {
        let tier = |(step, keep)| Tier { step, keep, values: VecDeque::new(), open: None };
        Self { tiers: TIERS.map(tier), last: 0.0 }
    }

    /// What stands for seconds of which nothing was heard since the last word.
    fn silence(&self, seconds: u64) -> f32 {
        // At rest nothing is said, because nothing changes.
        match self.last {
            rate if rate < 1.0 => 0.0,
            rate if seconds <= BRIDGED => rate as f32,
            _ => f32::NAN,
        }
    }

    fn push(&mut self, second: u64, rate: f64, quiet: u64) {
        let between = self.silence(quiet);
        for tier in &mut self.tiers {
            tier.push(second, rate, between);
        }
        self.last = rate;
    }
}

/// Both series, and how they are drawn.
#[derive(Debug)]
pub struct Graph {
    start: Instant,
    /// Second of the newest word.
    heard: u64,
    down: Curve,
    up: Curve,
    /// How far back it goes.
    pub window: Window,
    /// How large it is drawn.
    pub scale: Scale,
}

/// What is drawn: bytes a second for each column, oldest first; not a number where nothing is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawn {
    /// Coming in.
    pub down: Vec<f32>,
    /// Going out.
    pub up: Vec<f32>,
}

impl Graph {
    /// Empty.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            heard: 0,
            down: Curve::new(),
            up: Curve::new(),
            window: Window::default(),
            scale: Scale::default(),
        }
    }

    fn second(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_secs()
    }

    /// Takes note of a snapshot's rates.
    pub fn note(&mut self, at: Instant, totals: &Totals) {
        let second = self.second(at).max(self.heard);
        let quiet = second - self.heard;
        self.down.push(second, totals.down_rate, quiet);
        self.up.push(second, totals.up_rate, quiet);
        self.heard = second;
    }

    /// The points of the window that are over, oldest first.
    fn points(&self, curve: &Curve, now: Instant) -> Vec<f32> {
        let Some(tier) = curve.tiers.get(self.window.tier()) else { return Vec::new() };
        let second = self.second(now).max(self.heard);
        let after = curve.silence(second - self.heard);
        let n = self.window.minutes() * 60 / tier.step;
        let end = second / tier.step;
        let known = (1..=n)
            .rev()
            .map(|back| end.checked_sub(back).map_or(f32::NAN, |slot| tier.at(slot, after)));
        known.collect()
    }

    /// What is drawn on so many columns.
    pub fn drawn(&self, columns: usize, now: Instant) -> Drawn {
        let means = |curve| means(&self.points(curve, now), columns);
        Drawn { down: means(&self.down), up: means(&self.up) }
    }

    /// Highest rates within the window, in and out.
    pub fn peaks(&self, now: Instant) -> (f64, f64) {
        let peak = |curve| {
            let points = self.points(curve, now);
            f64::from(points.into_iter().filter(|v| v.is_finite()).fold(0.0, f32::max))
        };
        (peak(&self.down), peak(&self.up))
    }
}

/// Points on columns: means where there are more points, the same again where there are fewer.
fn means(points: &[f32], columns: usize) -> Vec<f32> {
    let n = points.len();
    let column = |c: usize| {
        let from = c * n / columns.max(1);
        let to = ((c + 1) * n / columns.max(1)).max(from + 1);
        let known = points.get(from..to.min(n)).unwrap_or_default();
        let (sum, count) = known
            .iter()
            .filter(|v| v.is_finite())
            .fold((0.0_f32, 0_u16), |(sum, count), v| (sum + v, count + 1));
        if count == 0 { f32::NAN } else { sum / f32::from(count) }
    };
    (0..columns).map(column).collect()
}

/// How large a graph is drawn: the same for both halves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Bytes a second of one row.
    pub step: f64,
    /// Rows below the axis, for what goes out.
    pub below: u16,
}

impl Default for Scale {
    fn default() -> Self {
        Self { step: 1024.0, below: 1 }
    }
}

impl Scale {
    /// The scale in which both peaks have room on so many rows: the present one as long as it will do.
    #[must_use]
    pub fn fitted(self, (down, up): (f64, f64), rows: u16, units: Units) -> Self {
        let need = |step: f64| {
            let rows = |peak: f64| (peak / step).ceil().clamp(1.0, 1e4) as u16;
            (rows(down), rows(up))
        };
        let fits = |step: f64, spare: f64| {
            let (above, below) = need(step / spare);
            above + below <= rows
        };
        let steps = steps(units);
        let smallest = |spare: f64| {
            let found = steps.iter().copied().find(|step| fits(*step, spare));
            found.or(steps.last().copied()).unwrap_or(self.step)
        };
        let known = steps.contains(&self.step);
        let step = if !known || !fits(self.step, 1.0) {
            smallest(1.0)
        } else {
            smallest(SHRINKS).min(self.step)
        };
        let (above, below) = need(step);
        let stays = step == self.step && below <= self.below && above + self.below <= rows;
        Self { step, below: if stays { self.below } else { below.min(rows.saturating_sub(1)) } }
    }
}

/// Round steps from the smallest to the largest, in bytes a second.
fn steps(units: Units) -> Vec<f64> {
    const ROUND: [f64; 9] = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0];
    const TENS: [f64; 3] = [1.0, 10.0, 100.0];
    let (thousand, one) = match units {
        Units::Iec => (1024.0_f64, 1.0),
        Units::Si => (1000.0, 1.0),
        Units::Bits => (1000.0, 0.125),
    };
    let units = (1..=4).map(|power| thousand.powi(power) * one);
    units
        .flat_map(|unit| TENS.into_iter().flat_map(move |ten| ROUND.map(|m| m * ten * unit)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn totals(down: f64, up: f64) -> Totals {
        Totals { down_rate: down, up_rate: up, ..Totals::default() }
    }

    #[test]
    fn a_series_is_bounded_however_long_it_runs() {
        let start = Instant::now();
        let mut graph = Graph::new(start);
        for second in 0..20_000 {
            graph.note(start + SECOND * second, &totals(f64::from(second), 1.0));
        }
        let kept: usize = graph.down.tiers.iter().map(|tier| tier.values.len()).sum();
        assert!(kept <= MAX_POINTS && TIERS.iter().map(|t| t.1).sum::<usize>() <= MAX_POINTS);
        let now = start + SECOND * 20_000;
        for window in [Window::Minute, Window::Five, Window::Quarter, Window::Hour] {
            graph.window = window;
            let points = graph.points(&graph.down, now);
            assert!(points.iter().all(|v| v.is_finite()), "{window:?}: nothing is missing");
            let span = window.minutes() as f32 * 60.0;
            let first = points.first().copied().unwrap();
            assert!((first - (20_000.0 - span)).abs() <= 16.0, "{window:?} begins at {first}");
            assert_eq!(graph.drawn(77, now).down.len(), 77);
        }
        assert_eq!(Window::Hour.next(), Window::Minute);
    }

    #[test]
    fn rest_is_zero_and_a_silence_while_something_moved_is_a_gap() {
        let start = Instant::now();
        let mut graph = Graph::new(start);
        graph.window = Window::Minute;
        graph.note(start, &totals(5.0, 0.0));
        graph.note(start + SECOND, &totals(0.0, 0.0));
        // At rest: no word for ten seconds.
        graph.note(start + SECOND * 11, &totals(7.0, 0.0));
        // Stopped while it moved.
        graph.note(start + SECOND * 31, &totals(7.0, 0.0));
        let points = graph.points(&graph.down, start + SECOND * 32);
        let at = |second: usize| points[points.len() - 32 + second];
        assert_eq!((at(0), at(1), at(5), at(10), at(11)), (5.0, 0.0, 0.0, 0.0, 7.0));
        assert!(at(12).is_nan() && at(30).is_nan(), "the program did not run");
        assert_eq!(at(31), 7.0);
        assert!(points[0].is_nan(), "before the start");
        assert_eq!(graph.peaks(start + SECOND * 32), (7.0, 0.0));
    }

    #[test]
    fn the_scale_is_round_grows_at_once_and_shrinks_late() {
        let mib = f64::from(1 << 20);
        let scale = Scale::default().fitted((38.0 * mib, 6.0 * mib), 7, Units::Iec);
        assert_eq!(scale, Scale { step: 8.0 * mib, below: 1 });
        assert_eq!(scale.fitted((41.0 * mib, 7.0 * mib), 7, Units::Iec).step, 8.0 * mib);
        let grown = scale.fitted((61.0 * mib, 9.0 * mib), 7, Units::Iec);
        assert_eq!(grown.step, 15.0 * mib);
        assert_eq!(grown.fitted((52.0 * mib, 9.0 * mib), 7, Units::Iec), grown, "not yet");
        assert_eq!(grown.fitted((20.0 * mib, 3.0 * mib), 7, Units::Iec).step, 5.0 * mib);
        // Whatever comes: both halves have room.
        for peak in [0.0, 1.0, 9e3, 7e7, 3e12] {
            let scale = scale.fitted((peak, peak / 3.0), 7, Units::Bits);
            assert!(scale.below >= 1 && scale.below < 7);
            assert!(peak > 1e12 || peak / scale.step <= f64::from(7 - scale.below));
        }
    }
}
