//! Takes what the program's parts trace.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use engine::api::event::Level;

use super::entry::clean;
use super::{Entry, Logs};

/// Hands traces of this workspace's crates to [`Logs`]. Others' libraries are not asked.
#[derive(Debug)]
pub struct LogLayer(Logs);

impl LogLayer {
    /// For these logs.
    pub fn new(logs: Logs) -> Self {
        Self(logs)
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    /// Asked anew each time: the level may change while the program runs.
    fn register_callsite(&self, of: &'static Metadata<'static>) -> Interest {
        if is_ours(of.target()) && level(*of.level()).is_some() {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, of: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_ours(of.target()) && level(*of.level()).is_some_and(|level| self.0.wants(level))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let of = event.metadata();
        let Some(level) = level(*of.level()) else { return };
        let mut said = Said::default();
        event.record(&mut said);
        let mut entry = Entry::new(SystemTime::now(), level, part(of.target()), said.text);
        entry.details = said.fields;
        self.0.trace(entry);
    }
}

/// Crates of the peer that trace, as their targets begin.
pub const PARTS: [&str; 4] = ["tui_peer", "engine", "frontend", "screen"];

fn is_ours(target: &str) -> bool {
    // A demo and --host run a tracker in this process.
    PARTS.iter().chain(&["tracker"]).any(|name| target.starts_with(name))
}

fn level(of: tracing::Level) -> Option<Level> {
    match of {
        tracing::Level::ERROR => Some(Level::Error),
        tracing::Level::WARN => Some(Level::Warn),
        tracing::Level::INFO => Some(Level::Info),
        tracing::Level::DEBUG => Some(Level::Debug),
        _ => None,
    }
}

/// The word of the part of the program that traces.
fn part(target: &'static str) -> Cow<'static, str> {
    let word = match target {
        t if t.starts_with("tracker") => "host",
        t if t.contains("::disk") => "disk",
        t if t.contains("::conn") => "net",
        t if t.contains("::announcer") => "track",
        t if t.contains("::library") => "share",
        t if t.starts_with("screen") => "tui",
        _ => "net",
    };
    Cow::Borrowed(word)
}

#[derive(Default)]
struct Said {
    text: String,
    fields: Vec<String>,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.text.push_str(value);
        } else {
            self.fields.push(clean(&format!("{}={value}", field.name())));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to memory cannot fail.
            let _ = write!(self.text, "{value:?}");
        } else {
            self.fields.push(clean(&format!("{}={value:?}", field.name())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn traces_of_our_parts_arrive_with_their_fields() {
        let logs = Logs::default();
        logs.watch(true);
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(logs.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "engine::disk", n = 3, "slow {}", "disk");
            tracing::error!(target: "rustls", "not ours");
            tracing::trace!(target: "tui_peer", "too much");
        });
        let (taken, _) = logs.take(9);
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].text.as_str(), &*taken[0].target), ("slow disk", "disk"));
        assert_eq!(taken[0].details, ["n=3"]);
    }

    #[test]
    fn nobody_is_asked_to_format_what_nobody_wants() {
        let logs = Logs::default();
        assert!(!logs.wants(Level::Error));
        logs.watch(true);
        assert!(logs.wants(Level::Debug));
    }
}
