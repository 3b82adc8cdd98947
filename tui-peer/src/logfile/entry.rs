//! One line of the log.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::engine::event::{Event, Level, What};

use super::redact;

/// One line, safe to write and to show: controls are made visible, secrets taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When (wall clock).
    pub at: SystemTime,
    /// How important.
    pub level: Level,
    /// Which part of the program speaks; at most five letters for its own parts.
    pub target: Cow<'static, str>,
    /// What.
    pub text: String,
    /// More about it, a line each.
    pub details: Vec<String>,
}

impl Entry {
    /// A line without details.
    pub fn new(
        at: SystemTime,
        level: Level,
        target: impl Into<Cow<'static, str>>,
        text: String,
    ) -> Self {
        Self { at, level, target: target.into(), text: clean(&text), details: Vec::new() }
    }

    /// What the engine said.
    pub fn of(event: &Event) -> Self {
        let details = match &event.what {
            What::Failed { hint, .. } if !hint.is_empty() => vec![clean(hint)],
            What::Done { path, bytes, seconds, .. } => {
                let path = clean(&path.to_string_lossy());
                vec![format!("{path}: {bytes} bytes in {seconds:.1} s")]
            }
            What::Shared { id, chunks, .. } => vec![format!("id {id}, {chunks} chunks")],
            What::Peer { peer, .. } | What::Banned { peer } => vec![format!("key {peer}")],
            _ => Vec::new(),
        };
        let mut entry = Self::new(event.at, event.level, event.target.word(), event.text.clone());
        entry.details = details;
        entry
    }
}

/// Longest text of a line, in characters: paths are long, but nobody reads more.
const MAX_CHARS: usize = 2000;
/// Characters made visible at once: less than [`common::names::show`] would cut.
const PORTION: usize = 16;

/// Makes controls visible and takes secrets out. Unlike a name on the screen, a line is not cut early.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut portion = String::with_capacity(4 * PORTION);
    for (i, c) in text.chars().take(MAX_CHARS).enumerate() {
        if i > 0 && i % PORTION == 0 {
            out.push_str(&common::names::show(&portion));
            portion.clear();
        }
        portion.push(c);
    }
    out.push_str(&common::names::show(&portion));
    redact(&out)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
        };
        write!(f, "{} {level:<5} {:<5} {}", stamp(self.at), self.target, self.text)?;
        for detail in &self.details {
            write!(f, " | {detail}")?;
        }
        Ok(())
    }
}

/// Universal time as `2026-11-21T12:04:31.120Z`.
pub(crate) fn stamp(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Civil date from days since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_universal() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_262_671_120);
        assert_eq!(stamp(at), "2026-11-21T12:04:31.120Z");
        assert_eq!(stamp(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let entry =
            Entry::new(SystemTime::UNIX_EPOCH, Level::Error, "disk", "a\nb\u{1b}[2J".to_owned());
        assert!(!entry.to_string().chars().any(char::is_control), "{entry}");
    }
}
