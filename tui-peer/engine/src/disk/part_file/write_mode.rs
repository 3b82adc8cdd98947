//! Whether a chunk is written through the system's cache or past it.
//!
//! The cache costs a copy and fresh pages for every byte, which is most of what a large download costs
//! (2 GiB into pages that a virtual machine's host must give first: 2.5 s of processor time per GB,
//! past the cache 0.1), and pushes out what others use. It pays where somebody reads the bytes soon, and
//! where it turns many scattered writes into few: on disks with heads and over networks. So: past it
//! only what is large and nobody asks for, and only where that is measured to be no slower.

use std::time::Duration;

/// Contents from this size (bytes) on are written past the cache. What is smaller is likely to be opened
/// while it would still be in memory.
const LARGE_CONTENT: u64 = 1 << 30;
/// Shorter chunks (bytes) are not worth a wait for the disk each.
const MIN_LEN: usize = 256 * 1024;
/// First writes each way, before the first verdict.
const TRIALS: u32 = 4;
/// After so many writes one goes the other way, in case things have changed.
const PROBE_EVERY: u32 = 64;
/// A write past the cache may take so many times as long: it has reached the disk then and cost the
/// processor next to nothing, while the other still has to.
const PATIENCE: f64 = 2.0;
/// Weight of the newest write in the mean.
const WEIGHT: f64 = 0.25;

/// How a chunk is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::disk) enum WriteMode {
    /// Through the system's cache.
    Cached,
    /// Straight to the disk (`O_DIRECT`).
    Direct,
}

/// Finds the better way for one download.
#[derive(Debug)]
pub(in crate::disk) struct WriteModes {
    /// Whether there is a choice at all.
    choice: bool,
    /// Shorter chunks go through the cache.
    min_len: usize,
    cached: Pace,
    direct: Pace,
    since_probe: u32,
}

/// What writing takes.
#[derive(Debug, Default)]
struct Pace {
    writes: u32,
    /// Mean of seconds per byte.
    mean: f64,
}

impl Pace {
    fn note(&mut self, len: usize, took: Duration) {
        let each = took.as_secs_f64() / len.max(1) as f64;
        self.mean = if self.writes == 0 { each } else { self.mean + WEIGHT * (each - self.mean) };
        self.writes = self.writes.saturating_add(1);
    }
}

impl WriteModes {
    /// For a content of `size` bytes.
    pub(in crate::disk) fn new(size: u64) -> Self {
        let choice = size >= LARGE_CONTENT && cfg!(target_os = "linux");
        let (cached, direct) = (Pace::default(), Pace::default());
        Self { choice, min_len: MIN_LEN, cached, direct, since_probe: 0 }
    }

    /// For small contents too.
    #[cfg(test)]
    pub(in crate::disk) fn eager() -> Self {
        Self { min_len: 1, ..Self::new(LARGE_CONTENT) }
    }

    /// Writes past the cache, or `None` if there is no such choice.
    #[cfg(test)]
    pub(in crate::disk) fn direct_writes(&self) -> Option<u32> {
        self.choice.then_some(self.direct.writes)
    }

    /// The way for the next chunk of `len` bytes; `read_soon` if somebody will ask for it.
    pub(in crate::disk) fn next(&mut self, len: usize, read_soon: bool) -> WriteMode {
        if !self.choice || read_soon || len < self.min_len {
            return WriteMode::Cached;
        }
        if self.direct.writes < TRIALS {
            return WriteMode::Direct;
        }
        if self.cached.writes < TRIALS {
            return WriteMode::Cached;
        }
        let better = if self.direct.mean <= self.cached.mean * PATIENCE {
            (WriteMode::Direct, WriteMode::Cached)
        } else {
            (WriteMode::Cached, WriteMode::Direct)
        };
        self.since_probe += 1;
        if self.since_probe >= PROBE_EVERY {
            self.since_probe = 0;
            return better.1;
        }
        better.0
    }

    /// A chunk was written.
    pub(in crate::disk) fn note(&mut self, mode: WriteMode, len: usize, took: Duration) {
        match mode {
            _ if !self.choice || len < self.min_len => {}
            WriteMode::Cached => self.cached.note(len, took),
            WriteMode::Direct => self.direct.note(len, took),
        }
    }

    /// The file system does not do it.
    pub(in crate::disk) fn refuse_direct(&mut self) {
        self.choice = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Which of `n` writes go past the cache when a mebibyte takes so many microseconds each way.
    fn run(modes: &mut WriteModes, n: u32, cached: u64, direct: u64) -> u32 {
        let mut past = 0;
        for _ in 0..n {
            let mode = modes.next(MIB, false);
            past += u32::from(mode == WriteMode::Direct);
            let micros = if mode == WriteMode::Direct { direct } else { cached };
            modes.note(mode, MIB, Duration::from_micros(micros));
        }
        past
    }

    #[test]
    fn fast_disks_are_written_to_directly_and_slow_ones_are_not() {
        let fast = run(&mut WriteModes::new(LARGE_CONTENT), 1000, 2000, 500);
        assert!(fast > 970, "{fast}");
        let slow = run(&mut WriteModes::new(LARGE_CONTENT), 1000, 300, 12_000);
        assert!((TRIALS..30).contains(&slow), "{slow}");
    }

    #[test]
    fn the_way_follows_when_the_disk_changes() {
        let mut modes = WriteModes::new(LARGE_CONTENT);
        run(&mut modes, 500, 2000, 500);
        // Somebody else is busy on the disk; the cache takes it faster.
        run(&mut modes, 100, 300, 20_000);
        assert!(run(&mut modes, 500, 300, 20_000) < 20);
        run(&mut modes, 1500, 2000, 500);
        assert!(run(&mut modes, 500, 2000, 500) > 480);
    }

    #[test]
    fn what_is_small_or_read_soon_goes_through_the_cache() {
        let mut modes = WriteModes::new(LARGE_CONTENT - 1);
        assert_eq!(modes.next(MIB, false), WriteMode::Cached);
        let mut modes = WriteModes::new(LARGE_CONTENT);
        assert_eq!(modes.next(MIB, true), WriteMode::Cached);
        assert_eq!(modes.next(MIN_LEN - 1, false), WriteMode::Cached);
        assert_eq!(modes.next(MIB, false), WriteMode::Direct);
        modes.refuse_direct();
        assert_eq!(modes.next(MIB, false), WriteMode::Cached);
    }
}
