//! The text that Prometheus and its relatives read, format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{self, Write as _};
use std::time::Duration;

use hyper::header::{self, HeaderValue};

use super::route::{Answer, body};
use crate::memory;
use crate::numbers::saturate;

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the program on; its name ends in `_total`.
    Counter,
    /// May go up and down.
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A number of an exposition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Without a fraction.
    Whole(u64),
    /// With one.
    Real(f64),
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::Whole(n.into())
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Self::Whole(saturate::<u64>(n))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Whole(yes.into())
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Real(n) if n.is_finite() => n.fmt(f),
            Self::Real(n) if n.is_nan() => f.write_str("NaN"),
            Self::Real(n) => f.write_str(if *n > 0.0 { "+Inf" } else { "-Inf" }),
        }
    }
}

/// A text in the making. All names begin with the same words.
#[derive(Debug)]
pub struct Exposition {
    prefix: &'static str,
    text: String,
}

/// A family to which numbers with labels are added.
#[derive(Debug)]
pub struct Family<'a> {
    name: &'a str,
    out: &'a mut Exposition,
}

impl Exposition {
    /// An empty text; `prefix` stands before all names, as in `shoal_peer`.
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, text: String::new() }
    }

    /// One number that may go up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Into<Value>) {
        self.family(name, Kind::Gauge, help).add(&[], value);
    }

    /// One number that only grows; `name` ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Into<Value>) {
        self.family(name, Kind::Counter, help).add(&[], value);
    }

    /// What every program tells of itself: `version` of the program, how long it has run, its memory.
    pub fn process(&mut self, version: &str, uptime: Duration) {
        let version = [("version", version)];
        self.family("build_info", Kind::Gauge, "Version of the program").add(&version, true);
        self.gauge("uptime_seconds", "Time since the start", uptime.as_secs_f64());
        if let Some(bytes) = memory::resident() {
            self.gauge("resident_memory_bytes", "Memory of the process", bytes);
        }
    }

    /// Begins a family; `help` is a sentence without its full stop.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let prefix = self.prefix;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {prefix}_{name} {}.", Escaped(help, false));
        let _ = writeln!(self.text, "# TYPE {prefix}_{name} {}", kind.word());
        Family { name, out: self }
    }

    /// The text so far.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole as an answer.
    pub fn into_answer(self) -> Answer {
        let mut answer = Answer::new(body(self.text));
        let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, version);
        answer
    }
}

impl Family<'_> {
    /// Adds a number. No two of a family have the same labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) -> &mut Self {
        let Exposition { prefix, text } = &mut *self.out;
        let _ = write!(text, "{prefix}_{}", self.name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(text, "{open}{label}=\"{}\"", Escaped(value, true));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(text, "{close} {}", value.into());
        self
    }
}

/// Text with the escapes of the format; the second says whether it stands in quotes.
struct Escaped<'a>(&'a str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.1 => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_labels_look_as_the_format_wants_them() {
        let mut out = Exposition::new("shoal_test");
        out.counter("bytes_total", "Bytes \\ and\nlines", 7u64);
        out.gauge("rate", "A \"rate\"", 0.25);
        let mut family = out.family("free_bytes", Kind::Gauge, "Free");
        family.add(&[("dir", "/a \"b\"\\\n"), ("of", "x")], usize::MAX);
        family.add(&[("dir", "/")], f64::NEG_INFINITY).add(&[], f64::NAN).add(&[], true);
        assert_eq!(
            out.as_str(),
            "# HELP shoal_test_bytes_total Bytes \\\\ and\\nlines.\n\
             # TYPE shoal_test_bytes_total counter\nshoal_test_bytes_total 7\n\
             # HELP shoal_test_rate A \"rate\".\n# TYPE shoal_test_rate gauge\nshoal_test_rate 0.25\n\
             # HELP shoal_test_free_bytes Free.\n# TYPE shoal_test_free_bytes gauge\n\
             shoal_test_free_bytes{dir=\"/a \\\"b\\\"\\\\\\n\",of=\"x\"} 18446744073709551615\n\
             shoal_test_free_bytes{dir=\"/\"} -Inf\nshoal_test_free_bytes NaN\nshoal_test_free_bytes 1\n"
        );
    }
}
