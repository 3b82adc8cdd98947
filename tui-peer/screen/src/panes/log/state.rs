//! The log: a bounded ring, newest first on the screen, with a level, a part of the program, a search
//! and a pause.
//!
//! Which lines are shown is kept up to date as they come, so that neither a new line nor a frame costs
//! more when there are many.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::SystemTime;

use crate::field::Field;
use crate::filter::fold;
use engine::api::event::{Event, Level};
use frontend::logfile::Entry;

/// Lines kept: some hours of a busy peer, about two megabytes.
pub(crate) const MAX_LINES: usize = 8192;
/// Detail lines kept for one entry.
const MAX_DETAILS: usize = 4;

/// Parts of the program that can be chosen, in the order of the key.
pub(crate) const TARGETS: [&str; 8] =
    ["track", "share", "fetch", "serve", "net", "disk", "host", "tui"];

/// One line.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Counts up without gaps.
    pub seq: u64,
    /// When (the newest of the same).
    pub at: SystemTime,
    /// How important.
    pub level: Level,
    /// Which part of the program.
    pub target: Cow<'static, str>,
    /// What.
    pub text: String,
    /// More about it.
    pub details: Vec<String>,
    /// How often in a row.
    pub times: u32,
}

impl LogLine {
    fn has(&self, needle: &str) -> bool {
        fold(&self.text).contains(needle) || self.details.iter().any(|d| fold(d).contains(needle))
    }
}

/// The log and how it is looked at.
#[derive(Debug)]
pub struct Log {
    lines: VecDeque<LogLine>,
    /// Numbers of the lines that level and target let through, oldest first.
    matching: VecDeque<u64>,
    next: u64,
    /// Least important level shown.
    level: Level,
    /// Only this part of the program.
    target: Option<&'static str>,
    /// Newest line shown while paused.
    pub paused: Option<u64>,
    /// Time of that line.
    pub paused_at: Option<SystemTime>,
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
            matching: VecDeque::new(),
            next: 0,
            level: Level::Info,
            target: None,
            paused: None,
            paused_at: None,
            cursor: None,
            offset: 0,
            field: Field::default(),
            wrap: false,
            unread: 0,
        }
    }
}

impl Log {
    /// Adds what the engine said.
    pub fn push(&mut self, event: &Event) -> bool {
        self.add(Entry::of(event))
    }

    /// Adds a line; the same again only counts. Says whether it can be seen as the log is looked at now.
    pub fn add(&mut self, entry: Entry) -> bool {
        let shown = self.lets_through(entry.level, &entry.target);
        if let Some(last) = self.lines.back_mut()
            && last.text == entry.text
            && last.level == entry.level
            && last.target == entry.target
        {
            last.times = last.times.saturating_add(1);
            last.at = entry.at;
            return shown;
        }
        if self.lines.len() >= MAX_LINES
            && let Some(gone) = self.lines.pop_front()
            && self.matching.front() == Some(&gone.seq)
        {
            self.matching.pop_front();
        }
        let mut details = entry.details;
        details.truncate(MAX_DETAILS);
        self.lines.push_back(LogLine {
            seq: self.next,
            at: entry.at,
            level: entry.level,
            target: entry.target,
            text: entry.text,
            details,
            times: 1,
        });
        if shown {
            self.matching.push_back(self.next);
        }
        self.next += 1;
        shown
    }

    fn lets_through(&self, level: Level, target: &str) -> bool {
        level <= self.level && self.target.is_none_or(|wanted| wanted == target)
    }

    fn line(&self, seq: u64) -> Option<&LogLine> {
        let first = self.lines.front()?.seq;
        self.lines.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Lines that can be looked at: those that match and are not newer than the pause.
    pub fn count(&self) -> usize {
        match self.paused {
            None => self.matching.len(),
            Some(newest) => self.matching.partition_point(|seq| *seq <= newest),
        }
    }

    /// The shown lines from place `from` on, the newest first.
    pub fn shown_from(&self, from: usize) -> impl Iterator<Item = &LogLine> {
        let count = self.count().saturating_sub(from);
        self.matching.range(..count).rev().filter_map(|seq| self.line(*seq))
    }

    /// The shown lines, the newest first.
    pub fn shown(&self) -> impl Iterator<Item = &LogLine> {
        self.shown_from(0)
    }

    /// All lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Lines that came since the pause and match.
    pub fn newer(&self) -> usize {
        self.matching.len() - self.count()
    }

    /// Goes on or stops following.
    pub fn set_paused(&mut self, paused: bool) {
        if !paused {
            (self.paused, self.paused_at, self.cursor, self.offset) = (None, None, None, 0);
        } else if self.paused.is_none() {
            self.paused = self.next.checked_sub(1);
            let at = self.shown().next().map(|line| line.at);
            self.paused_at = at;
        }
    }

    /// Moves the cursor by `by` lines (down is older); pauses, for lines must not run away below it.
    pub fn step(&mut self, by: isize) {
        let at = self.position();
        let to = at.saturating_add_signed(by).min(self.count().saturating_sub(1));
        if to == at && self.paused.is_none() {
            return;
        }
        self.go(to);
    }

    fn go(&mut self, to: usize) {
        self.set_paused(true);
        let seq = self.shown_from(to).next().map(|line| line.seq);
        self.cursor = seq;
    }

    /// Place of the cursor among the shown lines.
    pub fn position(&self) -> usize {
        let count = self.count();
        match self.cursor {
            None => 0,
            Some(seq) => {
                // It may have left the ring, or be hidden by now: the next older one stands for it.
                let older = self.matching.partition_point(|s| *s <= seq).min(count);
                (count - older).min(count.saturating_sub(1))
            }
        }
    }

    /// The line under the cursor.
    pub fn current(&self) -> Option<&LogLine> {
        self.shown_from(self.position()).next()
    }

    /// Keeps the cursor visible in `height` rows, if a line takes `rows`.
    pub fn settle(&mut self, height: usize, rows: impl Fn(&LogLine) -> usize) {
        let at = self.position();
        self.offset = self.offset.min(at);
        if height == 0 {
            return;
        }
        // From the cursor up, as many as fit.
        let mut room = height;
        let mut first = at;
        for place in (self.offset..=at).rev() {
            let need = self.shown_from(place).next().map_or(1, &rows);
            if need > room && place != at {
                break;
            }
            room = room.saturating_sub(need);
            first = place;
            if room == 0 {
                break;
            }
        }
        self.offset = self.offset.max(first);
    }

    /// Least important level shown.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The only part of the program shown, if one was chosen.
    pub fn target(&self) -> Option<&'static str> {
        self.target
    }

