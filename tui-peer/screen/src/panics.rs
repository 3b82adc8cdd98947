//! Panics. One of the screen's own code gives the terminal back and is reported in a file; one of another
//! task is shown in the log, and the screen stays.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use common::lock::Unpoisoned as _;

use tokio::sync::Notify;

use super::term;
use engine::api::event::Level;
use frontend::logfile::{Entry, Logs};

/// Panic messages kept for the screen; more are only in the log file.
const MAX_NOTES: usize = 16;

thread_local! {
    /// Whether this thread is in the screen's own code right now.
    static IN_SCREEN: Cell<bool> = const { Cell::new(false) };
}

/// Where reports of panics go.
static REPORTS: OnceLock<PathBuf> = OnceLock::new();

/// Panics of other tasks, for the screen.
#[derive(Debug, Default)]
pub(super) struct Notes {
    waiting: Mutex<VecDeque<(SystemTime, String)>>,
    /// Rung when there is a new one.
    pub(super) bell: Notify,
}

impl Notes {
    /// The one that the panic hook writes to.
    pub(super) fn shared() -> Arc<Self> {
        static NOTES: OnceLock<Arc<Notes>> = OnceLock::new();
        NOTES.get_or_init(Arc::default).clone()
    }

    /// Takes all.
    pub(super) fn take(&self) -> Vec<(SystemTime, String)> {
        self.lock().drain(..).collect()
    }

    fn push(&self, text: String) {
        let mut waiting = self.lock();
        if waiting.len() < MAX_NOTES {
            waiting.push_back((SystemTime::now(), text));
        }
        drop(waiting);
        self.bell.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(SystemTime, String)>> {
        self.waiting.lock().unpoisoned()
    }
}

/// Runs the screen's own code. `None` if it panicked: the terminal was given back and the panic reported,
/// and what the code worked on must not be used again.
pub(super) fn in_screen<T>(code: impl FnOnce() -> T) -> Option<T> {
    let before = IN_SCREEN.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    IN_SCREEN.set(before);
    result.ok()
}

/// From now on panics are told apart; reports go to files in `dir`. Only the first call counts.
pub(super) fn install(dir: PathBuf) {
    static ONCE: OnceLock<()> = OnceLock::new();
    // The first one stays.
    let _ = REPORTS.set(dir);
    ONCE.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| hook(info, &before)));
    });
}

fn hook(info: &PanicHookInfo<'_>, before: &(dyn Fn(&PanicHookInfo<'_>) + Send + Sync)) {
    let text = info.to_string().replace('\n', " ");
    let entry = Entry::new(SystemTime::now(), Level::Error, "tui", format!("panic: {text}"));
    Logs::shared().write(entry);
    if IN_SCREEN.get() {
        term::restore();
        let report = REPORTS.get().and_then(|dir| report(dir, &text));
        let mut err = std::io::stderr().lock();
        // Nobody may be there to read it.
        let _ = writeln!(err, "tui-peer: the screen failed: {text}");
        if let Some(path) = report {
            let _ = writeln!(err, "A report for the authors is in {}", path.display());
        }
    } else if term::is_taken() {
        Notes::shared().push(text);
    } else {
        before(info);
    }
}

/// Writes down what happened; where.
fn report(dir: &Path, text: &str) -> Option<PathBuf> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let path = dir.join(format!("panic-{now}.txt"));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).ok()?;
    let trace = std::backtrace::Backtrace::force_capture();
    // A release has no names: with where it lies in memory, a build that has them tells whose the addresses are.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let base = maps.split('-').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let text = frontend::logfile::redact(text);
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&path).ok()?;
    write!(file, "tui-peer {version}\n{text}\n\nbase 0x{base}\n{trace:#}\n").ok()?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_screen_is_caught_and_known() {
        assert!(!IN_SCREEN.get());
        assert_eq!(in_screen(|| IN_SCREEN.get()), Some(true));
        assert_eq!(in_screen(|| assert!(!IN_SCREEN.get(), "inside")), None);
        assert!(!IN_SCREEN.get());
    }

    #[test]
    fn a_report_says_what_and_where_but_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = report(&dir.path().join("log"), "boom in a.rs ?secret=xyz").unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("boom in a.rs") && !text.contains("xyz"), "{text}");
        assert!(text.contains("\nbase 0x") && text.contains(" 0: "), "{text}");
    }
}
