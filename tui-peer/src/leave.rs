//! The second signal to stop ends the program at once, whatever hangs: the disk, the terminal, the
//! reader of our output, the engine. It is heard by a thread of its own, which waits for nobody.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, Once};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use common::lock::Unpoisoned as _;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use crate::args::exit;

/// What comes sooner after the first signal is the same one: `timeout` and some supervisors send theirs
/// to the process and again to its group. Nobody types as fast.
const SAME: Duration = Duration::from_millis(300);
/// How long ending in good order may take; giving the terminal back takes up to 200 ms.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be done before, such as giving the terminal back. Must not wait for anybody for long.
static BEFORE: Mutex<Option<fn()>> = Mutex::new(None);

/// Folders of this run alone, which nobody else removes then. Few: a command has one.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Has a folder removed too when the program is ended so.
pub(crate) fn remove_folder(dir: PathBuf) {
    FOLDERS.lock().unpoisoned().push(dir);
}

/// It is removed in good order.
pub(crate) fn keep_folder(dir: &Path) {
    FOLDERS.lock().unpoisoned().retain(|other| other != dir);
}

/// The code of the first signal, once it came; 0 before.
static FIRST: AtomicU8 = AtomicU8::new(0);
/// Whether somebody has acted on the first signal.
static HEARD: AtomicBool = AtomicBool::new(false);

/// Listens from the first call of [`watch`] on, for those who come later.
static SINCE: Mutex<Option<Listening>> = Mutex::new(None);

/// The code of a first signal that came while nobody listened: between two who do. To be called by one who
/// listens already: what comes later, that one hears.
pub(crate) fn unheard() -> Option<u8> {
    // Asked here and not left to the thread below, which may not have begun yet on a busy machine.
    if let Some(code) = SINCE.lock().unpoisoned().as_mut().and_then(Listening::came) {
        note_first(code);
    }
    let first = FIRST.load(Ordering::SeqCst);
    (first != 0 && !HEARD.load(Ordering::SeqCst)).then_some(first)
}

/// Somebody acts on the first signal.
pub(crate) fn heard() {
    HEARD.store(true, Ordering::SeqCst);
}

/// From now on the second of SIGINT and SIGTERM ends the program. To be called when somebody listens for
/// the first: until then the system's own rule is better.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        match Listening::new() {
            Ok(listening) => *SINCE.lock().unpoisoned() = Some(listening),
            Err(error) => tracing::warn!(%error, "a signal between two steps may be lost"),
        }
        let thread = std::thread::Builder::new().name("signals".to_owned());
        if let Err(error) = thread.spawn(listen) {
            tracing::warn!(%error, "a second signal will not end the program");
        }
    });
}

/// Has this done before the program is ended so.
pub(crate) fn before(what: fn()) {
    *BEFORE.lock().unpoisoned() = Some(what);
}

fn listen() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let code = runtime.and_then(|runtime| runtime.block_on(second()));
    match code {
        Ok(code) => end(code),
        Err(error) => tracing::warn!(%error, "a second signal will not end the program"),
    }
}

/// The two signals that stop.
pub(crate) struct Listening {
    interrupt: Signals,
    terminate: Signals,
}

impl Listening {
    /// # Errors
    /// When the system refuses handlers.
    pub(crate) fn new() -> std::io::Result<Self> {
        Self::of(SignalKind::interrupt(), SignalKind::terminate())
    }

    fn of(interrupt: SignalKind, terminate: SignalKind) -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    /// The code of the next one.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
        }
    }

    /// The code of one that has come, without waiting.
    fn came(&mut self) -> Option<u8> {
        let mut context = Context::from_waker(Waker::noop());
        let mut has = |signals: &mut Signals| signals.poll_recv(&mut context).is_ready();
        let (interrupted, terminated) = (has(&mut self.interrupt), has(&mut self.terminate));
        match (interrupted, terminated) {
            (true, _) => Some(exit::INTERRUPTED),
            (false, true) => Some(exit::TERMINATED),
            (false, false) => None,
        }
    }
}

fn note_first(code: u8) {
    let _ = FIRST.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
}

/// Waits for the second signal; the exit code.
async fn second() -> std::io::Result<u8> {
    let mut listening = Listening::new()?;
    let mut first = None;
    loop {
        let code = listening.next().await;
        note_first(code);
        if is_second(&mut first, Instant::now()) {
            return Ok(code);
        }
    }
}

fn is_second(first: &mut Option<Instant>, now: Instant) -> bool {
    let since = now.saturating_duration_since(*first.get_or_insert(now));
    since >= SAME
}

fn end(code: u8) {
    let killer = std::thread::Builder::new();
    // Without it a stuck terminal may keep us; nothing better can be done then.
    let _ = killer.spawn(|| {
        std::thread::sleep(PATIENCE);
        let _ = kill_process(getpid(), Signal::KILL);
    });
    let before = *BEFORE.lock().unpoisoned();
    if let Some(before) = before {
        before();
    }
    let folders = std::mem::take(&mut *FOLDERS.lock().unpoisoned());
    for dir in folders {
        // What is left over, the next run removes.
        let _ = std::fs::remove_dir_all(dir);
    }
    std::process::exit(i32::from(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_came_before_the_thread_began_is_not_lost() {
        // Instead of TERM one that ends no test and that no test waits for.
        let listening = || Listening::of(SignalKind::alarm(), SignalKind::window_change()).unwrap();
        let (mut since, mut other) = (listening(), listening());
        assert_eq!(since.came(), None);
        kill_process(getpid(), Signal::WINCH).unwrap();
        assert_eq!(other.next().await, exit::TERMINATED);
        assert_eq!(since.came(), Some(exit::TERMINATED), "told to all who listen, at once");
        assert_eq!(since.came(), None);
    }

    #[test]
    fn one_signal_sent_twice_is_one() {
        let (mut first, now) = (None, Instant::now());
        assert!(!is_second(&mut first, now));
        assert!(!is_second(&mut first, now + Duration::from_millis(50)));
        assert!(is_second(&mut first, now + SAME));
        assert!(!is_second(&mut None, now));
    }
}