    /// Shows more or less detail.
    pub fn change_level(&mut self, more: bool) {
        const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        let at = LEVELS.iter().position(|l| *l == self.level).unwrap_or(2);
        let to = if more { at + 1 } else { at.saturating_sub(1) };
        self.level = LEVELS.get(to).copied().unwrap_or(self.level);
        self.look_again();
    }

    /// Shows the next part of the program only; after the last one, all.
    pub fn next_target(&mut self) {
        let at = self.target.and_then(|now| TARGETS.iter().position(|t| *t == now));
        self.target = TARGETS.get(at.map_or(0, |at| at + 1)).copied();
        self.look_again();
    }

    fn look_again(&mut self) {
        self.offset = 0;
        self.matching = self
            .lines
            .iter()
            .filter(|line| self.lets_through(line.level, &line.target))
            .map(|line| line.seq)
            .collect();
    }

    /// What is searched for, folded; `None` if nothing.
    pub fn needle(&self) -> Option<String> {
        let text = self.field.text();
        (!text.trim().is_empty()).then(|| fold(text.trim()))
    }

    /// Puts the cursor on the next line with what is searched for: from the cursor on (`here`) or after
    /// it, older first or newer first, once around. Says whether there is one.
    pub fn search(&mut self, older: bool, here: bool) -> bool {
        let Some(needle) = self.needle() else { return false };
        let count = self.count();
        let from = self.position();
        let skip = usize::from(!here);
        let found = (skip..count + skip)
            .map(|i| if older { (from + i) % count } else { (from + count - i % count) % count });
        let mut found =
            found.filter(|at| self.shown_from(*at).next().is_some_and(|line| line.has(&needle)));
        match found.next() {
            Some(at) => {
                self.go(at);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use engine::api::event::{Target, What};

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
        assert_eq!((log.len(), log.count()), (MAX_LINES, MAX_LINES));
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

    #[test]
    fn a_search_goes_around_and_finds_details() {
        let mut log = Log::default();
        for text in ["a hash", "b", "c hash", "d"] {
            log.push(&event(Level::Info, text));
        }
        let mut failed = event(Level::Info, "e");
        failed.what = What::Failed { id: None, code: "x", hint: "free some HASH".to_owned() };
        log.push(&failed);
        log.field.set("Hash");
        let mut seen = Vec::new();
        assert!(log.search(true, true));
        for _ in 0..3 {
            seen.push(log.current().unwrap().text.clone());
            assert!(log.search(true, false));
        }
        assert_eq!(seen, ["e", "c hash", "a hash"]);
        assert_eq!(log.current().unwrap().text, "e");
        assert!(log.search(false, false));
        assert_eq!(log.current().unwrap().text, "a hash");
        log.field.set("nowhere");
        assert!(!log.search(true, true));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Say(u8, u8, u8),
        Move(i8),
        Level(bool),
        Target,
        Pause(bool),
        Settle(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0u8..4, 0u8..3, 0u8..5).prop_map(|(l, t, x)| Step::Say(l, t, x)),
            2 => any::<i8>().prop_map(Step::Move),
            1 => any::<bool>().prop_map(Step::Level),
            1 => Just(Step::Target),
            1 => any::<bool>().prop_map(Step::Pause),
            2 => (0u8..20).prop_map(Step::Settle),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_the_filters_let_through(steps in steps()) {
            let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
            let mut log = Log::default();
            for step in steps {
                match step {
                    Step::Say(l, t, x) => {
                        let target = TARGETS[usize::from(t)];
                        let level = levels[usize::from(l)];
                        log.add(Entry::new(UNIX_EPOCH, level, target, x.to_string()));
                    }
                    Step::Move(by) => log.step(isize::from(by)),
                    Step::Level(more) => log.change_level(more),
                    Step::Target => log.next_target(),
                    Step::Pause(on) => log.set_paused(on),
                    Step::Settle(height) => {
                        let height = usize::from(height);
                        let rows = |l: &LogLine| 1 + l.text.len() % 3;
                        log.settle(height, rows);
                        let at = log.position();
                        prop_assert!(log.offset <= at);
                        let above: usize =
                            log.shown_from(log.offset).take(at - log.offset + 1).map(rows).sum();
                        prop_assert!(above <= height.max(2) || height == 0);
                    }
                }
                let expected: Vec<u64> = log.lines.iter().rev()
                    .filter(|l| log.lets_through(l.level, &l.target))
                    .filter(|l| log.paused.is_none_or(|newest| l.seq <= newest))
                    .map(|l| l.seq).collect();
                let shown: Vec<u64> = log.shown().map(|l| l.seq).collect();
                prop_assert_eq!(&shown, &expected);
                prop_assert_eq!(log.count(), expected.len());
                prop_assert!(log.position() < expected.len().max(1));
            }
        }
    }
}
