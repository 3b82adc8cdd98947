//! Rates of the last minute in slots of one second, for sparklines. Fed by snapshots; holds still when
//! none come, so that nothing has to be drawn at rest.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use common::id::PeerId;

use engine::api::snapshot::{Focus, Totals};

/// Slots kept.
pub const SLOTS: usize = 60;
/// Peers remembered for one content; the engine shows fewer.
const MAX_PEERS: usize = 512;

/// The last values of one rate.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    values: VecDeque<f64>,
    last: u64,
}

/// Rates over time.
#[derive(Debug)]
pub struct History {
    start: Instant,
    /// Coming in.
    pub down: Slots,
    /// Going out.
    pub up: Slots,
    /// From each source of the selected file.
    pub sources: HashMap<PeerId, Slots>,
}

impl Slots {
    fn push(&mut self, slot: u64, value: f64) {
        if self.values.is_empty() {
            self.last = slot;
            self.values.push_back(value);
        } else if slot <= self.last {
            if let Some(newest) = self.values.back_mut() {
                *newest = value;
            }
        } else {
            let empty = (slot - self.last - 1).min(SLOTS as u64);
            self.values.extend((0..empty).map(|_| 0.0));
            self.values.push_back(value);
            self.last = slot;
        }
        while self.values.len() > SLOTS {
            self.values.pop_front();
        }
    }

    /// The newest `n` values, oldest first, zeros in front if there are fewer.
    pub fn last(&self, n: usize) -> Vec<f64> {
        let missing = n.saturating_sub(self.values.len());
        let skip = self.values.len().saturating_sub(n);
        std::iter::repeat_n(0.0, missing).chain(self.values.iter().skip(skip).copied()).collect()
    }
}

impl Slots {
    /// The last minute in `cells` parts, oldest first, each the mean of its seconds.
    pub fn minute(&self, cells: usize) -> Vec<f64> {
        let all = self.last(SLOTS);
        let cells = cells.clamp(1, SLOTS);
        let part =
            |i: usize| all.get(i * SLOTS / cells..(i + 1) * SLOTS / cells).unwrap_or_default();
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
        (0..cells).map(|i| mean(part(i))).collect()
    }
}

impl History {
    /// Empty.
    pub fn new(start: Instant) -> Self {
        Self { start, down: Slots::default(), up: Slots::default(), sources: HashMap::new() }
    }

    /// Takes note of a snapshot's rates.
    pub fn note(&mut self, at: Instant, totals: &Totals, focus: Option<&Focus>) {
        let slot = at.saturating_duration_since(self.start).as_secs();
        self.down.push(slot, totals.down_rate);
        self.up.push(slot, totals.up_rate);
        let Some(focus) = focus else { return };
        if self.sources.len() > MAX_PEERS {
            self.sources.clear();
        }
        for source in &focus.sources {
            self.sources.entry(source.peer).or_default().push(slot, source.down_rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_zeros_and_the_newest_stay() {
        let mut slots = Slots::default();
        slots.push(5, 1.0);
        slots.push(5, 2.0);
        slots.push(8, 3.0);
        assert_eq!(slots.last(5), [0.0, 2.0, 0.0, 0.0, 3.0]);
        assert_eq!(slots.last(2), [0.0, 3.0]);
        assert_eq!(slots.minute(30).len(), 30);
        assert_eq!(slots.minute(30)[29], 1.5, "two seconds each");
        assert_eq!(slots.minute(7).len(), 7);
        slots.push(u64::MAX, 4.0);
        assert_eq!(slots.values.len(), SLOTS);
    }
}
