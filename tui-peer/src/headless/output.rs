//! Where words go: JSON lines, plain lines, or lines above a progress line.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime};

use common::id::ContentId;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::engine::event::{Event, Level, What};
use crate::engine::snapshot::{Snapshot, Transfer};

/// Standard output and standard error of a command.
pub struct Output {
    json: bool,
    verbose: u8,
    /// On a terminal: the line at the bottom.
    bar: Option<ProgressBar>,
    /// Standard output is gone (a closed pipe): time to stop.
    pub broken: bool,
}

impl Output {
    /// Decides by what standard output and error are.
    pub fn new(json: bool, verbose: u8) -> Self {
        let terminal = std::io::stderr().is_terminal() && !json;
        let bar = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            // A fixed template cannot fail to parse; without it the bar is merely plain.
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { json, verbose, bar, broken: false }
    }

    /// Whether standard output carries JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// One JSON object, flushed (with `--json`; nothing otherwise).
    pub fn json(&mut self, value: &Value) {
        if self.json {
            self.print(&value.to_string());
        }
    }

    /// A line on standard output, for people (without `--json`).
    pub fn line(&mut self, text: &str) {
        if !self.json {
            match &self.bar {
                Some(bar) => bar.suspend(|| print(text)),
                None => self.print(text),
            }
        }
    }

    /// A line on standard error.
    pub fn note(&self, text: &str) {
        let write = || {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The line at the bottom of a terminal.
    pub fn status(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Takes the bottom line away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// An event of the engine: a log line, and JSON for programs.
    pub fn event(&mut self, event: &Event) {
        let value = match &event.what {
            What::Said => None,
            What::Shared { id, name, size, chunks } => Some(json!({
                "event": "shared", "id": id.to_string(), "name": name, "size": size, "chunks": chunks,
            })),
            What::Done { id, path, bytes, seconds } => Some(json!({
                "event": "done", "id": id.to_string(), "path": path.to_string_lossy(),
                "bytes": bytes, "seconds": seconds,
            })),
            What::Failed { id, code, hint } => Some(json!({
                "event": "error", "id": id.map(|id| id.to_string()), "code": code,
                "message": event.text, "hint": hint,
            })),
            What::Peer { peer, connected } => Some(json!({
                "event": "peer", "peer": peer.to_string(), "connected": connected,
            })),
            What::Banned { peer } => Some(json!({
                "event": "peer", "peer": peer.to_string(), "banned": true, "message": event.text,
            })),
        };
        if let Some(value) = value {
            self.json(&value);
        }
        let wanted = match self.verbose {
            0 => Level::Info,
            _ => Level::Debug,
        };
        if event.level <= wanted {
            let level = match event.level {
                Level::Error => "ERROR",
                Level::Warn => "WARN ",
                Level::Info => "INFO ",
                Level::Debug => "DEBUG",
            };
            let line =
                format!("{} {level} {:<5} {}", clock(event.at), event.target.word(), event.text);
            self.note(&line);
        }
    }

    /// The progress of a download, for programs.
    pub fn progress(&mut self, id: &ContentId, transfer: &Transfer) {
        self.json(&json!({
            "event": "progress", "id": id.to_string(), "have": transfer.have,
            "chunks": transfer.chunks, "down_rate": transfer.down_rate.round(),
            "sources": transfer.active,
        }));
    }

    /// The engine listens.
    pub fn ready(&mut self, snapshot: &Snapshot, join: Option<&str>) {
        let mut value = json!({
            "event": "ready", "addr": snapshot.me.listen.to_string(),
            "peer": snapshot.me.peer.to_string(),
        });
        if let (Some(join), Some(object)) = (join, value.as_object_mut()) {
            object.insert("join".to_owned(), join.into());
        }
        self.json(&value);
    }

    /// Payload of this run.
    pub fn exit(&mut self, snapshot: &Snapshot) {
        let totals = &snapshot.totals;
        self.json(&json!({
            "event": "exit", "down": totals.down, "up": totals.up, "wasted": totals.wasted,
        }));
    }

    fn print(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        self.broken |= writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Universal time as `2026-11-21T12:04:31.120Z`.
fn clock(at: SystemTime) -> String {
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

/// Bytes with three significant digits.
pub(super) fn bytes(n: f64) -> String {
    let mut n = n;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if n < 1000.0 {
            return if unit == "B" { format!("{n:.0} B") } else { format!("{n:.1} {unit}") };
        }
        n /= 1024.0;
    }
    format!("{n:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_universal_and_sizes_short() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_262_671_120);
        assert_eq!(clock(at), "2026-11-21T12:04:31.120Z");
        assert_eq!(clock(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0 * 1024.0), "3.0 GiB");
    }
}
