//! Where words go: JSON lines, plain lines, or lines above what sticks to the bottom of a terminal.

mod bars;
mod echo;
mod look;
mod rows;
mod style;
mod table;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use common::id::ContentId;
use common::names::show;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use self::bars::Bars;
pub use self::look::{Look, Paint, Signs};
pub(in crate::headless) use self::rows::Row;
use self::style::Style;
pub(in crate::headless) use self::table::{Cell, Column, Kind};
use crate::args::LogFormat;
use engine::api::event::{Event, Level, What};
use engine::api::snapshot::{Snapshot, Transfer, Unreached};
use frontend::act::Refused;
use frontend::format;
pub(super) use frontend::json::{with_name, with_path};
use frontend::logfile::redact;

/// Version of the JSON lines, in the `ready` event. Counts up when a field changes its meaning or goes;
/// new events and fields may come at any time.
pub(crate) const SCHEMA: u32 = 1;
/// The part of the program that a command is, in the log.
const OURS: &str = "shoal";

/// Standard output and standard error of a command.
pub struct Output {
    json: bool,
    style: Style,
    format: Option<LogFormat>,
    level: Level,
    /// Standard error is a terminal, on which people read sentences and no log.
    told: bool,
    look: Look,
    /// On a terminal, and only there.
    bars: Option<Bars>,
    /// Where metrics are served, for the `ready` event.
    metrics: Option<SocketAddr>,
    /// Standard output is gone (a closed pipe): time to stop.
    pub broken: bool,
}

impl Output {
    /// Decides by what standard output and error are.
    pub fn new(json: bool, verbose: u8) -> Self {
        Self::with_format(json, verbose, None)
    }

    /// As [`Output::new`]; the log looks as `format` says.
    pub fn with_format(json: bool, verbose: u8, format: Option<LogFormat>) -> Self {
        let style = Style::choose(format, false);
        let plain = matches!(style, Style::Bare | Style::Text);
        let bars = if plain && !json { Bars::on_terminal() } else { None };
        let level = if verbose == 0 { Level::Info } else { Level::Debug };
        // Who asks for more, or for a form, wants the log.
        let plain = verbose == 0 && style == Style::Bare && !json;
        let told = plain && std::io::stderr().is_terminal();
        let look = Look::default();
        Self { json, style, format, level, told, look, bars, metrics: None, broken: false }
    }

