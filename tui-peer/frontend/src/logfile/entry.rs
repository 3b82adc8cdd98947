//! One line of the log.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use crate::format::stamp;
use engine::api::event::{Event, Level, What};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let entry =
            Entry::new(SystemTime::UNIX_EPOCH, Level::Error, "disk", "a\nb\u{1b}[2J".to_owned());
        assert!(!entry.to_string().chars().any(char::is_control), "{entry}");
    }
}
