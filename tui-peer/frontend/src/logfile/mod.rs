//! What the program writes down: every event of the engine and every trace of its parts, into a file
//! that is rotated by size, and into the screen's log while there is a screen.
//!
//! Whoever speaks never waits: a full queue drops the line and counts it. The writer is a thread of its
//! own that sleeps while nobody speaks. Secrets never get here ([`redact()`]).

mod entry;
mod layer;
mod redact;
mod rotate;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime};

use common::lock::Unpoisoned as _;

use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use engine::api::event::Level;
use engine::api::handle::Events;

pub use entry::Entry;
pub use layer::{LogLayer, PARTS};
pub use redact::redact;
pub use rotate::{KEEP, MAX_FILE, Rotating};

/// Lines on their way to the file. At 10,000 lines a second a disk may hesitate for most of a second.
const QUEUE: usize = 8192;
/// Traces waiting for the screen, which takes them ten times a second.
const MAX_WAITING: usize = 4096;
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Reads `error`, `warn`, `info` or `debug`.
///
/// # Errors
/// What is allowed.
pub fn parse_level(text: &str) -> Result<Level, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "error" => Ok(Level::Error),
        "warn" | "warning" => Ok(Level::Warn),
        "info" => Ok(Level::Info),
        "debug" => Ok(Level::Debug),
        other => Err(format!("{other:?} is not a level: write error, warn, info or debug")),
    }
}

enum Job {
    Line(Entry),
    Reopen,
    Flush(SyncSender<()>),
}

/// Where everything that is said goes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: OnceLock<SyncSender<Job>>,
    dir: OnceLock<PathBuf>,
    /// Lines that the file missed.
    dropped: AtomicU64,
    /// Least important level written: place in [`LEVELS`].
    level: AtomicU8,
    watched: AtomicBool,
    waiting: Mutex<VecDeque<Entry>>,
    /// Traces that the screen missed.
    missed: AtomicU64,
    bell: Notify,
}

const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

impl Logs {
    /// The one of this process.
    pub fn shared() -> Self {
        static LOGS: OnceLock<Logs> = OnceLock::new();
        LOGS.get_or_init(|| {
            let logs = Self::default();
            logs.set_level(Level::Info);
            logs
        })
        .clone()
    }

