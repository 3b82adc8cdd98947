//! From an event to a hook and what it is told.

use std::ffi::OsString;
use std::path::Path;

use common::names::{cut, show};

use engine::api::event::{Event, What};
use engine::api::snapshot::{Snapshot, Transfer};
use frontend::logfile::redact;
use settings::Hooks as Settings;

/// Longest text of an error that is passed on, in bytes: systems refuse environments that are too large.
const MAX_TEXT: usize = 4096;

/// The setting that names what runs when a download is done.
const ON_DONE: &str = "on_done";
/// The same for what failed.
const ON_ERROR: &str = "on_error";

/// A program to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Which hook, as its setting is called.
    pub(super) hook: &'static str,
    /// The program and its arguments; never empty.
    pub(super) argv: Vec<String>,
    /// What it finds in its environment.
    pub(super) facts: Vec<(&'static str, OsString)>,
    /// What it is about, safe to show.
    pub(super) about: String,
}

/// The program of a hook and its arguments, if there is one.
pub(super) fn program(hook: &str, settings: &Settings) -> Option<Vec<String>> {
    match hook {
        ON_DONE => settings.done.clone(),
        ON_ERROR => settings.error.clone(),
        _ => None,
    }
}

/// The hook for an event, if there is one.
pub(super) fn call(event: &Event, settings: &Settings, snapshot: &Snapshot) -> Option<Call> {
    match &event.what {
        What::Done { id, path, bytes, seconds, .. } => {
            let argv = program(ON_DONE, settings)?;
            let mut facts = vec![("SHOAL_EVENT", "done".into()), ("SHOAL_ID", text(id))];
            facts.extend(place(path));
            facts.push(("SHOAL_BYTES", text(bytes)));
            facts.push(("SHOAL_SECONDS", format!("{seconds:.3}").into()));
            let about = show(&name(path).to_string_lossy());
            Some(Call { hook: ON_DONE, argv, facts, about })
        }
        What::Failed { id, code, hint } => {
            let argv = program(ON_ERROR, settings)?;
            let mut facts = vec![("SHOAL_EVENT", "error".into())];
            let row = id.and_then(|id| snapshot.transfers.iter().find(|row| row.id == id));
            facts.extend(id.map(|id| ("SHOAL_ID", text(&id))));
            if let Some(row) = row {
                facts.extend(subject(row));
            }
            facts.push(("SHOAL_ERROR_CODE", (*code).into()));
            facts.push(("SHOAL_ERROR", words(&event.text)));
            facts.push(("SHOAL_HINT", words(hint)));
            let about = row.map_or_else(|| (*code).to_owned(), |row| row.name.to_string());
            Some(Call { hook: ON_ERROR, argv, facts, about })
        }
        _ => None,
    }
}

/// What is known of a download or share that failed.
fn subject(row: &Transfer) -> Vec<(&'static str, OsString)> {
    // A download that is not there yet has no file of its name, but that is where it will be.
    let mut facts = if row.path.as_os_str().is_empty() {
        vec![("SHOAL_NAME", (&*row.name).into())]
    } else {
        place(&row.path).to_vec()
    };
    facts.push(("SHOAL_BYTES", text(&row.done)));
    facts
}

/// Name and path, byte for byte.
fn place(path: &Path) -> [(&'static str, OsString); 2] {
    [("SHOAL_NAME", name(path)), ("SHOAL_PATH", path.as_os_str().to_owned())]
}

fn name(path: &Path) -> OsString {
    path.file_name().unwrap_or(path.as_os_str()).to_owned()
}

fn text(value: &impl ToString) -> OsString {
    value.to_string().into()
}

/// Words for people: without secrets, and not too many.
fn words(text: &str) -> OsString {
    redact(cut(text, MAX_TEXT)).replace('\0', " ").into()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use common::id::ContentId;

    use super::*;
    use engine::api::event::{Level, Target};
    use engine::api::snapshot::Me;

    fn event(text: &str, what: What) -> Event {
        let (level, target) = (Level::Info, Target::Fetch);
        Event { at: SystemTime::now(), level, target, text: text.to_owned(), what }
    }

    fn snapshot() -> Snapshot {
        Snapshot::first(Me { downloads: "/".into(), ..Me::example() })
    }

    fn settings() -> Settings {
        Settings {
            done: Some(vec!["done".into(), "now".into()]),
            error: Some(vec!["error".into()]),
            limit: Duration::from_secs(1),
            refused: None,
        }
    }

    #[test]
    fn c5_a_hook_is_told_what_happened_and_no_secret() {
        let id = ContentId::from_bytes([7; 32]);
        let done = What::Done { id, path: "/d/a b".into(), bytes: 5, seconds: 1.5, unkept: None };
        let done = call(&event("done", done), &settings(), &snapshot()).unwrap();
        assert_eq!((done.hook, done.argv.len(), done.about.as_str()), ("on_done", 2, "a b"));
        let facts: Vec<(&str, &str)> =
            done.facts.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
        let id = id.to_string();
        let expected = [
            ("SHOAL_EVENT", "done"),
            ("SHOAL_ID", id.as_str()),
            ("SHOAL_NAME", "a b"),
            ("SHOAL_PATH", "/d/a b"),
            ("SHOAL_BYTES", "5"),
            ("SHOAL_SECONDS", "1.500"),
        ];
        assert_eq!(facts, expected);
        let secret = "no shoal://k@h:1?secret=abcdefgh here";
        let failed = What::Failed { id: None, code: "tracker", hint: "look".into() };
        let failed = call(&event(secret, failed), &settings(), &snapshot()).unwrap();
        let all = format!("{failed:?}");
        assert!(!all.contains("abcdefgh") && all.contains("secret=***"), "{all}");
        assert!(failed.facts.contains(&("SHOAL_ERROR_CODE", "tracker".into())));
        assert_eq!(failed.about, "tracker");
        assert!(call(&event("x", What::Said), &settings(), &snapshot()).is_none());
        let long = What::Failed { id: None, code: "io", hint: "ä".repeat(MAX_TEXT) };
        let long = call(&event("x", long), &settings(), &snapshot()).unwrap();
        assert!(long.facts.iter().all(|(_, value)| value.len() <= MAX_TEXT));
    }
}
