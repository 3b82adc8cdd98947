//! How a line of the log looks, by where it goes.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::SystemTime;

use serde_json::json;

use crate::args::LogFormat;
use engine::api::event::Level;
use frontend::format::stamp;

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Words alone: one-shot commands.
    Bare,
    /// Time, level, part, words.
    Text,
    /// One JSON object a line.
    Json,
    /// A priority prefix (`sd-daemon(3)`), and no time: the journal has its own.
    Journal,
}

impl Style {
    /// As asked for, or as standard error is. `service`: something that runs for long.
    pub(super) fn choose(format: Option<LogFormat>, service: bool) -> Self {
        match format {
            Some(LogFormat::Text) => Self::Text,
            Some(LogFormat::Json) => Self::Json,
            Some(LogFormat::Journal) => Self::Journal,
            None if is_journal(std::io::stderr()) => Self::Journal,
            None if service => Self::Text,
            None => Self::Bare,
        }
    }

    /// One line, without its end.
    pub(super) fn line(self, at: SystemTime, level: Level, part: &str, text: &str) -> String {
        match self {
            Self::Bare => text.to_owned(),
            // One event, one line: whoever reads lines sees no half of one.
            Self::Text => format!(
                "{} {:<5} {part:<5} {}",
                stamp(at),
                word(level).to_ascii_uppercase(),
                text.replace('\n', " ")
            ),
            Self::Journal => format!("<{}>{part}: {}", priority(level), text.replace('\n', " ")),
            Self::Json => json!({
                "time": stamp(at), "level": word(level), "target": part, "message": text,
            })
            .to_string(),
        }
    }
}

/// Whether a stream is the journal: systemd names the device and inode of the one it gave.
pub(super) fn is_journal(stream: impl AsFd + IsTerminal) -> bool {
    let Some(named) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    !stream.is_terminal()
        && rustix::fs::fstat(&stream)
            .is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The level's word.
pub(super) fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// Syslog's numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_where_it_goes() {
        let at = SystemTime::UNIX_EPOCH;
        let of = |style: Style| style.line(at, Level::Warn, "disk", "full\nagain");
        assert_eq!(of(Style::Bare), "full\nagain");
        assert_eq!(of(Style::Text), "1970-01-01T00:00:00.000Z WARN  disk  full again");
        assert_eq!(of(Style::Journal), "<4>disk: full again");
        let json: serde_json::Value = serde_json::from_str(&of(Style::Json)).unwrap();
        assert_eq!(
            json,
            json!({"time": "1970-01-01T00:00:00.000Z", "level": "warn", "target": "disk",
                "message": "full\nagain"})
        );
    }
}