    /// Starts to write into a file.
    ///
    /// # Errors
    /// If the file cannot be opened, or there is one already.
    pub fn open(&self, path: PathBuf) -> std::io::Result<()> {
        let dir = path.parent().map(PathBuf::from);
        let file = Rotating::open(path, MAX_FILE, KEEP)?;
        let (tx, rx) = sync_channel(QUEUE);
        let inner = self.0.clone();
        self.0.file.set(tx).map_err(|_| std::io::Error::other("the log is open already"))?;
        // Set together with the file, so never before.
        let _ = self.0.dir.set(dir.unwrap_or_default());
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&inner, file, &rx))?;
        Ok(())
    }

    /// The folder of the file, if one is written.
    pub fn dir(&self) -> Option<PathBuf> {
        self.0.dir.get().cloned()
    }

    /// Least important level written down.
    pub fn level(&self) -> Level {
        let at = self.0.level.load(Ordering::Relaxed);
        LEVELS.get(usize::from(at)).copied().unwrap_or(Level::Info)
    }

    /// Changes it.
    pub fn set_level(&self, level: Level) {
        let at = LEVELS.iter().position(|l| *l == level).and_then(|at| u8::try_from(at).ok());
        self.0.level.store(at.unwrap_or(2), Ordering::Relaxed);
    }

    /// Whether anybody wants a line of this level.
    pub fn wants(&self, level: Level) -> bool {
        self.watched() || (level <= self.level() && self.0.file.get().is_some())
    }

    /// Closes the file and opens it again: after somebody moved it away.
    pub fn reopen(&self) {
        self.job(Job::Reopen);
    }

    /// Waits for what was said so far to be in the file, half a second at most.
    pub fn flush(&self) {
        let (tx, rx) = sync_channel(1);
        if self.job(Job::Flush(tx)) {
            // Too late is too late: the program ends.
            let _ = rx.recv_timeout(LAST_LINES);
        }
    }

    /// A line of the program's parts, for the file and for the screen.
    pub fn trace(&self, entry: Entry) {
        if self.watched() {
            let mut waiting = self.waiting();
            if waiting.len() < MAX_WAITING {
                waiting.push_back(entry.clone());
            } else {
                self.0.missed.fetch_add(1, Ordering::Relaxed);
            }
            drop(waiting);
            self.0.bell.notify_one();
        }
        self.write(entry);
    }

    /// A line for the file only.
    pub fn write(&self, entry: Entry) {
        if entry.level <= self.level() {
            self.job(Job::Line(entry));
        }
    }

    fn job(&self, job: Job) -> bool {
        let Some(file) = self.0.file.get() else { return false };
        let sent = file.try_send(job).is_ok();
        if !sent {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Writes down what the engine says, until it ends.
    pub async fn follow(self, mut events: Events) {
        loop {
            match events.recv().await {
                Ok(event) => self.write(Entry::of(&event)),
                Err(RecvError::Lagged(n)) => {
                    self.0.dropped.fetch_add(n, Ordering::Relaxed);
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// The screen wants traces (or no more).
    pub fn watch(&self, on: bool) {
        self.0.watched.store(on, Ordering::Relaxed);
        if !on {
            self.waiting().clear();
        }
    }

    fn watched(&self) -> bool {
        self.0.watched.load(Ordering::Relaxed)
    }

    /// Rung when there are traces for the screen.
    pub fn bell(&self) -> &Notify {
        &self.0.bell
    }

    /// Takes at most `most` traces for the screen, and how many it missed.
    pub fn take(&self, most: usize) -> (Vec<Entry>, u64) {
        let mut waiting = self.waiting();
        let n = waiting.len().min(most);
        let taken = waiting.drain(..n).collect();
        if !waiting.is_empty() {
            self.0.bell.notify_one();
        }
        (taken, self.0.missed.swap(0, Ordering::Relaxed))
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.waiting.lock().unpoisoned()
    }
}

/// The writer: sleeps until somebody speaks, writes what is waiting, then lets the file have it.
fn write(inner: &Inner, mut file: Rotating, jobs: &Receiver<Job>) {
    let mut line = String::new();
    while let Ok(first) = jobs.recv() {
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Line(entry) => {
                    line.clear();
                    let dropped = inner.dropped.swap(0, Ordering::Relaxed);
                    if dropped > 0 {
                        let note = Entry::new(
                            SystemTime::now(),
                            Level::Warn,
                            "log",
                            format!("{dropped} lines are missing here: too many at once"),
                        );
                        // Writing to memory cannot fail.
                        let _ = writeln!(line, "{note}");
                    }
                    let _ = writeln!(line, "{entry}");
                    file.write(line.as_bytes());
                }
                Job::Reopen => file.reopen(),
                Job::Flush(done) => {
                    file.flush();
                    // Whoever waited may be gone.
                    let _ = done.try_send(());
                }
            }
            next = jobs.try_recv().ok();
        }
        file.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn entry(text: &str) -> Entry {
        Entry::new(UNIX_EPOCH, Level::Info, "net", text.to_owned())
    }

    fn open(dir: &std::path::Path) -> Logs {
        let logs = Logs::default();
        logs.set_level(Level::Info);
        logs.open(dir.join("log").join("shoal.log")).unwrap();
        logs
    }

    #[test]
    fn lines_reach_the_file_and_secrets_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let logs = open(dir.path());
        logs.write(entry("joined shoal://abc@h:1?secret=swordfish now"));
        logs.write(Entry::new(UNIX_EPOCH, Level::Debug, "net", "too much".to_owned()));
        logs.flush();
        let text = std::fs::read_to_string(dir.path().join("log/shoal.log")).unwrap();
        assert!(
            text.contains("1970-01-01T00:00:00.000Z INFO  net   joined shoal://abc@h:1?secret=")
        );
        assert!(!text.contains("swordfish") && !text.contains("too much"), "{text}");
    }

    #[test]
    fn after_reopening_the_moved_file_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let logs = open(dir.path());
        let (path, moved) = (dir.path().join("log/shoal.log"), dir.path().join("old"));
        logs.write(entry("before"));
        logs.flush();
        std::fs::rename(&path, &moved).unwrap();
        logs.reopen();
        logs.write(entry("after"));
        logs.flush();
        assert!(std::fs::read_to_string(moved).unwrap().contains("before"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("after") && !text.contains("before"), "{text}");
    }

    #[test]
    fn speaking_never_waits_and_what_is_lost_is_counted() {
        let logs = Logs::default();
        logs.set_level(Level::Info);
        // A writer that does not write.
        let (tx, rx) = sync_channel(2);
        logs.0.file.set(tx).unwrap();
        for _ in 0..10 {
            logs.write(entry("x"));
        }
        assert_eq!(logs.0.dropped.load(Ordering::Relaxed), 8);
        drop(rx);
        logs.watch(true);
        for _ in 0..MAX_WAITING + 3 {
            logs.trace(entry("y"));
        }
        let (taken, missed) = logs.take(100);
        assert_eq!((taken.len(), missed), (100, 3));
        assert_eq!(logs.take(usize::MAX).0.len(), MAX_WAITING - 100);
    }

    #[test]
    fn levels_are_read_as_written() {
        assert!(parse_level("loud").is_err());
        assert_eq!(parse_level("WARN"), Ok(Level::Warn));
    }
}
