//! The log: a bounded ring, newest first on the screen, with a level and a pause.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::engine::event::{Event, Level, Target};

use super::super::field::Field;
use super::super::filter::fold;

/// Lines kept: some hours of a busy peer, about a megabyte.
pub(crate) const MAX_LINES: usize = 4096;

/// One line.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Counts up.
    pub seq: u64,
    /// When.
    pub at: SystemTime,
    /// How important.
    pub level: Level,
    /// Which part of the program.
    pub target: Target,
    /// What.
    pub text: String,
    /// How often in a row.
    pub times: u32,
}

/// The log and how it is looked at.
#[derive(Debug)]
pub struct Log {
    lines: VecDeque<LogLine>,
    next: u64,
    /// Least important level shown.
    pub level: Level,
    /// Newest line shown while paused.
    pub paused: Option<u64>,
    /// Line under the cursor; the newest if `None`.
    pub cursor: Option<u64>,
    /// First visible line, counted from the newest shown one.
    pub offset: usize,
    /// Search.
    pub field: Field,
    /// Whether long lines are wrapped.
    pub wrap: bool,
    /// Errors that came while the log was not visible.
    pub unread: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            next: 0,
            level: Level::Info,
            paused: None,
            cursor: None,
            offset: 0,
            field: Field::default(),
            wrap: false,
            unread: 0,
        }
    }
}

impl Log {
    /// Adds a line; the same text again only counts.
    pub fn push(&mut self, event: &Event) {
        if let Some(last) = self.lines.back_mut()
            && last.text == event.text
            && last.level == event.level
        {
            last.times = last.times.saturating_add(1);
            last.at = event.at;
            return;
        }
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(LogLine {
            seq: self.next,
            at: event.at,
            level: event.level,
            target: event.target,
            text: common::names::show(&event.text),
            times: 1,
        });
        self.next += 1;
    }

    /// Lines that are shown, the newest first.
    pub fn shown(&self) -> impl Iterator<Item = &LogLine> {
        let needle = fold(self.field.text());
        self.lines.iter().rev().filter(move |line| {
            line.level <= self.level
                && self.paused.is_none_or(|newest| line.seq <= newest)
                && (needle.is_empty() || fold(&line.text).contains(&needle))
        })
    }

    /// All lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Lines that came since the pause.
    pub fn newer(&self) -> u64 {
        self.paused.map_or(0, |newest| self.next.saturating_sub(newest + 1))
    }

    /// Goes on or stops following.
    pub fn set_paused(&mut self, paused: bool) {
        if paused {
            self.paused = self.paused.or(self.next.checked_sub(1));
        } else {
            self.paused = None;
            self.cursor = None;
            self.offset = 0;
        }
    }

    /// Moves the cursor by `by` lines (down is older); pauses, for lines must not run away below it.
    pub fn step(&mut self, by: isize) {
        let shown: Vec<u64> = self.shown().map(|line| line.seq).collect();
        let at = self.position();
        let to = at.saturating_add_signed(by).min(shown.len().saturating_sub(1));
        if to == at && self.paused.is_none() {
            return;
        }
        self.set_paused(true);
        self.cursor = shown.get(to).copied();
    }

    /// Place of the cursor among the shown lines.
    pub fn position(&self) -> usize {
        match self.cursor {
            None => 0,
            Some(seq) => self.shown().position(|line| line.seq <= seq).unwrap_or(0),
        }
    }

    /// Keeps the cursor visible in `height` lines.
    pub fn settle(&mut self, height: usize) {
        let at = self.position();
        if at < self.offset {
            self.offset = at;
        } else if height > 0 && at >= self.offset + height {
            self.offset = at + 1 - height;
        }
    }

    /// Shows more or less detail.
    pub fn change_level(&mut self, more: bool) {
        const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        let at = LEVELS.iter().position(|l| *l == self.level).unwrap_or(2);
        let to = if more { at + 1 } else { at.saturating_sub(1) };
        self.level = LEVELS.get(to).copied().unwrap_or(self.level);
        self.offset = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::engine::event::What;

    fn event(level: Level, text: &str) -> Event {
        Event {
            at: UNIX_EPOCH,
            level,
            target: Target::Net,
            text: text.to_owned(),
            what: What::Said,
        }
    }

    #[test]
    fn repeats_count_and_the_ring_is_bounded() {
        let mut log = Log::default();
        for _ in 0..3 {
            log.push(&event(Level::Warn, "again"));
        }
        assert_eq!((log.len(), log.shown().next().unwrap().times), (1, 3));
        for i in 0..2 * MAX_LINES {
            log.push(&event(Level::Info, &i.to_string()));
        }
        assert_eq!(log.len(), MAX_LINES);
    }

    #[test]
    fn levels_and_pause_hide_lines() {
        let mut log = Log::default();
        log.push(&event(Level::Error, "bad"));
        log.push(&event(Level::Debug, "fine"));
        assert_eq!(log.shown().count(), 1);
        log.change_level(true);
        assert_eq!(log.shown().count(), 2);
        log.step(1);
        log.push(&event(Level::Error, "new"));
        assert_eq!((log.shown().count(), log.newer(), log.position()), (2, 1, 1));
        log.set_paused(false);
        assert_eq!((log.shown().count(), log.position()), (3, 0));
    }

    #[test]
    fn hostile_text_is_shown_harmless() {
        let mut log = Log::default();
        log.push(&event(Level::Error, "x\u{1b}]0;y\u{7}\u{202e}"));
        assert!(!log.shown().next().unwrap().text.chars().any(char::is_control));
    }
}