    /// How words look from here on.
    #[must_use]
    pub fn looking(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// Whether what is said on standard output stays in the journal: no place for a secret.
    pub fn is_journaled(&self) -> bool {
        style::is_journal(std::io::stdout())
    }

    /// Less of the log than usual, unless the user asked for more of it: for commands that say in their own
    /// words how it goes.
    pub fn only_warnings(&mut self) {
        if self.level == Level::Info {
            self.level = Level::Warn;
        }
    }

    /// Nothing on a terminal moves by itself from here on: somebody else writes to it.
    pub fn without_bars(&mut self) {
        self.clear();
        self.bars = None;
    }

    /// From here on this is a service: lines of the log have a time.
    pub fn service(&mut self) {
        self.style = Style::choose(self.format, true);
        self.told = false;
    }

    /// Metrics are served there.
    pub fn set_metrics(&mut self, addr: SocketAddr) {
        self.metrics = Some(addr);
    }

    /// Whether a person reads standard output on a terminal.
    pub(in crate::headless) fn is_read(&self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Whether what is said on standard error is read by a person, who has no use for a log.
    pub(in crate::headless) fn is_told(&self) -> bool {
        self.told
    }

    /// How words look on a terminal.
    pub(in crate::headless) fn looks(&self) -> &Look {
        &self.look
    }

    /// A table on standard output, for people on a terminal.
    pub(in crate::headless) fn table(&mut self, columns: &[Column], rows: &[Vec<Cell>]) {
        let (width, _) = bars::size(std::io::stdout());
        for line in table::table(columns, rows, width, &self.look) {
            self.line(&line);
        }
    }

    /// Something was fetched: where it is, and to a person how it went.
    pub(in crate::headless) fn fetched(&mut self, path: &Path, bytes: u64, seconds: f64) {
        if !self.is_read() {
            return self.line(&path.to_string_lossy());
        }
        let (size, units) = (format::size(bytes, self.look.units), self.look.units);
        let rate = format::rate(bytes as f64 / seconds.max(0.001), self.look.signs.dash, units);
        let took = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
        let took = if seconds < 10.0 { format!("{seconds:.1} s") } else { format::clock(took) };
        self.at(path, &format!("{size} in {took}, {rate}"));
    }

    /// Something is here already: where.
    pub(in crate::headless) fn here(&mut self, path: &Path) {
        match self.is_read() {
            true => self.at(path, "is here already"),
            false => self.line(&path.to_string_lossy()),
        }
    }

    fn at(&mut self, path: &Path, what: &str) {
        let name = show(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
        let place = show(&path.to_string_lossy());
        let (name, place) = (self.look.name(&name), self.look.name(&place));
        let check = self.look.paint(Paint::Accent, self.look.signs.check);
        let line = format!("{check} {name}: {what}\n  {}", self.look.paint(Paint::Dim, &place));
        self.line(&line);
    }

    /// Whether there is a terminal to keep a line on.
    pub fn is_terminal(&self) -> bool {
        self.bars.is_some()
    }

    /// The next level of the log, from few words to many and around; says it.
    pub fn cycle_level(&mut self) -> (Level, &'static str) {
        self.level = match self.level {
            Level::Error => Level::Warn,
            Level::Warn => Level::Info,
            Level::Info => Level::Debug,
            Level::Debug => Level::Error,
        };
        (self.level, style::word(self.level))
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
            match &self.bars {
                Some(bars) => {
                    let mut fine = true;
                    bars.above(|| fine = print(text));
                    self.broken |= !fine;
                }
                None => self.print(text),
            }
        }
    }

    /// A line on standard error.
    pub fn note(&self, text: &str) {
        self.log(SystemTime::now(), Level::Warn, OURS, text);
    }

    /// A line of the log that is no event of the engine.
    pub fn say(&self, text: &str) {
        self.log(SystemTime::now(), Level::Info, OURS, text);
    }

    /// A line of the log whatever its level.
    pub fn always(&self, text: &str) {
        self.write(&self.style.line(SystemTime::now(), Level::Info, OURS, text));
    }

    /// What went wrong, for people and programs.
    pub fn error(&mut self, code: &str, message: &str, hint: &str) {
        self.log(SystemTime::now(), Level::Error, OURS, message);
        let (message, hint) = (redact(message), redact(hint));
        self.json(&json!({"event": "error", "code": code, "message": message, "hint": hint}));
    }

    /// So many events came faster than they could be written.
    pub fn dropped(&mut self, events: u64) {
        let hint = "tui-peer status shows how everything stands now";
        self.note(&format!("{events} log lines dropped: written too slowly; {hint}"));
        self.json(&json!({"event": "dropped", "events": events, "hint": hint}));
    }

    /// The same of something that was not done.
    pub fn refused(&mut self, refused: &Refused) {
        self.log(SystemTime::now(), Level::Error, OURS, &refused.message);
        self.json(&refused.object());
    }

    /// Looks whether somebody still reads standard output, without writing to it.
    pub fn look(&mut self) {
        let stdout = std::io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        // A pipe nobody reads is in error; files and terminals never are.
        if poll(&mut polled, Some(&Timespec::default())).is_ok() {
            self.broken |= polled.iter().any(|fd| fd.revents().contains(PollFlags::ERR));
        }
    }

    /// The line at the bottom of a terminal.
    pub fn status(&mut self, text: &str) {
        if let Some(bars) = &mut self.bars {
            bars.bottom(&self.look.signs(text));
        }
    }

    /// A bar for each of these, and for all together if they are several: so many `what`.
    pub(in crate::headless) fn rows(&mut self, rows: &[Row], what: &str) {
        if let Some(bars) = &mut self.bars {
            bars.rows(rows, what, &self.look);
        }
    }

    /// Takes bars and bottom line away.
    pub fn clear(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
    }

    /// An event of the engine: a log line, and JSON for programs.
    pub fn event(&mut self, event: &Event) {
        let value = match &event.what {
            What::Said
            | What::Hashed { .. }
            | What::Verified { .. }
            | What::HasAll { .. }
            | What::Unreached { .. } => None,
            What::Shared { id, name, size, chunks } => {
                let id = id.to_string();
                let object = json!({"event": "shared", "id": id, "size": size, "chunks": chunks});
                Some(with_name(object, name, &show(name)))
            }
            What::Done { id, path, bytes, seconds, unkept } => {
                let object = json!({
                    "event": "done", "id": id.to_string(), "bytes": bytes, "seconds": seconds,
                    "remembered": unkept.is_none(),
                });
                Some(with_path(object, "path", path))
            }
            What::Failed { id, code, hint } => Some(json!({
                "event": "error", "id": id.map(|id| id.to_string()), "code": code,
                "message": redact(&event.text), "hint": redact(hint),
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
        if event.level <= self.level {
            // Also for one-shot commands: what the engine says is a log, but to somebody at a terminal.
            let log = self.style == Style::Bare && !self.told;
            let style = if log { Style::Text } else { self.style };
            self.written(style, event.at, event.level, event.target.word(), &event.text);
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

    /// A source of a download cannot be reached, for programs.
    pub fn unreachable(&mut self, transfer: &Transfer, source: &Unreached) {
        let object = json!({
            "event": "unreachable", "id": transfer.id.to_string(),
            "peer": source.peer.to_string(), "nick": source.nick, "why": source.why,
            "retry_s": source.retry_s(Instant::now()),
        });
        self.json(&with_name(object, transfer.raw_name(), &transfer.name));
    }

    /// The engine listens.
    pub fn ready(&mut self, snapshot: &Snapshot, join: Option<&str>) {
        let mut value = json!({
            "event": "ready", "schema": SCHEMA, "addr": snapshot.me.listen.to_string(),
            "peer": snapshot.me.peer.to_string(), "pid": std::process::id(),
        });
        let metrics = self.metrics.map(|addr| addr.to_string());
        for (name, text) in [("join", join), ("metrics", metrics.as_deref())] {
            if let (Some(text), Some(object)) = (text, value.as_object_mut()) {
                object.insert(name.to_owned(), text.into());
            }
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

    fn log(&self, at: SystemTime, level: Level, part: &str, text: &str) {
        if level <= self.level {
            self.written(self.style, at, level, part, text);
        }
    }

    fn written(&self, style: Style, at: SystemTime, level: Level, part: &str, text: &str) {
        let line = style.line(at, level, part, text);
        let paint = match level {
            Level::Error => Paint::Error,
            Level::Warn if self.told && part != OURS => Paint::Warn,
            _ => return self.write(&line),
        };
        if self.told { self.write(&self.look.paint(paint, &line)) } else { self.write(&line) }
    }

    /// A line on standard error, without what no log may hold: what was typed comes back in messages.
    fn write(&self, line: &str) {
        let line = redact(line);
        let write = || {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        };
        match &self.bars {
            Some(bars) => bars.above(write),
            None => write(),
        }
    }

    fn print(&mut self, text: &str) {
        self.broken |= !print(text);
    }
}

/// Whether somebody still reads it.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Bytes with three significant digits.
pub(super) fn bytes(n: f64) -> String {
    // Rates fade to a zero that may be negative.
    let mut n = n.abs();
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
    fn sizes_are_short() {
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(-0.0), "0 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0 * 1024.0), "3.0 GiB");
    }
}
