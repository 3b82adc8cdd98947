//! PURE: when the screen may be painted. What is typed shows at once; data at most ten times a second,
//! rates four times; less over a slow line, and once a second when nobody looks.

use std::time::{Duration, Instant};

/// Between two paints of data (log lines, answers).
const DATA: Duration = Duration::from_millis(100);
/// Between two snapshots: numbers that change faster cannot be read, and the map's colours are many bytes.
const RATES: Duration = Duration::from_millis(250);
/// Between two paints when nobody looks, motion is unwanted, or the terminal hangs.
const SELDOM: Duration = Duration::from_secs(1);
/// After a key, for so long, snapshots are taken as often as other data: the key's effect is in them.
const ANSWERING: Duration = Duration::from_millis(1000);
/// Between two paints while the wheel turns or something is dragged: 30 a second.
const SCROLL: Duration = Duration::from_millis(33);
/// Resizes of one burst: only its last size is painted.
const BURST: Duration = Duration::from_millis(30);
/// A frame that takes longer to write came over a slow line: half as many from now on.
const SLOW: Duration = Duration::from_millis(50);
/// A frame that takes longer than this met a terminal that hangs.
const HANGS: Duration = Duration::from_millis(250);
/// At a slow line data comes at least this many times more seldom (at four: 2.5 paints a second).
const MAX_FACTOR: u32 = 4;

/// Keeps the times.
#[derive(Debug)]
pub struct Pace {
    factor: u32,
    hangs: bool,
    data: Instant,
    rates: Instant,
    key: Option<Instant>,
    hold: Option<Instant>,
    resize: Option<((u16, u16), Instant)>,
}

impl Pace {
    /// From now on.
    pub fn new(now: Instant) -> Self {
        Self { factor: 1, hangs: false, data: now, rates: now, key: None, hold: None, resize: None }
    }

    fn interval(&self, base: Duration, often: bool) -> Duration {
        if !often || self.hangs { SELDOM.max(base) } else { base * self.factor }
    }

    /// When log lines may be taken.
    pub fn data_at(&self) -> Instant {
        self.data
    }

    /// When a snapshot may be taken.
    pub fn rates_at(&self) -> Instant {
        match self.key {
            // Taken a moment ago, perhaps before the key.
            Some(key) if key + ANSWERING > self.rates => self.rates.min(key + DATA),
            _ => self.rates,
        }
    }

    /// Log lines were taken; `often` if somebody looks and motion is welcome.
    pub fn took_data(&mut self, now: Instant, often: bool) {
        self.data = now + self.interval(DATA, often);
    }

    /// A snapshot was taken.
    pub fn took_rates(&mut self, now: Instant, often: bool) {
        let answering = self.key.is_some_and(|at| now < at + ANSWERING);
        let base = if answering { DATA } else { RATES };
        self.rates = now + self.interval(base, often);
    }

    /// Somebody looks again: do not let them wait.
    pub fn looked_at(&mut self, now: Instant) {
        (self.data, self.rates) = (self.data.min(now), self.rates.min(now));
    }

    /// A key was pressed.
    pub fn key(&mut self, now: Instant) {
        (self.key, self.hold) = (Some(now), None);
    }

    /// The wheel was turned, or something dragged.
    pub fn scrolled(&mut self, now: Instant) {
        if self.hold.is_none_or(|until| until <= now) {
            self.hold = Some(now + SCROLL);
        }
    }

    /// Until when nothing is painted.
    pub fn holds(&self, now: Instant) -> Option<Instant> {
        let resize = self.resize.map(|(_, due)| due);
        let hold = self.hold.filter(|until| *until > now);
        resize.max(hold)
    }

    /// The terminal has another size.
    pub fn resized(&mut self, size: (u16, u16), now: Instant) {
        let due = self.resize.map_or(now + BURST, |(_, due)| due);
        self.resize = Some((size, due));
    }

    /// The size of a burst that is over.
    pub fn new_size(&mut self, now: Instant) -> Option<(u16, u16)> {
        self.resize.take_if(|(_, due)| *due <= now).map(|(size, _)| size)
    }

    /// A frame was written.
    pub fn written(&mut self, took: Duration) {
        self.hangs = took > HANGS;
        if took > SLOW {
            self.factor = (self.factor * 2).min(MAX_FACTOR);
        } else if took < SLOW / 2 {
            self.factor = (self.factor / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn of_a_burst_of_sizes_the_last_is_painted_after_30_ms() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut painted = Vec::new();
        // 200 sizes, one a millisecond; virtual time.
        for i in 0..300u16 {
            let now = start + MS * u32::from(i);
            if i < 200 {
                pace.resized((80 + i, 24), now);
            }
            if let Some(size) = pace.new_size(now) {
                painted.push((i, size.0));
            }
            assert_eq!(pace.holds(now).is_some(), pace.resize.is_some());
        }
        assert!(painted.len() <= 7, "{painted:?}");
        assert_eq!(painted.last().map(|(_, width)| *width), Some(279));
        assert!(painted.iter().all(|(at, _)| *at >= 30));
    }

    #[test]
    fn data_is_taken_less_often_the_less_it_is_wanted() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let mut interval = |change: &dyn Fn(&mut Pace), often| {
            change(&mut pace);
            pace.took_data(now, often);
            pace.data_at() - now
        };
        assert_eq!(interval(&|_| (), true), DATA);
        assert_eq!(interval(&|_| (), false), SELDOM);
        assert_eq!(interval(&|p| p.written(60 * MS), true), DATA * 2);
        assert_eq!(interval(&|p| p.written(60 * MS), true), DATA * 4);
        assert_eq!(interval(&|p| p.written(60 * MS), true), DATA * 4);
        assert_eq!(interval(&|p| p.written(30 * MS), true), DATA * 4, "in between: as it is");
        assert_eq!(interval(&|p| p.written(300 * MS), true), SELDOM);
        assert_eq!(interval(&|p| p.written(MS), true), DATA * 2);
        assert_eq!(interval(&|p| p.written(MS), true), DATA);
    }

    #[test]
    fn rates_change_four_times_a_second_unless_a_key_waits_for_its_effect() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.took_rates(now, true);
        assert_eq!(pace.rates_at(), now + RATES);
        pace.key(now + 10 * MS);
        assert_eq!(pace.rates_at(), now + 110 * MS);
        pace.took_rates(now + 110 * MS, true);
        assert_eq!(pace.rates_at(), now + 110 * MS);
        pace.took_rates(now + 2000 * MS, true);
        assert_eq!(pace.rates_at(), now + 2250 * MS);
    }

    #[test]
    fn the_wheel_paints_thirty_times_a_second_and_keys_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut paints = 0;
        for i in 0..1000 {
            let now = start + MS * i;
            if pace.holds(now).is_none() {
                paints += 1;
            }
            pace.scrolled(now);
        }
        assert!((20..=31).contains(&paints), "{paints}");
        let now = start + MS * 1000;
        pace.scrolled(now);
        pace.key(now);
        assert_eq!(pace.holds(now), None);
    }
}
